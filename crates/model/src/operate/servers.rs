//! The servers that share the log: how they stand, how far each lags, and the differences between them that an operator
//! must know.

use std::collections::HashMap;

use fourways_shared::operate::{Node, Nodes};

/// The servers that share the log, in the order of their names. The list of `GET /v1/nodes` begins with the server that
/// answers, which behind a load balancer is another one each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// One row for each server; none for a server that decides the order itself.
    pub rows: Vec<ServerRow>,
    /// True if the servers follow different epochs of the log: a cursor of one is then good only at some of the others.
    pub has_mixed_epochs: bool,
}

/// One server among those that share the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRow {
    pub id: String,
    pub name: String,
    pub state: ServerState,
    /// Version of the program; empty while it is not known.
    pub version: String,
    /// True if no more than half of the servers run this version.
    pub is_odd_version: bool,
    /// Offset of the newest event that can be read there; `None` while the server has not told its figures.
    pub head: Option<u64>,
    /// Number of events between the head and the greatest head of the same epoch. Heads of different epochs can't be
    /// compared.
    pub lag: Option<u64>,
    pub connections: u64,
    pub subscribers: u64,
    /// True for the server that answered.
    pub is_this: bool,
}

/// The state of one server, as far as an operator has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Everything that was published can be read there.
    Ready,
    /// Events may have been published that can't be read there yet.
    Behind,
    /// The server is stopping, whether or not it has everything.
    Draining,
}

impl ServerState {
    const fn of(node: &Node) -> Self {
        if node.is_draining {
            Self::Draining
        } else if node.is_ready {
            Self::Ready
        } else {
            Self::Behind
        }
    }

    /// Returns the word for the state.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Behind => "behind",
            Self::Draining => "draining",
        }
    }

    /// Returns the name of the state's icon in the sprite.
    pub const fn icon(self) -> &'static str {
        match self {
            Self::Ready => "check",
            Self::Behind => "warn",
            Self::Draining => "down",
        }
    }
}

impl From<Nodes> for Servers {
    fn from(Nodes { mut nodes }: Nodes) -> Self {
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        // A server that is about to begin has told neither version nor epoch: that is no difference.
        let mut greatest: HashMap<&str, u64> = HashMap::new();
        let mut versions: HashMap<&str, usize> = HashMap::new();
        for node in &nodes {
            if !node.epoch.is_empty() {
                let head = greatest.entry(&node.epoch).or_default();
                *head = node.head.max(*head);
            }
            if !node.version.is_empty() {
                *versions.entry(&node.version).or_default() += 1;
            }
        }
        let known: usize = versions.values().sum();
        let row = |node: &Node| {
            let greatest = greatest.get(&*node.epoch).copied();
            ServerRow {
                id: node.id.clone(),
                name: node.name.clone(),
                state: ServerState::of(node),
                version: node.version.clone(),
                is_odd_version: versions.get(&*node.version).is_some_and(|count| count * 2 <= known),
                head: greatest.map(|_| node.head),
                lag: greatest.map(|greatest| greatest - node.head),
                connections: node.connections,
                subscribers: node.subscribers,
                is_this: node.is_this,
            }
        };
        Self { rows: nodes.iter().map(row).collect(), has_mixed_epochs: greatest.len() > 1 }
    }
}

impl Servers {
    /// Returns the server with this id.
    pub fn row(&self, id: &str) -> Option<&ServerRow> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Returns the name of the server with this id, or the id if no server is known by it: the answer about connections
    /// may be newer than the one about servers.
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.row(id).map_or(id, |row| row.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that is ready, whose id is its name in capitals.
    fn node(name: &str, epoch: &str, head: u64) -> Node {
        Node {
            id: name.to_uppercase(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            epoch: epoch.to_owned(),
            head,
            is_ready: true,
            ..Node::default()
        }
    }

    fn servers<const N: usize>(nodes: [Node; N]) -> Servers {
        Servers::from(Nodes { nodes: nodes.into() })
    }

    fn lags(servers: &Servers) -> Vec<Option<u64>> {
        servers.rows.iter().map(|row| row.lag).collect()
    }

    fn odd(servers: &Servers) -> Vec<&str> {
        servers.rows.iter().filter(|row| row.is_odd_version).map(|row| &*row.name).collect()
    }

    #[test]
    fn a_server_lags_behind_the_greatest_head() {
        let all = servers([node("a", "e", 7), node("b", "e", 10), node("c", "e", 10)]);
        assert_eq!(lags(&all), [Some(3), Some(0), Some(0)]);
        assert!(!all.has_mixed_epochs);
    }

    #[test]
    fn heads_of_different_epochs_are_not_compared() {
        let all = servers([node("a", "e", 7), node("b", "f", 1000), node("c", "e", 9)]);
        assert_eq!(lags(&all), [Some(2), Some(0), Some(0)]);
        assert!(all.has_mixed_epochs);
    }

    #[test]
    fn the_order_is_the_same_whichever_server_answers() {
        let this = |node: Node| Node { is_this: true, ..node };
        let first = servers([this(node("b", "e", 1)), node("a", "e", 1), node("c", "e", 1)]);
        let second = servers([this(node("c", "e", 1)), node("a", "e", 1), node("b", "e", 1)]);
        for all in [&first, &second] {
            assert_eq!(all.rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["a", "b", "c"]);
        }
        let own = |all: &Servers| all.rows.iter().position(|row| row.is_this);
        assert_eq!((own(&first), own(&second)), (Some(1), Some(2)));
        assert_eq!((first.name_of("C"), first.name_of("gone")), ("c", "gone"));
    }

    #[test]
    fn a_version_is_marked_unless_most_servers_run_it() {
        let newer = |name: &str| Node { version: "1.1.0".to_owned(), ..node(name, "e", 1) };
        assert!(odd(&servers([node("a", "e", 1), node("b", "e", 1)])).is_empty());
        assert!(odd(&servers([newer("a")])).is_empty());
        assert_eq!(odd(&servers([node("a", "e", 1), newer("b"), node("c", "e", 1)])), ["b"]);
        assert_eq!(odd(&servers([node("a", "e", 1), newer("b")])), ["a", "b"]);
    }

    #[test]
    fn a_server_that_has_told_nothing_yet_differs_in_nothing() {
        let silent = Node { id: "B".to_owned(), name: "b".to_owned(), ..Node::default() };
        let all = servers([node("a", "e", 7), silent]);
        assert!(!all.has_mixed_epochs && odd(&all).is_empty(), "{all:?}");
        assert_eq!(lags(&all), [Some(0), None]);
        assert_eq!((all.rows[1].head, all.rows[1].state), (None, ServerState::Behind));
    }

    #[test]
    fn a_server_that_stops_drains_whether_or_not_it_has_everything() {
        let of = |is_ready: bool, is_draining: bool| {
            ServerState::of(&Node { is_ready, is_draining, ..Node::default() })
        };
        assert_eq!([of(true, false), of(false, false)], [ServerState::Ready, ServerState::Behind]);
        assert_eq!([of(true, true), of(false, true)], [ServerState::Draining; 2]);
    }
}

//! The list of connections, gathered from all servers: the ones that fit the page, and the ids by which an operator
//! closes them.

use std::{collections::HashMap, fmt};

use fourways_shared::operate::{ConnectionState, Connections};

use super::Servers;

/// The id by which an operator closes a connection. If several servers share the log, the id of the connection's server
/// comes first: `node-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    /// Id of the server that has the connection.
    pub node: Option<String>,
    /// Number of the connection at its server.
    pub id: u64,
}

impl ConnectionId {
    pub fn of(one: &ConnectionState) -> Self {
        Self { node: one.node.clone(), id: one.id }
    }

    /// Parses the text that displaying an id gives; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let (node, id) = text.split_once('-').map_or((None, text), |(node, id)| (Some(node.to_owned()), id));
        Some(Self { node, id: id.parse().ok()? })
    }

    /// Returns true for the connection that has this id.
    pub fn is_of(&self, one: &ConnectionState) -> bool {
        self.id == one.id && self.node == one.node
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.node {
            write!(f, "{node}-")?;
        }
        write!(f, "{}", self.id)
    }
}

/// Returns true if the connections are those of several servers.
pub const fn is_gathered(known: &Connections) -> bool {
    matches!(known.nodes, Some(2..))
}

/// Returns the number of servers that answered, and that of all; `None` if all did.
pub fn unanswered(known: &Connections) -> Option<(usize, usize)> {
    let (answered, nodes) = (known.answered?, known.nodes?);
    (answered < nodes).then_some((answered, nodes))
}

/// Returns the ids of the oldest wanted connections, at most `max`: servers in the order of their names, the oldest
/// connection of each first. Every server gets the same share of the places, as far as it can fill them; otherwise a
/// server with many connections would hide those of the others.
///
/// The order of two connections never changes, so that rows do not move under the pointer.
pub fn shown(
    known: &Connections,
    servers: &Servers,
    is_wanted: impl Fn(&ConnectionState) -> bool,
    max: usize,
) -> Vec<ConnectionId> {
    let mut ranks: HashMap<Option<&str>, usize> = HashMap::new();
    let mut ranked: Vec<(usize, &ConnectionState)> = Vec::new();
    for one in &known.connections {
        if is_wanted(one) {
            let rank = ranks.entry(one.node.as_deref()).or_default();
            ranked.push((*rank, one));
            *rank += 1;
        }
    }
    ranked.sort_unstable_by_key(|&(rank, one)| (rank, one.node.as_deref()));
    ranked.truncate(max);
    ranked.sort_unstable_by_key(|&(rank, one)| {
        let node = one.node.as_deref();
        (node.map(|node| servers.name_of(node)), node, rank)
    });
    ranked.into_iter().map(|(_, one)| ConnectionId::of(one)).collect()
}

#[cfg(test)]
mod tests {
    use fourways_shared::{
        Technique,
        operate::{Node, Nodes},
    };

    use super::*;

    fn one(node: Option<&str>, id: u64) -> ConnectionState {
        ConnectionState {
            id,
            node: node.map(str::to_owned),
            technique: Technique::Sse,
            subject: None,
            topics: Vec::new(),
            age_ms: 0,
            events: 0,
            bytes: 0,
            lag_us: None,
        }
    }

    fn gathered(connections: Vec<ConnectionState>) -> Connections {
        Connections { total: connections.len(), connections, nodes: Some(2), answered: Some(2) }
    }

    /// Two servers whose names come in another order than their ids.
    fn servers() -> Servers {
        let node =
            |id: &str, name: &str| Node { id: id.to_owned(), name: name.to_owned(), ..Node::default() };
        Servers::from(Nodes { nodes: vec![node("1", "berlin"), node("2", "athens")] })
    }

    fn ids(known: &Connections, max: usize) -> Vec<String> {
        shown(known, &servers(), |_| true, max).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_server_has_its_share_of_the_places() {
        let crowd: Vec<_> = (1..=5).map(|id| one(Some("1"), id)).collect();
        let few = vec![one(Some("2"), 1), one(Some("2"), 9)];
        let known = gathered([crowd.clone(), few.clone()].concat());
        assert_eq!(ids(&known, 4), ["2-1", "2-9", "1-1", "1-2"]);
        assert_eq!(ids(&known, 3), ["2-1", "1-1", "1-2"]);
        // The places that one server can't fill go to the other.
        assert_eq!(ids(&known, 6), ["2-1", "2-9", "1-1", "1-2", "1-3", "1-4"]);
        // Whichever server answers, the rows stay where they are.
        let other = gathered([few, crowd].concat());
        for max in 0..8 {
            assert_eq!(ids(&other, max), ids(&known, max));
        }
    }

    #[test]
    fn only_wanted_connections_take_places() {
        let known = gathered((1..=5).map(|id| one(Some("1"), id)).collect());
        let wanted = shown(&known, &servers(), |one| one.id > 2, 2);
        assert_eq!(wanted.iter().map(|id| id.id).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_server_alone_lists_its_connections_as_they_come() {
        let connections: Vec<_> = [1, 2, 10].map(|id| one(None, id)).into();
        let known = Connections { nodes: None, answered: None, ..gathered(connections) };
        assert_eq!(ids(&known, 2), ["1", "2"]);
        assert_eq!(ids(&known, 9), ["1", "2", "10"]);
        assert!(!is_gathered(&known) && unanswered(&known).is_none());
    }

    #[test]
    fn an_id_is_parsed_as_it_is_displayed() {
        for (text, node, id) in [("7", None, 7), ("0a1b2c3d4e5f-7", Some("0a1b2c3d4e5f"), 7)] {
            let parsed = ConnectionId::parse(text).unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(parsed, ConnectionId::of(&one(node, id)));
            assert!(parsed.is_of(&one(node, id)));
            // The numbers of connections begin anew at each server.
            assert!(!parsed.is_of(&one(Some("another"), id)) && !parsed.is_of(&one(node, id + 1)));
        }
        for text in ["", "-", "x", "0a1b-", "0a1b-x", "0a-1b-7"] {
            assert_eq!(ConnectionId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn servers_that_did_not_answer_are_noticed() {
        let known = |nodes, answered| Connections { nodes, answered, ..gathered(Vec::new()) };
        assert_eq!(unanswered(&known(Some(3), Some(2))), Some((2, 3)));
        assert_eq!(unanswered(&known(Some(3), Some(3))), None);
        assert!(is_gathered(&known(Some(2), Some(1))) && !is_gathered(&known(Some(1), Some(1))));
    }
}

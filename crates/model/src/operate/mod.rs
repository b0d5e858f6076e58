//! The content of the operator's page: the server's answers, and the rates that follow from two of them.

mod connections;
mod servers;

use std::collections::HashMap;

use fourways_shared::{Cursor, Technique, Topic};
use serde::Deserialize;

pub use self::{
    connections::{ConnectionId, is_gathered, shown, unanswered},
    servers::{ServerRow, ServerState, Servers},
};

/// Answer to `GET /v1/topics`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Topics {
    pub topics: Vec<TopicRow>,
    /// Topic after which the next page of the listing begins; `None` on the last page.
    pub next: Option<Topic>,
}

/// One topic in the answer to `GET /v1/topics`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TopicRow {
    pub topic: Topic,
    /// Number of events that are retained.
    pub events: u64,
    /// Number of events published since the server began.
    pub published: u64,
    /// Cursor of the newest retained event.
    pub newest: Option<Cursor>,
    pub subscribers: Subscribers,
}

/// Number of subscribers of a topic, by technique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Subscribers {
    short_poll: u32,
    long_poll: u32,
    sse: u32,
    websocket: u32,
}

impl Subscribers {
    pub const fn of(self, technique: Technique) -> u32 {
        match technique {
            Technique::ShortPoll => self.short_poll,
            Technique::LongPoll => self.long_poll,
            Technique::Sse => self.sse,
            Technique::Websocket => self.websocket,
        }
    }
}

/// Answer to `GET /v1/ledger`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Ledger {
    pub readers: Vec<LedgerRow>,
}

/// One reader's account in the answer to `GET /v1/ledger`.
#[derive(Clone, Debug, Deserialize)]
pub struct LedgerRow {
    /// Name that the reader gave itself.
    pub reader: String,
    pub technique: Technique,
    /// Number of events of the log that the reader holds.
    pub held: u64,
    /// Number of events of the log that the reader should hold and does not.
    pub lost: u64,
    /// Number of deliveries of events that the reader already held.
    pub repeated: u64,
    /// Number of events that the reader received after a later one.
    pub reordered: u64,
    /// Number of times that the reader began anew, or that the log could not be compared with its report.
    pub breaks: u64,
}

/// Answer to `GET /v1/limits`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Limits {
    pub connections: u64,
    pub held_polls: u64,
    /// Number of refusals, by the limit that caused them.
    pub refused: HashMap<String, u64>,
}

/// The rate of each topic from one answer to the next.
#[derive(Debug, Default)]
pub struct Rates {
    before: HashMap<Topic, u64>,
    at_ms: Option<f64>,
}

impl Rates {
    /// Returns the rate of each topic since the last call, in events per second. A topic has none if it is new, or if
    /// its count fell because the server restarted.
    pub fn take(&mut self, topics: &[TopicRow], now_ms: f64) -> HashMap<Topic, f64> {
        let seconds = self.at_ms.map(|at_ms| (now_ms - at_ms) / 1000.0).filter(|seconds| *seconds > 0.0);
        self.at_ms = Some(now_ms);
        let before = std::mem::take(&mut self.before);
        self.before = topics.iter().map(|row| (row.topic.clone(), row.published)).collect();
        let rate = |row: &TopicRow| {
            let grown = row.published.checked_sub(*before.get(&row.topic)?)?;
            #[expect(clippy::cast_precision_loss, reason = "nobody publishes 2^53 events in a few seconds")]
            Some((row.topic.clone(), grown as f64 / seconds?))
        };
        topics.iter().filter_map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(topic: &str, published: u64) -> TopicRow {
        let topic = Topic::parse(topic).unwrap();
        TopicRow { topic, events: 1, published, newest: None, subscribers: Subscribers::default() }
    }

    #[test]
    fn a_rate_needs_two_tellings() {
        let mut rates = Rates::default();
        assert!(rates.take(&[row("a", 10)], 1000.0).is_empty());
        let second = rates.take(&[row("a", 30), row("b", 5)], 3000.0);
        assert_eq!(second.into_iter().collect::<Vec<_>>(), [(Topic::parse("a").unwrap(), 10.0)]);
        // A restarted server counts from zero.
        assert!(!rates.take(&[row("a", 2)], 4000.0).contains_key(&Topic::parse("a").unwrap()));
    }

    #[test]
    fn what_the_server_tells_is_understood() {
        let topics: Topics = serde_json::from_str(
            r#"{"cursor":"1-7","earliest":"1-0","topics":[{"topic":"a","cursor":"1-7","events":2,"published":3,
            "earliest":"1-2","newest":"1-7","subscribers":{"short_poll":0,"long_poll":1,"sse":2,"websocket":3}}]}"#,
        )
        .unwrap();
        assert_eq!(topics.topics[0].subscribers.of(Technique::Websocket), 3);
        let ledger: Ledger = serde_json::from_str(
            r#"{"readers":[{"reader":"r","technique":"sse","topics":["a"],"through":"1-7","reported_s":3,"held":2,"lost":1,
            "repeated":0,"reordered":0,"foreign":0,"conflated":0,"breaks":0}]}"#,
        )
        .unwrap();
        assert_eq!((ledger.readers[0].held, ledger.readers[0].lost), (2, 1));
        let limits: Limits =
            serde_json::from_str(r#"{"connections":4,"held_polls":1,"refused":{"body":2}}"#).unwrap();
        assert_eq!((limits.connections, limits.refused["body"]), (4, 2));
    }
}

//! What the operator's page shows: what the server told, and what follows from two tellings.

use std::collections::HashMap;

use fourways_shared::{Cursor, Technique, Topic};
use serde::Deserialize;

/// `GET /v1/topics`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Topics {
    pub(crate) topics: Vec<TopicRow>,
    /// There are more.
    pub(crate) next: Option<Topic>,
}

/// One of its topics.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct TopicRow {
    pub(crate) topic: Topic,
    pub(crate) events: u64,
    pub(crate) published: u64,
    pub(crate) newest: Option<Cursor>,
    pub(crate) subscribers: Subscribers,
}

/// Readers by technique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Subscribers {
    short_poll: u32,
    long_poll: u32,
    sse: u32,
    websocket: u32,
}

impl Subscribers {
    pub(crate) const fn of(self, technique: Technique) -> u32 {
        match technique {
            Technique::ShortPoll => self.short_poll,
            Technique::LongPoll => self.long_poll,
            Technique::Sse => self.sse,
            Technique::Websocket => self.websocket,
        }
    }
}

/// `GET /v1/ledger`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) readers: Vec<LedgerRow>,
}

/// One of its accounts.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LedgerRow {
    pub(crate) reader: String,
    pub(crate) technique: Technique,
    pub(crate) held: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    pub(crate) breaks: u64,
}

/// `GET /v1/limits`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Limits {
    pub(crate) connections: u64,
    pub(crate) held_polls: u64,
    pub(crate) refused: HashMap<String, u64>,
}

/// Events a second of each topic, from one telling to the next.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    before: HashMap<Topic, u64>,
    at_ms: Option<f64>,
}

impl Rates {
    /// By how much each topic has grown since the last time; `None` for one that was not there.
    pub(crate) fn take(&mut self, topics: &[TopicRow], now_ms: f64) -> HashMap<Topic, f64> {
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
        // A server that began anew counts from zero.
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

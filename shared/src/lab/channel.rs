//! The lab's own WebSocket, `GET /v1/lab/ws?lab=id`: the page's wishes up, what the server counted down.
//!
//! News are JSON in text messages; wire records are binary messages ([`super::write_records`]).

use serde::{Deserialize, Serialize};

use super::{Counts, Fault};
use crate::{Cursor, Technique, Topic, account::Account};

/// What a page may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabCommand {
    /// Send wire records of these techniques, and of no others.
    Watch(Vec<Technique>),
    /// Begin a fault on these techniques, in place of the one that each may have.
    Fault {
        /// Whose connections.
        techniques: Vec<Technique>,
        /// What happens to them.
        fault: Fault,
    },
    /// End whatever fault these techniques have.
    Heal(Vec<Technique>),
    /// Count these techniques from zero again.
    Zero(Vec<Technique>),
    /// A report for the delivery ledger, as [`crate::account::Report`]; in the name of this page and this run of it.
    Held {
        /// Which of the page's runs: each begins its accounts anew.
        run: u32,
        /// By which technique the events came.
        technique: Technique,
        /// What was subscribed.
        topics: Vec<Topic>,
        /// Where the stretch begins.
        after: Cursor,
        /// Where it ends.
        through: Cursor,
        /// What arrived, in that order.
        held: Vec<u64>,
    },
}

/// How things stand with the page's own streams; told when something changed, and after each command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabNews {
    /// The server's clock, µs since the Unix epoch.
    pub now: u64,
    /// When this server began to count for the page, µs since the Unix epoch: another number is another count, from zero.
    #[serde(default)]
    pub since: u64,
    /// Bytes since the first request, in the order of [`Technique::ALL`].
    pub counts: [Counts; 4],
    /// The faults that are on.
    pub faults: Vec<Active>,
    /// Commands of this connection that were carried out or refused; what is told with it is from after the last.
    pub commands: u64,
    /// Wire records that were left out because the page did not take them in time.
    pub left_out: u64,
    /// What the reports of a run by a technique have come to; of the run that reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<(u32, Technique, Account)>,
    /// Why the last command was not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A fault that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// Whose connections.
    pub technique: Technique,
    /// What happens to them.
    pub fault: Fault,
    /// When it began, µs since the Unix epoch.
    pub from: u64,
    /// When it ends by itself, µs since the Unix epoch.
    pub until: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::FaultKind;

    #[test]
    fn commands_are_short_json() {
        let fault = Fault::new(FaultKind::Drop, 0);
        let told: LabCommand =
            serde_json::from_str(r#"{"fault":{"techniques":["sse"],"fault":{"kind":"drop","ms":0}}}"#)
                .unwrap();
        assert_eq!(told, LabCommand::Fault { techniques: vec![Technique::Sse], fault });
        let watch = LabCommand::Watch(vec![Technique::LongPoll]);
        assert_eq!(serde_json::to_string(&watch).unwrap(), r#"{"watch":["long_poll"]}"#);
        let news = LabNews { now: 1, commands: 2, ..LabNews::default() };
        assert_eq!(serde_json::from_str::<LabNews>(&serde_json::to_string(&news).unwrap()).unwrap(), news);
    }
}

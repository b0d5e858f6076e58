//! The messages of the lab's own WebSocket, `GET /v1/lab/ws?lab=id`: commands from the page, counts from the server.
//!
//! Commands and news are JSON in text messages; wire records are binary messages ([`super::write_records`]).

use serde::{Deserialize, Serialize};

use super::{Counts, Fault};
use crate::{Cursor, Technique, Topic, account::Account};

/// A command of a page to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabCommand {
    /// Asks for wire records of these techniques, and of no others.
    Watch(Vec<Technique>),
    /// Begins a fault on these techniques, in place of any that is active.
    Fault {
        /// Techniques whose connections the fault affects.
        techniques: Vec<Technique>,
        /// Fault to begin, with its duration.
        fault: Fault,
    },
    /// Ends any fault on these techniques.
    Heal(Vec<Technique>),
    /// Resets the counts of these techniques to zero.
    Zero(Vec<Technique>),
    /// Reports to the delivery ledger, like [`crate::account::Report`]; the reader is this run of this page.
    Held {
        /// Number of the page's run; each run begins its accounts anew.
        run: u32,
        /// Technique by which the events arrived.
        technique: Technique,
        /// Topics of the subscription.
        topics: Vec<Topic>,
        /// Cursor after which the reported stretch of the log begins.
        after: Cursor,
        /// Cursor at which the reported stretch ends, inclusive.
        through: Cursor,
        /// Offsets of the events that arrived, in the order of arrival.
        held: Vec<u64>,
    },
}

/// The state of the page's own streams. The server sends it when something changed, and after each command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabNews {
    /// The server's clock, µs since the Unix epoch.
    pub now: u64,
    /// Time when the server began to count for the page, µs since the Unix epoch. A different value means that the
    /// counts began again at zero.
    #[serde(default)]
    pub since: u64,
    /// Counts of each technique since its first request or the last [`LabCommand::Zero`], in the order of
    /// [`Technique::ALL`].
    pub counts: [Counts; 4],
    /// The active faults.
    pub faults: Vec<Active>,
    /// Number of commands of this connection that were carried out or refused; all other fields are from after these.
    pub commands: u64,
    /// Number of wire records that were left out because the page did not read them in time.
    pub left_out: u64,
    /// Account of the run and technique that reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<(u32, Technique, Account)>,
    /// Reason why the last command was not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// An active fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// Technique whose connections the fault affects.
    pub technique: Technique,
    /// Kind, duration and parameters of the fault.
    pub fault: Fault,
    /// Time when the fault began, µs since the Unix epoch.
    pub from: u64,
    /// Time when the fault ends by itself, µs since the Unix epoch.
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

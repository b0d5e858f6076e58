//! A row of the wire table, ready to be shown.

use fourways_shared::lab::{Class, Unit};

use super::{
    format::{duration, time_of_day},
    lane::Lane,
    sequence::entry_arrival,
    wire::Entry,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub seq: u64,
    /// Time of day at the server, in UTC.
    pub time: String,
    pub arrow: &'static str,
    pub direction: &'static str,
    /// Description: the failure, the method and target of a request, the status of a response, or the name of the unit.
    pub what: String,
    pub headers: String,
    pub framing: String,
    pub payload: String,
    /// Time from the server to the page; empty if unknown and for entries to the server.
    pub to_page: String,
    /// Offsets of the events in the entry, with their number if there are several.
    pub events: String,
    /// CSS class of the row: `bad`, `head`, `dim` or none.
    pub tone: &'static str,
}

impl Row {
    /// Creates the row of an entry. The time at which the page received the entry comes from `lane`.
    pub fn of(lane: &Lane, entry: &Entry) -> Self {
        let bytes = |class| match entry.bytes(class) {
            0 => "–".to_owned(),
            count => count.to_string(),
        };
        let what = match (&entry.failure, entry.unit) {
            (Some(failure), _) => failure.clone(),
            (None, Unit::Response) => format!("response {}", entry.code),
            (None, Unit::Request) => entry.text(|part| part == fourways_shared::lab::Part::StartLine),
            (None, _) => entry.name().to_owned(),
        };
        let events = match entry.events {
            None => String::new(),
            Some((first, _, 1)) => format!("#{first}"),
            Some((first, last, count)) => format!("#{first} … #{last} ({count})"),
        };
        let arrival = entry_arrival(lane, entry).filter(|_| !entry.up);
        let is_refused = entry.unit == Unit::Response && entry.code >= 400;
        Self {
            seq: entry.seq,
            time: time_of_day(entry.at_ms),
            arrow: if entry.up { "↑" } else { "↓" },
            direction: if entry.up { "to the server" } else { "from the server" },
            what: what.split(" HTTP/").next().unwrap_or_default().trim().to_owned(),
            headers: bytes(Class::Headers),
            framing: bytes(Class::Framing),
            payload: bytes(Class::Payload),
            to_page: arrival.map_or(String::new(), |at_ms| duration((at_ms - entry.at_ms).max(0.0))),
            events,
            tone: match entry.unit {
                _ if entry.failure.is_some() || is_refused => "bad",
                _ if entry.bytes(Class::Payload) > 0 => "",
                Unit::Request | Unit::Response => "head",
                _ => "dim",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Technique, lab::Part};

    use super::*;
    use crate::wire::tests::entry;

    #[test]
    fn a_row_says_what_it_is_and_what_it_weighs() {
        let lane = Lane::new(Technique::Sse);
        let request = entry(
            Unit::Request,
            true,
            &[(Part::StartLine, "GET /v1/stream HTTP/1.1\r\n"), (Part::Headers, "\r\n")],
        );
        let row = Row::of(&lane, &request);
        assert_eq!((&*row.what, &*row.headers, &*row.payload, row.arrow), ("GET /v1/stream", "27", "–", "↑"));
        let refused = Entry { code: 503, ..entry(Unit::Response, false, &[]) };
        assert_eq!((Row::of(&lane, &refused).tone, &*Row::of(&lane, &refused).what), ("bad", "response 503"));
    }
}

//! A row of the wire table, ready to be shown.

use fourways_shared::lab::{Class, Unit};

use super::{
    format::{duration, time_of_day},
    lane::Lane,
    sequence::entry_arrival,
    wire::Entry,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) time: String,
    pub(crate) arrow: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) what: String,
    pub(crate) headers: String,
    pub(crate) framing: String,
    pub(crate) payload: String,
    /// From the server to the page.
    pub(crate) to_page: String,
    pub(crate) events: String,
    /// CSS class.
    pub(crate) tone: &'static str,
}

impl Row {
    pub(crate) fn of(lane: &Lane, entry: &Entry) -> Self {
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
    use crate::state::wire::tests::entry;

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

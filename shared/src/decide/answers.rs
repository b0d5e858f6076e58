//! The eight answers, converted to and from a link's query, and to numbers.

use super::{Binary, EventRate, Freshness, Http2, Load, Proxies, Question, SendRate, Sends};

/// The answers of one person about their own case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answers {
    /// Share of the time in which the client sends.
    pub sends: Sends,
    /// Rate at which the client sends while it does.
    pub send_rate: SendRate,
    /// Age that data may have when a client gets it.
    pub freshness: Freshness,
    /// Rate of events to each client.
    pub event_rate: EventRate,
    /// Number of clients at once, 1 to [`Self::MAX_CLIENTS`].
    pub clients: u32,
    /// Support of HTTP/2 from end to end.
    pub http2: Http2,
    /// Share of clients behind proxies that the team does not control.
    pub proxies: Proxies,
    /// Kind of payload: text or bytes.
    pub binary: Binary,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            sends: Sends::default(),
            send_rate: SendRate::default(),
            freshness: Freshness::default(),
            event_rate: EventRate::default(),
            clients: 5000,
            http2: Http2::default(),
            proxies: Proxies::default(),
            binary: Binary::default(),
        }
    }
}

impl Answers {
    /// Number of clients at most: the upper end of the scale.
    pub const MAX_CLIENTS: u32 = 10_000_000;

    /// Returns the answers as the query of a link, without `?`. It contains every question, so that a link keeps its
    /// meaning when a default changes.
    pub fn to_query(&self) -> String {
        let pair = |question: Question| {
            let option = self.chosen(question).and_then(|place| question.options().get(place));
            let value = option.map_or_else(|| self.clients.to_string(), |option| option.code.to_owned());
            format!("{}={value}", question.key())
        };
        Question::ALL.map(pair).join("&")
    }

    /// Parses the query of a link, with or without `?`. Anything unknown is left at the default, since a link may have
    /// been cut off or come from another version. The last of several answers to one question wins.
    pub fn from_query(query: &str) -> Self {
        let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
        let answers = pairs.fold(Self::default(), |answers: Self, (key, value)| {
            match Question::ALL.into_iter().find(|question| question.key() == key) {
                Some(Question::Clients) => match value.parse() {
                    Ok(clients @ 1..=Self::MAX_CLIENTS) => Self { clients, ..answers },
                    _ => answers,
                },
                Some(question) => {
                    let place = question.options().iter().position(|option| option.code == value);
                    place.map_or(answers, |place| answers.with_only(question, place))
                }
                None => answers,
            }
        });
        answers.agreeing_with(Question::Sends)
    }

    /// Converts the answers to numbers, with assumptions where no question asks.
    pub fn load(&self) -> Load {
        Load {
            clients: self.clients.clamp(1, Self::MAX_CLIENTS),
            events_per_s: self.event_rate.per_s(),
            payload_bytes: Load::PAYLOAD_BYTES,
            poll_s: self.freshness.poll_s(),
            hold_s: Load::HOLD_S,
            sends_per_s: self.sends.share() * self.send_rate.per_s(),
            lifetime_s: Load::LIFETIME_S,
            binary: self.binary == Binary::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decide::fixtures::every_answer;

    #[test]
    fn a_link_carries_every_answer() {
        for answers in every_answer() {
            for clients in [1, 5000, Answers::MAX_CLIENTS] {
                let answers = Answers { clients, ..answers };
                let query = answers.to_query();
                assert_eq!(Answers::from_query(&query), answers, "{query}");
                assert_eq!(Answers::from_query(&format!("?{query}")), answers, "{query}");
                assert!(query.bytes().all(|b| b.is_ascii_alphanumeric() || b"=&".contains(&b)), "{query}");
            }
        }
    }

    #[test]
    fn the_link_reads_as_a_person_would_write_it() {
        assert_eq!(
            Answers::default().to_query(),
            "send=some&often=rare&fresh=1s&rate=5s&clients=5000&h2=yes&proxy=some&bin=no"
        );
    }

    #[test]
    fn no_way_leads_to_answers_that_contradict_each_other() {
        for answers in every_answer() {
            for question in Question::ALL {
                for place in 0..question.options().len() {
                    let then = answers.with(question, place);
                    assert_eq!(then.chosen(question), Some(place), "what was asked for is taken");
                    assert_ne!((then.sends, then.send_rate), (Sends::AllTheTime, SendRate::Rarely));
                }
            }
        }
        let link = Answers::from_query("send=all&often=rare");
        assert_ne!((link.sends, link.send_rate), (Sends::AllTheTime, SendRate::Rarely));
    }

    #[test]
    fn what_a_link_says_wrongly_is_left_at_the_default() {
        for query in [
            "",
            "?",
            "&&=",
            "send",
            "send=",
            "send=maybe",
            "theme=dark",
            "clients=0",
            "clients=-1",
            "clients=10000001",
            "clients=1e3",
            "SEND=no",
        ] {
            assert_eq!(Answers::from_query(query), Answers::default(), "{query:?}");
        }
        let expected = Answers { sends: Sends::Never, clients: 70, ..Answers::default() };
        assert_eq!(Answers::from_query("send=all&x=1&send=no&clients=70&rate=never"), expected);
    }

    #[test]
    fn options_labels_and_codes_agree() {
        for question in Question::ALL {
            for (place, option) in question.options().iter().enumerate() {
                assert_eq!(
                    Answers::default().with(question, place).chosen(question),
                    Some(place),
                    "{option:?}"
                );
            }
            let mut codes: Vec<_> = question.options().iter().map(|option| option.code).collect();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), question.options().len(), "{question:?}");
        }
        assert_eq!(Freshness::S10.label(), Question::Freshness.options()[2].label);
        assert_eq!(Freshness::S10.code(), Question::Freshness.options()[2].code);
        assert_eq!(Answers::default().with(Question::Binary, 9), Answers::default());
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader(query: String) {
            let answers = Answers::from_query(&query);
            prop_assert!((1..=Answers::MAX_CLIENTS).contains(&answers.clients));
        }
    }
}

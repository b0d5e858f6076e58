//! The eight questions, their options, and the numbers that the options stand for.

use super::Answers;

/// One of the eight questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Does the client send? Answered by [`Sends`].
    Sends,
    /// The rate of sends, answered by [`SendRate`]; without meaning if the client never sends.
    SendRate,
    /// The freshness that the data must have, answered by [`Freshness`].
    Freshness,
    /// The rate of events to each client, answered by [`EventRate`].
    EventRate,
    /// The number of clients, [`Answers::clients`]; the only question without options.
    Clients,
    /// The support of HTTP/2 from end to end, answered by [`Http2`].
    Http2,
    /// The share of clients behind foreign proxies, answered by [`Proxies`].
    Proxies,
    /// The kind of payload, answered by [`Binary`].
    Binary,
}

/// One option of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name of the option in a link: letters and digits only.
    pub code: &'static str,
    /// Text of the option on the page.
    pub label: &'static str,
}

impl Question {
    /// All eight questions, in the order in which they are asked.
    pub const ALL: [Self; 8] = [
        Self::Sends,
        Self::SendRate,
        Self::Freshness,
        Self::EventRate,
        Self::Clients,
        Self::Http2,
        Self::Proxies,
        Self::Binary,
    ];

    /// Returns the question as the page shows it.
    pub const fn label(self) -> &'static str {
        self.texts().1
    }

    /// Returns the question's name in a link.
    pub const fn key(self) -> &'static str {
        self.texts().0
    }
}

/// Declares the questions with options. Each entry is: type, field of [`Answers`], key, question; then for each option:
/// variant, code, label.
macro_rules! questions {
    ($(
        $(#[$doc:meta])*
        $name:ident, $field:ident, $key:literal, $asks:literal {
            $($(#[$option_doc:meta])* $option:ident, $code:literal, $label:literal;)+
        }
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
            pub enum $name {
                $($(#[$option_doc])* $option,)+
            }

            impl $name {
                /// Every option, in the order in which the page shows them.
                pub const ALL: &'static [Self] = &[$(Self::$option),+];

                /// Returns the option as the page shows it.
                pub const fn label(self) -> &'static str {
                    match self { $(Self::$option => $label,)+ }
                }

                /// Returns the option's name in a link.
                pub const fn code(self) -> &'static str {
                    match self { $(Self::$option => $code,)+ }
                }
            }
        )+

        impl Question {
            const fn texts(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($key, $asks),)+
                    Self::Clients => ("clients", "Number of clients"),
                }
            }

            /// Returns the question's options in the order in which the page shows them; none for [`Self::Clients`].
            pub const fn options(self) -> &'static [Choice] {
                match self {
                    $(Self::$name => &[$(Choice { code: $code, label: $label }),+],)+
                    Self::Clients => &[],
                }
            }
        }

        impl Answers {
            /// Returns the index of the answer in [`Question::options`]; `None` for [`Question::Clients`].
            pub const fn chosen(&self, question: Question) -> Option<usize> {
                match question {
                    $(Question::$name => Some(self.$field as usize),)+
                    Question::Clients => None,
                }
            }

            /// Returns these answers with the option at index `place` chosen for `question`; unchanged if there is no
            /// such option. Another answer that contradicts the new one changes too: nobody sends both all the time
            /// and rarely.
            #[must_use]
            pub fn with(self, question: Question, place: usize) -> Self {
                self.with_only(question, place).agreeing_with(question)
            }

            /// Like [`Self::with`], but keeps answers that contradict the new one.
            pub(super) fn with_only(mut self, question: Question, place: usize) -> Self {
                match question {
                    $(Question::$name => {
                        if let Some(option) = $name::ALL.get(place) {
                            self.$field = *option;
                        }
                    })+
                    Question::Clients => {}
                }
                self
            }
        }
    };
}

questions! {
    /// Share of the time in which the client sends.
    Sends, sends, "send", "Does the client send?" {
        /// Never: events go one way.
        Never, "no", "No";
        /// Now and then: a tenth of the time.
        #[default]
        Sometimes, "some", "Sometimes";
        /// For as long as the page is open.
        AllTheTime, "all", "All the time";
    }
    /// Rate at which a client sends, in the time in which it does.
    SendRate, send_rate, "often", "How often does it send?" {
        /// Once a minute.
        #[default]
        Rarely, "rare", "Rarely";
        /// Once every three seconds.
        EveryFewSeconds, "secs", "Every few s";
        /// Ten times a second: typing, dragging, playing.
        TenPerSecond, "ten", "10+/s";
    }
    /// Age that data may have when the client gets it.
    Freshness, freshness, "fresh", "How fresh must data be?" {
        /// At most a tenth of a second.
        Ms100, "100ms", "100 ms";
        /// At most a second.
        #[default]
        S1, "1s", "1 s";
        /// At most ten seconds.
        S10, "10s", "10 s";
        /// A minute or more; polled once a minute.
        Minutes, "min", "Minutes";
    }
    /// Rate of events to one client.
    EventRate, event_rate, "rate", "Event rate per client" {
        /// One event a minute.
        PerMinute, "1m", "1/min";
        /// One event every five seconds.
        #[default]
        PerFiveSeconds, "5s", "1 per 5 s";
        /// One event a second.
        PerSecond, "1s", "1/s";
        /// Ten events a second.
        TenPerSecond, "100ms", "10/s";
    }
    /// Support of HTTP/2 (or 3) on the whole path from the browser to the server.
    Http2, http2, "h2", "HTTP/2 end to end?" {
        /// The whole path speaks HTTP/2 or 3.
        #[default]
        Yes, "yes", "Yes";
        /// Some part of the path speaks HTTP/1.1.
        No, "no", "No";
        /// The path is not known.
        Unknown, "unsure", "Not sure";
    }
    /// Share of clients behind proxies, filters and antivirus that the team does not control.
    Proxies, proxies, "proxy", "Corporate proxies in the path?" {
        /// No client is behind one.
        None, "none", "None";
        /// A few clients are behind one.
        #[default]
        Some, "some", "Some";
        /// Most clients are behind one.
        Many, "many", "Many";
    }
    /// Kind of payload that events carry: text or bytes.
    Binary, binary, "bin", "Binary payloads?" {
        /// Payloads are text or JSON.
        #[default]
        No, "no", "No";
        /// Payloads are raw bytes.
        Yes, "yes", "Yes";
    }
}

impl Answers {
    /// Resolves a contradiction between two answers: the answer to this question stays, and the other one changes.
    pub(super) fn agreeing_with(mut self, question: Question) -> Self {
        if (self.sends, self.send_rate) == (Sends::AllTheTime, SendRate::Rarely) {
            if question == Question::SendRate {
                self.sends = Sends::Sometimes;
            } else {
                self.send_rate = SendRate::EveryFewSeconds;
            }
        }
        self
    }
}

impl Sends {
    /// Returns the share of the time, 0 to 1, in which the client sends at its [`SendRate`].
    pub const fn share(self) -> f64 {
        match self {
            Self::Never => 0.0,
            Self::Sometimes => 0.1,
            Self::AllTheTime => 1.0,
        }
    }
}

impl SendRate {
    /// Returns the sends a second, in the time in which the client sends.
    pub const fn per_s(self) -> f64 {
        match self {
            Self::Rarely => 1.0 / 60.0,
            Self::EveryFewSeconds => 1.0 / 3.0,
            Self::TenPerSecond => 10.0,
        }
    }
}

impl Freshness {
    /// Returns the longest interval between short polls that keeps data this fresh, in seconds: an event waits at most
    /// one interval for its poll.
    pub const fn poll_s(self) -> f64 {
        match self {
            Self::Ms100 => 0.1,
            Self::S1 => 1.0,
            Self::S10 => 10.0,
            Self::Minutes => 60.0,
        }
    }
}

impl EventRate {
    /// Returns the events a second to each client.
    pub const fn per_s(self) -> f64 {
        match self {
            Self::PerMinute => 1.0 / 60.0,
            Self::PerFiveSeconds => 0.2,
            Self::PerSecond => 1.0,
            Self::TenPerSecond => 10.0,
        }
    }
}

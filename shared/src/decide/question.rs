//! The questions, and what each answer means as a number.

use super::Answers;

/// One of the eight questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// [`Sends`].
    Sends,
    /// [`SendRate`]; without meaning where the client never sends.
    SendRate,
    /// [`Freshness`].
    Freshness,
    /// [`EventRate`].
    EventRate,
    /// A number, [`Answers::clients`]; the only question without options.
    Clients,
    /// [`Http2`].
    Http2,
    /// [`Proxies`].
    Proxies,
    /// [`Binary`].
    Binary,
}

/// One option of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// In a link: letters and digits only.
    pub code: &'static str,
    /// As it is shown.
    pub label: &'static str,
}

impl Question {
    /// All eight, in the order in which they are asked.
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

    /// The question as it is shown.
    pub const fn label(self) -> &'static str {
        self.texts().1
    }

    /// Its name in a link.
    pub const fn key(self) -> &'static str {
        self.texts().0
    }
}

/// Each entry: type, field of [`Answers`], key, question; then option, code, label.
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
                /// Every answer, in the order in which they are shown.
                pub const ALL: &'static [Self] = &[$(Self::$option),+];

                /// The answer as it is shown.
                pub const fn label(self) -> &'static str {
                    match self { $(Self::$option => $label,)+ }
                }

                /// The answer in a link.
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

            /// What may be answered, in the order in which it is shown; empty for [`Self::Clients`].
            pub const fn options(self) -> &'static [Choice] {
                match self {
                    $(Self::$name => &[$(Choice { code: $code, label: $label }),+],)+
                    Self::Clients => &[],
                }
            }
        }

        impl Answers {
            /// The place of the answer in [`Question::options`]; `None` for [`Question::Clients`].
            pub const fn chosen(&self, question: Question) -> Option<usize> {
                match question {
                    $(Question::$name => Some(self.$field as usize),)+
                    Question::Clients => None,
                }
            }

            /// The same answers, but to `question` the option at `place`; unchanged where there is none. An answer to another question
            /// that contradicts it moves along: nobody sends all the time and rarely.
            #[must_use]
            pub fn with(self, question: Question, place: usize) -> Self {
                self.with_only(question, place).agreeing_with(question)
            }

            /// The same, whether the answers contradict each other then or not.
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
    /// Whether the client talks back.
    Sends, sends, "send", "Does the client send?" {
        /// Events go one way.
        Never, "no", "No";
        /// Now and then: a tenth of the time.
        #[default]
        Sometimes, "some", "Sometimes";
        /// As long as the page is open.
        AllTheTime, "all", "All the time";
    }
    /// How often a client sends while it does.
    SendRate, send_rate, "often", "How often does it send?" {
        /// Once a minute.
        #[default]
        Rarely, "rare", "Rarely";
        /// Once in three seconds.
        EveryFewSeconds, "secs", "Every few s";
        /// Ten times a second: typing, dragging, playing.
        TenPerSecond, "ten", "10+/s";
    }
    /// How old data may be when the client gets them.
    Freshness, freshness, "fresh", "How fresh must data be?" {
        /// A tenth of a second.
        Ms100, "100ms", "100 ms";
        /// A second.
        #[default]
        S1, "1s", "1 s";
        /// Ten seconds.
        S10, "10s", "10 s";
        /// A minute or more.
        Minutes, "min", "Minutes";
    }
    /// How many events a client gets.
    EventRate, event_rate, "rate", "Event rate per client" {
        /// One a minute.
        PerMinute, "1m", "1/min";
        /// One in five seconds.
        #[default]
        PerFiveSeconds, "5s", "1 per 5 s";
        /// One a second.
        PerSecond, "1s", "1/s";
        /// Ten a second.
        TenPerSecond, "100ms", "10/s";
    }
    /// Whether HTTP/2 (or 3) reaches from the browser to the server.
    Http2, http2, "h2", "HTTP/2 end to end?" {
        /// It does.
        #[default]
        Yes, "yes", "Yes";
        /// Some part of the path speaks HTTP/1.1.
        No, "no", "No";
        /// Nobody knows.
        Unknown, "unsure", "Not sure";
    }
    /// How many clients sit behind proxies, filters and antivirus that nobody on the team controls.
    Proxies, proxies, "proxy", "Corporate proxies in the path?" {
        /// None.
        None, "none", "None";
        /// A few.
        #[default]
        Some, "some", "Some";
        /// Most.
        Many, "many", "Many";
    }
    /// Whether events are bytes instead of text.
    Binary, binary, "bin", "Binary payloads?" {
        /// Text or JSON.
        #[default]
        No, "no", "No";
        /// Bytes.
        Yes, "yes", "Yes";
    }
}

impl Answers {
    /// The answer to this question counts where two contradict each other.
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
    /// The share of the time, 0 to 1, in which the client sends at its [`SendRate`].
    pub const fn share(self) -> f64 {
        match self {
            Self::Never => 0.0,
            Self::Sometimes => 0.1,
            Self::AllTheTime => 1.0,
        }
    }
}

impl SendRate {
    /// Sends a second while the client sends.
    pub const fn per_s(self) -> f64 {
        match self {
            Self::Rarely => 1.0 / 60.0,
            Self::EveryFewSeconds => 1.0 / 3.0,
            Self::TenPerSecond => 10.0,
        }
    }
}

impl Freshness {
    /// The slowest short poll that keeps the promise, in seconds: an event waits at most one interval for its poll.
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
    /// Events a second to each client.
    pub const fn per_s(self) -> f64 {
        match self {
            Self::PerMinute => 1.0 / 60.0,
            Self::PerFiveSeconds => 0.2,
            Self::PerSecond => 1.0,
            Self::TenPerSecond => 10.0,
        }
    }
}

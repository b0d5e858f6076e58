//! The settings of a run, and the link that carries them.

use fourways_shared::lab::FaultKind;
use serde::{Deserialize, Serialize};

use crate::format::{milli, plain_milli};

/// The settings of a run, in whole numbers, so that a link and a file carry exactly the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub seconds: u32,
    /// Mean number of events in 1,000 seconds.
    pub rate_milli: u32,
    pub arrivals: Arrivals,
    pub payload_bytes: u32,
    /// Time from the answer to a short poll until the next poll.
    pub poll_ms: u32,
    /// Longest time that a long poll is held.
    pub hold_ms: u32,
    /// Faults that all four techniques meet.
    pub faults: Vec<Planned>,
}

/// Distribution of the events over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    #[default]
    /// Events at equal intervals.
    Steady,
    /// Events independent of each other.
    Poisson,
    /// Five events at once, then quiet.
    Burst,
}

/// A fault at its time in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub kind: FaultKind,
    /// Beginning of the fault, in seconds since the run began.
    pub at_s: u32,
    /// Duration of the fault in seconds; 0 for a drop, which takes no time.
    pub for_s: u32,
}

impl Arrivals {
    pub const ALL: [Self; 3] = [Self::Steady, Self::Poisson, Self::Burst];

    /// Returns the name in links and files.
    pub const fn name(self) -> &'static str {
        ["steady", "poisson", "burst"][self as usize]
    }

    /// Returns the name for people.
    pub const fn label(self) -> &'static str {
        ["Steady", "Poisson", "Bursts"][self as usize]
    }
}

impl Default for Settings {
    fn default() -> Self {
        PRESETS[3].settings()
    }
}

/// Least and greatest length of a run.
pub const SECONDS: (u32, u32) = (2, 600);
/// Least and greatest rate, in events per 1,000 seconds.
pub const RATE_MILLI: (u32, u32) = (25, 500_000);
/// Least and greatest payload, in bytes.
pub const PAYLOAD: (u32, u32) = (20, 16_384);
/// Least and greatest interval of short polls.
pub const POLL_MS: (u32, u32) = (100, 60_000);
/// Least and greatest hold of a long poll.
pub const HOLD_MS: (u32, u32) = (1_000, 25_000);
const MAX_FAULTS: usize = 8;

impl Settings {
    /// Returns the settings as the query of an address.
    pub fn to_query(&self) -> String {
        let faults =
            self.faults.iter().map(|Planned { kind, at_s, for_s }| format!("{}@{at_s}x{for_s}", kind.name()));
        let faults = faults.collect::<Vec<_>>().join(",");
        format!(
            "seconds={}&rate={}&arrivals={}&payload={}&poll={}&hold={}{}{faults}",
            self.seconds,
            plain_milli(self.rate_milli),
            self.arrivals.name(),
            self.payload_bytes,
            plain_milli(self.poll_ms),
            plain_milli(self.hold_ms),
            if faults.is_empty() { "" } else { "&faults=" },
        )
    }

    /// Reads settings from the query of an address, and clamps them. A setting that is missing or malformed keeps its
    /// default, but an unknown value of `arrivals` means steady arrivals. Returns `None` if the query has no setting.
    pub fn from_query(query: &str) -> Option<Self> {
        let mut settings = Self::default();
        let mut says_something = false;
        for (name, value) in query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='))
        {
            let number = value.parse().ok();
            match (name, number, milli(value)) {
                ("seconds", Some(seconds), _) => settings.seconds = seconds,
                ("rate", _, Some(rate)) => settings.rate_milli = rate,
                ("payload", Some(bytes), _) => settings.payload_bytes = bytes,
                ("poll", _, Some(ms)) => settings.poll_ms = ms,
                ("hold", _, Some(ms)) => settings.hold_ms = ms,
                ("arrivals", ..) => {
                    let found = Arrivals::ALL.into_iter().find(|arrivals| arrivals.name() == value);
                    settings.arrivals = found.unwrap_or_default();
                }
                ("faults", ..) => {
                    settings.faults = value.split(',').filter_map(planned).take(MAX_FAULTS).collect();
                }
                _ => continue,
            }
            says_something = true;
        }
        says_something.then(|| settings.within())
    }

    /// Returns the settings with every number clamped to its limits, and every fault to the length of the run.
    #[must_use]
    pub fn within(mut self) -> Self {
        let within = |value: &mut u32, (least, most): (u32, u32)| *value = (*value).clamp(least, most);
        within(&mut self.seconds, SECONDS);
        within(&mut self.rate_milli, RATE_MILLI);
        within(&mut self.payload_bytes, PAYLOAD);
        within(&mut self.poll_ms, POLL_MS);
        within(&mut self.hold_ms, HOLD_MS);
        self.faults.truncate(MAX_FAULTS);
        let last = self.seconds.saturating_sub(1);
        for fault in &mut self.faults {
            fault.at_s = fault.at_s.min(last);
            fault.for_s = if fault.kind == FaultKind::Drop { 0 } else { fault.for_s.clamp(1, 60) };
        }
        self
    }

    /// Returns a summary in a few words.
    pub fn summary(&self) -> String {
        let faults = self.faults.iter().map(|fault| format!(", {} at {} s", fault.kind.name(), fault.at_s));
        format!(
            "{} s, {}/s {}, {} B, poll every {} s{}",
            self.seconds,
            plain_milli(self.rate_milli),
            self.arrivals.name(),
            self.payload_bytes,
            plain_milli(self.poll_ms),
            faults.collect::<String>()
        )
    }
}

/// Parses a fault: `stall@8x3` begins after 8 seconds and takes 3.
fn planned(text: &str) -> Option<Planned> {
    let (kind, times) = text.split_once('@')?;
    let (at_s, for_s) = times.split_once('x').unwrap_or((times, "0"));
    let kind = FaultKind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some(Planned { kind, at_s: at_s.parse().ok()?, for_s: for_s.parse().ok()? })
}

/// A named starting point for the settings.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    seconds: u32,
    rate_milli: u32,
    arrivals: Arrivals,
    payload_bytes: u32,
    poll_ms: u32,
    /// Sketch of the arrivals, as an SVG path in a box of 44 by 26.
    pub spark: &'static str,
}

/// Starting points offered to the visitor; the fourth holds the defaults.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "Rare notification",
        about: "One event every 15 s or so",
        seconds: 60,
        rate_milli: 67,
        arrivals: Arrivals::Poisson,
        payload_bytes: 160,
        poll_ms: 5_000,
        spark: "M30 24V10",
    },
    Preset {
        name: "Live score",
        about: "One event every 4 s, small",
        seconds: 30,
        rate_milli: 250,
        arrivals: Arrivals::Poisson,
        payload_bytes: 120,
        poll_ms: 2_000,
        spark: "M8 24V14M22 24V14M36 24V14",
    },
    Preset {
        name: "Dashboard",
        about: "10 events a second, steady",
        seconds: 15,
        rate_milli: 10_000,
        arrivals: Arrivals::Steady,
        payload_bytes: 400,
        poll_ms: 1_000,
        spark: "M4 24V6M8 24V6M12 24V6M16 24V6M20 24V6M24 24V6M28 24V6M32 24V6M36 24V6M40 24V6",
    },
    Preset {
        name: "Chat burst",
        about: "Five at once, then quiet",
        seconds: 20,
        rate_milli: 2_000,
        arrivals: Arrivals::Burst,
        payload_bytes: 140,
        poll_ms: 2_000,
        spark: "M4 24V14M6 24V8M8 24V10M10 24V6M24 24V12M26 24V7M28 24V10M30 24V15M40 24V18",
    },
    Preset {
        name: "Price feed",
        about: "200 events a second, small",
        seconds: 10,
        rate_milli: 200_000,
        arrivals: Arrivals::Steady,
        payload_bytes: 96,
        poll_ms: 500,
        spark: "M3 15H41M3 18H41M3 21H41M3 24H41M3 12H41",
    },
];

impl Preset {
    /// Returns the preset's settings: polls are held for 20 s, and there are no faults.
    pub const fn settings(&self) -> Settings {
        Settings {
            seconds: self.seconds,
            rate_milli: self.rate_milli,
            arrivals: self.arrivals,
            payload_bytes: self.payload_bytes,
            poll_ms: self.poll_ms,
            hold_ms: 20_000,
            faults: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_what_was_set() {
        for preset in PRESETS {
            let faults = vec![
                Planned { kind: FaultKind::Stall, at_s: 3, for_s: 2 },
                Planned { kind: FaultKind::Drop, at_s: 5, for_s: 0 },
            ];
            let settings = Settings { faults, ..preset.settings() };
            assert_eq!(settings.clone().within(), settings, "{}", preset.name);
            assert_eq!(Settings::from_query(&format!("?{}", settings.to_query())), Some(settings));
        }
        assert_eq!(Settings::from_query("?x=1"), None);
        let odd =
            Settings::from_query("seconds=9999&rate=abc&poll=0.01&faults=stall@700x900,nonsense@1").unwrap();
        assert_eq!((odd.seconds, odd.poll_ms, odd.rate_milli), (600, 100, Settings::default().rate_milli));
        assert_eq!(odd.faults, [Planned { kind: FaultKind::Stall, at_s: 599, for_s: 60 }]);
    }
}

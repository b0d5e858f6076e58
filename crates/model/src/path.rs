//! The check of the path from a browser to a server: the measurements, and their meaning for each technique.

use fourways_shared::Technique;

use super::format::{duration, plural};

/// Measurements of the path check. `None` stands for a step that is not done or had no result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Shortest round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Largest possible error of the clock offset, in milliseconds.
    pub clock_error_ms: Option<f64>,
    /// Protocol that the browser reports, such as `http/1.1` or `h2`.
    pub protocol: Option<String>,
    pub sse: Option<Push>,
    pub websocket: Option<Push>,
    /// Time until a short poll was answered, in milliseconds.
    pub short_poll_ms: Option<f64>,
    pub long_poll: Option<Hold>,
    pub streams: Option<Streams>,
    /// True if the server was restarted during the check, which makes all other measurements worthless.
    pub was_restarted: bool,
}

/// Measurement of a stream that was opened, carried three events, and was left open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Push {
    /// Time until the stream was open, in milliseconds; `None` if it never opened.
    pub opened_ms: Option<f64>,
    /// Time that each event took, in milliseconds, of those that arrived before the next one was sent.
    pub took_ms: Vec<f64>,
    /// Number of events that had not arrived when the next one was sent, [`HELD_BACK_MS`] later.
    pub held_back: usize,
    /// Time from opening until the stream was cut, in milliseconds; `None` if it was not cut.
    pub cut_ms: Option<f64>,
    /// Time for which the open stream was watched, in milliseconds.
    pub watched_ms: f64,
}

/// Measurement of two long polls: one that was left to be held, and one that an event had to wake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// Time for which the first poll asked to be held, in milliseconds.
    pub asked_ms: f64,
    /// Time for which the first poll was held, in milliseconds.
    pub held_ms: f64,
    /// HTTP status of the first poll's answer; 0 if no answer came.
    pub status: u16,
    /// Time from publishing an event until the second poll was answered, in milliseconds; `None` if it was not answered
    /// within [`HELD_BACK_MS`].
    pub woken_ms: Option<f64>,
}

/// Number of streams that this page could have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    pub open: usize,
    /// Number of streams that the check opens at most.
    pub tried: usize,
}

/// Verdict on how well the path carries a technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    Well,
    /// The technique works, with a restriction.
    Limited,
    No,
    /// The technique is not tested yet.
    Unknown,
}

impl Carries {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Well => "carried",
            Self::Limited => "with a catch",
            Self::No => "broken",
            Self::Unknown => "not tested yet",
        }
    }

    /// Returns the name of the verdict's icon in the sprite.
    pub const fn icon(self) -> &'static str {
        match self {
            Self::Well => "check",
            Self::Limited => "warn",
            Self::No => "x",
            Self::Unknown => "pause",
        }
    }
}

/// Time after which an event counts as held back, in milliseconds.
pub const HELD_BACK_MS: f64 = 2_000.0;
/// A WebSocket that is cut sooner than this, in milliseconds, is of no use.
const SHORT_LIFE_MS: f64 = 20_000.0;

/// Returns the verdict on a technique with an explanation in words, which is empty while the technique is not tested.
pub fn verdict(technique: Technique, seen: &Seen) -> (Carries, String) {
    match technique {
        Technique::ShortPoll => match seen.short_poll_ms {
            None => unknown(),
            Some(ms) => (
                Carries::Well,
                format!(
                    "A poll is answered after {}. Nothing breaks it that lets this page through.",
                    duration(ms)
                ),
            ),
        },
        Technique::LongPoll => seen.long_poll.map_or_else(unknown, long_poll),
        Technique::Sse => seen.sse.as_ref().map_or_else(unknown, |push| sse(push, seen.streams)),
        Technique::Websocket => seen.websocket.as_ref().map_or_else(unknown, websocket),
    }
}

fn unknown() -> (Carries, String) {
    (Carries::Unknown, String::new())
}

fn long_poll(hold: Hold) -> (Carries, String) {
    let held = duration(hold.held_ms);
    let woken = match hold.woken_ms {
        Some(ms) if ms <= HELD_BACK_MS => format!("an event woke it after {}", duration(ms)),
        _ => {
            return (
                Carries::No,
                "An event did not wake a held poll: something in the path keeps answers back.".to_owned(),
            );
        }
    };
    match hold.status {
        204 => (Carries::Well, format!("Held for {held} as asked; {woken}.")),
        200 => (Carries::Well, format!("Answered after {held} by an event; {woken}.")),
        0 => (
            Carries::Limited,
            format!(
                "Cut after {held}, asked for {}: ask for less than that; {woken}.",
                duration(hold.asked_ms)
            ),
        ),
        status => (
            Carries::Limited,
            format!("Answered with {status} after {held}: the path gives up before the server; {woken}."),
        ),
    }
}

fn sse(push: &Push, streams: Option<Streams>) -> (Carries, String) {
    let Some(opened_ms) = push.opened_ms else {
        return (Carries::No, "The stream never opened.".to_owned());
    };
    if push.took_ms.is_empty() {
        return (Carries::No, "It opened, and no event came before the next was sent: the path buffers. Turn buffering off there (nginx: proxy_buffering off), or use long polling.".to_owned());
    }
    if push.held_back > 0 {
        return (
            Carries::Limited,
            format!(
                "{} held back: the path buffers now and then.",
                plural(push.held_back as u64, "event was", "events were")
            ),
        );
    }
    if let Some(cut_ms) = push.cut_ms {
        return (
            Carries::Limited,
            format!(
                "Cut after {}: the browser reconnects and the cursor resumes, but that often. Raise the proxy's read timeout above the heartbeat.",
                duration(cut_ms)
            ),
        );
    }
    let open = format!("Open after {}, event by event in {}.", duration(opened_ms), range(&push.took_ms));
    match streams {
        Some(Streams { open: count, tried }) if count < tried => (
            Carries::Limited,
            format!(
                "{open} But only {} at once: HTTP/1.1 allows six connections to a host, over all tabs. HTTP/2 has no such wall.",
                plural(count as u64, "stream", "streams")
            ),
        ),
        _ => (Carries::Well, open),
    }
}

fn websocket(push: &Push) -> (Carries, String) {
    let Some(opened_ms) = push.opened_ms else {
        return (Carries::No, "The upgrade did not pass: something in the path drops the Upgrade header (nginx: proxy_http_version 1.1 and both upgrade headers).".to_owned());
    };
    if let Some(cut_ms) = push.cut_ms {
        let carries = if cut_ms < SHORT_LIFE_MS { Carries::No } else { Carries::Limited };
        return (
            carries,
            format!(
                "Upgraded, and cut after {}: a client that only looks at the 101 flaps for ever.",
                duration(cut_ms)
            ),
        );
    }
    if push.held_back > 0 || push.took_ms.is_empty() {
        return (Carries::No, "Upgraded, but messages did not come through.".to_owned());
    }
    (
        Carries::Well,
        format!(
            "Open after {}, messages in {}, still open after {}.",
            duration(opened_ms),
            range(&push.took_ms),
            duration(push.watched_ms)
        ),
    )
}

fn range(times: &[f64]) -> String {
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let most = times.iter().copied().fold(0.0, f64::max);
    format!("{} to {}", duration(least), duration(most))
}

/// Sums up the check in a few words; `None` until every technique is tested.
pub fn answer(seen: &Seen) -> Option<String> {
    let carried = |technique: Technique| verdict(technique, seen).0;
    if Technique::ALL.iter().any(|technique| carried(*technique) == Carries::Unknown) {
        return None;
    }
    let named = |wanted: Carries| {
        let names = Technique::ALL.into_iter().filter(|technique| carried(*technique) == wanted);
        names.map(Technique::label).collect::<Vec<_>>().join(", ")
    };
    let mut words = match named(Carries::Well) {
        names if names.is_empty() => "This path carries nothing without a catch.".to_owned(),
        names => format!("This path carries {names}."),
    };
    for (carries, what) in [(Carries::Limited, "With a catch"), (Carries::No, "Broken")] {
        let names = named(carries);
        if !names.is_empty() {
            words.extend([" ", what, ": ", &names, "."]);
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Seen {
        let push = Push {
            opened_ms: Some(4.0),
            took_ms: vec![2.0, 3.0, 2.5],
            held_back: 0,
            cut_ms: None,
            watched_ms: 26_000.0,
        };
        Seen {
            was_restarted: false,
            round_trip_ms: Some(2.0),
            clock_error_ms: Some(1.0),
            protocol: Some("h2".to_owned()),
            sse: Some(push.clone()),
            websocket: Some(push),
            short_poll_ms: Some(3.0),
            long_poll: Some(Hold { asked_ms: 25_000.0, held_ms: 25_001.0, status: 204, woken_ms: Some(3.0) }),
            streams: Some(Streams { open: 12, tried: 12 }),
        }
    }

    #[test]
    fn each_fault_of_a_path_is_named_where_it_hurts() {
        assert_eq!(
            answer(&fine()).unwrap(),
            "This path carries Short polling, Long polling, SSE, WebSocket."
        );
        let with = |change: fn(&mut Seen)| {
            let mut seen = fine();
            change(&mut seen);
            seen
        };
        let cases: [(Technique, Carries, &str, Seen); 7] = [
            (
                Technique::Sse,
                Carries::No,
                "proxy_buffering",
                with(|seen| seen.sse.as_mut().unwrap().took_ms.clear()),
            ),
            (
                Technique::Sse,
                Carries::Limited,
                "six",
                with(|seen| seen.streams = Some(Streams { open: 6, tried: 12 })),
            ),
            (
                Technique::Sse,
                Carries::Limited,
                "read timeout",
                with(|seen| seen.sse.as_mut().unwrap().cut_ms = Some(9_000.0)),
            ),
            (
                Technique::Websocket,
                Carries::No,
                "Upgrade header",
                with(|seen| seen.websocket.as_mut().unwrap().opened_ms = None),
            ),
            (
                Technique::Websocket,
                Carries::No,
                "flaps",
                with(|seen| seen.websocket.as_mut().unwrap().cut_ms = Some(300.0)),
            ),
            (
                Technique::LongPoll,
                Carries::Limited,
                "Cut after",
                with(|seen| seen.long_poll.as_mut().unwrap().status = 0),
            ),
            (
                Technique::LongPoll,
                Carries::Limited,
                "504",
                with(|seen| seen.long_poll.as_mut().unwrap().status = 504),
            ),
        ];
        for (technique, carries, word, seen) in cases {
            let (found, words) = verdict(technique, &seen);
            assert!(found == carries && words.contains(word), "{technique}: {words}");
            assert!(answer(&seen).unwrap().contains(technique.label()));
        }
        assert_eq!(answer(&Seen::default()), None);
    }
}

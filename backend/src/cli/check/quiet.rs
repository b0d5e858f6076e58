//! A connection on which nobody publishes: what keeps it alive, and what cuts it. The same for SSE and WebSocket.

use super::{
    marks::seconds,
    recording::Recording,
    verdict::{Finding, Rule},
};

/// What of a recording counts here. Times in milliseconds since the check began.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    /// When the head was here.
    opened_ms: u64,
    /// When anything came after the head.
    arrivals_ms: Vec<u64>,
    /// When it ended, or when watching stopped.
    ended_ms: u64,
    /// How it ended, for a sentence; `None`: it was open to the last.
    ended: Option<String>,
    /// The other side said goodbye: the last chunk (RFC 9112 7.1), or a close frame (RFC 6455 5.5.1).
    said_goodbye: bool,
}

/// Common proxies cut after 60 s of silence; half of that leaves room for one heartbeat that is late.
const GOOD_GAP_MS: u64 = 30_000;
/// nginx, AWS's load balancers and Heroku (55 s) give up here.
const CUT_GAP_MS: u64 = 60_000;
/// A cut this soon has another reason than silence.
const SOON_MS: u64 = 1000;

impl Quiet {
    /// `None` if there was no head, so nothing was open.
    pub(crate) fn of(recording: &Recording, said_goodbye: bool) -> Option<Self> {
        recording.head.as_ref()?;
        Some(Self {
            opened_ms: recording.head_ms,
            arrivals_ms: recording.arrivals.iter().map(|arrival| arrival.ms).collect(),
            ended_ms: recording.ended_ms,
            ended: (!recording.end.is_open()).then(|| recording.end.words()),
            said_goodbye,
        })
    }

    fn watched_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.opened_ms)
    }

    /// Silence before the end.
    fn last_silence_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.arrivals_ms.last().copied().unwrap_or(self.opened_ms))
    }

    /// The longest silence between two signs of life, the one before the end included.
    fn longest_silence_ms(&self) -> u64 {
        let mut longest = self.last_silence_ms();
        let mut before = self.opened_ms;
        for &ms in &self.arrivals_ms {
            longest = longest.max(ms.saturating_sub(before));
            before = ms;
        }
        longest
    }

    /// Something came after the opening.
    fn has_heartbeat(&self) -> bool {
        self.arrivals_ms.iter().any(|ms| ms.saturating_sub(self.opened_ms) >= SOON_MS)
    }
}

/// The longest gap between anything on the connection.
pub(crate) fn heartbeats(rule: Rule, quiet: Option<&Quiet>, fix: &str) -> Finding {
    let Some(quiet) = quiet else { return rule.not_testable("it was never open") };
    let longest = quiet.longest_silence_ms();
    let watched = seconds(quiet.watched_ms());
    if !quiet.has_heartbeat() {
        if longest >= CUT_GAP_MS {
            return rule.fail(format!("nothing came within {watched}")).fix(fix);
        }
        return rule.not_testable(format!("nothing came within {watched}; --seconds 75 would tell"));
    }
    let seen = format!("the longest silence in {watched} was {}", seconds(longest));
    if longest <= GOOD_GAP_MS {
        rule.pass(seen)
    } else if longest < CUT_GAP_MS {
        rule.lenient(seen).fix(fix)
    } else {
        rule.fail(seen).fix(fix)
    }
}

/// How long a connection may sit idle before the path ends it.
pub(crate) fn idle(rule: Rule, quiet: Option<&Quiet>, fix: &str) -> Finding {
    let Some(quiet) = quiet else { return rule.not_testable("it was never open") };
    let (watched, silence) = (quiet.watched_ms(), quiet.last_silence_ms());
    let Some(ended) = &quiet.ended else {
        let longest = seconds(quiet.longest_silence_ms());
        return rule.pass(format!(
            "still open after {}; the longest silence was {longest}, and longer ones were not tried",
            seconds(watched)
        ));
    };
    if watched < SOON_MS {
        return rule.not_testable(format!(
            "it {ended} {} after it opened, so soon that silence is not the reason",
            seconds(watched)
        ));
    }
    let seen =
        format!("it {ended} {} after it opened, after {} of silence", seconds(watched), seconds(silence));
    if quiet.said_goodbye {
        // Servers that restart or shed load do this; a client that reconnects loses nothing.
        return rule.lenient(format!("{seen}, with a proper end"));
    }
    rule.fail(format!("{seen}, without a proper end")).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::{
        recording::{Arrival, End, Head},
        verdict::Verdict,
    };

    const RULE: Rule = Rule::new("sse.idle", "stays");

    fn quiet(arrivals_ms: &[u64], end: End, ended_ms: u64, said_goodbye: bool) -> Quiet {
        let arrivals = arrivals_ms.iter().map(|ms| Arrival { ms: *ms, bytes: b":\n\n".to_vec() }).collect();
        let head = Head::parse(b"HTTP/1.1 200 OK");
        let recording = Recording { head, head_ms: 10, arrivals, end, ended_ms, ..Recording::default() };
        Quiet::of(&recording, said_goodbye).unwrap()
    }

    fn heartbeat_verdict(arrivals_ms: &[u64], ended_ms: u64) -> Verdict {
        heartbeats(RULE, Some(&quiet(arrivals_ms, End::Open, ended_ms, false)), "fix").verdict
    }

    #[test]
    fn heartbeats_are_judged_by_the_longest_gap() {
        assert_eq!(heartbeat_verdict(&[10, 15_000, 30_000], 40_000), Verdict::Pass);
        assert_eq!(heartbeat_verdict(&[10, 45_000], 50_000), Verdict::Lenient);
        assert_eq!(heartbeat_verdict(&[10, 15_000], 80_000), Verdict::Fail);
        assert_eq!(heartbeat_verdict(&[10, 40], 20_000), Verdict::NotTestable);
        assert_eq!(heartbeat_verdict(&[10], 70_000), Verdict::Fail);
        assert_eq!(heartbeats(RULE, None, "").verdict, Verdict::NotTestable);
    }

    #[test]
    fn a_cut_after_silence_fails_and_names_it() {
        let finding = idle(RULE, Some(&quiet(&[12], End::Closed, 2014, false)), "proxy_read_timeout");
        assert_eq!((finding.verdict, finding.fix.as_deref()), (Verdict::Fail, Some("proxy_read_timeout")));
        assert_eq!(
            finding.seen,
            "it was closed 2.0 s after it opened, after 2.0 s of silence, without a proper end"
        );
        let reset = idle(RULE, Some(&quiet(&[12], End::Reset, 2014, false)), "");
        assert!(reset.seen.contains("was reset"), "{}", reset.seen);
    }

    #[test]
    fn a_proper_end_is_lenient_and_an_early_one_says_nothing() {
        assert_eq!(idle(RULE, Some(&quiet(&[], End::Closed, 5000, true)), "").verdict, Verdict::Lenient);
        assert_eq!(idle(RULE, Some(&quiet(&[], End::Closed, 300, false)), "").verdict, Verdict::NotTestable);
        assert_eq!(idle(RULE, Some(&quiet(&[], End::Open, 5000, false)), "").verdict, Verdict::Pass);
    }
}

//! Judges a connection without events: its heartbeats, and whether the path cuts it. SSE and WebSocket share this.

use super::{
    marks::seconds,
    recording::Recording,
    verdict::{Finding, Rule},
};

/// The times of a recording of a quiet connection, in milliseconds since the check began.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    /// Time at which the head arrived.
    opened_ms: u64,
    /// Times of all arrivals after the head.
    arrivals_ms: Vec<u64>,
    /// Time at which the connection ended, or watching stopped.
    ended_ms: u64,
    /// The end of the connection, in words for a sentence; `None` if it was still open when watching stopped.
    ended: Option<String>,
    /// The other side closed in order: by the last chunk (RFC 9112 7.1), or by a close frame (RFC 6455 5.5.1).
    said_goodbye: bool,
}

/// Longest silence that passes. Common proxies cut a connection after 60 s of silence; half of that leaves room for one
/// late heartbeat.
const GOOD_GAP_MS: u64 = 30_000;
/// Shortest silence that fails: nginx, AWS load balancers and Heroku (55 s) cut a connection by then.
const CUT_GAP_MS: u64 = 60_000;
/// Age of a connection, in milliseconds, up to which its end has a reason other than silence.
const SOON_MS: u64 = 1000;

impl Quiet {
    /// Takes the times from a recording; `None` if no head arrived, so that nothing was open.
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

    /// Returns the length of the silence before the end.
    fn last_silence_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.arrivals_ms.last().copied().unwrap_or(self.opened_ms))
    }

    /// Returns the length of the longest silence, including the one before the end.
    fn longest_silence_ms(&self) -> u64 {
        let mut longest = self.last_silence_ms();
        let mut before = self.opened_ms;
        for &ms in &self.arrivals_ms {
            longest = longest.max(ms.saturating_sub(before));
            before = ms;
        }
        longest
    }

    /// True if anything arrived later than [`SOON_MS`] after the head.
    fn has_heartbeat(&self) -> bool {
        self.arrivals_ms.iter().any(|ms| ms.saturating_sub(self.opened_ms) >= SOON_MS)
    }
}

/// Judges the heartbeats by the longest silence on the connection.
pub(crate) fn heartbeats(rule: Rule, quiet: Option<&Quiet>, fix: &str) -> Finding {
    let Some(quiet) = quiet else { return rule.not_testable("it was never open") };
    let longest = quiet.longest_silence_ms();
    let watched = seconds(quiet.watched_ms());
    if !quiet.has_heartbeat() {
        if longest >= CUT_GAP_MS {
            return rule.fail(format!("nothing came within {watched}")).fix(fix);
        }
        return rule.not_testable(format!("nothing came within {watched}; --seconds 75 would show more"));
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

/// Judges whether the path cuts the connection for being idle.
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
            "it {ended} {} after it opened, too soon for silence to be the reason",
            seconds(watched)
        ));
    }
    let seen =
        format!("it {ended} {} after it opened, after {} of silence", seconds(watched), seconds(silence));
    if quiet.said_goodbye {
        // A server closes like this when it restarts or sheds load; a client that reconnects loses nothing.
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

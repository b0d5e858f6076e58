//! Marks: events that the check publishes itself, far enough apart to show if one is held back.

use super::{
    recording::literal,
    verdict::{Finding, Rule},
};

/// Number of marks that are published.
pub(crate) const COUNT: u64 = 3;
/// Time between two marks, in milliseconds: longer than the round trip of any usable network.
pub(crate) const SPACING_MS: u64 = 1000;
/// Time for the last mark to arrive, in milliseconds. It is shorter than any idle timeout in use, so that a connection
/// with marks is never closed for being idle.
pub(crate) const PATIENCE_MS: u64 = 1500;

/// An event that the check published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Text that occurs in no other event.
    pub(crate) text: String,
    /// Time at which the mark was sent, in milliseconds since the check began.
    pub(crate) sent_ms: u64,
    /// Reason why the mark was not published; `None` if it was.
    pub(crate) failure: Option<String>,
}

/// Judges whether events arrive one by one or in bunches: each mark must arrive before the next is published.
///
/// `arrived_ms` holds the time at which each mark arrived. The caller adds the raw evidence.
pub(crate) fn judge(rule: Rule, marks: &[Mark], arrived_ms: &[Option<u64>], fix: &str) -> Finding {
    if let Some(failure) = marks.iter().find_map(|mark| mark.failure.as_ref()) {
        return rule.not_testable(format!(
            "the check could not publish its own event ({}); set --publish-to",
            literal(failure)
        ));
    }
    let here = arrived_ms.iter().flatten().count();
    if here == 0 {
        let seconds = seconds(PATIENCE_MS + SPACING_MS * COUNT.saturating_sub(1));
        return rule
            .fail(format!("{} events were published; none had come {seconds} after the first", marks.len()))
            .fix(fix);
    }
    let deadlines = marks.iter().skip(1).map(|next| next.sent_ms).chain([u64::MAX]);
    let late =
        marks.iter().zip(arrived_ms).zip(deadlines).zip(1..).find_map(|(((mark, here), due), number)| {
            let here = *here;
            match here {
                None => Some(format!("event {number} of {} never came", marks.len())),
                Some(ms) if ms >= due => Some(format!(
                    "event {number} came {} ms after it was published, and only after event {} was published",
                    ms.saturating_sub(mark.sent_ms),
                    number + 1
                )),
                Some(_) => None,
            }
        });
    match late {
        Some(seen) => rule.fail(seen).fix(fix),
        None => {
            let took = marks.iter().zip(arrived_ms.iter().flatten());
            let took: Vec<_> = took.map(|(mark, ms)| ms.saturating_sub(mark.sent_ms).to_string()).collect();
            rule.pass(format!(
                "{here} of {} events came before the next was published, after {} ms",
                marks.len(),
                took.join(", ")
            ))
        }
    }
}

/// Formats milliseconds as seconds with one decimal, such as `3.5 s`.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::verdict::Verdict;

    const RULE: Rule = Rule::new("sse.buffering", "event by event");

    fn judged(sent: &[u64], arrived: &[Option<u64>]) -> Finding {
        let mark = |(at, ms): (usize, &u64)| Mark { text: format!("m-{at}"), sent_ms: *ms, failure: None };
        judge(RULE, &sent.iter().enumerate().map(mark).collect::<Vec<_>>(), arrived, "fix it")
    }

    #[test]
    fn each_event_before_the_next_passes() {
        let finding = judged(&[1000, 2000, 3000], &[Some(1002), Some(2999), Some(4200)]);
        assert_eq!(finding.verdict, Verdict::Pass);
        assert!(finding.seen.ends_with("after 2, 999, 1200 ms"), "{}", finding.seen);
    }

    #[test]
    fn one_that_waits_for_the_next_fails() {
        // Like a virus scanner that passes each piece on only when the next arrives.
        let finding = judged(&[1000, 2000, 3000], &[Some(2001), Some(3001), None]);
        assert_eq!((finding.verdict, finding.fix.as_deref()), (Verdict::Fail, Some("fix it")));
        assert!(finding.seen.starts_with("event 1 came 1001 ms after"), "{}", finding.seen);
    }

    #[test]
    fn none_at_all_fails_and_one_lost_fails() {
        assert!(judged(&[1000, 2000, 3000], &[None, None, None]).seen.contains("none had come 3.5 s after"));
        assert_eq!(judged(&[1000, 2000, 3000], &[Some(1001), None, Some(3001)]).verdict, Verdict::Fail);
    }

    #[test]
    fn what_could_not_be_published_proves_nothing() {
        let mark = Mark { text: "m".to_owned(), sent_ms: 1, failure: Some("403".to_owned()) };
        assert_eq!(judge(RULE, &[mark], &[None], "").verdict, Verdict::NotTestable);
    }
}

//! Marks: events that the check publishes itself, far enough apart that one held back is seen to be.

use super::{
    recording::literal,
    verdict::{Finding, Rule},
};

/// How many are published.
pub(crate) const COUNT: u64 = 3;
/// Time between them, in milliseconds: longer than the way there and back of any usable network.
pub(crate) const SPACING_MS: u64 = 1000;
/// How long the last may take, in milliseconds. Less than any idle cut that is worth a name, so that this
/// connection never sits idle.
pub(crate) const PATIENCE_MS: u64 = 1500;

/// An event that the check published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Occurs in nothing but this event.
    pub(crate) text: String,
    /// When it was sent, in milliseconds since the check began.
    pub(crate) sent_ms: u64,
    /// Why it was not published.
    pub(crate) failure: Option<String>,
}

/// Event by event, or bunched: each mark must be here before the next is published.
///
/// `arrived_ms` holds, for each mark, when it was here; the raw evidence is the caller's.
pub(crate) fn judge(rule: Rule, marks: &[Mark], arrived_ms: &[Option<u64>], fix: &str) -> Finding {
    if let Some(failure) = marks.iter().find_map(|mark| mark.failure.as_ref()) {
        return rule.not_testable(format!(
            "an event of its own could not be published ({}); give --publish-to",
            literal(failure)
        ));
    }
    let here = arrived_ms.iter().flatten().count();
    if here == 0 {
        let seconds = seconds(PATIENCE_MS + SPACING_MS * COUNT.saturating_sub(1));
        return rule
            .fail(format!("{} events were published, none was here {seconds} after the first", marks.len()))
            .fix(fix);
    }
    let deadlines = marks.iter().skip(1).map(|next| next.sent_ms).chain([u64::MAX]);
    let late =
        marks.iter().zip(arrived_ms).zip(deadlines).zip(1..).find_map(|(((mark, here), due), number)| {
            let here = *here;
            match here {
                None => Some(format!("event {number} of {} never came", marks.len())),
                Some(ms) if ms >= due => Some(format!(
                    "event {number} came {} ms after it was published, only after event {} was published too",
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
                "{here} of {} events were here before the next was published, after {} ms",
                marks.len(),
                took.join(", ")
            ))
        }
    }
}

/// Milliseconds for people, in seconds.
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
        // A virus scanner that looks at each piece when the next is there.
        let finding = judged(&[1000, 2000, 3000], &[Some(2001), Some(3001), None]);
        assert_eq!((finding.verdict, finding.fix.as_deref()), (Verdict::Fail, Some("fix it")));
        assert!(finding.seen.starts_with("event 1 came 1001 ms after"), "{}", finding.seen);
    }

    #[test]
    fn none_at_all_fails_and_one_lost_fails() {
        assert!(judged(&[1000, 2000, 3000], &[None, None, None]).seen.contains("none was here 3.5 s after"));
        assert_eq!(judged(&[1000, 2000, 3000], &[Some(1001), None, Some(3001)]).verdict, Verdict::Fail);
    }

    #[test]
    fn what_could_not_be_published_proves_nothing() {
        let mark = Mark { text: "m".to_owned(), sent_ms: 1, failure: Some("403".to_owned()) };
        assert_eq!(judge(RULE, &[mark], &[None], "").verdict, Verdict::NotTestable);
    }
}

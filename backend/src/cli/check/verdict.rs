//! The finding of a check: a verdict, the expectation, what was seen, the bytes that prove it, and what to change.
//!
//! The verdicts are those of the Autobahn test suite (pass, non-strict, fail), and one for what can't be known from
//! here.

use std::process::ExitCode;

use serde::Serialize;

/// The verdict of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything is as expected.
    Pass,
    /// The technique works here, but depends on something that another client or proxy may not offer.
    Lenient,
    /// Something is broken in a way that users notice.
    Fail,
    /// The recording allows no verdict; [`Finding::seen`] says what would.
    NotTestable,
}

impl Verdict {
    /// All verdicts, in the order of the legend.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Lenient, Self::Fail, Self::NotTestable];

    /// Returns the verdict's name in JSON and in CSS.
    pub const fn name(self) -> &'static str {
        ["pass", "lenient", "fail", "not_testable"][self as usize]
    }

    /// Returns the verdict's name for people.
    pub const fn label(self) -> &'static str {
        ["pass", "lenient", "FAIL", "not testable"][self as usize]
    }

    /// Returns the meaning of the verdict, for the legend.
    pub const fn meaning(self) -> &'static str {
        [
            "as expected",
            "works here, but depends on something that is not available everywhere",
            "broken in a way that users notice",
            "nothing that was seen allows a verdict",
        ][self as usize]
    }
}

/// The outcome of one check, with its evidence.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Stable name of the check, `technique.subject`.
    pub check: &'static str,
    /// Verdict of the check.
    pub verdict: Verdict,
    /// Behaviour of a good path.
    pub expectation: &'static str,
    /// The behaviour that was seen, in one sentence.
    pub seen: String,
    /// Heads and bytes that prove the verdict, with the times of their arrival. Bytes that are not text are escaped.
    pub raw: String,
    /// The settings to change, for the most widely used proxies; none if the check passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// Sets the evidence.
    #[must_use]
    pub fn raw(mut self, raw: impl Into<String>) -> Self {
        self.raw = raw.into();
        self
    }

    /// Sets the fix, if the verdict is [`Verdict::Fail`] or [`Verdict::Lenient`]; the others need none.
    #[must_use]
    pub fn fix(mut self, fix: &str) -> Self {
        self.fix = matches!(self.verdict, Verdict::Fail | Verdict::Lenient).then(|| fix.to_owned());
        self
    }
}

/// The fixed part of a check: its name and its expectation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    name: &'static str,
    expectation: &'static str,
}

impl Rule {
    pub(crate) const fn new(name: &'static str, expectation: &'static str) -> Self {
        Self { name, expectation }
    }

    pub(crate) fn pass(self, seen: impl Into<String>) -> Finding {
        self.finding(Verdict::Pass, seen.into())
    }

    pub(crate) fn lenient(self, seen: impl Into<String>) -> Finding {
        self.finding(Verdict::Lenient, seen.into())
    }

    pub(crate) fn fail(self, seen: impl Into<String>) -> Finding {
        self.finding(Verdict::Fail, seen.into())
    }

    pub(crate) fn not_testable(self, seen: impl Into<String>) -> Finding {
        self.finding(Verdict::NotTestable, seen.into())
    }

    fn finding(self, verdict: Verdict, seen: String) -> Finding {
        let Self { name: check, expectation } = self;
        Finding { check, verdict, expectation, seen, raw: String::new(), fix: None }
    }
}

/// The number of checks with each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Number of checks with [`Verdict::Pass`].
    pub pass: usize,
    /// Number of checks with [`Verdict::Lenient`].
    pub lenient: usize,
    /// Number of checks with [`Verdict::Fail`].
    pub fail: usize,
    /// Number of checks with [`Verdict::NotTestable`].
    pub not_testable: usize,
}

impl Summary {
    /// Counts the findings by verdict.
    pub fn of(findings: &[Finding]) -> Self {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        Self {
            pass: count(Verdict::Pass),
            lenient: count(Verdict::Lenient),
            fail: count(Verdict::Fail),
            not_testable: count(Verdict::NotTestable),
        }
    }

    /// Returns the exit code for scripts: failure if any check failed. A check that is not testable is no failure.
    pub fn exit_code(self) -> ExitCode {
        if self.fail > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Formats the counts as one line for people.
    pub fn line(self) -> String {
        let Self { pass, lenient, fail, not_testable } = self;
        format!("{pass} pass, {lenient} lenient, {fail} fail, {not_testable} not testable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule::new("sse.test", "it works");

    #[test]
    fn one_failure_fails_the_whole_and_what_is_not_testable_does_not() {
        let mut findings = vec![RULE.pass("a"), RULE.lenient("b"), RULE.not_testable("c")];
        assert_eq!(Summary::of(&findings).exit_code(), ExitCode::SUCCESS);
        findings.push(RULE.fail("d"));
        let summary = Summary::of(&findings);
        assert_eq!(summary.exit_code(), ExitCode::FAILURE);
        assert_eq!(summary.line(), "1 pass, 1 lenient, 1 fail, 1 not testable");
    }

    #[test]
    fn only_what_is_not_well_has_a_fix() {
        assert_eq!(RULE.pass("a").fix("do this").fix, None);
        assert_eq!(RULE.fail("a").fix("do this").fix.as_deref(), Some("do this"));
    }

    #[test]
    fn names_are_what_serde_writes() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{}\"", verdict.name()));
        }
    }
}

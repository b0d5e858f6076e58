//! What a check says: a verdict, what was expected and seen, the bytes that prove it, and what to change.
//!
//! The legend is Autobahn's (pass, non-strict, fail), and one word for what can't be known from here.

use std::process::ExitCode;

use serde::Serialize;

/// How one check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As expected.
    Pass,
    /// It works here, but leans on something that another client, proxy or day may not grant.
    Lenient,
    /// Something that users notice is broken.
    Fail,
    /// What was seen allows no answer; `seen` says what would.
    NotTestable,
}

impl Verdict {
    /// All, in the order of the legend.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Lenient, Self::Fail, Self::NotTestable];

    /// The word in JSON and in CSS.
    pub const fn name(self) -> &'static str {
        ["pass", "lenient", "fail", "not_testable"][self as usize]
    }

    /// The word for people.
    pub const fn label(self) -> &'static str {
        ["pass", "lenient", "FAIL", "not testable"][self as usize]
    }

    /// What the word means, for the legend.
    pub const fn meaning(self) -> &'static str {
        [
            "as expected",
            "works here, but leans on something that is not granted everywhere",
            "broken in a way that users notice",
            "what was seen allows no answer",
        ][self as usize]
    }
}

/// One check's outcome, with its evidence.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Stable name, `technique.subject`.
    pub check: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What a good path does.
    pub expectation: &'static str,
    /// What was seen instead, or as well, in one sentence.
    pub seen: String,
    /// The heads and bytes that prove it, with the times of their arrival. Other bytes than text are escaped.
    pub raw: String,
    /// The setting to change, for the proxies that are most in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// With its evidence.
    #[must_use]
    pub fn raw(mut self, raw: impl Into<String>) -> Self {
        self.raw = raw.into();
        self
    }

    /// With what to change. What is well needs no change, so a pass keeps none.
    #[must_use]
    pub fn fix(mut self, fix: &str) -> Self {
        self.fix = matches!(self.verdict, Verdict::Fail | Verdict::Lenient).then(|| fix.to_owned());
        self
    }
}

/// The fixed part of a check: its name, and what is expected.
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

/// How many checks came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As expected.
    pub pass: usize,
    /// Works, but leans on something.
    pub lenient: usize,
    /// Broken.
    pub fail: usize,
    /// Not to be known from here.
    pub not_testable: usize,
}

impl Summary {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Self {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        Self {
            pass: count(Verdict::Pass),
            lenient: count(Verdict::Lenient),
            fail: count(Verdict::Fail),
            not_testable: count(Verdict::NotTestable),
        }
    }

    /// For scripts: failure when any check failed. What can't be tested is no failure.
    pub fn exit_code(self) -> ExitCode {
        if self.fail > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// One line for people.
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

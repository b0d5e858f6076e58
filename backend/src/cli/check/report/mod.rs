//! Writes the findings as text for people, as JSON for programs, and as a page to send to the operator of a proxy.

mod page;

use std::io::{self, Write};

use serde::Serialize;

use super::{
    recording::literal,
    verdict::{Finding, Summary, Verdict},
};

/// The findings of a check, and everything that is needed to judge them.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Address that was checked, as it was given.
    pub url: String,
    /// Program that made the check: `fourways` and its version.
    pub by: &'static str,
    /// Start of the check, in microseconds since the Unix epoch.
    pub began_at_us: u64,
    /// Time for which quiet connections were watched, in seconds.
    pub seconds: f64,
    /// Properties of the path that this check does not see, as sentences; empty if there are none.
    pub limits: Vec<String>,
    /// Number of checks with each verdict.
    pub summary: Summary,
    /// Findings in reading order, by technique.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Writes text for a terminal: one line for each finding, followed by the details of those that failed or were
    /// lenient.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}, as seen from here", literal(&self.url))?;
        for limit in &self.limits {
            writeln!(out, "note: {limit}")?;
        }
        let mut technique = "";
        for finding in &self.findings {
            let of = finding.check.split('.').next().unwrap_or_default();
            if of != technique {
                writeln!(out)?;
                technique = of;
            }
            let Finding { check, verdict, seen, .. } = finding;
            writeln!(out, "{:<12}  {check:<24}  {}", verdict.label(), literal(seen))?;
            if matches!(verdict, Verdict::Fail | Verdict::Lenient) {
                write_details(out, finding)?;
            }
        }
        writeln!(out, "\n{}", self.summary.line())
    }

    /// Writes one JSON object with all evidence.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// Returns one self-contained HTML page.
    pub fn page(&self) -> String {
        page::of(self)
    }
}

/// Number of lines of evidence that a terminal shows: the last ones, where the cut or the silence is. JSON and the page
/// have all of them.
const SHOWN_LINES: usize = 12;

fn write_details(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    writeln!(out, "    expected: {}", finding.expectation)?;
    let lines: Vec<_> = finding.raw.lines().collect();
    let hidden = lines.len().saturating_sub(SHOWN_LINES);
    if finding.verdict == Verdict::Fail {
        if hidden > 0 {
            writeln!(out, "    | ({hidden} lines before; --json has them)")?;
        }
        for line in lines.iter().skip(hidden) {
            let short: String = line.chars().take(160).collect();
            writeln!(out, "    | {short}")?;
        }
    }
    for (at, line) in finding.fix.iter().flat_map(|fix| fix.lines()).enumerate() {
        writeln!(out, "    {} {line}", if at == 0 { "fix:" } else { "    " })?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::check::verdict::Rule;

    const BUFFERING: Rule = Rule::new("sse.buffering", "each event arrives when it is sent");
    const UPGRADE: Rule = Rule::new("websocket.upgrade", "101");

    pub(crate) fn report() -> Report {
        let findings = vec![
            BUFFERING
                .fail("none came")
                .raw("> GET / HTTP/1.1\n< <script>alert(1)</script>")
                .fix("proxy_buffering off;"),
            UPGRADE.pass("101").raw("raw"),
        ];
        Report {
            url: "http://a.example/?x=<b>".to_owned(),
            by: "fourways 0.1.0",
            began_at_us: 1,
            seconds: 20.0,
            limits: vec!["no TLS records".to_owned()],
            summary: Summary::of(&findings),
            findings,
        }
    }

    #[test]
    fn text_shows_evidence_and_fix_of_what_failed_only() {
        let mut out = Vec::new();
        report().write_text(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "http://a.example/?x=<b>, as seen from here\nnote: no TLS records\n\n\
             FAIL          sse.buffering             none came\n    expected: each event arrives when it is sent\n    \
             | > GET / HTTP/1.1\n    | < <script>alert(1)</script>\n    fix: proxy_buffering off;\n\n\
             pass          websocket.upgrade         101\n\n1 pass, 0 lenient, 1 fail, 0 not testable\n"
        );
    }

    #[test]
    fn json_has_everything() {
        let mut out = Vec::new();
        report().write_json(&mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["summary"]["fail"], 1);
        assert_eq!(json["findings"][0]["verdict"], "fail");
        assert_eq!(json["findings"][0]["fix"], "proxy_buffering off;");
        assert!(json["findings"][1].get("fix").is_none() && json["findings"][1]["raw"] == "raw");
    }
}

//! The report as one HTML page that loads nothing: the verdicts first, each with its evidence folded away. Every text
//! in the page is escaped.

use super::{Finding, Report, Verdict};

/// Returns the page of a report.
pub(crate) fn of(report: &Report) -> String {
    let mut page = Page(String::new());
    page.raw(HEAD);
    page.raw("<title>").text(&report.url).raw(": check</title>\n<h1>").text(&report.url).raw("</h1>\n<p>");
    page.text(&report.summary.line()).raw(". Watched for ").text(&report.seconds.to_string());
    page.raw(" s by ").text(report.by).raw(", ").text(&date(report.began_at_us)).raw(".</p>\n");
    for limit in &report.limits {
        page.raw("<p class=note>").text(limit).raw("</p>\n");
    }
    for finding in &report.findings {
        page.finding(finding);
    }
    page.raw("<h2>What the words mean</h2>\n<dl>\n");
    for verdict in Verdict::ALL {
        page.raw("<dt><b class=").text(verdict.name()).raw(">").text(verdict.label()).raw("</b><dd>");
        page.text(verdict.meaning()).raw("\n");
    }
    page.raw("</dl>\n</html>\n");
    page.0
}

struct Page(String);

impl Page {
    /// Appends markup of our own, as it is.
    fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends any other text, escaped so that it becomes markup neither between tags nor in an attribute.
    fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    fn finding(&mut self, finding: &Finding) {
        let Finding { check, verdict, expectation, seen, raw, fix } = finding;
        let open = if *verdict == Verdict::Fail { " open" } else { "" };
        self.raw("<details").raw(open).raw("><summary><b class=").text(verdict.name()).raw(">");
        self.text(verdict.label()).raw("</b> <code>").text(check).raw("</code> <span>").text(seen);
        self.raw("</span></summary>\n<p>Expected: ").text(expectation).raw("</p>\n");
        if let Some(fix) = fix {
            self.raw("<h3>What to change</h3>\n<pre>").text(fix).raw("</pre>\n");
        }
        if !raw.is_empty() {
            self.raw("<h3>Evidence</h3>\n<pre>").text(raw).raw("</pre>\n");
        }
        self.raw("</details>\n");
    }
}

/// Formats microseconds since the Unix epoch as a date in UTC (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn date(us: u64) -> String {
    let seconds = us / 1_000_000;
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; --line: #8884; --good: #0a6b2d; --weak: #8a5a00; --bad: #b3141f; --none: #5c5f66 }
@media (prefers-color-scheme: dark) { :root { --good: #5fd38a; --weak: #e8b45a; --bad: #ff8087; --none: #a0a4ad } }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.35rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin-top: 2rem } h3 { font-size: 1rem }
details { border-top: 1px solid var(--line); padding: .4rem 0 }
summary { display: grid; grid-template-columns: 7rem 14rem 1fr; gap: .75rem; cursor: pointer }
pre { border: 1px solid var(--line); border-radius: 6px; padding: .75rem; overflow: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace }
code { font: 13px/1.6 ui-monospace, monospace } dd { margin: 0 0 .5rem 0 } .note { color: var(--none) }
.pass { color: var(--good) } .lenient { color: var(--weak) } .fail { color: var(--bad) }
.not_testable { color: var(--none) }
@media (max-width: 44rem) { summary { grid-template-columns: 1fr } }
</style>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::report::tests::report;

    #[test]
    fn what_the_server_said_is_text_and_never_markup() {
        let page = of(&report());
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"),
            "{page}"
        );
        assert!(page.contains("<h1>http://a.example/?x=&lt;b&gt;</h1>"), "{page}");
        assert!(
            page.contains("<details open><summary><b class=fail>FAIL</b> <code>sse.buffering</code>"),
            "{page}"
        );
        assert!(
            page.contains("<pre>proxy_buffering off;</pre>") && page.contains("color-scheme: light dark")
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(1_709_210_096_000_000), "2024-02-29 12:34 UTC");
        assert_eq!(date(1_795_451_159_631_925), "2026-11-23 16:25 UTC");
    }
}

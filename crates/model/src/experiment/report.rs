//! A run for other people: a table for a spreadsheet, and a page that needs no other file.

use fourways_shared::Technique;

use super::{
    claims::{HEADINGS, row},
    columns::COLUMNS,
    pictures::{TITLES, picture},
    run::{REPORT_BEGINS, REPORT_ENDS, Run},
};
use crate::{
    chart::{Frame, Inks, svg_text},
    export::iso,
    format::duration_or_dash,
};

/// Returns the run as CSV, one line for each technique (RFC 4180).
pub fn csv(run: &Run) -> String {
    let names = COLUMNS.iter().map(|column| column.name);
    let mut text = ["run", "technique", "published"].into_iter().chain(names).collect::<Vec<_>>().join(",");
    text.push_str("\r\n");
    for outcome in &run.outcomes {
        let run_name = format!("\"{}\"", run.name.replace('"', "\"\""));
        let mut cells = vec![run_name, outcome.technique.name().to_owned(), run.published.to_string()];
        cells.extend(COLUMNS.iter().map(|column| column.csv(outcome)));
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Returns the run as an HTML page of its own: the settings, the claims, the charts, and the run itself as data to
/// import again. `origin` as in `http://127.0.0.1:8080`.
pub fn html(run: &Run, inks: &Inks, origin: &str) -> String {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
    let when = iso(run.began_ms as f64);
    let link = format!("{origin}/compare?{}", run.settings.to_query());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{name}: Fourways</title>\
         <style>{STYLE}</style><h1>{name}</h1><p>{summary}. {published} published. {protocol}, round trip {rtt}, clocks \
         agree to within {error}. {when}. <a href=\"{link}\">Run it again</a></p><p class=\"cap\">{browser}</p>",
        name = escaped(&run.name),
        summary = escaped(&run.settings.summary()),
        published = run.published,
        protocol = escaped(&run.protocol),
        rtt = duration_or_dash(Some(super::run::ms(run.round_trip_us))),
        error = duration_or_dash(Some(run.clock_error_ms())),
        link = escaped(&link),
        browser = escaped(&run.browser),
    );
    page.push_str("<table><thead><tr><th>Technique</th>");
    page.extend(HEADINGS.map(|heading| format!("<th>{heading}</th>")));
    page.push_str("</tr></thead><tbody>");
    for technique in Technique::ALL {
        page.extend(["<tr><th>", technique.label(), "</th>"]);
        for cell in row(technique, Some(run)) {
            let measured = cell.measured.map_or(String::new(), |m| {
                format!("<br><code>{} {} {}</code>", m.verdict.mark(), escaped(&m.value), escaped(&m.detail))
            });
            page.extend(["<td>", &escaped(cell.claim), &measured, "</td>"]);
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table><p class=\"cap\">✓ the run agrees with the claim, ✗ it does not, – it can't tell.</p>");
    page.push_str(&delivery(run));
    let frame = Frame { width: 720.0, hidden: [false; 4] };
    for (which, (title, about)) in TITLES.into_iter().enumerate() {
        page.push_str("<figure>");
        page.push_str(&svg_text(&picture(run, which), title, about, frame, inks));
        page.push_str("</figure>");
    }
    page.push_str(REPORT_BEGINS);
    // A tag in the data could end the script element; JSON has another way to write `<`.
    page.push_str(&run.to_json().replace('<', "\\u003c"));
    page.push_str(REPORT_ENDS);
    page.push_str("</html>");
    page
}

/// Returns the table of deliveries and their cost.
fn delivery(run: &Run) -> String {
    let mut table = "<h2>Delivery</h2><table><thead><tr><th>Technique</th>".to_owned();
    table.extend(COLUMNS.iter().map(|column| format!("<th>{}</th>", column.heading)));
    table.push_str("</tr></thead><tbody>");
    for outcome in &run.outcomes {
        table.extend(["<tr><th>", outcome.technique.label(), "</th>"]);
        table.extend(COLUMNS.iter().map(|column| format!("<td>{}</td>", escaped(&column.text(outcome)))));
        table.push_str("</tr>");
    }
    table + "</tbody></table>"
}

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;\
    color-scheme:light;background:#fff;color:#111}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;\
    padding:4px 8px;border-bottom:1px solid #8886}code{font-family:ui-monospace,monospace;font-size:12px}\
    figure{margin:1.5rem 0;overflow:auto}.cap{font-size:12px;opacity:.7}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::run::tests::run;

    #[test]
    fn a_table_has_a_line_for_each_and_as_many_cells_as_names() {
        let named =
            Run { name: "a \"b\", c".to_owned(), ..run([900.0, 3.0, 2.0, 2.2], [500, 700, 260, 240]) };
        let text = csv(&named);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[3].starts_with("\"a \"\"b\"\", c\",sse,40,40,0,"), "{}", lines[3]);
        let cells = |line: &str| line.split(',').count();
        assert_eq!(cells(lines[1]), cells(lines[0]) + 1, "the name has a comma of its own");
    }

    #[test]
    fn a_report_holds_the_run_and_no_markup_of_its_name() {
        let named =
            Run { name: "</script><b>".to_owned(), ..run([900.0, 3.0, 2.0, 2.2], [500, 700, 260, 240]) };
        let page = html(&named, &Inks::default(), "http://x");
        assert_eq!(page.matches("<svg").count(), TITLES.len());
        assert!(!page.contains("<b>"), "escaped");
        assert_eq!(Run::from_file(&page), Ok(named));
        assert!(page.contains("color-scheme:light;background:#fff"), "as paper is");
    }
}

//! A run for other people: a table for a spreadsheet, and a page that needs no other file.

use fourways_shared::Technique;

use super::{
    claims::{HEADINGS, row},
    pictures::{TITLES, picture},
    run::{REPORT_BEGINS, REPORT_ENDS, Run},
};
use crate::{
    chart::{Frame, Inks, svg_text},
    export::iso,
    format::{bytes, duration_or_dash, fixed},
};

/// Returns the run as CSV, one line for each technique (RFC 4180).
pub fn csv(run: &Run) -> String {
    let mut text =
        "run,technique,published,delivered,lost,repeated,disordered,resets,reconnects,requests,empty,\
        p50_us,p95_us,p99_us,up_bytes,down_bytes,payload_bytes,framing_bytes,header_bytes,empty_bytes\r\n"
            .to_owned();
    for outcome in &run.outcomes {
        let us = |quantile| outcome.quantile_ms(quantile).map_or(String::new(), |ms| fixed(ms * 1000.0, 0));
        let counts = &outcome.counts;
        let numbers = [
            run.published,
            outcome.delivered,
            outcome.lost,
            outcome.repeated,
            outcome.disordered,
            outcome.resets,
            outcome.reconnects,
            counts.requests,
            counts.empty,
        ];
        let bytes = [
            counts.total_up(),
            counts.total_down(),
            counts.up.payload + counts.down.payload,
            counts.up.framing + counts.down.framing,
            counts.up.headers + counts.down.headers,
            counts.empty_up + counts.empty_down,
        ];
        let mut cells =
            vec![format!("\"{}\"", run.name.replace('"', "\"\"")), outcome.technique.name().to_owned()];
        cells.extend(numbers.map(|number| number.to_string()));
        cells.extend([us(0.5), us(0.95), us(0.99)]);
        cells.extend(bytes.map(|number| number.to_string()));
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

/// Returns the table of deliveries and their cost: the columns of the CSV that people look for first.
fn delivery(run: &Run) -> String {
    let mut table = "<h2>Delivery</h2><table><thead><tr><th>Technique</th><th>Published</th><th>Delivered</th><th>Lost</th>\
         <th>Repeated</th><th>Out of order</th><th>p50</th><th>p95</th><th>Requests</th><th>Bytes up</th><th>Bytes down</th></tr></thead><tbody>"
        .to_owned();
    for outcome in &run.outcomes {
        let counts = &outcome.counts;
        let time = |quantile| duration_or_dash(outcome.quantile_ms(quantile));
        let cells = [
            run.published.to_string(),
            outcome.delivered.to_string(),
            outcome.lost.to_string(),
            outcome.repeated.to_string(),
            outcome.disordered.to_string(),
            time(0.5),
            time(0.95),
            counts.requests.to_string(),
            bytes(counts.total_up()),
            bytes(counts.total_down()),
        ];
        table.extend(["<tr><th>", outcome.technique.label(), "</th>"]);
        table.extend(cells.map(|cell| format!("<td>{}</td>", escaped(&cell))));
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

//! Compare, in Chromium: an experiment gives a full table, charts, and files that read back.

use std::collections::HashMap;

use anyhow::Context as _;
use fourways_e2e::{Browser, Server, run};
use serde_json::Value;
use thirtyfour::{By, Key};

const CHARTS: [&str; 5] = [
    "Latency percentiles",
    "Behind by, over the run",
    "Bytes per delivered event",
    "Requests a second",
    "Lost and repeated",
];
const TECHNIQUES: [&str; 4] = ["short_poll", "long_poll", "sse", "websocket"];

/// A row of the delivery table: the text of each cell, by the name of its column.
type Row = HashMap<String, String>;

async fn deliveries(browser: &Browser) -> anyhow::Result<Vec<Row>> {
    browser.find("[data-testid=delivery] tbody tr").await?;
    let mut rows = Vec::new();
    for row in browser.driver.find_all(By::Css("[data-testid=delivery] tbody tr")).await? {
        let mut cells = Row::new();
        for cell in row.find_all(By::Css("td")).await? {
            let name = cell.attr("data-column").await?.context("a cell has a column")?;
            cells.insert(name, cell.text().await?);
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// Checks that a chart can be read by mouse, by keyboard and as a table, and that it hides a technique that is switched
/// off.
async fn chart_answers(browser: &Browser, title: &str) -> anyhow::Result<()> {
    let card = format!("section.chart[aria-label='{title}']");
    let [plot, note] = [".plot-box", ".note-at"].map(|part| format!("{card} {part}"));
    let said = format!("{card} [role=status]");
    let element = browser.find(&plot).await?;
    element.scroll_into_view().await?;
    browser.driver.action_chain().move_to_element_center(&element).perform().await?;
    browser.find(&format!("{note} li")).await?;
    anyhow::ensure!(browser.find(&said).await?.text().await?.is_empty(), "a pointer's move is read out");

    element.send_keys(Key::Home + "").await?;
    let first = browser.text_when(&said, |text| !text.is_empty()).await?;
    element.send_keys(Key::Right + "").await?;
    let second = browser.text_when(&said, |text| !text.is_empty() && text != first).await?;
    element.send_keys(Key::End + "").await?;
    browser.text_when(&said, |text| !text.is_empty() && text != second).await?;
    element.send_keys(Key::Escape + "").await?;
    browser.gone(&note).await?;

    let legend = format!("{card} button[data-technique=sse]");
    let mark = format!("{card} g[data-technique=sse] *");
    browser.find(&mark).await?;
    browser.click(&legend).await?;
    browser.find(&format!("{legend}[aria-pressed=false]")).await?;
    browser.gone(&mark).await?;
    browser.find(&format!("{card} g[data-technique=websocket] *")).await?;
    browser.click(&legend).await?;
    browser.find(&mark).await?;

    let table = format!("{card} button.ghost[aria-pressed=false]");
    browser.click(&table).await?;
    let cell = browser.find(&format!("{card} .figures tbody td")).await?.text().await?;
    anyhow::ensure!(!cell.is_empty() && !browser.find(&plot).await?.is_displayed().await?, "a table instead");
    browser.click(&format!("{card} button.ghost[aria-pressed=true]")).await?;
    browser.gone(&format!("{card} .figures")).await
}

#[test]
fn an_experiment_gives_a_full_table_charts_and_files_that_read_back() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=10&rate=10&arrivals=poisson&payload=200&poll=1&hold=20").await?;
        browser.keep_files().await?;
        browser.click("[data-testid=run]").await?;
        let rows = deliveries(&browser).await?;
        anyhow::ensure!(rows.len() == 4, "a row for each technique");
        for cells in &rows {
            // With 100 independent arrivals expected, fewer than 50 practically never come.
            anyhow::ensure!(cells["delivered"].parse::<u64>()? >= 50, "{cells:?}");
            for none in ["lost", "repeated", "reconnects"] {
                anyhow::ensure!(cells[none] == "0", "{none}: {cells:?}");
            }
            anyhow::ensure!(cells["requests"].parse::<u64>()? >= 1, "{cells:?}");
        }
        let measured = browser.driver.find_all(By::Css(".claims .got .icon")).await?;
        anyhow::ensure!(measured.len() == 20, "every claim has a measurement: {}", measured.len());
        let plots = browser.driver.find_all(By::Css(".picture svg.plot")).await?;
        anyhow::ensure!(plots.len() == CHARTS.len(), "five charts: {}", plots.len());
        for plot in plots {
            for technique in TECHNIQUES {
                let marks = plot.find_all(By::Css(&*format!("[data-technique={technique}] *"))).await?;
                anyhow::ensure!(!marks.is_empty(), "{technique} is drawn in every chart");
            }
        }
        server.await_no_subscribers().await?;
        for title in CHARTS {
            chart_answers(&browser, title).await.with_context(|| format!("the chart {title:?}"))?;
        }

        browser.click("[data-testid=json]").await?;
        let json = browser.file("fourways-run.json").await?;
        let read: Value = serde_json::from_str(&json)?;
        for (outcome, cells) in read["outcomes"].as_array().unwrap().iter().zip(&rows) {
            let cell = |name: &str| cells[name].parse::<u64>().ok();
            anyhow::ensure!(outcome["delivered"].as_u64() == cell("delivered"), "{outcome} {cells:?}");
            anyhow::ensure!(
                outcome["counts"]["requests"].as_u64() == cell("requests"),
                "{outcome} {cells:?}"
            );
            anyhow::ensure!(outcome["latency_us"].as_array().unwrap().len() == 19, "{outcome}");
        }
        browser.click("[data-testid=csv]").await?;
        let csv = browser.file("fourways-run.csv").await?;
        anyhow::ensure!(csv.lines().count() == 5, "{csv}");
        browser.click("[data-testid=report]").await?;
        let report = browser.file("fourways-run.html").await?;
        let inside = report.split("id=\"run\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let inside: Value = serde_json::from_str(inside.unwrap_or_default())?;
        anyhow::ensure!(
            inside == read && report.matches("<svg").count() == CHARTS.len(),
            "the report holds the run"
        );
        browser.click("[data-testid=svg]").await?;
        let svg = browser.file("latency-percentiles.svg").await?;
        anyhow::ensure!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        browser.click("[data-testid=png]").await?;
        anyhow::ensure!(browser.file("latency-percentiles.png").await?.contains("PNG"), "a PNG says so");

        // The run outlives a reload; a saved file can be read in another browser.
        browser.driver.refresh().await?;
        anyhow::ensure!(deliveries(&browser).await? == rows, "kept over a reload");
        let other = Browser::open(&server.url(), 1440).await?;
        other.go("/compare").await?;
        other.choose_file("[data-testid=import]", &json).await?;
        anyhow::ensure!(deliveries(&other).await? == rows, "imported as it was");
        anyhow::ensure!(browser.console_errors().await?.is_empty(), "{:?}", browser.console_errors().await?);
        other.close().await?;
        browser.close().await
    });
}

#[test]
fn a_fault_at_its_time_cuts_all_four_and_loses_nothing() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=6&rate=5&payload=100&poll=0.5&hold=20&faults=restart@2x1").await?;
        browser.click("[data-testid=run]").await?;
        let rows = deliveries(&browser).await?;
        for (cells, technique) in rows.iter().zip(TECHNIQUES) {
            anyhow::ensure!(cells["delivered"].parse::<u64>()? >= 25, "{technique}: {cells:?}");
            anyhow::ensure!(cells["lost"] == "0" && cells["repeated"] == "0", "{technique}: {cells:?}");
            anyhow::ensure!(cells["reconnects"].parse::<u64>()? >= 1, "{technique} noticed: {cells:?}");
        }
        browser.close().await
    });
}

#[test]
fn a_run_that_is_cancelled_leaves_nothing_behind() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=60&rate=5").await?;
        browser.click("[data-testid=run]").await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("running")).await?;
        browser.click("[data-testid=run]").await?;
        server.await_no_subscribers().await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("not run yet")).await?;
        browser.close().await
    });
}

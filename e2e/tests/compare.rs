//! Compare, in Chromium: an experiment gives a full table, charts, and files that read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use fourways_e2e::{Browser, Server, run};
use serde_json::Value;
use thirtyfour::By;

const TECHNIQUES: [&str; 4] = ["short_poll", "long_poll", "sse", "websocket"];

/// The rows of the delivery table, cell by cell.
async fn deliveries(browser: &Browser) -> anyhow::Result<Vec<Vec<String>>> {
    browser.find("[data-testid=delivery] tbody tr").await?;
    let mut rows = Vec::new();
    for row in browser.driver.find_all(By::Css("[data-testid=delivery] tbody tr")).await? {
        let mut cells = Vec::new();
        for cell in row.find_all(By::Css("td")).await? {
            cells.push(cell.text().await?);
        }
        rows.push(cells);
    }
    Ok(rows)
}

#[test]
fn an_experiment_gives_a_full_table_charts_and_files_that_read_back() {
    run(async || {
        let server = Server::start("127.0.0.1:0")?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=10&rate=10&arrivals=poisson&payload=200&poll=1&hold=20").await?;
        browser.keep_files().await?;
        browser.find("[data-testid=run]").await?.click().await?;
        let rows = deliveries(&browser).await?;
        anyhow::ensure!(rows.len() == 4, "a row for each technique");
        for cells in &rows {
            let [delivered, lost, repeated, cuts, requests, ..] = &cells[..] else {
                anyhow::bail!("{cells:?}")
            };
            // The chance that a mean of 100 independent arrivals comes to less than 50 is nothing.
            anyhow::ensure!(delivered.parse::<u64>()? >= 50, "{cells:?}");
            anyhow::ensure!(lost == "0" && repeated == "0" && cuts == "0", "{cells:?}");
            anyhow::ensure!(requests.parse::<u64>()? >= 1, "{cells:?}");
        }
        let measured = browser.driver.find_all(By::Css(".claims .got .icon")).await?;
        anyhow::ensure!(measured.len() == 20, "every claim has a measurement: {}", measured.len());
        let plots = browser.driver.find_all(By::Css(".picture svg.plot")).await?;
        anyhow::ensure!(plots.len() == 4, "four charts: {}", plots.len());
        for plot in plots {
            for technique in TECHNIQUES {
                let marks = plot.find_all(By::Css(&*format!("[data-technique={technique}] *"))).await?;
                anyhow::ensure!(!marks.is_empty(), "{technique} is drawn in every chart");
            }
        }
        server.await_no_subscribers().await?;

        browser.find("[data-testid=json]").await?.click().await?;
        let json = browser.file("fourways-run.json").await?;
        let read: Value = serde_json::from_str(&json)?;
        for (outcome, cells) in read["outcomes"].as_array().unwrap().iter().zip(&rows) {
            let cell = |at: usize| cells[at].parse::<u64>().ok();
            anyhow::ensure!(outcome["delivered"].as_u64() == cell(0), "{outcome} {cells:?}");
            anyhow::ensure!(outcome["counts"]["requests"].as_u64() == cell(4), "{outcome} {cells:?}");
            anyhow::ensure!(outcome["latency_us"].as_array().unwrap().len() == 19, "{outcome}");
        }
        browser.find("[data-testid=csv]").await?.click().await?;
        let csv = browser.file("fourways-run.csv").await?;
        anyhow::ensure!(csv.lines().count() == 5, "{csv}");
        browser.find("[data-testid=report]").await?.click().await?;
        let report = browser.file("fourways-run.html").await?;
        let inside = report.split("id=\"run\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let inside: Value = serde_json::from_str(inside.unwrap_or_default())?;
        anyhow::ensure!(inside == read && report.matches("<svg").count() == 4, "the report holds the run");
        browser.find("[data-testid=svg]").await?.click().await?;
        let svg = browser.file("latency-percentiles.svg").await?;
        anyhow::ensure!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        browser.find("[data-testid=png]").await?.click().await?;
        anyhow::ensure!(browser.file("latency-percentiles.png").await?.contains("PNG"), "a PNG says so");

        // The run stays over a reload; a file that was saved can be read in another browser.
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
        let server = Server::start("127.0.0.1:0")?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=6&rate=5&payload=100&poll=0.5&hold=20&faults=restart@2x1").await?;
        browser.find("[data-testid=run]").await?.click().await?;
        let rows = deliveries(&browser).await?;
        for (cells, technique) in rows.iter().zip(TECHNIQUES) {
            let [delivered, lost, repeated, cuts, ..] = &cells[..] else { anyhow::bail!("{cells:?}") };
            anyhow::ensure!(delivered.parse::<u64>()? >= 25, "{technique}: {cells:?}");
            anyhow::ensure!(lost == "0" && repeated == "0", "{technique}: {cells:?}");
            anyhow::ensure!(cuts.parse::<u64>()? >= 1, "{technique} noticed: {cells:?}");
        }
        browser.close().await
    });
}

#[test]
fn a_run_that_is_cancelled_leaves_nothing_behind() {
    run(async || {
        let server = Server::start("127.0.0.1:0")?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=60&rate=5").await?;
        browser.find("[data-testid=run]").await?.click().await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("running")).await?;
        browser.find("[data-testid=run]").await?.click().await?;
        server.await_no_subscribers().await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("not run yet")).await?;
        browser.close().await
    });
}

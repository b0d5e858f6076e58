//! Measuring goes on over restarts of the server, and a run that spans one is not compared.

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, TECHNIQUES, run};
use serde_json::{Value, json};

use crate::use_cases::Restarted;

/// Script that returns the figures of a technique's page: events, bytes down, bytes an event, whether the server
/// counts, and the ledger.
const FIGURES: &str = "
    const stat = name => [...document.querySelectorAll('.stat')].find(stat => stat.querySelector('dt').textContent.startsWith(name))?.querySelector('dd').textContent ?? '';
    const number = text => { const [, value, unit] = /([\\d.,]+)\\s*(kB|MB|B)?/.exec(text) ?? []; return value && +value.replaceAll(',', '') * ({ kB: 1e3, MB: 1e6 }[unit] ?? 1); };
    return {
        events: number(stat('Events')), down: number(stat('Bytes ↓')), each: number(stat('Bytes/event')),
        counted: stat('Bytes ↓') && document.querySelector('.stats').textContent.includes('counted at the server'),
        ledger: document.querySelector('[data-testid=ledger]').textContent,
    };";
/// Script that returns the number of units in the wire's table.
const RECORDS: &str = "const text = document.querySelector('[data-testid=matching]')?.textContent ?? ''; return +(/^\\d+/.exec(text.replaceAll(',', '')) ?? 0);";

/// Returns the number of restarts under each page; `FOURWAYS_RESTARTS=20` makes a long run.
fn rounds() -> usize {
    std::env::var("FOURWAYS_RESTARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

fn number(of: &Value, name: &str) -> f64 {
    of[name].as_f64().unwrap_or_default()
}

/// Checks that events, wire and bytes go on, and agree: an event costs about as much as it did before.
async fn goes_on(browser: &Browser, before: &Value, records: u64) -> anyhow::Result<Value> {
    let wanted = |now: &Value| {
        now["counted"] == true
            && number(now, "events") > number(before, "events") + 8.0
            && number(now, "down") > number(before, "down")
            && now["ledger"] != "–"
    };
    let now = browser.ask_when(FIGURES, &[], wanted).await.context("bytes and events go on")?;
    browser
        .ask_when(RECORDS, &[], |found| found.as_u64().is_some_and(|found| found > records))
        .await
        .context("the wire goes on")?;
    let (each, was) = (number(&now, "each"), number(before, "each"));
    ensure!(each > was * 0.5 && each < was * 2.0, "an event cost {was} B, and now {each}: {now}");
    Ok(now)
}

fn over_restarts(technique: usize) {
    run(async || {
        let mut server = Restarted::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let (_, path) = TECHNIQUES[technique];
        browser.go(path).await?;
        browser.find("[data-testid=ledger]").await?;
        let is_at_work =
            |now: &Value| now["counted"] == true && number(now, "events") > 12.0 && number(now, "each") > 0.0;
        let mut figures = browser.ask_when(FIGURES, &[], is_at_work).await?;
        for round in 0..rounds() {
            let records = browser.ask(RECORDS, &[]).await?.as_u64().unwrap_or_default();
            server.kill()?;
            server.again()?;
            figures = goes_on(&browser, &figures, records)
                .await
                .with_context(|| format!("{path}, restart {round}"))?;
        }
        let ledger = browser.find("[data-testid=ledger]").await?.text().await?;
        ensure!(ledger == "0 / 0 / 0", "{path}: the ledger says {ledger}");
        browser.close().await
    });
}

#[test]
fn measuring_a_short_poll_goes_on_over_restarts() {
    over_restarts(0);
}

#[test]
fn measuring_a_long_poll_goes_on_over_restarts() {
    over_restarts(1);
}

#[test]
fn measuring_an_event_stream_goes_on_over_restarts() {
    over_restarts(2);
}

#[test]
fn measuring_a_socket_goes_on_over_restarts() {
    over_restarts(3);
}

#[test]
fn a_use_case_counts_its_wire_over_a_restart() {
    run(async || {
        let mut server = Restarted::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/use-cases/dashboard").await?;
        browser.find("[data-testid=figures]").await?;
        let wire = "const stat = [...document.querySelectorAll('[data-testid=figures] .stat')].find(stat => stat.textContent.startsWith('On the wire'));
            const [, value, unit] = /([\\d.]+) (kB|MB|B)/.exec(stat.textContent) ?? [];
            return value ? value * ({ kB: 1e3, MB: 1e6 }[unit] ?? 1) : 0;";
        let above = |least: f64| move |now: &Value| now.as_f64().is_some_and(|now| now > least);
        let before = browser.ask_when(wire, &[], above(500.0)).await?.as_f64().unwrap_or_default();
        server.kill()?;
        server.again()?;
        browser.ask_when(wire, &[], above(before + 500.0)).await?;
        browser.close().await
    });
}

#[test]
fn a_run_over_a_restart_is_not_comparable_and_what_was_shown_stays() {
    run(async || {
        let mut server = Restarted::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare?seconds=5&rate=10").await?;
        browser.click("[data-testid=run]").await?;
        let row = "[data-testid=delivery] tbody tr";
        browser.find(row).await?;
        let shown = browser.find("[data-testid=delivery]").await?.text().await?;
        let kept = "return document.querySelectorAll('[data-testid=kept] li').length;";
        ensure!(browser.ask(kept, &[]).await? == json!(1), "the run is kept");
        // Cancelled: the results that were shown stay.
        browser.click("[data-testid=run]").await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("running")).await?;
        browser.click("[data-testid=run]").await?;
        browser.text_when("[data-testid=run]", |text| text.contains("Run")).await?;
        ensure!(
            browser.find("[data-testid=delivery]").await?.text().await? == shown,
            "a run that was cancelled took the last one along"
        );
        // Restarted: no impossible numbers are shown.
        browser.click("[data-testid=run]").await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("running")).await?;
        server.kill()?;
        server.again()?;
        browser.text_when("[role=alert].bad-n", |text| text.contains("not comparable")).await?;
        ensure!(
            browser.find("[data-testid=delivery]").await?.text().await? == shown,
            "what was shown is gone"
        );
        ensure!(browser.ask(kept, &[]).await? == json!(1), "a run that can't be compared is kept");
        // Gone: the page says when the run stopped.
        browser.click("[data-testid=run]").await?;
        browser.text_when("[data-testid=progress]", |text| text.contains("running")).await?;
        server.kill()?;
        browser
            .text_when("[role=alert].bad-n", |text| {
                text.contains("Stopped at") && text.contains("does not answer")
            })
            .await?;
        browser.close().await
    });
}

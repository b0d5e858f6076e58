//! The lab tells the truth: over restarts of the server, without a token, when connections run out, and in its
//! diagrams.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, Server, TECHNIQUES, run};
use serde_json::{Value, json};
use thirtyfour::WindowHandle;

use crate::{
    operate::{SECRET, token},
    use_cases::Restarted,
};

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

#[test]
fn a_report_is_imported_again_and_is_for_paper() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.before_load("localStorage.setItem('fourways-theme', 'dark')").await?;
        browser.go("/compare?seconds=5&rate=10").await?;
        browser.keep_files().await?;
        browser.click("[data-testid=run]").await?;
        browser.find("[data-testid=delivery] tbody tr").await?;
        browser.click("[data-testid=report]").await?;
        let report = browser.file("fourways-run.html").await?;
        let light = browser
            .ask("const root = document.documentElement; root.dataset.theme = 'light'; const ink = getComputedStyle(root).getPropertyValue('--text').trim(); root.dataset.theme = 'dark'; return ink;", &[])
            .await?;
        ensure!(report.contains(light.as_str().context("an ink")?), "it is drawn in the inks of paper");
        ensure!(report.contains("<h2>Delivery</h2>"), "what was delivered is in it");
        let kept = "return document.querySelectorAll('[data-testid=kept] li').length;";
        let before = browser.ask(kept, &[]).await?.as_u64().unwrap_or_default();
        browser.choose_file("[data-testid=import]", &report).await?;
        browser.ask_when(kept, &[], |now| now.as_u64() == Some(before + 1)).await?;
        browser.choose_file("[data-testid=import]", "<html></html>").await?;
        browser.text_when("[role=alert].bad-n", |text| text.contains("not a Fourways run")).await?;
        browser.close().await
    });
}

/// Script that returns the length of the bar of a held request, in pixels: the technique's colour, at four tenths, on
/// the server's line.
const HELD: &str = "
    const canvas = document.querySelector('[data-testid=sequence]');
    const ratio = canvas.width / canvas.clientWidth;
    const { data } = canvas.getContext('2d').getImageData(0, Math.round(44 * ratio), canvas.width, 1);
    const alphas = [];
    for (let at = 3; at < data.length; at += 4) alphas.push(data[at]);
    const [red, green, blue] = data.slice(-8 * Math.ceil(ratio));
    // The bar reaches the right edge; its pixels are those that differ from the empty left end.
    const first = data.slice(0, 3).join();
    let length = 0;
    for (let at = data.length - 8 * Math.ceil(ratio); at > 0 && data.slice(at, at + 3).join() !== first; at -= 4) length++;
    return length / ratio;";

#[test]
fn a_held_request_grows_while_it_is_held() {
    run(async || {
        let server = Server::with(&["--source", "none"])?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/long-polling").await?;
        browser.find("[data-testid=sequence]").await?;
        let pixels = |least: f64| move |now: &Value| now.as_f64().is_some_and(|now| now > least);
        let first = browser.ask_when(HELD, &[], pixels(40.0)).await?.as_f64().unwrap_or_default();
        browser.ask_when(HELD, &[], pixels(first + 60.0)).await?;
        // The texts agree with the picture, and with the visitor's click.
        browser.text_when("[data-testid=link]", |text| text.starts_with("open for")).await?;
        browser.click("[data-testid=close]").await?;
        browser.text_when("[data-testid=link]", |text| text == "closed by you").await?;
        browser.close().await
    });
}

#[test]
fn the_chosen_time_is_the_one_shown_on_a_telephone_too() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 380).await?;
        browser.narrow(380).await?;
        browser.go("/websocket").await?;
        // Script that collects the texts that are drawn on the canvas.
        let drawn = "
            const prototype = CanvasRenderingContext2D.prototype;
            if (!window.words) { window.words = new Set(); const fill = prototype.fillText; prototype.fillText = function (text, ...at) { window.words.add(text); return fill.call(this, text, ...at); }; }
            window.words.clear();
            return true;";
        for (choice, tick) in [("30 s", "−20 s"), ("12 s", "−10 s"), ("5 s", "−2 s")] {
            browser.choose("Time shown", choice).await?;
            browser.ask(drawn, &[]).await?;
            browser
                .ask_when("return [...window.words];", &[], |words| {
                    words.as_array().is_some_and(|words| words.contains(&json!(tick)))
                })
                .await
                .with_context(|| format!("{choice} shows {tick}"))?;
        }
        let legend = browser.find("[data-testid=sequence-legend]").await?.text().await?;
        ensure!(legend.contains("a fault") && legend.contains("at least 9 pixels"), "{legend}");
        browser.close().await
    });
}

#[test]
fn a_stranger_is_told_everywhere_and_may_sign_in_and_out() {
    run(async || {
        let folder = tempfile::tempdir()?;
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET)?;
        let server = Server::with(&["--token-key", &format!("HS256:{}", secret.display())])?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for (page, css) in [
            ("/", "main"),
            ("/short-polling", "[data-testid=link]"),
            ("/long-polling", "[data-testid=link]"),
            ("/sse", "[data-testid=link]"),
            ("/websocket", "[data-testid=link]"),
            ("/use-cases/chat", "[data-testid=link]"),
        ] {
            browser.go(page).await?;
            browser.text_when("[data-testid=stranger]", |text| text.contains("Not signed in")).await?;
            browser
                .text_when(css, |text| text.contains("not signed in"))
                .await
                .with_context(|| page.to_owned())?;
            let fits = browser.ask("return document.documentElement.scrollWidth <= innerWidth;", &[]).await?;
            ensure!(fits == json!(true), "{page} is wider than its window");
        }
        // Use cases are off where tokens are asked for, and the page says so.
        browser.text_when("[data-testid=use-cases-off]", |text| text.contains("--use-cases on")).await?;
        browser.go("/sse").await?;
        browser.click("[data-testid=sign-in-open]").await?;
        browser.find("[data-testid=token]").await?.send_keys("no token").await?;
        browser.click("[data-testid=sign-in]").await?;
        browser.text_when("[data-testid=sign-in-said]", |text| !text.is_empty()).await?;
        let claims = json!({ "sub": "ada", "exp": 4_000_000_000_u64, "fourways": { "subscribe": [">"], "publish": [">"] } });
        let field = browser.find("[data-testid=token]").await?;
        field.clear().await?;
        field.send_keys(token(&claims)).await?;
        browser.click("[data-testid=sign-in]").await?;
        browser.text_when("[data-testid=who]", |text| text == "Signed in as ada").await?;
        browser.count_above("[data-testid=count]", 2).await?;
        browser.click("[data-testid=sign-out]").await?;
        browser.text_when("[data-testid=stranger]", |text| text.contains("Not signed in")).await?;
        browser.close().await
    });
}

#[test]
fn retry_now_brings_the_streams_back_with_the_banner() {
    run(async || {
        let mut server = Restarted::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/").await?;
        for (technique, _) in TECHNIQUES {
            browser.count_above(&format!("[data-testid=events-{technique}]"), 0).await?;
        }
        server.kill()?;
        browser.find(".banner button").await?;
        // Enough attempts for waits of many seconds.
        let attempts = "const text = document.querySelector('.banner')?.textContent ?? ''; return +(/Attempt (\\d+)/.exec(text)?.[1] ?? 0);";
        browser.ask_when(attempts, &[], |count| count.as_u64().is_some_and(|count| count >= 5)).await?;
        server.again()?;
        browser.ask("document.querySelector('.banner button')?.click(); return true;", &[]).await?;
        browser.gone(".banner").await?;
        // A test of `browser::wake` holds that the streams need not wait for a backoff of their own.
        let links = "return [...document.querySelectorAll('.beh')].map(one => one.textContent);";
        let are_back = |said: &Value| {
            said.as_array().is_some_and(|lanes| {
                lanes.iter().all(|lane| !lane.as_str().unwrap_or_default().contains("reconnecting"))
            })
        };
        browser.ask_when(links, &[], are_back).await?;
        browser.close().await
    });
}

#[test]
fn a_stream_that_the_browser_brings_back_does_not_pretend_to_know_when() {
    run(async || {
        let mut server = Restarted::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/sse").await?;
        browser.text_when("[data-testid=link]", |text| text.starts_with("open for")).await?;
        server.kill()?;
        let said = browser.text_when("[data-testid=link]", |text| text.contains("connection lost")).await?;
        ensure!(said.contains("retries by itself") && !said.contains("0.0 ms"), "{said}");
        server.again()?;
        browser.text_when("[data-testid=link]", |text| text.starts_with("open for")).await?;
        browser.close().await
    });
}

async fn tabs(browser: &Browser, count: usize, path: &str) -> anyhow::Result<Vec<WindowHandle>> {
    let mut tabs = vec![browser.driver.window().await?];
    browser.go(path).await?;
    browser.find("h1").await?;
    for _ in 1..count {
        let tab = browser.driver.new_tab().await?;
        browser.driver.switch_to_window(tab.clone()).await?;
        browser.go(path).await?;
        browser.find("h1").await?;
        tabs.push(tab);
    }
    Ok(tabs)
}

#[test]
fn connections_that_run_out_are_counted_and_given_back_by_hidden_tabs() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::with_tabs(&server.url(), 1440).await?;
        // Two connections a tab: a held poll and a stream.
        let mut open = tabs(&browser, 2, "/").await?;
        let tab = browser.driver.new_tab().await?;
        browser.driver.switch_to_window(tab.clone()).await?;
        browser.go("/sse").await?;
        open.push(tab);
        browser
            .text_when("[data-testid=budget]", |text| {
                text.contains("5 of 6 connections to this server are taken by 3 tabs")
            })
            .await?;
        // More tabs find free connections, because hidden tabs give theirs back.
        for _ in 0..4 {
            let tab = browser.driver.new_tab().await?;
            browser.driver.switch_to_window(tab.clone()).await?;
            browser.go("/").await?;
            for (technique, _) in TECHNIQUES {
                browser
                    .count_above(&format!("[data-testid=events-{technique}]"), 1)
                    .await
                    .with_context(|| format!("{technique}, tab {}", open.len()))?;
            }
            open.push(tab);
        }
        // The first tab, visible again, resumes where it was.
        browser.driver.switch_to_window(open[0].clone()).await?;
        let events = browser.find("[data-testid=events-sse]").await?.text().await?.parse::<u64>()?;
        browser.count_above("[data-testid=events-sse]", events).await?;
        browser.end().await
    });
}

#[test]
fn decide_agrees_with_itself() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/decide?send=all&often=rare").await?;
        browser.find("[data-testid=recommendation]").await?;
        let chosen = "return [...document.querySelectorAll('.asked [aria-checked=true]')].map(one => one.textContent);";
        let said = browser.ask(chosen, &[]).await?;
        let has = |said: &Value, text: &str| said.as_array().is_some_and(|all| all.contains(&json!(text)));
        ensure!(!(has(&said, "All the time") && has(&said, "Rarely")), "{said}");
        browser.choose("How often does it send?", "Rarely").await?;
        let said = browser.ask(chosen, &[]).await?;
        ensure!(has(&said, "Rarely") && !has(&said, "All the time"), "{said}");
        // Each link leads to the lab of the technique beside it.
        let links = "
            const card = document.querySelector('[data-testid=recommendation]');
            const next = card.querySelector('.rec-next');
            return [next.textContent, next.querySelector('a').pathname, card.dataset.technique, card.querySelector('[data-testid=winner-lab]').pathname];";
        let said = browser.ask(links, &[]).await?;
        let of = |at: usize| said[at].as_str().unwrap_or_default().to_owned();
        ensure!(of(0).to_lowercase().replace(' ', "-").contains(of(1).trim_start_matches('/')), "{said}");
        ensure!(of(2).replace('_', "-").starts_with(&of(3).trim_start_matches('/')[..3]), "{said}");
        // A technique that is ruled out has no bar.
        browser.go("/decide?send=all&often=ten&fresh=100ms&rate=100ms").await?;
        browser.find(".rank").await?;
        let bars = "return [...document.querySelectorAll('[data-testid=ranking] .rank')].map(one => [one.textContent.includes('ruled out'), one.querySelector('.gauge i').style.transform]);";
        let said = browser.ask(bars, &[]).await?;
        let ruled_out: Vec<_> = said.as_array().into_iter().flatten().filter(|one| one[0] == true).collect();
        ensure!(!ruled_out.is_empty() && ruled_out.iter().all(|one| one[1] == "scaleX(0)"), "{said}");
        let provenance = browser.find("[data-testid=provenance]").await?.text().await?;
        ensure!(provenance.contains("computed from a benchmark"), "{provenance}");
        browser.close().await
    });
}

#[test]
fn trading_begins_with_its_page() {
    run(async || {
        let server = Restarted::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/use-cases/trade").await?;
        let ibm = "[data-testid=price-ibm]";
        browser.text_when(ibm, |text| text != "–").await?;
        browser.go("/decide").await?;
        browser.find("h1").await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        browser.go("/use-cases/trade").await?;
        browser.text_when(ibm, |text| text != "–").await?;
        // The sentence names no more time than the page has been open, and one second at least.
        let why = browser.text_when("[data-testid=why]", |text| text.contains("over")).await?;
        let over =
            why.split("over ").nth(1).and_then(|rest| rest.split(',').next()).context("a time")?.to_owned();
        ensure!(!over.contains("min") && !over.contains('h'), "a page that was just opened speaks of {over}");
        browser.close().await
    });
}

//! The lab tells the truth: in its reports, its diagrams and its advice.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, Server, run};
use serde_json::{Value, json};

use crate::use_cases::Restarted;

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

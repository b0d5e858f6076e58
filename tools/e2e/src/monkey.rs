//! A monkey on a page: it clicks, types and presses everything that can be used, at random.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::Browser;

const SCRIPT: &str = include_str!("monkey.js");
/// Time that the script runs in one round, well below the driver's limit for scripts.
const ROUND: Duration = Duration::from_secs(5);
/// Storage key that is set before and must still be there after: the monkey must not lose what was stored.
const KEPT: &str = "fourways-monkey";

/// Lets the monkey loose on a page for `lasts`, and returns the number of its steps.
///
/// # Errors
/// The finding: a panic, an error on the console, a page that can't be left any more, or stored data that is lost.
pub async fn monkey(browser: &Browser, page: &str, seed: u32, lasts: Duration) -> anyhow::Result<u64> {
    browser.go(page).await?;
    browser.find("h1").await?;
    let keep = "localStorage.setItem(arguments[0], '1'); return true;";
    browser.ask(keep, &[json!(KEPT)]).await?;
    let began = Instant::now();
    let (mut steps, mut round) = (0, 0);
    while began.elapsed() < lasts {
        round += 1;
        let ms = ROUND.min(lasts.saturating_sub(began.elapsed())).as_millis();
        let script = SCRIPT
            .replace("SEED", &(seed.wrapping_mul(1_000) + round).to_string())
            .replace("MS", &ms.to_string());
        let told = browser.driver.execute_async(script, Vec::new()).await;
        let told = told.with_context(|| format!("{page}, seed {seed}: the page was lost"))?.json().clone();
        let wrong = told["wrong"].as_array().cloned().unwrap_or_default();
        if !wrong.is_empty() {
            let console = browser.console_errors().await.unwrap_or_default();
            bail!("{page}, seed {seed}, step {}: {}; {console:?}", told["steps"], json!(wrong));
        }
        let now = told["steps"].as_u64().unwrap_or_default();
        ensure!(now > steps, "{page}, seed {seed}: the page was loaded again after {steps} steps");
        steps = now;
    }
    let is_kept = browser.ask("return localStorage.getItem(arguments[0]);", &[json!(KEPT)]).await?;
    ensure!(is_kept == json!("1"), "{page}, seed {seed}: what was kept is lost");
    let crashed = browser.ask("return !document.getElementById('crash').hidden;", &[]).await?;
    ensure!(crashed == Value::Bool(false), "{page}, seed {seed}: the app says that it has crashed");
    // The page can still be left, and the next page works.
    for (link, heading) in
        [("/decide", "Which one should you use?"), ("/", "Four ways to get fresh data to a client")]
    {
        browser
            .ask(
                "document.querySelector(arguments[0]).click(); return true;",
                &[json!(format!("nav a[href='{link}']"))],
            )
            .await?;
        browser
            .text_when("h1", |text| text == heading)
            .await
            .with_context(|| format!("{page}, seed {seed}: it can't be left"))?;
    }
    // The browser itself logs requests that are refused and connections that end.
    let errors: Vec<String> = browser.console_errors().await?;
    let errors: Vec<_> = errors
        .into_iter()
        .filter(|error| {
            !error.contains("Failed to load resource") && !error.contains("WebSocket connection to")
        })
        .collect();
    ensure!(errors.is_empty(), "{page}, seed {seed}: {errors:?}");
    Ok(steps)
}

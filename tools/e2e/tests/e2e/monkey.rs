//! Nothing that is typed, clicked or pressed ends the app. `cargo xtask monkey` goes on for longer.

use std::time::Duration;

use fourways_e2e::{Browser, PAGES, Server, monkey, run};
use serde_json::json;

/// Time that the monkey has on each page.
const LASTS: Duration = Duration::from_secs(1);

#[test]
fn a_monkey_breaks_no_page() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for page in PAGES {
            monkey(&browser, page, 7, LASTS).await?;
        }
        // The monkey leaves more behind than the next test likes to find.
        browser.end().await
    });
}

#[test]
fn a_number_that_is_none_leaves_what_was() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare").await?;
        browser.find("[data-testid=run]").await?;
        let type_into = "
            const input = [...document.querySelectorAll('input[type=number]')][arguments[0]];
            input.focus();
            input.value = arguments[1];
            input.dispatchEvent(new Event('change', { bubbles: true }));
            return input.value;";
        for field in 0..5 {
            let before = browser.ask(type_into, &[json!(field), json!("20")]).await?;
            for typed in ["", "x", "-", "1e", "--1"] {
                let after = browser.ask(type_into, &[json!(field), json!(typed)]).await?;
                anyhow::ensure!(after == before, "field {field} shows {after} for {typed:?}");
            }
            for typed in ["-1", "1e9", "2.5"] {
                let shown = browser.ask(type_into, &[json!(field), json!(typed)]).await?;
                anyhow::ensure!(shown != json!(""), "field {field} is empty after {typed}");
            }
        }
        // The page still works.
        browser.click("nav a[href='/decide']").await?;
        browser.text_when("h1", |text| text.starts_with("Which one")).await?;
        let errors = browser.console_errors().await?;
        anyhow::ensure!(errors.is_empty(), "{errors:?}");
        browser.close().await
    });
}

#[test]
fn a_crash_is_said_and_loses_nothing() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare").await?;
        browser.find("[data-testid=run]").await?;
        browser.ask("localStorage.setItem('fourways-theme', 'dark'); return true;", &[]).await?;
        anyhow::ensure!(!browser.find("#crash").await?.is_displayed().await?, "nothing has crashed");
        // A trap, as a panic of the app reaches the page.
        let crash = "setTimeout(() => new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(
            [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11]))).exports.f()); return true;";
        browser.ask(crash, &[]).await?;
        browser
            .text_when("#crash", |text| text.contains("has crashed") && text.contains("Kept runs"))
            .await?;
        browser
            .ask_when("return document.activeElement.textContent;", &[], |text| *text == json!("Load again"))
            .await?;
        browser.click("#crash button").await?;
        browser
            .ask_when(
                "return document.getElementById('crash').hidden && !!document.querySelector('h1');",
                &[],
                |is| *is == json!(true),
            )
            .await?;
        let theme = browser.find("html").await?.attr("data-theme").await?;
        anyhow::ensure!(theme.as_deref() == Some("dark"), "what was kept is here");
        browser.close().await
    });
}

#[test]
fn an_app_that_does_not_arrive_says_so() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let urls = json!({ "urls": ["*.wasm"] });
        browser.driver.cdp().send_raw("Network.enable", json!({})).await?;
        browser.driver.cdp().send_raw("Network.setBlockedURLs", urls).await?;
        browser.go("/").await?;
        browser.text_when("#crash", |text| text.contains("be loaded")).await?;
        browser.driver.cdp().send_raw("Network.setBlockedURLs", json!({ "urls": [] })).await?;
        browser.click("#crash button").await?;
        browser.text_when("h1", |text| text.starts_with("Four ways")).await?;
        browser.end().await
    });
}

//! The lab without a token, without a server, and with all of the browser's connections in use.

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, Server, TECHNIQUES, run};
use serde_json::{Value, json};
use thirtyfour::WindowHandle;

use crate::{
    operate::{SECRET, token},
    use_cases::Restarted,
};

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

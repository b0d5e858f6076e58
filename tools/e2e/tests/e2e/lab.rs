//! The lab as a person uses it, in Chromium.

use anyhow::Context as _;
use fourways_e2e::{Browser, Server, TECHNIQUES, run};
use thirtyfour::Key;

#[test]
fn every_tab_is_alive_and_the_console_has_no_error() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/").await?;
        for (technique, _) in TECHNIQUES {
            browser.count_above(&format!("[data-testid=events-{technique}]"), 3).await?;
        }
        for (_, page) in TECHNIQUES {
            // By the link, as a person would, without loading the app again.
            browser.find(&format!("nav [href='{page}']")).await?.click().await?;
            browser.count_above("[data-testid=count]", 3).await?;
            browser.find("[data-testid=wire] tr[aria-selected]").await?;
            // A deep link and a reload show the same page.
            browser.go(page).await?;
            browser.driver.refresh().await?;
            browser.count_above("[data-testid=count]", 1).await?;
        }
        browser.text_when("[data-testid=connection]", |text| text == "Connected").await?;
        anyhow::ensure!(browser.console_errors().await?.is_empty(), "{:?}", browser.console_errors().await?);
        browser.close().await
    });
}

#[test]
fn every_technique_recovers_when_the_server_is_killed_and_started_again() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/").await?;
        let counter = |technique: &str| format!("[data-testid=events-{technique}]");
        for (technique, _) in TECHNIQUES {
            browser.count_above(&counter(technique), 3).await?;
        }
        let address = server.kill();
        browser.text_when("[data-testid=connection]", |text| text != "Connected").await?;
        let mut before = Vec::new();
        for (technique, _) in TECHNIQUES {
            before.push(browser.count_above(&counter(technique), 3).await?);
        }
        // First something else than the server answers, as a load balancer does: `EventSource` gives up on that for
        // ever.
        fourways_e2e::refuse_once(&address, "/v1/stream").await?;
        let restarted = Server::again_at(&address)?;
        for ((technique, _), before) in TECHNIQUES.into_iter().zip(before) {
            browser.count_above(&counter(technique), before + 3).await?;
        }
        browser.text_when("[data-testid=connection]", |text| text == "Connected").await?;
        drop(restarted);
        browser.close().await
    });
}

#[test]
fn a_tab_that_is_left_closes_its_connections() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/").await?;
        for (technique, _) in TECHNIQUES {
            browser.count_above(&format!("[data-testid=events-{technique}]"), 1).await?;
        }
        for page in ["/long-polling", "/sse", "/websocket"] {
            browser.find(&format!("nav [href='{page}']")).await?.click().await?;
            browser.count_above("[data-testid=count]", 1).await?;
            browser.find("nav [href='/compare']").await?.click().await?;
            server.await_no_subscribers().await?;
            browser.driver.back().await?;
            browser.count_above("[data-testid=count]", 1).await?;
        }
        browser.close().await
    });
}

#[test]
fn what_is_sent_over_the_socket_comes_back_as_an_event() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/websocket").await?;
        browser.count_above("[data-testid=count]", 0).await?;
        let field = browser.find("#send").await?;
        field.clear().await?;
        field.send_keys("over the socket" + Key::Enter).await?;
        browser.text_when("[data-testid=events]", |text| text.contains("over the socket")).await?;
        browser.text_when("[data-testid=wire]", |text| text.contains('↑')).await?;
        browser.close().await
    });
}

#[test]
fn pages_and_theme_work_by_keyboard_and_the_back_button_goes_back() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/").await?;
        browser.find("#page-short-polling").await?.send_keys(Key::Enter + "").await?;
        browser.find("#page-short-polling[aria-current=page]").await?;
        browser.find("#page-operate").await?.send_keys(Key::Enter + "").await?;
        browser.find("#page-operate[aria-current=page]").await?;
        browser.driver.back().await?;
        browser.find("#page-short-polling[aria-current=page]").await?;
        browser.find("#theme").await?.send_keys(Key::Enter + "").await?;
        let theme = browser.find("html").await?.attr("data-theme").await?;
        browser.driver.refresh().await?;
        anyhow::ensure!(
            theme.is_some() && browser.find("html").await?.attr("data-theme").await? == theme,
            "it is kept"
        );
        browser.close().await
    });
}

#[test]
fn the_server_proves_what_a_page_holds() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for (_, path) in TECHNIQUES {
            browser.go(path).await?;
            browser.text_when("[data-testid=ledger]", |text| text == "0 / 0 / 0").await?;
        }
        let accounts = reqwest::get(format!("{}/v1/ledger", server.url())).await?.text().await?;
        let accounts: serde_json::Value = serde_json::from_str(&accounts)?;
        let readers = accounts["readers"].as_array().context("no readers")?;
        let has = |technique: &str| {
            readers.iter().any(|row| row["technique"] == technique && row["held"].as_u64() > Some(0))
        };
        anyhow::ensure!(TECHNIQUES.iter().all(|(technique, _)| has(technique)), "{accounts}");
        browser.close().await
    });
}

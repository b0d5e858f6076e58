//! Use cases that serve one visitor: orders, notices, files, trades.

use fourways_e2e::{Browser, DEADLINE, Fault, FaultyProxy, Server, run};
use serde_json::json;

use super::{LIST, Restarted, TECHNIQUES, is_open, list_when, published};

/// Script that records each toast as it pops up.
const WATCH_TOASTS: &str = "
    window.toasts = [];
    new MutationObserver(changes => {
        for (const { addedNodes } of changes) {
            for (const node of addedNodes) if (node.nodeType === 1 && !toasts.includes(node.textContent)) toasts.push(node.textContent);
        }
    }).observe(document.querySelector('[data-testid=toasts]'), { childList: true });
    return true;";

#[test]
fn an_order_is_told_on_all_pages_of_its_visitor_and_on_no_other() {
    run(async || {
        let mut log = Restarted::start()?;
        let (ada, ben) = (Browser::open(&log.url(), 1440).await?, Browser::open(&log.url(), 1440).await?);
        let first = ada.driver.window().await?;
        let second = ada.driver.new_tab().await?;
        for (at, technique) in TECHNIQUES.into_iter().enumerate() {
            let page = format!("/use-cases/order?by={technique}");
            for window in [&second, &first] {
                ada.driver.switch_to_window(window.clone()).await?;
                ada.go(&page).await?;
            }
            ben.go(&page).await?;
            is_open(&ben).await?;
            for window in [&second, &first] {
                ada.driver.switch_to_window(window.clone()).await?;
                is_open(&ada).await?;
                ada.ask(WATCH_TOASTS, &[]).await?;
            }
            ada.click("[data-testid=buy-umbrella]").await?;
            list_when(&ada, ".order", |orders| orders.len() == at + 1).await?;
            // The order moves on with the next server, each step once.
            log.kill()?;
            log.again()?;
            let told = json!(["Your umbrella was shipped", "Your umbrella was delivered"]);
            for window in [&first, &second] {
                ada.driver.switch_to_window(window.clone()).await?;
                ada.ask_when("return toasts;", &[], |toasts| *toasts == told).await?;
            }
            let done = "[data-testid=orders] .order:first-child .done";
            list_when(&ada, done, |steps| steps == ["paid", "packed", "shipped", "delivered"]).await?;
            let others = ben.ask(LIST, &[json!("[data-testid=toasts] li, .order")]).await?;
            anyhow::ensure!(others == json!([]), "{technique}: another visitor was told {others}");
        }
        // Steps that happened while the page was away are shown when it returns, and not again.
        ada.driver.close_window().await?;
        ada.driver.switch_to_window(first).await?;
        is_open(&ada).await?;
        ada.click("[data-testid=buy-kettle]").await?;
        list_when(&ada, ".order", |orders| orders.len() == 5).await?;
        ada.go("/use-cases").await?;
        // Taken from the server's log: no page is there to show it.
        let began = std::time::Instant::now();
        let is_delivered = |said: &serde_json::Value| said["item"] == "kettle" && said["step"] == "delivered";
        while !published(&log, "use-case.order.*").await?.iter().any(is_delivered) {
            anyhow::ensure!(began.elapsed() < DEADLINE, "the kettle never came");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        ada.go("/use-cases/order").await?;
        let away = "2 of these happened while you were away.";
        ada.text_when("[data-testid=missed]", |text| text == away).await?;
        ada.go("/use-cases/order").await?;
        list_when(&ada, ".order", |orders| orders.len() == 5).await?;
        let toasts = ada.ask(LIST, &[json!("[data-testid=toasts] li")]).await?;
        anyhow::ensure!(toasts == json!([]), "told again: {toasts}");
        ada.close().await?;
        ben.close().await
    });
}

/// Windows that are opened at the same moment make an id each; the one that is stored in the end counts for all.
#[test]
fn a_window_becomes_the_visitor_that_another_window_has_kept() {
    run(async || {
        let log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 1440).await?;
        let first = ada.driver.window().await?;
        let second = ada.driver.new_tab().await?;
        ada.go("/use-cases/order").await?;
        is_open(&ada).await?;
        ada.driver.switch_to_window(second).await?;
        ada.go("/").await?;
        ada.ask("localStorage.setItem('fourways-visitor', 'f'.repeat(32)); return 1;", &[]).await?;
        ada.go("/use-cases/order").await?;
        ada.click("[data-testid=buy-kettle]").await?;
        list_when(&ada, ".order", |orders| orders.len() == 1).await?;
        ada.driver.switch_to_window(first).await?;
        list_when(&ada, ".order", |orders| orders.len() == 1).await?;
        ada.close().await
    });
}

#[test]
fn the_unread_count_is_the_same_in_every_tab_and_over_a_restart() {
    run(async || {
        let mut log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 1440).await?;
        let first = ada.driver.window().await?;
        let second = ada.driver.new_tab().await?;
        for technique in TECHNIQUES {
            let page = format!("/use-cases/notice?by={technique}");
            for window in [&second, &first] {
                ada.driver.switch_to_window(window.clone()).await?;
                ada.go(&page).await?;
            }
            for words in ["one", "two"] {
                ada.type_into("[data-testid=note]", words).await?;
                ada.click("[data-testid=send-note]").await?;
            }
            ada.text_when("[data-testid=unread]", |text| text == "2").await?;
            log.kill()?;
            ada.type_into("[data-testid=note]", "three").await?;
            ada.click("[data-testid=send-note]").await?;
            log.again()?;
            ada.text_when("[data-testid=unread]", |text| text == "3").await?;
            ada.driver.switch_to_window(second.clone()).await?;
            ada.text_when("[data-testid=unread]", |text| text == "3").await?;
            ada.click("[data-testid=read-all]").await?;
            ada.text_when("[data-testid=unread]", |text| text == "0").await?;
            ada.driver.switch_to_window(first.clone()).await?;
            ada.text_when("[data-testid=unread]", |text| text == "0").await?;
        }
        // An order of the same visitor makes notices too, and those that came while nobody looked are there.
        ada.go("/use-cases/order").await?;
        ada.click("[data-testid=buy-kettle]").await?;
        list_when(&ada, ".order .done", |steps| steps.len() == 4).await?;
        ada.go("/use-cases/notice").await?;
        ada.text_when("[data-testid=notices]", |text| text.contains("Your kettle was delivered")).await?;
        ada.text_when("[data-testid=unread]", |text| text == "2").await?;
        ada.close().await
    });
}

#[test]
fn where_streams_are_held_back_the_feed_goes_on_by_long_polling() {
    run(async || {
        let server = Server::start()?;
        let path = FaultyProxy::before(&server.address, Fault::BuffersStreams)?;
        let ada = Browser::open(&path.url, 1440).await?;
        ada.go("/use-cases/notice").await?;
        ada.type_into("[data-testid=note]", "one").await?;
        ada.click("[data-testid=send-note]").await?;
        ada.text_when("[data-testid=fallback]", |text| text.contains("Long polling goes on")).await?;
        ada.text_when("[data-testid=unread]", |text| text == "1").await?;
        ada.type_into("[data-testid=note]", "two").await?;
        ada.click("[data-testid=send-note]").await?;
        ada.text_when("[data-testid=unread]", |text| text == "2").await?;
        ada.close().await
    });
}

#[test]
fn a_file_is_worked_on_over_a_reload_and_a_restart_and_can_be_cancelled() {
    run(async || {
        let mut log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 1440).await?;
        // 460,000 bytes: four pieces.
        let text = "the cat sat on the mat\n".repeat(20_000);
        for technique in TECHNIQUES {
            ada.go(&format!("/use-cases/upload?by={technique}")).await?;
            is_open(&ada).await?;
            ada.choose_file("[data-testid=file]", &text).await?;
            ada.text_when("[data-testid=log]", |text| text.contains("Hash")).await?;
            log.kill()?;
            ada.driver.refresh().await.ok();
            log.again()?;
            ada.go(&format!("/use-cases/upload?by={technique}")).await?;
            // The hash that `sha256sum` gives for this text.
            ada.text_when("[data-testid=sha]", |sha| sha == SHA).await?;
            ada.text_when("[data-testid=found]", |text| text.contains("120,000, 20,000")).await?;
        }
        ada.choose_file("[data-testid=file]", &text.repeat(30)).await?;
        ada.click("[data-testid=cancel]").await?;
        ada.text_when("[data-testid=log]", |text| text.contains("cancelled")).await?;
        // Each window has its own job, after a reload too.
        let first = ada.driver.window().await?;
        let second = ada.driver.new_tab().await?;
        ada.driver.switch_to_window(second).await?;
        ada.go("/use-cases/upload").await?;
        ada.choose_file("[data-testid=file]", &text).await?;
        ada.text_when("[data-testid=sha]", |sha| sha == SHA).await?;
        ada.driver.refresh().await?;
        ada.text_when("[data-testid=sha]", |sha| sha == SHA).await?;
        ada.driver.switch_to_window(first).await?;
        ada.driver.refresh().await?;
        ada.text_when("[data-testid=log]", |text| text.contains("cancelled")).await?;
        ada.close().await
    });
}

const SHA: &str = "ded3e4c36ba665806c8962679a3b37aa2566da87c3fa408b0fbf9892059d0dbd";

#[test]
fn an_order_to_trade_is_filled_once() {
    run(async || {
        let mut log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 1440).await?;
        for (at, technique) in TECHNIQUES.into_iter().enumerate() {
            ada.go(&format!("/use-cases/trade?by={technique}")).await?;
            ada.text_when("[data-testid=price-ibm]", |price| price.contains('.')).await?;
            // One order that waits, and one that the market fills at once.
            for limit in ["1.00", "900.00"] {
                let field = ada.find("[data-testid=limit]").await?;
                field.clear().await?;
                field.send_keys(limit).await?;
                ada.click("[data-testid=place]").await?;
            }
            let state = "[data-testid=own-orders] tr td:nth-child(2)";
            let count =
                |states: &[String], what: &str| states.iter().filter(|state| state.starts_with(what)).count();
            let done = |states: &[String]| count(states, "filled") == at + 1 && count(states, "waits") == 1;
            list_when(&ada, state, done).await?;
            ada.text_when("[data-testid=book]", |book| book.contains("1.00")).await?;
            log.kill()?;
            log.again()?;
            ada.go(&format!("/use-cases/trade?by={technique}")).await?;
            let states = list_when(&ada, state, done).await?;
            anyhow::ensure!(states.len() == 2 * (at + 1), "{technique}: {states:?}");
            ada.click("[data-testid=own-orders] button").await?;
            list_when(&ada, state, |states| count(states, "cancelled") == at + 1).await?;
        }
        let published = published(&log, "use-case.trade.*").await?;
        let filled = published.iter().filter(|said| said["type"] == "filled").count();
        anyhow::ensure!(filled == 4, "four orders were filled: {published:?}");
        ada.close().await
    });
}

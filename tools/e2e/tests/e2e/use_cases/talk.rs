//! Use cases of several people together: talking, pointing, writing.

use fourways_e2e::{Browser, DEADLINE, run};

use super::{Restarted, TECHNIQUES, is_open, list_when, published};

pub(crate) async fn say(browser: &Browser, words: &str) -> anyhow::Result<()> {
    browser.type_into("[data-testid=draft]", words).await?;
    browser.click("[data-testid=say]").await
}

async fn chats(technique: &str) -> anyhow::Result<()> {
    let mut log = Restarted::start()?;
    let (ada, ben) = (Browser::open(&log.url(), 1440).await?, Browser::open(&log.url(), 1440).await?);
    let page = format!("/use-cases/chat?by={technique}");
    ada.go(&page).await?;
    say(&ada, "before anybody came").await?;
    ben.go(&page).await?;
    let messages = "[data-testid=messages] li p";
    list_when(&ben, messages, |said| said == ["before anybody came"]).await?;
    // Both are here, and each sees the other type.
    for browser in [&ada, &ben] {
        list_when(browser, "[data-testid=people] li", |names| names.len() == 2).await?;
    }
    ben.type_into("[data-testid=draft]", "writing").await?;
    ada.text_when("[data-testid=typing]", |text| text.contains("is typing")).await?;
    ben.click("[data-testid=say]").await?;
    list_when(&ada, messages, |said| said.len() == 2).await?;
    // The server is killed; messages sent now wait, and are published once.
    log.kill()?;
    say(&ada, "said to nobody").await?;
    say(&ada, "and again").await?;
    list_when(&ada, ".chat-log li.unsent p", |said| said == ["said to nobody", "and again"]).await?;
    log.again()?;
    let all = ["before anybody came", "writing", "said to nobody", "and again", "after all"];
    list_when(&ada, ".chat-log li.unsent p", <[String]>::is_empty).await?;
    list_when(&ben, messages, |said| said.len() == 4).await?;
    say(&ben, "after all").await?;
    for browser in [&ada, &ben] {
        let said =
            list_when(browser, messages, |said| said.last().is_some_and(|last| last == "after all")).await?;
        anyhow::ensure!(said == all, "{technique}: {said:?}");
    }
    ada.close().await?;
    ben.close().await
}

#[test]
fn what_a_closed_window_left_unsent_is_sent_by_the_next_and_once() {
    run(async || {
        let mut log = Restarted::start()?;
        let ada = Browser::open(&log.url(), 1440).await?;
        let first = ada.driver.window().await?;
        ada.go("/use-cases/chat").await?;
        is_open(&ada).await?;
        let second = ada.driver.new_tab().await?;
        ada.driver.switch_to_window(second.clone()).await?;
        ada.go("/use-cases/chat").await?;
        is_open(&ada).await?;
        log.kill()?;
        let unsent = ".chat-log li.unsent p";
        say(&ada, "from the second").await?;
        list_when(&ada, unsent, |said| said.len() == 1).await?;
        ada.driver.switch_to_window(first).await?;
        say(&ada, "from the first").await?;
        list_when(&ada, unsent, |said| said.len() == 1).await?;
        ada.driver.close_window().await?;
        ada.driver.switch_to_window(second).await?;
        log.again()?;
        ada.driver.refresh().await?;
        let messages = "[data-testid=messages] li:not(.unsent) p";
        let said = list_when(&ada, messages, |said| said.len() >= 2).await?;
        list_when(&ada, unsent, <[String]>::is_empty).await?;
        anyhow::ensure!(said.len() == 2 && said.contains(&"from the first".to_owned()), "{said:?}");
        ada.close().await
    });
}

#[test]
fn a_chat_loses_and_doubles_nothing_by_short_polling() {
    run(async || chats("short-polling").await);
}

#[test]
fn a_chat_loses_and_doubles_nothing_by_long_polling() {
    run(async || chats("long-polling").await);
}

#[test]
fn a_chat_loses_and_doubles_nothing_by_sse() {
    run(async || chats("sse").await);
}

#[test]
fn a_chat_loses_and_doubles_nothing_by_websocket() {
    run(async || chats("websocket").await);
}

/// Script that moves the pointer over the field, onto the ball.
const CATCH: &str = "
    const field = document.querySelector('[data-testid=field]'), box = field.getBoundingClientRect();
    const ball = n => [0.754877666246693, 0.569840290998053].map(step => 0.08 + 0.84 * ((n * step) % 1));
    window.catching ??= setInterval(() => {
        const caught = document.querySelector('[data-testid=caught]').textContent.match(/ball (\\d+)/);
        const [x, y] = ball(caught ? Number(caught[1]) + 1 : 1), shake = Math.random() * 0.01;
        const place = { clientX: box.left + box.width * (x + shake), clientY: box.top + box.height * y, bubbles: true };
        field.dispatchEvent(new PointerEvent('pointermove', place));
    }, 40);
    return true;";

#[test]
fn pointers_are_seen_by_the_others_and_a_ball_is_caught_once() {
    run(async || {
        let mut log = Restarted::start()?;
        let (ada, ben) = (Browser::open(&log.url(), 1440).await?, Browser::open(&log.url(), 1440).await?);
        for technique in TECHNIQUES {
            for browser in [&ada, &ben] {
                browser.go(&format!("/use-cases/pointer?by={technique}")).await?;
                is_open(browser).await?;
            }
            for browser in [&ada, &ben] {
                browser.ask(CATCH, &[]).await?;
            }
            for browser in [&ada, &ben] {
                list_when(browser, "[data-testid=pointers] li", |names| names.len() >= 2).await?;
                browser.text_when("[data-testid=caught]", |text| text.contains("caught ball")).await?;
            }
            let before = published(&log, "use-case.game").await?.len();
            log.kill()?;
            log.again()?;
            let began = std::time::Instant::now();
            while published(&log, "use-case.game").await?.len() <= before {
                anyhow::ensure!(began.elapsed() < DEADLINE, "no ball is caught after the restart");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            for browser in [&ada, &ben] {
                list_when(browser, "[data-testid=pointers] li", |names| names.len() >= 2).await?;
            }
        }
        let caught = published(&log, "use-case.game").await?;
        let mut balls: Vec<u64> = caught.iter().filter_map(|one| one["n"].as_u64()).collect();
        let count = balls.len();
        balls.dedup();
        anyhow::ensure!(count > 3 && balls.len() == count, "each ball is caught once: {caught:?}");
        ada.close().await?;
        ben.close().await
    });
}

/// Script that makes the given number of random edits of the text, as if they were typed.
const SCRIBBLE: &str = "
    const area = document.querySelector('[data-testid=paper]'), done = arguments[arguments.length - 1];
    let left = arguments[0];
    (function step() {
        if (left-- === 0) return done(area.value.length);
        const at = Math.floor(Math.random() * (area.value.length + 1));
        const gone = Math.random() < 0.3 ? Math.floor(Math.random() * 4) : 0;
        const words = gone ? '' : ['a', 'é', '😀', 'word ', '\\n'][Math.floor(Math.random() * 5)];
        area.setRangeText(words, at, Math.min(area.value.length, at + gone), 'end');
        area.dispatchEvent(new Event('input', { bubbles: true }));
        setTimeout(step, 0);
    })();";
const PAPER: &str = "return document.querySelector('[data-testid=paper]').value;";

async fn write_together(technique: &str, edits: u32) -> anyhow::Result<()> {
    let mut log = Restarted::start()?;
    let (ada, ben) = (Browser::open(&log.url(), 1440).await?, Browser::open(&log.url(), 1440).await?);
    for browser in [&ada, &ben] {
        browser.go(&format!("/use-cases/text?by={technique}")).await?;
        is_open(browser).await?;
    }
    let scribble = async |count: u32| {
        let (one, other) = tokio::join!(
            ada.driver.execute_async(SCRIBBLE, vec![count.into()]),
            ben.driver.execute_async(SCRIBBLE, vec![count.into()]),
        );
        one.and(other).map(drop)
    };
    scribble(edits).await?;
    // Both go on writing while there is no server.
    log.kill()?;
    scribble(edits).await?;
    log.again()?;
    scribble(edits).await?;
    for browser in [&ada, &ben] {
        browser.text_when("[data-testid=sent]", |sent| !sent.contains("waiting")).await?;
    }
    let text = ada.ask(PAPER, &[]).await?;
    // The last edits may still be on their way to the pages.
    let mut text = text;
    let began = std::time::Instant::now();
    while ben.ask(PAPER, &[]).await? != text || ada.ask(PAPER, &[]).await? != text {
        anyhow::ensure!(began.elapsed() < DEADLINE, "{technique}: the two texts differ");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        text = ada.ask(PAPER, &[]).await?;
    }
    anyhow::ensure!(text.as_str().is_some_and(|text| text.len() > 20), "{technique}: {text}");
    // A writer who comes now reads the same text.
    let late = Browser::open(&log.url(), 1440).await?;
    late.go(&format!("/use-cases/text?by={technique}")).await?;
    late.find("[data-testid=paper]").await?;
    late.ask_when(PAPER, &[], |now| *now == text).await?;
    late.close().await?;
    ada.close().await?;
    ben.close().await
}

#[test]
fn writers_converge_after_a_thousand_edits_online_and_offline_by_websocket() {
    run(async || write_together("websocket", 170).await);
}

#[test]
fn writers_converge_by_sse() {
    run(async || write_together("sse", 20).await);
}

#[test]
fn writers_converge_by_long_polling() {
    run(async || write_together("long-polling", 20).await);
}

#[test]
fn writers_converge_by_short_polling() {
    run(async || write_together("short-polling", 20).await);
}

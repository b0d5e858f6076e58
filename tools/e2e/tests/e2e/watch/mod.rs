//! The page of a technique while events come, and the files that it exports.

mod exports;

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, Server, TECHNIQUES, run};
use serde_json::Value;
use thirtyfour::Key;

const COUNT: &str = "[data-testid=count]";
const MATCHING: &str = "[data-testid=matching]";
const STATE: &str = "[data-testid=wire-state]";
const LIST: &str = "[aria-label='Wire records']";
const ROW: &str = "[data-testid=wire] tr[aria-selected]";

/// Script that counts the pixels of the diagram that have the technique's colour.
const COLOURED: &str = "
    const canvas = document.querySelector('[data-testid=sequence]');
    const probe = document.createElement('canvas').getContext('2d');
    probe.fillStyle = getComputedStyle(canvas).getPropertyValue('--c').trim();
    probe.fillRect(0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
        const off = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue);
        if (data[at + 3] > 200 && off < 24) count += 1;
    }
    return count;";
/// Script that returns the index of the chosen row, -1 if none is chosen.
const CHOSEN: &str = "
    const rows = [...document.querySelectorAll('[data-testid=wire] tr[aria-selected]')];
    return rows.findIndex(row => row.getAttribute('aria-selected') === 'true');";
/// Script that returns the figures of the chosen row, the bytes in its caption (total first), and the bytes of its
/// parts.
const ANATOMY: &str = "
    const row = document.querySelector('[data-testid=wire] tr[aria-selected=true]');
    const caption = document.querySelector('.raw .meta').textContent;
    const split = caption.match(/, (\\d+) B: headers (\\d+), framing (\\d+), payload (\\d+) /);
    if (!row || !split) return null;
    const cells = [...row.querySelectorAll('td.r')].slice(0, 3);
    const parts = [...document.querySelectorAll('[data-testid=anatomy] small')];
    return {
        row: cells.map(cell => Number(cell.textContent.replace('–', '0'))),
        total: Number(split[1]),
        split: split.slice(2).map(Number),
        parts: parts.map(part => Number(part.textContent.match(/, (\\d+) B$/)[1])),
        caption,
    };";

#[test]
fn what_moves_is_drawn_in_the_techniques_colour_and_listed() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for (technique, path) in TECHNIQUES {
            flow(&browser, path, 20).await?;
            let is_drawn = |pixels: &Value| pixels.as_u64().is_some_and(|count| count > 100);
            browser.ask_when(COLOURED, &[], is_drawn).await.with_context(|| format!("draws {technique}"))?;
            browser.text_when(STATE, |text| text == "following").await?;
            browser.text_when(MATCHING, |text| units_of(text).is_some_and(|count| count > 3)).await?;
            browser.find(&format!("{ROW}:nth-of-type(4)")).await?;
        }
        ensure!(browser.console_errors().await?.is_empty(), "{:?}", browser.console_errors().await?);
        browser.close().await
    });
}

#[test]
fn filter_and_search_take_parts_of_the_whole() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for (technique, path) in TECHNIQUES {
            flow(&browser, path, 20).await?;
            // Units that come after a row is chosen are not counted, so that the parts can be added up.
            browser.click(ROW).await?;
            browser.text_when(STATE, |text| text.starts_with("standing still")).await?;
            let all = units(&browser).await?;
            let mut parts = Vec::new();
            for kind in ["Data", "Heads", "Control"] {
                browser.choose("Records", kind).await?;
                parts.push(units(&browser).await?);
            }
            let [data, heads, control] = parts[..] else { anyhow::bail!("{parts:?}") };
            ensure!(data > 0 && heads > 0, "{technique}: {parts:?}");
            ensure!(data + heads + control == all, "{technique}: {parts:?} of {all}");
            browser.choose("Records", "All").await?;

            let search = browser.find("[data-testid=search]").await?;
            search.send_keys("get /v1/").await?;
            let requests = units(&browser).await?;
            ensure!(requests > 0 && requests <= heads, "{technique}: {requests} requests, {heads} heads");
            search.send_keys(", and no such bytes").await?;
            browser.text_when(MATCHING, |text| text == "0 units").await?;
            search.send_keys(Key::Control + "a").await?;
            search.send_keys(Key::Backspace + "").await?;
            browser.text_when(MATCHING, |text| units_of(text) == Some(all)).await?;
        }
        browser.close().await
    });
}

#[test]
fn a_chosen_row_stands_still_and_its_bytes_add_up() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for (technique, path) in TECHNIQUES {
            flow(&browser, path, 20).await?;
            // A poll is three units, and a few polls bring the twenty events.
            let is_enough =
                |text: &str| text.split(' ').next().and_then(|n| n.parse().ok()).is_some_and(|n: u32| n > 15);
            browser.text_when("[data-testid=matching]", is_enough).await?;
            browser.click(&format!("{ROW}:nth-of-type(4)")).await?;
            browser.text_when(STATE, |text| text.starts_with("standing still")).await?;
            let place = browser.ask(CHOSEN, &[]).await?.as_i64().context("a place")?;
            browser.text_when(STATE, |text| text.ends_with("newer")).await?;
            let is_at = |place: i64| move |now: &Value| now.as_i64() == Some(place);
            browser
                .ask_when(CHOSEN, &[], is_at(place))
                .await
                .with_context(|| format!("{technique} moves"))?;

            let list = browser.find(LIST).await?;
            list.send_keys(Key::Down + "").await?;
            browser
                .ask_when(CHOSEN, &[], is_at(place + 1))
                .await
                .with_context(|| format!("{technique}: one down"))?;
            list.send_keys(Key::Up + "").await?;
            browser
                .ask_when(CHOSEN, &[], is_at(place))
                .await
                .with_context(|| format!("{technique}: one up"))?;
            for below in place..place + 6 {
                browser
                    .ask_when(CHOSEN, &[], is_at(below))
                    .await
                    .with_context(|| format!("{technique}: down to {below}"))?;
                browser.ask_when(ANATOMY, &[], adds_up).await.with_context(|| technique.to_owned())?;
                list.send_keys(Key::Down + "").await?;
            }

            list.send_keys(Key::Escape + "").await?;
            browser.text_when(STATE, |text| text == "following").await?;
            browser.ask_when(CHOSEN, &[], is_at(-1)).await?;
        }
        browser.close().await
    });
}

#[test]
fn a_stream_goes_on_by_another_technique_and_nothing_is_lost() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        flow(&browser, "/sse", 20).await?;
        let mut published = 0;
        for next in ["websocket", "long_poll", "short_poll", "sse"] {
            browser.click(&format!("[data-testid=go-on-{next}]")).await?;
            browser.find(&format!(".technique[data-technique={next}]")).await?;
            let is_more = |text: &str| {
                journey_of(text).is_some_and(|[log, lost, twice]| lost + twice > 0 || log > published + 40)
            };
            let said = browser.text_when("[data-testid=journey]", is_more).await?;
            let [log, lost, twice] = journey_of(&said).context("a journey")?;
            ensure!(lost == 0 && twice == 0, "on the way to {next}: {said}");
            browser.find(&format!(".legs li[data-technique={next}]")).await?;
            published = log;
        }
        browser.close().await
    });
}

/// Opens the page of a technique, has twenty events a second published, and waits until `events` have come.
async fn flow(browser: &Browser, path: &str, events: u64) -> anyhow::Result<()> {
    browser.go(path).await?;
    browser.slide("Event rate", "20/s").await?;
    browser.count_above(COUNT, events).await?;
    Ok(())
}

/// Returns the number of units in the list, once it has been counted anew.
async fn units(browser: &Browser) -> anyhow::Result<u64> {
    let text = browser.settled(MATCHING).await?;
    units_of(&text).with_context(|| format!("{text:?} is no number of units"))
}

/// Parses a number of units, as in `12 units`.
fn units_of(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

/// Parses a journey, as in `12 in the log since the first: 0 lost, 0 twice`.
fn journey_of(text: &str) -> Option<[u64; 3]> {
    let (published, rest) = text.split_once(" in the log since the first: ")?;
    let (lost, rest) = rest.split_once(" lost, ")?;
    let twice = rest.strip_suffix(" twice")?;
    Some([published.parse().ok()?, lost.parse().ok()?, twice.parse().ok()?])
}

/// True if the panel shows the chosen row, and its parts come to the sum in the caption.
fn adds_up(told: &Value) -> bool {
    let sum = |list: &Value| list.as_array().map(|list| list.iter().filter_map(Value::as_u64).sum::<u64>());
    let total = told["total"].as_u64();
    told["row"] == told["split"]
        && total.is_some()
        && total == sum(&told["split"])
        && total == sum(&told["parts"])
}

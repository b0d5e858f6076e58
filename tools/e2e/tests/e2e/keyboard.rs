//! Each page by the keyboard alone: the order in which the focus moves, and the names of the elements that it meets.

use fourways_e2e::{Browser, PAGES, Server, run};
use serde_json::{Value, json};
use thirtyfour::Key;

/// Number of stops tried on a page, more than any has.
const MOST: usize = 400;

/// Script that returns the element with the focus: its position in the document, its name, and whether it can be seen.
const HERE: &str = "
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const all = [...document.querySelectorAll('*')];
    const labels = one.labels ? [...one.labels].map(label => label.textContent).join(' ') : '';
    const by = (one.getAttribute('aria-labelledby') ?? '').split(' ').map(id => document.getElementById(id)?.textContent ?? '').join(' ');
    const name = one.getAttribute('aria-label') ?? (by.trim() || labels.trim() || one.textContent.trim() || one.title || one.placeholder);
    const { width, height } = one.getBoundingClientRect();
    return { at: all.indexOf(one), name: name?.trim().slice(0, 60) ?? '', tag: one.outerHTML.slice(0, 120), isSeen: width > 0 && height > 0, isMain: !!one.closest('main'), isNumber: one.type === 'number' };";
/// Script that counts the elements of the page's main part that can be reached: of a group of radio buttons one, and
/// those that scroll.
const REACHABLE: &str = "
    const is_there = one => one.getClientRects().length > 0 && !one.disabled && one.tabIndex >= 0 && !one.closest('[inert]');
    const all = [...document.querySelectorAll('main :is(a[href], button, input, select, textarea, [tabindex])')].filter(is_there);
    return all.filter(one => one.type !== 'radio').length;";

async fn tab(browser: &Browser) -> anyhow::Result<Value> {
    browser.driver.action_chain().send_keys(Key::Tab + "").perform().await?;
    browser.ask(HERE, &[]).await
}

/// Walks through a page tab by tab, from the top until the focus has left it.
async fn walk(browser: &Browser, page: &str) -> anyhow::Result<()> {
    browser.go(page).await?;
    browser.find("h1").await?;
    browser.ask("document.activeElement.blur(); return true;", &[]).await?;
    let first = tab(browser).await?;
    anyhow::ensure!(first["name"] == "Skip to content", "{page} begins with {first}");
    let (mut before, mut in_main) = (first, 0);
    for stop in 0..MOST {
        let here = tab(browser).await?;
        let is_end = here.is_null() || here["name"] == "Skip to content";
        if is_end {
            anyhow::ensure!(in_main > 0 || page == "/nowhere", "{page}: nothing in it can be reached");
            let reachable = browser.ask(REACHABLE, &[]).await?.as_u64().unwrap_or_default();
            // Elements that come and go by themselves may be met or not.
            anyhow::ensure!(in_main * 10 >= reachable * 8, "{page}: {in_main} of {reachable} can be reached");
            return Ok(());
        }
        anyhow::ensure!(here["name"] != "", "{page}, stop {stop}: no name for {}", here["tag"]);
        anyhow::ensure!(here["isSeen"] == true, "{page}, stop {stop}: not to be seen: {}", here["tag"]);
        // The order is the document's. Elements that are added meanwhile move later ones up, never down.
        anyhow::ensure!(
            here["at"].as_u64() > before["at"].as_u64() || here["isMain"] == true,
            "{page}, stop {stop}: {} comes after {}",
            here["tag"],
            before["tag"]
        );
        in_main += u64::from(here["isMain"] == true);
        before = here;
    }
    anyhow::bail!("{page}: the focus never comes to its end; it is at {before}")
}

fn walk_some(part: usize) {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let mut wrong = Vec::new();
        for page in PAGES.into_iter().skip(part).step_by(2) {
            wrong.extend(walk(&browser, page).await.err().map(|error| format!("{error:#}")));
        }
        anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        browser.close().await
    });
}

#[test]
fn each_page_can_be_walked_through_by_tab() {
    walk_some(0);
}

#[test]
fn each_other_page_can_be_walked_through_by_tab() {
    walk_some(1);
}

#[test]
fn the_skip_link_skips_and_the_focus_follows_the_page() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for page in ["/", "/decide", "/sse", "/use-cases/chat"] {
            browser.go(page).await?;
            browser.find("h1").await?;
            browser.ask("document.activeElement.blur(); return true;", &[]).await?;
            tab(&browser).await?;
            browser.driver.action_chain().send_keys(Key::Enter + "").perform().await?;
            browser.ask_when("return document.activeElement.id;", &[], |id| *id == json!("main")).await?;
            let next = tab(&browser).await?;
            anyhow::ensure!(next["isMain"] == true, "{page}: after the skip link comes {next}");
        }
        // A link takes the focus along to the new page.
        browser.find("#page-long-polling").await?.send_keys(Key::Enter + "").await?;
        let heading = "return document.activeElement.tagName + ' ' + document.activeElement.textContent;";
        browser.ask_when(heading, &[], |text| *text == json!("H1 Long polling")).await?;
        let next = tab(&browser).await?;
        anyhow::ensure!(next["isMain"] == true, "after the heading comes {next}");
        browser.driver.back().await?;
        browser.ask_when("return document.activeElement.tagName;", &[], |tag| *tag == json!("H1")).await?;
        browser.close().await
    });
}

#[test]
fn what_is_chosen_can_be_seen_in_forced_colours() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
        browser.driver.cdp().send_raw("Emulation.setEmulatedMedia", forced).await?;
        // Script that returns the outlines of a chosen element and of one that is not chosen.
        let frames = "
            const frame = css => { const one = document.querySelector(css); return one && getComputedStyle(one).outlineStyle; };
            return [arguments[0], arguments[1]].map(frame);";
        for (page, chosen, other) in [
            ("/sse", "nav a[aria-current]", "nav a:not([aria-current])"),
            (
                "/sse",
                "[aria-label='Time shown'] [aria-checked=true]",
                "[aria-label='Time shown'] [aria-checked=false]",
            ),
            ("/compare", ".preset[aria-checked=true]", ".preset[aria-checked=false]"),
            ("/decide", ".asked [aria-checked=true]", ".asked [aria-checked=false]"),
        ] {
            browser.go(page).await?;
            browser.find(chosen).await?;
            let framed = browser.ask(frames, &[json!(chosen), json!(other)]).await?;
            anyhow::ensure!(framed == json!(["solid", "none"]), "{page} {chosen}: {framed}");
        }
        browser.end().await
    });
}

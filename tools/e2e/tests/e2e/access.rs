//! The pages for people who see little, hear them read out, use no mouse, or hold a telephone.

use anyhow::Context as _;
use fourways_e2e::{Browser, Server, run};
use serde_json::{Value, json};
use thirtyfour::Key;

/// Every page, with an element that is there once the page is at work. `/nowhere` stands for addresses that lead
/// nowhere.
pub(crate) const PAGES: [(&str, &str); 20] = [
    ("/", "[data-testid=events-sse]"),
    ("/short-polling", "[data-testid=count]"),
    ("/long-polling", "[data-testid=count]"),
    ("/sse", "[data-testid=count]"),
    ("/websocket", "[data-testid=count]"),
    ("/compare", "[data-testid=run]"),
    ("/path", "[data-testid=path-run]"),
    ("/decide", "[data-testid=shadow] td"),
    ("/use-cases", ".use"),
    ("/use-cases/chat", "[data-testid=people] li"),
    ("/use-cases/score", "[data-testid=score]"),
    ("/use-cases/order", "[data-testid=orders] li"),
    ("/use-cases/notice", "[data-testid=notices] li"),
    ("/use-cases/dashboard", ".tile path"),
    ("/use-cases/upload", "[data-testid=steps] .bar"),
    ("/use-cases/pointer", "[data-testid=field]"),
    ("/use-cases/text", "[data-testid=paper]"),
    ("/use-cases/trade", "[data-testid=book] td"),
    ("/operate", "[data-testid=topics] td"),
    ("/nowhere", ".blank"),
];

/// All rules of the audit; those that look at colours, since nothing else differs in another theme; and all others, since
/// colours do not differ in another width, and the audit spends most of its time on them.
const EVERY_RULE: &str = "{}";
const RULES_OF_COLOUR: &str = "{ runOnly: ['color-contrast', 'link-in-text-block'] }";
const RULES_OF_LAYOUT: &str = "{ rules: { 'color-contrast': { enabled: false } } }";

/// Script that calls back with the rules that the page breaks, and with the number of those that it keeps. `RULES` is
/// replaced.
const AUDIT: &str = "
    const done = arguments[arguments.length - 1];
    const why = node => [...node.any, ...node.all, ...node.none].map(check => check.message).join('; ');
    const where = node => `${node.target.join(' ')} (${why(node)})`;
    const told = found => ({
        broken: found.violations.map(rule => `${rule.id}: ${rule.nodes.map(where).join(', ')}`),
        kept: found.passes.length,
    });
    // A colour on its way to another is neither of the two.
    const moves = document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished);
    Promise.allSettled(moves)
        .then(() => axe.run(document, RULES))
        .then(found => done(told(found)), error => done({ broken: [String(error)], kept: 0 }));";
/// Script that adds faults to a page, to see that an audit finds them.
const PLANT: &str = "
    const image = document.createElement('img'), button = document.createElement('button');
    image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
    document.querySelector('main').append(image, button);";
/// Script that returns the elements that lie completely under the header when they have the focus (WCAG 2.2, 2.4.11).
/// It walks upwards, as with Shift and Tab.
const OBSCURED: &str = "
    const edge = () => document.querySelector('.top').getBoundingClientRect().bottom;
    const all = [...document.querySelectorAll('main :is(a, button, input, select, [tabindex])')];
    window.scrollTo(0, document.documentElement.scrollHeight);
    const is_hidden = element => {
        element.focus();
        const { width, bottom } = element.getBoundingClientRect();
        return width > 0 && document.activeElement === element && bottom <= edge();
    };
    return all.reverse().filter(is_hidden).map(element => element.textContent.trim() || element.outerHTML);";

#[test]
fn pages_are_for_all_on_a_screen() {
    audit_all(1440);
}

#[test]
fn pages_are_for_all_on_a_telephone() {
    audit_all(380);
}

#[test]
fn an_audit_finds_what_is_wrong() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/compare").await?;
        browser.find("h1").await?;
        browser.ask(PLANT, &[]).await?;
        let broken = audit(&browser, EVERY_RULE).await?.join("\n");
        anyhow::ensure!(broken.contains("image-alt") && broken.contains("button-name"), "only {broken:?}");
        browser.close().await
    });
}

#[test]
fn what_has_the_focus_can_be_seen() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let mut wrong = Vec::new();
        for (page, at_work) in PAGES {
            browser.go(page).await?;
            browser.find(at_work).await?;
            let hidden = browser.ask(OBSCURED, &[]).await?;
            if hidden != json!([]) {
                wrong.push(format!("{page}: under the header are {hidden}"));
            }
        }
        anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        browser.close().await
    });
}

/// Audits each page in use: in light, and on a screen in dark too.
fn audit_all(width: u32) {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), width).await?;
        if width < 500 {
            browser.narrow(width).await?;
        }
        browser.before_load("localStorage.setItem('fourways-theme', 'light')").await?;
        let mut wrong = Vec::new();
        for (page, at_work) in PAGES {
            browser.go(page).await?;
            browser.find("html[data-theme=light]").await?;
            browser.find(at_work).await?;
            use_it(&browser, page, at_work).await.with_context(|| format!("using {page}"))?;
            let mut broken = audit(&browser, if width < 500 { RULES_OF_LAYOUT } else { EVERY_RULE }).await?;
            if width >= 500 {
                browser.click("#theme").await?;
                browser.find("html[data-theme=dark]").await?;
                let dark = audit(&browser, RULES_OF_COLOUR).await?;
                broken.extend(dark.into_iter().map(|rule| format!("in dark: {rule}")));
            }
            wrong.extend(broken.into_iter().map(|rule| format!("{page}: {rule}")));
            let shown = browser.ask("return document.documentElement.scrollWidth", &[]).await?;
            if shown.as_u64().is_none_or(|shown| shown > u64::from(width)) {
                wrong.push(format!("{page} is {shown} pixels wide"));
            }
        }
        wrong.extend(browser.console_errors().await?);
        anyhow::ensure!(wrong.is_empty(), "{width} pixels:\n{}", wrong.join("\n"));
        browser.close().await
    });
}

/// Opens the parts of a page that show only in use.
async fn use_it(browser: &Browser, page: &str, at_work: &str) -> anyhow::Result<()> {
    match at_work {
        "[data-testid=count]" => {
            browser.count_above(at_work, 2).await?;
            browser.click("[data-testid=wire] tr[aria-selected]").await?;
            browser.click("[data-testid=hold]").await?;
            browser.click("[data-testid=fault-buffer]").await?;
            browser.choose("Your prediction", "nothing is noticed").await?;
            if page == "/websocket" {
                // A result looks the same on all four pages; on this one it comes soonest.
                browser.click("[data-testid=break]:enabled").await?;
                browser.find("[data-testid=fault-result]").await?;
            }
        }
        "[data-testid=run]" => {
            let seconds = browser.find("input[type=number]").await?;
            seconds.send_keys(Key::Control + "a").await?;
            seconds.send_keys("2" + Key::Tab).await?;
            browser.click(at_work).await?;
            browser.find("[data-testid=delivery] tbody tr").await?;
        }
        "[data-testid=events-sse]" => {
            browser.count_above(at_work, 2).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Returns the rules that the page breaks, each with the elements and the reasons.
async fn audit(browser: &Browser, rules: &str) -> anyhow::Result<Vec<String>> {
    let script =
        std::env::var_os("FOURWAYS_AXE").context("FOURWAYS_AXE is not set: run `cargo xtask test`")?;
    let script = std::fs::read_to_string(script).context("axe-core can't be read")?;
    // The second audit of a page finds the script there already.
    if browser.ask("return typeof axe", &[]).await? == json!("undefined") {
        browser.ask(&script, &[]).await?;
    }
    let audit = AUDIT.replace("RULES", rules);
    let found = browser.driver.execute_async(audit, Vec::<Value>::new()).await?.json().clone();
    let broken = found["broken"].as_array().context("axe-core does not answer")?;
    anyhow::ensure!(found["kept"] != json!(0) || !broken.is_empty(), "axe-core has looked at nothing");
    Ok(broken.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

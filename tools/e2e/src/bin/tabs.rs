//! Ten tabs of one browser read by `client.js` while the tab that holds the stream is closed, crashed, frozen or sent
//! to another page, at random; the ledger then tells whether any event was lost, repeated or reordered.
//!
//! `cargo run -p fourways-e2e --bin tabs -- [minutes] [seed]`

use std::time::{Duration, Instant};

use anyhow::Context as _;
use fourways_e2e::{Browser, Server};
use serde_json::{Value, json};
use thirtyfour::WindowHandle;

const TABS: usize = 10;
/// Rate of publishing, in events a second.
const RATE: u64 = 40;
/// Pause between two blows to the tabs.
const PAUSE: Duration = Duration::from_secs(3);
/// Time that a tab stays frozen or away.
const AWAY: Duration = Duration::from_secs(8);

/// Script that reads from a cursor on, and reports the events to the ledger. `READER` and `AFTER` are replaced.
const READ: &str = "
    const { subscribe } = await import('/client.js');
    globalThis.held = [];
    globalThis.last = { technique: null, state: null };
    globalThis.resets = 0;
    let after = 'AFTER';
    globalThis.stream = subscribe('js.*', event => held.push(+event.cursor.split('-')[1]), {
        after, tabMs: 2000, onState: state => { last = state; }, onReset: () => { resets++; }, onError: error => { last = { state: error.message }; },
    });
    globalThis.report = async () => {
        const [through, said] = [stream.cursor, held];
        if (!through || through === after) return;
        held = [];
        const technique = last.technique ?? 'websocket';
        const body = JSON.stringify({ reader: 'READER', technique, topics: ['js.*'], after, through, held: said });
        after = through;
        // If the tab ends during this, its report is lost with it; other tabs repeat theirs until the server accepts
        // it.
        for (;;) {
            const answer = await fetch('/v1/ledger', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }).catch(() => null);
            if (answer?.ok) return;
            await new Promise(done => setTimeout(done, 200));
        }
    };
    setInterval(report, 1000);";

struct Tabs {
    server: Server,
    browser: Browser,
    open: Vec<WindowHandle>,
    made: u32,
    blows: [(&'static str, u32); 5],
    random: u64,
}

impl Tabs {
    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 16).unwrap_or(0) % limit
    }

    async fn begin(&mut self, tab: &WindowHandle) -> anyhow::Result<()> {
        self.made += 1;
        let cursor = reqwest::get(format!("{}/v1/events?topic=js.*", self.server.url())).await?;
        let cursor = cursor.headers().get("ETag").context("a place")?.to_str()?.trim_matches('"').to_owned();
        let script = READ.replace("READER", &format!("tab-{}", self.made)).replace("AFTER", &cursor);
        self.browser.driver.switch_to_window(tab.clone()).await?;
        self.browser.go("/nowhere").await?;
        self.browser.ask(&format!("return (async () => {{ {script} }})();"), &[]).await?;
        Ok(())
    }

    async fn add(&mut self) -> anyhow::Result<()> {
        let tab = self.browser.driver.new_tab().await?;
        self.begin(&tab).await?;
        self.open.push(tab);
        Ok(())
    }

    /// Returns the index of the tab that holds the stream; if none says so at the moment, of any tab.
    async fn leader(&mut self) -> anyhow::Result<usize> {
        for (at, tab) in self.open.clone().iter().enumerate() {
            self.browser.driver.switch_to_window(tab.clone()).await?;
            if self.browser.ask("return globalThis.last?.state;", &[]).await? == json!("open") {
                return Ok(at);
            }
        }
        Ok(self.below(TABS))
    }

    async fn blow(&mut self) -> anyhow::Result<()> {
        let at = if self.below(4) > 0 { self.leader().await? } else { self.below(TABS) };
        let tab = self.open[at].clone();
        self.browser.driver.switch_to_window(tab.clone()).await?;
        let how = self.below(self.blows.len());
        self.blows[how].1 += 1;
        let cdp = self.browser.driver.cdp();
        match self.blows[how].0 {
            "closed" => {
                self.browser.driver.close_window().await?;
                self.open.remove(at);
                self.browser.driver.switch_to_window(self.open[0].clone()).await?;
                self.add().await?;
            }
            "crashed" => {
                // A page that has crashed sends no answer.
                drop(
                    tokio::time::timeout(Duration::from_secs(2), cdp.send_raw("Page.crash", json!({}))).await,
                );
                self.open.remove(at);
                self.browser.driver.switch_to_window(self.open[0].clone()).await?;
                self.add().await?;
            }
            "frozen" => {
                cdp.send_raw("Page.setWebLifecycleState", json!({ "state": "frozen" })).await?;
                tokio::time::sleep(AWAY).await;
                cdp.send_raw("Page.setWebLifecycleState", json!({ "state": "active" })).await?;
            }
            "held by a breakpoint" => {
                let stop =
                    "setTimeout(() => { const end = Date.now() + 8000; while (Date.now() < end); }, 50);";
                self.browser.ask(stop, &[]).await?;
                tokio::time::sleep(AWAY).await;
            }
            _ => {
                self.browser.go("/healthz").await?;
                tokio::time::sleep(AWAY).await;
                self.browser.driver.back().await?;
                // If the browser did not keep the page, it begins again as another reader.
                if self.browser.ask("return typeof held;", &[]).await? == json!("undefined") {
                    self.begin(&tab).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until every tab has all events and has reported them.
    async fn settle(&mut self) -> anyhow::Result<()> {
        for tab in self.open.clone() {
            self.browser.driver.switch_to_window(tab).await?;
            let cursor = reqwest::get(format!("{}/v1/events?topic=js.*", self.server.url())).await?;
            let head =
                cursor.headers().get("ETag").context("a place")?.to_str()?.trim_matches('"').to_owned();
            let offset =
                |cursor: &str| cursor.rsplit('-').next().and_then(|offset| offset.parse::<u64>().ok());
            let is_there = |said: &Value| said.as_str().and_then(offset) >= offset(&head);
            self.browser.ask_when("return stream.cursor;", &[], is_there).await?;
            self.browser.ask("return report();", &[]).await?;
            self.browser.ask_when("return held.length;", &[], |said| *said == json!(0)).await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "it prints what it found")]
async fn main() -> anyhow::Result<()> {
    fourways_e2e::ready();
    let argument = |at: usize, other: u64| {
        std::env::args().nth(at).map_or(Ok(other), |text| text.parse()).context("a whole number")
    };
    let (minutes, seed) = (argument(1, 10)?, argument(2, 7)?);
    let server = Server::with(&["--heartbeat", "1s", "--publish-rate", "0"])?;
    let browser = Browser::with_tabs(&server.url(), 1000).await?;
    let blows = ["closed", "crashed", "frozen", "held by a breakpoint", "shown another page"];
    let mut tabs = Tabs {
        server,
        browser,
        open: Vec::new(),
        made: 0,
        blows: blows.map(|how| (how, 0)),
        random: seed | 1,
    };
    let url = tabs.server.url();
    let publishing = tokio::spawn(async move {
        let (http, mut ticks) =
            (reqwest::Client::new(), tokio::time::interval(Duration::from_millis(1000 / RATE)));
        for number in 0_u64.. {
            ticks.tick().await;
            let request =
                http.post(format!("{url}/v1/topics/js.{}/events", number % 3)).body(number.to_string());
            if let Err(error) = request.header("Content-Type", "application/json").send().await {
                return error.to_string();
            }
        }
        String::new()
    });
    for _ in 0..TABS {
        tabs.add().await?;
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60 * minutes) {
        anyhow::ensure!(!publishing.is_finished(), "publishing ended early");
        tabs.blow().await?;
        tokio::time::sleep(PAUSE).await;
    }
    publishing.abort();
    tabs.settle().await?;
    let ledger: Value =
        reqwest::get(format!("{}/v1/ledger", tabs.server.url())).await?.text().await?.parse()?;
    let rows = ledger["readers"].as_array().context("the ledger has readers")?;
    let sum = |name: &str| rows.iter().filter_map(|row| row[name].as_u64()).sum::<u64>();
    let told: Vec<String> = tabs.blows.iter().map(|(how, count)| format!("{count} {how}")).collect();
    println!(
        "seed {seed}, {minutes} minutes, {} tabs in all ({}): {} events held, {} lost, {} repeated, {} reordered, {} breaks",
        tabs.made,
        told.join(", "),
        sum("held"),
        sum("lost"),
        sum("repeated"),
        sum("reordered"),
        sum("breaks"),
    );
    let wrong = sum("lost") + sum("repeated") + sum("reordered") + sum("foreign") + sum("breaks");
    tabs.browser.end().await?;
    anyhow::ensure!(wrong == 0, "{ledger:#}");
    Ok(())
}

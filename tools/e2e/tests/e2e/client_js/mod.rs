//! `client.js`, as the server hands it out, in Chromium and in Node: each event once and in order, whatever the path
//! does.

mod fallback;
mod model;
mod package;
mod resume;
mod tabs;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::Context as _;
use fourways_e2e::{Browser, DEADLINE, Server};
use serde_json::{Value, json};

/// Script that reads, and keeps the events in `seen` and the states in `states`. `CLIENT`, `SERVER` and `OPTIONS` are
/// replaced.
const READ: &str = "
    globalThis.seen = [];
    globalThis.states = [];
    const { subscribe } = await import(CLIENT);
    const timing = { proofMs: 1500, youngMs: 1000, climbMs: 1500, pollMs: 200 };
    globalThis.stream = subscribe('js.*', ({ data }) => seen.push(data), {
        url: SERVER, ...timing, ...OPTIONS,
        onState: ({ technique, state }) => states.push(`${technique} ${state}`),
        onReset: reset => states.push(`reset ${reset.reason}`),
        onError: error => states.push(`error ${error.message}`),
    });";

fn script(client: &str, server: &str, options: &Value) -> String {
    READ.replace("CLIENT", client)
        .replace("SERVER", &format!("'{server}'"))
        .replace("OPTIONS", &options.to_string())
}

/// A reader that uses `client.js`.
enum Reader {
    Page(Browser),
    Node { child: Child, told: Arc<Mutex<Value>> },
}

impl Reader {
    /// Starts a reader in a page of that very address.
    async fn page(url: &str, options: &Value) -> anyhow::Result<Self> {
        let browser = Browser::open(url, 1000).await?;
        browser.go("/nowhere").await?;
        begin(&browser, url, options).await?;
        Ok(Self::Page(browser))
    }

    /// Starts a reader in a process of its own, whose Node has no `WebSocket` but that of the `ws` package.
    async fn node(url: &str, options: &Value) -> anyhow::Result<Self> {
        let client = reqwest::get(format!("{url}/client.js")).await?.error_for_status()?.text().await?;
        let script = [
            "globalThis.WebSocket ??= (await import('node:module')).createRequire('/')('ws').WebSocket;",
            &script("process.env.CLIENT", url, options),
            "setInterval(() => console.log(JSON.stringify({ seen, states })), 50);",
        ];
        // Modules don't look into `NODE_PATH`; `require` does.
        let mut child = Command::new("node")
            .args(["--input-type=module", "-e", &script.concat()])
            .env("CLIENT", format!("data:text/javascript,{}", percent(&client)))
            .stdout(Stdio::piped())
            .spawn()
            .context("node can't be started")?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let told = Arc::new(Mutex::new(json!({ "seen": [], "states": [] })));
        let newest = Arc::clone(&told);
        // The thread ends with the process.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line) {
                    *newest.lock().unwrap() = line;
                }
            }
        });
        Ok(Self::Node { child, told })
    }

    async fn told(&self) -> anyhow::Result<Value> {
        match self {
            Self::Page(browser) => browser.ask("return { seen, states };", &[]).await,
            Self::Node { told, .. } => Ok(told.lock().unwrap().clone()),
        }
    }

    /// Waits until `wanted` accepts the events that were seen and the last state.
    async fn until(&self, wanted: impl Fn(&[i64], &str) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let told = self.told().await?;
            let seen: Vec<i64> = serde_json::from_value(told["seen"].clone())?;
            let last =
                told["states"].as_array().and_then(|states| states.last()?.as_str()).unwrap_or_default();
            if wanted(&seen, last) {
                return Ok(());
            }
            anyhow::ensure!(began.elapsed() < DEADLINE, "{told}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Waits for the number `last`, and checks that each number came once and in order.
    async fn has_seen_to(&self, last: i64) -> anyhow::Result<()> {
        self.until(|seen, _| seen.last() == Some(&last)).await?;
        let told = self.told().await?;
        let seen: Vec<i64> = serde_json::from_value(told["seen"].clone())?;
        anyhow::ensure!(seen == (1..=last).collect::<Vec<i64>>(), "{told}");
        Ok(())
    }

    async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Page(browser) => browser.close().await,
            Self::Node { mut child, .. } => {
                child.kill()?;
                child.wait()?;
                Ok(())
            }
        }
    }
}

/// Starts a reader in the page that the browser has open.
async fn begin(browser: &Browser, url: &str, options: &Value) -> anyhow::Result<()> {
    let script = script("'/client.js'", url, options);
    browser.ask(&format!("return (async () => {{ {script} }})();"), &[]).await?;
    Ok(())
}

fn percent(text: &str) -> String {
    text.bytes().flat_map(|byte| ["%".to_owned(), format!("{byte:02x}")]).collect()
}

async fn publish(server: &Server, numbers: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
    for number in numbers {
        server.publish(if number % 3 == 0 { "js.b" } else { "js.a" }, number.to_string()).await?;
    }
    Ok(())
}

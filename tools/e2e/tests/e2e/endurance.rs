//! A page that stays open: the memory that it keeps has a limit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use fourways_e2e::{Browser, DEADLINE, Server, TECHNIQUES, run};
use serde_json::json;

/// Rate that fills the buffers, in events a second. Lanes and feed keep 6,000 events for drawing: until they are full,
/// the page grows by design. At this rate that takes 15 seconds, except for the lane of short polling.
const FILLING_PER_S: u32 = 400;
const FULL: u64 = 6_500;
/// Twice the rate of a busy page, in events a second, so that a minute of that page takes half a minute.
const RATE_PER_S: u32 = 400;
const STEPS: u64 = 4;
const EVENTS_A_STEP: u64 = 2_250;

/// Limit of the growth of the app's own memory, in bytes. That memory is never given back, so all of it counts. The
/// lane of short polling still fills: 1,400 answers are kept, of up to 100 events each; two seconds apart, these
/// seconds bring at most 2,300 events of 0.8 kB, which is 1.8 MB. One lane that kept all of its 9,000 events would come
/// to 7 MB.
const MAX_APP_GROWTH: f64 = 4.0 * 1024.0 * 1024.0;
/// Limit of the growth of JavaScript's memory, in bytes. Measured after a collection it moves by 0.2 MB; one object of
/// 60 bytes kept for each event of one lane would come to more than this.
const MAX_SCRIPT_GROWTH: f64 = 512.0 * 1024.0;
/// Limit of the growth of the number of nodes: no node is made for an event and kept, but texts come and go.
const MAX_NODE_GROWTH: f64 = 50.0;

/// Script that keeps a reference to the app's memory, which the app itself does not expose.
const HOLD_MEMORY: &str = "
    for (const name of ['instantiate', 'instantiateStreaming']) {
        const real = WebAssembly[name].bind(WebAssembly);
        WebAssembly[name] = async (...given) => {
            const made = await real(...given);
            window.appMemory = (made.instance ?? made).exports.memory;
            return made;
        };
    }";

/// The memory of a page, in bytes, and the number of its nodes.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    script: f64,
    app: f64,
    nodes: f64,
}

#[test]
fn an_overview_with_400_events_a_second_does_not_grow() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.before_load(HOLD_MEMORY).await?;
        browser.driver.cdp().send_raw("Performance.enable", json!({})).await?;
        browser.go("/").await?;
        let counter = |technique: &str| format!("[data-testid=events-{technique}]");
        for (technique, _) in TECHNIQUES {
            browser.count_above(&counter(technique), 3).await?;
        }
        let topic = server.lab_topic().await?;
        server.feed(&topic, FILLING_PER_S).await?;
        let full = browser.count_above(&counter("sse"), FULL).await?;
        let before = footprint(&browser).await?;
        let mut counts = Vec::new();
        for (technique, _) in TECHNIQUES {
            counts.push(browser.count_above(&counter(technique), 0).await?);
        }
        for step in 1..=STEPS {
            // Asked for again, because the server ends a feed that nobody asks for.
            server.feed(&topic, RATE_PER_S).await?;
            browser.count_above(&counter("sse"), full + step * EVENTS_A_STEP).await?;
        }
        for ((technique, _), before) in TECHNIQUES.into_iter().zip(counts) {
            browser.count_above(&counter(technique), before + STEPS * EVENTS_A_STEP / 20).await?;
        }
        let began = Instant::now();
        loop {
            let after = footprint(&browser).await?;
            anyhow::ensure!(after.app - before.app <= MAX_APP_GROWTH, "the app: {before:?} {after:?}");
            let is_small = after.script - before.script <= MAX_SCRIPT_GROWTH
                && after.nodes - before.nodes <= MAX_NODE_GROWTH;
            if is_small {
                break;
            }
            // Garbage may take another collection to be gone.
            anyhow::ensure!(began.elapsed() < DEADLINE, "JavaScript: {before:?} {after:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::ensure!(browser.console_errors().await?.is_empty(), "{:?}", browser.console_errors().await?);
        browser.close().await
    });
}

async fn footprint(browser: &Browser) -> anyhow::Result<Footprint> {
    let cdp = browser.driver.cdp();
    cdp.send_raw("HeapProfiler.collectGarbage", json!({})).await?;
    let told = cdp.send_raw("Performance.getMetrics", json!({})).await?;
    let metrics = told["metrics"].as_array().context("no metrics")?;
    let metric = |name: &str| {
        let found = metrics.iter().find(|metric| metric["name"] == name);
        found.and_then(|metric| metric["value"].as_f64()).with_context(|| format!("no {name}"))
    };
    let app = browser.ask("return window.appMemory?.buffer.byteLength", &[]).await?;
    Ok(Footprint {
        script: metric("JSHeapUsedSize")?,
        app: app.as_f64().context("the app's memory was not found")?,
        nodes: metric("Nodes")?,
    })
}

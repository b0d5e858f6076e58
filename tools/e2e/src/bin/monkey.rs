//! Lets a monkey loose on every page of the lab.
//!
//! `cargo run -p fourways-e2e --bin monkey -- [seconds a page] [seed]…`; `FOURWAYS_AT_ONCE=N` runs N pages at once, each
//! with a server and a browser of its own.

use std::time::Duration;

use anyhow::Context as _;
use fourways_e2e::{Browser, PAGES, Server, monkey};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

#[expect(clippy::print_stdout, reason = "what it is for")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    fourways_e2e::ready();
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse()).context("seconds")?;
    let seeds: Vec<u32> = arguments.map(|text| text.parse()).collect::<Result<_, _>>().context("a seed")?;
    let seeds = if seeds.is_empty() { vec![1] } else { seeds };
    let at_once = std::env::var("FOURWAYS_AT_ONCE").map_or(Ok(1), |text| text.parse());
    let visits = seeds.iter().flat_map(|seed| PAGES.map(|page| (page, *seed)));
    let visits = stream::iter(visits).map(|(page, seed)| async move {
        let steps = visit(page, seed, Duration::from_secs(seconds)).await;
        let steps = steps.with_context(|| format!("{page}, seed {seed}"))?;
        println!("{page}, seed {seed}: {steps} steps, nothing found");
        anyhow::Ok(steps)
    });
    let visits = visits.buffer_unordered(at_once.context("FOURWAYS_AT_ONCE")?);
    let all: u64 = visits.try_fold(0, async |all, steps| Ok(all + steps)).await?;
    println!("{all} steps, nothing found");
    Ok(())
}

/// Server and browser are new for each page and seed: a finding must come back with nothing but these two.
async fn visit(page: &str, seed: u32, time: Duration) -> anyhow::Result<u64> {
    let server = Server::start()?;
    let browser = Browser::open(&server.url(), 1440).await?;
    let steps = monkey(&browser, page, seed, time).await?;
    browser.end().await?;
    Ok(steps)
}

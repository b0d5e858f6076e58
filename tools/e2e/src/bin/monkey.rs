//! Lets a monkey loose on every page of the lab.
//!
//! `cargo run -p fourways-e2e --bin monkey -- [seconds a page] [seed]…`

use std::time::Duration;

use anyhow::Context as _;
use fourways_e2e::{Browser, PAGES, Server, monkey};

#[expect(clippy::print_stdout, reason = "what it is for")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    fourways_e2e::ready();
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse()).context("seconds")?;
    let seeds: Vec<u32> = arguments.map(|text| text.parse()).collect::<Result<_, _>>().context("a seed")?;
    let seeds = if seeds.is_empty() { vec![1] } else { seeds };
    let mut all = 0;
    for seed in seeds {
        // Server and browser are new for each seed: a finding must come back with nothing but its seed.
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        for page in PAGES {
            let steps = monkey(&browser, page, seed, Duration::from_secs(seconds)).await?;
            println!("{page}, seed {seed}: {steps} steps, nothing found");
            all += steps;
        }
        browser.end().await?;
    }
    println!("{all} steps, nothing found");
    Ok(())
}

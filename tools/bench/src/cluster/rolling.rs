//! A rolling deploy: the servers are stopped and started one after another, under clients that read by SSE and go to
//! another server when theirs ends.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::ensure;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, interval, sleep, timeout},
};

use super::{
    Finding, Flags,
    rig::{Publisher, Rig, stream},
};
use crate::{
    amount::float,
    table::{figure, say},
    tally::Tally,
};

/// Number of events a second that are published meanwhile.
const RATE: u32 = 4;
/// Number of clients a second that a stopping server sends to each other one.
const CLIENTS_PER_S: f64 = 1_000.0;
/// Time over which reconnects are counted, for their rate.
const WINDOW: Duration = Duration::from_secs(1);
/// Time within which every client must have everything.
const DEADLINE: Duration = Duration::from_mins(2);

/// Everything that the clients share.
struct Shared {
    servers: Vec<SocketAddr>,
    is_over: AtomicBool,
    published: AtomicUsize,
    complete: AtomicUsize,
    /// Number of events that were not the next one of their client.
    wrong: AtomicUsize,
    reconnects: Mutex<Vec<Instant>>,
}

pub(super) async fn measure(flags: &Flags) -> anyhow::Result<Vec<Finding>> {
    let mut rig = Rig::start(flags, 3).await?;
    let shared = Arc::new(Shared {
        servers: rig.nodes.iter().map(|node| node.address).collect(),
        is_over: AtomicBool::new(false),
        published: AtomicUsize::new(0),
        complete: AtomicUsize::new(0),
        wrong: AtomicUsize::new(0),
        reconnects: Mutex::default(),
    });
    let mut clients = JoinSet::new();
    for n in 0..flags.clients {
        let wire = stream(shared.servers[n % 3], "bench.rolling", None, &Tally::new(0)).await?;
        clients.spawn(read(wire, n, Arc::clone(&shared)));
    }
    let publishing = tokio::spawn(publish(Arc::clone(&shared)));
    sleep(Duration::from_secs(2)).await;
    for at in 0..3 {
        say(&format!("server {} of 3", at + 1));
        rig.stop(at).await?;
        rig.start_again(at)?;
        rig.ready(at).await?;
        // As a deploy does that waits for each step.
        sleep(Duration::from_secs(3)).await;
    }
    shared.is_over.store(true, Relaxed);
    publishing.await??;
    let began = Instant::now();
    while shared.complete.load(Relaxed) < flags.clients {
        ensure!(
            began.elapsed() < DEADLINE,
            "{} of {} clients have all",
            shared.complete.load(Relaxed),
            flags.clients
        );
        if let Ok(Some(done)) = timeout(Duration::from_millis(50), clients.join_next()).await {
            done??;
        }
    }
    let wrong = shared.wrong.load(Relaxed);
    let mut reconnects = shared.reconnects.lock().unwrap_or_else(PoisonError::into_inner).clone();
    reconnects.sort();
    let within = |from: usize| reconnects[from..].partition_point(|at| *at < reconnects[from] + WINDOW);
    let peak = (0..reconnects.len()).map(within).max().unwrap_or(0);
    // Two others take them; a client's own timer and the kernel's queue add a little.
    let most = 2.0 * CLIENTS_PER_S * 1.1;
    Ok(vec![
        Finding {
            what: format!(
                "events lost, repeated or reordered at {} clients, of {} each",
                flags.clients,
                shared.published.load(Relaxed)
            ),
            value: wrong.to_string(),
            goal: "0",
            is_reached: wrong == 0,
        },
        Finding {
            what: format!("reconnects in the busiest second, of {}", reconnects.len()),
            value: figure(float(peak as u64)),
            goal: "≤ 2,200: 2,000 as told, and a tenth",
            is_reached: float(peak as u64) <= most,
        },
    ])
}

/// Publishes numbers from 1 on, each until a server takes it.
async fn publish(shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    let mut server = 0;
    while !shared.is_over.load(Relaxed) {
        ticks.tick().await;
        let number = shared.published.load(Relaxed) + 1;
        loop {
            let attempt = async {
                let mut publisher = Publisher::open(shared.servers[server % 3]).await?;
                publisher.publish("bench.rolling", &number.to_string()).await
            };
            if attempt.await.is_ok() {
                break;
            }
            server += 1;
            sleep(Duration::from_millis(20)).await;
        }
        shared.published.store(number, Relaxed);
    }
    Ok(())
}

/// Reads until the end, and checks that each number comes once and in order.
async fn read(mut wire: crate::raw::Wire, n: usize, shared: Arc<Shared>) -> anyhow::Result<()> {
    let tally = Tally::new(0);
    let (mut server, mut cursor, mut next, mut retry) = (n, None::<String>, 1, Duration::from_secs(1));
    loop {
        let reading = async {
            loop {
                wire.lines(|line| {
                    let Ok(line) = std::str::from_utf8(line) else { return };
                    if let Some(id) = line.strip_prefix("id: ") {
                        cursor = Some(id.to_owned());
                    } else if let Some(ms) = line.strip_prefix("retry: ").and_then(|ms| ms.parse().ok()) {
                        retry = Duration::from_millis(ms);
                    } else if let Some(number) = number(line) {
                        if number == next {
                            next += 1;
                        } else {
                            shared.wrong.fetch_add(1, Relaxed);
                            next = number + 1;
                        }
                    }
                })
                .await?;
                if shared.is_over.load(Relaxed) && next > shared.published.load(Relaxed) {
                    return anyhow::Ok(());
                }
            }
        };
        match timeout(Duration::from_secs(1), reading).await {
            Ok(Ok(())) => {
                shared.complete.fetch_add(1, Relaxed);
                return Ok(());
            }
            // The time to look whether it is over; what was read is kept.
            Err(_) => {
                if shared.is_over.load(Relaxed) && next > shared.published.load(Relaxed) {
                    shared.complete.fetch_add(1, Relaxed);
                    return Ok(());
                }
            }
            Ok(Err(_)) => {
                sleep(retry).await;
                shared.reconnects.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                wire = loop {
                    server += 1;
                    match stream(shared.servers[server % 3], "bench.rolling", cursor.as_deref(), &tally).await
                    {
                        Ok(wire) => break wire,
                        Err(_) => sleep(Duration::from_millis(10)).await,
                    }
                };
            }
        }
    }
}

fn number(line: &str) -> Option<usize> {
    const MARK: &str = "\"data\":";
    let event = line.strip_prefix("data: {\"type\":\"event\"")?;
    event[event.find(MARK)? + MARK.len()..].split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

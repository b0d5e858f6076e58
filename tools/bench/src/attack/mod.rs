//! `fourways-bench attack`: attacks each door of the server, that is, each way in which any client can make the server
//! work. The cost for the server and for its other clients must stay within bounds, which are the same for all doors.
//!
//! The log holds many topics of others. During an attack, two other clients request `/healthz` on the same worker and
//! publish, again and again; the longest wait of each is reported. Memory is sampled for two seconds while the attacker
//! still holds its connections, and the lowest sample counts. The processor time for the two other clients is
//! subtracted.

mod doors;
mod http2;
mod line;
mod watch;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;

use self::{
    doors::{DOORS, Door},
    line::Held,
    watch::Watch,
};
use crate::{
    amount::float,
    server::Server,
    table::{Table, figure, line as print, say},
};

/// Flags of `fourways-bench attack`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// Number of topics of others that the log holds.
    #[arg(long, default_value_t = 300_000, value_name = "N")]
    topics: usize,

    /// Attack only the doors whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    door: Option<String>,
}

/// Bound of the server's memory for each byte that the attacker has sent, in bytes.
const MEMORY_EACH: f64 = 4.0;
/// Bound of the server's memory for each connection, in bytes, in addition to [`MEMORY_EACH`].
const MEMORY_CONNECTION: f64 = 1024.0 * 1024.0;
/// Bound of the server's processor time for each KiB that the attacker has sent, in microseconds.
const CPU_KIB_US: f64 = 20.0;
/// Bound of the server's processor time for each request, in microseconds, in addition to [`CPU_KIB_US`].
const CPU_QUESTION_US: f64 = 5000.0;
/// Bound of the time that another client waits for an answer.
const WAIT: Duration = Duration::from_millis(100);

/// Number of samples of the memory after an attack.
const SETTLES: usize = 10;
/// Time between two samples of the memory.
const SETTLE: Duration = Duration::from_millis(200);

/// The effort and the cost of one attack.
struct Cost {
    held: Held,
    memory: f64,
    cpu_us: f64,
    healthz: Duration,
    publish: Duration,
}

impl Cost {
    fn is_within(&self) -> bool {
        let Held { bytes, connections, questions } = &self.held;
        let sent = float(*bytes);
        self.memory <= MEMORY_EACH * sent + MEMORY_CONNECTION * float(*connections)
            && self.cpu_us <= CPU_KIB_US * sent / 1024.0 + CPU_QUESTION_US * float(*questions)
            && self.healthz.max(self.publish) <= WAIT
    }
}

/// Attacks every door, and prints the cost of each. Returns false if a cost exceeds its bounds.
///
/// # Errors
/// If the server can't be run, or does not answer other clients after an attack.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).context("no certificate")?;
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let path =
        |path: &std::path::Path| path.to_str().map(str::to_owned).context("a folder's name is not UTF-8");
    let (data, cert, key) = (path(&folder.path().join("data"))?, path(&cert)?, path(&key)?);
    let flagged = ["--data", &data, "--durability", "interval:50ms", "--retain-events", "10000000"];
    say(&format!("creating {} topics", flags.topics));
    {
        let server = Server::with(&flags.server, &flagged)?;
        blocking(server.address, doors::fill(flags.topics)).await?;
    }
    let mut table =
        Table::new(&["door", "sent", "requests", "memory", "processor", "/healthz", "publish", ""], 1);
    let mut is_good = true;
    for door in DOORS {
        if flags.door.as_ref().is_some_and(|wanted| !door.name.contains(wanted.as_str())) {
            continue;
        }
        let tls = ["--tls-cert", &cert, "--tls-key", &key];
        let own: &[&str] = if door.is_secure { &tls } else { &[] };
        let cost = attack(flags, &[&flagged, own].concat(), door).await.context(door.name)?;
        is_good &= cost.is_within();
        say(&format!("{}: {:.0} µs, {:.0} KiB", door.name, cost.cpu_us, cost.memory / 1024.0));
        table.row(vec![
            door.name.to_owned(),
            format!("{} KiB", figure(float(cost.held.bytes) / 1024.0)),
            cost.held.questions.to_string(),
            format!("{} KiB", figure(cost.memory.max(0.0) / 1024.0)),
            format!("{} ms", figure(cost.cpu_us.max(0.0) / 1000.0)),
            format!("{} ms", cost.healthz.as_millis()),
            format!("{} ms", cost.publish.as_millis()),
            if cost.is_within() { String::new() } else { "TOO MUCH".to_owned() },
        ]);
    }
    table.print()?;
    print(&format!(
        "bounds: {MEMORY_EACH} bytes of memory per byte sent and 1 MiB per connection; {CPU_KIB_US} µs of processor time per KiB \
         sent and 5 ms per request; {} ms of waiting for other clients",
        WAIT.as_millis()
    ))?;
    Ok(is_good)
}

async fn attack(flags: &Flags, own: &[&str], door: &Door) -> anyhow::Result<Cost> {
    let server = Server::with(&flags.server, own)?;
    let address = server.address;
    let is_secure = door.is_secure;
    // The first requests of the other clients warm the server up.
    let watch = Watch::begin(address, is_secure)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    watch.read();
    let before = server.cpu_us()?;
    let rested = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rest_us_per_s = (server.cpu_us()? - before) / rested.elapsed().as_secs_f64();
    watch.read();
    let (memory, cpu_us, began) = (server.memory_bytes()?, server.cpu_us()?, std::time::Instant::now());
    let knock = door.knock;
    let (held, kept) =
        blocking(address, move |address| knock(address).map(line::Attacker::into_held)).await?;
    let cpu_us = server.cpu_us()? - cpu_us - rest_us_per_s * began.elapsed().as_secs_f64();
    let (healthz, publish) = watch.read();
    // The allocator returns freed memory only after a moment, and memory that is freed does not count as held.
    let mut least = server.memory_bytes()?;
    for _ in 0..SETTLES {
        tokio::time::sleep(SETTLE).await;
        least = least.min(server.memory_bytes()?);
    }
    let memory = least - memory;
    drop(kept);
    ensure!(watch.is_well(), "other clients are no longer answered");
    Ok(Cost { held, memory, cpu_us, healthz, publish })
}

async fn blocking<T: Send + 'static>(
    address: SocketAddr,
    work: impl FnOnce(SocketAddr) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(move || work(address)).await.context("an attacker has failed")?
}

//! `fourways-bench publish`: measures how many publishes per second are acknowledged as durable, beside Redis Streams
//! and NATS `JetStream` in their most durable settings. All stores run in turn, with the same load and on the same
//! disk.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    amount::{float, seconds},
    publisher::PAYLOAD,
    requests::payload,
    server::{Server, on_its_core},
    table::{Table, figure, line, say},
};

/// Flags of `fourways-bench publish`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// Folder for the data of all stores, each in a separate subfolder. The disk of this folder is measured.
    #[arg(long, value_name = "DIR", default_value = "target/publish")]
    folder: PathBuf,

    /// Duration of each measurement, of which every store has several in each of three rounds.
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,
}

/// Numbers of publishers at once. Each waits for an acknowledgement before it publishes again.
const CROWDS: [usize; 2] = [1, 64];
const ROUNDS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Fourways,
    Redis,
    Nats,
}

const STORES: [Store; 3] = [Store::Fourways, Store::Redis, Store::Nats];

/// A running store. Dropping the handle kills the process.
enum Running {
    Fourways(Server),
    Other(Child, SocketAddr),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Other(child, _) = self {
            // An error means that the process has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Publishes to every store that is installed, and prints the rates.
///
/// # Errors
/// If a store does not behave as expected.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let mut rates: Vec<(Store, usize, Vec<f64>)> = Vec::new();
    for round in 1..=ROUNDS {
        for store in STORES {
            for publishers in CROWDS {
                say(&format!("round {round} of {ROUNDS}: {store:?}, {publishers} at once"));
                let Some(rate) = measure(flags, store, publishers).await? else { continue };
                match rates.iter_mut().find(|(s, p, _)| (*s, *p) == (store, publishers)) {
                    Some((.., found)) => found.push(rate),
                    None => rates.push((store, publishers, vec![rate])),
                }
            }
        }
    }
    let mut table = Table::new(&["", "publishers at once", "acknowledged a second", "lowest", "highest"], 1);
    for (store, publishers, mut found) in rates {
        found.sort_by(f64::total_cmp);
        let (lowest, highest) = (found[0], found[found.len() - 1]);
        table.row(vec![
            store.setting(&flags.folder).to_owned(),
            publishers.to_string(),
            figure(found[found.len() / 2]),
            figure(lowest),
            figure(highest),
        ]);
    }
    table.print()?;
    line(&format!(
        "\nMedian of {ROUNDS}; {PAYLOAD}-byte events, each acknowledged before its publisher's next."
    ))?;
    Ok(true)
}

impl Store {
    fn setting(self, folder: &Path) -> &'static str {
        match self {
            Self::Fourways => "Fourways, --durability always",
            Self::Redis => "Redis Streams, appendfsync always",
            Self::Nats if nats_syncs(folder) => "NATS JetStream, file store, sync_interval always",
            Self::Nats => "NATS JetStream, file store; no sync before it acknowledges",
        }
    }
}

/// Measures the acknowledged publishes per second of a store; `None` if the store is not installed.
async fn measure(flags: &Flags, store: Store, publishers: usize) -> anyhow::Result<Option<f64>> {
    let folder = flags.folder.join(format!("{store:?}").to_lowercase());
    // Remove the data of an earlier round; an error means that there is none.
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    let Some(running) = start(flags, store, &folder).await? else { return Ok(None) };
    let address = match &running {
        Running::Fourways(server) => server.address,
        Running::Other(_, address) => *address,
    };
    let mut connections = Vec::with_capacity(publishers);
    for n in 0..publishers {
        connections.push(Connection::open(store, address, n).await?);
    }
    let until = Instant::now() + flags.seconds;
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < until {
                timeout(DEADLINE, connection.publish()).await.context("no acknowledgement")??;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(ended) = tasks.join_next().await {
        count += ended.context("a publisher panicked")??;
    }
    drop(running);
    drop(fs::remove_dir_all(&folder));
    Ok(Some(float(count) / flags.seconds.as_secs_f64()))
}

async fn start(flags: &Flags, store: Store, folder: &Path) -> anyhow::Result<Option<Running>> {
    let at = folder.display().to_string();
    if store == Store::Fourways {
        let server = Server::start(&flags.server, &["--data", &at, "--durability", "always"])?;
        return Ok(Some(Running::Fourways(server)));
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let port = port.to_string();
    let mut command = if store == Store::Redis {
        let mut command = on_its_core(Path::new("redis-server"));
        command.args(["--bind", "127.0.0.1", "--port", &port, "--dir", &at, "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command
    } else {
        let conf = folder.join("nats.conf");
        let always = if nats_syncs(folder) { ", sync_interval: always" } else { "" };
        fs::write(&conf, format!("listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{at}\"{always} }}\n"))?;
        let mut command = on_its_core(Path::new("nats-server"));
        command.arg("-c").arg(conf);
        command
    };
    let program = if store == Store::Redis { "redis-server" } else { "nats-server" };
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        say("  not installed (apt-get install redis-server nats-server); left out");
        return Ok(None);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let running = Running::Other(child, address);
    let began = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        ensure!(began.elapsed() < DEADLINE, "{store:?} does not listen");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(Some(running))
}

/// True if the installed nats-server can be set to sync before it acknowledges, as versions from 2.10 on can. Older
/// versions sync every two minutes.
fn nats_syncs(folder: &Path) -> bool {
    let conf = folder.join("probe.conf");
    let is_written = fs::write(&conf, "jetstream { sync_interval: always }\n").is_ok();
    let probe = Command::new("nats-server").arg("-t").arg("-c").arg(&conf).output();
    // Only the probe needs the file, so it does no harm if it stays.
    drop(fs::remove_file(&conf));
    is_written && probe.is_ok_and(|output| output.status.success())
}

/// The connection of one publisher. Each protocol is written by hand, so that all stores cost this process equally
/// little.
struct Connection {
    stream: BufReader<TcpStream>,
    store: Store,
    message: Vec<u8>,
}

impl Connection {
    async fn open(store: Store, address: SocketAddr, n: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let data = payload(PAYLOAD);
        let message = match store {
            Store::Fourways => crate::requests::post("bench", "application/json", &data),
            Store::Redis => format!(
                "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\nd\r\n${}\r\n{data}\r\n",
                data.len()
            )
            .into_bytes(),
            Store::Nats => format!("PUB bench _ack.{n} {}\r\n{data}\r\n", data.len()).into_bytes(),
        };
        let mut this = Self { stream: BufReader::new(stream), store, message };
        if store == Store::Nats {
            this.greet(n).await?;
        }
        Ok(this)
    }

    /// Completes the NATS handshake, subscribes to acknowledgements, and creates the stream if it is missing.
    async fn greet(&mut self, n: usize) -> anyhow::Result<()> {
        const STREAM: &str = r#"{"name":"BENCH","subjects":["bench"],"storage":"file"}"#;
        self.line().await?;
        let hello = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB _ack.{n} 1\r\nSUB _made.{n} 2\r\nPUB $JS.API.STREAM.CREATE.BENCH _made.{n} {}\r\n{STREAM}\r\n",
            STREAM.len()
        );
        self.stream.write_all(hello.as_bytes()).await?;
        let answer = timeout(DEADLINE, self.message()).await.context("no answer from JetStream")??;
        ensure!(answer.contains("\"config\"") || answer.contains("already in use"), "no stream: {answer}");
        Ok(())
    }

    /// Publishes one event and waits until it is acknowledged.
    async fn publish(&mut self) -> anyhow::Result<()> {
        let message = std::mem::take(&mut self.message);
        self.stream.write_all(&message).await?;
        self.message = message;
        match self.store {
            Store::Fourways => {
                let status = self.line().await?;
                ensure!(status.contains(" 201 "), "answered with {status}");
                let mut length = 0;
                loop {
                    let header = self.line().await?;
                    if header.trim().is_empty() {
                        break;
                    }
                    if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().context("no length")?;
                    }
                }
                self.take(length).await?;
            }
            Store::Redis => {
                let length = self.line().await?;
                ensure!(length.starts_with('$'), "answered with {length}");
                self.line().await?;
            }
            Store::Nats => {
                let answer = self.message().await?;
                ensure!(answer.contains("\"seq\""), "answered with {answer}");
            }
        }
        Ok(())
    }

    /// Returns the payload of the next NATS message, and answers pings.
    async fn message(&mut self) -> anyhow::Result<String> {
        loop {
            let head = self.line().await?;
            if head.starts_with("PING") {
                self.stream.write_all(b"PONG\r\n").await?;
            } else if let Some(rest) = head.strip_prefix("MSG ") {
                let length: usize = rest.split_whitespace().next_back().context("no length")?.parse()?;
                let bytes = self.take(length + 2).await?;
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            } else if head.starts_with("-ERR") {
                bail!("NATS answered {head}");
            }
        }
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).await?;
        ensure!(count > 0, "the server closed the connection");
        Ok(line)
    }

    async fn take(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

//! Opens N subscribers of one topic from outside, publishes, and measures what each delivery costs the server's
//! process.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail, ensure};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::{LocalSet, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::amount::float;

/// Mark before the time of the publish in every event. The time has 19 digits: nanoseconds since the Unix epoch.
const MARK: &[u8] = b"#T";
/// Length of the mark and the time together, in bytes.
const MARKED: usize = MARK.len() + 19;
/// Length of an event's data, in bytes.
const SIZE: usize = 100;
/// Maximum time that a delivery or an answer may take.
const DEADLINE: Duration = Duration::from_mins(2);
/// Number of connections from one loopback address, which has some 28,000 ports to connect from.
const CONNECTIONS_AN_ADDRESS: u32 = 20_000;

/// The paths by which to subscribe and to publish.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// Path of the stream or socket.
    pub(crate) path: String,
    /// Path to publish to.
    pub(crate) publish: String,
    /// True if `path` is a WebSocket's.
    pub(crate) is_websocket: bool,
}

/// The pace at which events are published.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Publishing as fast as deliveries complete, at most `ahead` events ahead of them.
    InFlight { events: u32, ahead: u32 },
    /// Publishing on a fixed schedule, whatever the server does.
    Scheduled { events: u32, per_s: f64 },
}

/// The results of one measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// User and system time of a delivery, in microseconds.
    pub(crate) cpu_us: f64,
    /// User time of a delivery alone, in microseconds.
    pub(crate) user_us: f64,
    /// Resident memory of the server for each subscriber, before the first event, in KiB.
    pub(crate) idle_kib: f64,
    /// 99th percentile of the time from just before the publish to the subscriber's read, in milliseconds.
    pub(crate) p99_ms: f64,
}

/// The counts of all subscribers of one measurement, which share them on one thread.
struct Tally {
    ready: Cell<u64>,
    delivered: Cell<u64>,
    failed: RefCell<Option<String>>,
    latency_ns: RefCell<Histogram<u64>>,
}

/// Measures a server that already runs.
///
/// # Errors
/// If a subscriber is refused or cut, a publish is refused, or deliveries are missing at the deadline.
pub(crate) async fn measure(
    server: SocketAddr,
    process: u32,
    door: &Door,
    subscribers: u32,
    pace: Pace,
) -> anyhow::Result<Figures> {
    let measuring = measure_here(server, process, door, subscribers, pace);
    LocalSet::new().run_until(measuring).await
}

async fn measure_here(
    server: SocketAddr,
    process: u32,
    door: &Door,
    subscribers: u32,
    pace: Pace,
) -> anyhow::Result<Figures> {
    let tally = Rc::new(Tally {
        ready: Cell::new(0),
        delivered: Cell::new(0),
        failed: RefCell::new(None),
        latency_ns: RefCell::new(Histogram::new(3).context("no histogram")?),
    });
    let memory = resident_kib(process)?;
    for index in 0..subscribers {
        let (door, told) = (door.clone(), Rc::clone(&tally));
        // The task ends with the `LocalSet` that it runs in.
        spawn_local(async move {
            if let Err(error) = receive(server, index, &door, &told).await {
                told.failed.borrow_mut().get_or_insert_with(|| format!("{error:#}"));
            }
        });
        wait(&tally, || tally.ready.get() + 200 >= u64::from(index)).await?;
    }
    wait(&tally, || tally.ready.get() >= u64::from(subscribers)).await?;
    sleep(Duration::from_secs(1)).await;
    let idle_kib = (resident_kib(process)? - memory) / f64::from(subscribers);
    let before = Cpu::of(process)?;
    let events = publish(server, &door.publish, subscribers, pace, &tally).await?;
    let wanted = u64::from(events) * u64::from(subscribers);
    wait(&tally, || tally.delivered.get() >= wanted).await?;
    let after = Cpu::of(process)?;
    let each_us = |ticks: u64| float(ticks) * 1e6 / TICKS_PER_S / float(wanted);
    let p99_ns = tally.latency_ns.borrow().value_at_quantile(0.99);
    Ok(Figures {
        cpu_us: each_us(after.total() - before.total()),
        user_us: each_us(after.user - before.user),
        idle_kib,
        p99_ms: float(p99_ns) / 1e6,
    })
}

/// Publishes on one connection, and returns the number of events.
async fn publish(
    server: SocketAddr,
    path: &str,
    subscribers: u32,
    pace: Pace,
    tally: &Tally,
) -> anyhow::Result<u32> {
    let mut publisher = TcpStream::connect(server).await.context("a publisher can't connect")?;
    publisher.set_nodelay(true)?;
    let (began, mut answer) = (Instant::now(), vec![0; 1 << 16]);
    let (Pace::InFlight { events, .. } | Pace::Scheduled { events, .. }) = pace;
    for event in 0..events {
        match pace {
            Pace::Scheduled { per_s, .. } => {
                sleep_until(began + Duration::from_secs_f64(f64::from(event) / per_s)).await;
            }
            Pace::InFlight { ahead, .. } => {
                let needed = u64::from(event.saturating_sub(ahead)) * u64::from(subscribers);
                wait(tally, || tally.delivered.get() >= needed).await?;
            }
        }
        let body = format!("\"#T{:x<width$}\"", now_ns(), width = SIZE - MARK.len() - 2);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        publisher.write_all(request.as_bytes()).await.context("a publish can't be sent")?;
        let read =
            timeout(DEADLINE, publisher.read(&mut answer)).await.context("no answer to a publish")??;
        let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default());
        ensure!(answer.starts_with("HTTP/1.1 2"), "a publish was refused: {answer}");
    }
    Ok(events)
}

/// Lets the subscribers run until the condition is met.
///
/// # Errors
/// If a subscriber has failed, or the condition is not met before the deadline.
async fn wait(tally: &Tally, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        if let Some(failed) = &*tally.failed.borrow() {
            bail!("a subscriber failed: {failed}");
        }
        ensure!(began.elapsed() < DEADLINE, "only {} deliveries in time", tally.delivered.get());
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Runs one subscriber until its connection ends, which is always an error.
async fn receive(server: SocketAddr, index: u32, door: &Door, tally: &Tally) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    let own = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + 1 + index / CONNECTIONS_AN_ADDRESS);
    socket.bind(SocketAddr::new(IpAddr::V4(own), 0))?;
    // Close by RST, so that the next run finds the ports free.
    socket.set_zero_linger()?;
    let mut stream = socket.connect(server).await?;
    let wish = if door.is_websocket { fourways_testkit::UPGRADE } else { "Accept: text/event-stream" };
    let request = format!("GET {} HTTP/1.1\r\nHost: {server}\r\n{wish}\r\n\r\n", door.path);
    stream.write_all(request.as_bytes()).await?;
    let (mut buffer, mut head) = (vec![0; 1 << 14], Vec::new());
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await? {
            0 => bail!("closed: {}", String::from_utf8_lossy(&head)),
            read => head.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    let is_open = head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.1 101");
    ensure!(is_open, "refused: {}", String::from_utf8_lossy(&head));
    tally.ready.set(tally.ready.get() + 1);
    let finder = memchr::memmem::Finder::new(MARK);
    let mut kept = 0;
    loop {
        let read = stream.read(buffer.get_mut(kept..).unwrap_or_default()).await?;
        ensure!(read > 0, "closed by the server");
        let (arrived, end) = (now_ns(), kept + read);
        // A mark may be cut in two, so the last byte is kept: it may be the first of a mark.
        let mut used = end.saturating_sub(1);
        for at in finder.find_iter(buffer.get(..end).unwrap_or_default()) {
            if at + MARKED > end {
                used = at;
                break;
            }
            let digits = buffer.get(at + MARK.len()..at + MARKED).unwrap_or_default();
            let sent: Option<u64> = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
            let waited = arrived.saturating_sub(sent.context("a mark without a time")?).max(1);
            tally.latency_ns.borrow_mut().record(waited).context("a latency out of range")?;
            tally.delivered.set(tally.delivered.get() + 1);
            used = used.max(at + MARKED);
        }
        buffer.copy_within(used..end, 0);
        kept = end - used;
    }
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Ticks per second of the kernel's processor times, whose resolution is therefore 10 ms.
const TICKS_PER_S: f64 = 100.0;

/// User and system time of a process so far, in ticks (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug)]
struct Cpu {
    user: u64,
    system: u64,
}

impl Cpu {
    fn of(process: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).context("the server is gone")?;
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
        let mut next = || fields.next().and_then(|field| field.parse().ok()).context("no processor time");
        Ok(Self { user: next()?, system: next()? })
    }

    const fn total(self) -> u64 {
        self.user + self.system
    }
}

fn resident_kib(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).context("VmRSS can't be read")
}

//! NATS servers, alone or as a cluster of three, whose connections can be cut.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{DEADLINE, Link, Reaper, own_address};

const CLIENTS: u16 = 4222;
const ROUTES: u16 = 6222;
const MONITOR: u16 = 8222;

/// NATS servers that form one cluster. Dropping the handle kills them.
#[derive(Debug)]
pub struct Nats {
    binary: PathBuf,
    /// Sync interval of the servers, as in their configuration.
    sync: &'static str,
    /// Further lines of the configuration.
    lines: String,
    servers: Vec<Server>,
    /// The link from each server to each other one, in the order of servers.
    links: Vec<Vec<Option<Link>>>,
    folder: tempfile::TempDir,
}

/// One server of a cluster.
#[derive(Debug)]
struct Server {
    address: Ipv4Addr,
    process: Option<Child>,
    store: PathBuf,
}

impl Nats {
    /// Returns the program of the NATS server: the one named by `FOURWAYS_NATS`, or the one on the path. `None` if there
    /// is none.
    pub fn binary() -> Option<PathBuf> {
        let named = std::env::var_os("FOURWAYS_NATS").map(PathBuf::from).filter(|path| path.is_file());
        named.or_else(|| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|file| file.is_file())
        })
    }

    /// Starts one server that is no cluster.
    ///
    /// # Errors
    /// If it can't be started, or does not listen before the deadline.
    pub fn alone(binary: &Path) -> anyhow::Result<Self> {
        Self::start(binary, 1, "always", |_| String::new())
    }

    /// Starts one server that is no cluster, with the lines more in its configuration that the function makes for its
    /// address.
    ///
    /// # Errors
    /// If it can't be started, or does not listen before the deadline.
    pub fn with(binary: &Path, lines: impl Fn(Ipv4Addr) -> String) -> anyhow::Result<Self> {
        Self::start(binary, 1, "always", lines)
    }

    /// Starts one server that acknowledges before it syncs.
    ///
    /// # Errors
    /// If it can't be started, or does not listen before the deadline.
    pub fn unsynced(binary: &Path) -> anyhow::Result<Self> {
        Self::start(binary, 1, "2m", |_| String::new())
    }

    /// Starts a cluster of three.
    ///
    /// # Errors
    /// If one of the servers can't be started, or does not listen before the deadline.
    pub fn cluster(binary: &Path) -> anyhow::Result<Self> {
        Self::start(binary, 3, "always", |_| String::new())
    }

    /// Starts a cluster of three whose servers can't be cut from each other, because nothing is between them: for
    /// measurements.
    ///
    /// # Errors
    /// If one of the servers can't be started, or does not listen before the deadline.
    pub fn direct(binary: &Path) -> anyhow::Result<Self> {
        Self::launch(binary, 3, false, "always", |_| String::new())
    }

    fn start(
        binary: &Path,
        count: usize,
        sync: &'static str,
        lines: impl Fn(Ipv4Addr) -> String,
    ) -> anyhow::Result<Self> {
        Self::launch(binary, count, true, sync, lines)
    }

    fn launch(
        binary: &Path,
        count: usize,
        has_links: bool,
        sync: &'static str,
        lines: impl Fn(Ipv4Addr) -> String,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Reaper::watch_folder(folder.path());
        let server = |at: usize| Server {
            address: own_address(),
            process: None,
            store: folder.path().join(format!("n{at}")),
        };
        let servers: Vec<_> = (0..count).map(server).collect();
        let lines = lines(servers[0].address);
        let mut links = Vec::new();
        for from in 0..count {
            let to = |to: usize| {
                let target = SocketAddr::from((servers[to].address, ROUTES));
                (has_links && from != to).then(|| Link::to(target)).transpose()
            };
            links.push((0..count).map(to).collect::<anyhow::Result<Vec<_>>>()?);
        }
        let mut nats = Self { binary: binary.to_owned(), sync, lines, servers, links, folder };
        for at in 0..count {
            nats.begin(at)?;
        }
        for at in 0..count {
            nats.wait_for(at)?;
        }
        Ok(nats)
    }

    /// Returns the number of servers.
    pub const fn count(&self) -> usize {
        self.servers.len()
    }

    /// Returns the address of a server for clients.
    pub fn address(&self, at: usize) -> SocketAddr {
        (self.servers[at].address, CLIENTS).into()
    }

    /// Returns the URLs of all servers for clients, separated by commas.
    pub fn urls(&self) -> String {
        let urls = (0..self.count()).map(|at| format!("nats://{}", self.address(at)));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Returns the URL of a server's monitor.
    pub fn monitor(&self, at: usize) -> String {
        format!("http://{}:{MONITOR}", self.servers[at].address)
    }

    /// Returns the folder in which a server keeps its streams.
    pub fn store(&self, at: usize) -> &Path {
        &self.servers[at].store
    }

    /// Returns the last lines of a server's log, for the message of a failed test.
    pub fn log(&self, at: usize) -> String {
        let log = fs::read_to_string(self.folder.path().join(format!("log{at}"))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Kills a server as `kill -9` does. Nothing happens to one that is not running.
    pub fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.servers[at].process.take() {
            Reaper::kill(process.id());
            // A process that is already gone is as good.
            drop(process.wait());
        }
    }

    /// Stops a server in order, and waits until it has ended.
    ///
    /// # Errors
    /// If it still runs at the deadline.
    pub fn stop(&mut self, at: usize) -> anyhow::Result<()> {
        let Some(mut process) = self.servers[at].process.take() else { return Ok(()) };
        signal(&process, "-TERM")?;
        let began = Instant::now();
        while process.try_wait()?.is_none() {
            ensure!(began.elapsed() < DEADLINE, "the NATS server does not end: {}", self.log(at));
            std::thread::sleep(Duration::from_millis(10));
        }
        Reaper::kill(process.id());
        Ok(())
    }

    /// Stops a server's process from running, or lets it run again.
    ///
    /// # Errors
    /// If the server does not run.
    pub fn pause(&self, at: usize, is_paused: bool) -> anyhow::Result<()> {
        let process = self.servers[at].process.as_ref().context("the server is not running")?;
        signal(process, if is_paused { "-STOP" } else { "-CONT" })
    }

    /// Starts a server that was stopped, and waits until it listens.
    ///
    /// # Errors
    /// If it does not listen before the deadline.
    pub fn restart(&mut self, at: usize) -> anyhow::Result<()> {
        self.begin(at)?;
        self.wait_for(at)
    }

    /// Cuts a server from the others of the cluster, or connects it again. Clients still reach it.
    pub fn isolate(&self, at: usize, is_isolated: bool) {
        for other in 0..self.count() {
            for link in [&self.links[at][other], &self.links[other][at]].into_iter().flatten() {
                link.cut(is_isolated);
            }
        }
    }

    fn begin(&mut self, at: usize) -> anyhow::Result<()> {
        let Server { address, store, .. } = &self.servers[at];
        fs::create_dir_all(store)?;
        let route = |to: usize| match &self.links[at][to] {
            Some(link) => link.address(),
            None => (self.servers[to].address, ROUTES).into(),
        };
        let others = (0..self.count()).filter(|other| *other != at);
        let routes: Vec<_> = others.map(|other| format!("nats://{}", route(other))).collect();
        let cluster = if routes.is_empty() {
            String::new()
        } else {
            let routes = routes.join(", ");
            format!(
                "cluster {{ name: fourways, listen: \"{address}:{ROUTES}\", no_advertise: true, routes: [{routes}] }}"
            )
        };
        let text = format!(
            "server_name: n{at}\nlisten: \"{address}:{CLIENTS}\"\nhttp: \"{address}:{MONITOR}\"\nmax_payload: 4MB\n\
             jetstream {{ store_dir: \"{}\", sync_interval: {}, max_file: 1TB, max_mem: 256MB }}\n{cluster}\n{}\n",
            store.display(),
            self.sync,
            self.lines
        );
        let conf = self.folder.path().join(format!("conf{at}"));
        fs::write(&conf, text)?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("log{at}")))?;
        let process = Command::new(&self.binary)
            .arg("-c")
            .arg(conf)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the NATS server can't be started")?;
        Reaper::watch(process.id());
        self.servers[at].process = Some(process);
        Ok(())
    }

    fn wait_for(&self, at: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.address(at)).is_err() {
            ensure!(began.elapsed() < DEADLINE, "the NATS server does not listen: {}", self.log(at));
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for at in 0..self.count() {
            self.kill(at);
        }
    }
}

fn signal(process: &Child, signal: &str) -> anyhow::Result<()> {
    let status = Command::new("kill").args([signal, &process.id().to_string()]).status()?;
    ensure!(status.success(), "the process is gone");
    Ok(())
}

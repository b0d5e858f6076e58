//! Real proxies in front of a server: nginx, Caddy and `HAProxy` with the files of `deploy/`, except for addresses and
//! certificates, and nginx as people first set it up.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use crate::{DEADLINE, Reaper, own_address};

/// Port of every proxy; each proxy has its own address.
const PORT: u16 = 8443;

/// The proxies that `deploy/` has a configuration for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx, with `deploy/nginx.conf`.
    Nginx,
    /// Caddy, with `deploy/Caddyfile`.
    Caddy,
    /// `HAProxy`, with `deploy/haproxy.cfg`.
    Haproxy,
}

impl Kind {
    /// Every kind of proxy.
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Caddy, Self::Haproxy];
}

const CARELESS: &str = "server {
    listen 443 ssl;
    ssl_certificate     /etc/ssl/certs/push.example.com.pem;
    ssl_certificate_key /etc/ssl/private/push.example.com.key;
    location / {
        proxy_pass http://127.0.0.1:8080;
        proxy_set_header Host $http_host;
        proxy_ignore_headers X-Accel-Buffering;
    }
}";

/// A running proxy. Dropping the handle kills the process.
#[derive(Debug)]
pub struct Proxy {
    process: Child,
    folder: tempfile::TempDir,
    /// The proxy's own address, as in `https://127.0.0.1:8443`.
    pub url: String,
}

impl Proxy {
    /// Starts a proxy with TLS and HTTP/2 in front of the server at `127.0.0.1:port`.
    ///
    /// # Errors
    /// If the proxy can't be started, or does not listen before the deadline.
    pub fn before(kind: Kind, server: &str) -> anyhow::Result<Self> {
        Self::start(kind, "https", |at, address| match kind {
            Kind::Nginx => tls_nginx(at, address, include_str!("../../../deploy/nginx.conf"), server),
            Kind::Caddy => caddy(at, address, server),
            Kind::Haproxy => haproxy(at, address, server),
        })
    }

    /// Starts `HAProxy` with TLS and HTTP/2 in front of three servers that share a log, with `deploy/cluster/haproxy.cfg`.
    ///
    /// # Errors
    /// If the proxy can't be started, or does not listen before the deadline.
    pub fn before_cluster(servers: [&str; 3]) -> anyhow::Result<Self> {
        Self::start(Kind::Haproxy, "https", |at, address| haproxy_of_cluster(at, address, servers))
    }

    /// Starts nginx as people first set it up, and with `proxy_ignore_headers X-Accel-Buffering`, so that answers can't
    /// turn buffering off.
    ///
    /// # Errors
    /// If the proxy can't be started, or does not listen before the deadline.
    pub fn careless(server: &str) -> anyhow::Result<Self> {
        Self::start(Kind::Nginx, "https", |at, address| tls_nginx(at, address, CARELESS, server))
    }

    /// Starts nginx without TLS in front of the server at `127.0.0.1:port`. `location` and `http` are lines for the
    /// blocks of these names; paths in them are relative to the test's own folder.
    ///
    /// # Errors
    /// If the proxy can't be started, or does not listen before the deadline.
    pub fn nginx(server: &str, location: &str, http: &str) -> anyhow::Result<Self> {
        Self::start(Kind::Nginx, "http", |at, address| {
            let server = format!(
                "server {{ listen {address}; location / {{ proxy_pass http://{server};\n{location}\n}} }}"
            );
            nginx(at, &format!("{http}\n{server}"))
        })
    }

    fn start(
        kind: Kind,
        scheme: &str,
        configured: impl FnOnce(&str, SocketAddr) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::from((own_address(), PORT));
        let folder = tempfile::tempdir()?;
        let at = folder.path().to_str().context("a folder whose name is no text")?;
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(format!("{at}/cert.pem"), &certificate)?;
        fs::write(format!("{at}/key.pem"), &key)?;
        fs::write(format!("{at}/both.pem"), [certificate, key].concat())?;
        let process = configured(at, address)?
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(fs::File::create(format!("{at}/log"))?)
            .spawn()
            .with_context(|| format!("{kind:?} can't be started; `cargo xtask test` installs it"))?;
        Reaper::watch(process.id());
        let mut proxy = Self { process, folder, url: format!("{scheme}://{address}") };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = proxy.process.try_wait()? {
                bail!("{kind:?} ended with {status}: {}", proxy.log());
            }
            ensure!(began.elapsed() < DEADLINE, "{kind:?} does not listen: {}", proxy.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }

    /// Returns the proxy's output on standard error, for the message of a failed test.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        Reaper::kill(self.process.id());
        // A process that is already gone is as good.
        drop(self.process.wait());
    }
}

/// Replaces each of these texts. Every text must occur.
fn filled(mut text: String, places: &[(&str, &str)]) -> anyhow::Result<String> {
    for (from, to) in places {
        ensure!(text.contains(from), "{from:?} is not in the configuration");
        text = text.replace(from, to);
    }
    Ok(text)
}

fn tls_nginx(at: &str, address: SocketAddr, conf: &str, server: &str) -> anyhow::Result<Command> {
    let conf = filled(
        conf.to_owned(),
        &[
            ("listen 443", &format!("listen {address}")),
            ("127.0.0.1:8080", server),
            ("/etc/ssl/certs/push.example.com.pem", &format!("{at}/cert.pem")),
            ("/etc/ssl/private/push.example.com.key", &format!("{at}/key.pem")),
        ],
    )?;
    nginx(at, &conf)
}

/// Returns the command of an nginx with this `http` block. Files that nginx would put under `/var` go to the test's
/// folder.
fn nginx(at: &str, http: &str) -> anyhow::Result<Command> {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    let whole = format!(
        "daemon off; master_process off; pid pid; error_log stderr;\nevents {{ worker_connections 256; }}\n\
         http {{ access_log off;\n{temporary}\n{http}\n}}\n"
    );
    fs::write(format!("{at}/conf"), whole)?;
    let mut command = Command::new("nginx");
    command.args(["-p", at, "-c", "conf", "-e", "stderr"]);
    Ok(command)
}

fn caddy(at: &str, address: SocketAddr, server: &str) -> anyhow::Result<Command> {
    // Without `bind`, Caddy would take the port on every address.
    let site = format!("https://{address} {{\n\tbind {}\n\ttls {at}/cert.pem {at}/key.pem", address.ip());
    let conf = filled(
        include_str!("../../../deploy/Caddyfile").to_owned(),
        &[("push.example.com {", &site), ("127.0.0.1:8080", server)],
    )?;
    // Caddy would otherwise listen on port 80, and offer its administration API.
    fs::write(format!("{at}/conf"), format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{conf}"))?;
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config", &format!("{at}/conf")]);
    command.env("XDG_DATA_HOME", at).env("XDG_CONFIG_HOME", at).env("HOME", at);
    Ok(command)
}

fn haproxy_of_cluster(at: &str, address: SocketAddr, servers: [&str; 3]) -> anyhow::Result<Command> {
    let [one, two, three] = servers;
    let conf = filled(
        include_str!("../../../deploy/cluster/haproxy.cfg").to_owned(),
        &[
            ("bind :443", &format!("bind {address}")),
            // A test process may have fewer files open.
            ("maxconn 20000", "maxconn 400"),
            ("node1:8080", one),
            ("node2:8080", two),
            ("node3:8080", three),
        ],
    )?;
    fs::write(format!("{at}/conf"), conf)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f", &format!("{at}/conf")]).env("FOURWAYS_CERT", format!("{at}/both.pem"));
    Ok(command)
}

fn haproxy(at: &str, address: SocketAddr, server: &str) -> anyhow::Result<Command> {
    let conf = filled(
        include_str!("../../../deploy/haproxy.cfg").to_owned(),
        &[
            ("bind :443", &format!("bind {address}")),
            // A test process may have fewer files open.
            ("maxconn 20000", "maxconn 200"),
            ("127.0.0.1:8080", server),
            ("/etc/ssl/private/push.example.com.both.pem", &format!("{at}/both.pem")),
        ],
    )?;
    fs::write(format!("{at}/conf"), conf)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f", &format!("{at}/conf")]);
    Ok(command)
}

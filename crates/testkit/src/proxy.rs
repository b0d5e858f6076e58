//! Real proxies in front of a server: nginx, Caddy and `HAProxy` as `deploy/` configures them, but for addresses and
//! certificate, and nginx as people first set it up.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use crate::{DEADLINE, Reaper, own_address};

/// Where every proxy listens, at an address of its own.
const PORT: u16 = 8443;

/// The proxies that `deploy/` has a configuration for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `deploy/nginx.conf`
    Nginx,
    /// `deploy/Caddyfile`
    Caddy,
    /// `deploy/haproxy.cfg`
    Haproxy,
}

impl Kind {
    /// All of them.
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

/// A running proxy; it ends with the test.
#[derive(Debug)]
pub struct Proxy {
    process: Child,
    folder: tempfile::TempDir,
    /// The proxy's own address, as in `https://127.0.0.1:8443`.
    pub url: String,
}

impl Proxy {
    /// Starts a proxy with TLS and HTTP/2 in front of a server's `127.0.0.1:port`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn before(kind: Kind, server: &str) -> anyhow::Result<Self> {
        Self::start(kind, "https", |at, address| match kind {
            Kind::Nginx => tls_nginx(at, address, include_str!("../../../deploy/nginx.conf"), server),
            Kind::Caddy => caddy(at, address, server),
            Kind::Haproxy => haproxy(at, address, server),
        })
    }

    /// Starts nginx as people first set it up, and told not to let an answer ask for no buffering.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn careless(server: &str) -> anyhow::Result<Self> {
        Self::start(Kind::Nginx, "https", |at, address| tls_nginx(at, address, CARELESS, server))
    }

    /// Starts nginx without TLS in front of a server's `127.0.0.1:port`. `location` and `http` are lines for those blocks;
    /// paths in them are relative to a folder of the test's own.
    ///
    /// # Errors
    /// If it can't be started.
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

    /// What the proxy has written to standard error, for a failed test's message.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        Reaper::kill(self.process.id());
        // Gone already is what is wanted.
        drop(self.process.wait());
    }
}

/// Replaces each of these places, which must be there.
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

/// nginx with this `http` block; what it would put under /var is in the test's folder.
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
    // Without `bind` it would take the port on every address.
    let site = format!("https://{address} {{\n\tbind {}\n\ttls {at}/cert.pem {at}/key.pem", address.ip());
    let conf = filled(
        include_str!("../../../deploy/Caddyfile").to_owned(),
        &[("push.example.com {", &site), ("127.0.0.1:8080", server)],
    )?;
    // No port 80, and no door for its own administration.
    fs::write(format!("{at}/conf"), format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{conf}"))?;
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config", &format!("{at}/conf")]);
    command.env("XDG_DATA_HOME", at).env("XDG_CONFIG_HOME", at).env("HOME", at);
    Ok(command)
}

fn haproxy(at: &str, address: SocketAddr, server: &str) -> anyhow::Result<Command> {
    let conf = filled(
        include_str!("../../../deploy/haproxy.cfg").to_owned(),
        &[
            ("bind :443", &format!("bind {address}")),
            // A test may open fewer files.
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

//! Runs nchan for comparison: the nginx module that speaks the same four techniques.

use std::{fs, net::SocketAddr, process::Child, time::Instant};

use anyhow::{Context as _, ensure};
use fourways_testkit::{DEADLINE, Reaper, own_address};

use crate::server::on_its_core;

/// Path at which Debian and Ubuntu install the module.
pub(crate) const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const PORT: u16 = 8090;

/// A running nginx with nchan and one worker, on the server's core. Dropping the handle kills the processes.
#[derive(Debug)]
pub(crate) struct Nchan {
    master: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nchan {
    /// Starts nginx with room for this many subscribers.
    ///
    /// # Errors
    /// If nginx can't be started or does not listen.
    pub(crate) fn start(subscribers: u32) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let address = SocketAddr::from((own_address(), PORT));
        let at = folder.path().display();
        // The worker must be able to read the temporary folder, so it has to run as the same user. Only root may name
        // one.
        let is_root = fs::read_dir("/proc/1/fd").is_ok();
        let user = if is_root { "user root;" } else { "" };
        let conf = format!(
            "load_module {MODULE};\n{user}\nworker_processes 1;\ndaemon off;\nerror_log {at}/log crit;\npid {at}/pid;\n\
             events {{ worker_connections {connections}; }}\nhttp {{\n  access_log off;\n  keepalive_requests 100000000;\n  \
             client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n  \
             uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n  nchan_shared_memory_size 512M;\n  \
             server {{\n    listen {address} backlog=8192;\n    \
             location = /pub {{ nchan_publisher; nchan_channel_id a; nchan_message_buffer_length 100; }}\n    \
             location = /events {{ nchan_subscriber eventsource; nchan_channel_id a; nchan_subscriber_first_message newest; }}\n    \
             location = /ws {{ nchan_subscriber websocket; nchan_channel_id a; nchan_subscriber_first_message newest; }}\n  \
             }}\n}}\n",
            connections = subscribers + 1000,
        );
        fs::write(folder.path().join("conf"), conf).context("the configuration can't be written")?;
        let mut command = on_its_core(std::path::Path::new("nginx"));
        command.args(["-c", "conf", "-e", "stderr", "-p"]).arg(folder.path()).process_group(0);
        let master = command.spawn().context("nginx could not be started")?;
        Reaper::watch(master.id());
        let mut nchan = Self { master, address, _folder: folder };
        let began = Instant::now();
        // The master listens before it has a worker that answers.
        while std::net::TcpStream::connect(address).is_err() || nchan.worker().is_err() {
            ensure!(
                nchan.master.try_wait()?.is_none() && began.elapsed() < DEADLINE,
                "nchan does not listen"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Ok(nchan)
    }

    /// Returns the address that nginx listens on.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the id of the worker process, a child in which nginx does its work.
    ///
    /// # Errors
    /// If there is no worker.
    pub(crate) fn worker(&self) -> anyhow::Result<u32> {
        let listed = std::process::Command::new("pgrep").args(["-P", &self.master.id().to_string()]).output();
        let listed = String::from_utf8(listed.context("pgrep could not be run")?.stdout)?;
        listed.lines().next().and_then(|line| line.trim().parse().ok()).context("nginx has no worker")
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // The worker is in the same process group, and so is killed too.
        Reaper::kill(self.master.id());
        drop(self.master.wait());
    }
}

//! nginx in front of the server.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::server::{DEADLINE, Server};

/// nginx in front of the server; it ends with the test.
pub struct Nginx {
    process: Child,
    folder: PathBuf,
    pub url: String,
}

impl Nginx {
    /// `location` and `http` are lines for those blocks.
    pub fn before(server: &Server, location: &str, http: &str) -> Self {
        let address = free_address();
        let folder = std::env::temp_dir().join(format!("fourways-nginx-{}", address.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        // Paths of its own for everything that nginx would put under /var.
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let conf = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 128; }}\n\
             http {{ access_log off;\n{temporary}{http}\n\
             server {{ listen {address}; location / {{ proxy_pass {};\n{location}\n}} }} }}\n",
            server.url()
        );
        std::fs::write(folder.join("conf"), &conf).unwrap();
        let process = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .args(["-c", "conf"])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx could not be started; `cargo xtask test` installs it");
        let mut nginx = Self { process, folder, url: format!("http://{address}") };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = nginx.process.try_wait().unwrap();
            let log = std::fs::read_to_string(nginx.folder.join("error.log")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < DEADLINE, "nginx does not listen: {log}\n{conf}");
            std::thread::sleep(Duration::from_millis(10));
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

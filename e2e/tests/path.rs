//! The path check, in Chromium: a good path carries all four, and a bad proxy's faults are named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fourways_e2e::{Browser, DEADLINE, Server, run};

/// nginx in front of the server, with a bad setting for each of the three that hold; it ends with the test.
struct Nginx {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl Nginx {
    fn before(server: &Server) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = std::env::temp_dir().join(format!("fourways-path-{}", address.port()));
        std::fs::create_dir_all(&folder)?;
        let at = folder.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        // HTTP/1.0 to the server keeps nginx from passing chunks on, and drops the Upgrade header.
        let bad = "proxy_http_version 1.0; proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_read_timeout 4s;";
        let conf = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off;\n{temporary}\n\
             server {{ listen {address}; location / {{ proxy_pass {};\n{bad}\n}} }} }}\n",
            server.url()
        );
        std::fs::write(folder.join("conf"), conf)?;
        let process = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .args(["-c", "conf"])
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Self { process, folder, url: format!("http://{address}") };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(began.elapsed() < DEADLINE, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(nginx)
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

/// Runs the check; what it says of each technique.
async fn checked(browser: &Browser) -> anyhow::Result<[String; 4]> {
    browser.go("/path").await?;
    browser.find("[data-testid=path-run]").await?.click().await?;
    // The whole check takes longer than a deadline: its last steps begin in time.
    browser.text_when("[data-testid=path-state]", |text| text.contains("opening streams")).await?;
    browser.text_when("[data-testid=path-state]", |text| text == "done").await?;
    let mut told = [const { String::new() }; 4];
    for (told, technique) in told.iter_mut().zip(["short_poll", "long_poll", "sse", "websocket"]) {
        *told = browser.find(&format!("[data-testid=path-{technique}]")).await?.text().await?;
    }
    Ok(told)
}

#[test]
fn a_good_path_carries_all_four_and_has_a_wall_of_six() {
    run(async || {
        let server = Server::start("127.0.0.1:0")?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let [short_poll, long_poll, sse, websocket] = checked(&browser).await?;
        for told in [&short_poll, &long_poll, &websocket] {
            anyhow::ensure!(told.contains("\ncarried\n"), "{told}");
        }
        anyhow::ensure!(sse.contains("6 streams at once") && sse.contains("event by event"), "{sse}");
        server.await_no_subscribers().await?;
        browser.close().await
    });
}

#[test]
fn the_faults_of_a_bad_proxy_are_named() {
    run(async || {
        let server = Server::start("127.0.0.1:0")?;
        let nginx = Nginx::before(&server)?;
        let browser = Browser::open(&nginx.url, 1440).await?;
        let [short_poll, long_poll, sse, websocket] = checked(&browser).await?;
        anyhow::ensure!(short_poll.contains("carried"), "{short_poll}");
        anyhow::ensure!(long_poll.contains("with a catch") && long_poll.contains("504"), "{long_poll}");
        anyhow::ensure!(sse.contains("broken"), "{sse}");
        anyhow::ensure!(websocket.contains("broken") && websocket.contains("Upgrade"), "{websocket}");
        browser.close().await
    });
}

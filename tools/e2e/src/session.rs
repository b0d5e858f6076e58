//! Chromium and its driver, used by one test after the other: starting both takes as long as many a test.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
};

use anyhow::Context as _;
use fourways_testkit::Reaper;
use serde_json::json;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};

use crate::DEADLINE;

const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // The server's own certificate, made for a test.
    "--ignore-certificate-errors",
];
/// Height of every window, in pixels.
const HEIGHT: u32 = 1000;

/// Ten frames a second: drawing sixty is most of what a page has the machine do, and how smooth it is, no test asks.
/// (`cargo run -p fourways-e2e --bin frames` does.)
const FEWER_FRAMES: &str = "
    window.requestAnimationFrame = draw => setTimeout(() => draw(performance.now()), 100);
    window.cancelAnimationFrame = clearTimeout;";

/// Which Chromium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Without the program's own window, which is a third or more of its work; where that is not installed, as [`Self::Whole`].
    Light,
    /// With tabs that can be hidden.
    Whole,
}

/// The package of the same name has it; Ubuntu has no such package.
const LIGHT: &str = "/usr/bin/chromium-headless-shell";

/// Sessions that no test uses just now. They end with the test process.
static IDLE: Mutex<Vec<Session>> = Mutex::new(Vec::new());

/// A running Chromium with a driver; both are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) driver: WebDriver,
    kind: Kind,
    _processes: Processes,
}

impl Session {
    /// A session with one empty window of this width and nothing left of an earlier test: every server of a test has an
    /// address of its own, so what pages stored and cached is another origin's; cookies are cleared.
    pub(crate) async fn take(kind: Kind, width: u32) -> anyhow::Result<Self> {
        let session = match idle(kind) {
            Some(session) => session,
            None => Self::start(kind).await?,
        };
        session.clear(width).await.context("a window can't be opened")?;
        Ok(session)
    }

    /// Gives the session to whoever takes one next.
    pub(crate) fn leave(self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    async fn start(kind: Kind) -> anyhow::Result<Self> {
        // Killed as well if no session comes.
        let (processes, url) = driver()?;
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in FLAGS {
            capabilities.add_arg(flag)?;
        }
        if kind == Kind::Light && Path::new(LIGHT).exists() {
            capabilities.set_binary(LIGHT)?;
        }
        // The driver's own wish, and no visitor's: a hidden tab is slowed down as it is everywhere.
        capabilities.add_exclude_switch("disable-background-timer-throttling")?;
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All)?;
        let connecting = WebDriver::new(&url, capabilities);
        let driver =
            tokio::time::timeout(DEADLINE, connecting).await.context("no browser session in time")?;
        let driver = driver.context("no browser session")?;
        Ok(Self { driver, kind, _processes: processes })
    }

    async fn clear(&self, width: u32) -> anyhow::Result<()> {
        let driver = &self.driver;
        let old = driver.windows().await?;
        // A new window, not a page in the old one: what was set on that one goes with it.
        let window = driver.new_window().await?;
        for one in old {
            driver.switch_to_window(one).await?;
            driver.close_window().await?;
        }
        driver.switch_to_window(window).await?;
        driver.set_window_rect(0, 0, width, HEIGHT).await?;
        let cdp = driver.cdp();
        if self.kind == Kind::Light {
            // In the other kind tabs are hidden, and whether a hidden one draws is the browser's own affair.
            cdp.send_raw("Page.addScriptToEvaluateOnNewDocument", json!({ "source": FEWER_FRAMES })).await?;
        }
        cdp.send_raw("Network.clearBrowserCookies", json!({})).await?;
        // What earlier pages said.
        drop(driver.browser_log().await?);
        Ok(())
    }
}

fn idle(kind: Kind) -> Option<Session> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let at = idle.iter().position(|session| session.kind == kind)?;
    Some(idle.swap_remove(at))
}

/// A driver, and in its process group the browser, with the folder that both keep their files in.
#[derive(Debug)]
struct Processes {
    driver: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Processes {
    fn drop(&mut self) {
        Reaper::kill(self.driver.id());
        // Gone already is what is wanted.
        drop(self.driver.wait());
    }
}

/// Starts a driver on a port that it chooses itself, and returns its address.
fn driver() -> anyhow::Result<(Processes, String)> {
    let folder = tempfile::tempdir()?;
    Reaper::watch_folder(folder.path());
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("TMPDIR", folder.path())
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("chromedriver could not be started; `cargo xtask test` installs it")?;
    Reaper::watch(driver.id());
    let lines = driver.stdout.take().context("no standard output");
    let processes = Processes { driver, _folder: folder };
    let lines = BufReader::new(lines?).lines();
    let (sender, port) = mpsc::channel();
    // Ends with the driver: the pipe is emptied until then, so that the driver never blocks on it.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let port = line.split_once("successfully on port ");
            if let Some(port) = port.and_then(|(_, rest)| rest.trim_end_matches('.').parse::<u16>().ok()) {
                // Only the first is waited for.
                let _told = sender.send(port);
            }
        }
    });
    let port = port.recv_timeout(DEADLINE).context("chromedriver does not say its port")?;
    Ok((processes, format!("http://127.0.0.1:{port}")))
}

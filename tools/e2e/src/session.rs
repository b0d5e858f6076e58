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

const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // Optimising code takes longer than a test runs it.
    "--js-flags=--liftoff-only",
    // For the server's own certificate, which is made for a test.
    "--ignore-certificate-errors",
];
/// Height of every window, in pixels.
const HEIGHT: u32 = 1000;

/// Script that limits a page to ten frames a second: drawing sixty is most of the machine's work for a page, and no
/// test measures how smooth a page is. (`cargo run -p fourways-e2e --bin frames` does.)
const FEWER_FRAMES: &str = "
    window.requestAnimationFrame = draw => setTimeout(() => draw(performance.now()), 100);
    window.cancelAnimationFrame = clearTimeout;";

/// Kind of Chromium that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Chromium without its own window, which is a third or more of its work; [`Self::Whole`] where that is not
    /// installed.
    Light,
    /// Chromium with tabs that can be hidden.
    Whole,
}

/// File of the light Chromium, from the package of the same name; Ubuntu has no such package.
const LIGHT: &str = "/usr/bin/chromium-headless-shell";

/// Sessions that no test uses at the moment. They end with the test process. The mutex is held only to add or remove
/// one.
static IDLE: Mutex<Vec<Session>> = Mutex::new(Vec::new());

/// A running Chromium with a driver. The test that has taken the session owns it; both programs are killed when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) driver: WebDriver,
    kind: Kind,
    _processes: Processes,
}

impl Session {
    /// Returns a session with one empty window of this width and nothing left of an earlier test: every server of a
    /// test has an address of its own, so anything that pages stored and cached belongs to another origin; cookies are
    /// cleared.
    pub(crate) async fn take(kind: Kind, width: u32) -> anyhow::Result<Self> {
        let session = match idle(kind) {
            Some(session) => session,
            None => Self::start(kind).await?,
        };
        session.clear(width).await.context("a window can't be opened")?;
        Ok(session)
    }

    /// Gives the session back, for the next test.
    pub(crate) fn leave(self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    async fn start(kind: Kind) -> anyhow::Result<Self> {
        // The driver is killed as well if no session comes.
        let (processes, url) = driver()?;
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in FLAGS {
            capabilities.add_arg(flag)?;
        }
        if kind == Kind::Light && Path::new(LIGHT).exists() {
            capabilities.set_binary(LIGHT)?;
        }
        // The driver would set this, and no visitor does: a hidden tab is to be slowed down as it is everywhere.
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
        // A new window, not a page in the old one, whose settings go with it.
        let window = driver.new_window().await?;
        for one in old {
            driver.switch_to_window(one).await?;
            driver.close_window().await?;
        }
        driver.switch_to_window(window).await?;
        driver.set_window_rect(0, 0, width, HEIGHT).await?;
        let cdp = driver.cdp();
        if self.kind == Kind::Light {
            // Not in the other kind, whose tabs are hidden: whether a hidden tab draws is up to the browser.
            cdp.send_raw("Page.addScriptToEvaluateOnNewDocument", json!({ "source": FEWER_FRAMES })).await?;
        }
        cdp.send_raw("Network.clearBrowserCookies", json!({})).await?;
        // Discards the console of earlier pages.
        drop(driver.browser_log().await?);
        Ok(())
    }
}

fn idle(kind: Kind) -> Option<Session> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let at = idle.iter().position(|session| session.kind == kind)?;
    Some(idle.swap_remove(at))
}

/// A driver, with the browser in its process group and the folder in which both keep their files.
#[derive(Debug)]
struct Processes {
    driver: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Processes {
    fn drop(&mut self) {
        Reaper::kill(self.driver.id());
        // A process that is gone already is no error.
        drop(self.driver.wait());
    }
}

/// Starts a driver on a port that it chooses itself, and returns its address.
fn driver() -> anyhow::Result<(Processes, String)> {
    let folder = tempfile::tempdir()?;
    Reaper::watch_folder(folder.path());
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        // Where a browser without a window puts what a page gives it to keep.
        .current_dir(folder.path())
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
    // The thread ends with the driver; it empties the pipe until then, so that the driver never blocks on it.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let port = line.split_once("successfully on port ");
            if let Some(port) = port.and_then(|(_, rest)| rest.trim_end_matches('.').parse::<u16>().ok()) {
                // Only the first port is awaited.
                let _told = sender.send(port);
            }
        }
    });
    let port = port.recv_timeout(DEADLINE).context("chromedriver does not say its port")?;
    Ok((processes, format!("http://127.0.0.1:{port}")))
}

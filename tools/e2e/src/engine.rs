//! Firefox and `WebKit`, each through its own driver, where they are installed. Chromium is driven by
//! [`crate::Browser`].

use std::{
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fourways_testkit::Reaper;
use serde_json::{Value, json};
use thirtyfour::{By, Capabilities, WebDriver, WindowHandle};

use crate::DEADLINE;

/// A browser engine other than Chromium's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The engine of Firefox.
    Gecko,
    /// The engine of Safari, in its GTK port.
    WebKit,
}

impl Engine {
    /// Every engine, in the order of the enum.
    pub const ALL: [Self; 2] = [Self::Gecko, Self::WebKit];

    /// True if the browser, its driver and the programs that these need are installed.
    pub fn is_there(self) -> bool {
        self.programs().iter().all(|program| find(program).is_some())
            && (self == Self::Gecko || minibrowser().is_some())
    }

    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Gecko => &["firefox-esr", "geckodriver"],
            Self::WebKit => &["WebKitWebDriver", "Xvfb"],
        }
    }
}

/// Returns the file of a program that is on the path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Returns the browser that `WebKit`'s driver runs; its folder has the processor's and the version's name.
fn minibrowser() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let folders = libraries.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut webkits: Vec<_> = folders
        .map(|entry| entry.path().join("MiniBrowser"))
        .filter(|file| file.to_string_lossy().contains("/webkit") && file.is_file())
        .collect();
    webkits.sort();
    webkits.pop()
}

/// A browser of an [`Engine`] with one window. The browser is killed when this value is dropped.
#[derive(Debug)]
pub struct Foreign {
    /// The `WebDriver` session of the browser.
    pub driver: WebDriver,
    _processes: Vec<Killed>,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        Reaper::kill(self.0.id());
        // A process that is gone already is no error.
        drop(self.0.wait());
    }
}

impl Foreign {
    /// Starts the browser with its driver.
    ///
    /// # Errors
    /// If one of them can't be started.
    pub async fn start(engine: Engine) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Reaper::watch_folder(folder.path());
        let run = |command: &mut Command| {
            let child = command
                .env("TMPDIR", folder.path())
                .env("HOME", folder.path())
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("{command:?} can't be started"))?;
            Reaper::watch(child.id());
            anyhow::Ok(Killed(child))
        };
        // This port was free a moment ago: neither driver reports a port of its own choice.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let (processes, capabilities) = match engine {
            Engine::Gecko => {
                let driver = run(Command::new("geckodriver").args([
                    "--port",
                    &port.to_string(),
                    "--websocket-port",
                    "0",
                ]))?;
                let firefox = find("firefox-esr").context("no firefox-esr")?;
                let options = json!({
                    "browserName": "firefox",
                    "moz:firefoxOptions": { "binary": firefox, "args": ["-headless"] },
                });
                (vec![driver], options)
            }
            Engine::WebKit => {
                let display = format!(":{}", 1000 + u32::from(port));
                let screen = run(Command::new("Xvfb").args([
                    &display,
                    "-screen",
                    "0",
                    "1440x1000x24",
                    "-nolisten",
                    "tcp",
                ]))?;
                let mut driver = Command::new("WebKitWebDriver");
                // WebKit's sandbox asks for rights that containers don't give.
                driver.env("DISPLAY", &display).env("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1");
                let driver = run(driver.args([&format!("--port={port}"), "--host=127.0.0.1"]))?;
                let options = json!({
                    "browserName": "MiniBrowser",
                    "webkitgtk:browserOptions": { "binary": minibrowser().context("no MiniBrowser")?, "args": ["--automation"] },
                });
                (vec![driver, screen], options)
            }
        };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(began.elapsed() < DEADLINE, "the driver does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let capabilities: Capabilities = serde_json::from_value(capabilities)?;
        let connecting = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities);
        let driver =
            tokio::time::timeout(DEADLINE, connecting).await.context("no browser session in time")?;
        Ok(Self { driver: driver.context("no browser session")?, _processes: processes, _folder: folder })
    }

    /// Runs a script and returns its value, or the value of its promise.
    ///
    /// # Errors
    /// If the script throws.
    pub async fn ask(&self, script: &str) -> anyhow::Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {script} }})().then(value => done({{ value }}), error => done({{ error: String(error) }}));"
        );
        let mut said = self.driver.execute_async(script, vec![]).await?.json().clone();
        ensure!(said.get("error").is_none(), "{said}");
        Ok(said["value"].take())
    }

    /// Returns the value of a script, as soon as `wanted` accepts it.
    ///
    /// # Errors
    /// The value at the deadline.
    pub async fn ask_when(&self, script: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let said = self.ask(script).await?;
            if wanted(&said) {
                return Ok(said);
            }
            ensure!(began.elapsed() < DEADLINE, "the page says {said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a selector finds an element.
    ///
    /// # Errors
    /// If the element is not there at the deadline.
    pub async fn find(&self, css: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.driver.find(By::Css(css)).await.is_err() {
            ensure!(began.elapsed() < DEADLINE, "{css} is not on the page");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Switches to another window.
    ///
    /// # Errors
    /// If the window is gone.
    pub async fn switch(&self, window: &WindowHandle) -> anyhow::Result<()> {
        Ok(self.driver.switch_to_window(window.clone()).await?)
    }

    /// Ends the browser's session.
    ///
    /// # Errors
    /// If the session was lost.
    pub async fn end(self) -> anyhow::Result<()> {
        Ok(self.driver.clone().quit().await?)
    }
}

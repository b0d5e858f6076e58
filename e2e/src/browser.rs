//! Chromium through chromedriver; both end with the test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver, WebElement,
};

use crate::DEADLINE;

/// A browser of its own for each test.
#[derive(Debug)]
pub struct Browser {
    /// The session.
    pub driver: WebDriver,
    process: Child,
    base: String,
}

impl Browser {
    /// Opens a window of this width. `base` is the server's address, as in `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// If the browser can't be started.
    pub async fn open(base: &str, width: u32) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver could not be started; `cargo xtask test` installs it")?;
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in [
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
            &format!("--window-size={width},1000"),
        ] {
            capabilities.add_arg(flag)?;
        }
        // The driver's own wish, and no visitor's: a hidden tab is slowed down as it is everywhere.
        capabilities.add_exclude_switch("disable-background-timer-throttling")?;
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All)?;
        let url = format!("http://127.0.0.1:{port}");
        let connecting = async {
            loop {
                match WebDriver::new(&url, capabilities.clone()).await {
                    Ok(driver) => return driver,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let driver = tokio::time::timeout(DEADLINE, connecting).await.context("no browser session")?;
        Ok(Self { driver, process, base: base.to_owned() })
    }

    /// Opens a page of the lab.
    ///
    /// # Errors
    /// If the browser can't.
    pub async fn go(&self, path: &str) -> anyhow::Result<()> {
        self.driver
            .goto(format!("{}{path}", self.base))
            .await
            .with_context(|| format!("{path} does not open"))
    }

    /// The element, as soon as it is there.
    ///
    /// # Errors
    /// If it is not at the deadline.
    pub async fn find(&self, css: &str) -> anyhow::Result<WebElement> {
        let looking = async {
            loop {
                if let Ok(element) = self.driver.find(By::Css(css)).await {
                    return element;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.with_context(|| format!("{css} is not on the page"))
    }

    /// Waits until no element is like this.
    ///
    /// # Errors
    /// If one still is at the deadline.
    pub async fn gone(&self, css: &str) -> anyhow::Result<()> {
        let looking = async {
            while self.driver.find(By::Css(css)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.with_context(|| format!("{css} is still on the page"))
    }

    /// The element's text, as soon as it is what is wanted.
    ///
    /// # Errors
    /// What it was at the deadline.
    pub async fn text_when(&self, css: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let began = std::time::Instant::now();
        loop {
            // An element may be made anew between the two calls.
            let Ok(text) = self.find(css).await?.text().await else { continue };
            if wanted(&text) {
                return Ok(text);
            }
            if began.elapsed() > DEADLINE {
                bail!("{css} says {text:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a counter has passed a number.
    ///
    /// # Errors
    /// What it was at the deadline.
    pub async fn count_above(&self, css: &str, than: u64) -> anyhow::Result<u64> {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let text = self.text_when(css, |text| number(text).is_some_and(|count| count > than)).await?;
        number(&text).context("a number")
    }

    /// Errors that the page has written to its console.
    ///
    /// # Errors
    /// If the browser can't tell.
    pub async fn console_errors(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.driver.browser_log().await?;
        let severe =
            entries.into_iter().filter(|entry| format!("{:?}", entry.level).eq_ignore_ascii_case("severe"));
        Ok(severe.map(|entry| entry.message).collect())
    }

    /// Closes window and driver.
    ///
    /// # Errors
    /// If the session was lost.
    pub async fn close(self) -> anyhow::Result<()> {
        self.driver.clone().quit().await?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

//! A page of Chromium for each test, driven by chromedriver.

use std::time::Duration;

use anyhow::{Context as _, bail};
use thirtyfour::{By, WebDriver, WebElement};

use crate::{
    DEADLINE,
    session::{Kind, Session},
};

/// Pause between two looks at a page: each is a message to the browser, and many tests look at once.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// A window of its own for each test, in a Chromium that tests use one after the other.
#[derive(Debug)]
pub struct Browser {
    /// The `WebDriver` session, for calls that have no method here.
    pub driver: WebDriver,
    session: Session,
    base: String,
}

impl Browser {
    /// Opens a window of this width, in pixels. `base` is the server's address, as in `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// If the browser can't be started.
    pub async fn open(base: &str, width: u32) -> anyhow::Result<Self> {
        Self::of(Kind::Light, base, width).await
    }

    /// Opens a window in a Chromium whose tabs can be hidden, for [`Self::while_hidden`].
    ///
    /// # Errors
    /// If the browser can't be started.
    pub async fn with_tabs(base: &str, width: u32) -> anyhow::Result<Self> {
        Self::of(Kind::Whole, base, width).await
    }

    async fn of(kind: Kind, base: &str, width: u32) -> anyhow::Result<Self> {
        let session = Session::take(kind, width).await?;
        Ok(Self { driver: session.driver.clone(), session, base: base.to_owned() })
    }

    /// Opens a page of the lab.
    ///
    /// # Errors
    /// If the page does not open.
    pub async fn go(&self, path: &str) -> anyhow::Result<()> {
        self.driver
            .goto(format!("{}{path}", self.base))
            .await
            .with_context(|| format!("{path} does not open"))
    }

    /// Returns the element that a selector finds, as soon as it is there.
    ///
    /// # Errors
    /// If the element is not there at the deadline.
    pub async fn find(&self, css: &str) -> anyhow::Result<WebElement> {
        let looking = async {
            loop {
                if let Ok(element) = self.driver.find(By::Css(css)).await {
                    return element;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.with_context(|| format!("{css} is not on the page"))
    }

    /// Waits until a selector finds no element.
    ///
    /// # Errors
    /// If an element is still there at the deadline.
    pub async fn gone(&self, css: &str) -> anyhow::Result<()> {
        let looking = async {
            while self.driver.find(By::Css(css)).await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.with_context(|| format!("{css} is still on the page"))
    }

    /// Returns the text of an element, as soon as `wanted` accepts it.
    ///
    /// # Errors
    /// The text at the deadline.
    pub async fn text_when(&self, css: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let began = std::time::Instant::now();
        loop {
            // The element may be replaced between the two calls.
            let Ok(text) = self.find(css).await?.text().await else { continue };
            if wanted(&text) {
                return Ok(text);
            }
            if began.elapsed() > DEADLINE {
                bail!("{css} says {text:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until a counter exceeds `than`, and returns its value.
    ///
    /// # Errors
    /// The text of the counter at the deadline.
    pub async fn count_above(&self, css: &str, than: u64) -> anyhow::Result<u64> {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let text = self.text_when(css, |text| number(text).is_some_and(|count| count > than)).await?;
        number(&text).context("a number")
    }

    /// Returns the errors that the page has written to its console.
    ///
    /// # Errors
    /// If the browser does not report them.
    pub async fn console_errors(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.driver.browser_log().await?;
        let severe =
            entries.into_iter().filter(|entry| format!("{:?}", entry.level).eq_ignore_ascii_case("severe"));
        Ok(severe.map(|entry| entry.message).collect())
    }

    /// Ends the browser instead of leaving it to the next test.
    ///
    /// # Errors
    /// If the session was lost.
    pub async fn end(self) -> anyhow::Result<()> {
        self.driver.clone().quit().await?;
        Ok(())
    }

    /// Leaves the browser to the next test. A browser that is dropped instead, by a test that failed, is killed.
    ///
    /// # Errors
    /// If the session was lost.
    pub async fn close(self) -> anyhow::Result<()> {
        // The page stops, and closes everything that it holds open.
        self.driver.goto("about:blank").await?;
        self.session.leave();
        Ok(())
    }
}

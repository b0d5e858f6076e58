//! A page of the lab as a person uses it: by the words on it, with mouse and keyboard.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use thirtyfour::{By, Key, WebElement};

use crate::{Browser, DEADLINE, browser::PAUSE};

/// The address of every page. `/nowhere` is the one for addresses that lead nowhere.
pub const PAGES: [&str; 20] = [
    "/",
    "/short-polling",
    "/long-polling",
    "/sse",
    "/websocket",
    "/compare",
    "/path",
    "/decide",
    "/use-cases",
    "/use-cases/chat",
    "/use-cases/live-score",
    "/use-cases/order-shipped",
    "/use-cases/notifications",
    "/use-cases/dashboard",
    "/use-cases/progress",
    "/use-cases/pointers",
    "/use-cases/editing",
    "/use-cases/trading",
    "/operate",
    "/nowhere",
];

/// The four by name, and where their pages are.
pub const TECHNIQUES: [(&str, &str); 4] = [
    ("short_poll", "/short-polling"),
    ("long_poll", "/long-polling"),
    ("sse", "/sse"),
    ("websocket", "/websocket"),
];

/// Longer than two of a page's looks at its counters, a third of a second each.
const STILL: Duration = Duration::from_millis(800);
/// More stops than any slider has.
const MAX_STOPS: usize = 30;

/// How often another tab is opened until one covers the page.
const COVERS: u32 = 10;

impl Browser {
    /// Has every page that is opened from now on run this script before its own.
    ///
    /// # Errors
    /// If the browser can't.
    pub async fn before_load(&self, script: &str) -> anyhow::Result<()> {
        let source = json!({ "source": script });
        self.driver.cdp().send_raw("Page.addScriptToEvaluateOnNewDocument", source).await?;
        Ok(())
    }

    /// Makes pages as wide as a telephone: Chromium's windows end at 500 pixels.
    ///
    /// # Errors
    /// If the browser can't.
    pub async fn narrow(&self, width: u32) -> anyhow::Result<()> {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": true });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Has another tab in front of the page meanwhile; only where the browser was opened by [`Self::with_tabs`].
    ///
    /// # Errors
    /// If the browser can't, or what is done meanwhile fails.
    pub async fn while_hidden<F>(&self, meanwhile: impl FnOnce() -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let page = self.driver.window().await?;
        let mut tries = 0;
        loop {
            // A tab opens in the window that is in front, and covers only what is in that one.
            self.driver.cdp().send_raw("Page.bringToFront", json!({})).await?;
            let other = self.driver.new_tab().await?;
            self.driver.switch_to_window(other.clone()).await?;
            self.driver.goto("about:blank").await?;
            self.driver.switch_to_window(page.clone()).await?;
            let is_hidden = self.ask("return document.visibilityState", &[]).await? == json!("hidden");
            self.driver.switch_to_window(other).await?;
            tries += 1;
            if is_hidden || tries == COVERS {
                break;
            }
            self.driver.close_window().await?;
            self.driver.switch_to_window(page.clone()).await?;
        }
        let done = meanwhile().await;
        self.driver.close_window().await?;
        self.driver.switch_to_window(page).await?;
        self.driver.cdp().send_raw("Page.bringToFront", json!({})).await?;
        done
    }

    /// Clicks it, as soon as it is there to be clicked.
    ///
    /// # Errors
    /// What was in the way at the deadline.
    pub async fn click(&self, css: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let element = self.find(css).await?;
            // In the middle of the window: at its top edge it would lie under the header.
            let clicked = match element.scroll_into_view().await {
                Ok(()) => element.click().await,
                Err(error) => Err(error),
            };
            // It may have been made anew meanwhile, and a list may move under the pointer.
            match clicked {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > DEADLINE => {
                    return Err(error).with_context(|| format!("{css} can't be clicked"));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Types into it, as soon as it is there.
    ///
    /// # Errors
    /// What was in the way at the deadline.
    pub async fn type_into(&self, css: &str, words: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            // It may be made anew between the two calls.
            match self.find(css).await?.send_keys(words).await {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > DEADLINE => {
                    return Err(error).with_context(|| format!("nothing can be typed into {css}"));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Moves the slider of this label by keyboard until it says this.
    ///
    /// # Errors
    /// If it never does.
    pub async fn slide(&self, label: &str, to: &str) -> anyhow::Result<()> {
        let path = format!("//*[span/label/text()='{label}']/input[@type='range']");
        let slider = self.named(&path).await?;
        slider.send_keys(Key::Home + "").await?;
        for _ in 0..MAX_STOPS {
            if slider.attr("aria-valuetext").await?.as_deref() == Some(to) {
                return Ok(());
            }
            slider.send_keys(Key::Right + "").await?;
        }
        bail!("the slider {label:?} never says {to:?}")
    }

    /// Takes a choice of the radio group of this label.
    ///
    /// # Errors
    /// If it is not on the page, or does not become the chosen one.
    pub async fn choose(&self, group: &str, choice: &str) -> anyhow::Result<()> {
        let radios = format!("//*[@role='radiogroup'][@aria-label='{group}']//*[@role='radio']");
        let path = format!("{radios}[normalize-space(.)='{choice}']");
        let radio = self.named(&path).await?;
        radio.scroll_into_view().await?;
        radio.click().await?;
        self.named(&format!("{path}[@aria-checked='true']")).await?;
        Ok(())
    }

    /// The element's text, once it has stood still.
    ///
    /// # Errors
    /// If it never does.
    pub async fn settled(&self, css: &str) -> anyhow::Result<String> {
        let began = Instant::now();
        let (mut text, mut since) = (self.find(css).await?.text().await?, began);
        while since.elapsed() < STILL {
            tokio::time::sleep(PAUSE).await;
            let now = self.find(css).await?.text().await?;
            if now != text {
                (text, since) = (now, Instant::now());
            }
            if began.elapsed() > DEADLINE {
                bail!("{css} never stands still; last it said {text:?}");
            }
        }
        Ok(text)
    }

    /// What a script says of the page.
    ///
    /// # Errors
    /// What it throws.
    pub async fn ask(&self, script: &str, given: &[Value]) -> anyhow::Result<Value> {
        Ok(self.driver.execute(script, given.to_vec()).await?.json().clone())
    }

    /// What a script says of the page, as soon as that is what is wanted.
    ///
    /// # Errors
    /// What it said at the deadline.
    pub async fn ask_when(
        &self,
        script: &str,
        given: &[Value],
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let said = self.ask(script, given).await?;
            if wanted(&said) {
                return Ok(said);
            }
            if began.elapsed() > DEADLINE {
                bail!("the page says {said}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The element at this `XPath`, as soon as it is there.
    async fn named(&self, path: &str) -> anyhow::Result<WebElement> {
        let looking = async {
            loop {
                if let Ok(element) = self.driver.find(By::XPath(path)).await {
                    return element;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(DEADLINE, looking).await.with_context(|| format!("{path} is not on the page"))
    }
}

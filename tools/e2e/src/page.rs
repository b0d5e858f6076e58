//! A page of the lab as a person uses it: by the words on it, with mouse and keyboard.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use thirtyfour::{By, Key, WebElement};

use crate::{Browser, DEADLINE, browser::PAUSE};

/// The address of every page. `/nowhere` stands for addresses that lead nowhere.
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
    "/use-cases/score",
    "/use-cases/order",
    "/use-cases/notice",
    "/use-cases/dashboard",
    "/use-cases/upload",
    "/use-cases/pointer",
    "/use-cases/text",
    "/use-cases/trade",
    "/operate",
    "/nowhere",
];

/// The four techniques: name, and address of the page.
pub const TECHNIQUES: [(&str, &str); 4] = [
    ("short_poll", "/short-polling"),
    ("long_poll", "/long-polling"),
    ("sse", "/sse"),
    ("websocket", "/websocket"),
];

/// Time without a change after which a text is settled: longer than two of a page's looks at its counters, a third of a
/// second each.
const STILL: Duration = Duration::from_millis(800);
/// Number of stops tried on a slider, more than any has.
const MAX_STOPS: usize = 30;

/// Number of tabs opened until one covers the page.
const COVERS: u32 = 10;

impl Browser {
    /// Makes every page that is opened from now on run this script before its own.
    ///
    /// # Errors
    /// If the browser refuses.
    pub async fn before_load(&self, script: &str) -> anyhow::Result<()> {
        let source = json!({ "source": script });
        self.driver.cdp().send_raw("Page.addScriptToEvaluateOnNewDocument", source).await?;
        Ok(())
    }

    /// Makes pages as narrow as on a telephone: Chromium's windows are 500 pixels wide at least.
    ///
    /// # Errors
    /// If the browser refuses.
    pub async fn narrow(&self, width: u32) -> anyhow::Result<()> {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": true });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Runs `meanwhile` with another tab in front of the page; only where the browser was opened by
    /// [`Self::with_tabs`].
    ///
    /// # Errors
    /// If the browser refuses, or `meanwhile` fails.
    pub async fn while_hidden<F>(&self, meanwhile: impl FnOnce() -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let page = self.driver.window().await?;
        let mut tries = 0;
        loop {
            // A tab opens in the window that is in front, and covers only the pages of that window.
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

    /// Clicks an element, as soon as it can be clicked.
    ///
    /// # Errors
    /// The obstacle at the deadline.
    pub async fn click(&self, css: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let element = self.find(css).await?;
            // Scrolled to the middle of the window: at its top edge the element would lie under the header.
            let clicked = match element.scroll_into_view().await {
                Ok(()) => element.click().await,
                Err(error) => Err(error),
            };
            // The element may have been replaced meanwhile, and a list may move under the pointer.
            match clicked {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > DEADLINE => {
                    return Err(error).with_context(|| format!("{css} can't be clicked"));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Types into an element, as soon as it is there.
    ///
    /// # Errors
    /// The obstacle at the deadline.
    pub async fn type_into(&self, css: &str, words: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            // The element may be replaced between the two calls.
            match self.find(css).await?.send_keys(words).await {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > DEADLINE => {
                    return Err(error).with_context(|| format!("nothing can be typed into {css}"));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Moves the slider with this label by keyboard until it shows `to`.
    ///
    /// # Errors
    /// If the slider never shows it.
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

    /// Chooses in the radio group with this label.
    ///
    /// # Errors
    /// If the choice is not on the page, or does not become the chosen one.
    pub async fn choose(&self, group: &str, choice: &str) -> anyhow::Result<()> {
        let radios = format!("//*[@role='radiogroup'][@aria-label='{group}']//*[@role='radio']");
        let path = format!("{radios}[normalize-space(.)='{choice}']");
        let radio = self.named(&path).await?;
        radio.scroll_into_view().await?;
        radio.click().await?;
        self.named(&format!("{path}[@aria-checked='true']")).await?;
        Ok(())
    }

    /// Returns the text of an element, once it has stopped changing.
    ///
    /// # Errors
    /// If the text never stops changing.
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

    /// Runs a script in the page and returns its value.
    ///
    /// # Errors
    /// If the script throws.
    pub async fn ask(&self, script: &str, given: &[Value]) -> anyhow::Result<Value> {
        Ok(self.driver.execute(script, given.to_vec()).await?.json().clone())
    }

    /// Returns the value of a script, as soon as `wanted` accepts it.
    ///
    /// # Errors
    /// The value at the deadline.
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

    /// Returns the element at an `XPath`, as soon as it is there.
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

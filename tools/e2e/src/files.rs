//! Files that a page offers and takes, without a download folder: the page's own blobs are read where they are made.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{Browser, DEADLINE};

/// Script that keeps each offered blob by the name of its download, instead of saving it.
const KEEP: &str = "
window.files = {};
const blobs = new Map(), create = URL.createObjectURL;
URL.createObjectURL = blob => { const url = create.call(URL, blob); blobs.set(url, blob); return url; };
HTMLAnchorElement.prototype.click = function () {
  const blob = blobs.get(this.href), name = this.download;
  if (blob) blob.arrayBuffer().then(bytes => {
    window.files[name] = Array.from(new Uint8Array(bytes), byte => String.fromCharCode(byte)).join('');
  });
};";

impl Browser {
    /// Makes the page keep the files that it offers, for [`Self::file`], until the page is loaded again.
    ///
    /// # Errors
    /// If the page can't run the script.
    pub async fn keep_files(&self) -> anyhow::Result<()> {
        self.driver.execute(KEEP, Vec::new()).await?;
        Ok(())
    }

    /// Returns a file that the page offers, as soon as it has. Bytes that are UTF-8 are returned as that text.
    ///
    /// # Errors
    /// If the page has not offered the file at the deadline.
    pub async fn file(&self, name: &str) -> anyhow::Result<String> {
        let began = Instant::now();
        loop {
            let script = "return window.files[arguments[0]] ?? null";
            let found = self.driver.execute(script, vec![name.into()]).await?;
            if let Some(text) = found.json().as_str() {
                // The script returns one character per byte.
                let bytes: Vec<u8> =
                    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
                return Ok(String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned()));
            }
            if began.elapsed() > DEADLINE {
                bail!("the page did not offer {name}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gives a file with this text to a file input.
    ///
    /// # Errors
    /// If the input is not there.
    pub async fn choose_file(&self, css: &str, text: &str) -> anyhow::Result<()> {
        self.find(css).await?;
        let script = "
            const input = document.querySelector(arguments[0]), files = new DataTransfer();
            files.items.add(new File([arguments[1]], 'run.json', { type: 'application/json' }));
            input.files = files.files;
            input.dispatchEvent(new Event('change', { bubbles: true }));";
        self.driver.execute(script, vec![css.into(), text.into()]).await?;
        Ok(())
    }
}

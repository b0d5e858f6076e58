//! `--compress` in Chromium: its own `EventSource`, `WebSocket` and `fetch` read compressed streams, each event at
//! once.

use std::time::{Duration, Instant};

use fourways_e2e::{Browser, DEADLINE, Server, run};
use serde_json::json;

const READ: &str = "
    window.seen = { source: [], socket: [], fetched: [] };
    window.extensions = null;
    const source = new EventSource('/v1/stream?topic=a');
    source.onmessage = ({ data }) => seen.source.push(JSON.parse(data).data.n);
    const socket = new WebSocket(`ws://${location.host}/v1/ws?topic=a`, 'fourways.v1.json');
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        window.extensions = socket.extensions;
        if (message.type === 'event') seen.socket.push(message.data.n);
    };
    fetch('/v1/stream?topic=a').then(async answer => {
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ''; ;) {
            const { done, value } = await reader.read();
            if (done) return;
            text += value;
            seen.fetched = [...text.matchAll(/\"n\":(\\d+)/g)].map(([, n]) => +n);
        }
    });";

#[test]
fn chromium_reads_what_is_compressed_once_for_all() {
    run(async || {
        let server = Server::with(&["--compress", "200", "--heartbeat", "1s"])?;
        let browser = Browser::open(&server.url(), 1000).await?;
        browser.go("/nowhere").await?;
        browser.ask(READ, &[]).await?;
        browser
            .ask_when("return extensions;", &[], |said| {
                said.as_str().is_some_and(|said| said.contains("deflate"))
            })
            .await?;
        let began = Instant::now();
        while server.subscribers("sse").await? < 2 {
            anyhow::ensure!(began.elapsed() < DEADLINE, "both streams open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for n in 1..=6 {
            // Long and short texts in turn: the long ones are compressed, the short ones stored.
            let text = "as long as this ".repeat(if n % 2 == 0 { 1 } else { 40 });
            server.publish("a", json!({ "n": n, "text": text }).to_string()).await?;
            let all: Vec<i64> = (1..=n).collect();
            let expected = json!({ "source": all, "socket": all, "fetched": all });
            browser.ask_when("return seen;", &[], |seen| *seen == expected).await?;
        }
        let errors = browser.console_errors().await?;
        anyhow::ensure!(errors.is_empty(), "{errors:?}");
        browser.close().await
    });
}

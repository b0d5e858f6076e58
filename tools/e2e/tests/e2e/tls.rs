//! The lab over HTTP/2: streams share one connection, and the server counts each of them.

use fourways_e2e::{Browser, Server, TECHNIQUES, run};

#[test]
fn the_lab_works_over_http2_and_counts_each_stream() {
    run(async || {
        let server = Server::with(&["--tls"])?;
        let browser = Browser::open(&format!("https://{}", server.address), 1440).await?;
        browser.go("/").await?;
        for (technique, _) in TECHNIQUES {
            browser.count_above(&format!("[data-testid=events-{technique}]"), 5).await?;
        }
        browser.text_when(".foot", |text| text.contains("h2")).await?;
        for (technique, path) in TECHNIQUES {
            browser.go(path).await?;
            browser.text_when(".stats", |text| text.contains("counted at the server")).await?;
            // The request is shown in words, though its bytes are compressed; a socket is opened over HTTP/1.1.
            let version = if technique == "websocket" { "/v1/ws" } else { "GET /v1/" };
            browser.text_when("[data-testid=wire]", |text| text.contains(version)).await?;
            browser.text_when("[data-testid=wire]", |text| text.contains('#')).await?;
        }
        // Twelve streams at once, where HTTP/1.1 stops at six.
        browser.go("/path").await?;
        browser.find("[data-testid=path-run]").await?.click().await?;
        browser.text_when("[data-testid=path-state]", |text| text.contains("opening streams")).await?;
        browser.text_when("[data-testid=path-state]", |text| text == "done").await?;
        browser.text_when(".path-stats", |text| text.contains("12 and more")).await?;
        anyhow::ensure!(browser.console_errors().await?.is_empty(), "{:?}", browser.console_errors().await?);
        browser.close().await
    });
}

//! The path check, in Chromium: a good path carries all four, and a bad proxy's faults are named.

use fourways_e2e::{Browser, Proxy, Server, run};

/// A bad setting for each of the three techniques that hold a connection. HTTP/1.0 to the server keeps nginx from
/// passing chunks on, and removes the `Upgrade` header.
const BAD: &str = "proxy_http_version 1.0; proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_read_timeout 4s;";

/// Runs the check, and returns its words on each technique.
async fn checked(browser: &Browser) -> anyhow::Result<[String; 4]> {
    browser.go("/path").await?;
    browser.find("[data-testid=path-run]").await?.click().await?;
    // The whole check takes longer than one deadline, so its last steps have another.
    browser.text_when("[data-testid=path-state]", |text| text.contains("opening streams")).await?;
    browser.text_when("[data-testid=path-state]", |text| text == "done").await?;
    let mut told = [const { String::new() }; 4];
    for (told, technique) in told.iter_mut().zip(["short_poll", "long_poll", "sse", "websocket"]) {
        *told = browser.find(&format!("[data-testid=path-{technique}]")).await?.text().await?;
    }
    Ok(told)
}

#[test]
fn a_good_path_carries_all_four_and_has_a_wall_of_six() {
    run(async || {
        let server = Server::start()?;
        let browser = Browser::open(&server.url(), 1440).await?;
        let [short_poll, long_poll, sse, websocket] = checked(&browser).await?;
        for told in [&short_poll, &long_poll, &websocket] {
            anyhow::ensure!(told.contains("\ncarried\n"), "{told}");
        }
        anyhow::ensure!(sse.contains("6 streams at once") && sse.contains("event by event"), "{sse}");
        server.await_no_subscribers().await?;
        browser.close().await
    });
}

#[test]
fn the_faults_of_a_bad_proxy_are_named() {
    run(async || {
        let server = Server::start()?;
        let nginx = Proxy::nginx(&server.address, BAD, "")?;
        let browser = Browser::open(&nginx.url, 1440).await?;
        let [short_poll, long_poll, sse, websocket] = checked(&browser).await?;
        anyhow::ensure!(short_poll.contains("carried"), "{short_poll}");
        anyhow::ensure!(long_poll.contains("with a catch") && long_poll.contains("504"), "{long_poll}");
        anyhow::ensure!(sse.contains("broken"), "{sse}");
        anyhow::ensure!(websocket.contains("broken") && websocket.contains("Upgrade"), "{websocket}");
        browser.close().await
    });
}

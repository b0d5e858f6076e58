//! The React hook of `docs/client.md`, built by Vite, in a page of another origin than the server's.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use fourways_e2e::{Browser, DEADLINE, Server, run};
use fourways_testkit::own_address;
use serde_json::json;

use super::built;

/// The process that serves the built page; ends when dropped.
struct Preview(Child);

impl Drop for Preview {
    fn drop(&mut self) {
        // A process that is gone already is no error.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns the code of the hook from the guide.
fn hook() -> anyhow::Result<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/client.md");
    let guide = std::fs::read_to_string(guide)?;
    let blocks = guide.split("```js\n").skip(1).filter_map(|rest| rest.split("```").next());
    let hook = blocks.into_iter().find(|block| block.contains("export function useTopic"));
    Ok(hook.context("docs/client.md has no hook")?.to_owned())
}

async fn counted(server: &Server, name: &str) -> anyhow::Result<u64> {
    let text = reqwest::get(format!("{}/metrics", server.url())).await?.text().await?;
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.map(|line| Ok(line.rsplit(' ').next().context("no value")?.parse::<u64>()?)).sum()
}

#[test]
fn the_hook_of_the_guide_in_a_page_that_vite_built() {
    let Some(folder) = built("vite-react") else { return };
    run(async || {
        std::fs::write(folder.join("useTopic.js"), hook()?)?;
        let vite = |arguments: &[&str]| {
            let mut command = Command::new(folder.join("node_modules/.bin/vite"));
            command.args(arguments).current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        ensure!(vite(&["build"]).status()?.success(), "vite can't build the page");
        let host = own_address().to_string();
        let port = TcpListener::bind((host.as_str(), 0))?.local_addr()?.port().to_string();
        let preview = vite(&["preview", "--host", &host, "--port", &port, "--strictPort"]).spawn()?;
        let _preview = Preview(preview);
        let page = format!("http://{host}:{port}");
        let asked = async {
            while reqwest::get(&page).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, asked).await.context("vite does not give out the page")?;

        let server = Server::with(&["--origin", &page])?;
        let browser = Browser::open(&page, 1000).await?;
        let options = json!({ "url": server.url(), "share": false }).to_string();
        let address = reqwest::Url::parse_with_params(&page, [("options", options)])?;
        browser.go(&address.as_str()[page.len()..]).await?;
        browser.text_when("#state", |state| state.starts_with("open")).await?;
        // StrictMode mounts everything twice; the first subscription of each is closed.
        for number in 1..=4 {
            server.publish("react.a", number.to_string()).await?;
        }
        server.publish("react.b", "0".to_owned()).await?;
        browser.text_when("#events", |events| events == "2 3 4").await?;
        ensure!(counted(&server, "fourways_open_subscriptions").await? == 1, "one is open");
        let begun = counted(&server, "fourways_subscriptions_total").await?;
        for _ in 0..10 {
            browser.click("#again").await?;
        }
        server.publish("react.a", "5".to_owned()).await?;
        browser.text_when("#events", |events| events == "3 4 5").await?;
        ensure!(counted(&server, "fourways_subscriptions_total").await? == begun, "rendering begins none");
        browser.click("#more").await?;
        browser.text_when("#events", str::is_empty).await?;
        browser.text_when("#state", |state| state.starts_with("open")).await?;
        server.publish("react.b", "6".to_owned()).await?;
        server.publish("react.a", "7".to_owned()).await?;
        browser.text_when("#events", |events| events == "6 7").await?;
        browser.click("#leave").await?;
        server.await_no_subscribers().await?;
        browser.close().await
    });
}

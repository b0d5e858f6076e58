//! The page for operators: open connections, topics, publishing by hand, closing a connection; and the way in where a
//! token is asked for.

use fourways_e2e::{Browser, Server, run};
use serde_json::json;

/// Script that opens a stream of the page's own, by `client.js`, and keeps its events and states.
const READ: &str = "
    const done = arguments[arguments.length - 1];
    window.seen = [];
    window.states = [];
    import('/client.js').then(({ subscribe }) => {
        subscribe('orders.*', ({ data }) => seen.push(data), {
            techniques: ['sse'], share: false, onState: ({ state }) => states.push(state),
        });
        done();
    });";

async fn is_operated(width: u32) -> anyhow::Result<()> {
    let server = Server::start()?;
    let browser = Browser::open(&server.url(), width).await?;
    browser.go("/operate").await?;
    browser.driver.execute_async(READ, Vec::new()).await?;
    browser.text_when("[data-testid=held-sse]", |text| text == "1").await?;
    // An event that is published by hand arrives, is listed and can be looked into.
    browser.type_into("[data-testid=publish-topic]", "orders.1").await?;
    browser.find("[data-testid=publish-json]").await?.send_keys("{\"state\":\"shipped\"}").await?;
    browser.click("[data-testid=publish]").await?;
    browser.text_when("[data-testid=published]", |text| text.contains("published: {\"cursor\"")).await?;
    browser.ask_when("return seen;", &[], |seen| *seen == json!([{ "state": "shipped" }])).await?;
    browser.text_when("[data-testid=topics]", |text| text.contains("orders.1")).await?;
    browser.text_when("[data-testid=connections]", |text| text.contains("orders.*")).await?;
    let look = "const button = [...document.querySelectorAll('[data-testid=topics] button')]
        .find(button => button.textContent === 'orders.1'); button.click(); return true;";
    browser.ask(look, &[]).await?;
    browser.text_when("[data-testid=looked]", |text| text.contains("shipped")).await?;
    // The host's own figures come four times a second.
    let rate = |text: &str| {
        let own = text.lines().find(|line| line.starts_with("host.cpu"));
        own.is_some_and(|line| {
            line.split_whitespace()
                .nth(1)
                .and_then(|rate| rate.parse::<f64>().ok())
                .is_some_and(|rate| rate > 1.0)
        })
    };
    browser
        .text_when("[data-testid=topics]", |text| {
            rate(&text.replace('\n', " ").replace(" host.cpu", "\nhost.cpu"))
        })
        .await?;
    // A refusal is shown in words.
    browser.type_into("[data-testid=publish-json]", "}").await?;
    browser.click("[data-testid=publish]").await?;
    browser.text_when("[data-testid=published]", |text| text.contains("not one JSON value")).await?;
    // A connection that is cut reconnects by itself and misses nothing.
    browser.click("[data-testid=connections] td [data-testid^=cut-]").await?;
    // Cancelled: the focus is on the button again, and nothing has happened.
    browser.click("[data-testid=connections] td .confirm button:last-child").await?;
    let focused = "return document.activeElement.dataset.testid ?? '';";
    browser.ask_when(focused, &[], |id| id.as_str().is_some_and(|id| id.starts_with("cut-"))).await?;
    browser.click("[data-testid=connections] td [data-testid^=cut-]").await?;
    let before = browser.ask("return states;", &[]).await?;
    anyhow::ensure!(before == json!(["open"]), "nothing is cut before that is confirmed: {before}");
    browser.click("[data-testid=connections] td [data-testid$=-yes]").await?;
    browser.ask_when("return states;", &[], |states| *states == json!(["open", "waiting", "open"])).await?;
    server.publish("orders.2", "7".to_owned()).await?;
    browser.ask_when("return seen;", &[], |seen| *seen == json!([{ "state": "shipped" }, 7])).await?;
    // A rehearsal makes the one stream reconnect.
    browser.click("[data-testid=rehearse]").await?;
    browser.click("[data-testid=rehearse-yes]").await?;
    browser.text_when("[data-testid=rehearsed]", |text| text.contains("1 were told, 1 came back")).await?;
    server.publish("orders.3", "8".to_owned()).await?;
    browser.ask_when("return seen;", &[], |seen| *seen == json!([{ "state": "shipped" }, 7, 8])).await?;
    let errors = browser.console_errors().await?;
    // The browser logs the refused publish as an error.
    anyhow::ensure!(errors.iter().all(|error| error.contains("400")), "{errors:?}");
    browser.close().await
}

#[test]
fn what_is_held_open_is_seen_and_cut_on_a_screen() {
    run(async || is_operated(1440).await);
}

#[test]
fn what_is_held_open_is_seen_and_cut_on_a_telephone() {
    run(async || is_operated(380).await);
}

#[test]
fn a_stranger_is_asked_for_a_token_and_one_without_the_claim_stays_one() {
    run(async || {
        let folder = tempfile::tempdir()?;
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET)?;
        let key = format!("HS256:{}", secret.display());
        let server = Server::with(&["--token-key", &key])?;
        let browser = Browser::open(&server.url(), 1440).await?;
        browser.go("/operate").await?;
        browser.text_when("[data-testid=trouble]", |text| text.contains("token")).await?;
        let sign_in = async |claims: serde_json::Value| {
            browser.click("main [data-testid=sign-in-open]").await?;
            let field = browser.find("[data-testid=token]").await?;
            field.clear().await?;
            field.send_keys(token(&claims)).await?;
            browser.click("[data-testid=sign-in]").await
        };
        sign_in(json!({ "sub": "ada", "exp": 4_000_000_000_u64, "fourways": { "subscribe": [">"] } }))
            .await?;
        browser.text_when("[data-testid=trouble]", |text| text.contains("operate")).await?;
        let claims = json!({ "subscribe": [">"], "publish": [">"], "operate": true });
        sign_in(json!({ "sub": "bob", "exp": 4_000_000_000_u64, "fourways": claims })).await?;
        browser.text_when("[data-testid=limits]", |text| text.contains("Connections")).await?;
        let cookie = browser.ask("return document.cookie;", &[]).await?;
        anyhow::ensure!(cookie == json!(""), "a script can read {cookie}");
        browser.close().await
    });
}

pub(super) const SECRET: &str = "a secret of more than thirty-two bytes";

/// Returns a token with these claims, signed with HS256 (RFC 7515 A.1).
pub(super) fn token(claims: &serde_json::Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

//! Asks the monitors of the NATS servers whether they sync before they acknowledge, which clients can't see.

use std::time::Duration;

use serde::Deserialize;
use tokio_rustls::rustls::crypto::ring;

use super::settings::OrderError;

/// Time within which a monitor must answer.
const ANSWER: Duration = Duration::from_secs(3);

/// The part of a server's state (`/varz`) that matters here.
#[derive(Debug, Deserialize)]
struct State {
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
struct JetStream {
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

/// Checks every server whose monitor is given; without any, warns that nothing is known.
///
/// # Errors
/// If a server acknowledges before it syncs. A monitor that does not answer is no error but a warning: its server may be
/// down.
pub(super) async fn check(monitors: &[String]) -> Result<(), OrderError> {
    if monitors.is_empty() {
        tracing::warn!(
            "it is not known whether NATS syncs before it acknowledges; name its monitors with --nats-monitor"
        );
        return Ok(());
    }
    // Without a provider, the client can't be made. Another part of the program may have installed it before.
    drop(ring::default_provider().install_default());
    let http = reqwest::Client::builder().timeout(ANSWER).build();
    let http = http.map_err(|error| OrderError::Monitor(monitors.join(", "), error.to_string()))?;
    for monitor in monitors {
        match ask(&http, monitor).await {
            Ok(State { jetstream: JetStream { config: Config { sync_always: true } }, .. }) => {}
            Ok(State { server_name, .. }) => return Err(OrderError::Unsynced(server_name)),
            Err(why) => tracing::warn!("{}", OrderError::Monitor(monitor.clone(), why)),
        }
    }
    Ok(())
}

async fn ask(http: &reqwest::Client, monitor: &str) -> Result<State, String> {
    let url = format!("{}/varz", monitor.trim_end_matches('/'));
    let text = async { http.get(url).send().await?.error_for_status()?.text().await };
    let text = text.await.map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

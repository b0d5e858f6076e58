//! Connecting to NATS, and checking that its servers are what the log needs.

use std::time::Duration;

use async_nats::{
    Client, ConnectOptions, ServerAddr,
    connection::State,
    jetstream::{
        self, ErrorCode,
        context::{AccountError, AccountErrorKind},
    },
};
use tokio::time::{Instant, sleep};

use super::settings::{OLDEST, OrderError, OrderSettings};

/// Room for the headers of a message beside its payload, in bytes.
const HEADERS: usize = 4096;
/// Time between two pings, after two of which without an answer the connection is given up.
const PING: Duration = Duration::from_secs(2);
/// Time within which a server must accept a connection.
const CONNECT: Duration = Duration::from_secs(2);

impl OrderSettings {
    /// Checks what can be checked without a connection.
    ///
    /// # Errors
    /// If the name of the log or of the server is none, or an address can't be read.
    pub(super) fn check(&self) -> Result<(), OrderError> {
        let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        // The subjects of the usual log begin with `fw`.
        if !(1..=32).contains(&self.log.len()) || !self.log.bytes().all(is_name) || self.log == "fw" {
            return Err(OrderError::LogName(self.log.clone()));
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=64).contains(&self.node.len()) || !self.node.bytes().all(is_name) {
            return Err(OrderError::NodeName(self.node.clone()));
        }
        self.addresses().map(drop)
    }

    /// Returns the addresses of the servers for people, without the passwords in them.
    pub(super) fn places(&self) -> String {
        let addresses = self.addresses().unwrap_or_default();
        addresses
            .iter()
            .map(|address| format!("{}:{}", address.host(), address.port()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn addresses(&self) -> Result<Vec<ServerAddr>, OrderError> {
        let parse = |text: &String| text.parse().map_err(|_| OrderError::Address(text.clone()));
        self.servers.iter().map(parse).collect()
    }
}

/// Begins a connection, which goes on trying for as long as the client lives. `what` says what it is for, in the lists of
/// NATS.
pub(super) async fn connect(settings: &OrderSettings, what: &str) -> Result<Client, OrderError> {
    let mut options = ConnectOptions::new()
        .name(format!("fourways {} {what}", settings.node))
        .retry_on_initial_connect()
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .subscription_capacity(1 << 16)
        .reconnect_delay_callback(|attempt| Duration::from_millis(if attempt < 3 { 20 } else { 200 }));
    let addresses = settings.addresses()?;
    // The library reads a user's name in an address, and does not send it.
    let user = addresses.iter().find_map(|address| Some((address.username()?, address.password()?)));
    if let Some((name, password)) = user {
        options = options.user_and_password(name.to_owned(), password.to_owned());
    }
    if let Some(path) = &settings.credentials {
        let file = |error| OrderError::File(path.clone(), error);
        options = options.credentials_file(path).await.map_err(file)?;
    }
    if let Some(path) = &settings.ca {
        std::fs::metadata(path).map_err(|error| OrderError::File(path.clone(), error))?;
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    let unreachable =
        |error: async_nats::ConnectError| OrderError::Unreachable(settings.places(), error.to_string());
    options.connect(addresses).await.map_err(unreachable)
}

/// Waits for the connection, and checks the server behind it.
///
/// # Errors
/// If no server answers in time, or the one that does is not what the log needs.
pub(super) async fn check(
    settings: &OrderSettings,
    client: &Client,
    patience: Duration,
) -> Result<(), OrderError> {
    let deadline = Instant::now() + patience;
    while client.connection_state() != State::Connected {
        if Instant::now() > deadline {
            let why = "no connection".to_owned();
            return Err(OrderError::Unreachable(settings.places(), why));
        }
        sleep(Duration::from_millis(20)).await;
    }
    let info = client.server_info();
    if !client.is_server_compatible(OLDEST.0, OLDEST.1, OLDEST.2) {
        return Err(OrderError::Version(info.server_name, info.version));
    }
    if !info.jetstream {
        return Err(OrderError::NoJetStream(format!("the server {} has none", info.server_name)));
    }
    let needed = settings.max_bytes + HEADERS;
    if info.max_payload < needed {
        return Err(OrderError::Payload(info.max_payload, needed));
    }
    let context = jetstream::new(client.clone());
    loop {
        match context.query_account().await {
            Ok(_) => return Ok(()),
            Err(error) if is_off(&error) => return Err(OrderError::NoJetStream(error.to_string())),
            // A cluster that has just started has no leader yet.
            Err(error) if Instant::now() > deadline => return Err(OrderError::Leaderless(error.to_string())),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// True if the server says that JetStream is not on for this user, and not only that nobody leads it.
fn is_off(error: &AccountError) -> bool {
    match error.kind() {
        AccountErrorKind::JetStream(error) => {
            let off = [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
            off.contains(&error.error_code())
        }
        AccountErrorKind::TimedOut | AccountErrorKind::JetStreamUnavailable | AccountErrorKind::Other => {
            false
        }
    }
}

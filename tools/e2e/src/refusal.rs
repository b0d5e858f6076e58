//! A load balancer without a server behind it.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use crate::DEADLINE;

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers every request at this address with 503, until one for this path has been refused.
///
/// # Errors
/// If no such request comes in time.
pub async fn refuse_once(address: &str, path: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.context("the port is taken")?;
    let refusing = async {
        loop {
            let Ok((mut client, _)) = listener.accept().await else { continue };
            let mut request = vec![0; 8 * 1024];
            // A browser opens connections in advance: one that sends nothing is closed.
            let read = timeout(Duration::from_millis(300), client.read(&mut request)).await;
            let read = read.map_or(0, |read| read.unwrap_or(0));
            // A client that leaves before its answer is refused as well.
            drop(client.write_all(ANSWER).await);
            if String::from_utf8_lossy(&request[..read]).starts_with(&format!("GET {path}")) {
                return;
            }
        }
    };
    timeout(DEADLINE, refusing).await.with_context(|| format!("nobody asked for {path}"))
}

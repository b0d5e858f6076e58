//! Follows an event stream with eventsource-client, which reconnects by itself, and prints each message's n.

use eventsource_client::{Client, ClientBuilder, SSE};
use futures_util::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;
use serde_json::Value;
use std::{env, error::Error, time::Duration};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let transport = HyperTransport::builder()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .build_http()?;
    let mut stream = ClientBuilder::for_url(&env::args().nth(1).ok_or("no address")?)?
        .build_with_transport(transport)
        .stream();
    while let Some(event) = stream.next().await {
        match event {
            Ok(SSE::Connected(_) | SSE::Comment(_)) => {}
            Ok(SSE::Event(event)) => {
                let body: Value = serde_json::from_str(&event.data)?;
                if event.event_type == "message" {
                    println!("{}", body["n"]);
                }
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    Err("the stream was given up".into())
}

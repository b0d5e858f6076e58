//! Follows an event stream with reqwest-eventsource, which reconnects by itself, and prints each message's n.

use futures_util::StreamExt;
use reqwest_eventsource::{Event, EventSource};
use serde_json::Value;
use std::{env, error::Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut source = EventSource::get(env::args().nth(1).ok_or("no address")?);
    while let Some(event) = source.next().await {
        match event {
            Ok(Event::Open) => {}
            Ok(Event::Message(message)) => {
                let body: Value = serde_json::from_str(&message.data)?;
                if message.event == "message" {
                    println!("{}", body["n"]);
                }
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    Err("the stream was given up".into())
}

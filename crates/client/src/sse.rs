//! Server-Sent Events: one response that stays open and carries the events.

use std::{ops::ControlFlow, time::Duration};

use fourways_shared::{
    Advice, Cursor, Event, Problem, Reset,
    session::Session,
    wire::sse::{Block, Parser},
};
use futures_util::StreamExt as _;
use reqwest::{Method, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{Arrival, Ended, Sink, Target, break_off, deliver, moved, target};

/// Maximum length of a block of the stream, in bytes. The server's default limit for an event is 1 MiB, so a longer
/// block is not from a Fourways server.
const MAX_BLOCK_BYTES: usize = 8 << 20;

pub(crate) async fn run(target: &Target, session: &mut Session, sink: &mut Sink<'_>) -> Ended {
    let request = target
        .ask(Method::GET, target.read_url("/v1/stream", session.after()))
        .header("Accept", "text/event-stream");
    let response = match timeout(target.silence, request.send()).await {
        Err(_) => return target::lost("no answer"),
        Ok(Err(error)) => return target::lost(error),
        Ok(Ok(response)) => response,
    };
    let status = response.status().as_u16();
    if status != 200 {
        let retry_after = target::retry_after(&response);
        let body = response.bytes().await.unwrap_or_default();
        return target::refused(status, retry_after, &body);
    }
    // A login page, or the page of a captive portal, is not a stream.
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return target::lost(format!("the answer is not an event stream, but {kind:?}"));
    }
    if sink(Arrival::Opened).is_break() {
        return Ended::Stopped;
    }
    let (mut stream, mut parser, mut retry) = (response.bytes_stream(), Parser::default(), Duration::ZERO);
    let mut silence = target.silence;
    loop {
        let piece = match timeout(silence, stream.next()).await {
            Err(_) => return target::lost("silence: no event and no heartbeat"),
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => return target::lost(error),
            Ok(None) => {
                return Ended::Failed {
                    advice: Advice::Retry(retry),
                    detail: "the server ended the stream".to_owned(),
                };
            }
        };
        let mut flow = ControlFlow::Continue(());
        let mut problem = None;
        parser.push(&piece, |block| {
            if let Some(retry_ms) = block.retry_ms {
                retry = Duration::from_millis(retry_ms);
            }
            if let Some(heartbeat) = Heartbeat::of(&block) {
                silence = Target::dead_after(heartbeat.every_ms);
            }
            if flow.is_continue() {
                flow = take(&block, session, sink, &mut problem);
            }
        });
        if flow.is_break() {
            return Ended::Stopped;
        }
        if let Some(Problem { status, detail, .. }) = problem {
            let advice = Advice::of_status(status, Some(retry));
            return Ended::Failed { advice: target.at_the_tokens_end(advice, status), detail };
        }
        if parser.held_bytes() > MAX_BLOCK_BYTES {
            return target::lost("a block of the stream is too long");
        }
    }
}

/// The data of a `heartbeat` event, without the cursor.
#[derive(Deserialize)]
struct Heartbeat {
    every_ms: u64,
}

impl Heartbeat {
    fn of(block: &Block) -> Option<Self> {
        let data = block.data.as_ref().filter(|_| block.name == "heartbeat")?;
        serde_json::from_str(data).ok()
    }
}

fn take(
    block: &Block,
    session: &mut Session,
    sink: &mut Sink<'_>,
    problem: &mut Option<Problem>,
) -> ControlFlow<()> {
    let Some(data) = block.data.as_ref().filter(|_| block.name != "heartbeat") else {
        return match block.last_event_id.parse::<Cursor>() {
            Ok(cursor) => moved(session, sink, cursor),
            Err(_) => ControlFlow::Continue(()),
        };
    };
    match block.name.as_str() {
        "reset" => match serde_json::from_str::<Reset>(data) {
            Ok(reset) => break_off(session, sink, reset),
            Err(_) => ControlFlow::Continue(()),
        },
        "problem" => {
            *problem = serde_json::from_str(data).ok();
            ControlFlow::Continue(())
        }
        // Data that can't be parsed belongs to a later version of the protocol, and is passed over.
        _ => serde_json::from_str::<Event>(data)
            .map_or(ControlFlow::Continue(()), |event| deliver(session, sink, event)),
    }
}

//! WebSocket: one connection, commands up, events down.

use std::ops::ControlFlow;

use fourways_shared::{Advice, Reply, session::Session};
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{Arrival, Ended, Sink, Target, break_off, deliver, moved, target};

pub(crate) async fn attend(target: &Target, session: &mut Session, sink: &mut Sink<'_>) -> Ended {
    let mut url = target.read_url("/v1/ws", session.after());
    if url.set_scheme("ws").is_err() {
        return target::lost("the address can't be a WebSocket's");
    }
    let Ok(mut request) = url.as_str().into_client_request() else {
        return target::lost("the address can't be a WebSocket's");
    };
    if let Some(value) = target.authorization() {
        let Ok(value) = value.parse() else { return target::lost("the token can't be in a header") };
        request.headers_mut().insert("Authorization", value);
    }
    // The default of 128 KiB for each connection is for bulk data; a load generator holds thousands.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let connecting = connect_async_with_config(request, Some(config), true);
    let mut socket = match timeout(target.silence, connecting).await {
        Err(_) => return target::lost("no answer"),
        Ok(Err(Error::Http(response))) => {
            let body = response.body().as_deref().unwrap_or_default();
            return target::refused(response.status().as_u16(), None, body);
        }
        Ok(Err(error)) => return target::lost(error),
        Ok(Ok((socket, _))) => socket,
    };
    if sink(Arrival::Opened).is_break() {
        return Ended::Stopped;
    }
    let mut silence = target.silence;
    loop {
        // tungstenite answers pings by itself while it is read.
        let message = match timeout(silence, socket.next()).await {
            Err(_) => return target::lost("silence: no event and no ping"),
            Ok(None) => return target::lost("the connection ended"),
            Ok(Some(Err(error))) => return target::lost(error),
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Text(text) => {
                let reply = Reply::from_json(&text);
                if let Some(Reply::Welcome { heartbeat_ms, .. }) = &reply {
                    silence = Target::dead_after(*heartbeat_ms);
                }
                if let Some(ended) = reply.and_then(|reply| take(reply, session, sink)) {
                    // A goodbye that doesn't get through changes nothing: we are leaving.
                    drop(timeout(std::time::Duration::from_secs(1), socket.close(None)).await);
                    return ended;
                }
            }
            Message::Close(frame) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                let detail = format!("the server closed with {code} {reason}");
                return Ended::Failed { advice: Advice::of_close(code, &reason), detail };
            }
            _ => {}
        }
    }
}

fn take(reply: Reply, session: &mut Session, sink: &mut Sink<'_>) -> Option<Ended> {
    let flow = match reply {
        Reply::Event(event) => deliver(session, sink, event),
        Reply::Reset(reset) => break_off(session, sink, reset),
        Reply::Subscribed { cursor, .. } => moved(session, sink, cursor),
        Reply::Error(error) => {
            return Some(Ended::Failed {
                advice: Advice::of_status(error.status, None),
                detail: error.detail,
            });
        }
        _ => ControlFlow::Continue(()),
    };
    flow.is_break().then_some(Ended::Stopped)
}

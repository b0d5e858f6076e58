//! WebSocket: one connection that carries commands to the server and events to the client.

use std::{io, ops::ControlFlow, sync::Arc};

use fourways_shared::{Advice, Reply, session::Session};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message, client::IntoClientRequest, handshake::client::Request, protocol::WebSocketConfig,
    },
};

use crate::{Arrival, Ended, Sink, Target, break_off, deliver, moved, target};

pub(crate) async fn run(target: &Target, session: &mut Session, sink: &mut Sink<'_>) -> Ended {
    let mut url = target.read_url("/v1/ws", session.after());
    let scheme = if target.tls().is_some() { "wss" } else { "ws" };
    let address = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(80));
    let request = url.set_scheme(scheme).ok().and_then(|()| url.as_str().into_client_request().ok());
    let Some(mut request) = request else { return target::lost("the address can't be used for a WebSocket") };
    request.headers_mut().extend(target.fields());
    let mut socket = match timeout(target.silence, connect(target, &address, request)).await {
        Err(_) => return target::lost("no answer"),
        Ok(Err(Error::Http(response))) => {
            let body = response.body().as_deref().unwrap_or_default();
            return target::refused(response.status().as_u16(), None, body);
        }
        Ok(Err(error)) => return target::lost(error),
        Ok(Ok(socket)) => socket,
    };
    if sink(Arrival::Opened).is_break() {
        return Ended::Stopped;
    }
    let mut silence = target.silence;
    loop {
        // tungstenite answers pings by itself while the socket is read.
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
                    // The client leaves even if its close frame does not get through.
                    drop(timeout(std::time::Duration::from_secs(1), socket.close(None)).await);
                    return ended;
                }
            }
            Message::Close(frame) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                let detail = format!("the server closed with {code} {reason}");
                let advice =
                    target.at_the_tokens_end(Advice::of_close(code, &reason), code.saturating_sub(4000));
                return Ended::Failed { advice, detail };
            }
            _ => {}
        }
    }
}

/// The byte stream under a WebSocket, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(
    target: &Target,
    (host, port): &(String, u16),
    request: Request,
) -> Result<WebSocketStream<Box<dyn Stream>>, Error> {
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), *port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match target.tls() {
        None => Box::new(stream),
        Some(config) => {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
        }
    };
    // The default of 128 KiB per connection is meant for bulk data; a load generator holds thousands of connections.
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    Ok(client_async_with_config(request, stream, Some(config)).await?.0)
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

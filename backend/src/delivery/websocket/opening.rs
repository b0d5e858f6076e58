//! The WebSocket handshake: encoding, compression, and the refusal of a bad upgrade (RFC 6455 4.2, RFC 7692 5).

use actix_http::ws::HandshakeError;
use actix_web::{HttpRequest, http::header};
use fourways_shared::Code;

use crate::problem::Failure;

/// The negotiated encoding of a socket's messages.
pub(super) struct Encoding {
    pub(super) is_binary: bool,
    /// The subprotocol that the server chose; `None` if the client offered none.
    pub(super) offered: Option<&'static str>,
}

impl Encoding {
    const JSON: &'static str = "fourways.v1.json";
    const CBOR: &'static str = "fourways.v1.cbor";

    /// Chooses the first offered subprotocol that the server supports. If none is offered, the encoding is that of the
    /// `encoding` parameter, and otherwise JSON, so that `websocat` works.
    pub(super) fn negotiate(request: &HttpRequest, asked: Option<&str>) -> Result<Self, Failure> {
        let is_binary = match asked {
            None | Some("json") => false,
            Some("cbor") => true,
            Some(other) => {
                let detail = format!("encoding is {other:?}; allowed are json, cbor");
                return Err(Failure::new(Code::BadParameter, detail).field("encoding"));
            }
        };
        let values = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut offers =
            values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).peekable();
        if offers.peek().is_none() {
            return Ok(Self { is_binary, offered: None });
        }
        match offers.find_map(|offer| [Self::JSON, Self::CBOR].into_iter().find(|known| *known == offer)) {
            Some(offered) => Ok(Self { is_binary: offered == Self::CBOR, offered: Some(offered) }),
            None => {
                let detail =
                    format!("no offered subprotocol is known; allowed are {}, {}", Self::JSON, Self::CBOR);
                Err(Failure::new(Code::BadSubprotocol, detail).field("Sec-WebSocket-Protocol"))
            }
        }
    }
}

/// The accepted extension. No message refers to an earlier one (RFC 7692 7.1.1), so neither side keeps a window, and a
/// compressed event is the same for all subscribers. A server may require this even if the client did not offer it.
pub(super) const DEFLATE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Returns true if an offer is permessage-deflate with only parameters that this server supports (RFC 7692 5.1).
pub(super) fn offers_deflate(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(header::SEC_WEBSOCKET_EXTENSIONS);
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_known = |parameter: &str| {
            let name = parameter.split('=').next().unwrap_or_default().trim();
            // `server_max_window_bits` is not among them: the server would have to compress within a smaller window.
            ["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"]
                .contains(&name)
        };
        parts.next() == Some("permessage-deflate") && parts.all(is_known)
    })
}

pub(super) fn refused(error: HandshakeError) -> Failure {
    match error {
        HandshakeError::GetMethodRequired => {
            Failure::new(Code::MethodNotAllowed, "a WebSocket is opened with GET")
        }
        HandshakeError::NoWebsocketUpgrade | HandshakeError::NoConnectionUpgrade => {
            Failure::new(Code::UpgradeRequired, "send Connection: Upgrade and Upgrade: websocket")
                .field("Upgrade")
        }
        HandshakeError::NoVersionHeader | HandshakeError::UnsupportedVersion => {
            Failure::new(Code::UpgradeRequired, "Sec-WebSocket-Version must be 13")
                .field("Sec-WebSocket-Version")
        }
        HandshakeError::BadWebsocketKey => {
            Failure::new(Code::BadParameter, "Sec-WebSocket-Key must be 16 bytes in base64")
                .field("Sec-WebSocket-Key")
        }
    }
}

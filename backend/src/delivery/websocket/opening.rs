//! What is agreed on before there is a socket: the encoding, the compression, or why not (RFC 6455 4.2, RFC 7692 5).

use actix_http::ws::HandshakeError;
use actix_web::{HttpRequest, http::header};
use fourways_shared::Code;

use crate::problem::Failure;

/// How a socket speaks.
pub(super) struct Encoding {
    pub(super) is_binary: bool,
    /// What the client offered and the server took.
    pub(super) offered: Option<&'static str>,
}

impl Encoding {
    const JSON: &'static str = "fourways.v1.json";
    const CBOR: &'static str = "fourways.v1.cbor";

    /// The first offered subprotocol that is spoken here; JSON if none was offered, so that `websocat` works.
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
                    format!("no offered subprotocol is spoken; allowed are {}, {}", Self::JSON, Self::CBOR);
                Err(Failure::new(Code::BadSubprotocol, detail).field("Sec-WebSocket-Protocol"))
            }
        }
    }
}

/// No message refers to one before it (RFC 7692 7.1.1): so neither side keeps a window, and one compressed event is the
/// same for everybody. A server may ask for that unasked.
pub(super) const DEFLATE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// RFC 7692 5.1: one of the offers is permessage-deflate with nothing that is not done here.
pub(super) fn offers_deflate(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(header::SEC_WEBSOCKET_EXTENSIONS);
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_known = |parameter: &str| {
            let name = parameter.split('=').next().unwrap_or_default().trim();
            // A smaller window for what is sent would have to be kept to.
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
            Failure::new(Code::UpgradeRequired, "give Connection: Upgrade and Upgrade: websocket")
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

//! Who gets in, and how much of the server anybody may take.
//!
//! A request passes these doors in order: its [`origin`], its token or ticket ([`Gate`]), what that grants ([`Grant`]),
//! and the [`limits`]. Each refuses in its own words and with its own status; none of them hangs.

pub mod client;
pub mod grant;
pub mod hosts;
pub mod keys;
pub mod limits;
pub mod origin;
mod session;
mod ticket;

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use fourways_shared::{Code, Problem};

pub use self::{grant::Grant, session::routes};
use self::{
    keys::{Keys, TokenError},
    ticket::Tickets,
};
use crate::problem::Failure;

/// The cookie that a browser may carry its token in; `HttpOnly`, so no script reads it.
pub const COOKIE: &str = "fourways_token";

/// The door. One for the whole server.
#[derive(Debug)]
pub struct Gate {
    /// `None`: nobody is asked.
    keys: Option<Keys>,
    /// Where nobody is asked, everybody is an operator too, and not only who is on this machine.
    all_operate: bool,
    tickets: Tickets,
}

impl Gate {
    /// Without keys everybody may read and publish, and who is on this machine, or with `all_operate` everybody, may
    /// operate the server.
    pub fn new(keys: Option<Keys>, all_operate: bool) -> Self {
        Self { keys, all_operate, tickets: Tickets::default() }
    }

    /// Everybody may do everything.
    pub const fn is_open(&self) -> bool {
        self.keys.is_none()
    }

    /// What a token grants.
    ///
    /// # Errors
    /// 401, in words that tell a stranger nothing.
    pub fn verify(&self, token: &str) -> Result<Grant, Problem> {
        // Nobody's rights grow by a token that nobody asks for.
        let Some(keys) = &self.keys else { return Ok(Grant::everything()) };
        keys.verify(token).map_err(|error| {
            let code = if error == TokenError::Expired { Code::TokenExpired } else { Code::Unauthenticated };
            Problem::new(code, format!("{error}; get a new one where you got this")).field("Authorization")
        })
    }

    /// Looks whether keys have changed, and forgets old tickets. To be called every few seconds.
    pub fn sweep(&self) {
        if let Some(keys) = &self.keys {
            keys.refresh();
        }
        self.tickets.sweep();
    }

    /// What the request's token or ticket grants.
    fn enter(&self, request: &HttpRequest) -> Result<Grant, Problem> {
        if self.is_open() {
            let is_operator = self.all_operate || is_from_here(request);
            return Ok(if is_operator { Grant::everything() } else { Grant::stranger() });
        }
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let value = value.to_str().unwrap_or_default();
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            if !scheme.eq_ignore_ascii_case("bearer") {
                let problem = Problem::new(Code::Unauthenticated, "Authorization must be: Bearer TOKEN");
                return Err(problem.field("Authorization"));
            }
            return self.verify(token.trim());
        }
        let mut query = request.query_string().split('&');
        if let Some(ticket) = query.find_map(|pair| pair.strip_prefix("ticket=")) {
            return self.tickets.take(ticket).ok_or_else(|| {
                let detail = "the ticket is not valid: it was shown before, or its time is over";
                Problem::new(Code::Unauthenticated, detail).field("ticket")
            });
        }
        if let Some(cookie) = request.cookie(COOKIE) {
            return self.verify(cookie.value());
        }
        Err(Problem::new(
            Code::Unauthenticated,
            "a token is needed: as Authorization: Bearer, as a ticket from POST /v1/tickets, or as a cookie from \
             POST /v1/session",
        )
        .field("Authorization"))
    }
}

/// Somebody on this machine asks, and no proxy for somebody else.
fn is_from_here(request: &HttpRequest) -> bool {
    let is_local = request.peer_addr().is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    let is_passed_on = |name: &str| request.headers().contains_key(name);
    is_local && !["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"].into_iter().any(is_passed_on)
}

impl FromRequest for Grant {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let gate = request.app_data::<web::Data<Gate>>();
        // A route table without a gate would be a hole: nobody enters.
        let none = || Problem::new(Code::Internal, "this server has no gate");
        ready(gate.ok_or_else(none).and_then(|gate| gate.enter(request)).map_err(Failure::from))
    }
}

/// The gate as handlers are given it.
pub fn data(gate: Arc<Gate>) -> web::Data<Gate> {
    web::Data::from(gate)
}

//! Access to the server: which requests are served, and how much of the server each client may use.
//!
//! A request passes these checks in order: its host name ([`hosts`]), its [`origin`], its token or ticket ([`Gate`]),
//! its rights ([`Grant`]), and the [`limits`]. Each check refuses with its own status and message; none of them waits, unless another server
//! that shares the log issued the ticket.

pub mod client;
pub mod grant;
pub mod hosts;
pub mod keys;
pub mod limits;
pub mod origin;
pub mod session;
pub(crate) mod ticket;

use std::sync::{Arc, OnceLock};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use fourways_shared::{Code, Problem};
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};

pub use self::{grant::Grant, session::routes};
use self::{
    keys::{Keys, TokenError},
    ticket::{Elsewhere, Tickets},
};
use crate::problem::Failure;

/// Name of the cookie that may hold a browser's token. The cookie is `HttpOnly`, so that no script can read it.
pub const COOKIE: &str = "fourways_token";

/// The verifier of tokens and tickets. One for the whole server: all workers share it by `Arc`, and the sweeper
/// refreshes it once a second.
#[derive(Debug)]
pub struct Gate {
    /// Keys that tokens are verified with; `None` if nobody is asked for a token.
    keys: Option<Keys>,
    /// Without keys: true if every request may operate the server, and not only those from this machine.
    all_operate: bool,
    tickets: Tickets,
    /// The other servers that share the log, once they are known: they may have issued a ticket.
    elsewhere: OnceLock<Elsewhere>,
}

/// The way by which a request's grant is found.
enum Entrance {
    /// The grant itself.
    Here(Grant),
    /// Another server issued the ticket: its id, and the ticket as it knows it.
    Elsewhere(String, String),
}

impl Gate {
    /// Creates the gate. Without keys, every request may read and publish, and requests from this machine (with
    /// `all_operate`, all requests) may operate the server.
    pub fn new(keys: Option<Keys>, all_operate: bool) -> Self {
        Self { keys, all_operate, tickets: Tickets::default(), elsewhere: OnceLock::new() }
    }

    /// Sets the other servers, with which this one shares its tickets. Another call does nothing.
    pub(crate) fn shares_tickets(&self, elsewhere: Elsewhere) {
        self.elsewhere.get_or_init(|| elsewhere);
    }

    /// Issues a ticket for a grant. If several servers share the log, it names this one, so that any of them can redeem
    /// it.
    ///
    /// # Errors
    /// As for [`Tickets::issue`].
    fn issue(&self, grant: Grant) -> Result<String, &'static str> {
        let ticket = self.tickets.issue(grant)?;
        Ok(match self.elsewhere.get() {
            Some(Elsewhere { node, .. }) => format!("{node}.{ticket}"),
            None => ticket,
        })
    }

    /// Redeems a ticket that this server issued, without its name; for another server that was given it.
    pub(crate) fn redeem_own(&self, ticket: &str) -> Option<Grant> {
        self.tickets.redeem(ticket)
    }

    /// True if the server has no keys, so that nobody is asked for a token.
    pub const fn is_open(&self) -> bool {
        self.keys.is_none()
    }

    /// Verifies a token, and returns its grant.
    ///
    /// # Errors
    /// 401 with a message that tells a stranger nothing.
    pub fn verify(&self, token: &str) -> Result<Grant, Problem> {
        // A server without keys looks at no token.
        let Some(keys) = &self.keys else { return Ok(Grant::everything()) };
        keys.verify(token).map_err(|error| {
            let code = if error == TokenError::Expired { Code::TokenExpired } else { Code::Unauthenticated };
            Problem::new(code, format!("{error}; get a new one from its issuer")).field("Authorization")
        })
    }

    /// Reads changed keys again, and forgets expired tickets. The server's sweeper calls this once a second.
    pub fn sweep(&self) {
        if let Some(keys) = &self.keys {
            keys.refresh();
        }
        self.tickets.sweep();
    }

    /// Returns the grant of a request, by its token, ticket or cookie, in this order.
    fn enter(&self, request: &HttpRequest) -> Result<Entrance, Problem> {
        if self.is_open() {
            let is_operator = self.all_operate || is_from_here(request);
            return Ok(Entrance::Here(if is_operator { Grant::everything() } else { Grant::stranger() }));
        }
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let value = value.to_str().unwrap_or_default();
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            if !scheme.eq_ignore_ascii_case("bearer") {
                let problem =
                    Problem::new(Code::Unauthenticated, "Authorization must be of the form: Bearer TOKEN");
                return Err(problem.field("Authorization"));
            }
            return self.verify(token.trim()).map(Entrance::Here);
        }
        let mut query = request.query_string().split('&');
        if let Some(ticket) = query.find_map(|pair| pair.strip_prefix("ticket=")) {
            let own = self.elsewhere.get().map(|elsewhere| elsewhere.node.as_str());
            return match ticket.split_once('.') {
                Some((node, ticket)) if own.is_some() && own != Some(node) => {
                    Ok(Entrance::Elsewhere(node.to_owned(), ticket.to_owned()))
                }
                named => {
                    let ticket = named.map_or(ticket, |(_, ticket)| ticket);
                    self.tickets.redeem(ticket).map(Entrance::Here).ok_or_else(no_such_ticket)
                }
            };
        }
        if let Some(cookie) = request.cookie(COOKIE) {
            return self.verify(cookie.value()).map(Entrance::Here);
        }
        Err(Problem::new(
            Code::Unauthenticated,
            "a token is needed: as Authorization: Bearer, as a ticket from POST /v1/tickets, or as a cookie from \
             POST /v1/session",
        )
        .field("Authorization"))
    }
}

fn no_such_ticket() -> Problem {
    let detail = "the ticket is not valid: it has been used already or has expired";
    Problem::new(Code::Unauthenticated, detail).field("ticket")
}

/// True if a request comes from this machine, and not through a proxy for another one.
fn is_from_here(request: &HttpRequest) -> bool {
    let is_local = request.peer_addr().is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    let is_passed_on = |name: &str| request.headers().contains_key(name);
    is_local && !["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"].into_iter().any(is_passed_on)
}

impl FromRequest for Grant {
    type Error = Failure;
    /// Only a ticket of another server must be asked for.
    type Future = Either<Ready<Result<Self, Failure>>, LocalBoxFuture<'static, Result<Self, Failure>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let gate = request.app_data::<web::Data<Gate>>();
        // A route table without a gate would be a hole, so every request is refused.
        let none = || Problem::new(Code::Internal, "this server has no gate");
        let entered = gate.ok_or_else(none).and_then(|gate| Ok((gate, gate.enter(request)?)));
        match entered {
            Ok((_, Entrance::Here(grant))) => Either::Left(ready(Ok(grant))),
            Ok((gate, Entrance::Elsewhere(node, ticket))) => {
                let asked = gate.elsewhere.get().map(|elsewhere| (elsewhere.redeem)(node, ticket));
                Either::Right(Box::pin(async move {
                    let grant = match asked {
                        Some(asked) => asked.await,
                        None => None,
                    };
                    grant.ok_or_else(|| no_such_ticket().into())
                }))
            }
            Err(problem) => Either::Left(ready(Err(problem.into()))),
        }
    }
}

/// Wraps the gate in the type that handlers extract.
pub fn data(gate: Arc<Gate>) -> web::Data<Gate> {
    web::Data::from(gate)
}

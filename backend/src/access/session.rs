//! `POST /v1/tickets` and `/v1/session`: a ticket or a cookie in place of the token, for clients that can't set a
//! header.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration as CookieAge},
    http::header,
    web::{self, ServiceConfig},
};
use fourways_shared::Code;
use serde::Serialize;

use super::{COOKIE, Gate, Grant, grant::Rights, ticket::LIFETIME};
use crate::problem::{Failure, only};

/// Registers the routes of tickets and sessions.
pub fn routes(app: &mut ServiceConfig) {
    app.service(only("/tickets", "POST").route(web::post().to(ticket))).service(
        only("/session", "GET, HEAD, POST, DELETE")
            .route(web::get().to(show))
            .route(web::head().to(show))
            .route(web::post().to(begin))
            .route(web::delete().to(end)),
    );
}

#[derive(Serialize)]
struct Ticket {
    ticket: String,
    /// Time within which the ticket must be used, in seconds.
    expires_in: u64,
}

/// `POST /v1/tickets`: issues a ticket that has the rights of the request's token, until that token ends.
///
/// # Errors
/// 401 without a token, 503 if too many tickets are unused.
async fn ticket(grant: Grant, gate: web::Data<Gate>) -> Result<HttpResponse, Failure> {
    let ticket = gate.issue(grant).map_err(|why| Failure::new(Code::Unavailable, why))?;
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Ticket { ticket, expires_in: LIFETIME.as_secs() }))
}

#[derive(Serialize)]
struct Session<'g> {
    subject: Option<&'g str>,
    #[serde(flatten)]
    rights: Rights,
}

/// `GET /v1/session`: returns the subject and rights of the request, because a page can't read its own cookie. Pages
/// that get the same answer may read the same events.
///
/// # Errors
/// 401 without a token.
async fn show(grant: Grant) -> HttpResponse {
    let session = Session { subject: grant.subject.as_deref(), rights: grant.rights() };
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(session)
}

/// `POST /v1/session`: stores the request's bearer token in a cookie that no script can read and no other site can
/// send.
///
/// # Errors
/// 401 without a valid token.
async fn begin(
    request: HttpRequest,
    grant: Grant,
    transport: web::Data<Transport>,
) -> Result<HttpResponse, Failure> {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((_, token)) = value.and_then(|value| value.split_once(' ')) else {
        return Err(Failure::new(Code::Unauthenticated, "send the token as Authorization: Bearer TOKEN")
            .field("Authorization"));
    };
    let age = grant.lasts().and_then(|lasts| i64::try_from(lasts.as_secs()).ok()).unwrap_or(i64::MAX / 2);
    Ok(HttpResponse::NoContent()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .cookie(cookie(token.trim(), age, transport.is_secure(&request)))
        .finish())
}

/// `DELETE /v1/session`: removes the cookie.
async fn end(request: HttpRequest, transport: web::Data<Transport>) -> HttpResponse {
    HttpResponse::NoContent().cookie(cookie("", 0, transport.is_secure(&request))).finish()
}

/// The ways by which a browser's HTTPS reaches the server.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    /// True if the server itself speaks TLS.
    pub is_tls: bool,
    /// True if a trusted proxy stands in front of the server.
    pub is_behind_proxy: bool,
}

impl Transport {
    /// True if the browser used HTTPS: to this server, or to the nearest trusted proxy, as `X-Forwarded-Proto` says.
    fn is_secure(self, request: &HttpRequest) -> bool {
        let forwarded = request.headers().get_all("X-Forwarded-Proto");
        let values = forwarded.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let nearest = values.map(str::trim).next_back();
        self.is_tls || (self.is_behind_proxy && nearest.is_some_and(|by| by.eq_ignore_ascii_case("https")))
    }
}

fn cookie(value: &str, age_s: i64, is_secure: bool) -> Cookie<'_> {
    Cookie::build(COOKIE, value)
        .path("/v1")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_secure)
        .max_age(CookieAge::seconds(age_s))
        .finish()
}

//! Every address of the API, and whose it is; what is short enough is answered here.

use actix_web::{HttpResponse, http::header, middleware::from_fn, web, web::Data};

use crate::{
    access::{self, Grant, origin},
    app,
    delivery::{self, Room, sse, websocket},
    features, lab, ledger, metrics, presence,
    problem::{self, Failure, only},
    publish, rehearsal, roster, topics,
};

/// Adds them.
pub(crate) fn routes(app: &mut web::ServiceConfig) {
    let api = web::scope("/v1")
        .wrap(from_fn(origin::guard))
        // Asked for most, and tried first: a pattern that does not fit costs a poll a regular expression.
        .service(only("/events", "GET").route(web::get().to(delivery::poll)))
        .service(only("/stream", "GET").route(web::get().to(sse::handle)))
        .service(only("/ws", "GET").route(web::get().to(websocket::handle)))
        .service(only("/topics/{topic}/events", "POST").route(web::post().to(publish::handle)))
        .service(only("/topics/{topic}/presence", "GET").route(web::get().to(presence::handle)))
        .service(only("/topics", "GET").route(web::get().to(topics::list)))
        .service(only("/topics/{topic}", "GET").route(web::get().to(topics::one)))
        .service(
            only("/ledger", "GET, POST")
                .route(web::post().to(ledger::report))
                .route(web::get().to(ledger::export)),
        )
        .service(only("/connections", "GET").route(web::get().to(roster::list)))
        .service(only("/connections/{id}", "DELETE").route(web::delete().to(roster::cut)))
        .service(only("/rehearsal", "POST").route(web::post().to(rehearsal::handle)))
        .service(only("/limits", "GET").route(web::get().to(limits)))
        .service(only("/lab/clock", "GET").route(web::get().to(lab::clock::handle)))
        .service(only("/lab/code/{feature}", "GET").route(web::get().to(features::code::handle)))
        .service(only("/lab/ws", "GET").route(web::get().to(lab::channel::handle)))
        .service(only("/lab/feeds/{topic}", "PUT").route(web::put().to(lab::feed::put)))
        .configure(access::routes)
        .default_service(web::to(problem::not_found));
    app.service(api)
        .service(only("/metrics", "GET").route(web::get().to(metrics::handle)))
        .service(only("/openapi.json", "GET").route(web::get().to(openapi)))
        .service(only("/healthz", "GET").route(web::get().to(healthy)))
        .service(only("/readyz", "GET").route(web::get().to(ready)))
        .default_service(web::to(app::handle));
}

/// What there is to ask, for programs.
async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type("application/json")
        .body(include_str!("../openapi.json"))
}

/// The process answers.
async fn healthy() -> &'static str {
    "ok\n"
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Whether clients may be sent here.
async fn ready(room: Data<Room>) -> HttpResponse {
    if room.drain.is_on() {
        HttpResponse::ServiceUnavailable().content_type(TEXT).body("stopping\n")
    } else {
        HttpResponse::Ok().content_type(TEXT).body("ready\n")
    }
}

/// What is taken, and what was refused.
async fn limits(grant: Grant, room: Data<Room>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(room.usage.state()))
}

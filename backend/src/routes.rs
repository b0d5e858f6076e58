//! Every route of the server and its handler. The handlers that need only a few lines are here.

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse, http::header, middleware::from_fn, web, web::Data};
use fourways_log::engine::Standing;
use sha2::{Digest as _, Sha256};

use crate::{
    access::{self, Grant, origin},
    delivery::{self, sse, websocket},
    lab::{self, app, use_cases},
    net::fields::Known,
    operate::{connections, ledger, metrics, node_list, presence, rehearsal, topics},
    problem::{self, Failure, asking, only, read},
    publish,
    worker::Worker,
};

/// Registers every route of the server.
pub(crate) fn routes(app: &mut web::ServiceConfig) {
    let api = web::scope("/v1")
        .wrap(from_fn(origin::guard))
        // The most frequent requests come first, because each path that is tried before them costs a regular
        // expression.
        .service(only("/events", "GET, HEAD, POST, QUERY").route(asking().to(delivery::poll)))
        .service(only("/stream", "GET, HEAD, POST, QUERY").route(asking().to(sse::handle)))
        .service(only("/ws", "GET, HEAD").route(read().to(websocket::handle)))
        .service(only("/topics/{topic}/events", "POST").route(web::post().to(publish::handle)))
        .service(only("/topics/{topic}/presence", "GET, HEAD").route(read().to(presence::handle)))
        .service(only("/topics", "GET, HEAD").route(read().to(topics::list)))
        .service(only("/topics/{topic}", "GET, HEAD").route(read().to(topics::one)))
        .service(
            only("/ledger", "GET, HEAD, POST")
                .route(web::post().to(ledger::report))
                .route(read().to(ledger::export)),
        )
        .service(only("/connections", "GET, HEAD").route(read().to(connections::list)))
        .service(only("/connections/{id}", "DELETE").route(web::delete().to(connections::cut)))
        .service(only("/nodes", "GET, HEAD").route(read().to(node_list::list)))
        .service(only("/rehearsal", "POST").route(web::post().to(rehearsal::handle)))
        .service(only("/limits", "GET, HEAD").route(read().to(limits)))
        .service(only("/lab", "GET, HEAD").route(read().to(lab::about::handle)))
        .service(only("/lab/clock", "GET, HEAD").route(read().to(lab::clock::handle)))
        .service(only("/lab/code/{use_case}", "GET, HEAD").route(read().to(use_cases::code::handle)))
        .service(only("/lab/ws", "GET, HEAD").route(read().to(lab::channel::handle)))
        .service(only("/lab/kill/{node}", "POST").route(web::post().to(lab::kill::handle)))
        .service(only("/lab/feeds/{topic}", "PUT").route(web::put().to(lab::feed::put)))
        .configure(access::routes)
        .default_service(web::to(problem::not_found));
    app.service(api)
        .service(only("/metrics", "GET, HEAD").route(read().to(metrics::handle)))
        .service(only("/openapi.json", "GET, HEAD").route(read().to(openapi)))
        .service(only("/healthz", "GET, HEAD").route(read().to(healthy)))
        .service(only("/readyz", "GET, HEAD").route(read().to(ready)))
        .default_service(web::to(app::handle));
}

/// `GET /openapi.json`: describes the API to programs; `304` if the client has this version.
async fn openapi(request: HttpRequest) -> HttpResponse {
    const DOCUMENT: &str = include_str!("../openapi.json");
    static TAG: LazyLock<String> = LazyLock::new(|| {
        let hash = Sha256::digest(DOCUMENT);
        format!("{:016x}", u64::from_be_bytes(std::array::from_fn(|at| hash[at])))
    });
    let is_known = Known::of(&request).has(&TAG);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::ETAG, format!("\"{}\"", *TAG)))
        .content_type("application/json");
    if is_known { response.finish() } else { response.body(DOCUMENT) }
}

/// `GET /healthz`: 200 for as long as the process answers.
async fn healthy() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).content_type(TEXT).body("ok\n")
}

const TEXT: &str = "text/plain; charset=utf-8";

/// `GET /readyz`: 200 while a load balancer may send clients here, 503 once the server drains, and while others may have
/// published what can't be read here.
async fn ready(worker: Data<Worker>) -> HttpResponse {
    let (mut response, said) = match worker.engine.standing() {
        _ if worker.drain.is_on() => (HttpResponse::ServiceUnavailable(), "stopping\n".to_owned()),
        Standing::Behind { why, .. } => (HttpResponse::ServiceUnavailable(), format!("behind: {why}\n")),
        Standing::Ready => (HttpResponse::Ok(), "ready\n".to_owned()),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store")).content_type(TEXT).body(said)
}

/// `GET /v1/limits`: open connections, held polls, and the refusals of each limit since the start; for operators.
async fn limits(grant: Grant, worker: Data<Worker>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(worker.usage.state()))
}

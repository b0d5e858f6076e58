//! `GET /v1/connections` and `DELETE /v1/connections/{id}`: lets an operator list the streams, sockets and held polls,
//! and close one.

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::Code;

use crate::{access::Grant, problem::Failure, worker::Worker};

/// `GET /v1/connections`: lists the open streams, sockets and held polls, the oldest first.
///
/// # Errors
/// 403 without the right to operate the server.
pub async fn list(grant: Grant, worker: web::Data<Worker>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let all = worker.nodes.connections(&worker.roster).await;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(all))
}

/// `DELETE /v1/connections/{id}` or `…/{node}-{id}`: closes a connection as a restart of the server would; its client reconnects and
/// resumes from its cursor.
///
/// # Errors
/// 403 without the right to operate the server, 404 for an id that no open connection has.
pub async fn cut(
    path: web::Path<String>,
    grant: Grant,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let is_cut = match path.split_once('-') {
        Some((node, id)) if worker.nodes.id() != Some(node) => match id.parse() {
            Ok(id) => worker.nodes.cut(node, id).await,
            Err(_) => false,
        },
        own => own.map_or(path.as_str(), |(_, id)| id).parse().is_ok_and(|id| worker.roster.cut(id)),
    };
    if !is_cut {
        return Err(Failure::new(Code::NotFound, format!("there is no connection {path}")));
    }
    // A connection checks whether it is to close when it is woken.
    worker.tail().wake_all();
    worker.roster.wake_idle();
    Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

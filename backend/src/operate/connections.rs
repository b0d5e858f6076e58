//! The list of who is held open, for the operator: `GET /v1/connections`, and `DELETE /v1/connections/{id}` to cut one.

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::Code;

use crate::{access::Grant, problem::Failure, worker::Worker};

/// `GET /v1/connections`.
///
/// # Errors
/// 403 for who does not operate the server.
pub async fn list(grant: Grant, worker: web::Data<Worker>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(worker.roster.state()))
}

/// `DELETE /v1/connections/{id}`: it ends as when the server restarts, and its client comes back with its cursor.
///
/// # Errors
/// 403 for who does not operate the server, 404 for a connection that is not there.
pub async fn cut(
    path: web::Path<String>,
    grant: Grant,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    if !path.parse().is_ok_and(|id| worker.roster.cut(id)) {
        return Err(Failure::new(Code::NotFound, format!("there is no connection {path}")));
    }
    // It looks when it is woken.
    worker.tail.wake_all();
    Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

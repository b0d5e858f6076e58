//! `GET /v1/nodes`: lets an operator see the servers that share the log.

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::operate::Nodes;

use crate::{access::Grant, problem::Failure, worker::Worker};

/// `GET /v1/nodes`: lists the servers that share the log, this one first; none if it decides the order itself.
///
/// # Errors
/// 403 without the right to operate the server.
pub async fn list(grant: Grant, worker: web::Data<Worker>) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let list = Nodes { nodes: worker.nodes.list() };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(list))
}

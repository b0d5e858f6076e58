//! `GET /v1/lab` tells a page of the lab which parts of it run on this server.

use actix_web::{HttpResponse, http::header, web};

use crate::config::Config;

/// Handles `GET /v1/lab`: answers `{"use_cases": true, "kill": false}`: whether the server's side of the use cases
/// runs, and whether visitors may kill this server.
pub async fn handle(config: web::Data<Config>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "use_cases": config.has_use_cases(), "kill": config.lab_kill }))
}

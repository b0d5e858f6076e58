//! What a page of the lab has to know of the server before it shows anything.

use actix_web::{HttpResponse, http::header, web};

use crate::config::Config;

/// `GET /v1/lab`: `{"use_cases": true}`, whether the programs behind the use cases run here.
pub async fn handle(config: web::Data<Config>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "use_cases": config.has_use_cases() }))
}

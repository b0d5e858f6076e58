//! The server's clock, so that a page can estimate how far its own is off.

use actix_web::{HttpResponse, http::header};

use crate::clock::now_us;

/// `GET /v1/lab/clock`: `{"now": µs since the Unix epoch}`.
pub async fn handle() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "now": now_us() }))
}

//! The server's clock, so that a page can estimate the offset of its own.

use actix_web::{HttpResponse, http::header};

use crate::clock::now_us;

/// Handles `GET /v1/lab/clock`: answers `{"now": …}`, in µs since the Unix epoch.
pub async fn handle() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "now": now_us() }))
}

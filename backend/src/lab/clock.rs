//! The server's clock, so that a page can estimate how far its own is off.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{HttpResponse, http::header};

/// `GET /v1/lab/clock`: `{"now": µs since the Unix epoch}`.
pub async fn handle() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "now": now_us() }))
}

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

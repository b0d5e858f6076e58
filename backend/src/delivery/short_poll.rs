//! Short polling: ask once, the answer is what there is now.

use actix_web::{HttpResponse, http::header};
use fourways_shared::{After, Cursor, Technique};

use super::{Read, etag, poll_body, subscribe};
use crate::{log::subscription::Batch, worker::Worker};

/// `200` with what there is, which may be a newer place alone before retention passes the client's; `304` if the client has all of it already by its `If-None-Match` (RFC 9110 15.4.5).
pub async fn handle(read: &Read, known: Option<Cursor>, worker: &Worker) -> HttpResponse {
    let mut subscription = subscribe(read, known, Technique::ShortPoll, worker);
    let batch = subscription.page(None, read.limit).await;
    let cursor = subscription.cursor();
    let begins_at = |known| read.after.is_none_or(|after| after == After::Cursor(known));
    let meter = worker.meter(Technique::ShortPoll);
    if batch.is_none() {
        meter.empty();
    }
    match (known, &batch) {
        // It has what it would get: nothing after its own place, or all that follows an older one.
        (Some(known), None) if begins_at(known) && !subscription.is_aging(known.offset) => {
            not_modified(known)
        }
        (Some(known), None | Some(Batch { reset: None, .. })) if cursor == known => not_modified(known),
        _ => poll_body(batch, &subscription, meter),
    }
}

fn not_modified(known: Cursor) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header(etag(known))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

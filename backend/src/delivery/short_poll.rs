//! Short polling: the answer to a request holds the events that exist now.

use actix_web::{HttpResponse, http::header};
use fourways_log::subscription::Batch;
use fourways_shared::{After, Cursor, Technique};

use super::{ReadRequest, etag, poll_body, subscribe};
use crate::worker::Worker;

/// Answers `200` with the events that exist now, or with a newer cursor alone if retention may soon pass the client's;
/// `304` if its `If-None-Match` says that the client has them all already (RFC 9110 15.4.5).
pub async fn handle(read: &ReadRequest, known: Option<Cursor>, worker: &Worker) -> HttpResponse {
    let mut subscription = subscribe(read, known, Technique::ShortPoll, worker);
    let batch = subscription.page(None, read.limit).await;
    let cursor = subscription.cursor();
    let begins_at = |known| read.after.is_none_or(|after| after == After::Cursor(known));
    let meter = worker.meter(Technique::ShortPoll);
    if batch.is_none() {
        meter.count_empty();
    }
    match (known, &batch) {
        // The client has the answer already: nothing follows its cursor, or it read past `after` before.
        (Some(known), None) if begins_at(known) && !subscription.is_near_retention(known.offset) => {
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

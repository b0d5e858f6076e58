//! Short polling: ask once, the answer is what there is now.

use std::sync::Arc;

use actix_web::{HttpResponse, http::header};
use fourways_shared::{After, Cursor, Technique};

use super::{Read, etag, poll_body, subscribe};
use crate::{
    engine::{Shard, Tail},
    subscription::Batch,
};

/// `200` with what there is; `304` if the client has all of it already by its `If-None-Match` (RFC 9110 15.4.5).
pub fn handle(read: &Read, known: Option<Cursor>, tail: &Arc<Tail>, shard: Shard) -> HttpResponse {
    let mut subscription = subscribe(read, known, Technique::ShortPoll, tail, shard);
    let batch = subscription.now(read.limit);
    let cursor = subscription.cursor();
    let begins_at = |known| read.after.is_none_or(|after| after == After::Cursor(known));
    match (known, &batch) {
        // It has what it would get: nothing after its own place, or all that follows an older one.
        (Some(known), None) if begins_at(known) || cursor == known => not_modified(known),
        (Some(known), Some(Batch { reset: None, .. })) if cursor == known => not_modified(known),
        _ => poll_body(batch, cursor),
    }
}

fn not_modified(known: Cursor) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header(etag(known))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

//! Long polling: ask once, the answer is held until there is something to say or the wait is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::header};
use fourways_shared::{Cursor, Technique};

use super::{Read, etag, poll_body, subscribe};
use crate::engine::{Shard, Tail};

/// `200` as soon as there is an event, `204` with the cursor as `ETag` when the wait is over. A client that leaves
/// ends the wait: its connection drops this future, and that the subscription.
pub async fn handle(
    read: &Read,
    known: Option<Cursor>,
    wait: Duration,
    tail: &Arc<Tail>,
    shard: Shard,
) -> HttpResponse {
    let mut subscription = subscribe(read, known, Technique::LongPoll, tail, shard);
    match subscription.next(read.limit, Instant::now() + wait).await {
        Some(batch) => poll_body(Some(batch), subscription.cursor()),
        None => HttpResponse::NoContent()
            .insert_header(etag(subscription.cursor()))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish(),
    }
}

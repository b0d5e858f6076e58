//! Long polling: ask once, the answer is held until there is something to say or the wait is over.

use std::{future::poll_fn, task::Poll, time::Duration};

use actix_web::{HttpResponse, http::header};
use fourways_shared::{Cursor, Technique};

use tokio::time::timeout;

use super::{Read, etag, poll_body, subscribe};
use crate::{operate::roster::Seat, worker::Worker};

/// `200` as soon as there is an event, `204` with the cursor as `ETag` when the wait is over. A client that leaves
/// ends the wait: its connection drops this future, and that the subscription.
pub async fn handle(
    read: &Read,
    known: Option<Cursor>,
    wait: Duration,
    (worker, seat): (&Worker, &mut Seat),
) -> HttpResponse {
    let mut subscription = subscribe(read, known, Technique::LongPoll, worker);
    let next = poll_fn(|cx| match subscription.poll_next(cx, read.limit) {
        // One that is to end is answered at once: nothing came so far.
        Poll::Pending if worker.drain.is_on() || seat.is_cut() => Poll::Ready(None),
        other => other.map(Some),
    });
    let meter = worker.meter(Technique::LongPoll);
    match timeout(wait, next).await.ok().flatten() {
        Some(batch) => {
            let page = subscription.page(Some(batch), read.limit).await;
            poll_body(page, &subscription, meter)
        }
        None => {
            meter.empty();
            HttpResponse::NoContent()
                .insert_header(etag(subscription.cursor()))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish()
        }
    }
}

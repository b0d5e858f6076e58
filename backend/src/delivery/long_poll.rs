//! Long polling: the answer to a request is held until there is an event or the wait is over.

use std::{future::poll_fn, task::Poll, time::Duration};

use actix_web::{HttpResponse, http::header};
use fourways_shared::{Cursor, Technique};

use tokio::time::timeout;

use super::{ReadRequest, etag, poll_body, subscribe};
use crate::{operate::roster::Seat, worker::Worker};

/// Answers `200` as soon as there is an event, or `204` with the cursor as `ETag` when the wait is over. If the client
/// closes the connection, this future is dropped, and the subscription with it.
pub async fn handle(
    read: &ReadRequest,
    known: Option<Cursor>,
    wait: Duration,
    worker: &Worker,
    seat: &mut Seat,
) -> HttpResponse {
    let mut subscription = subscribe(read, known, Technique::LongPoll, worker);
    let next = poll_fn(|cx| match subscription.poll_next(cx, read.limit) {
        // A poll that must end, by a drain or by the operator, is answered at once, without events.
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
            meter.count_empty();
            HttpResponse::NoContent()
                .insert_header(etag(subscription.cursor()))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish()
        }
    }
}

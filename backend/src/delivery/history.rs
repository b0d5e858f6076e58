//! Reads of a closed range: what lies between two places, which never changes, so that a cache may answer it for ever.

use actix_web::{HttpResponse, http::header};
use fourways_shared::{After, Code, Cursor, Technique};

use super::{Order, Read, etag, poll_body};
use crate::{log::subscription::Subscription, problem::Failure, worker::Worker};

/// A year: as long as a cache keeps anything (RFC 9111 leaves it open; RFC 2616 14.21 said so).
const FOR_EVER: &str = "max-age=31536000, immutable";

/// `200` with the events after one place and up to another, at most `limit`. If that is fewer than there are, the answer says
/// `more`, and its cursor is where to go on. Newest first, the range is read from its end: `last` says how many.
///
/// An answer is immutable if both ends were given as cursors of this log and nothing of it was let go. A shared cache may
/// keep it only where nobody is asked who they are.
///
/// # Errors
/// 400 if the range ends where the log has not come to.
pub(super) async fn handle(
    read: &Read,
    until: Cursor,
    is_public: bool,
    worker: &Worker,
) -> Result<HttpResponse, Failure> {
    let is_ours = until.epoch == worker.tail.epoch();
    if is_ours && until.offset > worker.tail.head() {
        let detail =
            format!("until is {until}; the log has come to {}", worker.tail.cursor(worker.tail.head()));
        return Err(Failure::new(Code::BadParameter, detail).field("until"));
    }
    let after = read.after.unwrap_or(After::Earliest);
    // An end in another life of the log bounds nothing in this one: the reader is told so by the reset of its beginning.
    let bound = if is_ours { Some(until.offset) } else { None };
    let mut subscription = Subscription::range(
        (&worker.tail, worker.shard),
        &read.topics,
        after,
        bound,
        (read.policy, Technique::ShortPoll),
    );
    let mut batch = subscription.page(None, read.limit).await.unwrap_or_default();
    let is_closed = is_ours
        && batch.reset.is_none()
        && matches!(after, After::Cursor(_))
        && worker.tail.epoch() == until.epoch;
    if read.order == Order::Newest {
        batch.events.reverse();
    }
    let cursor = subscription.cursor();
    let mut response = poll_body(Some(batch), &subscription, worker.meter(Technique::ShortPoll));
    if is_closed {
        let scope = if is_public { "public" } else { "private" };
        let value = format!("{scope}, {FOR_EVER}");
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(header::CACHE_CONTROL, value);
        }
        let (name, tag) = etag(cursor);
        if let Ok(tag) = tag.parse() {
            response.headers_mut().insert(name, tag);
        }
    }
    Ok(response)
}

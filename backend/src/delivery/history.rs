//! Reads of a closed range: the events between two cursors never change, so a cache may answer such a read for ever.

use actix_web::{HttpResponse, http::header};
use fourways_log::subscription::Reader;
use fourways_shared::{After, Cursor, Technique};

use super::{ReadRequest, SortOrder, etag, poll_body};
use crate::{problem::Failure, worker::Worker};

/// The `Cache-Control` of an answer that never changes: one year, the longest that RFC 2616 14.21 allowed. RFC 9111
/// sets no limit.
const FOR_EVER: &str = "max-age=31536000, immutable";

/// Answers `200` with at most `limit` events after one cursor and up to another. If there are more, the answer says
/// `more`, and the next read continues at its cursor. With `order=newest` the events come in reverse; `last`
/// selects the newest N of the range.
///
/// The answer is immutable if both ends are cursors of this log and no event between them was dropped. A shared cache
/// may keep it only if the server asks for no tokens.
///
/// # Errors
/// 400 if the range ends beyond the head of the log.
pub(super) async fn handle(
    read: &ReadRequest,
    until: Cursor,
    is_public: bool,
    worker: &Worker,
) -> Result<HttpResponse, Failure> {
    let tail = worker.tail();
    let is_ours = until.epoch == tail.epoch();
    if is_ours {
        worker.has_reached(&tail, until, "until").await?;
    }
    let after = read.after.unwrap_or(After::Earliest);
    // An end of another epoch bounds nothing in this log; the reset for the beginning tells the reader of the new
    // epoch.
    let bound = if is_ours { Some(until.offset) } else { None };
    let reader = Reader {
        tail: &tail,
        shard: worker.shard,
        technique: Some(Technique::ShortPoll),
        policy: read.policy,
        until: bound,
    };
    let mut subscription = reader.read(&read.topics, after);
    let mut batch = subscription.page(None, read.limit).await.unwrap_or_default();
    let is_closed =
        is_ours && batch.reset.is_none() && matches!(after, After::Cursor(_)) && tail.successor().is_none();
    if read.order == SortOrder::Newest {
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

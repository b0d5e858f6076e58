//! Access for the fuzz targets in `tools/fuzz` to parsers that are private in every other build.

use std::pin::Pin;

use actix_web::{
    FromRequest as _, HttpRequest, error::PayloadError, http::header::HeaderValue, test::TestRequest, web,
};
use fourways_shared::{account::Report, use_case};
use futures_util::{FutureExt as _, Stream, task::noop_waker};
use yrs::{ReadTxn as _, Text as _, Transact as _, updates::decoder::Decode as _};

use crate::{
    access::limits::Limits,
    access::{Grant, limits::Client},
    delivery::{self, ReadRequest, if_none_match, prefer_wait},
    lab::feed::FeedRequest,
    publish,
};
pub use crate::{delivery::websocket::fuzz as frames, lab::fuzz as dissect};

/// Names of the header fields that [`headers`] takes from its input, one line each.
pub const HEADERS: [&str; 6] =
    ["Prefer", "If-None-Match", "Idempotency-Key", "X-Forwarded-For", "Content-Type", "Authorization"];

/// Parses the query of a read, and checks that an accepted one keeps to the limits.
///
/// # Panics
/// If an accepted query exceeds a limit or names a topic twice.
pub fn query(text: &str) {
    let limits = Limits::default();
    let Ok(read) = ReadRequest::parse(text, &limits) else { return };
    assert!(read.topics.len() <= limits.max_topics && (1..=limits.max_events).contains(&read.limit));
    assert!(read.topics.iter().enumerate().all(|(at, topic)| !read.topics[..at].contains(topic)));
}

/// Merges an edit of a shared text twice, into an empty document and into one with other edits, and encodes the
/// results.
///
/// # Panics
/// If merging an edit that [`use_case::is_plain`] accepts panics.
pub fn texts(bytes: &[u8]) {
    if !use_case::is_plain(bytes) {
        return;
    }
    let doc = |writer: u64| yrs::Doc::with_client_id(writer);
    let (alone, among) = (doc(1), doc(7));
    let text = among.get_or_insert_text(use_case::text::TEXT);
    text.insert(&mut among.transact_mut(), 0, "hello world");
    text.remove_range(&mut among.transact_mut(), 3, 4);
    for doc in [alone, among] {
        for _ in 0..2 {
            if let Ok(update) = yrs::Update::decode_v1(bytes) {
                drop(doc.transact_mut().apply_update(update));
            }
        }
        drop(doc.transact().encode_state_as_update_v1(&yrs::StateVector::default()));
    }
}

/// Parses header fields, one line for each of [`HEADERS`].
pub fn headers(bytes: &[u8]) {
    let mut request = TestRequest::default();
    for (name, line) in HEADERS.iter().zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            request = request.append_header((*name, value));
        }
    }
    let request: HttpRequest = request.to_http_request();
    let _ = (prefer_wait(&request), if_none_match(&request), publish::key(&request).is_ok());
    for hops in 0..3 {
        drop(Client::of(&request, &Grant::everything(), hops));
    }
}

/// Parses a body as a publish of the kind that its first byte selects, as the parameters of a read, as a report to the
/// ledger and as a feed.
///
/// # Panics
/// If an accepted publish has no event, or an event whose JSON can't be parsed.
pub fn bodies(bytes: &[u8]) {
    let kinds = ["application/json", "application/x-ndjson", "text/plain", "application/octet-stream"];
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = kinds[usize::from(*first) % kinds.len()];
    let request = TestRequest::default().append_header(("Content-Type", kind)).to_http_request();
    if let Ok(drafts) = publish::drafts(&request, &web::Bytes::copy_from_slice(body)) {
        assert!(!drafts.is_empty());
        for draft in drafts {
            if let fourways_shared::Data::Json(raw) = draft.data {
                assert!(serde_json::from_str::<serde::de::IgnoredAny>(raw.get()).is_ok());
            }
        }
    }
    if let Some(form) = delivery::asked::form(body) {
        query(&form);
    }
    drop(serde_json::from_slice::<Report>(body));
    drop(serde_json::from_slice::<FeedRequest>(body));
}

/// Returns a payload that arrives in these pieces.
pub(crate) fn payload(pieces: Vec<Vec<u8>>) -> web::Payload {
    let stream = futures_util::stream::iter(pieces.into_iter().map(|piece| Ok(web::Bytes::from(piece))));
    let payload: Pin<Box<dyn Stream<Item = Result<web::Bytes, PayloadError>>>> = Box::pin(stream);
    let mut payload = actix_web::dev::Payload::Stream { payload };
    let request = TestRequest::default().to_http_request();
    web::Payload::from_request(&request, &mut payload)
        .now_or_never()
        .unwrap_or_else(|| unreachable!())
        .unwrap()
}

/// Splits the bytes after the first into pieces, whose length is the value of the first byte (at least 1).
pub(crate) fn pieces(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = bytes.split_first() else { return Vec::new() };
    rest.chunks(usize::from(*first).max(1)).map(<[u8]>::to_vec).collect()
}

/// Polls with a waker that does nothing.
pub(crate) fn with_context<T>(poll: impl FnOnce(&mut std::task::Context<'_>) -> T) -> T {
    let waker = noop_waker();
    poll(&mut std::task::Context::from_waker(&waker))
}

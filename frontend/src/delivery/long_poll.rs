//! Long polling in the browser: ask; when the answer comes, ask again at once.

use fourways_shared::Technique;

use super::{
    Request, Sink,
    poll::{self, Handle, Manner},
};

pub(super) fn open(request: Request, sink: Sink) -> Handle {
    let manner = Manner { technique: Technique::LongPoll, wait_s: Some(request.hold_s), pause_ms: 0.0 };
    poll::open(manner, request, sink)
}

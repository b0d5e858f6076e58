//! Short polling in the browser: ask, wait, ask again.

use fourways_shared::Technique;

use super::{
    Request, Sink,
    poll::{self, Handle, Manner},
};

pub(super) fn open(request: Request, sink: Sink) -> Handle {
    let manner = Manner { technique: Technique::ShortPoll, wait_s: None, pause_ms: request.poll_ms };
    poll::open(manner, request, sink)
}

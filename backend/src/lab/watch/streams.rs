//! The streams of an HTTP/2 connection that belong to visitors; each is counted by itself.

use std::{collections::HashMap, fmt, sync::Arc};

use fourways_shared::Technique;

use super::{
    dissect::{Heard, Http2, Sink},
    meter::Meter,
    visit::visitor_of,
};
use crate::lab::visitors::Visitors;

pub(super) struct Streams {
    wire: Http2,
    own: Own,
}

struct Own {
    visitors: Arc<Visitors>,
    connection: u32,
    is_new: bool,
    meters: HashMap<u32, Meter>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("wire", &self.wire).finish_non_exhaustive()
    }
}

impl Streams {
    pub(super) fn new(visitors: Arc<Visitors>) -> Self {
        let connection = visitors.number();
        Self { wire: Http2::new(), own: Own { visitors, connection, is_new: true, meters: HashMap::new() } }
    }

    /// Counts bytes that were read from the client, or written to it.
    pub(super) fn take(&mut self, is_up: bool, bytes: &[u8]) {
        self.wire.take(is_up, bytes, &mut self.own);
    }
}

impl Heard for Own {
    fn asked(&mut self, stream: u32, target: &str) -> Option<Technique> {
        let (visitor, technique, n) = visitor_of(&self.visitors, target)?;
        let mut meter = Meter::new(visitor, self.connection);
        meter.begin(technique, n, std::mem::take(&mut self.is_new));
        self.meters.insert(stream, meter);
        Some(technique)
    }

    fn sink(&mut self, stream: u32, is_up: bool) -> Option<Box<dyn Sink + '_>> {
        let meter = self.meters.get_mut(&stream)?;
        Some(Box::new(if is_up { meter.up() } else { meter.down() }))
    }

    fn head(&mut self, stream: u32, is_up: bool, text: &str) {
        if let Some(meter) = self.meters.get_mut(&stream) {
            meter.decoded(is_up, text);
        }
    }

    fn over(&mut self, stream: u32) {
        if let Some(mut meter) = self.meters.remove(&stream) {
            meter.is_over();
        }
    }
}

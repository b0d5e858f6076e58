//! The fuzz target of the parsers: both directions of a connection, with HTTP/1.1 and with HTTP/2.

use fourways_shared::{
    Technique,
    lab::{Part, Unit},
};

use super::{Exchange, Heard, Http2, Sink};

/// A sink that counts the bytes of all parts.
#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn part(&mut self, _: Part, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn end(&mut self, _: Unit, _: u16) {}
}

struct All(Count);

impl Heard for All {
    fn asked(&mut self, stream: u32, _: &str) -> Option<Technique> {
        Some(Technique::ALL[stream as usize % 4])
    }

    fn sink(&mut self, _: u32, _: bool) -> Option<Box<dyn Sink + '_>> {
        Some(Box::new(&mut self.0))
    }

    fn head(&mut self, _: u32, _: bool, _: &str) {}

    fn over(&mut self, _: u32) {}
}

impl Sink for &mut Count {
    fn part(&mut self, part: Part, bytes: &[u8]) {
        (**self).part(part, bytes);
    }

    fn end(&mut self, unit: Unit, code: u16) {
        (**self).end(unit, code);
    }
}

/// Parses arbitrary bytes in arbitrary pieces, and asserts that HTTP/1.1 counts no byte twice.
///
/// # Panics
/// If more bytes are counted than were parsed.
pub fn fuzz(bytes: &[u8]) {
    let (mut up, mut down, mut exchange) = (Count::default(), Count::default(), Exchange::new());
    let (mut all, mut http2) = (All(Count::default()), Http2::new());
    let (mut ups, mut downs) = (0, 0);
    for (at, piece) in crate::fuzzing::pieces(bytes).iter().enumerate() {
        if at % 2 == 0 {
            exchange.up(piece, &mut up);
            ups += piece.len();
        } else {
            exchange.down(piece, &mut down);
            downs += piece.len();
        }
        http2.take(at % 2 == 0, piece, &mut all);
    }
    assert!(up.0 <= ups && down.0 <= downs, "{} of {ups} up, {} of {downs} down", up.0, down.0);
}

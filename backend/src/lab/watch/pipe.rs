//! One direction of a connection with a fault: a queue of bytes that are held back. It takes the time as an argument
//! and reads no clock.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};
use fourways_shared::lab::{Fault, FaultKind};

/// Number of held bytes at which the sender has to wait, like the window of a network connection.
const MAX_BYTES: usize = 256 * 1024;
/// Interval between the pieces that a slow line releases.
const SLICE: Duration = Duration::from_millis(50);

/// The held bytes in order. Owned by its [`Visit`](super::visit::Visit).
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    release: Instant,
}

impl Pipe {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    /// Appends bytes, and sets their release by the fault, which comes with the time of its end. `luck` is a uniformly
    /// distributed random number from 0 to 1, for the jitter.
    pub(super) fn push(
        &mut self,
        mut bytes: Bytes,
        now: Instant,
        fault: Option<(Fault, Instant)>,
        luck: f64,
    ) {
        self.bytes += bytes.len();
        let last = self.pieces.back().map_or(now, |piece| piece.release.max(now));
        let Some((fault, until)) = fault else {
            return self.pieces.push_back(Piece { bytes, release: last });
        };
        let release = match fault.kind {
            FaultKind::Stall | FaultKind::Buffer => until.max(last),
            FaultKind::Delay => {
                let ms = f64::from(fault.delay_ms) + luck * f64::from(fault.jitter_ms);
                // A later piece never overtakes an earlier one: TCP keeps the order.
                (now + Duration::from_secs_f64(ms / 1000.0)).max(last)
            }
            FaultKind::Bandwidth => {
                let rate = f64::from(fault.bytes_per_s);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 5 MB")]
                let slice = ((rate * SLICE.as_secs_f64()) as usize).max(1);
                let mut release = last;
                while bytes.len() > slice {
                    release += SLICE;
                    self.pieces.push_back(Piece { bytes: bytes.split_to(slice), release });
                }
                #[expect(clippy::cast_precision_loss, reason = "at most 5 MB")]
                let rest = Duration::from_secs_f64(bytes.len() as f64 / rate);
                release + rest
            }
            FaultKind::Drop | FaultKind::Refuse | FaultKind::Restart => last,
        };
        self.pieces.push_back(Piece { bytes, release });
    }

    /// Returns the first bytes, if they are due.
    pub(super) fn due(&self, now: Instant) -> Option<&Bytes> {
        self.pieces.front().filter(|piece| piece.release <= now).map(|piece| &piece.bytes)
    }

    /// Removes `count` of the bytes that [`Self::due`] returned.
    pub(super) fn advance(&mut self, count: usize) {
        self.bytes -= count;
        if let Some(piece) = self.pieces.front_mut() {
            piece.bytes.advance(count);
            if piece.bytes.is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    /// Returns the time when the next bytes are due; `None` if none are held.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pieces.front().map(|piece| piece.release)
    }

    /// Makes all held bytes due now.
    pub(super) fn let_go(&mut self, now: Instant) {
        for piece in &mut self.pieces {
            piece.release = piece.release.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(pipe: &mut Pipe, now: Instant) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(bytes) = pipe.due(now).cloned() {
            out.extend_from_slice(&bytes);
            pipe.advance(bytes.len());
        }
        out
    }

    #[test]
    fn a_slow_line_carries_no_more_than_its_rate() {
        let (mut pipe, now) = (Pipe::default(), Instant::now());
        let fault = Fault { bytes_per_s: 1000, ..Fault::new(FaultKind::Bandwidth, 60_000) };
        let until = now + Duration::from_mins(1);
        pipe.push(Bytes::from(vec![1; 500]), now, Some((fault, until)), 0.0);
        pipe.push(Bytes::from(vec![2; 500]), now, Some((fault, until)), 0.0);
        for (ms, carried) in [(0, 0), (50, 50), (250, 250), (1000, 1000)] {
            let piece = |piece: &Piece| Piece { bytes: piece.bytes.clone(), release: piece.release };
            let mut copy = Pipe { pieces: pipe.pieces.iter().map(piece).collect(), bytes: pipe.bytes };
            assert_eq!(drain(&mut copy, now + Duration::from_millis(ms)).len(), carried, "after {ms} ms");
        }
    }

    #[test]
    fn what_is_held_goes_when_it_is_let_go() {
        let (mut pipe, now) = (Pipe::default(), Instant::now());
        let until = now + Duration::from_secs(3);
        pipe.push(Bytes::from_static(b"a"), now, Some((Fault::new(FaultKind::Stall, 3000), until)), 0.0);
        assert_eq!((pipe.due(now), pipe.next()), (None, Some(until)));
        pipe.let_go(now);
        assert_eq!(drain(&mut pipe, now), b"a");
        assert_eq!((pipe.is_empty(), pipe.len()), (true, 0));
    }

    proptest! {
        /// All bytes come out once and in order, whatever the faults.
        #[test]
        fn nothing_is_lost_or_overtaken(
            pushes in prop::collection::vec((0_usize..8, 1_usize..200, 0.0_f64..1.0, 0_u64..200), 1..40),
        ) {
            let (mut pipe, mut now) = (Pipe::default(), Instant::now());
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            for (kind, length, luck, wait) in pushes {
                now += Duration::from_millis(wait);
                let bytes: Vec<u8> = (sent.len()..sent.len() + length).map(|at| u8::try_from(at % 251).unwrap()).collect();
                sent.extend_from_slice(&bytes);
                let fault = FaultKind::ALL.get(kind).map(|kind| {
                    let fault = Fault { jitter_ms: 100, bytes_per_s: 500, ..Fault::new(*kind, 1000) };
                    (fault, now + Duration::from_secs(1))
                });
                pipe.push(bytes.into(), now, fault, luck);
                got.extend(drain(&mut pipe, now));
            }
            prop_assert_eq!(pipe.len(), sent.len() - got.len());
            got.extend(drain(&mut pipe, now + Duration::from_secs(1000)));
            prop_assert_eq!(got, sent);
        }
    }
}

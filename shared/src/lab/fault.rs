//! The faults that a page can inflict on its own connections; each ends by itself.

use serde::{Deserialize, Serialize};

/// The kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Cuts all connections at once with a TCP reset; a client that reconnects is served.
    Drop,
    /// Stops all bytes in both directions; those that were sent meanwhile arrive afterwards.
    Stall,
    /// Delays all bytes in both directions by `delay_ms` plus up to `jitter_ms`, and keeps their order.
    Delay,
    /// Limits each direction to `bytes_per_s`.
    Bandwidth,
    /// Holds an unfinished answer back until `buffer_bytes` have accumulated. A WebSocket is not affected.
    Buffer,
    /// Answers new requests with `503`; open ones continue.
    Refuse,
    /// Cuts all connections, and every new one too until the fault ends.
    Restart,
}

impl FaultKind {
    /// All kinds, in the order in which the page lists them.
    pub const ALL: [Self; 7] =
        [Self::Drop, Self::Stall, Self::Delay, Self::Bandwidth, Self::Buffer, Self::Refuse, Self::Restart];

    /// Returns the name of the kind on the wire and on the page.
    pub const fn name(self) -> &'static str {
        ["drop", "stall", "delay", "bandwidth", "buffer", "refuse", "restart"][self as usize]
    }
}

/// A fault: its kind, its duration and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Kind of the fault, which decides which of the parameters apply.
    pub kind: FaultKind,
    /// Duration in milliseconds, at most [`Fault::MAX_MS`]; 0 is allowed for [`FaultKind::Drop`] only.
    pub ms: u32,
    /// For [`FaultKind::Delay`]: delay in each direction, in milliseconds.
    #[serde(default = "delay_ms")]
    pub delay_ms: u32,
    /// For [`FaultKind::Delay`]: upper bound of the random extra delay, in milliseconds.
    #[serde(default)]
    pub jitter_ms: u32,
    /// For [`FaultKind::Bandwidth`]: bytes per second in each direction.
    #[serde(default = "bytes_per_s")]
    pub bytes_per_s: u32,
    /// For [`FaultKind::Buffer`]: number of bytes that are held back before any is passed on.
    #[serde(default = "buffer_bytes")]
    pub buffer_bytes: u32,
}

const fn delay_ms() -> u32 {
    300
}

const fn bytes_per_s() -> u32 {
    2_000
}

/// The default of nginx's `proxy_buffer_size` on most machines: nginx fills a buffer of this size before it passes any
/// byte on.
const fn buffer_bytes() -> u32 {
    4_096
}

impl Fault {
    /// Longest duration of a fault, in milliseconds.
    pub const MAX_MS: u32 = 60_000;

    /// Creates a fault of this kind and duration with the default parameters.
    pub const fn new(kind: FaultKind, ms: u32) -> Self {
        Self {
            kind,
            ms,
            delay_ms: delay_ms(),
            jitter_ms: 0,
            bytes_per_s: bytes_per_s(),
            buffer_bytes: buffer_bytes(),
        }
    }

    /// Checks the duration and the parameters.
    ///
    /// # Errors
    /// Names the first value that is out of its range, and the range.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: u32, least: u32, most: u32| {
            let is_within = (least..=most).contains(&value);
            if is_within { Ok(()) } else { Err(format!("{name} is {value}; allowed are {least} to {most}")) }
        };
        within("ms", self.ms, u32::from(self.kind != FaultKind::Drop), Self::MAX_MS)?;
        within("delay_ms", self.delay_ms, 0, 10_000)?;
        within("jitter_ms", self.jitter_ms, 0, 10_000)?;
        within("bytes_per_s", self.bytes_per_s, 100, 100_000_000)?;
        within("buffer_bytes", self.buffer_bytes, 1, 1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_in_few_words() {
        let told: Fault = serde_json::from_str(r#"{"kind":"stall","ms":3000}"#).unwrap();
        assert_eq!(told, Fault::new(FaultKind::Stall, 3000));
        for kind in FaultKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
        assert!(told.check().is_ok());
        assert!(Fault { ms: 60_001, ..told }.check().unwrap_err().contains("60000"));
        assert!(Fault { bytes_per_s: 1, ..told }.check().is_err());
    }
}

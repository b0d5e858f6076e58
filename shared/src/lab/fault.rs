//! What can be done to a page's own connections, and ends by itself.

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Cut now with a TCP reset; whoever comes again is served.
    Drop,
    /// Nothing moves, either way; what was sent meanwhile arrives afterwards.
    Stall,
    /// Everything takes longer, by `delay_ms` and up to `jitter_ms` more, either way; the order is kept.
    Delay,
    /// At most `bytes_per_s` each way.
    Bandwidth,
    /// An answer that is not whole is held back until `buffer_bytes` have come together.
    Buffer,
    /// New requests are answered with `503`; what is open goes on.
    Refuse,
    /// Everything that is open is cut, and whoever comes again is cut too until it is over.
    Restart,
}

impl FaultKind {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 7] =
        [Self::Drop, Self::Stall, Self::Delay, Self::Bandwidth, Self::Buffer, Self::Refuse, Self::Restart];

    /// The name on the wire and in the page.
    pub const fn name(self) -> &'static str {
        ["drop", "stall", "delay", "bandwidth", "buffer", "refuse", "restart"][self as usize]
    }
}

/// A fault, its measure and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How long; at most [`Fault::MAX_MS`]. A drop takes no time.
    pub ms: u32,
    /// Of `delay`: milliseconds each way.
    #[serde(default = "delay_ms")]
    pub delay_ms: u32,
    /// Of `delay`: up to so many milliseconds more.
    #[serde(default)]
    pub jitter_ms: u32,
    /// Of `bandwidth`: bytes a second each way.
    #[serde(default = "bytes_per_s")]
    pub bytes_per_s: u32,
    /// Of `buffer`: bytes that come together.
    #[serde(default = "buffer_bytes")]
    pub buffer_bytes: u32,
}

const fn delay_ms() -> u32 {
    300
}

const fn bytes_per_s() -> u32 {
    2_000
}

/// nginx's `proxy_buffer_size` on most machines: what it fills before it passes anything on.
const fn buffer_bytes() -> u32 {
    4_096
}

impl Fault {
    /// Longest time of a fault.
    pub const MAX_MS: u32 = 60_000;

    /// Of this kind for so long, with the usual measures.
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

    /// What is wrong with its measures, if anything.
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

//! The server's own machine, as a dashboard shows it.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// How often the figures are told, in times a second; each rate is a topic of its own.
pub const RATES: [u32; 4] = [1, 2, 5, 10];

/// Where the figures are that come so often.
pub fn figures(rate: u32) -> Option<Topic> {
    topic(&["live", "host", &format!("{rate}hz")])
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// One for each tile, in the order of [`TILES`].
    pub values: [f64; TILES.len()],
}

/// What a tile shows: its name, its unit, and how many digits after the point.
pub const TILES: [(&str, &str, u32); 12] = [
    ("CPU, all cores", "%", 1),
    ("CPU of this server", "%", 1),
    ("Memory in use", "%", 1),
    ("Memory of this server", "MB", 1),
    ("Load, one minute", "", 2),
    ("Load, five minutes", "", 2),
    ("Load, 15 minutes", "", 2),
    ("Received", "kB/s", 1),
    ("Sent", "kB/s", 1),
    ("Connections held", "", 0),
    ("Events published", "/s", 0),
    ("Events delivered", "/s", 0),
];

//! The dashboard's figures of the machine that the server runs on.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// Rates at which the figures can be read, in events per second; each rate has its own topic.
pub const RATES: [u32; 4] = [1, 2, 5, 10];

/// Returns the topic of the figures at one of [`RATES`].
pub fn figures(rate: u32) -> Option<Topic> {
    topic(&["live", "dashboard", &format!("{rate}hz")])
}

/// One measurement of every tile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// One value per tile, in the order and units of [`TILES`].
    pub values: [f64; TILES.len()],
}

/// The tiles of the dashboard: name, unit, and number of digits after the decimal point.
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

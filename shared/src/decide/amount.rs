//! A cost as a sentence that compares it with the cheapest of the four.

use std::fmt;

use super::numeral::{Bytes, Count};

/// The resource that an amount is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Bytes a second, both ways.
    Bandwidth,
    /// Number of processor cores.
    Processor,
    /// Bytes of memory.
    Memory,
}

/// The amount of a resource that one technique needs for all clients together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) kind: Kind,
    pub(super) amount: f64,
    /// Amount that the cheapest technique needs; above zero.
    pub(super) least: f64,
    pub(super) clients: f64,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Bandwidth => write!(f, "{} a second for each client", Bytes(self.amount / self.clients))?,
            Kind::Processor => write!(f, "Processor cores: {}", Count(self.amount))?,
            Kind::Memory => write!(f, "{} of memory for connections", Bytes(self.amount))?,
        }
        match self.amount / self.least {
            times if times >= 1.05 => write!(f, ", {} times the least", Count(times)),
            times if times > 1.0 => f.write_str(", close to the least"),
            _ => f.write_str(", the least of the four"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_told_with_its_place() {
        for (kind, amount, expected) in [
            (Kind::Bandwidth, 2000.0, "2 B a second for each client, the least of the four"),
            (Kind::Processor, 2010.0, "Processor cores: 2,010, close to the least"),
            (Kind::Memory, 24_000.0, "24 kB of memory for connections, 12 times the least"),
        ] {
            let amount = Amount { kind, amount, least: 2000.0, clients: 1000.0 };
            assert_eq!(amount.to_string(), expected);
        }
    }
}

//! Scales: the mapping from values to pixels, and the values to label.

use super::{count::count, unit::Unit};

/// Least value on a log scale; zero is drawn there.
const LEAST: f64 = 1e-3;
/// Greatest value on a scale; any greater value is drawn at the edge.
const MOST: f64 = 1e15;
/// Percentiles that get a label; see [`Unit::Rank`].
const RANKS: [f64; 8] = [1.0, 2.0, 4.0, 10.0, 20.0, 100.0, 1000.0, 10_000.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Linear,
    Log,
}

/// One axis of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// Name in lower case, as in a sentence: "percentile", "time", "clients".
    pub name: &'static str,
    pub unit: Unit,
    pub kind: Kind,
    /// Least and greatest value; `None` for those of the data, rounded.
    pub span: Option<(f64, f64)>,
}

/// A mapping from values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    /// Pixel of the lowest value.
    from: f64,
    /// Pixel of the highest value.
    to: f64,
}

impl Kind {
    /// Returns the position of a value along the scale.
    pub fn flat(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(LEAST).ln(),
        }
    }

    /// Returns the value at a position along the scale.
    pub fn unflat(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => place.exp(),
        }
    }
}

impl Side {
    /// Creates the scale of the axis, from pixel `from` to pixel `to`. `extent` is the least and the greatest value of
    /// the data.
    pub fn scale(self, extent: (f64, f64), from: f64, to: f64) -> Scale {
        let Self { kind, .. } = self;
        let (low, high) = match (self.span, kind) {
            (Some(span), _) => span,
            (None, Kind::Linear) => {
                let step = step_over((extent.1 - extent.0.min(0.0)) / 4.0);
                (extent.0.min(0.0), (extent.1.min(MOST) / step).ceil() * step)
            }
            (None, Kind::Log) => (rung_below(extent.0), rung_above(extent.1)),
        };
        let high = match kind {
            _ if high > low => high,
            Kind::Linear => low + 1.0,
            Kind::Log => low * 10.0,
        };
        Scale { kind, low, high, from, to }
    }

    /// Formats a value with the name of the axis: "time 31.2 s", "5k clients".
    pub fn say(self, value: f64) -> String {
        let shown = self.unit.show(value);
        match self.unit {
            Unit::Count => format!("{shown} {}", self.name),
            _ => format!("{} {shown}", self.name),
        }
    }
}

impl Scale {
    /// Returns the pixel of a value; a value outside of the scale is at its edge.
    pub fn px(self, value: f64) -> f64 {
        let (low, high) = (self.kind.flat(self.low), self.kind.flat(self.high));
        let share = ((self.kind.flat(value) - low) / (high - low)).clamp(0.0, 1.0);
        self.from + (self.to - self.from) * share
    }

    /// Returns the pixels of the lowest and of the highest value.
    pub const fn ends(self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Returns the values to label: on a log scale at most `most`, at 1, 3, 10, 30 and so on or only at the decades; on
    /// a linear scale at most `most` round steps. Percentiles have fixed labels.
    pub fn ticks(self, unit: Unit, most: usize) -> Vec<f64> {
        let Self { low, high, .. } = self;
        // A value that is only outside by rounding is inside.
        let is_inside = |value: &f64| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9);
        if unit == Unit::Rank {
            return RANKS.into_iter().filter(is_inside).collect();
        }
        if self.kind == Kind::Linear {
            let step = step_over((high - low) / count(most.max(1)));
            let mut ticks = Vec::new();
            let mut at = (low / step).ceil() * step;
            while at <= high + step * 1e-6 {
                ticks.push(at);
                at += step;
            }
            return ticks;
        }
        let decades = decades(low, high);
        let mut ticks: Vec<f64> = decades.iter().flat_map(|decade| [*decade, decade * 3.0]).collect();
        ticks.retain(is_inside);
        if ticks.len() > most {
            ticks = decades.into_iter().filter(is_inside).collect();
        }
        while ticks.len() > most && ticks.len() > 2 {
            ticks = ticks.into_iter().step_by(2).collect();
        }
        ticks
    }
}

/// Returns the smallest of 1, 2 and 5 times a power of ten that is at least `raw`.
fn step_over(raw: f64) -> f64 {
    let decade = decade_below(raw);
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * decade)
        .into_iter()
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(raw)
}

/// Returns the greatest of 1 and 3 times a power of ten that is at most `value`.
fn rung_below(value: f64) -> f64 {
    let decade = decade_below(value);
    if decade * 3.0 <= value { decade * 3.0 } else { decade }
}

/// Returns the smallest of 1 and 3 times a power of ten that is at least `value`.
fn rung_above(value: f64) -> f64 {
    let decade = decade_below(value);
    [1.0, 3.0]
        .map(|step| step * decade)
        .into_iter()
        .find(|rung| *rung >= value * 0.999)
        .unwrap_or(decade * 10.0)
}

/// Returns the greatest power of ten that is at most `value`, which is clamped between [`LEAST`] and [`MOST`].
fn decade_below(value: f64) -> f64 {
    // NaN becomes the least value, so that the loops end.
    let value = if value > LEAST { value.min(MOST) } else { LEAST };
    let mut decade = 1.0;
    while decade > value {
        decade /= 10.0;
    }
    while decade * 10.0 <= value {
        decade *= 10.0;
    }
    decade
}

fn decades(low: f64, high: f64) -> Vec<f64> {
    let mut decades = Vec::new();
    let mut decade = decade_below(low);
    while decade <= high.min(MOST) * (1.0 + 1e-9) {
        decades.push(decade);
        decade *= 10.0;
    }
    decades
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(unit: Unit, kind: Kind) -> Side {
        Side { name: "x", unit, kind, span: None }
    }

    #[track_caller]
    fn labels(side: Side, extent: (f64, f64), most: usize, expected: &str) {
        let ticks = side.scale(extent, 0.0, 100.0).ticks(side.unit, most);
        let labels: Vec<String> = ticks.into_iter().map(|tick| side.unit.tick(tick)).collect();
        assert_eq!(labels.join(", "), expected);
    }

    #[test]
    fn log_scales_are_labelled_at_one_three_ten() {
        let ms = side(Unit::Milliseconds, Kind::Log);
        labels(ms, (12.0, 6280.0), 8, "10 ms, 30 ms, 100 ms, 300 ms, 1 s, 3 s, 10 s");
        labels(ms, (12.0, 6280.0), 4, "10 ms, 100 ms, 1 s, 10 s");
        labels(ms, (0.0, 5e3), 4, "0.001 ms, 0.1 ms, 10 ms, 1 s");
        labels(ms, (30.0, 30.0), 8, "30 ms, 100 ms, 300 ms");
        let clients = Side { span: Some((10.0, 1e6)), ..side(Unit::Count, Kind::Log) };
        labels(clients, (0.0, 0.0), 6, "10, 100, 1k, 10k, 100k, 1M");
        let ranks = Side { span: Some((1.0, 100.0)), ..side(Unit::Rank, Kind::Log) };
        labels(ranks, (0.0, 0.0), 8, "min, p50, p75, p90, p95, p99");
    }

    #[test]
    fn linear_scales_are_labelled_in_round_steps() {
        labels(side(Unit::PerSecond, Kind::Linear), (0.0, 173.0), 5, "0/s, 50/s, 100/s, 150/s, 200/s");
        labels(side(Unit::PerSecond, Kind::Linear), (0.3, 0.7), 5, "0/s, 0.2/s, 0.4/s, 0.6/s, 0.8/s");
        let time = Side { span: Some((0.0, 60.0)), ..side(Unit::Seconds, Kind::Linear) };
        labels(time, (0.0, 0.0), 6, "0 s, 10 s, 20 s, 30 s, 40 s, 50 s, 60 s");
    }

    #[test]
    fn no_values_end_too() {
        for value in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
            for kind in [Kind::Linear, Kind::Log] {
                let scale = side(Unit::Count, kind).scale((value, value), 0.0, 100.0);
                assert!(scale.ticks(Unit::Count, 6).len() < 50, "{value} {scale:?}");
            }
        }
    }

    #[test]
    fn values_become_pixels_and_stay_inside() {
        let scale = side(Unit::Milliseconds, Kind::Log).scale((10.0, 1000.0), 190.0, 8.0);
        let px = [10.0, 100.0, 1000.0, 0.0, 1e9].map(|value| scale.px(value).round());
        assert_eq!(px.map(super::super::mark::number), ["190", "99", "8", "190", "8"]);
    }

    #[test]
    fn a_value_is_said_with_its_name() {
        assert_eq!(side(Unit::Seconds, Kind::Linear).say(31.2), "x 31.2 s");
        assert_eq!(side(Unit::Count, Kind::Log).say(5e3), "5k x");
    }
}

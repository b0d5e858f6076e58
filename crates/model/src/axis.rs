//! The mapping from times to positions on the axis that all lanes share: the newest time is at the right edge.

/// A window of time, drawn over a width.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Time at the right edge, by the server's clock, in milliseconds since the Unix epoch.
    pub now_ms: f64,
    /// Length of the window, in milliseconds.
    pub window_ms: f64,
    /// Width of the drawing, in CSS pixels.
    pub width: f64,
}

impl Axis {
    /// Returns the x coordinate of a time; negative for a time before the window.
    pub fn x(&self, at_ms: f64) -> f64 {
        self.width - (self.now_ms - at_ms) / self.window_ms * self.width
    }

    /// Returns the time at the left edge.
    pub fn begin_ms(&self) -> f64 {
        self.now_ms - self.window_ms
    }

    /// Returns the ticks as x coordinates and labels; a label says how many seconds ago. The step is 1, 2, 5, 10, 20 or
    /// 60 seconds, the smallest that leaves labels at least 60 px apart, and else 120 seconds.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let per_ms = self.width / self.window_ms;
        let step_s = [1_u32, 2, 5, 10, 20, 60]
            .into_iter()
            .find(|s| f64::from(*s) * 1000.0 * per_ms >= 60.0)
            .unwrap_or(120);
        let mut ticks = Vec::new();
        let mut ago_s = step_s;
        while f64::from(ago_s) * 1000.0 < self.window_ms {
            ticks.push((self.x(self.now_ms - f64::from(ago_s) * 1000.0), format!("−{ago_s} s")));
            ago_s += step_s;
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_at_the_right_edge_and_labels_keep_apart() {
        let axis = Axis { now_ms: 50_000.0, window_ms: 10_000.0, width: 700.0 };
        assert!((axis.x(50_000.0) - 700.0).abs() < 1e-9 && axis.x(axis.begin_ms()).abs() < 1e-9);
        let ticks = axis.ticks();
        assert!(ticks.windows(2).all(|pair| pair[0].0 - pair[1].0 >= 60.0));
        assert_eq!(ticks[0].1, "−1 s");
        let narrow = Axis { width: 200.0, ..axis };
        assert_eq!(narrow.ticks()[0].1, "−5 s");
    }
}

//! What was counted while the rate was one.

use crate::bounds::RateEstimate;

/// Arrivals and the time in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Regime {
    pub(super) arrivals: f64,
    pub(super) seconds: f64,
}

impl Regime {
    pub(super) fn add(&mut self, arrivals: f64, seconds: f64) {
        self.arrivals += arrivals;
        self.seconds += seconds;
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self { arrivals: (self.arrivals - other.arrivals).max(0.0), seconds: (self.seconds - other.seconds).max(0.0) }
    }

    pub(super) fn rate(self) -> f64 {
        self.arrivals / self.seconds
    }

    pub(super) fn estimate(self, dispersion: f64) -> RateEstimate {
        RateEstimate::new(self.arrivals, self.seconds, dispersion)
    }

    /// With a forecast of the rate that nothing speaks against.
    pub(super) fn backed_by(mut self, forecast: Option<f64>, dispersion: f64) -> Self {
        /// As good as so many seconds of arrivals.
        const WORTH: f64 = 1200.0;
        /// Standard deviations of what was counted.
        const SURELY: f64 = 2.0;
        /// As far off is one right forecast in twenty, just when it is needed. So this much is let pass where the forecast is likelier
        /// than twice or half of it, which are that far off only once more was counted.
        const LIKELY: f64 = 3.0;
        const NEAR: f64 = std::f64::consts::SQRT_2;
        if let Some(rate) = forecast {
            let expected = rate * self.seconds;
            let off = (self.arrivals - expected).abs() / (expected * dispersion).sqrt();
            let is_near = self.arrivals <= NEAR * expected && self.arrivals * NEAR >= expected;
            if off <= if is_near { LIKELY } else { SURELY } {
                self.add(rate * WORTH, WORTH);
            }
        }
        self
    }

    /// The rate to test against.
    pub(super) fn cautious(self, dispersion: f64, upwards: bool, caution: f64) -> f64 {
        let count = self.arrivals / dispersion;
        let end = if upwards {
            count + caution * (count + 1.0).sqrt() + caution
        } else {
            count - caution * (count + 1.0).sqrt()
        };
        end.max(0.0) * dispersion / self.seconds
    }
}

//! Whether a service has lost more than it may for some time.

use arrivals::poisson_bounds;

/// Decay of what was counted, in seconds.
const MEMORY: f64 = 30.0;

/// Arrivals and losses of a service, the recent ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossTracker {
    arrived: f64,
    lost: f64,
    /// Since when the limit has been exceeded.
    since: Option<f64>,
}

impl LossTracker {
    /// Counts `seconds` > 0 until `now`. The loss is too high while the lower end of its 95 % interval is above `limit`.
    pub fn add(&mut self, now: f64, seconds: f64, arrived: f64, lost: f64, limit: f64) {
        let keep = (-seconds / MEMORY).exp();
        self.arrived = self.arrived * keep + arrived;
        self.lost = self.lost * keep + lost;
        let low = if self.lost > 0.0 { poisson_bounds(self.lost, 0.95).0 } else { 0.0 };
        let exceeds = self.arrived > 0.0 && low / self.arrived > limit;
        self.since = if exceeds { self.since.or(Some(now)) } else { None };
    }

    /// Recent share of arrivals lost.
    pub fn loss(&self) -> f64 {
        if self.arrived > 0.0 { self.lost / self.arrived } else { 0.0 }
    }

    /// For how long the loss has been too high.
    pub fn exceeded_for(&self, now: f64) -> Option<f64> {
        self.since.map(|since| now - since)
    }

    /// Forgets what happened under another plan.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

//! Whether a service has lost more than it may for some time.

use arrivals::poisson_bounds;

/// Decay of what was counted, in seconds.
const MEMORY: f64 = 30.0;

/// Readings, about, after which their scatter is known.
const READINGS: f64 = 8.0;

/// Arrivals and losses of a service, the recent ones.
///
/// Losses come in clusters: while memory is full one job after the other is lost. How much more they scatter from reading to
/// reading than independent ones would (the dispersion of a quasi-Poisson count: R. W. M. Wedderburn, Biometrika 61 (1974),
/// pp. 439–447) is what they prove less.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossTracker {
    arrived: f64,
    lost: f64,
    /// Sum of lost² ÷ arrived over readings, and their number.
    scatter: f64,
    readings: f64,
    /// Since when the limit has been exceeded.
    since: Option<f64>,
}

impl LossTracker {
    /// Counts `seconds` > 0 until `now`. The loss is too high while the lower end of its 95 % interval is above `limit`.
    pub fn add(&mut self, now: f64, seconds: f64, arrived: f64, lost: f64, limit: f64) {
        let keep = (-seconds / MEMORY).exp();
        for sum in [&mut self.arrived, &mut self.lost, &mut self.scatter, &mut self.readings] {
            *sum *= keep;
        }
        if arrived > 0.0 {
            self.arrived += arrived;
            self.lost += lost;
            self.scatter += lost * lost / arrived;
            self.readings += 1.0;
        }
        let exceeds = self.arrived > 0.0 && self.least() / self.arrived > limit;
        self.since = if exceeds { self.since.or(Some(now)) } else { None };
    }

    /// Lower end of the 95 % interval of the number of losses.
    fn least(&self) -> f64 {
        let dispersion = self.dispersion();
        if self.lost > 0.0 { dispersion * poisson_bounds(self.lost / dispersion, 0.95).0 } else { 0.0 }
    }

    /// Variance ÷ mean of losses per reading; 1 where they are independent, and where there are too few readings to tell.
    fn dispersion(&self) -> f64 {
        if self.readings < READINGS || self.lost <= 0.0 {
            return 1.0;
        }
        // Pearson's statistic, the sum of (lost − expected)² ÷ expected, with the same share expected of every reading.
        let pearson = self.scatter * self.arrived / self.lost - self.lost;
        (pearson / (self.readings - 1.0)).max(1.0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Seconds, of 2,000 with 100 arrivals each, in which 1 % is proven to be exceeded; `cluster` losses come together.
    fn proven(share: f64, cluster: f64, seed: u64) -> usize {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tracker = LossTracker::default();
        let second = |second: u32| {
            let clusters = (0..100).filter(|_| rng.random::<f64>() < share / cluster).count() as f64;
            tracker.add(f64::from(second), 1.0, 100.0, (clusters * cluster).min(100.0), 0.01);
            tracker.exceeded_for(f64::from(second)).is_some()
        };
        (0..2000).map(second).filter(|is| *is).count()
    }

    #[test]
    fn clusters_of_losses_prove_less_than_as_many_independent_ones() {
        let of = |share: f64, cluster: f64| (0..10).map(|seed| proven(share, cluster, seed)).sum::<usize>();
        // Of 20,000 seconds.
        assert!(of(0.009, 1.0) < 600 && of(0.009, 12.0) < 600, "{} {}", of(0.009, 1.0), of(0.009, 12.0));
        assert!(of(0.03, 1.0) > 19_000 && of(0.04, 12.0) > 12_000, "{} {}", of(0.03, 1.0), of(0.04, 12.0));
    }
}

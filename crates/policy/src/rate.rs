//! Arrivals per second over a sliding window.

use std::time::Duration;

/// Slots of the window. The estimate lags a step in the rate by half a window on average.
const SLOTS: usize = 10;

/// Counts arrivals in a ring of slots and divides by the time they cover.
#[derive(Debug, Clone)]
pub struct RateEstimator {
    slot: Duration,
    counts: [u64; SLOTS],
    /// Number of the slot that is being filled, from the start of time.
    current: u64,
    started: Duration,
}

impl RateEstimator {
    /// An empty window of length `window` (> 0), at `now` since any fixed start.
    pub fn new(window: Duration, now: Duration) -> Self {
        let slot = (window / SLOTS as u32).max(Duration::from_micros(1));
        Self { slot, counts: [0; SLOTS], current: slot_of(now, slot), started: now }
    }

    /// Counts `jobs` that arrive at `now`. Time must not run backwards; if it does, the jobs count as now.
    pub fn arrive(&mut self, jobs: u64, now: Duration) {
        self.advance(now);
        self.counts[(self.current % SLOTS as u64) as usize] += jobs;
    }

    /// Jobs per second over the window, or over the time since the start if that is shorter.
    pub fn rate(&mut self, now: Duration) -> f64 {
        self.advance(now);
        let window_start = self
            .slot
            .saturating_mul(u32::try_from((self.current + 1).saturating_sub(SLOTS as u64)).unwrap_or(u32::MAX));
        let covered = now.saturating_sub(window_start.max(self.started)).as_secs_f64();
        let jobs: u64 = self.counts.iter().sum();
        // Less than a slot of time says nothing yet.
        jobs as f64 / covered.max(self.slot.as_secs_f64())
    }

    /// Jobs per second over the window, of which the part before the start counts as if jobs had come at the rate `before`: a
    /// young window says mostly what was expected.
    pub fn rate_since(&mut self, now: Duration, before: f64) -> f64 {
        self.advance(now);
        let slot = self.slot.as_secs_f64();
        let start = (self.current as f64 + 1.0 - SLOTS as f64) * slot;
        let unseen = (self.started.as_secs_f64() - start).max(0.0);
        let length = (now.as_secs_f64() - start).max(slot);
        let jobs: u64 = self.counts.iter().sum();
        (jobs as f64 + before * unseen.min(length)) / length
    }

    fn advance(&mut self, now: Duration) {
        let slot = slot_of(now, self.slot);
        let passed = slot.saturating_sub(self.current);
        for step in 1..=passed.min(SLOTS as u64) {
            self.counts[((self.current + step) % SLOTS as u64) as usize] = 0;
        }
        self.current = self.current.max(slot);
    }
}

fn slot_of(now: Duration, slot: Duration) -> u64 {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    nanos(now) / nanos(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn steady(estimator: &mut RateEstimator, from: Duration, seconds: u32, per_second: u32) -> Duration {
        let step = SECOND / per_second;
        for i in 0..seconds * per_second {
            estimator.arrive(1, from + step * i);
        }
        from + SECOND * seconds
    }

    #[test]
    fn a_steady_stream_is_measured() {
        let mut estimator = RateEstimator::new(SECOND * 10, SECOND * 3);
        let now = steady(&mut estimator, SECOND * 3, 30, 50);
        let rate = estimator.rate(now);
        assert!((rate - 50.0).abs() < 3.0, "{rate}");
    }

    #[test]
    fn a_young_window_divides_by_its_age() {
        let mut estimator = RateEstimator::new(SECOND * 10, SECOND * 100);
        let now = steady(&mut estimator, SECOND * 100, 2, 50);
        let rate = estimator.rate(now);
        assert!((rate - 50.0).abs() < 3.0, "{rate}");
    }

    #[test]
    fn what_a_young_window_has_not_seen_is_as_expected() {
        for start in [0, 100] {
            let start = SECOND * start;
            let mut estimator = RateEstimator::new(SECOND * 10, start);
            assert_eq!(estimator.rate_since(start, 50.0).round(), 50.0);
            let now = steady(&mut estimator, start, 2, 100);
            let rate = estimator.rate_since(now, 50.0);
            assert!((58.0..63.0).contains(&rate), "2 s at 100, 7.5 at 50: {rate}");
            let now = steady(&mut estimator, now, 10, 100);
            assert!((estimator.rate_since(now, 50.0) - 100.0).abs() < 3.0);
        }
    }

    #[test]
    fn silence_empties_the_window() {
        let mut estimator = RateEstimator::new(SECOND * 10, SECOND);
        let now = steady(&mut estimator, SECOND, 20, 50);
        assert_eq!(estimator.rate(now + SECOND * 11), 0.0);
        assert_eq!(estimator.rate(now + SECOND * 1_000_000), 0.0);
    }

    #[test]
    fn time_that_runs_backwards_does_no_harm() {
        let mut estimator = RateEstimator::new(SECOND, SECOND * 5);
        estimator.arrive(1, SECOND * 4);
        assert!(estimator.rate(SECOND * 5).is_finite());
    }
}

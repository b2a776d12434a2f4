//! Arrivals per second over a sliding window.

use std::time::Duration;

/// Slots of the window. The estimate lags a step in the rate by half a window on average.
const SLOTS: usize = 10;
/// Slots of the stretches by which a window is looked at, beside the one that is being filled.
const STRETCHES: [u64; 4] = [1, 2, 4, 8];

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
        let window_start = self.slot.as_secs_f64() * (self.current + 1).saturating_sub(SLOTS as u64) as f64;
        let covered = now.as_secs_f64() - window_start.max(self.started.as_secs_f64());
        let jobs: u64 = self.counts.iter().sum();
        // Less than a slot of time says nothing yet.
        jobs as f64 / covered.max(self.slot.as_secs_f64())
    }

    /// Jobs and seconds of stretches of the window that end now, the shortest first. The part of them before the start counts as
    /// if jobs had come at the rate `before`.
    pub(crate) fn stretches(&mut self, now: Duration, before: f64) -> [(f64, f64); STRETCHES.len()] {
        self.advance(now);
        let (slot, now, started) = (self.slot.as_secs_f64(), now.as_secs_f64(), self.started.as_secs_f64());
        let in_slot = |back: u64| self.counts[((self.current + SLOTS as u64 - back) % SLOTS as u64) as usize];
        STRETCHES.map(|slots| {
            let jobs: u64 = (0..=slots).map(in_slot).sum();
            let start = (self.current as f64 - slots as f64) * slot;
            let length = (now - start).max(slot);
            let unseen = (started - start).clamp(0.0, length);
            (jobs as f64 + before * unseen, length)
        })
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
    fn stretches_are_counted_back_from_now_and_before_the_start_it_was_as_expected() {
        let mut estimator = RateEstimator::new(SECOND * 10, SECOND * 100);
        assert_eq!(estimator.stretches(SECOND * 100, 50.0), [(50.0, 1.0), (100.0, 2.0), (200.0, 4.0), (400.0, 8.0)]);
        let now = steady(&mut estimator, SECOND * 100, 3, 100) + SECOND / 2;
        let found = estimator.stretches(now, 50.0);
        // The last half second was silent; what is before the three seconds at 100/s came at 50/s.
        let wanted = [(100.0, 1.5), (200.0, 2.5), (300.0 + 50.0, 4.5), (300.0 + 250.0, 8.5)];
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found.0 - wanted.0).abs() < 1e-6 && (found.1 - wanted.1).abs() < 1e-6, "{found:?} {wanted:?}");
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

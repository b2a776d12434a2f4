//! How many jobs arrive now, as a multiple of what was forecast, and what chance leaves open about it.
//!
//! # Problem
//! A short memory follows a surge within moments, and takes noise for one; a long one knows a constant rate well, and
//! averages over a surge. Of n arrivals the rate is known to 1/√n: 14 % of 50, when rows of a table lie 6 % apart.
//!
//! # Method
//! Counts are kept over stretches that end now and grow about twofold each, from a tenth of a window to 64 windows. Of n
//! arrivals where m were forecast, each allows the ratios r with
//!
//! > √(n + ⅜) − u/2 ≤ √(r·m) ≤ √(n + ⅜) + v/2,
//!
//! which leave out what is u standard deviations of a Poisson count above, or v below, what r leads to expect: the square
//! root of a count has the deviation ½ whatever its mean. Longer and longer stretches are trusted as long as the ratio of
//! each is one that all shorter ones allow: the longest memory that nothing newer contradicts. After a step of the rate
//! all long ones are contradicted at once, and grow back with the time since.
//!
//! u < v, because too many jobs are lost sooner than too few leave late. For the same reason a rate other than the forecast
//! is taken to be one deviation higher than counted, which matters in the first moments of a surge only.
//!
//! # Assumptions
//! Arrivals are Poisson at a rate that changes in steps. Burstier ones are taken for steps now and then, and followed.
//!
//! # Cost
//! Twelve sums of up to ten counters and as many square roots per look.
//!
//! # Reference
//! Goldenshluger and Nemirovski, "On spatially adaptive estimation of nonparametric regression", Mathematical Methods of
//! Statistics 6 (1997): the intersection of confidence intervals. The square root: Anscombe, Biometrika 35 (1948).

use crate::RateEstimator;
use std::array;
use std::time::Duration;

/// Memories: of one window, of this many windows, and of as many of those.
const SCALES: usize = 3;
const STEP: u32 = 8;
/// Standard deviations that chance explains: u and v. With these a gateway at the rate of the forecast takes it for another
/// one 4 % of the time, and takes a doubling for chance during 10 arrivals; see `docs/design/policies.md`.
const TOO_MANY: f64 = 2.0;
const TOO_FEW: f64 = 2.5;
/// Deviations on top of what was counted.
const SAFETY: f64 = 1.0;
const SURE: f64 = 2.0;

/// Counts of arrivals over stretches of several lengths that end now.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    scales: [RateEstimator; SCALES],
}

/// Arrivals ÷ what was forecast, by the longest memory that nothing newer contradicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recent {
    /// As counted.
    pub(crate) ratio: f64,
    /// As high as it may well be.
    pub(crate) up_to: f64,
    /// As high as it is hardly ever.
    pub(crate) at_most: f64,
    /// The ratios that chance leaves open.
    allowed: (f64, f64),
}

impl Memory {
    /// Has counted nothing, from `now` on, with this window.
    pub(crate) fn new(window: Duration, now: Duration) -> Self {
        let longer = |scale: usize| RateEstimator::new(window.saturating_mul(STEP.pow(scale as u32)), now);
        Self { scales: array::from_fn(longer) }
    }

    /// A job arrives.
    pub(crate) fn arrive(&mut self, now: Duration) {
        self.scales.iter_mut().for_each(|scale| scale.arrive(1, now));
    }

    /// What arrives now, if `forecast` (> 0) jobs per second are expected; the time before the start counts as that.
    pub(crate) fn recent(&mut self, now: Duration, forecast: f64) -> Recent {
        let stretches = self.scales.each_mut().map(|scale| scale.stretches(now, forecast));
        let mut found: Option<Recent> = None;
        let (mut low, mut high) = (0.0, f64::INFINITY);
        for (jobs, seconds) in stretches.into_iter().flatten() {
            let one = Recent::of(jobs, forecast * seconds);
            if found.is_some() && !(low..=high).contains(&one.ratio) {
                break;
            }
            (low, high) = (f64::max(low, one.allowed.0), f64::min(high, one.allowed.1));
            found = Some(one);
        }
        found.expect("there are stretches")
    }
}

impl Recent {
    fn of(jobs: f64, forecast: f64) -> Self {
        let root = (jobs + 0.375).sqrt();
        let moved = |deviations: f64| (root + deviations / 2.0).max(0.0).powi(2) / forecast;
        let allowed = (moved(-TOO_MANY), moved(TOO_FEW));
        Self { ratio: jobs / forecast, up_to: moved(SAFETY), at_most: moved(SURE), allowed }
    }

    /// Whether chance explains the count if the rate is that of the forecast.
    pub(crate) fn is_as_forecast(&self) -> bool {
        (self.allowed.0..=self.allowed.1).contains(&1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const WINDOW: Duration = Duration::from_secs(5);
    const FORECAST: f64 = 10.0;

    /// Poisson arrivals at `rate` for `seconds`; what is found at each.
    fn arrivals(
        memory: &mut Memory,
        rng: &mut ChaCha8Rng,
        now: &mut f64,
        rate: f64,
        seconds: f64,
    ) -> Vec<(f64, Recent)> {
        let end = *now + seconds;
        let mut found = vec![];
        loop {
            let gap = -(1.0 - rng.random::<f64>()).ln() / rate;
            if *now + gap > end {
                *now = end;
                return found;
            }
            *now += gap;
            let at = Duration::from_secs_f64(*now);
            found.push((*now, memory.recent(at, FORECAST)));
            memory.arrive(at);
        }
    }

    fn memory() -> Memory {
        Memory::new(WINDOW, Duration::ZERO)
    }

    #[test]
    fn a_constant_rate_is_that_of_the_forecast_nearly_always() {
        let found = arrivals(&mut memory(), &mut ChaCha8Rng::seed_from_u64(1), &mut 0.0, FORECAST, 20_000.0);
        let share = found.iter().filter(|(_, recent)| recent.is_as_forecast()).count() as f64 / found.len() as f64;
        assert!((0.94..0.98).contains(&share), "{share}, seed 1");
    }

    #[test]
    fn a_small_lasting_difference_is_found_by_the_long_memory() {
        for (rate, bounds) in [(0.9 * FORECAST, 0.85..0.95), (1.1 * FORECAST, 1.05..1.15)] {
            let (mut memory, mut rng, mut now) = (memory(), ChaCha8Rng::seed_from_u64(2), 0.0);
            arrivals(&mut memory, &mut rng, &mut now, rate, 500.0);
            let later = arrivals(&mut memory, &mut rng, &mut now, rate, 5_000.0);
            let near = later.iter().filter(|(_, one)| bounds.contains(&one.ratio) && !one.is_as_forecast()).count();
            assert!(near as f64 > 0.75 * later.len() as f64, "{rate}: {near} of {}, seed 2", later.len());
        }
    }

    #[test]
    fn a_doubling_is_followed_within_half_a_window_and_its_end_within_one() {
        let late = |seed: u64| {
            let (mut memory, mut rng, mut now) = (memory(), ChaCha8Rng::seed_from_u64(seed), 0.0);
            arrivals(&mut memory, &mut rng, &mut now, FORECAST, 400.0);
            let surge = arrivals(&mut memory, &mut rng, &mut now, 2.0 * FORECAST, 60.0);
            let rise = surge.iter().find(|(_, recent)| !recent.is_as_forecast() && recent.up_to > 1.0);
            let lull = arrivals(&mut memory, &mut rng, &mut now, FORECAST, 60.0);
            let fall = lull.iter().find(|(_, recent)| recent.is_as_forecast());
            let after = |found: Option<&(f64, Recent)>, at: f64| found.map_or(f64::INFINITY, |(now, _)| now - at);
            (after(rise, 400.0) > 2.5, after(fall, 460.0) > 5.0)
        };
        let late: Vec<_> = (0..200).map(late).collect();
        let count = |of: fn(&(bool, bool)) -> bool| late.iter().filter(|one| of(one)).count();
        assert!(
            count(|one| one.0) <= 20 && count(|one| one.1) <= 20,
            "of 200: {} {}",
            count(|one| one.0),
            count(|one| one.1)
        );
    }

    #[test]
    fn few_arrivals_say_little_and_none_for_long_says_that_there_are_none() {
        let mut memory = memory();
        assert!(memory.recent(Duration::ZERO, FORECAST).is_as_forecast());
        memory.arrive(Duration::from_millis(1));
        memory.arrive(Duration::from_millis(2));
        assert!(memory.recent(Duration::from_millis(3), FORECAST).is_as_forecast());
        let silence = memory.recent(Duration::from_secs(3600), FORECAST);
        assert!(!silence.is_as_forecast() && silence.up_to < 0.01, "{silence:?}");
        assert!(memory.recent(Duration::MAX, FORECAST).ratio.is_finite());
    }
}

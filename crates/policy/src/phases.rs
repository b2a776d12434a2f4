//! In which of two phases an arrival process is, from the times between arrivals.
//!
//! Problem: a process is Poisson with rate λ₀ (calm) or λ₁ ≥ λ₀ (burst) and leaves phase i at σᵢ per second (an MMPP(2));
//! phases are not seen, arrivals are. Wanted: p = P(burst | all arrivals so far, and none since).
//!
//! Formula: a gap of g seconds without arrival takes the row vector (1 − p, p) to (1 − p, p)·exp(M·g) up to a factor, with
//! M = [[−λ₀ − σ₀, σ₀], [σ₁, −λ₁ − σ₁]]; an arrival multiplies its entries by (λ₀, λ₁). With h = (M₀₀ − M₁₁) ÷ 2,
//! d = √(h² + σ₀σ₁) and t = tanh(d·g),
//!
//! ```text
//! exp(M·g) ∝ [[1 + t·h/d, t·σ₀/d], [t·σ₁/d, 1 − t·h/d]]
//! ```
//!
//! Every entry is ≥ 0 and all are bounded, so that neither a silence of years nor a thousand arrivals at once leaves the
//! range of numbers. 1 ± t·h/d cancels where switching is slow, and is computed from 1 − t = 2 ÷ (e^{2dg} + 1) and
//! 1 − |h|/d = σ₀σ₁ ÷ (d·(d + |h|)) instead.
//!
//! Assumptions: rates and switching are known (they come with the policy). Cost: one exponential per look, two numbers of
//! state. Reference: the forward recursion of a Markov-modulated Poisson process, Fischer and Meier-Hellstern, "The
//! Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 18 (1993), section 2; the closed form of
//! the exponential of a 2 × 2 matrix is elementary.

/// A Bayes filter for the phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhaseFilter {
    rates: [f64; 2],
    switch: [f64; 2],
    /// h ÷ d.
    tilt: f64,
    d: f64,
    /// P(burst) just after the last arrival.
    burst: f64,
    /// When that was, in seconds.
    last: f64,
}

impl PhaseFilter {
    /// A process with these arrivals per second in each phase and these changes per second out of it, all > 0, seen from
    /// `now` on; before, it is in the long-run mixture of its phases.
    pub fn new(rates: [f64; 2], switch: [f64; 2], now: f64) -> Self {
        // M₀₀ − M₁₁ = (λ₁ + σ₁) − (λ₀ + σ₀).
        let h = ((rates[1] - rates[0]) + (switch[1] - switch[0])) / 2.0;
        let d = h.hypot(switch[0].sqrt() * switch[1].sqrt());
        let burst = switch[0] / (switch[0] + switch[1]);
        Self { rates, switch, tilt: h / d, d, burst: if burst.is_finite() { burst } else { 0.5 }, last: now }
    }

    /// The same process with this belief just after an arrival at `last`.
    #[must_use]
    pub fn with(self, burst: f64, last: f64) -> Self {
        Self { burst, last, ..self }
    }

    /// The same belief about a process with other numbers.
    pub(crate) fn believing(self, before: &Self) -> Self {
        Self { burst: before.burst, last: before.last, ..self }
    }

    /// An arrival. Time that runs backwards counts as no time.
    pub fn arrive(&mut self, now: f64) {
        let burst = self.burst_at(now);
        let (calm, burst) = ((1.0 - burst) * self.rates[0], burst * self.rates[1]);
        self.keep(burst / (calm + burst));
        self.last = self.last.max(now);
    }

    /// P(burst) at `now`, after the silence since the last arrival.
    pub fn burst_at(&self, now: f64) -> f64 {
        let silence = (now - self.last).max(0.0);
        let ([calm_ends, burst_ends], d) = (self.switch, self.d);
        // 1 − t, then t itself.
        let rest = 2.0 / ((2.0 * d * silence).exp() + 1.0);
        let t = 1.0 - rest;
        let steep = self.tilt.abs();
        // Of the entries of the diagonal one is 1 + t·|h|/d and the other 1 − t·|h|/d.
        let high = 1.0 + t * steep;
        let low = rest + t * (calm_ends / d) * (burst_ends / (d * (1.0 + steep)));
        let (stay_calm, stay_burst) = if self.tilt >= 0.0 { (high, low) } else { (low, high) };
        let calm = (1.0 - self.burst) * stay_calm + self.burst * t * (burst_ends / d);
        let burst = (1.0 - self.burst) * t * (calm_ends / d) + self.burst * stay_burst;
        let probability = burst / (calm + burst);
        if probability.is_finite() { probability.clamp(0.0, 1.0) } else { self.burst }
    }

    fn keep(&mut self, probability: f64) {
        // Numbers near the end of the range may give none; then what was believed before holds on.
        if probability.is_finite() {
            self.burst = probability.clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CALM_AND_BURST: PhaseFilter =
        PhaseFilter { rates: [1.0, 10.0], switch: [0.1, 0.4], tilt: 0.0, d: 0.0, burst: 0.0, last: 0.0 };

    fn filter() -> PhaseFilter {
        PhaseFilter::new(CALM_AND_BURST.rates, CALM_AND_BURST.switch, 0.0)
    }

    /// The same by small steps: exp(M·g) as a product of 1 + M·step.
    fn by_steps(filter: &PhaseFilter, burst: f64, gap: f64) -> f64 {
        let steps = 2_000_000;
        let step = gap / f64::from(steps);
        let ([calm_rate, burst_rate], [calm_ends, burst_ends]) = (filter.rates, filter.switch);
        let (mut calm, mut burst) = (1.0 - burst, burst);
        for _ in 0..steps {
            let moved = step * (calm * calm_ends - burst * burst_ends);
            calm -= moved + step * calm * calm_rate;
            burst += moved - step * burst * burst_rate;
            let sum = calm + burst;
            (calm, burst) = (calm / sum, burst / sum);
        }
        burst
    }

    #[test]
    fn a_gap_is_what_the_differential_equation_says() {
        for (rates, switch) in [([1.0, 10.0], [0.1, 0.4]), ([2.0, 2.0], [0.3, 0.1]), ([1.0, 1.2], [3.0, 0.2])] {
            for gap in [0.0, 0.01, 0.3, 2.0, 10.0] {
                for burst in [0.0, 0.2, 1.0] {
                    let filter = PhaseFilter { burst, ..PhaseFilter::new(rates, switch, 0.0) };
                    let (found, wanted) = (filter.burst_at(gap), by_steps(&filter, burst, gap));
                    assert!((found - wanted).abs() < 1e-4, "{rates:?} {switch:?} {gap} {burst}: {found} for {wanted}");
                }
            }
        }
    }

    #[test]
    fn an_arrival_weighs_the_phases_by_their_rates() {
        let mut filter = PhaseFilter { burst: 0.5, ..filter() };
        filter.arrive(0.0);
        assert!((filter.burst - 10.0 / 11.0).abs() < 1e-12, "{}", filter.burst);
    }

    #[test]
    fn it_begins_with_the_long_run_shares() {
        assert!((filter().burst_at(0.0) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn equal_rates_say_nothing_and_the_long_run_shares_come_back() {
        let mut filter = PhaseFilter { burst: 1.0, ..PhaseFilter::new([3.0, 3.0], [0.1, 0.4], 0.0) };
        (1..1000).for_each(|arrival| filter.arrive(f64::from(arrival) * 0.3));
        assert!((filter.burst - 0.2).abs() < 1e-9, "{}", filter.burst);
    }

    #[test]
    fn long_silence_means_calm_and_a_volley_means_burst() {
        let mut filter = filter();
        let calm = filter.burst_at(1e12);
        // The dominant eigenvector: calm unless it has just begun to burst.
        assert!(calm > 0.0 && calm < 0.02, "{calm}");
        filter.arrive(1e12);
        (0..2_000).for_each(|_| filter.arrive(1e12));
        assert!(filter.burst > 0.999);
        let later = filter.burst_at(1e12 + 30.0);
        assert!(later < 0.02, "certainty is given up again: {later}");
    }

    proptest! {
        #[test]
        fn the_probability_stays_one(
            rates in [1e-300f64..1e300, 1e-300f64..1e300], switch in [1e-300f64..1e300, 1e-300f64..1e300],
            gaps in proptest::collection::vec(prop_oneof![Just(0.0), 0.0f64..1e-9, 0.0f64..10.0, 0.0f64..1e300], 0..40),
        ) {
            let mut filter = PhaseFilter::new(rates, switch, 0.0);
            let mut now = 0.0;
            for gap in gaps {
                now += gap;
                let before = filter.burst_at(now);
                prop_assert!((0.0..=1.0).contains(&before), "{before}");
                filter.arrive(now);
                prop_assert!((0.0..=1.0).contains(&filter.burst), "{}", filter.burst);
            }
        }
    }
}

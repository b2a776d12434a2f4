//! Arrivals in two phases: what is known about them, and how likely counts are.
//!
//! # Formula
//! Poisson arrivals at rate r_i in phase i, which ends at rate s_i. With c = s₀ + s₁, mean m and variance σ² of the rate over
//! the phases, the index of dispersion of counts in long windows is 1 + 2σ²/(mc). The likelihood of counts follows from the
//! forward recursion: the probability p of the higher phase relaxes to s₀/c with e^{−ct}, is then weighed with the Poisson
//! probabilities of the count, and normalised; the normaliser is the likelihood given what came before.
//!
//! Rates and ends are kept as sums (time, arrivals, and changes per phase), to which every reading adds what the recursion
//! expects of it, so that the description follows the source (expectation maximisation with forward probabilities only).
//!
//! # Assumptions
//! The phase does not change between two readings but at their ends: good while c times their distance is small. Where it is
//! above [`FASTEST`], counts are nearly independent, and [`TwoPhases::dispersion`] says all.
//!
//! # Cost
//! O(1) per reading, two exponentials per likelihood.
//!
//! # Reference
//! L. E. Baum et al., Annals of Mathematical Statistics 41 (1970), pp. 164–171; W. Fischer and K. Meier-Hellstern, "The
//! Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 18 (1993), pp. 149–171.

use domain::problem::Burstiness;

/// Phase changes per reading above which the phase of a reading means nothing.
pub(crate) const FASTEST: f64 = 0.5;

/// Time in a phase counts as this at least, in seconds, so that rates stay finite.
const SHORTEST: f64 = 1e-6;

/// Two phases, the one with fewer arrivals first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoPhases {
    arrivals: [f64; 2],
    seconds: [f64; 2],
    /// Visits to the higher phase.
    visits: f64,
}

/// Where the recursion stands: the probability of the higher phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Phase(pub(crate) f64);

impl TwoPhases {
    /// From rates and ends of phases, as if seen over `seconds` > 0.
    pub fn new(rates: [f64; 2], switch: [f64; 2], seconds: f64) -> Self {
        let high = switch[0] / (switch[0] + switch[1]);
        let times = [(1.0 - high) * seconds, high * seconds];
        Self { arrivals: [rates[0] * times[0], rates[1] * times[1]], seconds: times, visits: switch[0] * times[0] }
    }

    /// From what a source is said to do around its mean rate, as if so many visits to the higher phase had been seen; `None` where there
    /// are no two phases, or numbers are none.
    pub(crate) fn declared(burstiness: Burstiness, mean: f64, cycles: f64) -> Option<Self> {
        let Burstiness::Phases { mut rates, mut switch } = burstiness else { return None };
        if rates[0] > rates[1] {
            rates.reverse();
            switch.reverse();
        }
        let seconds = cycles * switch.iter().map(|end| 1.0 / end).sum::<f64>();
        let is_sound = rates[0] >= 0.0 && rates[0] < rates[1] && switch[0] > 0.0 && switch[1] > 0.0;
        (is_sound && seconds.is_finite()).then(|| Self::new(rates.map(|rate| rate * mean), switch, seconds))
    }

    /// From one visit to another phase: arrivals and seconds outside of it and in it.
    pub(crate) fn of_visit(outside: (f64, f64), inside: (f64, f64)) -> Self {
        let (low, high) =
            if outside.0 / outside.1 <= inside.0 / inside.1 { (outside, inside) } else { (inside, outside) };
        Self { arrivals: [low.0, high.0], seconds: [low.1, high.1], visits: 1.0 }
    }

    /// Adds another visit, or the time until it.
    pub(crate) fn add_visit(&mut self, outside: (f64, f64), inside: (f64, f64)) {
        let outside_is_high = outside.0 / outside.1 > inside.0 / inside.1;
        for (part, high) in [(outside, outside_is_high), (inside, !outside_is_high)] {
            self.arrivals[usize::from(high)] += part.0;
            self.seconds[usize::from(high)] += part.1;
        }
        self.visits += 1.0;
    }

    /// Arrivals per second in each phase.
    pub fn rates(&self) -> [f64; 2] {
        [self.arrivals[0] / self.seconds[0].max(SHORTEST), self.arrivals[1] / self.seconds[1].max(SHORTEST)]
    }

    /// Ends per second of each phase.
    pub fn switch(&self) -> [f64; 2] {
        self.seconds.map(|seconds| self.visits / seconds.max(SHORTEST))
    }

    /// Arrivals per second.
    pub fn mean(&self) -> f64 {
        self.arrivals() / self.seconds()
    }

    /// Arrivals in all.
    pub fn arrivals(&self) -> f64 {
        self.arrivals[0] + self.arrivals[1]
    }

    /// Seconds in all.
    pub fn seconds(&self) -> f64 {
        self.seconds[0] + self.seconds[1]
    }

    /// Rate at which correlation decays, per second.
    pub fn decay(&self) -> f64 {
        self.switch().iter().sum()
    }

    /// Index of dispersion of counts in long windows.
    pub fn dispersion(&self) -> f64 {
        let [low, high] = self.rates();
        let share = self.seconds[1] / self.seconds();
        1.0 + 2.0 * share * (1.0 - share) * (high - low).powi(2) / (self.mean() * self.decay())
    }

    /// As the planner wants it; Poisson where the numbers are no process.
    pub fn burstiness(&self) -> Burstiness {
        let (rates, switch, mean) = (self.rates(), self.switch(), self.mean());
        let exact = (rates[0] * switch[1] + rates[1] * switch[0]) / (switch[0] + switch[1]) / mean;
        let sound =
            (exact - 1.0).abs() < 1e-9 && switch.iter().all(|rate| *rate > 0.0 && rate.is_finite()) && mean > 0.0;
        if sound { Burstiness::Phases { rates: rates.map(|rate| rate / mean), switch } } else { Burstiness::Poisson }
    }

    /// Probability of the higher phase when nothing is known.
    pub(crate) fn start(&self) -> Phase {
        Phase(self.seconds[1] / self.seconds())
    }

    /// Log-likelihood of a count, but for what does not depend on phase and factor, with all rates times `factor`.
    pub(crate) fn step(&self, phase: &mut Phase, arrivals: f64, seconds: f64, factor: f64) -> f64 {
        let high = self.start().0;
        let before = high + (phase.0 - high) * (-self.decay() * seconds).exp();
        let log = self.rates().map(|rate| {
            // A phase of silence may hold a single arrival now and then.
            let rate = (rate * factor).max(1e-6);
            arrivals * rate.ln() - rate * seconds
        });
        let largest = log[0].max(log[1]);
        let weights = [(1.0 - before) * (log[0] - largest).exp(), before * (log[1] - largest).exp()];
        let sum = weights[0] + weights[1];
        phase.0 = (weights[1] / sum).clamp(1e-12, 1.0 - 1e-12);
        largest + sum.ln()
    }

    /// Adds to the description what a reading is expected to have been, given the phases before and after it.
    pub(crate) fn learn(&mut self, before: Phase, after: Phase, arrivals: f64, seconds: f64) {
        for (index, share) in [1.0 - after.0, after.0].into_iter().enumerate() {
            self.arrivals[index] += share * arrivals;
            self.seconds[index] += share * seconds;
        }
        self.visits += (after.0 - before.0).max(0.0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp, Poisson};

    /// Counts of a source in two phases.
    pub(crate) struct TwoPhaseCounts {
        rates: [f64; 2],
        switch: [f64; 2],
        phase: usize,
        left: f64,
        random: ChaCha8Rng,
    }

    impl TwoPhaseCounts {
        pub(crate) fn new(phases: &TwoPhases, mut random: ChaCha8Rng) -> Self {
            let phase = usize::from(random.random::<f64>() < phases.start().0);
            let left = Exp::new(phases.switch()[phase]).unwrap().sample(&mut random);
            Self { rates: phases.rates(), switch: phases.switch(), phase, left, random }
        }

        pub(crate) fn next(&mut self, seconds: f64) -> f64 {
            let (mut mean, mut time) = (0.0, seconds);
            while self.left < time {
                mean += self.left * self.rates[self.phase];
                time -= self.left;
                self.phase = 1 - self.phase;
                self.left = Exp::new(self.switch[self.phase]).unwrap().sample(&mut self.random);
            }
            self.left -= time;
            mean += time * self.rates[self.phase];
            if mean > 0.0 { Poisson::new(mean).unwrap().sample(&mut self.random) } else { 0.0 }
        }
    }

    #[test]
    fn moments_of_two_phases_are_those_of_the_books() {
        // On and off: half of the time at rate 2, periods of 1 s in the mean: I(∞) = 1 + 2·1/(1·2).
        let phases = TwoPhases::new([0.0, 2.0], [1.0, 1.0], 10.0);
        assert_eq!((phases.mean(), phases.dispersion(), phases.decay()), (1.0, 2.0, 2.0));
        assert_eq!(phases.burstiness(), Burstiness::Phases { rates: [0.0, 2.0], switch: [1.0, 1.0] });
    }

    #[test]
    fn equal_phases_are_as_likely_as_poisson() {
        let phases = TwoPhases::new([5.0, 5.0], [0.1, 0.3], 100.0);
        let mut phase = phases.start();
        let found = phases.step(&mut phase, 7.0, 2.0, 2.0);
        assert!((found - (7.0 * 10f64.ln() - 20.0)).abs() < 1e-9);
    }

    #[test]
    fn readings_tell_the_phase_and_the_description_follows() {
        let truth = TwoPhases::new([10.0, 80.0], [0.02, 0.1], 1.0);
        let mut learned = TwoPhases::new([14.0, 60.0], [0.05, 0.05], 200.0);
        let mut counts = TwoPhaseCounts::new(&truth, ChaCha8Rng::seed_from_u64(2));
        let mut phase = learned.start();
        for _ in 0..80_000 {
            let (count, before) = (counts.next(0.5), phase);
            learned.step(&mut phase, count, 0.5, 1.0);
            learned.learn(before, phase, count, 0.5);
        }
        for (found, want) in [learned.rates(), learned.switch()].concat().iter().zip([10.0, 80.0, 0.02, 0.1]) {
            assert!((found / want - 1.0).abs() < 0.2, "{found} for {want}");
        }
    }
}

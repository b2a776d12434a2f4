//! How many jobs arrive during one service, when arrivals are Poisson: what the embedded chains are made of.

use crate::Service;
use crate::error::{ArgumentError, count, distribution, not_negative};
use crate::service::{Kind, Law};

/// Terms below this are dropped: on the way to underflow, with nothing larger behind them.
const NEGLIGIBLE: f64 = 1e-290;

/// Terms after which a tail that shrinks too slowly is taken as what is missing to one instead.
const MOST_TAIL_TERMS: usize = 100_000;

/// Nodes of the log-normal quadrature at most; reached only for large capacity and large variability together.
const MOST_NODES: f64 = 16_384.0;

/// Probabilities a_j that j jobs arrive during a service, up to a level K, with their tails.
///
/// # Formula
/// a_j = E[e^(−λS) (λS)^j / j!]. A deterministic or measured time gives Poisson terms; a gamma time (exponential,
/// Erlang) negative binomial ones; log-normal and uniform times are integrated, the first by the trapezoidal rule over
/// |z| ≤ 12 of the underlying normal z with a step that resolves the narrowest term, the second by Gauss–Legendre
/// panels. All weights are positive, so that nothing cancels: the tails P(A ≥ j) and E(A − j)⁺ are summed from their
/// small end and keep their relative precision down to 1e-25 and below.
///
/// # Use
/// Linear in the exit probabilities: compute one value per exit, once per rate and capacity, and
/// [mix](Self::mix) them for every mixture that is tried.
///
/// # Cost
/// O(K) per exit for deterministic and gamma, O(nK) for n measured values or quadrature nodes (tens at small
/// variability, hundreds at scv 1 and K = 50).
#[derive(Debug, Clone, PartialEq)]
pub struct ArrivalCounts {
    pub(crate) rate: f64,
    pub(crate) mean_service: f64,
    /// `at_least[j]` = P(A ≥ j), j = 0..=K.
    pub(crate) at_least: Vec<f64>,
    /// `exactly[j]` = P(A = j), j = 0..K.
    pub(crate) exactly: Vec<f64>,
    /// E(A − K)⁺.
    pub(crate) excess: f64,
}

impl ArrivalCounts {
    /// Counts during a service drawn from `service`, of Poisson arrivals at `rate` ≥ 0, up to level `capacity` ≥ 1.
    pub fn new(rate: f64, service: &Service, capacity: usize) -> Result<Self, ArgumentError> {
        not_negative("arrival rate", rate)?;
        count("capacity", capacity)?;
        let mut sums = Sums::new(capacity);
        for (weight, law) in service.exits() {
            sums.add_law(*weight, law, rate);
        }
        Ok(sums.finish(rate, service.mean()))
    }

    /// The counts of a mixture of services, from those of its parts. Refuses parts of different rate or capacity.
    pub fn mix(parts: &[(f64, &Self)]) -> Result<Self, ArgumentError> {
        distribution("exit probability", parts.iter().map(|part| part.0))?;
        let first = parts[0].1;
        let mut sums = Sums::new(first.capacity());
        let mut mean_service = 0.0;
        for (index, (weight, part)) in parts.iter().enumerate() {
            if part.rate != first.rate {
                let argument = format_args!("arrival rate of part {index}").to_string();
                return Err(ArgumentError::new(argument, "the same for all parts", part.rate));
            }
            if part.capacity() != first.capacity() {
                let argument = format_args!("capacity of part {index}").to_string();
                return Err(ArgumentError::new(argument, "the same for all parts", part.capacity() as f64));
            }
            sums.add_counts(*weight, part);
            mean_service += weight * part.mean_service;
        }
        Ok(sums.finish(first.rate, mean_service))
    }

    /// Level K up to which there are counts.
    pub fn capacity(&self) -> usize {
        self.exactly.len()
    }

    /// Mean number of arrivals during a service: ρ, the load offered to one server.
    pub fn mean(&self) -> f64 {
        self.rate * self.mean_service
    }

    /// P(A = j) for j = 0..K.
    pub fn exactly(&self) -> &[f64] {
        &self.exactly
    }

    /// P(A ≥ j) for j = 0..=K.
    pub fn at_least(&self) -> &[f64] {
        &self.at_least
    }

    /// E(A − K)⁺: arrivals beyond the level K in the mean.
    pub fn excess(&self) -> f64 {
        self.excess
    }
}

/// What is added up over exits and quadrature nodes.
struct Sums {
    exactly: Vec<f64>,
    beyond: f64,
    excess: f64,
}

impl Sums {
    fn new(capacity: usize) -> Self {
        Self { exactly: vec![0.0; capacity], beyond: 0.0, excess: 0.0 }
    }

    fn add_law(&mut self, weight: f64, law: &Law, rate: f64) {
        if weight == 0.0 {
            return;
        }
        match &law.0 {
            Kind::Deterministic { time } => self.add_terms(weight, Terms::poisson(rate * time)),
            Kind::Gamma { mean, shape } => self.add_terms(weight, Terms::negative_binomial(rate * mean, *shape)),
            Kind::Hyperexponential { branches } => {
                for (own, mean) in branches {
                    self.add_terms(weight * own, Terms::negative_binomial(rate * mean, 1.0));
                }
            }
            Kind::Uniform { low, high } => self.add_uniform(weight, rate * low, rate * high),
            Kind::LogNormal { location, scale } => self.add_log_normal(weight, rate, *location, *scale),
            Kind::Empirical { values } => {
                let each = weight / values.len() as f64;
                for value in values {
                    self.add_terms(each, Terms::poisson(rate * value));
                }
            }
        }
    }

    fn add_counts(&mut self, weight: f64, counts: &ArrivalCounts) {
        for (sum, term) in self.exactly.iter_mut().zip(&counts.exactly) {
            *sum += weight * term;
        }
        self.beyond += weight * counts.at_least[counts.capacity()];
        self.excess += weight * counts.excess;
    }

    fn add_terms(&mut self, weight: f64, terms: Terms) {
        if weight == 0.0 {
            return;
        }
        let tail = terms.fill(weight, &mut self.exactly);
        self.beyond += weight * tail.beyond;
        self.excess += weight * tail.excess;
    }

    /// Panels of at most four expected arrivals, ten nodes each: exact to rounding for the smooth terms in between.
    fn add_uniform(&mut self, weight: f64, low: f64, high: f64) {
        let panels = ((high - low) / 4.0).ceil().clamp(1.0, 4096.0);
        let width = (high - low) / panels;
        for panel in 0..panels as usize {
            let middle = low + width * (panel as f64 + 0.5);
            for (node, share) in GAUSS_LEGENDRE_10 {
                for signed in [node, -node] {
                    self.add_terms(weight * share / (2.0 * panels), Terms::poisson(middle + signed * width / 2.0));
                }
            }
        }
    }

    /// The trapezoidal rule converges geometrically here. The term of level j has the width 1/√(1 + σ²j) in z, and
    /// e^(−λS) is analytic in a strip of half width π/2σ: the step serves both to about 1e-16.
    fn add_log_normal(&mut self, weight: f64, rate: f64, location: f64, scale: f64) {
        const REACH: f64 = 12.0;
        let levels = (self.exactly.len() as f64).max(22.0);
        let steps = (REACH * (1.0 + scale * scale * levels).sqrt() / 0.7).ceil().min(MOST_NODES / 2.0);
        let step = REACH / steps;
        let height = weight * step / (2.0 * std::f64::consts::PI).sqrt();
        let steps = steps as i64;
        for index in -steps..=steps {
            let z = step * index as f64;
            self.add_terms(height * (-z * z / 2.0).exp(), Terms::poisson(rate * (location + scale * z).exp()));
        }
    }

    fn finish(self, rate: f64, mean_service: f64) -> ArrivalCounts {
        let mut at_least = vec![0.0; self.exactly.len() + 1];
        let mut tail = self.beyond;
        at_least[self.exactly.len()] = tail;
        for (level, term) in self.exactly.iter().enumerate().rev() {
            tail += term;
            at_least[level] = tail;
        }
        ArrivalCounts { rate, mean_service, at_least, exactly: self.exactly, excess: self.excess }
    }
}

/// Positive nodes and weights on [−1, 1] (Abramowitz and Stegun, table 25.4).
const GAUSS_LEGENDRE_10: [(f64, f64); 5] = [
    (0.148_874_338_981_631_2, 0.295_524_224_714_752_9),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// A count law by its first term and the ratio of neighbours, (`slope` + `growth`·j)/(j + 1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    mean: f64,
    ln_first: f64,
    slope: f64,
    growth: f64,
}

/// What lies at and above the level up to which terms were asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    /// P(A ≥ K).
    pub(crate) beyond: f64,
    /// E(A − K)⁺.
    pub(crate) excess: f64,
}

impl Terms {
    pub(crate) fn poisson(mean: f64) -> Self {
        Self { mean, ln_first: -mean, slope: mean, growth: 0.0 }
    }

    /// Arrivals during a gamma time that are `mean` in the mean.
    pub(crate) fn negative_binomial(mean: f64, shape: f64) -> Self {
        let growth = mean / (mean + shape);
        Self { mean, ln_first: -shape * (mean / shape).ln_1p(), slope: growth * shape, growth }
    }

    fn ratio(&self, level: usize) -> f64 {
        (self.slope + self.growth * level as f64) / (level + 1) as f64
    }

    /// Adds `weight` times each term to `sums` and gives the tail (not weighted).
    pub(crate) fn fill(&self, weight: f64, sums: &mut [f64]) -> Tail {
        let mut level = 0;
        // In logarithms as long as the term would underflow on its way up.
        let mut ln_term = self.ln_first;
        while ln_term < -700.0 && level < sums.len() {
            ln_term += self.ratio(level).ln();
            level += 1;
        }
        let mut term = ln_term.exp();
        while level < sums.len() {
            sums[level] += weight * term;
            term *= self.ratio(level);
            level += 1;
            if term * weight < NEGLIGIBLE && level as f64 > self.mean {
                return Tail { beyond: 0.0, excess: 0.0 };
            }
        }
        self.tail(level, term)
    }

    /// `term` is that of `level`.
    fn tail(&self, level: usize, mut term: f64) -> Tail {
        if self.mean < level as f64 {
            let (mut beyond, mut excess) = (0.0, 0.0);
            for above in 0..MOST_TAIL_TERMS {
                beyond += term;
                excess += term * above as f64;
                let ratio = self.ratio(level + above);
                term *= ratio;
                // What is left is at most a geometric series of this ratio.
                if term * (above + 1) as f64 <= 1e-17 * excess * (1.0 - ratio) * (1.0 - ratio) || term < 1e-300 {
                    return Tail { beyond, excess };
                }
            }
        }
        self.complement(level)
    }

    /// Where the tail is not small, or too long to sum.
    fn complement(&self, level: usize) -> Tail {
        let (mut below, mut missing) = (0.0, 0.0);
        let mut ln_term = self.ln_first;
        for j in 0..level {
            let term = ln_term.exp();
            below += term;
            missing += term * (level - j) as f64;
            ln_term += self.ratio(j).ln();
        }
        Tail { beyond: (1.0 - below).max(0.0), excess: (self.mean - level as f64 + missing).max(0.0) }
    }
}

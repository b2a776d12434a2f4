//! Distributions of times, and draws from them.

use crate::random::Draws;
use rand_distr::{Distribution, Gamma, StandardNormal};
use std::sync::Arc;

/// The distribution of a time, in seconds or in work.
#[derive(Debug, Clone, PartialEq)]
pub enum Law {
    /// Always the same.
    Deterministic(f64),
    /// Exponential.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// Sum of `phases` exponentials with the same mean.
    Erlang {
        /// Mean of the sum.
        mean: f64,
        /// At least 1.
        phases: u32,
    },
    /// One of several exponentials.
    Hyperexponential {
        /// Probability of each; they sum to one.
        probs: Vec<f64>,
        /// Mean of each.
        means: Vec<f64>,
    },
    /// Log-normal.
    LogNormal {
        /// Mean.
        mean: f64,
        /// Squared coefficient of variation.
        scv: f64,
    },
    /// Uniform on an interval.
    Uniform {
        /// Smallest.
        low: f64,
        /// Largest.
        high: f64,
    },
    /// One of the values, all alike.
    Empirical(Arc<[f64]>),
}

impl Law {
    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Law::Deterministic(value) => *value,
            Law::Exponential { mean } | Law::Erlang { mean, .. } | Law::LogNormal { mean, .. } => *mean,
            Law::Hyperexponential { probs, means } => probs.iter().zip(means).map(|(p, mean)| p * mean).sum(),
            Law::Uniform { low, high } => (low + high) / 2.0,
            Law::Empirical(values) => values.iter().sum::<f64>() / values.len() as f64,
        }
    }

    /// The same law in another unit of time.
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Law::Deterministic(value) => Law::Deterministic(value * factor),
            Law::Exponential { mean } => Law::Exponential { mean: mean * factor },
            Law::Erlang { mean, phases } => Law::Erlang { mean: mean * factor, phases: *phases },
            Law::Hyperexponential { probs, means } => {
                Law::Hyperexponential { probs: probs.clone(), means: means.iter().map(|mean| mean * factor).collect() }
            }
            Law::LogNormal { mean, scv } => Law::LogNormal { mean: mean * factor, scv: *scv },
            Law::Uniform { low, high } => Law::Uniform { low: low * factor, high: high * factor },
            Law::Empirical(values) => Law::Empirical(values.iter().map(|value| value * factor).collect()),
        }
    }

    /// One draw.
    #[inline]
    pub(crate) fn draw(&self, draws: &mut Draws) -> f64 {
        match self {
            Law::Deterministic(value) => *value,
            Law::Exponential { mean } => draws.exponential() * mean,
            _ => self.draw_rarer(draws),
        }
    }

    #[inline(never)]
    fn draw_rarer(&self, draws: &mut Draws) -> f64 {
        match self {
            Law::Deterministic(value) => *value,
            Law::Exponential { mean } => draws.exponential() * mean,
            Law::Erlang { mean, phases } => {
                let gamma = Gamma::new(f64::from(*phases), mean / f64::from(*phases));
                gamma.map_or(*mean, |gamma| gamma.sample(draws))
            }
            Law::Hyperexponential { probs, means } => {
                let branch = pick(probs.iter().copied(), draws.uniform());
                draws.exponential() * means[branch]
            }
            Law::LogNormal { mean, scv } => {
                let variance = scv.ln_1p();
                let normal: f64 = StandardNormal.sample(draws);
                mean * (variance.sqrt() * normal - variance / 2.0).exp()
            }
            Law::Uniform { low, high } => low + (high - low) * draws.uniform(),
            Law::Empirical(values) => values[draws.below(values.len())],
        }
    }
}

/// Index of the part of [0, 1) that `uniform` falls into; parts of probability 0 are never taken.
pub(crate) fn pick(probabilities: impl Iterator<Item = f64>, uniform: f64) -> usize {
    let (mut left, mut last) = (uniform, 0);
    for (index, probability) in probabilities.enumerate() {
        if probability > 0.0 {
            last = index;
            left -= probability;
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

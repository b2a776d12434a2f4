//! The best mixture of modes whose loss is on target: queueing model with the exact loss.
//!
//! # Problem
//! Each job takes mode a with probability x_a, independently. Maximise Σ x_a·value_a subject to loss(x) ≤ target, the
//! loss being that of M/G/1/K with the mixed service.
//!
//! # Method
//! The arrivals during a service are linear in x ([`queueing::ArrivalCounts::mix`]), the loss is not, so that this is
//! no linear program. Optima mix at most two modes in all cases that were searched more widely (triples, and sequential linear
//! programs over all modes, in the tests): one that keeps to the target alone and one that does not. For each such pair the share of the second is bisected. A
//! pair is skipped after one evaluation when it would miss the target at the share it needs to beat the best pair so
//! far.
//!
//! # Differences from what is published
//! The published form takes a two-moment approximation of the loss and solves an LP for each mean on a grid
//! ([`super::published`]); it leaves up to 4 points of accuracy unused at K = 10.
//!
//! # Cost
//! Pairs · O(K²): about a millisecond for 24 modes at K = 100.
//!
//! # Reference
//! The queueing-model policy of Casale and Roveri, IEEE Trans. Computers 73, 2024; the exact optimum is ours.

use super::station::Rated;
use queueing::{ArrivalCounts, mg1k};

/// A mixture of modes.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// (probability, index of the mode); sums to one.
    pub shares: Vec<(f64, usize)>,
    /// Mean value of the answers.
    pub value: f64,
    /// Exact loss.
    pub loss: f64,
    /// What a second of mean service is worth at this optimum, in units of value: 0 where the target does not bind.
    pub price: f64,
    /// Whether the loss is on target; where no mode can be, this is the one that loses least.
    pub is_met: bool,
}

/// Halvings of a share.
const HALVINGS: usize = 40;

/// The best mixture of modes of a station at a rate.
pub fn best(rated: &Rated<'_>, target: f64) -> Mixed {
    let modes = &rated.station.modes;
    let losses: Vec<f64> = rated.counts.iter().map(mg1k::loss).collect();
    let alone = |mode: usize, is_met: bool| Mixed {
        shares: vec![(1.0, mode)],
        value: modes[mode].value,
        loss: losses[mode],
        price: 0.0,
        is_met,
    };
    let feasible: Vec<usize> = (0..modes.len()).filter(|&mode| losses[mode] <= target).collect();
    let most_valuable = feasible.iter().copied().max_by(|&a, &b| modes[a].value.total_cmp(&modes[b].value));
    let Some(first) = most_valuable else {
        let least = (0..modes.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let least = least.expect("a station has modes");
        // Time is as dear as it can be: what the best way to spend it brings.
        let slope = |mode: usize| (modes[mode].value - modes[least].value) / (rated.means[mode] - rated.means[least]);
        let slower = (0..modes.len()).filter(|&mode| rated.means[mode] > rated.means[least]);
        return Mixed { price: slower.map(slope).fold(0.0, f64::max), ..alone(least, false) };
    };
    let mut best = alone(first, true);
    for &safe in &feasible {
        for risky in (0..modes.len()).filter(|&mode| losses[mode] > target) {
            if let Some(better) = best_share(rated, (safe, risky), target, best.value) {
                best = better;
            }
        }
    }
    best
}

/// The largest share of `risky` beside `safe` that keeps to the target, if its value is above `beat`.
fn best_share(rated: &Rated<'_>, (safe, risky): (usize, usize), target: f64, beat: f64) -> Option<Mixed> {
    let modes = &rated.station.modes;
    let gain = modes[risky].value - modes[safe].value;
    let needed = (beat - modes[safe].value) / gain;
    if gain <= 0.0 || needed >= 1.0 {
        return None;
    }
    let mut low = needed.max(0.0) + 1e-12;
    let mut loss = loss(rated, &[(1.0 - low, safe), (low, risky)]);
    if loss > target {
        return None;
    }
    let mut high = 1.0;
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let found = self::loss(rated, &[(1.0 - middle, safe), (middle, risky)]);
        if found <= target {
            (low, loss) = (middle, found);
        } else {
            high = middle;
        }
    }
    let slower = rated.means[risky] - rated.means[safe];
    let price = if slower > 0.0 { gain / slower } else { 0.0 };
    let value = modes[safe].value + low * gain;
    Some(Mixed { shares: vec![(1.0 - low, safe), (low, risky)], value, loss, price, is_met: true })
}

/// Exact loss of a mixture: (probability, index of the mode) each.
///
/// # Panics
/// When probabilities do not sum to one or a mode is not there.
pub fn loss(rated: &Rated<'_>, shares: &[(f64, usize)]) -> f64 {
    let parts: Vec<(f64, &ArrivalCounts)> = shares.iter().map(|&(share, mode)| (share, &rated.counts[mode])).collect();
    mg1k::loss(&ArrivalCounts::mix(&parts).expect("counts of one station, in shares of one"))
}

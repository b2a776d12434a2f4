//! The optimal table over jobs present: a semi-Markov decision process.
//!
//! # Problem
//! State: jobs present when a service starts, n = 1..K. Action: a mode (an exit, or a threshold vector on the
//! frontier). Which table maximises, per arriving job and in the long run,
//!
//! > J = (1 − loss) · mean value of the answers − penalty · loss ?
//!
//! It is the average reward per unit of *time* of the reward value(a) − penalty · E(A_a − (K − n))⁺ per service, over
//! λ; not per service, which would favour short ones.
//!
//! # Method
//! Policy iteration. A table is valued by first passages ([`super::embedded`]): with R_n and T_n the reward and time
//! until n − 1 are left behind, the gain is g = R_1 ÷ (T_1 + 1/λ), and d_n = R_n − g·T_n is what having n instead of n
//! − 1 present is worth. The better action at n maximises
//!
//! > r(n, a) − g·E\[S_a\] + Σ_{m=n..K−1} P(A_a ≥ m − n + 1) · d_m.
//!
//! # Loss target
//! [`on_target`] finds the smallest penalty whose optimum keeps to a loss target, from −(largest value), where losses
//! cost nothing and the most valuable mode is always taken. Where the optimum jumps over the target, the tables of both
//! sides are mixed so that the loss is on target: the constrained optimum is such a mixture.
//!
//! # Assumptions
//! Poisson arrivals, one server. For arrivals in two phases: [`super::bursts`].
//!
//! # Cost
//! O(M·K²) per round for M modes, a handful of rounds.
//!
//! # Reference
//! R. A. Howard, Dynamic Probabilistic Systems II, 1971; H. C. Tijms, A First Course in Stochastic Models, 2003, §7.

use super::embedded::{Level, Passage, Performance, Table, performance};
use super::station::{Rated, dot};

/// A table that is optimal for a penalty.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimum {
    /// Mode per number of jobs present, entry 0 for one.
    pub modes: Vec<usize>,
    /// J: value of answers less penalty of losses, per arrival.
    pub gain: f64,
}

/// A table that keeps to a loss target.
#[derive(Debug, Clone, PartialEq)]
pub struct OnTarget {
    /// The table.
    pub table: Table,
    /// What it does.
    pub performance: Performance,
    /// Price of a lost job that it is optimal for.
    pub penalty: f64,
    /// Whether the target is met; where no table can, this is the table that loses least.
    pub is_met: bool,
}

/// Policy iteration improves in every round; it ends after a handful.
const MOST_ROUNDS: usize = 200;
/// Improvements below this are rounding.
const NO_GAIN: f64 = 1e-12;

/// The table that is optimal for `penalty` per lost job (in units of value); `start` speeds it up if it is close.
pub fn optimal(rated: &Rated<'_>, penalty: f64, start: Option<&[usize]>) -> Optimum {
    let capacity = rated.station.capacity;
    let mut modes = match start {
        Some(start) if start.len() == capacity => start.to_vec(),
        _ => vec![rated.station.fastest(); capacity],
    };
    let mut passage = Passage::new(capacity);
    let mut best: Option<Optimum> = None;
    let mut worth = vec![0.0; capacity + 1];
    for _ in 0..MOST_ROUNDS {
        passage.fill(2, |present| level(rated, penalty, modes[present - 1], present));
        let [time, reward, ..] = passage.cycle(1.0 / rated.rate);
        let gain = reward / time;
        let improves = best.as_ref().is_none_or(|best| gain / rated.rate > best.gain + NO_GAIN);
        if improves {
            best = Some(Optimum { modes: modes.clone(), gain: gain / rated.rate });
        }
        worth.fill(0.0);
        for (present, worth) in worth.iter_mut().enumerate().skip(passage.lowest) {
            *worth = passage.sums[1][present] - gain * passage.sums[0][present];
        }
        let changed = improve(rated, penalty, gain, &worth, passage.lowest, &mut modes);
        if !changed || !improves {
            break;
        }
    }
    best.unwrap_or(Optimum { modes, gain: 0.0 })
}

fn level<'a>(rated: &'a Rated<'_>, penalty: f64, mode: usize, present: usize) -> Level<'a> {
    let counts = &rated.counts[mode];
    let gathered = [rated.means[mode], reward(rated, penalty, mode, present), 0.0, 0.0];
    Level { tails: counts.at_least(), none: counts.exactly()[0], gathered }
}

fn reward(rated: &Rated<'_>, penalty: f64, mode: usize, present: usize) -> f64 {
    rated.station.modes[mode].value - penalty * rated.overflow[mode][rated.station.capacity - present]
}

/// Takes the best mode at each level against the `worth` of the levels; whether any has changed.
fn improve(rated: &Rated<'_>, penalty: f64, gain: f64, worth: &[f64], lowest: usize, modes: &mut [usize]) -> bool {
    let capacity = rated.station.capacity;
    let mut changed = false;
    for present in (lowest..=capacity).rev() {
        let ahead = &worth[present..capacity.max(present)];
        let quality = |mode: usize| {
            let tails = &rated.counts[mode].at_least()[1..=ahead.len()];
            reward(rated, penalty, mode, present) - gain * rated.means[mode] + dot(tails, ahead)
        };
        let current = quality(modes[present - 1]);
        let (mut best, mut most) = (modes[present - 1], current + NO_GAIN * (1.0 + current.abs()));
        for mode in 0..rated.station.modes.len() {
            let value = quality(mode);
            if value > most {
                (best, most) = (mode, value);
            }
        }
        changed |= best != modes[present - 1];
        modes[present - 1] = best;
    }
    // Levels that the station leaves for good: as if it were just there.
    let (below, above) = modes.split_at_mut(lowest - 1);
    below.fill(above[0]);
    changed
}

/// Prices above the largest value that are tried.
const PRICES: std::ops::RangeInclusive<f64> = 1e-6..=1e7;
/// Halvings of the range of ln price.
const HALVINGS: usize = 24;
/// Halvings of the share of the riskier table.
const MIX_HALVINGS: usize = 16;

/// The table of largest value whose loss is at most `target`.
pub fn on_target(rated: &Rated<'_>, target: f64) -> OnTarget {
    let largest = rated.station.modes.iter().map(|mode| mode.value).fold(f64::NEG_INFINITY, f64::max);
    let solve = |price: f64, start: Option<&[usize]>| {
        let optimum = optimal(rated, price - largest, start);
        let performance = performance(rated, &Table::of(&optimum.modes));
        (optimum, performance)
    };
    let (mut low, mut high) = (PRICES.start().ln(), PRICES.end().ln());
    let (mut risky, risky_performance) = solve(low.exp(), None);
    if risky_performance.loss <= target {
        let table = Table::of(&risky.modes);
        return OnTarget { table, performance: risky_performance, penalty: low.exp() - largest, is_met: true };
    }
    let (mut safe, mut safe_performance) = solve(high.exp(), Some(&risky.modes));
    if safe_performance.loss > target {
        let table = Table::of(&safe.modes);
        return OnTarget { table, performance: safe_performance, penalty: high.exp() - largest, is_met: false };
    }
    for _ in 0..HALVINGS {
        if risky.modes == safe.modes {
            break;
        }
        let middle = (low + high) / 2.0;
        let (optimum, found) = solve(middle.exp(), Some(&safe.modes));
        if found.loss <= target {
            (high, safe, safe_performance) = (middle, optimum, found);
        } else {
            (low, risky) = (middle, optimum);
        }
    }
    let (table, performance) = mix(rated, &risky.modes, (&safe.modes, safe_performance), target);
    OnTarget { table, performance, penalty: high.exp() - largest, is_met: true }
}

/// The largest share of the riskier table that keeps to the target. Never worse than the safe table alone.
fn mix(
    rated: &Rated<'_>,
    risky: &[usize],
    (safe, safe_performance): (&[usize], Performance),
    target: f64,
) -> (Table, Performance) {
    let mixture = |share: f64| {
        let lottery = |(&risky, &safe): (&usize, &usize)| {
            if risky == safe { vec![(1.0, safe)] } else { vec![(1.0 - share, safe), (share, risky)] }
        };
        Table(risky.iter().zip(safe).map(lottery).collect())
    };
    let mut best = (Table::of(safe), safe_performance);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..MIX_HALVINGS {
        let middle = (low + high) / 2.0;
        let table = mixture(middle);
        let found = performance(rated, &table);
        if found.loss <= target {
            low = middle;
            if found.value > best.1.value {
                best = (table, found);
            }
        } else {
            high = middle;
        }
    }
    best
}

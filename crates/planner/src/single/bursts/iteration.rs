//! The table over beliefs and jobs present that is optimal for a penalty: policy iteration.

use super::belief::{BELIEFS, Row, Square, add, inner};
use super::kernel::Phased;
use super::passage::{Lottery, Modes, Passages};
use crate::single::embedded::Performance;
use crate::single::station::dot;

/// Policy iteration improves in every round; it ends after a handful.
const MOST_ROUNDS: usize = 60;
/// Improvements below this are rounding.
const NO_GAIN: f64 = 1e-11;

/// The table that is optimal for `penalty` per lost job, begun from `start`.
pub(super) fn optimal(phased: &Phased<'_>, penalty: f64, start: &[usize]) -> Modes {
    let found = iterate(phased, penalty, start.to_vec());
    if found.lowest == 0 {
        return found.modes;
    }
    // Where the station never becomes empty, nothing is known of the levels below: they may be better.
    let other = iterate(phased, penalty, vec![phased.station.fastest(); start.len()]);
    if other.gain > found.gain { other.modes } else { found.modes }
}

struct Found {
    modes: Modes,
    gain: f64,
    lowest: usize,
}

fn iterate(phased: &Phased<'_>, penalty: f64, mut modes: Modes) -> Found {
    let reward = |mode: usize, lost: f64| phased.kernels[mode].value - penalty * lost;
    let mut best = Found { modes: modes.clone(), gain: f64::NEG_INFINITY, lowest: 0 };
    for _ in 0..MOST_ROUNDS {
        let passages = Passages::new(phased, &always(&modes), reward);
        let [time, gathered, ..] = passages.long_run();
        let gain = gathered / time;
        let improves = gain > best.gain + NO_GAIN * (1.0 + gain.abs());
        if !improves {
            break;
        }
        best = Found { modes: modes.clone(), gain, lowest: passages.lowest };
        let worth = worth(phased, &passages, gain);
        if !improve(phased, penalty, gain, (&worth, passages.lowest), &mut modes) {
            break;
        }
    }
    best
}

/// What a lottery does in the long run.
pub(super) fn performance(phased: &Phased<'_>, table: &Lottery) -> Performance {
    let passages = Passages::new(phased, table, |mode, _| phased.kernels[mode].value);
    let [time, value, losses, answers] = passages.long_run();
    let beliefs_idle = if passages.lowest == 0 { passages.idle_share(phased, time) } else { 0.0 };
    Performance { loss: losses / (losses + answers), value: value / answers, utilization: 1.0 - beliefs_idle }
}

/// The same modes always.
pub(super) fn always(modes: &[usize]) -> Lottery {
    Lottery { safe: modes.to_vec(), risky: modes.to_vec(), share: 0.0 }
}

/// What it is worth to be at a level 0..K with a belief, against the level at the bottom of the cycle.
fn worth(phased: &Phased<'_>, passages: &Passages, gain: f64) -> Vec<Row> {
    let capacity = phased.station.capacity;
    let net =
        |[time, reward, ..]: &[Row; 4]| -> Row { std::array::from_fn(|belief| reward[belief] - gain * time[belief]) };
    let mut worth = vec![relative(&passages.cycle, &net(&passages.cycle_sums)); capacity + 1];
    for level in passages.lowest + 1..=capacity {
        let below = worth[level - 1];
        let own = net(&passages.gathered[level]);
        let down = &passages.down[level];
        worth[level] = std::array::from_fn(|belief| own[belief] + inner(&down[belief], &below));
    }
    worth
}

/// v = c + P·v with v of the first belief 0, by elimination with pivots.
fn relative(chain: &Square, costs: &Row) -> Row {
    let mut rows: Vec<([f64; BELIEFS], f64)> = (0..BELIEFS)
        .map(|belief| {
            let mut row = chain[belief].map(|value| -value);
            row[belief] += 1.0;
            // In place of v_0 = 0 there is the rest of the gain, which is rounding.
            row[0] = 1.0;
            (row, costs[belief])
        })
        .collect();
    for column in 0..BELIEFS {
        let largest = (column..BELIEFS).max_by(|&a, &b| rows[a].0[column].abs().total_cmp(&rows[b].0[column].abs()));
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column];
        if pivot.0[column].abs() < 1e-300 {
            continue;
        }
        for (row, cost) in &mut rows[column + 1..] {
            let factor = row[column] / pivot.0[column];
            add(row, -factor, &pivot.0);
            *cost -= factor * pivot.1;
        }
    }
    let mut values = [0.0; BELIEFS];
    for column in (0..BELIEFS).rev() {
        let (row, cost) = &rows[column];
        let known: f64 = (column + 1..BELIEFS).map(|other| row[other] * values[other]).sum();
        values[column] = if row[column].abs() < 1e-300 { 0.0 } else { (cost - known) / row[column] };
    }
    values[0] = 0.0;
    values
}

/// Takes the best mode at each belief and level against what levels are worth; whether any has changed.
fn improve(
    phased: &Phased<'_>,
    penalty: f64,
    gain: f64,
    (worth, lowest): (&[Row], usize),
    modes: &mut [usize],
) -> bool {
    let capacity = phased.station.capacity;
    let (lowest, levels) = (lowest.max(1), capacity + 1);
    let mut changed = false;
    for belief in 0..BELIEFS {
        for present in (lowest..=capacity).rev() {
            let top = capacity - present;
            let ahead = worth[present - 1..capacity - 1 + usize::from(top == 0)].as_flattened();
            let quality = |mode: usize| {
                let kernel = &phased.kernels[mode];
                let at = belief * levels;
                let to = if top == 0 {
                    inner(&kernel.at_least[at], &worth[capacity - 1])
                } else {
                    let levels = top.min(kernel.reach + 1);
                    dot(kernel.exactly[at..at + levels].as_flattened(), &ahead[..levels * BELIEFS])
                        + inner(&kernel.at_least[at + top], &worth[capacity - 1])
                };
                kernel.value - penalty * kernel.overflow[at + top] - gain * kernel.mean + to
            };
            let at = belief * capacity + present - 1;
            let current = quality(modes[at]);
            let (mut best, mut most) = (modes[at], current + NO_GAIN * (1.0 + current.abs()));
            for mode in 0..phased.kernels.len() {
                let value = quality(mode);
                if value > most {
                    (best, most) = (mode, value);
                }
            }
            changed |= best != modes[at];
            modes[at] = best;
        }
        // Levels that the station leaves for good: as if it were just there.
        let row = &mut modes[belief * capacity..][..capacity];
        let (below, above) = row.split_at_mut(lowest - 1);
        below.fill(above[0]);
    }
    changed
}

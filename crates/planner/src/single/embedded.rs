//! Exactly what a table over jobs present does to an M/G/1/K station.
//!
//! # Problem
//! The job that goes into service when n jobs are present (itself included, n = 1..K) is treated by a lottery over
//! modes that depends on n. What are loss and mean value of the answers?
//!
//! # Formula
//! Follow the station at the ends of services, and let W_n be what is gathered (time, value, losses, answers) from the
//! start of a service with n jobs present until n − 1 are left behind for the first time. A service that sees A
//! arrivals leaves min(n − 1 + A, K − 1) behind, from where the way down to n − 1 goes through every level in between:
//!
//! > W_K = w_K,  W_n · P(A_n = 0) = w_n + Σ_{m=n+1..K−1} P(A_n ≥ m − n + 1) · W_m,
//!
//! with w_n what one service with n present gathers: its mean time, the value of its mode, E(A_n − (K − n))⁺ losses,
//! one answer. A cycle is an idle time of 1/λ and W_1: the long-run ratios follow, loss = losses ÷ (λ · time). All
//! terms are positive, so that tiny losses are exact to rounding. In deep overload the way down takes longer than
//! anything that ever runs (a thousand million services); the recursion stops there, and ratios are those of the levels
//! above.
//!
//! # Cost
//! O(K²) per table.
//!
//! # Reference
//! Embedded chain: L. Takács, Introduction to the Theory of Queues, 1962. First passages instead of a linear system
//! are possible because jobs leave one at a time; they make it O(K²) and free of cancellation.

use super::station::{Rated, dot};

/// Per number of jobs present (entry 0 for one, up to K) a lottery over modes: (probability, index of the mode).
#[derive(Debug, Clone, PartialEq)]
pub struct Table(pub Vec<Vec<(f64, usize)>>);

/// What a table does in the long run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Performance {
    /// Share of arrivals that are lost.
    pub loss: f64,
    /// Mean value of the answers.
    pub value: f64,
    /// Share of time that the server is busy.
    pub utilization: f64,
}

/// What one service gathers and how many arrive during it.
pub(super) struct Level<'a> {
    /// P(A ≥ j), j = 0..=K.
    pub(super) tails: &'a [f64],
    /// P(A = 0).
    pub(super) none: f64,
    /// What is gathered, such as time and value.
    pub(super) gathered: [f64; 4],
}

/// W per level (index n; 0 is unused), and the lowest level that is ever reached again.
pub(super) struct Passage {
    pub(super) sums: [Vec<f64>; 4],
    pub(super) lowest: usize,
}

/// A way down that takes this many times as long as one service is never gone.
const NEVER: f64 = 1e9;

impl Passage {
    pub(super) fn new(capacity: usize) -> Self {
        Self { sums: std::array::from_fn(|_| vec![0.0; capacity + 1]), lowest: 1 }
    }

    /// Fills in W for what `level` says about each number of jobs present; of what is gathered the first must be time.
    /// Only the first `quantities` are followed.
    pub(super) fn fill<'a>(&mut self, quantities: usize, mut level: impl FnMut(usize) -> Level<'a>) {
        let capacity = self.sums[0].len() - 1;
        self.lowest = capacity;
        for present in (1..=capacity).rev() {
            let Level { tails, none, gathered } = level(present);
            for (sums, own) in self.sums.iter_mut().zip(gathered).take(quantities) {
                sums[present] = if present == capacity {
                    own
                } else {
                    (own + dot(&tails[2..=capacity - present], &sums[present + 1..capacity])) / none
                };
            }
            self.lowest = present;
            let time = self.sums[0][present];
            if !time.is_finite() || time > NEVER * gathered[0] {
                self.lowest = (present + 1).min(capacity);
                break;
            }
        }
    }

    /// What a cycle gathers; `idle` is the mean time between two services of an empty station.
    pub(super) fn cycle(&self, idle: f64) -> [f64; 4] {
        let mut cycle: [f64; 4] = std::array::from_fn(|quantity| self.sums[quantity][self.lowest]);
        if self.lowest == 1 {
            cycle[0] += idle;
        }
        cycle
    }
}

/// What `table` does at a station. Levels beyond its last entry are treated like that.
///
/// # Panics
/// When the table is empty or names modes that are not there.
pub fn performance(rated: &Rated<'_>, table: &Table) -> Performance {
    let capacity = rated.station.capacity;
    let mixed: Vec<MixedLevel> = (1..=capacity).map(|present| MixedLevel::new(rated, table, present)).collect();
    let mut passage = Passage::new(capacity);
    passage.fill(4, |present| {
        let MixedLevel { tails, none, gathered } = &mixed[present - 1];
        Level { tails, none: *none, gathered: *gathered }
    });
    let idle = 1.0 / rated.rate;
    let [time, value, losses, answers] = passage.cycle(idle);
    let busy = if passage.lowest == 1 { (time - idle) / time } else { 1.0 };
    Performance { loss: losses / (losses + answers), value: value / answers, utilization: busy }
}

struct MixedLevel {
    tails: Vec<f64>,
    none: f64,
    gathered: [f64; 4],
}

impl MixedLevel {
    fn new(rated: &Rated<'_>, table: &Table, present: usize) -> Self {
        let capacity = rated.station.capacity;
        let lottery = &table.0[(present - 1).min(table.0.len() - 1)];
        let mut mixed = Self { tails: vec![0.0; capacity + 1], none: 0.0, gathered: [0.0, 0.0, 0.0, 1.0] };
        for &(probability, mode) in lottery {
            let counts = &rated.counts[mode];
            mixed.tails.iter_mut().zip(counts.at_least()).for_each(|(sum, tail)| *sum += probability * tail);
            mixed.none += probability * counts.exactly()[0];
            mixed.gathered[0] += probability * rated.means[mode];
            mixed.gathered[1] += probability * rated.station.modes[mode].value;
            mixed.gathered[2] += probability * rated.overflow[mode][capacity - present];
        }
        mixed
    }
}

impl Table {
    /// One mode per number of jobs present.
    pub fn of(modes: &[usize]) -> Self {
        Self(modes.iter().map(|&mode| vec![(1.0, mode)]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::super::Station;
    use super::*;
    use domain::Thresholds;
    use queueing::{Law, Service, mg1k};

    fn station(capacity: usize, times: &[f64]) -> Station {
        let mode = |(index, &time): (usize, &f64)| Mode {
            thresholds: Thresholds::exit_last(2),
            value: index as f64,
            service: Law::gamma(time, 0.3).unwrap().into(),
        };
        Station { capacity, modes: times.iter().enumerate().map(mode).collect() }
    }

    #[test]
    fn the_same_lottery_everywhere_is_the_queue_of_the_mixture() {
        for (rate, capacity) in [(0.05, 1), (0.3, 5), (0.9, 12), (1.7, 30), (6.0, 8), (9.0, 100)] {
            let station = station(capacity, &[0.4, 1.3]);
            let rated = station.at(rate).unwrap();
            let found = performance(&rated, &Table(vec![vec![(0.25, 0), (0.75, 1)]]));
            let service =
                Service::new([(0.25, Law::gamma(0.4, 0.3).unwrap()), (0.75, Law::gamma(1.3, 0.3).unwrap())]).unwrap();
            let want = mg1k::solve(rate, &service, capacity).unwrap().metrics;
            assert!((found.loss - want.loss).abs() < 1e-8 * want.loss, "{rate} {capacity}: {found:?} {want:?}");
            assert!((found.value - 0.75).abs() < 1e-9);
            assert!((found.utilization - want.utilization).abs() < 1e-8, "{found:?} {want:?}");
        }
    }

    #[test]
    fn two_places_by_hand() {
        // K = 2, exponential: fast (rate 4) when two are present, slow (rate 1) when one is, λ = 1.
        let mode = |value, mean| Mode {
            thresholds: Thresholds::exit_last(1),
            value,
            service: Law::exponential(mean).unwrap().into(),
        };
        let station = Station { capacity: 2, modes: vec![mode(0.5, 0.25), mode(1.0, 1.0)] };
        let found = performance(&station.at(1.0).unwrap(), &Table::of(&[1, 0]));
        // From one present: time 1, drops E(A−1)⁺ = 1/2, ends at 0 w.p. 1/2 or at 1 (again with one present).
        // Two are never present at a start: W_1 = 2 services of time 1, cycle time 3, losses 1.
        assert!((found.loss - 1.0 / 3.0).abs() < 1e-12, "{found:?}");
        assert!((found.value - 1.0).abs() < 1e-12);
        assert!((found.utilization - 2.0 / 3.0).abs() < 1e-12);
    }
}

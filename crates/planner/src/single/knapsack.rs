//! How many of the jobs present may go how far, within the time until memory is full: a knapsack.
//!
//! # Problem
//! With k jobs present and a budget of B seconds, choose how many jobs n_a go to each mode:
//!
//! > maximise Σ n_a·v_a  subject to  Σ n_a·p_a ≤ B,  Σ n_a = k.
//!
//! Every job takes at least the fastest mode (v_1, p_1). What is chosen are increments: items of value v_a − v_1 and
//! weight p_a − p_1, at most k of them, within B − k·p_1. The job that is sent now draws its mode with probability n_a
//! ÷ k. B is the mean time between arrivals times the arrivals until one is lost if nobody leaves, K − k + 1.
//!
//! # Method
//! f(j, b) = max(f(j − 1, b), max_a v_a + f(j − 1, b − w_a)), weights rounded **up** to a grid, which never overspends.
//! One [`Plan`] answers for all k ≤ K and all budgets, hence for all arrival rates. [`relaxed`] is the same with
//! fractional n: a walk along the upper hull of (p_a, v_a), at most two neighbours on the hull. It bounds the exact
//! optimum from above.
//!
//! # What the published code gets wrong, and this does not
//! Its bound looks at one item only, under which optima are pruned; it takes counts in sorted order for counts in the
//! order of exits; it charges p_1 for every job and then values and weighs the items in full, so that the first exit is
//! paid twice. The published form is not offered: it is a worse answer to the same question at a higher cost.
//!
//! # Cost
//! O(M·K²·c) once per station for M modes and c grid cells per longest increment (64 to 1,024, so that M = 24, K = 100
//! takes about 10 ms); O(K) per entry of the table.
//!
//! # Reference
//! The rate-based policy of Casale and Roveri, IEEE Trans. Computers 73, 2024.

use super::Station;
use super::embedded::Table;

/// Grid cells × jobs²: bounds the work.
const WORK: usize = 400_000;

/// All optima of a station, for any budget.
#[derive(Debug, Clone)]
pub struct Plan {
    base: usize,
    fastest: f64,
    /// Seconds per grid cell.
    cell: f64,
    /// Cells of the longest increment.
    longest: usize,
    items: Vec<Item>,
    /// Per j = 1..=K and b = 0..=j·longest the item that is taken (index + 1), or 0.
    taken: Vec<Vec<u16>>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    mode: usize,
    value: f64,
    cells: usize,
}

impl Plan {
    /// Solves for all numbers of jobs up to the capacity of `station`.
    pub fn new(station: &Station) -> Self {
        let base = station.fastest();
        let modes: Vec<(f64, f64)> = station.modes.iter().map(|mode| (mode.value, mode.service.mean())).collect();
        let (value, fastest) = modes[base];
        let span = modes.iter().map(|mode| mode.1 - fastest).fold(0.0, f64::max);
        let longest = (2 * WORK / (station.capacity * station.capacity)).clamp(64, 1024);
        let cell = if span > 0.0 { span / longest as f64 } else { 1.0 };
        let item = |(mode, &(own, mean)): (usize, &(f64, f64))| Item {
            mode,
            value: own - value,
            // Forgives rounding, so that the longest increment takes what it should.
            cells: (((mean - fastest) / cell - 1e-9).ceil() as usize).min(longest),
        };
        let useful = |item: &Item| item.value > 0.0;
        let items: Vec<Item> = modes.iter().enumerate().map(item).filter(useful).collect();
        let mut plan = Self { base, fastest, cell, longest, items, taken: vec![] };
        plan.solve(station.capacity);
        plan
    }

    fn solve(&mut self, capacity: usize) {
        let mut before = vec![0.0];
        for jobs in 1..=capacity {
            let cells = jobs * self.longest + 1;
            let mut values = before.clone();
            // More budget than all items before could use.
            values.resize(cells, before[before.len() - 1]);
            let padded = values.clone();
            let mut taken = vec![0u16; cells];
            for (index, item) in self.items.iter().enumerate() {
                let number = index as u16 + 1;
                let pairs = values[item.cells..].iter_mut().zip(&mut taken[item.cells..]).zip(&padded);
                for ((value, taken), &rest) in pairs {
                    let with = rest + item.value;
                    let better = with > *value;
                    *value = if better { with } else { *value };
                    *taken = if better { number } else { *taken };
                }
            }
            self.taken.push(taken);
            before = values;
        }
    }

    /// How many of `jobs` (at least 1, at most the capacity) go to each mode within `budget` seconds: (number, index of
    /// the mode).
    pub fn counts(&self, jobs: usize, budget: f64) -> Vec<(usize, usize)> {
        let left = budget - jobs as f64 * self.fastest;
        let mut cells = ((left / self.cell).max(0.0) as usize).min(jobs * self.longest);
        let mut counts = vec![0usize; self.items.len() + 1];
        for number in (1..=jobs).rev() {
            cells = cells.min(number * self.longest);
            let item = usize::from(self.taken[number - 1][cells]);
            counts[item] += 1;
            if item > 0 {
                cells -= self.items[item - 1].cells;
            }
        }
        let mode = |item: usize| if item == 0 { self.base } else { self.items[item - 1].mode };
        counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(item, &count)| (count, mode(item))).collect()
    }

    /// The lotteries for each number of jobs present at an arrival rate (> 0).
    pub fn table(&self, rate: f64) -> Table {
        let capacity = self.taken.len();
        let lottery = |jobs: usize| {
            let counts = self.counts(jobs, budget(rate, capacity, jobs));
            counts.into_iter().map(|(count, mode)| (count as f64 / jobs as f64, mode)).collect()
        };
        Table((1..=capacity).map(lottery).collect())
    }
}

/// Seconds until a job is lost, if jobs arrive at `rate` and nobody leaves.
pub fn budget(rate: f64, capacity: usize, present: usize) -> f64 {
    (capacity + 1).saturating_sub(present) as f64 / rate
}

/// The optimum with fractional numbers of jobs: (number, index of the mode) of at most two modes, and its value.
pub fn relaxed(station: &Station, jobs: usize, budget: f64) -> (Vec<(f64, usize)>, f64) {
    let hull = hull(station);
    let point = |at: usize| (station.modes[hull[at]].service.mean(), station.modes[hull[at]].value);
    let jobs = jobs as f64;
    let mean = budget / jobs;
    let above = (0..hull.len()).find(|&at| point(at).0 > mean);
    match above {
        Some(0) => (vec![(jobs, hull[0])], jobs * point(0).1),
        None => (vec![(jobs, hull[hull.len() - 1])], jobs * point(hull.len() - 1).1),
        Some(at) => {
            let (low, high) = (point(at - 1), point(at));
            let share = (mean - low.0) / (high.0 - low.0);
            let counts = vec![((1.0 - share) * jobs, hull[at - 1]), (share * jobs, hull[at])];
            (counts, jobs * (low.1 + share * (high.1 - low.1)))
        }
    }
}

/// Modes on the upper concave hull of value over mean time, from the fastest to the most valuable.
fn hull(station: &Station) -> Vec<usize> {
    let point = |mode: usize| (station.modes[mode].service.mean(), station.modes[mode].value);
    let mut order: Vec<usize> = (0..station.modes.len()).collect();
    order.sort_by(|&a, &b| point(a).0.total_cmp(&point(b).0).then(point(b).1.total_cmp(&point(a).1)));
    let mut hull: Vec<usize> = vec![];
    for mode in order {
        if hull.last().is_some_and(|&last| point(mode).1 <= point(last).1) {
            continue;
        }
        while let [.., a, b] = hull[..] {
            let ((time_a, value_a), (time_b, value_b), (time, value)) = (point(a), point(b), point(mode));
            if (value_b - value_a) * (time - time_a) > (value - value_a) * (time_b - time_a) {
                break;
            }
            hull.pop();
        }
        hull.push(mode);
    }
    hull
}

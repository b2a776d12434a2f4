//! Two classes on one core, the first always next: non-preemptive head-of-line priority with a common capacity.
//!
//! # Formula
//! A Markov chain on (class in service, urgent jobs waiting, other jobs waiting), at most K jobs in all. The chain
//! moves between neighbouring totals n of jobs present, with 2n states each. From the top down, the expected time in
//! every state of level n before level n − 1 is reached follows from that of level n + 1; from the bottom up these
//! give the stationary probabilities. The elimination never subtracts (diagonals come from row sums), so that small
//! losses keep their precision.
//!
//! # Assumptions
//! Poisson arrivals; exponential service with a mean per class; whoever is in service finishes; first come, first
//! served within a class; a job that finds K present is lost, whichever its class (so that both classes lose the same
//! share). With equal means the total is [M/M/1/K](crate::mmck).
//!
//! # Cost
//! O(K⁴) time, O(K³) memory: 0.04 ms at K = 10, 5 ms at K = 50, 60 ms at K = 100. More than [`MOST_PLACES`] are
//! refused.
//!
//! # Reference
//! The model is in A. Cobham, "Priority assignment in waiting line problems", Operations Research 2 (1954), pp. 70–76,
//! without a limit; the elimination is the block form of W. K. Grassmann, M. I. Taksar and D. P. Heyman, "Regenerative
//! analysis and steady state distributions for Markov chains", Operations Research 33 (1985), pp. 1107–1116.

use crate::ArgumentError;
use crate::error::{count, not_negative, positive};
use crate::solution::{Load, Metrics};

/// Largest capacity that is solved.
pub const MOST_PLACES: usize = 150;

/// One priority class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriorityClass {
    /// Arrival rate ≥ 0.
    pub rate: f64,
    /// Mean of the exponential service time > 0.
    pub mean_service: f64,
}

/// Long-run behaviour of both classes.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadOfLine {
    /// Metrics of the urgent class and of the other one; `mean_jobs` and `utilization` are what each contributes.
    pub classes: [Metrics; 2],
    /// P(n jobs present) at a random time, n = 0..=K.
    pub at_random: Vec<f64>,
}

/// Solves for an `urgent` and an `other` class that share `capacity` ≥ 1 places, the one in service included.
pub fn solve(urgent: PriorityClass, other: PriorityClass, capacity: usize) -> Result<HeadOfLine, ArgumentError> {
    for (name, class) in [("urgent", urgent), ("other", other)] {
        not_negative(format_args!("arrival rate of the {name} class"), class.rate)?;
        positive(format_args!("mean of service of the {name} class"), class.mean_service)?;
    }
    if count("capacity", capacity)? > MOST_PLACES {
        return Err(ArgumentError::new("capacity", "at most 150 for the priority chain", capacity as f64));
    }
    let chain = Chain { arrival: [urgent.rate, other.rate], service: [urgent, other].map(|c| 1.0 / c.mean_service) };
    Ok(chain.metrics([urgent, other], &chain.stationary(capacity)))
}

#[derive(Debug, Clone, Copy)]
struct Chain {
    arrival: [f64; 2],
    service: [f64; 2],
}

/// A state of the level with n = 1 + `waiting` summed jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    in_service: usize,
    waiting: [usize; 2],
}

impl State {
    fn of(level: usize, index: usize) -> Self {
        let (in_service, urgent) = (index / level, index % level);
        Self { in_service, waiting: [urgent, level - 1 - urgent] }
    }

    fn index(self) -> usize {
        let level = 1 + self.waiting[0] + self.waiting[1];
        self.in_service * level + self.waiting[0]
    }

    fn after_arrival(mut self, class: usize) -> Self {
        self.waiting[class] += 1;
        self
    }

    /// None when the station becomes empty.
    fn after_service(mut self) -> Option<Self> {
        let next = (0..2).find(|&class| self.waiting[class] > 0)?;
        self.waiting[next] -= 1;
        self.in_service = next;
        Some(self)
    }
}

/// Square matrix by rows.
#[derive(Debug, Clone)]
struct Matrix {
    size: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.size..(row + 1) * self.size]
    }
}

impl Chain {
    /// Probabilities of the states of each level; level 0 has one.
    fn stationary(&self, capacity: usize) -> Vec<Vec<f64>> {
        let stays = self.stays(capacity);
        let mut levels = vec![vec![1.0]];
        for (level, stay) in (1..).zip(&stays) {
            let inflow = self.inflow(level, &levels[level - 1]);
            let mut states = vec![0.0; 2 * level];
            for (index, flow) in inflow.iter().enumerate() {
                for (state, time) in states.iter_mut().zip(stay.row(index)) {
                    *state += flow * time;
                }
            }
            levels.push(states);
        }
        let total: f64 = levels.iter().flatten().sum();
        for state in levels.iter_mut().flatten() {
            *state /= total;
        }
        levels
    }

    fn inflow(&self, level: usize, below: &[f64]) -> Vec<f64> {
        let mut inflow = vec![0.0; 2 * level];
        for (index, share) in below.iter().enumerate() {
            for class in 0..2 {
                let entered = if level == 1 {
                    State { in_service: class, waiting: [0, 0] }
                } else {
                    State::of(level - 1, index).after_arrival(class)
                };
                inflow[entered.index()] += share * self.arrival[class];
            }
        }
        inflow
    }

    /// For levels 1..=K: expected times in the states of the level until the level below is reached.
    fn stays(&self, capacity: usize) -> Vec<Matrix> {
        let mut stays: Vec<Matrix> = Vec::with_capacity(capacity);
        for level in (1..=capacity).rev() {
            let returns = stays.last().map(|above| self.returns(level + 1, above));
            stays.push(self.stay(level, returns.as_ref()));
        }
        stays.reverse();
        stays
    }

    /// Where the level below is entered from each state of `level`; rows of 2(level − 1).
    fn returns(&self, level: usize, stay: &Matrix) -> Vec<Vec<f64>> {
        let mut returns = vec![vec![0.0; 2 * (level - 1)]; 2 * level];
        for last in 0..2 * level {
            let state = State::of(level, last);
            let Some(entered) = state.after_service() else { continue };
            for (start, row) in returns.iter_mut().enumerate() {
                row[entered.index()] += stay.row(start)[last] * self.service[state.in_service];
            }
        }
        returns
    }

    fn stay(&self, level: usize, returns: Option<&Vec<Vec<f64>>>) -> Matrix {
        let size = 2 * level;
        let mut rates = Matrix { size, values: vec![0.0; size * size] };
        let mut down = vec![0.0; size];
        for (index, down) in down.iter_mut().enumerate() {
            let state = State::of(level, index);
            *down = self.service[state.in_service];
            // At the top an arrival is lost: nothing moves.
            let Some(returns) = returns else { continue };
            for class in 0..2 {
                let row = &returns[state.after_arrival(class).index()];
                for (rate, share) in rates.values[index * size..].iter_mut().zip(row) {
                    *rate += self.arrival[class] * share;
                }
            }
        }
        times_until_exit(rates, down)
    }

    fn metrics(&self, classes: [PriorityClass; 2], levels: &[Vec<f64>]) -> HeadOfLine {
        let capacity = levels.len() - 1;
        let at_random: Vec<f64> = levels.iter().map(|states| states.iter().sum()).collect();
        let mut jobs = [0.0; 2];
        for (level, states) in levels.iter().enumerate().skip(1) {
            for (index, share) in states.iter().enumerate() {
                let state = State::of(level, index);
                jobs[state.in_service] += share;
                jobs[0] += share * state.waiting[0] as f64;
                jobs[1] += share * state.waiting[1] as f64;
            }
        }
        let metrics = |class: usize| {
            let PriorityClass { rate, mean_service } = classes[class];
            Metrics::by_little(Load { rate, mean_service, cores: 1 }, at_random[capacity], jobs[class])
        };
        HeadOfLine { classes: [metrics(0), metrics(1)], at_random }
    }
}

/// Inverse of the generator among states with the given `rates` between them, which leave with rate `exit`: expected
/// time in state j when started in i. States are censored one after the other and put back in reverse order; only
/// positive numbers are added, multiplied and divided.
fn times_until_exit(mut rates: Matrix, mut exit: Vec<f64>) -> Matrix {
    let size = rates.size;
    let mut totals = vec![0.0; size];
    for last in (0..size).rev() {
        let row: Vec<f64> = rates.row(last)[..last].to_vec();
        let total = row.iter().sum::<f64>() + exit[last];
        totals[last] = total;
        for other in 0..last {
            let share = rates.values[other * size + last] / total;
            if share > 0.0 {
                for (rate, onward) in rates.values[other * size..].iter_mut().zip(&row) {
                    *rate += share * onward;
                }
                exit[other] += share * exit[last];
            }
        }
    }
    // With states 0..n solved, state n adds: visits to n from each, and the way from n back into 0..n.
    let mut times = Matrix { size, values: vec![0.0; size * size] };
    for (state, total) in totals.into_iter().enumerate() {
        // Time in `state` from each earlier one, and from itself.
        let own: f64 = 1.0 / total;
        let mut from = vec![0.0; state];
        for (start, time) in from.iter_mut().enumerate() {
            *time =
                (0..state).map(|via| times.values[start * size + via] * rates.values[via * size + state]).sum::<f64>()
                    * own;
        }
        let onward: Vec<f64> = rates.row(state)[..state].iter().map(|rate| rate * own).collect();
        let mut back = vec![0.0; state];
        for (via, share) in onward.iter().enumerate() {
            for (time, step) in back.iter_mut().zip(&times.values[via * size..]) {
                *time += share * step;
            }
        }
        let own = own + onward.iter().zip(&from).map(|(share, time)| share * time).sum::<f64>();
        for (start, time) in from.iter().enumerate() {
            times.values[start * size + state] = *time;
        }
        times.values[state * size..state * size + state].copy_from_slice(&back);
        times.values[state * size + state] = own;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmck;
    use proptest::prelude::*;

    #[test]
    fn equal_classes_add_up_to_one_queue() {
        let class = |rate| PriorityClass { rate, mean_service: 0.9 };
        for capacity in [1, 2, 7, 20] {
            let both = solve(class(0.3), class(0.5), capacity).unwrap();
            let one = mmck::solve(0.8, 0.9, 1, capacity).unwrap();
            for (left, right) in both.at_random.iter().zip(&one.at_random) {
                assert!((left - right).abs() <= 1e-12 * right, "K={capacity}: {left} {right}");
            }
        }
    }

    #[test]
    fn without_a_limit_the_urgent_wait_is_cobhams() {
        let (urgent, other) =
            (PriorityClass { rate: 0.2, mean_service: 1.0 }, PriorityClass { rate: 0.1, mean_service: 2.0 });
        let solution = solve(urgent, other, 60).unwrap();
        // Residual work λ₁s₁² + λ₂s₂² = 0.6, loads 0.2 and 0.2.
        assert!((solution.classes[0].mean_wait - 0.6 / 0.8).abs() < 1e-9, "{:?}", solution.classes[0]);
        assert!((solution.classes[1].mean_wait - 0.6 / (0.8 * 0.6)).abs() < 1e-9, "{:?}", solution.classes[1]);
    }

    #[test]
    fn bad_arguments_are_named() {
        let good = PriorityClass { rate: 1.0, mean_service: 1.0 };
        let refusal = |urgent, other, capacity| solve(urgent, other, capacity).unwrap_err().to_string();
        let bad = PriorityClass { rate: f64::NAN, ..good };
        assert!(refusal(bad, good, 3).starts_with("arrival rate of the urgent class"));
        let bad = PriorityClass { mean_service: 0.0, ..good };
        assert!(refusal(good, bad, 3).starts_with("mean of service of the other class"));
        assert!(refusal(good, good, 0).starts_with("capacity"));
        assert!(refusal(good, good, 151).starts_with("capacity"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn flows_are_conserved_and_priority_helps(
            rates in (0.01..2.0f64, 0.01..2.0f64), means in (0.1..3.0f64, 0.1..3.0f64), capacity in 1usize..14,
        ) {
            let urgent = PriorityClass { rate: rates.0, mean_service: means.0 };
            let other = PriorityClass { rate: rates.1, mean_service: means.1 };
            let solution = solve(urgent, other, capacity).unwrap();
            let [first, second] = solution.classes;
            let busy = 1.0 - solution.at_random[0];
            prop_assert!((first.utilization + second.utilization - busy).abs() < 1e-10);
            prop_assert!(first.mean_wait <= second.mean_wait + 1e-10);
            prop_assert!((0.0..=1.0).contains(&first.loss));
        }

        #[test]
        fn loss_grows_with_load_and_shrinks_with_capacity(
            rates in (0.05..2.0f64, 0.05..2.0f64), mean in 0.1..3.0f64, capacity in 1usize..10,
        ) {
            let loss = |factor: f64, capacity| {
                let urgent = PriorityClass { rate: rates.0 * factor, mean_service: mean };
                let other = PriorityClass { rate: rates.1 * factor, mean_service: 1.0 };
                solve(urgent, other, capacity).unwrap().classes[1].loss
            };
            prop_assert!(loss(1.1, capacity) >= loss(1.0, capacity));
            prop_assert!(loss(1.0, capacity + 1) <= loss(1.0, capacity) * (1.0 + 1e-12));
        }
    }
}

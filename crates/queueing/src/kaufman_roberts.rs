//! Memory shared without waiting: jobs of several sizes, lost when they do not fit (Kaufman–Roberts).
//!
//! # Formula
//! Class i offers a_i = λ_i E\[S_i\] jobs at a time, each of b_i units of memory. The occupancy distribution of C units
//! is q(0) ∝ 1, j q(j) = Σ_i a_i b_i q(j − b_i); class i loses Σ_{j > C − b_i} q(j).
//!
//! # Assumptions
//! Poisson arrivals; every admitted job is served at once (at least as many cores as jobs fit), so that it holds its
//! memory for its service time, whose law does not matter. With queueing for cores this does not hold.
//!
//! # Cost
//! O(C · classes).
//!
//! # Reference
//! J. S. Kaufman, "Blocking in a shared resource environment", IEEE Transactions on Communications 29 (1981), pp.
//! 1474–1481; J. W. Roberts, "A service system with heterogeneous user requirements", 1981.

use crate::ArgumentError;
use crate::error::{count, not_negative, positive};
use crate::numeric::rescale_if_large;

/// Jobs of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeClass {
    /// Arrival rate ≥ 0.
    pub rate: f64,
    /// Mean service time > 0.
    pub mean_service: f64,
    /// Units of memory ≥ 1 that a job holds while it is served.
    pub size: usize,
}

/// Occupancy and losses of shared memory.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedMemory {
    /// P(j units in use) at a random time, j = 0..=C.
    pub occupancy: Vec<f64>,
    /// Share of each class's jobs that is lost.
    pub loss: Vec<f64>,
    /// Rate of each class's jobs that are served.
    pub throughput: Vec<f64>,
    /// Time average of each class's jobs present.
    pub mean_jobs: Vec<f64>,
}

/// Solves for `units` ≥ 1 of memory. A class whose jobs are larger than that loses all of them.
pub fn solve(classes: &[SizeClass], units: usize) -> Result<SharedMemory, ArgumentError> {
    check(classes, units)?;
    let occupancy = occupancy(classes, units);
    let loss: Vec<f64> =
        classes.iter().map(|class| occupancy[(units + 1).saturating_sub(class.size)..].iter().sum()).collect();
    // The states in which a job fits, rather than one minus the loss: exactly zero for jobs that never fit.
    let fits = |class: &SizeClass| occupancy[..(units + 1).saturating_sub(class.size)].iter().sum::<f64>();
    let throughput: Vec<f64> = classes.iter().map(|class| class.rate * fits(class)).collect();
    let mean_jobs = classes.iter().zip(&throughput).map(|(class, rate)| rate * class.mean_service).collect();
    Ok(SharedMemory { occupancy, loss, throughput, mean_jobs })
}

fn check(classes: &[SizeClass], units: usize) -> Result<(), ArgumentError> {
    count("units of memory", units)?;
    if classes.is_empty() {
        return Err(ArgumentError::new("number of classes", "at least 1", 0.0));
    }
    for (index, class) in classes.iter().enumerate() {
        not_negative(format_args!("arrival rate of class {index}"), class.rate)?;
        positive(format_args!("mean of service of class {index}"), class.mean_service)?;
        count(format_args!("size of class {index}"), class.size)?;
    }
    Ok(())
}

fn occupancy(classes: &[SizeClass], units: usize) -> Vec<f64> {
    let mut weights = Vec::with_capacity(units + 1);
    weights.push(1.0);
    for level in 1..=units {
        let flow: f64 = classes
            .iter()
            .filter(|class| class.size <= level)
            .map(|class| class.rate * class.mean_service * class.size as f64 * weights[level - class.size])
            .sum();
        weights.push(flow / level as f64);
        rescale_if_large(&mut weights);
    }
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmck;
    use proptest::prelude::*;

    #[test]
    fn one_class_of_size_one_is_erlangs_formula() {
        let class = SizeClass { rate: 4.0, mean_service: 2.0, size: 1 };
        let memory = solve(&[class], 9).unwrap();
        let erlang = mmck::solve(4.0, 2.0, 9, 9).unwrap().metrics;
        assert!((memory.loss[0] - erlang.loss).abs() < 1e-14);
        assert!((memory.mean_jobs[0] - erlang.mean_jobs).abs() < 1e-12);
    }

    #[test]
    fn jobs_larger_than_the_memory_are_all_lost() {
        let classes =
            [SizeClass { rate: 1.0, mean_service: 1.0, size: 1 }, SizeClass { rate: 1.0, mean_service: 1.0, size: 7 }];
        let memory = solve(&classes, 5).unwrap();
        assert!((memory.loss[1] - 1.0).abs() < 1e-15);
        assert_eq!(memory.throughput[1], 0.0);
    }

    #[test]
    fn bad_arguments_are_named() {
        let class = SizeClass { rate: 1.0, mean_service: 1.0, size: 1 };
        assert!(solve(&[], 5).unwrap_err().to_string().starts_with("number of classes"));
        assert!(solve(&[class], 0).unwrap_err().to_string().starts_with("units of memory"));
        let bad = SizeClass { size: 0, ..class };
        assert!(solve(&[class, bad], 5).unwrap_err().to_string().starts_with("size of class 1"));
        let bad = SizeClass { rate: f64::NAN, ..class };
        assert!(solve(&[bad], 5).unwrap_err().to_string().starts_with("arrival rate of class 0"));
    }

    proptest! {
        #[test]
        fn memory_in_use_is_what_the_jobs_hold(
            rates in proptest::collection::vec(0.01..8.0f64, 1..5), sizes in proptest::collection::vec(1usize..6, 5),
            units in 1usize..60,
        ) {
            let classes: Vec<SizeClass> = rates.iter().zip(&sizes)
                .map(|(&rate, &size)| SizeClass { rate, mean_service: 1.3, size }).collect();
            let memory = solve(&classes, units).unwrap();
            let held: f64 = classes.iter().zip(&memory.mean_jobs).map(|(class, jobs)| class.size as f64 * jobs).sum();
            let used = crate::solution::mean_level(&memory.occupancy);
            prop_assert!((held - used).abs() < 1e-9, "{} {}", held, used);
            prop_assert!(memory.loss.iter().all(|loss| (0.0..=1.0 + 1e-12).contains(loss)));
        }
    }
}

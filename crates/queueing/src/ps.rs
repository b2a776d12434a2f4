//! Processor sharing with finite capacity: M/G/c/K-PS, exact and insensitive.
//!
//! # Formula
//! Each of n jobs present gets min(1, c/n) of a core. The number of jobs is distributed as in
//! [M/M/c/K](crate::mmck), whatever the law of service, and the time that a job stays is in the mean proportional to
//! its work: a class with mean work m_i stays m_i/E\[S\] times as long as the average job.
//!
//! # Assumptions
//! Poisson arrivals of every class; equal sharing; a job that finds K present is lost. Then the station is insensitive
//! to the laws of service, with several classes and a truncated capacity too. It is **not** when the arrivals are not
//! Poisson (bursts, or the output of a first-come-first-served station with constant service), when classes are
//! weighted unequally, or when the order of service is first come first served: for the last see
//! [`mg1k`](crate::mg1k) and [`mmck::approximate`]. The throughput of a class is its rate
//! times 1 − loss, the same loss for all.
//!
//! # Cost
//! O(K).
//!
//! # Reference
//! F. P. Kelly, Reversibility and Stochastic Networks, Wiley, 1979, section 3.3 (symmetric queues); L. Kleinrock,
//! "Time-shared systems: a theoretical treatment", Journal of the ACM 14 (1967), pp. 242–261 (time proportional to
//! work).

use crate::error::not_negative;
use crate::solution::Solution;
use crate::{ArgumentError, Service, mmck};

/// Solves M/G/c/K-PS for arrivals at `rate` ≥ 0 and at most `capacity` ≥ 1 jobs present. `service` is the work of the
/// average job; only its mean matters.
pub fn solve(rate: f64, service: &Service, cores: usize, capacity: usize) -> Result<Solution, ArgumentError> {
    mmck::solve(rate, service.mean(), cores, capacity)
}

/// Mean time that jobs of a class with mean work `own_mean` stay, in the `solution` of a station with this `service` of
/// the average job.
pub fn residence_of_class(solution: &Solution, service: &Service, own_mean: f64) -> Result<f64, ArgumentError> {
    not_negative("mean of service of the class", own_mean)?;
    Ok(solution.metrics.mean_residence * own_mean / service.mean())
}

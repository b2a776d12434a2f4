//! Several cores, exponential service, Poisson arrivals, finite capacity: M/M/c/K, exact.
//!
//! # Formula
//! A birth–death chain: for a load a = λE\[S\], p_n = p_{n−1} · a / min(n, c) for n = 1..=K, normalised; the loss is
//! p_K. K = c is Erlang's loss formula, c = 1 is M/M/1/K.
//!
//! # Assumptions
//! Poisson arrivals; first come, first served; exponential service. For K = c there is no waiting and the law of
//! service does not matter. For other laws with c > 1 no exact formula is known; [`approximate`] scales the waiting
//! room.
//!
//! # Cost
//! O(K).
//!
//! # Reference
//! H. C. Tijms, A First Course in Stochastic Models, Wiley, 2003 (Erlang's formulas, finite waiting room); the scaled
//! waiting room is ours, in the spirit of its two-moment approximations.

use crate::error::{MOST_JOBS, count, not_negative, positive};
use crate::numeric::rescale_if_large;
use crate::solution::{Load, Metrics, Solution};
use crate::{ArgumentError, Service};

/// Solves M/M/c/K for arrivals at `rate` ≥ 0, `mean_service` > 0, `cores` ≥ 1 and at most `capacity` jobs, those in
/// service included. More cores than capacity are never busy.
pub fn solve(rate: f64, mean_service: f64, cores: usize, capacity: usize) -> Result<Solution, ArgumentError> {
    not_negative("arrival rate", rate)?;
    positive("mean of service", mean_service)?;
    count("cores", cores)?;
    count("capacity", capacity)?;
    let mut levels = Vec::with_capacity(capacity + 1);
    levels.push(1.0);
    for level in 1..=capacity {
        let below: f64 = levels[level - 1];
        levels.push(below * rate * mean_service / level.min(cores) as f64);
        rescale_if_large(&mut levels);
    }
    let total: f64 = levels.iter().sum();
    for share in &mut levels {
        *share /= total;
    }
    Ok(Solution::poisson(Load { rate, mean_service, cores }, levels))
}

/// M/G/c/K, approximately: the waiting room K − c of exponential service that loses as much is (K − c)·2/(1 + s²), and
/// the jobs that wait are scaled back.
///
/// Exact for s² = 1 and for K = c; an interpolation otherwise. Use [`mg1k`](crate::mg1k) for one core.
pub fn approximate(rate: f64, service: &Service, cores: usize, capacity: usize) -> Result<Metrics, ArgumentError> {
    let scaled = |room: f64| room * 2.0 / (1.0 + service.scv());
    let base = cores.min(capacity);
    let room = scaled((capacity - base) as f64).min(MOST_JOBS.saturating_sub(base) as f64);
    let at = |room: f64| solve(rate, service.mean(), cores, (base as f64 + room) as usize);
    let (below, above) = (at(room.floor())?.metrics, at(room.ceil())?.metrics);
    let share = room - room.floor();
    let loss = geometric_mean(below.loss, above.loss, share);
    let throughput = rate * (1.0 - loss);
    let busy = throughput * service.mean();
    let waiting = |metrics: Metrics| metrics.mean_jobs - metrics.throughput * service.mean();
    let scaled_waiting = (1.0 - share) * waiting(below) + share * waiting(above);
    let shrink = if room > 0.0 { (capacity - base) as f64 / room } else { 1.0 };
    let load = Load { rate, mean_service: service.mean(), cores };
    Ok(Metrics::by_little(load, loss, busy + scaled_waiting * shrink))
}

fn geometric_mean(first: f64, second: f64, share: f64) -> f64 {
    if first > 0.0 && second > 0.0 {
        first * (second / first).powf(share)
    } else {
        first * (1.0 - share) + second * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Law, mg1k};
    use proptest::prelude::*;

    #[test]
    fn erlang_loss_formula() {
        // Ten erlangs on ten lines lose 21.4582 %, as printed in every table of Erlang's formula.
        let solution = solve(10.0, 1.0, 10, 10).unwrap();
        assert!((solution.metrics.loss - 0.214_582).abs() < 5e-7);
        assert!((solution.metrics.mean_residence - 1.0).abs() < 1e-12);
    }

    #[test]
    fn overload_of_large_stations_does_not_overflow() {
        let metrics = solve(50.0, 1.0, 2, 5000).unwrap().metrics;
        assert!((metrics.loss - 0.96).abs() < 1e-12);
        assert!((metrics.utilization - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_approximation_is_exact_where_it_says_so() {
        let exponential = Law::exponential(0.7).unwrap().into();
        let exact = solve(4.0, 0.7, 3, 9).unwrap().metrics;
        let close = |left: Metrics, right: Metrics| {
            assert!((left.loss - right.loss).abs() < 1e-12, "{left:?} {right:?}");
            assert!((left.mean_jobs - right.mean_jobs).abs() < 1e-10, "{left:?} {right:?}");
        };
        close(approximate(4.0, &exponential, 3, 9).unwrap(), exact);
        let constant = Law::deterministic(0.7).unwrap().into();
        close(approximate(4.0, &constant, 3, 3).unwrap(), solve(4.0, 0.7, 3, 3).unwrap().metrics);
    }

    #[test]
    fn bad_arguments_are_named() {
        assert!(solve(-1.0, 1.0, 1, 1).unwrap_err().to_string().starts_with("arrival rate must be"));
        assert!(solve(1.0, 0.0, 1, 1).unwrap_err().to_string().starts_with("mean of service must be"));
        assert!(solve(1.0, 1.0, 0, 1).unwrap_err().to_string().starts_with("cores must be"));
        assert!(solve(1.0, 1.0, 1, 2_000_000).unwrap_err().to_string().starts_with("capacity must be"));
    }

    proptest! {
        #[test]
        fn one_core_agrees_with_the_embedded_chain(rate in 0.01..5.0f64, capacity in 1usize..60) {
            let chain = mg1k::solve(rate, &Law::exponential(0.8).unwrap().into(), capacity).unwrap();
            let birth_death = solve(rate, 0.8, 1, capacity).unwrap();
            let relative = (chain.metrics.loss - birth_death.metrics.loss).abs() / birth_death.metrics.loss;
            prop_assert!(relative < 1e-10, "{} {}", chain.metrics.loss, birth_death.metrics.loss);
            prop_assert!((chain.metrics.mean_jobs - birth_death.metrics.mean_jobs).abs() < 1e-9);
        }

        #[test]
        fn more_cores_lose_less(rate in 0.1..20.0f64, cores in 1usize..8, room in 0usize..30) {
            let capacity = cores + 1 + room;
            let fewer = solve(rate, 1.0, cores, capacity).unwrap().metrics.loss;
            let more = solve(rate, 1.0, cores + 1, capacity).unwrap().metrics.loss;
            prop_assert!(more <= fewer * (1.0 + 1e-12), "{} {}", more, fewer);
        }
    }
}

//! The published two-moment approximation of the M/G/1/K loss: the baseline, not what we use.
//!
//! # Formula
//! With r = √ρ and s² the squared coefficient of variation of service, the formula is that of M/M/1/K,
//!
//! > loss = (1 − ρ) ρ^κ / (1 − ρ^(κ+1)),  at the real capacity κ = (2K + r s² − r) / (2 + r s² − r).
//!
//! The usual print has two exponents; they differ by exactly one, which gives this form. It is computed with `exp_m1`
//! of ln ρ, so that neither ρ → 1 (limit 1/(κ+1)) nor ρ > 1 cancels or overflows. The denominator of κ reaches 0 at
//! s² < 1 and ρ ≥ (2/(1 − s²))²; from there on κ is taken as infinite, and the loss is 1 − 1/ρ.
//!
//! # Assumptions
//! As for [M/G/1/K](crate::mg1k). Exact for s² = 1. Within some percent for ρ ≥ 0.9; below, wrong by factors where the
//! loss is small (five at ρ = 0.5, K = 11 and constant service).
//!
//! # Cost
//! O(1), some 30 ns.
//!
//! # Reference
//! J. MacGregor Smith, "Optimal design and performance modelling of M/G/1/K queueing systems", Mathematical and
//! Computer Modelling 39 (2004), pp. 1049–1081.

use crate::ArgumentError;
use crate::error::{count, not_negative};

/// Approximate loss at load `rho` ≥ 0, variability `scv` ≥ 0 of service, and `capacity` ≥ 1.
pub fn loss(rho: f64, scv: f64, capacity: usize) -> Result<f64, ArgumentError> {
    not_negative("load", rho)?;
    not_negative("scv of service", scv)?;
    count("capacity", capacity)?;
    Ok(if rho == 0.0 { 0.0 } else { exponential_loss(rho, equivalent_capacity(rho, scv, capacity as f64)) })
}

/// κ: the capacity at which exponential service loses as much.
fn equivalent_capacity(rho: f64, scv: f64, capacity: f64) -> f64 {
    let surplus = rho.sqrt() * (scv - 1.0);
    let denominator = 2.0 + surplus;
    if denominator <= 0.0 { f64::INFINITY } else { (2.0 * capacity + surplus) / denominator }
}

/// Loss of M/M/1/κ for real κ > 0.
fn exponential_loss(rho: f64, capacity: f64) -> f64 {
    let log = rho.ln();
    if rho > 1.0 {
        -(-log).exp_m1() / -(-log * (capacity + 1.0)).exp_m1()
    } else if rho < 1.0 {
        -log.exp_m1() * (log * capacity).exp() / -(log * (capacity + 1.0)).exp_m1()
    } else {
        1.0 / (capacity + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_digits() {
        let rows = [
            (2.0 / 3.0, 1.0, 5, 0.048_120_30),
            (0.5, 0.0, 3, 0.030_165_42),
            (0.9, 0.0, 5, 0.063_406_19),
            (1.2, 0.0, 11, 0.168_747_09),
            (0.95, 0.0, 21, 0.007_313_97),
            (0.7, 1.473_883, 11, 0.010_976_30),
            (1.2, 1.473_883, 11, 0.199_195_91),
            (0.9, 1.473_883, 5, 0.149_821_89),
        ];
        for (rho, scv, capacity, expected) in rows {
            let value = loss(rho, scv, capacity).unwrap();
            assert!((value - expected).abs() < 2e-8, "ρ={rho} s²={scv} K={capacity}: {value}");
        }
    }

    #[test]
    fn load_one_is_the_limit_and_overload_does_not_overflow() {
        for scv in [0.0, 0.4, 1.0, 3.0] {
            let at = |rho| loss(rho, scv, 20).unwrap();
            assert!((at(1.0) - at(1.0 - 1e-9)).abs() < 1e-9);
            assert!((at(1.0) - at(1.0 + 1e-9)).abs() < 1e-9);
            assert!((at(1000.0) - 0.999).abs() < 1e-6);
        }
        assert!((loss(3.99, 0.0, 1000).unwrap() - (1.0 - 1.0 / 3.99)).abs() < 1e-12);
        assert_eq!(loss(0.0, 1.0, 3).unwrap(), 0.0);
    }

    #[test]
    fn bad_arguments_are_named() {
        assert!(loss(f64::NAN, 1.0, 3).unwrap_err().to_string().starts_with("load must be"));
        assert!(loss(0.5, -1.0, 3).unwrap_err().to_string().starts_with("scv of service must be"));
        assert!(loss(0.5, 1.0, 0).unwrap_err().to_string().starts_with("capacity must be"));
    }

    proptest! {
        #[test]
        fn the_loss_is_a_probability(rho in 0.0..50.0f64, scv in 0.0..20.0f64, capacity in 1usize..500) {
            let value = loss(rho, scv, capacity).unwrap();
            prop_assert!((0.0..=1.0).contains(&value), "{}", value);
        }
    }
}

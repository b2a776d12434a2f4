//! The one error of the crate, and the checks at its edge that raise it.

use std::fmt::Display;

/// Most jobs that any station may be said to hold. More is a slip of the pen, and would only cost memory and time.
pub const MOST_JOBS: usize = 1_000_000;

/// How far probabilities that should sum to one may be off.
pub const PROBABILITY_TOLERANCE: f64 = 1e-9;

/// An argument that no formula of this crate can use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{argument} must be {allowed}, not {value}")]
pub struct ArgumentError {
    /// Which argument, in words, with its position where there are several.
    pub argument: String,
    /// The range that is right, in words.
    pub allowed: &'static str,
    /// What was given; for lists that are empty 0, for probabilities their sum.
    pub value: f64,
}

impl ArgumentError {
    pub(crate) fn new(argument: impl Display, allowed: &'static str, value: f64) -> Self {
        Self { argument: argument.to_string(), allowed, value }
    }
}

pub(crate) fn positive(argument: impl Display, value: f64) -> Result<f64, ArgumentError> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(ArgumentError::new(argument, "a finite number > 0", value))
    }
}

pub(crate) fn not_negative(argument: impl Display, value: f64) -> Result<f64, ArgumentError> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(ArgumentError::new(argument, "a finite number ≥ 0", value))
    }
}

pub(crate) fn probability(argument: impl Display, value: f64) -> Result<f64, ArgumentError> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(ArgumentError::new(argument, "between 0 and 1", value)) }
}

/// A number of jobs or cores.
pub(crate) fn count(argument: impl Display, value: usize) -> Result<usize, ArgumentError> {
    if (1..=MOST_JOBS).contains(&value) {
        Ok(value)
    } else {
        Err(ArgumentError::new(argument, "between 1 and 1 000 000", value as f64))
    }
}

/// Checks that probabilities are such and sum to one.
pub(crate) fn distribution(argument: &str, values: impl Iterator<Item = f64>) -> Result<(), ArgumentError> {
    let mut sum = 0.0;
    let mut none = true;
    for (index, value) in values.enumerate() {
        sum += probability(format_args!("{argument} {index}"), value)?;
        none = false;
    }
    if none {
        return Err(ArgumentError::new(format_args!("number of {argument} values"), "at least 1", 0.0));
    }
    if (sum - 1.0).abs() <= PROBABILITY_TOLERANCE {
        Ok(())
    } else {
        Err(ArgumentError::new(format_args!("sum of {argument} values"), "1", sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_argument_and_the_range() {
        let error = positive("arrival rate", f64::NAN).unwrap_err();
        assert_eq!(error.to_string(), "arrival rate must be a finite number > 0, not NaN");
        assert_eq!(count("capacity", 0).unwrap_err().to_string(), "capacity must be between 1 and 1 000 000, not 0");
    }

    #[test]
    fn probabilities_must_sum_to_one() {
        assert!(distribution("probability", [0.25, 0.75].into_iter()).is_ok());
        for bad in [vec![], vec![0.5], vec![0.5, 0.6], vec![1.5, -0.5], vec![f64::NAN]] {
            assert!(distribution("probability", bad.iter().copied()).is_err(), "{bad:?}");
        }
    }
}

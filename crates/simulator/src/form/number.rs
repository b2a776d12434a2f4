//! Numbers with the range they may have.

use super::error::{FormError, Place};
use std::ops::RangeInclusive;

/// Times and rates within this range can be added and divided without surprises.
const RANGE: RangeInclusive<f64> = 1e-12..=1e12;

/// Above zero, and neither tiny nor huge.
pub(super) fn positive(value: f64, place: &Place<'_>) -> Result<f64, FormError> {
    if RANGE.contains(&value) {
        return Ok(value);
    }
    Err(place.error(format!("must be above 0 (from 1e-12 to 1e12), not {value:?}")))
}

/// Zero, or as [`positive`].
pub(super) fn not_negative(value: f64, place: &Place<'_>) -> Result<f64, FormError> {
    if value == 0.0 || RANGE.contains(&value) {
        return Ok(value.abs());
    }
    Err(place.error(format!("must be 0 or more (1e-12 to 1e12), not {value:?}")))
}

/// Within a narrower range than times are.
pub(super) fn within(value: f64, range: RangeInclusive<f64>, place: &Place<'_>) -> Result<f64, FormError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(place.error(format!("must be from {:e} to {:e}, not {value:?}", range.start(), range.end())))
}

/// A whole number within a range.
pub(super) fn whole(value: f64, range: RangeInclusive<u32>, place: &Place<'_>) -> Result<u32, FormError> {
    let (least, most) = range.into_inner();
    if value.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&value) {
        return Ok(value as u32);
    }
    Err(place.error(format!("must be a whole number from {least} to {most}, not {value:?}")))
}

/// A probability.
pub(super) fn probability(value: f64, place: &Place<'_>) -> Result<f64, FormError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value.abs());
    }
    Err(place.error(format!("must be a probability from 0 to 1, not {value:?}")))
}

/// Probabilities that sum to one within 1e-6, made to do so.
pub(super) fn shares(values: &[f64], place: &Place<'_>) -> Result<Vec<f64>, FormError> {
    for (index, value) in values.iter().enumerate() {
        probability(*value, &place.index(index))?;
    }
    let sum: f64 = values.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(place.error(format!("must sum to 1, not to {sum}")));
    }
    Ok(values.iter().map(|value| (value.abs() / sum).min(1.0)).collect())
}

/// Refuses longer lists.
pub(super) fn at_most(most: usize, count: usize, what: &str, place: &Place<'_>) -> Result<(), FormError> {
    if count <= most {
        return Ok(());
    }
    Err(place.error(format!("has {count} {what}; at most {most} are possible")))
}

/// Refuses empty lists.
pub(super) fn at_least_one(count: usize, what: &str, place: &Place<'_>) -> Result<(), FormError> {
    if count > 0 { Ok(()) } else { Err(place.error(format!("must hold at least one {what}"))) }
}

/// How memory is counted: in whole units, or in millionths where anything has a fraction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit(f64);

impl Unit {
    /// Exact for all of these sizes, if none has more than six decimals.
    pub(super) fn of(mut sizes: impl Iterator<Item = f64>) -> Self {
        Unit(if sizes.all(|size| size.fract() == 0.0) { 1.0 } else { 1e6 })
    }

    /// A size that may be 0. What is above 0 stays so.
    pub(super) fn size(self, value: f64, place: &Place<'_>) -> Result<u64, FormError> {
        const MOST: f64 = 9e12;
        if !(0.0..=MOST).contains(&value) {
            return Err(place.error(format!("must be from 0 to {MOST:e}, not {value:?}")));
        }
        let size = (value * self.0).round() as u64;
        Ok(if value > 0.0 { size.max(1) } else { 0 })
    }

    /// A size above 0.
    pub(super) fn capacity(self, value: f64, place: &Place<'_>) -> Result<u64, FormError> {
        if value == 0.0 {
            return Err(place.error("must be above 0: nothing would ever fit"));
        }
        self.size(value, place)
    }

    /// Whether a counted size is a whole number of the units of the file.
    pub(super) fn is_whole(self, size: u64) -> bool {
        size.is_multiple_of(self.0 as u64)
    }

    /// Sizes per unit of time.
    pub(super) fn rate(self, value: f64) -> f64 {
        value * self.0
    }
}

//! Quantities with units. Constructors refuse NaN, negatives and infinities.

/// Why a number is not the quantity it was given as.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{quantity} must be {allowed}, not {value}")]
pub struct UnitError {
    /// What was wanted, such as `probability`.
    pub quantity: &'static str,
    /// The range that is right, in words.
    pub allowed: &'static str,
    /// What was given.
    pub value: f64,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $word:literal, $allowed:literal, $holds:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// Refuses what is outside the range of the quantity, NaN included.
            pub fn new(value: f64) -> Result<Self, UnitError> {
                let holds: fn(f64) -> bool = $holds;
                if holds(value) {
                    Ok(Self(value))
                } else {
                    Err(UnitError { quantity: $word, allowed: $allowed, value })
                }
            }

            /// The bare number, in the unit of the type.
            pub fn get(self) -> f64 {
                self.0
            }
        }
    };
}

quantity!(
    /// A duration in seconds, finite and not negative.
    Seconds, "duration in seconds", "a finite number ≥ 0", |value| value >= 0.0 && value.is_finite()
);
quantity!(
    /// A rate in jobs per second, finite and not negative.
    PerSecond, "rate per second", "a finite number ≥ 0", |value| value >= 0.0 && value.is_finite()
);
quantity!(
    /// A probability or share in [0, 1].
    Probability, "probability", "between 0 and 1", |value| (0.0..=1.0).contains(&value)
);

impl Seconds {
    /// No time.
    pub const ZERO: Self = Self(0.0);
}

/// A size in memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Bytes(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_refuse_what_they_cannot_be() {
        for bad in [f64::NAN, -0.1, f64::INFINITY] {
            assert!(Seconds::new(bad).is_err(), "{bad}");
            assert!(PerSecond::new(bad).is_err(), "{bad}");
            assert!(Probability::new(bad).is_err(), "{bad}");
        }
        assert!(Probability::new(1.1).is_err());
        assert_eq!(Probability::new(1.0).unwrap().get(), 1.0);
        let error = Probability::new(2.0).unwrap_err().to_string();
        assert_eq!(error, "probability must be between 0 and 1, not 2");
    }
}

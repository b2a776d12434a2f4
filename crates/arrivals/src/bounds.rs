//! Bounds of a Poisson rate.
//!
//! # Formula
//! After n arrivals in t seconds the two-sided 1 − α interval of the rate is \[G(α/2; n), G(1 − α/2; n + 1)\] ÷ t, where
//! G(p; a) is the p-quantile of the gamma distribution with shape a (0 for a = 0).
//!
//! # Assumptions
//! Independent arrivals at one rate; with index of dispersion I both n and t count as divided by I.
//!
//! # Cost
//! A few µs: Newton steps on the incomplete gamma function from the approximation of Wilson and Hilferty, which stands alone
//! from n = 1,000 on, where it is off by less than 1e-5 of the value.
//!
//! # Reference
//! F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936), pp. 437–442; E. B. Wilson and M. M.
//! Hilferty, "The distribution of chi-square", PNAS 17 (1931), pp. 684–688.

use statrs::function::gamma::{gamma_lr, ln_gamma};

/// A rate with what it was estimated from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateEstimate {
    /// Arrivals per second.
    pub rate: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Arrivals counted.
    pub arrivals: f64,
    /// Seconds in which they were.
    pub seconds: f64,
}

impl RateEstimate {
    /// Of `arrivals` ≥ 0 in `seconds` > 0 with the index of dispersion `dispersion` (1 for Poisson arrivals).
    pub fn new(arrivals: f64, seconds: f64, dispersion: f64) -> Self {
        let dispersion = dispersion.max(1.0);
        let (low, high) = poisson_bounds(arrivals / dispersion, 0.95);
        let unit = dispersion / seconds;
        Self { rate: arrivals / seconds, low: low * unit, high: high * unit, arrivals, seconds }
    }

    /// Whether a rate lies in the interval.
    pub fn covers(&self, rate: f64) -> bool {
        self.low <= rate && rate <= self.high
    }
}

/// Two-sided bounds of the mean of a Poisson count at `level` in (0, 1). Takes shares of counts, too.
pub fn poisson_bounds(count: f64, level: f64) -> (f64, f64) {
    let tail = (1.0 - level) / 2.0;
    let low = if count > 0.0 { gamma_quantile(count, tail) } else { 0.0 };
    (low, gamma_quantile(count + 1.0, 1.0 - tail))
}

/// Quantile of the gamma distribution with scale 1.
fn gamma_quantile(shape: f64, probability: f64) -> f64 {
    let start = {
        let z = normal_quantile(probability);
        let ninth = 1.0 / (9.0 * shape);
        shape * (1.0 - ninth + z * ninth.sqrt()).powi(3)
    };
    if shape.is_nan() || shape >= 1000.0 {
        return start;
    }
    // x^a ÷ Γ(a + 1) is above the distribution, and close to it for small shapes, where the approximation is not.
    let smallest = ((probability.ln() + ln_gamma(shape + 1.0)) / shape).exp();
    if smallest < 1e-8 {
        return smallest;
    }
    let start = if shape < 1.0 { smallest } else { start.max(smallest) };
    let mut value = start.max(f64::MIN_POSITIVE);
    for _ in 0..60 {
        let density = ((shape - 1.0) * value.ln() - value - ln_gamma(shape)).exp();
        let step = (gamma_lr(shape, value) - probability) / density;
        // Never past half of the way to 0, where the density bends.
        let next = if step.is_finite() { (value - step).max(value / 2.0) } else { value };
        if (next - value).abs() <= 1e-12 * value {
            return next;
        }
        value = next;
    }
    value
}

/// Quantile of the standard normal distribution.
pub fn normal_quantile(probability: f64) -> f64 {
    -std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_garwoods_table() {
        for (count, low, high) in
            [(0.0, 0.0, 3.689), (1.0, 0.0253, 5.572), (2.0, 0.2422, 7.225), (10.0, 4.795, 18.39), (50.0, 37.11, 65.92)]
        {
            let (found_low, found_high) = poisson_bounds(count, 0.95);
            assert!((found_low - low).abs() < 1e-3 * low.max(1.0), "{count}: {found_low}");
            assert!((found_high - high).abs() < 1e-3 * high, "{count}: {found_high}");
        }
    }

    #[test]
    fn both_ways_to_a_quantile_agree_where_they_meet() {
        for probability in [0.001, 0.025, 0.5, 0.975, 0.999] {
            let (exact, approximate) = (gamma_quantile(999.999_999, probability), gamma_quantile(1000.0, probability));
            assert!((exact / approximate - 1.0).abs() < 1e-5, "{probability}: {exact} {approximate}");
        }
    }

    #[test]
    fn quantiles_invert_the_distribution() {
        for shape in [0.7, 1.0, 3.5, 40.0, 500.0] {
            for probability in [0.005, 0.3, 0.9, 0.995] {
                let back = gamma_lr(shape, gamma_quantile(shape, probability));
                assert!((back - probability).abs() < 1e-9, "{shape} {probability}: {back}");
            }
        }
    }

    #[test]
    fn dispersion_widens() {
        let (plain, wide) = (RateEstimate::new(400.0, 20.0, 1.0), RateEstimate::new(400.0, 20.0, 4.0));
        assert_eq!(plain.rate, wide.rate);
        assert!(plain.covers(20.5) && !plain.covers(23.0) && wide.covers(23.0));
    }
}

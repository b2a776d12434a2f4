//! Service times: a mixture over exits, each with a law of its own.

use crate::ArgumentError;
use crate::error::{count, distribution, not_negative, positive};

/// How long a job is served that takes one given exit. The unit of time is the caller's, the same in all arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Law(pub(crate) Kind);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Deterministic { time: f64 },
    Gamma { mean: f64, shape: f64 },
    Hyperexponential { branches: Box<[(f64, f64)]> },
    Uniform { low: f64, high: f64 },
    LogNormal { location: f64, scale: f64 },
    Empirical { values: Box<[f64]> },
}

impl Law {
    /// Always `time` > 0.
    pub fn deterministic(time: f64) -> Result<Self, ArgumentError> {
        Ok(Self(Kind::Deterministic { time: positive("service time", time)? }))
    }

    /// Exponential with `mean` > 0.
    pub fn exponential(mean: f64) -> Result<Self, ArgumentError> {
        Ok(Self(Kind::Gamma { mean: positive("mean of service", mean)?, shape: 1.0 }))
    }

    /// Sum of `phases` exponential times, `mean` > 0 in all.
    pub fn erlang(phases: usize, mean: f64) -> Result<Self, ArgumentError> {
        let shape = count("phases of service", phases)? as f64;
        Ok(Self(Kind::Gamma { mean: positive("mean of service", mean)?, shape }))
    }

    /// Gamma with `mean` > 0 and squared coefficient of variation `scv` ≥ 0: the law to take when only these two are
    /// known. It is deterministic at 0, exponential at 1 and Erlang at 1/n.
    pub fn gamma(mean: f64, scv: f64) -> Result<Self, ArgumentError> {
        positive("mean of service", mean)?;
        // Below this the difference to a constant is beyond double precision.
        if not_negative("scv of service", scv)? < 1e-14 {
            return Self::deterministic(mean);
        }
        Ok(Self(Kind::Gamma { mean, shape: 1.0 / scv }))
    }

    /// Log-normal with `mean` > 0 and squared coefficient of variation `scv` ≥ 0.
    pub fn log_normal(mean: f64, scv: f64) -> Result<Self, ArgumentError> {
        positive("mean of service", mean)?;
        if not_negative("scv of service", scv)? < 1e-14 {
            return Self::deterministic(mean);
        }
        let variance = scv.ln_1p();
        Ok(Self(Kind::LogNormal { location: mean.ln() - variance / 2.0, scale: variance.sqrt() }))
    }

    /// Exponential with one of several means: (probability, mean) each.
    pub fn hyperexponential(branches: &[(f64, f64)]) -> Result<Self, ArgumentError> {
        distribution("branch probability", branches.iter().map(|branch| branch.0))?;
        for (index, branch) in branches.iter().enumerate() {
            positive(format_args!("mean of service of branch {index}"), branch.1)?;
        }
        Ok(Self(Kind::Hyperexponential { branches: branches.into() }))
    }

    /// Uniform between `low` ≥ 0 and `high` > `low`.
    pub fn uniform(low: f64, high: f64) -> Result<Self, ArgumentError> {
        not_negative("low end of service", low)?;
        if high > low && high.is_finite() {
            Ok(Self(Kind::Uniform { low, high }))
        } else {
            Err(ArgumentError::new("high end of service", "finite and above the low end", high))
        }
    }

    /// One of the measured `values`, each equally likely; all ≥ 0 and not all 0.
    pub fn empirical(values: impl Into<Box<[f64]>>) -> Result<Self, ArgumentError> {
        let values = values.into();
        for (index, &value) in values.iter().enumerate() {
            not_negative(format_args!("measured service time {index}"), value)?;
        }
        if values.is_empty() {
            return Err(ArgumentError::new("number of measured service times", "at least 1", 0.0));
        }
        positive("mean of the measured service times", mean_of(&values))?;
        Ok(Self(Kind::Empirical { values }))
    }

    /// Mean time.
    pub fn mean(&self) -> f64 {
        match &self.0 {
            Kind::Deterministic { time } => *time,
            Kind::Gamma { mean, .. } => *mean,
            Kind::Hyperexponential { branches } => branches.iter().map(|(weight, mean)| weight * mean).sum(),
            Kind::Uniform { low, high } => (low + high) / 2.0,
            Kind::LogNormal { location, scale } => (location + scale * scale / 2.0).exp(),
            Kind::Empirical { values } => mean_of(values),
        }
    }

    /// Variance of the time.
    pub fn variance(&self) -> f64 {
        match &self.0 {
            Kind::Deterministic { .. } => 0.0,
            Kind::Gamma { mean, shape } => mean * mean / shape,
            Kind::Hyperexponential { branches } => {
                let mean = self.mean();
                branches.iter().map(|(weight, own)| weight * (own * own + (own - mean) * (own - mean))).sum()
            }
            Kind::Uniform { low, high } => (high - low) * (high - low) / 12.0,
            Kind::LogNormal { scale, .. } => self.mean() * self.mean() * (scale * scale).exp_m1(),
            Kind::Empirical { values } => {
                let mean = mean_of(values);
                values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
            }
        }
    }
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Service of a job that takes exit `l` with some probability and is then served by the law of that exit.
///
/// Also the service of a station that several classes share first come, first served: the probabilities are then the
/// shares of the classes in the arrivals.
#[derive(Debug, Clone, PartialEq)]
pub struct Service(Box<[(f64, Law)]>);

impl Service {
    /// A mixture of (probability, law) per exit. Refuses an empty one, and probabilities that do not sum to one.
    pub fn new(exits: impl Into<Box<[(f64, Law)]>>) -> Result<Self, ArgumentError> {
        let exits = exits.into();
        distribution("exit probability", exits.iter().map(|exit| exit.0))?;
        Ok(Self(exits))
    }

    /// Mean time.
    pub fn mean(&self) -> f64 {
        self.0.iter().map(|(weight, law)| weight * law.mean()).sum()
    }

    /// Squared coefficient of variation: variance over squared mean. Summed as squared deviations, so that it does not
    /// cancel for services of little variability.
    pub fn scv(&self) -> f64 {
        let mean = self.mean();
        let variance: f64 =
            self.0.iter().map(|(weight, law)| weight * (law.variance() + (law.mean() - mean).powi(2))).sum();
        variance / (mean * mean)
    }

    /// The (probability, law) of each exit.
    pub fn exits(&self) -> &[(f64, Law)] {
        &self.0
    }
}

impl From<Law> for Service {
    fn from(law: Law) -> Self {
        Self(Box::new([(1.0, law)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} instead of {expected}");
    }

    #[test]
    fn moments_of_each_law() {
        let rows = [
            (Law::deterministic(2.0), 2.0, 0.0),
            (Law::exponential(2.0), 2.0, 1.0),
            (Law::erlang(4, 2.0), 2.0, 0.25),
            (Law::gamma(2.0, 0.3), 2.0, 0.3),
            (Law::log_normal(2.0, 1.7), 2.0, 1.7),
            (Law::hyperexponential(&[(0.5, 1.0), (0.5, 3.0)]), 2.0, 1.5),
            (Law::uniform(0.0, 4.0), 2.0, 1.0 / 3.0),
            (Law::empirical([1.0, 3.0]), 2.0, 0.25),
        ];
        for (law, mean, scv) in rows {
            let service = Service::from(law.unwrap());
            close(service.mean(), mean);
            close(service.scv(), scv);
        }
    }

    #[test]
    fn the_mixture_of_the_published_profile_has_the_known_variability() {
        let short = Law::deterministic(0.00283).unwrap();
        let long = Law::deterministic(0.80489).unwrap();
        let service = Service::new([(0.6, short), (0.4, long)]).unwrap();
        assert!((service.scv() - 1.473_883).abs() < 5e-7, "{}", service.scv());
    }

    #[test]
    fn a_service_that_cannot_be_is_refused_by_name() {
        for bad in [f64::NAN, -1.0, f64::INFINITY, 0.0] {
            assert!(Law::deterministic(bad).is_err(), "{bad}");
            assert!(Law::exponential(bad).is_err(), "{bad}");
            assert!(Law::log_normal(bad, 1.0).is_err(), "{bad}");
            assert!(Law::uniform(1.0, bad).is_err(), "{bad}");
            assert!(Law::empirical([bad]).is_err(), "{bad}");
        }
        assert!(Law::log_normal(1.0, f64::NAN).unwrap_err().to_string().starts_with("scv of service"));
        assert!(Law::erlang(0, 1.0).is_err());
        assert!(Law::hyperexponential(&[(0.5, 1.0)]).is_err());
        let error = Service::new([]).unwrap_err().to_string();
        assert_eq!(error, "number of exit probability values must be at least 1, not 0");
        let half = [(0.5, Law::deterministic(1.0).unwrap())];
        assert!(Service::new(half).unwrap_err().to_string().starts_with("sum of exit probability values"));
    }
}

//! One station and the ways it can treat a job: what all schedulers of one device decide about.
//!
//! # Model
//! M/G/1/K: Poisson arrivals at rate λ, one server, first come first served, at most K jobs with the one in service.
//! A [`Mode`] is a threshold vector with what it gives: a value (accuracy or confidence) and the law of its service
//! time. Single exits are modes ([`super::modes::exits`]), and so are vectors on the
//! [frontier](super::frontier::frontier) of an exit table.
//!
//! Everything exact is made of the arrivals during one service, P(A ≥ j), which are computed once per mode and rate
//! ([`Station::at`]): O(K) per mode and exit.

use domain::Thresholds;
use queueing::{ArgumentError, ArrivalCounts, Service};

/// A server with room, and the ways it can treat a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// Jobs it has room for, the one in service included; ≥ 1.
    pub capacity: usize,
    /// At least one.
    pub modes: Vec<Mode>,
}

/// A way to treat a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// Where the job may leave.
    pub thresholds: Thresholds,
    /// What an answer is worth in the mean: accuracy, or confidence.
    pub value: f64,
    /// Time that the station needs, in seconds.
    pub service: Service,
}

/// A station at an arrival rate, with the arrivals during one service of each mode.
#[derive(Debug, Clone)]
pub struct Rated<'a> {
    /// The station.
    pub station: &'a Station,
    /// Arrivals per second; > 0.
    pub rate: f64,
    /// Per mode the mean service, in seconds.
    pub means: Vec<f64>,
    /// Per mode the arrivals during a service.
    pub counts: Vec<ArrivalCounts>,
    /// Per mode and room m = 0..=K: E(A − m)⁺, the jobs lost during a service that starts with room for m more.
    pub overflow: Vec<Vec<f64>>,
}

/// Rates below this are taken as this: no gateway sees a job in thirty years.
const SLOWEST: f64 = 1e-9;

impl Station {
    /// The station at `rate` arrivals per second (finite, ≥ 0; 0 counts as hardly any).
    ///
    /// # Errors
    /// Rates and capacities that are none.
    pub fn at(&self, rate: f64) -> Result<Rated<'_>, ArgumentError> {
        let rate = if rate < SLOWEST { SLOWEST } else { rate };
        let count = |mode: &Mode| ArrivalCounts::new(rate, &mode.service, self.capacity);
        let counts = self.modes.iter().map(count).collect::<Result<Vec<_>, _>>()?;
        let overflow = counts.iter().map(overflow).collect();
        Ok(Rated {
            station: self,
            rate,
            means: self.modes.iter().map(|mode| mode.service.mean()).collect(),
            counts,
            overflow,
        })
    }

    /// Index of the mode with the shortest mean service.
    pub fn fastest(&self) -> usize {
        let mean = |mode: usize| self.modes[mode].service.mean();
        (0..self.modes.len()).min_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap_or(0)
    }
}

/// Summed from the small end, so that tiny losses keep their precision.
fn overflow(counts: &ArrivalCounts) -> Vec<f64> {
    let capacity = counts.capacity();
    let mut overflow = vec![counts.excess(); capacity + 1];
    for room in (0..capacity).rev() {
        overflow[room] = overflow[room + 1] + counts.at_least()[room + 1];
    }
    overflow
}

/// Sum of products in lanes: the compiler may not reorder a plain sum, and this is the inner loop of every table.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    lanes.iter().sum::<f64>() + left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use queueing::Law;

    #[test]
    fn overflow_is_what_arrives_beyond_the_room() {
        let service = Law::exponential(2.0).unwrap().into();
        let station =
            Station { capacity: 4, modes: vec![Mode { thresholds: Thresholds::exit_last(1), value: 1.0, service }] };
        let rated = station.at(0.75).unwrap();
        // Geometric counts of mean 1.5: E(A − m)⁺ = 1.5·0.6^m.
        for (room, &overflow) in rated.overflow[0].iter().enumerate() {
            assert!((overflow - 1.5 * 0.6f64.powi(room as i32)).abs() < 1e-12, "{room}: {overflow}");
        }
        assert!(station.at(f64::NAN).is_err());
        assert!(station.at(0.0).is_ok());
    }
}

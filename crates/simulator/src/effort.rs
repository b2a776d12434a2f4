//! How much to simulate.

use std::fmt;
use std::num::NonZeroU32;

/// How much to simulate, from which seed, and when to stop.
///
/// A run ends at the first of: the precision asked for, the limit of arrivals, the limit of events, the stop callback.
/// Results depend on `seed`, `replications`, `arrivals` and `precision` only, not on `threads`.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// Seed of everything random.
    pub seed: u64,
    /// Independent replications; `None` for the default (4; 32 for a run that has an end of its own).
    pub replications: Option<NonZeroU32>,
    /// Most measured arrivals, of all sources and replications together.
    pub arrivals: u64,
    /// Precision at which it may end earlier.
    pub precision: Option<Precision>,
    /// Most events, warm-up included.
    pub events: u64,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// Says whether to stop; asked a few times per second. What was measured until then is reported.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Hears how far the run is, after each round.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Length in seconds of the intervals of the time series, if one is wanted.
    pub series: Option<f64>,
    /// Records of so many jobs of the first replication.
    pub trace: usize,
}

/// Precision asked for, as half widths of 99 % confidence intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Precision {
    /// Relative, of throughput and residence times.
    pub relative: f64,
    /// Relative, of loss.
    pub loss_relative: f64,
    /// Absolute, of loss; the wider of the two is enough.
    pub loss_absolute: f64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Measured arrivals.
    pub arrivals: u64,
    /// Widest half width ÷ what was asked for; below 1 all is precise enough. NaN without a wanted precision.
    pub imprecision: f64,
}

impl Default for Precision {
    fn default() -> Self {
        Self { relative: 0.005, loss_relative: 0.02, loss_absolute: 1e-4 }
    }
}

impl Default for Effort<'_> {
    /// To the default precision, at most 100 million arrivals.
    fn default() -> Self {
        Self {
            seed: 1,
            replications: None,
            arrivals: 100_000_000,
            precision: Some(Precision::default()),
            events: u64::MAX,
            threads: 0,
            stop: None,
            progress: None,
            series: None,
            trace: 0,
        }
    }
}

impl Effort<'_> {
    /// A fixed number of measured arrivals.
    pub fn arrivals(seed: u64, arrivals: u64) -> Self {
        Self { seed, arrivals, precision: None, ..Self::default() }
    }
}

impl fmt::Debug for Effort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effort")
            .field("seed", &self.seed)
            .field("replications", &self.replications)
            .field("arrivals", &self.arrivals)
            .field("precision", &self.precision)
            .finish_non_exhaustive()
    }
}

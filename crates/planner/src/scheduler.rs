//! Which scheduler a service has, as data.

use domain::Thresholds;

/// How thresholds of a service are found.
#[derive(Debug, Clone, PartialEq)]
pub enum Scheduler {
    /// The best there is: thresholds and chain probabilities of all services together.
    Auto,
    /// Every job leaves at the first exit.
    ExitFirst,
    /// Every job leaves at the last exit.
    ExitLast,
    /// The same thresholds for every job.
    Fixed(Thresholds),
    /// A random exit, all alike.
    Random,
    /// A random exit with these probabilities, which sum to one.
    FixedDistribution(Vec<f64>),
    /// One exit earlier after a loss, one later when nobody else is present.
    Reactive,
    /// The exits that fit into the time until memory is full, by the jobs present.
    Knapsack {
        /// Values of exits are confidences as they are observed, not accuracies of the exit table.
        tracks_confidence: bool,
    },
    /// A mixture of exits whose loss is on target.
    QueueingLP {
        /// Loss by the two-moment formula, as published, instead of exactly.
        approximate: bool,
        /// Values of exits are confidences as they are observed.
        tracks_confidence: bool,
    },
    /// One threshold vector for each arrival rate, from the exit table.
    DataDriven(ThresholdSearch),
    /// A bandit over threshold vectors.
    AdaEE {
        /// Waiting jobs make going on dearer.
        buffer_aware: bool,
    },
    /// The optimal table over jobs present, of a semi-Markov decision process.
    SMDP,
}

/// How [`Scheduler::DataDriven`] searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThresholdSearch {
    /// A Gaussian process with an upper confidence bound, as published.
    Bayesian,
    /// Coordinate by coordinate on the exact evaluator.
    Direct,
}

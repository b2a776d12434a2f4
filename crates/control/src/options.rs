//! How eager the loop is.

use arrivals::DetectorOptions;

/// How eager the loop is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoopOptions {
    /// How changes of arrival rates are found, per source.
    pub arrivals: DetectorOptions,
    /// Least seconds between two changes of the plan. Ten seconds let a surge be answered at once and its end soon after.
    pub min_interval: f64,
    /// Changes of the plan within any hour, at most.
    pub max_changes_per_hour: usize,
    /// Relative difference between a rate and the one planned for below which nothing is weighed.
    pub rate_hysteresis: f64,
    /// What a change of the plan costs, as a share of jobs answered rightly: for accuracy alone nothing is changed that may gain less.
    /// By default what counts as a difference between plans.
    pub cost_of_change: f64,
    /// Seconds for which a loss target must be missed before that alone is a reason.
    pub violation_seconds: f64,
    /// Seconds after which a plan that was found good enough is weighed again without news.
    pub weigh_again: f64,
    /// Seconds to wait after a new plan was no better, or none was found; doubled each time, up to `longest_backoff`.
    pub backoff: f64,
    /// The longest such wait.
    pub longest_backoff: f64,
    /// Relative difference of a device's speed from the one assumed that is acted on.
    pub speed_hysteresis: f64,
    /// Probability that a service's agreement is taken as changed within 86,400 audits while it is not.
    pub false_accuracy_alarms: f64,
    /// Smallest share of the rows of an exit table that may carry its weight after re-weighting.
    pub min_effective_rows: f64,
    /// Difference of mean confidences from those of the exit table that is acted on.
    pub confidence_shift: f64,
    /// Difference of the share of jobs that leave at an exit from that of the exit table that is acted on.
    pub exit_share_shift: f64,
    /// Seconds without telemetry after which nothing is decided.
    pub stale: f64,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            arrivals: DetectorOptions::default(),
            min_interval: 10.0,
            max_changes_per_hour: 12,
            rate_hysteresis: 0.1,
            cost_of_change: domain::plan::WITHIN_ACCURACY,
            violation_seconds: 10.0,
            weigh_again: 60.0,
            backoff: 30.0,
            longest_backoff: 1800.0,
            speed_hysteresis: 0.15,
            false_accuracy_alarms: 0.01,
            min_effective_rows: 0.1,
            confidence_shift: 0.05,
            exit_share_shift: 0.03,
            stale: 15.0,
        }
    }
}

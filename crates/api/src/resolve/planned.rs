//! Schedulers that are computed from model, devices and load.

use super::Problems;
use crate::{
    AdaEEVariant, EENNServiceSpec, Epoch, ExitValue, LossFormula, Object, SchedulerType as Type, ThresholdSearch,
};
use domain::Policy;

/// How the jobs of a service are treated.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one per service, and it is seldom moved")]
pub enum ResolvedScheduler {
    /// As the manifest says: ExitFirst, ExitLast, Fixed and Mixture.
    Given(Policy),
    /// As a planner finds out.
    Planned(PlannedScheduler),
}

/// What a planner is to find.
#[derive(Debug, Clone, PartialEq)]
pub enum PlannedScheduler {
    /// Thresholds and chain probabilities of all services together.
    Auto {
        /// Thresholds may also be fixed when a job is sent, by the jobs present.
        may_dispatch: bool,
    },
    /// A random exit, all alike.
    Random,
    /// A random exit; one probability per exit, which sum to one.
    FixedDistribution(Vec<f64>),
    /// An exit that follows losses and idleness.
    Reactive,
    /// Exits by the jobs present.
    Knapsack {
        /// Exits are worth their mean confidence instead of their accuracy.
        tracks_confidence: bool,
    },
    /// A mixture of exits with the loss on target.
    QueueingLP {
        /// The loss is that of the two-moment formula.
        approximate: bool,
        /// Exits are worth their mean confidence instead of their accuracy.
        tracks_confidence: bool,
    },
    /// A threshold vector for each rate.
    DataDriven {
        /// By Bayesian optimisation instead of directly.
        bayesian: bool,
    },
    /// A bandit.
    AdaEE {
        /// Looks at the jobs present.
        buffer_aware: bool,
    },
    /// A table over jobs present.
    SMDP,
}

impl PlannedScheduler {
    /// Whether it looks at the jobs present, and so decides when a job is sent.
    pub fn needs_dispatch(&self) -> bool {
        matches!(self, Self::Reactive | Self::Knapsack { .. } | Self::AdaEE { buffer_aware: true } | Self::SMDP)
    }
}

/// The planned scheduler of a service for a model with so many exits; `None` where the manifest gives the policy itself, or
/// is wrong.
pub(super) fn resolve(
    object: &Object<EENNServiceSpec>,
    exits: usize,
    problems: &mut Problems,
) -> Option<PlannedScheduler> {
    let scheduler = &object.spec.scheduler;
    let tracks = |value: ExitValue| value == ExitValue::TrackedConfidence;
    match scheduler.r#type {
        Type::Auto => Some(PlannedScheduler::Auto { may_dispatch: object.spec.epoch.is_none() }),
        Type::Random => Some(PlannedScheduler::Random),
        Type::FixedDistribution => distribution(object, exits, problems).map(PlannedScheduler::FixedDistribution),
        Type::Reactive => Some(PlannedScheduler::Reactive),
        Type::Knapsack => {
            let options = scheduler.knapsack.unwrap_or_default();
            Some(PlannedScheduler::Knapsack { tracks_confidence: tracks(options.value) })
        }
        Type::QueueingLP => {
            let options = scheduler.queueing_lp.unwrap_or_default();
            let approximate = options.approximation == LossFormula::TwoMoment;
            Some(PlannedScheduler::QueueingLP { approximate, tracks_confidence: tracks(options.value) })
        }
        Type::DataDriven => {
            let search = scheduler.data_driven.unwrap_or_default().search;
            Some(PlannedScheduler::DataDriven { bayesian: search == ThresholdSearch::Bayesian })
        }
        Type::AdaEE => {
            let variant = scheduler.ada_ee.unwrap_or_default().variant;
            Some(PlannedScheduler::AdaEE { buffer_aware: variant == AdaEEVariant::BufferAware })
        }
        Type::SMDP => Some(PlannedScheduler::SMDP),
        Type::CEEN => {
            let message = "CEEN is not available yet; Auto is the best there is";
            problems.report(&object.origin, "spec.scheduler.type", message);
            None
        }
        Type::ExitFirst | Type::ExitLast | Type::Fixed | Type::Mixture => None,
    }
}

/// When thresholds are fixed: as the manifest says, if the scheduler can, or else as the scheduler needs it.
pub(super) fn epoch(
    object: &Object<EENNServiceSpec>,
    planned: Option<&PlannedScheduler>,
    problems: &mut Problems,
) -> domain::Epoch {
    let kind = object.spec.scheduler.r#type;
    let needs_dispatch = planned.is_some_and(PlannedScheduler::needs_dispatch);
    match object.spec.epoch {
        Some(Epoch::Arrival) if needs_dispatch => {
            let message = format!(
                "{kind:?} looks at the jobs present when a job is sent, so thresholds cannot be fixed at arrival; \
                 write Dispatch, or remove it"
            );
            problems.report(&object.origin, "spec.epoch", message);
        }
        Some(Epoch::Dispatch) if kind == Type::Auto => {
            let message = "Auto finds out whether that is better; remove it, or write Arrival to forbid it";
            problems.report(&object.origin, "spec.epoch", message);
        }
        _ => {}
    }
    match object.spec.epoch {
        Some(Epoch::Dispatch) => domain::Epoch::Dispatch,
        _ if needs_dispatch => domain::Epoch::Dispatch,
        _ => domain::Epoch::Arrival,
    }
}

fn distribution(object: &Object<EENNServiceSpec>, exits: usize, problems: &mut Problems) -> Option<Vec<f64>> {
    const PATH: &str = "spec.scheduler.fixedDistribution";
    let Some(given) = &object.spec.scheduler.fixed_distribution else {
        problems.report(&object.origin, PATH, "is missing; type FixedDistribution needs it");
        return None;
    };
    let probabilities: Vec<f64> = given.probabilities.iter().map(|one| one.get()).collect();
    let (count, sum) = (probabilities.len(), probabilities.iter().sum::<f64>());
    let wrong = match () {
        () if count != exits => Some(format!("has {count} probabilities; the model has {exits} exits")),
        () if (sum - 1.0).abs() > 1e-6 => Some(format!("probabilities sum to {}, not to 1", (sum * 1e6).round() / 1e6)),
        () => None,
    };
    match wrong {
        Some(message) => {
            problems.report(&object.origin, &format!("{PATH}.probabilities"), message);
            None
        }
        None => Some(probabilities),
    }
}

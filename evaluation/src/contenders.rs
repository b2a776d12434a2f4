//! Who competes.

use planner::{Scheduler, ThresholdSearch};

/// A scheduler with the name it has in figures.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) scheduler: Scheduler,
    /// Whether it is in the figures; all are in the numbers behind them.
    pub(crate) drawn: bool,
}

/// Six exits: half of the jobs take the third one, half the last.
const HALF_AND_HALF: [f64; 6] = [0.0, 0.0, 0.5, 0.0, 0.0, 0.5];

/// All of them, ours first.
pub(crate) fn all() -> Vec<Contender> {
    let contender = |name, scheduler, drawn| Contender { name, scheduler, drawn };
    vec![
        contender("Auto", Scheduler::Auto, true),
        contender("SMDP", Scheduler::SMDP, true),
        contender("Knapsack", Scheduler::Knapsack { tracks_confidence: false }, true),
        contender("QueueingLP", Scheduler::QueueingLP { approximate: false, tracks_confidence: false }, true),
        contender("DataDriven", Scheduler::DataDriven(ThresholdSearch::Direct), true),
        contender("AdaEE", Scheduler::AdaEE { buffer_aware: false }, true),
        contender("Reactive", Scheduler::Reactive, true),
        contender("ExitLast", Scheduler::ExitLast, true),
        contender("ExitFirst", Scheduler::ExitFirst, true),
        contender("Random", Scheduler::Random, true),
        contender("FixedDistribution", Scheduler::FixedDistribution(HALF_AND_HALF.to_vec()), false),
        contender("AdaEE, buffer-aware", Scheduler::AdaEE { buffer_aware: true }, true),
        contender(
            "QueueingLP, approximate",
            Scheduler::QueueingLP { approximate: true, tracks_confidence: false },
            true,
        ),
        contender("DataDriven, Bayesian", Scheduler::DataDriven(ThresholdSearch::Bayesian), false),
        contender("Knapsack, confidence", Scheduler::Knapsack { tracks_confidence: true }, false),
        contender(
            "QueueingLP, confidence",
            Scheduler::QueueingLP { approximate: false, tracks_confidence: true },
            false,
        ),
    ]
}

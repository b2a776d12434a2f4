//! What evaluators predict of a plan.

use domain::plan::{Violation, upper_loss, violations};
use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Problem, Unsupported};
use planner::Decomposition;
use simulator::Simulation;
use std::num::NonZeroU32;

const REPLICATIONS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Seed of the search; arrivals are others than those it has looked at.
    pub seed: u64,
    /// Arrivals that are simulated. Default: 400,000, by which a loss of 1 % is known to a tenth of it.
    pub arrivals: u64,
    /// Cores for simulations; 0 for all.
    pub threads: usize,
}

impl Default for Look {
    fn default() -> Self {
        Self { seed: 1, arrivals: 400_000, threads: 0 }
    }
}

/// What an evaluator predicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Its name.
    pub evaluator: String,
    /// The prediction.
    pub outcome: Result<Evaluation, Unsupported>,
}

impl Prediction {
    /// What is predicted, where anything is.
    pub fn evaluation(&self) -> Option<&Evaluation> {
        self.outcome.as_ref().ok()
    }
}

/// What each evaluator predicts of a plan, the one that is trusted most last.
pub fn predict(problem: &Problem, plan: &Plan, look: &Look) -> Vec<Prediction> {
    let seed = look.seed ^ 0x0A55_E55E;
    let effort = EvaluationEffort { seed, replications: REPLICATIONS, arrivals: look.arrivals, stop: None };
    let simulation = Simulation { threads: look.threads };
    let evaluators: [&dyn Evaluator; 2] = [&Decomposition { judges: true }, &simulation];
    let predictions = evaluators.into_iter().map(|evaluator| Prediction {
        evaluator: evaluator.name().to_owned(),
        outcome: evaluator.evaluate(problem, plan, &effort),
    });
    predictions.collect()
}

/// The prediction that judges: the last one that was made at all.
pub fn judge(predictions: &[Prediction]) -> Option<&Prediction> {
    let made = |one: &&Prediction| one.evaluation().is_some_and(|found| !found.replications.is_empty());
    predictions.iter().rev().find(made)
}

/// Targets of a service that an evaluation misses.
pub fn misses(problem: &Problem, evaluation: &Evaluation, service: usize) -> Vec<Violation> {
    if evaluation.replications.is_empty() {
        return vec![];
    }
    let metrics = evaluation.service(service);
    let loss = if evaluation.is_sampled { upper_loss(evaluation, service) } else { metrics.loss };
    violations(&problem.services[service].targets, &metrics, loss)
}

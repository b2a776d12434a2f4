//! What was decided, and by which predictions.

use super::document::SearchDocument;
use domain::{Evaluation, Plan, Unsupported};

/// A plan for all services, with what evaluators predict of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// What gateways are to do.
    pub(crate) plan: Plan,
    /// What each evaluator predicts, the one that is trusted most last.
    pub(crate) predictions: Vec<Prediction>,
    /// The best plan that was not taken, as the judging evaluator sees it.
    pub(crate) runner_up: Option<RunnerUp>,
    /// Accuracy per service on samples that chose thresholds and on others; empty where nothing was chosen jointly.
    pub(crate) held_out: Vec<(f64, f64)>,
    /// How it was found.
    pub(crate) search: SearchDocument,
}

/// What an evaluator predicts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prediction {
    /// Its name.
    pub(crate) evaluator: String,
    /// The prediction.
    pub(crate) outcome: Result<Evaluation, Unsupported>,
}

/// A plan that was not taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunnerUp {
    /// What gateways would do.
    pub(crate) plan: Plan,
    /// What is predicted of it.
    pub(crate) evaluation: Evaluation,
    /// Why it lost, in words.
    pub(crate) why: String,
}

impl From<&planner::RunnerUp> for RunnerUp {
    fn from(other: &planner::RunnerUp) -> Self {
        Self { plan: other.plan.clone(), evaluation: other.evaluation.clone(), why: other.why.clone() }
    }
}

impl Decision {
    /// The prediction that judges: the last one that was made at all.
    pub(crate) fn judge(&self) -> Option<&Prediction> {
        let made = |one: &&Prediction| one.evaluation().is_some_and(|found| !found.replications.is_empty());
        self.predictions.iter().rev().find(made)
    }
}

impl Prediction {
    /// What is predicted, where anything is.
    pub(crate) fn evaluation(&self) -> Option<&Evaluation> {
        self.outcome.as_ref().ok()
    }
}

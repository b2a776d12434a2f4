//! What was decided, and by which predictions.

use super::document::SearchDocument;
use super::progress::Line;
use crate::exit_code::{Failure, Outcome};
use deployment::{Ask, Deployment, Found, Look, Prediction, Undecided, judge, predict};
use domain::{Evaluation, Plan, Problem};
use std::time::Instant;

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
    /// Of what was found, with what evaluators predict of it.
    pub(super) fn new(problem: &Problem, found: Found, ask: &Ask) -> Self {
        let predictions = predict(problem, &found.plan, &Look { seed: ask.seed, ..Look::default() });
        let search = SearchDocument::new(ask, &found);
        let runner_up = found.runner_up.as_ref().map(RunnerUp::from);
        Self { plan: found.plan, predictions, runner_up, held_out: found.held_out, search }
    }

    /// The prediction that judges.
    pub(crate) fn judge(&self) -> Option<&Prediction> {
        judge(&self.predictions)
    }
}

/// Asks the planner, and shows how far it is.
pub(crate) fn decide(problem: &Problem, deployment: &Deployment, ask: &Ask) -> Outcome<Found> {
    let began = Instant::now();
    let line = Line::new(began, ask.budget);
    let clock = || {
        line.show();
        began.elapsed()
    };
    deployment::decide(problem, deployment, ask, None, &clock).map_err(|error| match error {
        Undecided::Refused(refused) => Failure::input(refused),
        wrong @ Undecided::Wrong(_) => Failure::Running(wrong.into()),
    })
}

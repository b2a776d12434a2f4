//! What a placement is worth: of the best quick plan for it, what an evaluator says.

use super::Request;
use super::build::{build, given};
use super::ground::Demand;
use super::route::Placement;
use crate::joint::{Estimate, Pricer, pricers_of};
use domain::{Plan, Policy, Problem, Score};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a target missed by its own size counts, against a share of right answers of one; as in the search for plans.
const VIOLATION: f64 = 2.0;
/// Evaluations that a judgement counts for: it takes about as long as so many estimates.
const JUDGING: u64 = 4;

/// What a placement is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Appraisal {
    /// The problem of the placement.
    pub problem: Problem,
    /// A plan for it, made quickly: one policy per service of the problem.
    pub plan: Plan,
    /// What the evaluator says of that plan.
    pub score: Score,
    /// As one number, of which more is better: accuracy less twice what is missed of targets, less a little for every
    /// fragment. 1 is a right answer to every job.
    pub worth: f64,
}

/// Values placements and counts how often.
pub(super) struct Appraiser<'a> {
    request: &'a Request<'a>,
    pricers: Vec<Arc<Pricer>>,
    known: BTreeMap<Placement, f64>,
    pub(super) spent: u64,
}

impl<'a> Appraiser<'a> {
    pub(super) fn new(request: &'a Request<'a>) -> Self {
        let models = request.demands.iter().map(|demand: &Demand| &demand.model);
        Self { request, pricers: pricers_of(models), known: BTreeMap::new(), spent: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.request.budget.is_over(self.spent)
    }

    /// A quick guess at its worth. What was asked before costs nothing.
    pub(super) fn estimate(&mut self, placement: &Placement) -> f64 {
        if let Some(known) = self.known.get(placement) {
            return *known;
        }
        self.spent += 1;
        let merit = self.on(placement, |estimate| estimate.merit()).unwrap_or(f64::NEG_INFINITY);
        let worth = merit - self.fragments(placement);
        self.known.insert(placement.clone(), worth);
        worth
    }

    /// What it is worth; `None` where nobody can tell.
    pub(super) fn judge(&mut self, placement: &Placement) -> Option<Appraisal> {
        self.spent += JUDGING;
        let request = self.request;
        let found = self.on(placement, |estimate| {
            let plan = estimate.plan()?;
            let evaluation = request.judge.evaluate(estimate.problem, &plan, &request.effort).ok()?;
            Some((plan, Score::of(estimate.problem, &evaluation), estimate.problem.clone()))
        });
        let (plan, score, problem) = found??;
        let worth = score.accuracy - VIOLATION * score.violation - self.fragments(placement);
        let worth = if worth.is_nan() { f64::NEG_INFINITY } else { worth };
        Some(Appraisal { problem, plan, score, worth })
    }

    fn fragments(&self, placement: &Placement) -> f64 {
        let count: usize = (0..placement.services.len()).map(|service| placement.fragments(service).len()).sum();
        self.request.costs.fragment * count as f64
    }

    /// `None` without services, and where something panics: one placement that cannot be valued is no reason to end.
    fn on<Found>(&self, placement: &Placement, look: impl FnOnce(&Estimate<'_>) -> Found) -> Option<Found> {
        let built = build(self.request.ground, self.request.demands, placement);
        if built.problem.services.is_empty() {
            return None;
        }
        let fixed = |(index, &demand): (usize, &usize)| -> Option<Policy> {
            given(&built.problem, index, &self.request.demands[demand])
        };
        let estimate = Estimate {
            problem: &built.problem,
            fixed: built.demands.iter().enumerate().map(fixed).collect(),
            pricers: built.demands.iter().map(|&demand| self.pricers[demand].clone()).collect(),
        };
        catch_unwind(AssertUnwindSafe(|| look(&estimate))).ok()
    }
}

//! Planning again while gateways serve.

use super::joint::{Jointly, jointly};
use super::{Ask, Clock, Undecided, checked, rivals, single};
use crate::{Deployment, Refused, ServicePlan};
use domain::plan::beats;
use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Policy, Problem};
use planner::Verdict;
use simulator::Simulation;
use std::num::NonZeroU32;

/// Share of the budget for simulating each of two plans.
const PER_PLAN: f64 = 0.3;
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");

/// What came of planning again.
#[derive(Debug, Clone, PartialEq)]
pub enum Replanned {
    /// A plan that beats the one in force, and by how much, in words.
    Better {
        /// The plan.
        plan: Plan,
        /// What it gains.
        gain: String,
    },
    /// The plan in force stays, and why, in words.
    Kept(String),
}

/// Plans again for a problem that has changed. Services that want no new plans keep what `incumbent` gives them.
/// `confidences`: per service as they are observed, where its scheduler tracks them.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn replan(
    problem: &Problem,
    deployment: &Deployment,
    incumbent: &Plan,
    confidences: &[Option<Vec<f64>>],
    ask: &Ask,
    clock: Clock<'_>,
) -> Result<Replanned, Undecided> {
    let began = clock();
    let of_service =
        |(index, (service, policy)): (usize, (&ServicePlan, &Policy))| match service.resolved.reoptimization {
            None => Ok(Some(policy.clone())),
            Some(_) => single(problem, service, index, confidences.get(index).and_then(Option::as_deref)),
        };
    let services = deployment.services.iter().zip(&incumbent.policies).enumerate();
    let fixed = services.map(of_service).collect::<Result<Vec<_>, Refused>>()?;
    if let Some(policies) = fixed.iter().cloned().collect::<Option<Vec<Policy>>>() {
        let plan = checked(problem, Plan { policies })?;
        return Ok(compared(problem, plan, incumbent, ask));
    }
    let rivals = rivals(problem, deployment, &fixed, ask, (began, clock));
    let Jointly { plan, planned, .. } = jointly(problem, &fixed, &rivals, Some(incumbent), ask, (began, clock));
    if let Verdict::Kept(why) = planned.verdict {
        return Ok(Replanned::Kept(why));
    }
    let gain = planned.evaluations.first().map_or_else(String::new, |(_, found)| expected(found));
    Ok(Replanned::Better { plan: checked(problem, plan)?, gain })
}

/// Policies of services (by index) whose schedulers track confidence, for what is observed. Nobody compares them with those in
/// force: exit tables, by which plans are judged, are what they do not trust.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn retune(
    problem: &Problem,
    deployment: &Deployment,
    incumbent: &Plan,
    confidences: &[(usize, Vec<f64>)],
) -> Result<Vec<(usize, Policy)>, Undecided> {
    let mut plan = incumbent.clone();
    let mut retuned = vec![];
    for (index, confidences) in confidences {
        let (Some(service), Some(place)) = (deployment.services.get(*index), plan.policies.get_mut(*index)) else {
            continue;
        };
        if let Some(policy) = single(problem, service, *index, Some(confidences))? {
            place.clone_from(&policy);
            retuned.push((*index, policy));
        }
    }
    checked(problem, plan)?;
    Ok(retuned)
}

/// Plans of schedulers that ask nobody else: the new one counts only if it beats the one in force.
fn compared(problem: &Problem, plan: Plan, incumbent: &Plan, ask: &Ask) -> Replanned {
    if plan == *incumbent {
        return Replanned::Kept("its schedulers make the same of it".to_owned());
    }
    let simulation = Simulation { threads: ask.threads };
    let affordable = planner::arrivals_within(problem, ask.budget.mul_f64(PER_PLAN), ask.cores());
    let arrivals = planner::enough(problem, affordable);
    let effort = EvaluationEffort { seed: ask.seed, replications: REPLICATIONS, arrivals, stop: None };
    let judge = |plan: &Plan| simulation.evaluate(problem, plan, &effort).ok();
    match (judge(&plan), judge(incumbent)) {
        (Some(ours), Some(theirs)) if beats(problem, &ours, &theirs) => {
            Replanned::Better { gain: expected(&ours), plan }
        }
        (Some(_), Some(_)) => Replanned::Kept("the new one does not beat it".to_owned()),
        _ => Replanned::Kept("nobody could tell what the new one would do".to_owned()),
    }
}

/// What a plan is expected to do, per service.
fn expected(found: &Evaluation) -> String {
    let of_service = |service: usize| {
        let metrics = found.service(service);
        format!("{} without an answer, accuracy {}", percent(metrics.unanswered()), percent(metrics.accuracy))
    };
    format!("expected: {}", (0..found.services()).map(of_service).collect::<Vec<_>>().join("; "))
}

/// Small shares keep two digits, so that 0.04 % is not 0.
fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent < 1.0 => format!("{percent:.2} %"),
        percent => format!("{percent:.1} %"),
    }
}

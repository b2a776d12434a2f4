//! Planning again while gateways serve: what changes, and what a plan says in one line.

use super::decide::{Ask, checked, jointly, rivals, single};
use crate::deploy::{Deployment, ServicePlan};
use crate::exit_code::Outcome;
use crate::format::percent;
use domain::plan::beats;
use domain::{Choice, Evaluation, EvaluationEffort, Evaluator, Plan, Policy, Problem};
use simulator::Simulation;
use std::num::NonZeroU32;

/// How much is simulated to compare two plans.
const ARRIVALS: u64 = 40_000;
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");

/// What came of planning again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replanned {
    /// A plan that beats the one in force, and by how much, in words.
    Better {
        /// The plan.
        plan: Plan,
        /// What it gains.
        gain: String,
    },
    /// The plan in force is as good.
    Kept,
}

/// Plans again for a problem that has changed. Services that want no new plans keep what `incumbent` gives them.
/// `confidences`: per service as they are observed, where its scheduler tracks them.
pub(crate) fn replan(
    problem: &Problem,
    deployment: &Deployment,
    incumbent: &Plan,
    confidences: &[Option<Vec<f64>>],
    ask: &Ask,
) -> Outcome<Replanned> {
    let of_service =
        |(index, (service, policy)): (usize, (&ServicePlan, &Policy))| match service.resolved.reoptimization {
            None => Ok(Some(policy.clone())),
            Some(_) => single(problem, service, index, confidences.get(index).and_then(Option::as_deref)),
        };
    let services = deployment.services.iter().zip(&incumbent.policies).enumerate();
    let fixed = services.map(of_service).collect::<Outcome<Vec<_>>>()?;
    if let Some(policies) = fixed.iter().cloned().collect::<Option<Vec<Policy>>>() {
        let plan = checked(problem, Plan { policies })?;
        return Ok(compared(problem, plan, incumbent, ask));
    }
    let (plan, _, planned) = jointly(problem, &fixed, &rivals(problem, deployment, &fixed), Some(incumbent), ask);
    if !planned.verdict.is_new() {
        return Ok(Replanned::Kept);
    }
    let gain = planned.evaluations.first().map_or_else(String::new, |(_, found)| expected(found));
    Ok(Replanned::Better { plan: checked(problem, plan)?, gain })
}

/// Policies of services (by index) whose schedulers track confidence, for what is observed. Nobody compares them with those in
/// force: exit tables, by which plans are judged, are what they do not trust.
pub(crate) fn retune(
    problem: &Problem,
    deployment: &Deployment,
    incumbent: &Plan,
    confidences: &[(usize, Vec<f64>)],
) -> Outcome<Vec<(usize, Policy)>> {
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
    let simulation = Simulation { threads: ask.threads };
    let effort = EvaluationEffort { seed: ask.seed, replications: REPLICATIONS, arrivals: ARRIVALS, stop: None };
    let judge = |plan: &Plan| simulation.evaluate(problem, plan, &effort).ok();
    match (judge(&plan), judge(incumbent)) {
        (Some(ours), Some(theirs)) if beats(problem, &ours, &theirs) => {
            Replanned::Better { gain: expected(&ours), plan }
        }
        _ => Replanned::Kept,
    }
}

/// What a plan is expected to do, per service.
fn expected(found: &Evaluation) -> String {
    let of_service = |service: usize| {
        let metrics = found.service(service);
        let (unanswered, accuracy) = (Some(metrics.unanswered()), Some(metrics.accuracy));
        format!("{} without an answer, accuracy {}", percent(unanswered), percent(accuracy))
    };
    format!("expected: {}", (0..found.services()).map(of_service).collect::<Vec<_>>().join("; "))
}

/// The shares and thresholds of a policy at its forecast, on one line: `60 % left at 0.72 0.81 closed`.
pub(crate) fn in_words(policy: &Policy) -> String {
    let forecast = policy.rates.as_ref().and_then(|rates| rates.rows.iter().find(|row| row.up_to >= 1.0 - 1e-9));
    let mixture = forecast.map_or(&policy.default, |row| &row.default);
    let choices: Vec<String> = mixture.choices().iter().map(|one| choice(one, policy)).collect();
    let table = policy.rates.as_ref().map(|rates| format!("; {} rows for other rates", rates.rows.len()));
    format!("{}{}", choices.join("; "), table.unwrap_or_default())
}

fn choice(choice: &Choice, policy: &Policy) -> String {
    let threshold = |&value: &f32| match value {
        1.0 => "closed".to_owned(),
        0.0 => "always".to_owned(),
        value if value > 0.995 => format!("{value:.4}"),
        value => format!("{value:.2}"),
    };
    let (share, chain) = (100.0 * choice.probability.get(), &policy.chains[choice.chain].name);
    let present = match choice.by_present.len() {
        0 => String::new(),
        entries => format!(" (by jobs present, up to {entries})"),
    };
    let thresholds: Vec<String> = choice.thresholds.as_slice().iter().map(threshold).collect();
    format!("{share:.0} % {chain} at {}{present}", thresholds.join(" "))
}

//! A decision as an EENNPlan: what the operator stores, and `eenn plan --output yaml` prints.

use crate::{Deployment, Prediction, Refused, ServicePlan, judge, misses};
use api::{
    Decimal, EENNPlanSpec, ForecastRate, MissedTarget, Name, ObjectReference, PlannedChain, PlannedChoice,
    PlannedFragment, Ratio,
};
use domain::plan::{Target, Violation};
use domain::{Evaluation, Mixture, Plan, Policy, Problem};
use wire::document::PolicyVersion;

/// Limits of the resource.
const LONGEST_REASON: usize = 1024;
const LONGEST_POLICY: usize = 512 << 10;
const MOST_CHOICES: usize = 128;
const LONGEST_TIME: f64 = 86_400_000.0;
/// Places behind the point. More than these of a prediction are noise.
const PREDICTED: usize = 4;
const EXACT: usize = 15;

/// What was decided for all services of a problem, in its order.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// What was planned for.
    pub problem: &'a Problem,
    /// Its services.
    pub deployment: &'a Deployment,
    /// What gateways are to do.
    pub plan: &'a Plan,
    /// What evaluators predict of it, the one that is trusted most last.
    pub predictions: &'a [Prediction],
}

/// The plan of one service. Of its `policy` gateways get the part that is theirs ([`ServicePlan::policy_at`]).
///
/// # Errors
/// A policy that is too large for an object.
pub fn spec(decided: &Decided<'_>, service: usize, generation: i64, reason: &str) -> Result<EENNPlanSpec, Refused> {
    let (problem, plan) = (decided.problem, &decided.deployment.services[service]);
    let policy = &decided.plan.policies[service];
    let made = decided.predictions.iter().rev().filter_map(|one| Some((&one.evaluator, one.evaluation()?)));
    let judging = judge(decided.predictions).and_then(Prediction::evaluation);
    Ok(EENNPlanSpec {
        service_ref: ObjectReference { name: named(&plan.name) },
        generation,
        reason: reason.chars().take(LONGEST_REASON).collect(),
        chains: chains(plan),
        choices: choices(policy),
        policy: document(plan, policy, generation)?,
        forecast: forecast(problem, service),
        predicted: made
            .filter(|(_, found)| !found.replications.is_empty())
            .map(|(evaluator, found)| metrics(evaluator, found, service))
            .collect(),
        missed: judging.map(|found| missed(&misses(problem, found, service))).unwrap_or_default(),
    })
}

fn named(name: &str) -> Name {
    name.parse().expect("manifests name things by names")
}

fn document(service: &ServicePlan, policy: &Policy, generation: i64) -> Result<String, Refused> {
    let version = PolicyVersion { transitions: 0, generation: generation.unsigned_abs() };
    let text = serde_json::to_string(&service.document(policy, version));
    let text = text.expect("documents have no keys but text");
    match text.len() {
        0..=LONGEST_POLICY => Ok(text),
        long => Err(Refused(format!(
            "the policy of service {:?} takes {long} bytes; an EENNPlan holds {LONGEST_POLICY}",
            service.name
        ))),
    }
}

/// The placement of a service.
pub fn chains(service: &ServicePlan) -> Vec<PlannedChain> {
    let resolved = &service.resolved;
    let segment = |index: usize| i32::try_from(index + 1).expect("models have few segments");
    let fragment = |&index: &usize| PlannedFragment {
        node: resolved.fragments[index].device.parse().expect("devices are named like nodes"),
        first_segment: segment(resolved.fragments[index].range.first),
        last_segment: segment(resolved.fragments[index].range.last),
    };
    let chain = |chain: &api::ResolvedChain| PlannedChain {
        name: named(&chain.name),
        fragments: chain.fragments.iter().map(fragment).collect(),
    };
    resolved.chains.iter().map(chain).collect()
}

/// What a policy does with jobs at its forecast; the first 128 choices.
pub fn choices(policy: &Policy) -> Vec<PlannedChoice> {
    let row = policy.rates.as_ref().and_then(|rates| rates.rows.iter().find(|row| row.up_to >= 1.0 - 1e-9));
    let (default, sources) = row.map_or((&policy.default, &policy.sources), |row| (&row.default, &row.sources));
    let of_source = sources.iter().flat_map(|(name, mixture)| of_mixture(Some(name), mixture, policy));
    of_mixture(None, default, policy).into_iter().chain(of_source).take(MOST_CHOICES).collect()
}

fn of_mixture(source: Option<&str>, mixture: &Mixture, policy: &Policy) -> Vec<PlannedChoice> {
    let choice = |choice: &domain::Choice| PlannedChoice {
        source: source.map(named),
        probability: Ratio::rounded(choice.probability.get(), EXACT).expect("probabilities are ratios"),
        chain: named(&policy.chains[choice.chain].name),
        thresholds: choice.thresholds.as_slice().iter().map(|&one| threshold(one)).collect(),
    };
    mixture.choices().iter().map(choice).collect()
}

/// Thresholds are f32: 0.7 stays 0.7 and does not become 0.699999988079071.
fn threshold(value: f32) -> Ratio {
    let short = value.to_string();
    short.parse().unwrap_or_else(|_| Ratio::rounded(f64::from(value), EXACT).expect("thresholds are ratios"))
}

/// Arrival rates that a service is planned for.
pub fn forecast(problem: &Problem, service: usize) -> Vec<ForecastRate> {
    let rate = |source: &domain::problem::Source| {
        let rate = Decimal::rounded(source.rate.get(), PREDICTED)?;
        Some(ForecastRate { source: named(&source.name), rate })
    };
    problem.services[service].sources.iter().filter_map(rate).collect()
}

/// What an evaluator predicts of a service, rounded.
pub fn metrics(evaluator: &str, found: &Evaluation, service: usize) -> api::status::Metrics {
    let metrics = found.service(service);
    let milliseconds = |seconds: f64| {
        let time = (seconds * 1e3).round();
        (0.0..=LONGEST_TIME).contains(&time).then_some(time as i64)
    };
    api::status::Metrics {
        loss_ratio: Ratio::rounded(metrics.loss, PREDICTED),
        accuracy: Ratio::rounded(metrics.accuracy, PREDICTED),
        mean_latency_milliseconds: milliseconds(metrics.mean_latency),
        p95_latency_milliseconds: milliseconds(metrics.p95_latency),
        evaluator: evaluator.parse().ok(),
    }
}

/// Targets that are missed, by the names of their fields.
pub fn missed(violations: &[Violation]) -> Vec<MissedTarget> {
    let miss = |violation: &Violation| {
        let (target, unit) = match violation.target {
            Target::Loss => ("maxLossRatio", 1.0),
            Target::Accuracy => ("minAccuracy", 1.0),
            Target::MeanLatency => ("maxMeanLatencyMilliseconds", 1e3),
            Target::P95Latency => ("maxP95LatencyMilliseconds", 1e3),
        };
        Some(MissedTarget {
            target: target.to_owned(),
            limit: Decimal::rounded(violation.limit * unit, EXACT - 3)?,
            predicted: Decimal::rounded(violation.predicted * unit, PREDICTED),
        })
    };
    violations.iter().filter_map(miss).collect()
}

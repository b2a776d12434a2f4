//! An EENNPlan as a document: what `--output json` prints, and what tables are made from. Pure.

use super::super::plans::{Plans, Standing, shares, way};
use crate::plan::{MissDocument, PredictionDocument, ServiceDocument, TargetsDocument};
use api::status::Metrics;
use api::{EENNModel, EENNPlan, EENNPlanSpec, EENNService, MissedTarget, QoSTarget};
use domain::problem::Targets;
use domain::{Policy, ServiceMetrics};
use kube::ResourceExt;
use serde::Serialize;
use wire::document::PolicyDocument;

/// The plans of a service, one of them in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlansDocument {
    /// Namespace of the service.
    pub(crate) namespace: String,
    /// Name of the service.
    pub(crate) service: String,
    /// All plans that are kept, the newest last.
    pub(crate) plans: Vec<PlanLine>,
    /// The one that is shown.
    pub(crate) shown: Option<ShownPlan>,
    /// What would change if the plan that waits were approved; null where none waits.
    pub(crate) proposal: Option<Proposal>,
}

/// A plan in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanLine {
    /// Its name.
    pub(crate) name: String,
    /// Counts the plans of the service.
    pub(crate) generation: i64,
    /// What it is to the service.
    pub(super) standing: Standing,
    /// When it was made.
    pub(crate) created: Option<String>,
    /// Why it was made.
    pub(crate) reason: String,
    /// What was predicted by whoever decided.
    pub(crate) predicted: Option<Metrics>,
}

/// A plan in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownPlan {
    /// Its name.
    pub(crate) name: String,
    /// Counts the plans of the service.
    pub(crate) generation: i64,
    /// What it is to the service.
    pub(super) standing: Standing,
    /// Whether all targets are expected to be met.
    pub(crate) meets_targets: bool,
    /// Who predicted what decided; null where nobody could.
    pub(crate) judge: Option<String>,
    /// Where fragments live.
    pub(crate) chains: Vec<ChainLine>,
    /// What is done with jobs; null where the policy cannot be read.
    pub(crate) policy: Option<ServiceDocument>,
    /// Why the policy cannot be read.
    pub(crate) unreadable: Option<String>,
}

/// A chain in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainLine {
    /// Its name.
    pub(crate) name: String,
    /// Share of all jobs that take it at the forecast.
    pub(crate) share: f64,
    /// Devices and segments: `pi 1–3 → box 4–6`.
    pub(crate) way: String,
}

/// What a plan that waits would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proposal {
    /// The plan that waits.
    pub(crate) name: String,
    /// Its generation.
    pub(crate) generation: i64,
    /// Why it was made.
    pub(crate) reason: String,
    /// The plan in force; null for the first one.
    pub(crate) instead_of: Option<String>,
    /// Each chain before and after; null where it is not.
    pub(crate) chains: Vec<ChainChange>,
    /// What is predicted before and after.
    pub(crate) predicted: [Option<Metrics>; 2],
    /// Pods that would be started: `box 1–6`.
    pub(crate) started: Vec<String>,
    /// Pods that would go when the new ones are ready.
    pub(crate) stopped: Vec<String>,
}

/// A chain before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainChange {
    /// Its name.
    pub(crate) name: String,
    /// In the plan in force.
    pub(crate) before: Option<ChainLine>,
    /// In the plan that waits.
    pub(crate) after: Option<ChainLine>,
}

impl PlansDocument {
    /// Of the plans of a service; `shown`: the one to show in full.
    pub(crate) fn new(
        service: &EENNService,
        plans: &Plans<'_>,
        shown: Option<&EENNPlan>,
        model: Option<&EENNModel>,
        target: Option<&QoSTarget>,
    ) -> Self {
        let line = |plan: &&EENNPlan| PlanLine {
            name: plan.name_any(),
            generation: plan.spec.generation,
            standing: plans.standing(plan),
            created: plan.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()),
            reason: plan.spec.reason.clone(),
            predicted: plan.spec.predicted.first().cloned(),
        };
        Self {
            namespace: service.namespace().unwrap_or_default(),
            service: service.name_any(),
            plans: plans.all.iter().map(line).collect(),
            shown: shown.map(|plan| ShownPlan::new(service, plans, plan, model, target)),
            proposal: plans.proposed.map(|plan| Proposal::new(plans.in_force, plan)),
        }
    }
}

impl ShownPlan {
    fn new(
        service: &EENNService,
        plans: &Plans<'_>,
        plan: &EENNPlan,
        model: Option<&EENNModel>,
        target: Option<&QoSTarget>,
    ) -> Self {
        let policy = policy(service, &plan.spec, model, target);
        Self {
            name: plan.name_any(),
            generation: plan.spec.generation,
            standing: plans.standing(plan),
            meets_targets: !plan.spec.predicted.is_empty() && plan.spec.missed.is_empty(),
            judge: plan.spec.predicted.first().and_then(|one| one.evaluator.as_ref()).map(ToString::to_string),
            chains: chains(&plan.spec),
            unreadable: policy.as_ref().err().cloned(),
            policy: policy.ok(),
        }
    }
}

/// The chains of a plan, with their shares.
pub(crate) fn chains(spec: &EENNPlanSpec) -> Vec<ChainLine> {
    let shares = shares(spec);
    let line = |chain: &api::PlannedChain| ChainLine {
        name: chain.name.to_string(),
        share: shares.get(chain.name.as_str()).copied().unwrap_or_default(),
        way: way(chain),
    };
    spec.chains.iter().map(line).collect()
}

/// What a plan does with jobs, and what is predicted of it; the error says why its policy cannot be read.
pub(crate) fn policy(
    service: &EENNService,
    spec: &EENNPlanSpec,
    model: Option<&EENNModel>,
    target: Option<&QoSTarget>,
) -> Result<ServiceDocument, String> {
    let (policy, exits) = read(spec)?;
    let names = model.map(|model| model.spec.exits.iter().map(|exit| exit.name.to_string()).collect::<Vec<_>>());
    // A model that has changed since is not the one that was planned with.
    let names = names.filter(|names| names.len() == exits);
    let names = names.unwrap_or_else(|| (1..=exits).map(|number| number.to_string()).collect());
    let rates: Vec<_> = spec.forecast.iter().map(|one| (one.source.to_string(), one.rate.get())).collect();
    let targets = target.map_or_else(Targets::default, |target| deployment::targets(&target.spec));
    let scheduler = format!("{:?}", service.spec.scheduler.r#type);
    let name = service.name_any();
    Ok(ServiceDocument {
        predicted: spec.predicted.iter().rev().map(prediction).collect(),
        missed: spec.missed.iter().filter_map(miss).collect(),
        ..ServiceDocument::of_policy(&name, &scheduler, &names, &rates, &policy, TargetsDocument::new(&targets))
    })
}

/// The policy of a plan, and for how many exits it is.
pub(crate) fn read(spec: &EENNPlanSpec) -> Result<(Policy, usize), String> {
    let document: PolicyDocument = serde_json::from_str(&spec.policy).map_err(|error| error.to_string())?;
    let thresholds = spec.choices.first().map(|choice| choice.thresholds.len());
    let exits = thresholds.ok_or("the plan has no choices")? + 1;
    let last = spec.chains.iter().flat_map(|chain| &chain.fragments).map(|fragment| fragment.last_segment).max();
    let segments = usize::try_from(last.unwrap_or_default()).unwrap_or_default();
    let read = policy::read(&document, exits, segments).map_err(|error| error.to_string())?;
    Ok((read.policy, exits))
}

fn prediction(metrics: &Metrics) -> PredictionDocument {
    let evaluator = metrics.evaluator.as_ref().map_or("", |name| name.as_str());
    let milliseconds = |time: Option<i64>| time.map(|time| time as f64);
    PredictionDocument {
        loss: metrics.loss_ratio.as_ref().map(api::Ratio::get),
        accuracy: metrics.accuracy.as_ref().map(api::Ratio::get),
        mean_latency_milliseconds: milliseconds(metrics.mean_latency_milliseconds),
        p95_latency_milliseconds: milliseconds(metrics.p95_latency_milliseconds),
        // Formulas fit it to mean and variance.
        p95_is_fitted: evaluator == "decomposition" && metrics.p95_latency_milliseconds.is_some(),
        ..PredictionDocument::empty(evaluator, ServiceMetrics::default())
    }
}

fn miss(missed: &MissedTarget) -> Option<MissDocument> {
    let target = match missed.target.as_str() {
        "maxLossRatio" => "maxLoss",
        "minAccuracy" => "minAccuracy",
        "maxMeanLatencyMilliseconds" => "maxMeanLatencyMilliseconds",
        "maxP95LatencyMilliseconds" => "maxP95LatencyMilliseconds",
        _ => return None,
    };
    let (limit, predicted) = (missed.limit.get(), missed.predicted.as_ref().map(api::Decimal::get));
    Some(MissDocument { target, limit, predicted, relative: None })
}

impl Proposal {
    /// What changes from the plan in force to the one that waits.
    pub(crate) fn new(in_force: Option<&EENNPlan>, waiting: &EENNPlan) -> Self {
        let before = in_force.map(|plan| chains(&plan.spec)).unwrap_or_default();
        let after = chains(&waiting.spec);
        let find = |chains: &[ChainLine], name: &str| chains.iter().find(|chain| chain.name == name).cloned();
        let new = after.iter().filter(|chain| find(&before, &chain.name).is_none());
        let changes = before.iter().chain(new).map(|chain| ChainChange {
            name: chain.name.clone(),
            before: find(&before, &chain.name),
            after: find(&after, &chain.name),
        });
        let (old, new) = (in_force.map(|plan| pods(&plan.spec)).unwrap_or_default(), pods(&waiting.spec));
        Self {
            name: waiting.name_any(),
            generation: waiting.spec.generation,
            reason: waiting.spec.reason.clone(),
            instead_of: in_force.map(ResourceExt::name_any),
            chains: changes.collect(),
            predicted: [in_force, Some(waiting)].map(|plan| plan?.spec.predicted.first().cloned()),
            started: new.iter().filter(|pod| !old.contains(pod)).cloned().collect(),
            stopped: old.iter().filter(|pod| !new.contains(pod)).cloned().collect(),
        }
    }
}

/// Fragments, each once, as several chains may pass through one.
fn pods(spec: &EENNPlanSpec) -> Vec<String> {
    let all: std::collections::BTreeSet<String> =
        spec.chains.iter().flat_map(|chain| &chain.fragments).map(super::super::plans::fragment).collect();
    all.into_iter().collect()
}

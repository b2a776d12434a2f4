//! The plans in force of a pool as a problem with a plan, and what limits one of its services. Pure.

use super::neighbours::{Member, Neighbours};
use crate::format::{digits, percent};
use crate::plan::{MissDocument, ServiceDocument, TargetsDocument, judged, limits};
use api::{EENNPlanSpec, EENNService};
use deployment::{Deployment, Look, Prediction, cluster, judge, misses};
use domain::{Evaluation, Plan, Problem};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::fmt::Write;

/// By so many a loss of 1 % is known to a fifth of it, within a second or two.
const ARRIVALS: u64 = 100_000;
/// Where the file of a model is does not matter.
const FILE: &str = "/model/model.onnx";

/// A problem with the plans in force.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) problem: Problem,
    pub(super) plan: Plan,
    /// Namespaces and names of services, in the order of the problem.
    places: Vec<cluster::Place>,
}

/// Sentences about a service; the error says what does not fit together.
pub(super) fn explained(neighbours: &Neighbours, service: &EENNService) -> Result<String, String> {
    let in_force = in_force(neighbours)?;
    let predictions =
        deployment::predict(&in_force.problem, &in_force.plan, &Look { arrivals: ARRIVALS, ..Look::default() });
    let judge = judge(&predictions);
    let place = (service.namespace().unwrap_or_default(), service.name_any());
    let index = in_force.places.iter().position(|one| *one == place);
    let index = index.ok_or_else(|| format!("service {:?} is not among those of its pool", place.1))?;
    let name = |place: &cluster::Place| format!("{}/{}", place.0, place.1);
    let member = neighbours.members.iter().find(|one| one.service.uid() == service.uid());
    let plan = member.map(|member| about(&member.plan.spec, &member.plan.name_any())).unwrap_or_default();
    let mut text = sentences(&in_force, judge, index, &place.1);
    let _ = writeln!(text, "{plan}");
    let others: Vec<String> = in_force.places.iter().filter(|one| **one != place).map(name).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "Pool {} is shared with {}.", neighbours.pool.name_any(), others.join(", "));
    }
    Ok(text)
}

fn sentences(in_force: &InForce, judge: Option<&Prediction>, index: usize, name: &str) -> String {
    let Some(evaluation) = judge.and_then(Prediction::evaluation) else {
        return format!("{}\n", judged(None, &[], false, false));
    };
    let missed: Vec<MissDocument> =
        misses(&in_force.problem, evaluation, index).iter().map(MissDocument::new).collect();
    let targets = TargetsDocument::new(&in_force.problem.services[index].targets);
    let meets = missed.is_empty();
    let service = ServiceDocument {
        missed,
        ..ServiceDocument::of_policy(name, "", &[], &[], &in_force.plan.policies[index], targets)
    };
    let verdict = judged(judge.map(|judge| judge.evaluator.as_str()), &[service], meets, false);
    format!(
        "{verdict}\n\n{}{}",
        limits(&in_force.problem, &in_force.plan, evaluation, index),
        numbers(evaluation, index)
    )
}

/// What comes of it in numbers.
fn numbers(evaluation: &Evaluation, index: usize) -> String {
    let metrics = evaluation.service(index);
    format!(
        "\nExpected now: {} of its jobs without an answer, accuracy {}, mean {} ms, p95 {} ms.\n",
        percent(Some(metrics.unanswered())),
        percent(Some(metrics.accuracy)),
        digits(metrics.mean_latency * 1e3),
        digits(metrics.p95_latency * 1e3)
    )
}

fn about(spec: &EENNPlanSpec, name: &str) -> String {
    let rates: Vec<String> = spec.forecast.iter().map(|one| format!("{} from {}", one.rate, one.source)).collect();
    format!("By plan {name}, at the jobs per second that it was made for: {}.", rates.join(", "))
}

/// Builds it.
pub(super) fn in_force(neighbours: &Neighbours) -> Result<InForce, String> {
    let nodes = neighbours.nodes.iter().filter_map(|node| cluster::node(node).ok()).collect();
    let member =
        |one: &'_ Member| -> (String, String) { (one.service.namespace().unwrap_or_default(), one.service.name_any()) };
    let members: Vec<cluster::Member<'_>> = neighbours.members.iter().map(Member::borrowed).collect();
    let all = cluster::of_pool(&neighbours.pool, nodes, &members);
    let of = |place: &cluster::Place| neighbours.members.iter().find(|one| member(one) == *place);
    let specs: BTreeMap<&str, &EENNPlanSpec> =
        all.services.iter().filter_map(|(name, place)| Some((name.as_str(), &of(place)?.plan.spec))).collect();
    let chains = specs.iter().map(|(name, spec)| ((*name).to_owned(), spec.chains.clone())).collect();
    let manifests = deployment::with_chains(&all.manifests, &chains);
    let resolved = manifests.resolve().map_err(|errors| errors.to_string().replace('\n', "; "))?;
    let files = resolved.services.iter().map(|service| (service.model.model.name.clone(), FILE.to_owned())).collect();
    let tables = neighbours.members.iter().filter_map(|one| {
        let place = (one.service.namespace().unwrap_or_default(), one.model.name_any());
        let (name, _) = all.models.iter().find(|(_, there)| **there == place)?;
        Some((name.clone(), one.table.clone()))
    });
    let served = resolved.services.iter().map(|service| &service.model);
    let cluster::Usable { models, wrong, .. } = cluster::usable(manifests, served, &tables.collect());
    if let Some(why) = wrong.into_values().next() {
        return Err(why);
    }
    let deployed: Deployment = deployment::deploy(&resolved, &files);
    let specs: Vec<&EENNPlanSpec> = deployed.services.iter().map(|service| specs[service.name.as_str()]).collect();
    let problem = deployment::problem(&deployed, &models).map_err(|refused| refused.0)?;
    let mut problem = deployment::with_forecast(problem, &specs);
    let plan = deployment::read_back(&deployed, &specs).map_err(|refused| refused.0)?;
    let places: Vec<cluster::Place> =
        deployed.services.iter().map(|service| all.services[&service.name].clone()).collect();
    // People know services by the names that they gave them.
    for (service, place) in problem.services.iter_mut().zip(&places) {
        service.name.clone_from(&place.1);
    }
    Ok(InForce { problem, plan, places })
}

impl Member {
    fn borrowed(&self) -> cluster::Member<'_> {
        cluster::Member { service: &self.service, model: &self.model, target: self.target.as_ref() }
    }
}

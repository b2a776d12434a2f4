//! Nodes that are gone: gateways are told at once to do without them, and planning, which takes longer, comes afterwards.

use super::Inputs;
use super::stored::{Made, put};
use crate::cache::Key;
use crate::controller::Failure;
use crate::service::{choice, is_paused, references};
use crate::{Context, clock};
use api::{EENNModel, EENNPlan, EENNPlanSpec, EENNService};
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What such a plan was made for, in the place of a hash: nothing that there ever is, so that it is planned anew whatever comes back.
const LOST: &str = "lost";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Whether there are new policies.
    pub(super) any: bool,
    /// One that could not be stored; those of other services are all the same.
    pub(super) failure: Option<Failure>,
}

/// Stores policies without the nodes that are gone for all services whose jobs still go there.
pub(super) async fn do_without(context: &Context, inputs: &Inputs) -> Done {
    let serving = serving(inputs);
    let mut done = Done::default();
    for (key, service) in served(context, inputs) {
        let plans = choice::own(&service, context.caches.plans.within(&key.namespace));
        let in_force = choice::choose(&service, &plans).in_force;
        let model = Key::new(&key.namespace, service.spec.model_ref.name.as_str());
        let (Some(plan), Some(model)) = (in_force, context.caches.models.get(&model)) else { continue };
        if let Some(spec) = without(&plan, &model, &serving) {
            let found = plans.last().and_then(|newest| Made::of(newest).found);
            let made = Made { hash: Some(LOST.to_owned()), found };
            match put(context, &service, plans.last(), spec, made).await {
                Ok(_) => done.any = true,
                // Stored a moment ago; the watch has not told of it yet.
                Err(failure) if failure.is("AlreadyExists") => done.any = true,
                Err(failure) => {
                    tracing::warn!(service = %key, "its policy without nodes that are gone is not stored: {failure}");
                    done.failure = Some(failure);
                }
            }
        }
    }
    done
}

/// Whether gateways of all services follow the plans in force, as far as they can be reached.
pub(super) fn are_told(context: &Context, inputs: &Inputs) -> bool {
    served(context, inputs).all(|(key, service)| {
        let plan = super::in_force(context, &service);
        plan.is_none_or(|plan| context.standings.are_told(key, plan.spec.generation.unsigned_abs(), clock::now()))
    })
}

/// Services whose gateways are told what to do: not those that are paused, or that the pool does not take any more.
fn served<'a>(context: &'a Context, inputs: &'a Inputs) -> impl Iterator<Item = (&'a Key, Arc<EENNService>)> {
    let all = inputs.services.values().chain(inputs.kept.values().map(|kept| &kept.key));
    let there = all.filter_map(|key| Some((key, context.caches.services.get(key)?)));
    there.filter(|(_, service)| !is_paused(service) && references::served(context, service).is_some())
}

/// Nodes of the pool that are ready. Those that are cordoned or tainted go on serving.
fn serving(inputs: &Inputs) -> BTreeSet<&str> {
    let nodes = inputs.manifests.nodes.iter();
    nodes.filter(|node| node.spec.trouble(&[]) != Some("not ready")).map(|node| node.name.as_str()).collect()
}

/// The plan without nodes that are not among those `serving`; `None` where it needs no change, or cannot do without them.
fn without(plan: &EENNPlan, model: &EENNModel, serving: &BTreeSet<&str>) -> Option<EENNPlanSpec> {
    let used = plan.spec.chains.iter().flat_map(|chain| &chain.fragments).map(|one| one.node.as_str());
    let gone: BTreeSet<String> = used.filter(|node| !serving.contains(node)).map(str::to_owned).collect();
    if gone.is_empty() {
        return None;
    }
    let (exits, segments) = (model.spec.exits.len(), model.spec.cuts.len() + 1);
    let spec = match deployment::without_nodes(&plan.spec, exits, segments, &gone) {
        Ok(spec) => spec?,
        Err(refused) => {
            tracing::warn!(plan = plan.name_any(), "cannot be read: {refused}");
            return None;
        }
    };
    let verb = if gone.len() == 1 { "is" } else { "are" };
    let gone: Vec<String> = gone.into_iter().collect();
    Some(EENNPlanSpec { reason: format!("{} {verb} gone: jobs take the other chains", gone.join(", ")), ..spec })
}

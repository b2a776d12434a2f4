//! Plans as they are stored: each is the next of its service, and carries what it was made for and what was found out with it.

use super::notes::Note;
use super::same::says_the_same;
use super::{in_force, made_for};
use crate::Context;
use crate::cache::Key;
use crate::controller::Failure;
use crate::gateways::mind::Mark;
use crate::service::{choice, is_paused, labels};
use api::{EENNPlan, EENNPlanSpec, EENNService};
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Stores a plan as the next of its service, unless it says what the newest one says already; `note`: what was found out with it, and after this
/// what is to be said of the plan that there is. Returns the generation of that.
pub(super) async fn store(
    context: &Context,
    service: &EENNService,
    newest: Option<&Arc<EENNPlan>>,
    spec: EENNPlanSpec,
    hash: &String,
    note: &mut Note,
) -> Result<i64, Failure> {
    let made = Made { hash: Some(hash.clone()), found: Some(note.to_carry()) };
    let Some(newest) = newest.filter(|newest| is_newest(context, service, newest)) else {
        return put(context, service, newest, spec, made).await.map(|(_, generation)| generation);
    };
    // One that was stored before another could not be stays: otherwise there would be one more with every try.
    let is_stored = made_for(newest) == Some(hash);
    let carried = Note::carried_by(newest).unwrap_or_default();
    match () {
        () if says_the_same(&newest.spec, &spec) || (is_stored && newest.spec.chains == spec.chains) => {
            carry_all(context, newest, made).await
        }
        // A placement that there was no room for is what it was tried again for.
        () if is_stored && carried.trouble.is_none() => {
            *note = carried;
            Ok(newest.spec.generation)
        }
        () => put(context, service, Some(newest), spec, made).await.map(|(_, generation)| generation),
    }
}

/// Whether nobody has stored another one since.
fn is_newest(context: &Context, service: &EENNService, plan: &EENNPlan) -> bool {
    let plans = choice::own(service, context.caches.plans.within(&service.namespace().unwrap_or_default()));
    plans.last().is_none_or(|newest| newest.spec.generation == plan.spec.generation)
}

/// Has the newest plan say why there is no newer one. Returns its generation.
pub(super) async fn carry(context: &Context, newest: Option<&Arc<EENNPlan>>, note: &Note) -> Result<i64, Failure> {
    let Some(newest) = newest else { return Ok(0) };
    carry_all(context, newest, Made { found: Some(note.to_carry()), ..Made::of(newest) }).await
}

async fn carry_all(context: &Context, plan: &EENNPlan, made: Made) -> Result<i64, Failure> {
    let there = Made::of(plan);
    let annotations = [(labels::INPUTS, made.hash, there.hash), (labels::FOUND, made.found, there.found)];
    let news = annotations.into_iter().filter(|(_, new, old)| new != old).map(|(name, new, _)| (name, new));
    let news: BTreeMap<_, _> = news.collect();
    if !news.is_empty() {
        let api = context.cluster.api::<EENNPlan>(&plan.namespace().unwrap_or_default());
        context.cluster.annotate(&api, plan, &news).await?;
    }
    Ok(plan.spec.generation)
}

/// What plans carry beside what they say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    /// Hash of what it was made for.
    pub(super) hash: Option<String>,
    /// What was found out with it.
    pub(super) found: Option<String>,
}

impl Made {
    pub(super) fn of(plan: &EENNPlan) -> Self {
        Self { hash: made_for(plan).cloned(), found: plan.annotations().get(labels::FOUND).cloned() }
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let pairs = [(labels::INPUTS, &self.hash), (labels::FOUND, &self.found)];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))).collect()
    }
}

/// Whether a plan may be renewed with this one: it has the placement in force, and nobody has said that all is to stay as it is.
pub fn may_renew(context: &Context, service: &EENNService, spec: &EENNPlanSpec) -> bool {
    !is_paused(service) && in_force(context, service).is_some_and(|plan| plan.spec.chains == spec.chains)
}

/// Stores a plan with another policy for the placement in force, as the next of its service. Returns what tells it from others,
/// and its generation.
pub async fn renew(context: &Context, service: &EENNService, spec: EENNPlanSpec) -> Result<(Mark, i64), Failure> {
    let plans = choice::own(service, context.caches.plans.within(&service.namespace().unwrap_or_default()));
    let newest = plans.last();
    // It is for the same manifests as the newest, so that nothing is planned anew for them.
    let made = newest.map_or(Made { hash: None, found: None }, |newest| Made::of(newest));
    put(context, service, newest, spec, made).await
}

/// Stores a plan that somebody has approved after newer ones as the next of its service. It may be for other manifests than those of now: then these
/// are planned for again, and what comes of it is proposed.
pub async fn bring_back(
    context: &Context,
    service: &EENNService,
    plan: &EENNPlan,
    reason: String,
) -> Result<(), Failure> {
    let plans = choice::own(service, context.caches.plans.within(&service.namespace().unwrap_or_default()));
    let spec = EENNPlanSpec { reason, ..plan.spec.clone() };
    match put(context, service, plans.last(), spec, Made::of(plan)).await {
        // It was stored a moment ago. One that is not the service's own is passed over as soon as the watch has told of it.
        Err(failure) if failure.is("AlreadyExists") => {}
        done => drop(done?),
    }
    // Else it would be remembered that nothing new came of what is wanted now.
    context.tried.forget(&Key::new("", service.spec.device_pool_ref.name.as_str()));
    Ok(())
}

/// Gateways tell policies apart by it: none is used twice, even if plans were deleted. Nor one whose name somebody else's plan has, such as
/// those that `kubectl delete --cascade=orphan` leaves.
fn next_generation(context: &Context, service: &EENNService, newest: Option<&Arc<EENNPlan>>) -> i64 {
    let used = service.status.as_ref().map_or(0, |status| status.last_plan_generation);
    let heard = i64::try_from(context.standings.highest_heard(&Key::of(service))).unwrap_or_default();
    let stored = context.plan_notes.highest_stored(&Key::of(service));
    let highest = newest.map_or(0, |newest| newest.spec.generation).max(used).max(heard).max(stored);
    (highest + 1..).find(|generation| !is_taken(context, service, *generation)).unwrap_or(highest + 1)
}

/// Whether the name that a plan of this generation would have is that of another one. One of its own that was stored meanwhile is not: what follows was
/// thought without it, and is refused.
fn is_taken(context: &Context, service: &EENNService, generation: i64) -> bool {
    let there = context.caches.plans.get(&Key::new(Key::of(service).namespace, plan_name(service, generation)));
    there.is_some_and(|plan| plan.spec.generation != generation || choice::own(service, vec![plan]).is_empty())
}

fn plan_name(service: &EENNService, generation: i64) -> String {
    format!("{}-{generation}", service.name_any())
}

pub(super) async fn put(
    context: &Context,
    service: &EENNService,
    newest: Option<&Arc<EENNPlan>>,
    spec: EENNPlanSpec,
    made: Made,
) -> Result<(Mark, i64), Failure> {
    let key = Key::of(service);
    let generation = next_generation(context, service, newest);
    let reference = api::ObjectReference { name: key.name.parse().unwrap_or(spec.service_ref.name.clone()) };
    let spec = EENNPlanSpec { generation, service_ref: reference, ..spec };
    let name = plan_name(service, generation);
    let mut plan = EENNPlan::new(&name, spec);
    plan.metadata = ObjectMeta {
        namespace: Some(key.namespace.clone()),
        labels: Some(labels::of_service(&key.name)),
        annotations: Some(made.annotations()),
        owner_references: service.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..plan.metadata
    };
    context.cluster.create(&context.cluster.api::<EENNPlan>(&key.namespace), &plan).await?;
    context.plan_notes.stores(key, generation);
    Ok(((name, made.hash), generation))
}

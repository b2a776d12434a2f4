//! Plans: for all services of a pool together, whenever something has changed that plans depend on.
//!
//! * [`inputs`]: what is planned with, and its hash: where that is the one that plans were made for, nothing is done.
//! * [`Tables`]: exit tables. [`think`]: the decision, pure. [`Notes`]: why a service has no plan.

pub mod inputs;
mod losses;
mod lost;
mod notes;
mod same;
mod stored;
mod tables;
#[cfg(test)]
mod tests;
pub mod think;
mod transition;
mod tried;

pub use losses::Losses;
pub use notes::{Note, Notes};
pub use stored::{bring_back, may_renew, renew};
pub use tables::Tables;
pub use tried::Tried;

use crate::cache::Key;
use crate::controller::{Controller, Failure};
use crate::service::choice;
use crate::service::references;
use crate::service::{is_paused, labels, model_ready};
use crate::{Context, clock};
use api::status::RejectedDevice;
use api::{DevicePool, EENNModel, EENNPlan, EENNPlanSpec, EENNService};
use deployment::{Ask, Look};
use inputs::{Candidate, Inputs};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use stored::{carry, store};
use think::{Effort, Thought};
use tracing::Instrument as _;
use tracing::field::Empty;

/// Time for the policies of a pool.
const BUDGET: Duration = Duration::from_millis(500);
/// The least, where many pools wait: plans of 10 ms are nearly as good (docs/design/planner-search.md), and pools without any serve nothing.
const LEAST_BUDGET: Duration = Duration::from_millis(80);
/// Placements that are looked at.
const PLACEMENTS: u64 = 200;
/// Arrivals by which the plan is looked at in the end.
const ARRIVALS: u64 = 100_000;

/// Time until it is looked again whether the gateways of a pool that has lost nodes have been told to do without.
const AFTER_LOSS: Duration = Duration::from_millis(250);
/// Time until a placement that there was no room for is looked for again.
const ROOM_AGAIN: Duration = Duration::from_mins(5);

/// Plans of services, by their names in the manifests: the newest ones, or those that gateways follow.
pub(crate) type Newest = BTreeMap<String, Arc<EENNPlan>>;

/// Makes plans for the services of a pool that have none for what there is now. `waiting`: pools that wait for theirs meanwhile.
pub async fn reconcile(
    context: &Context,
    pool: &str,
    services: &Controller<Key>,
    waiting: usize,
) -> Result<Option<Duration>, Failure> {
    let Some(pool) = context.caches.pools.get(&Key::new("", pool)) else { return Ok(None) };
    if !context.runs(&pool) {
        return Ok(None);
    }
    let Some(Gathered { inputs, tables, hash }) = gather(context, &pool, &BTreeMap::new()).await? else {
        return Ok(None);
    };
    let goes_on = inputs.services.is_empty();
    let newest = newest(context, &inputs);
    if is_done(context, &pool, &inputs, &newest, &hash) {
        return Ok(None);
    }
    let lost::Done { any, mut failure } = lost::do_without(context, &inputs).await;
    if any {
        // Should the nodes come back meanwhile, it is planned all the same.
        context.tried.forget(&Key::of(&*pool));
        context.losses.happened(&Key::of(&*pool), clock::now());
    }
    if context.losses.wait(&Key::of(&*pool), clock::now(), || !any && lost::are_told(context, &inputs)) {
        return Ok(Some(AFTER_LOSS));
    }
    if goes_on {
        // Nothing is planned for what is paused or lacks something; without nodes that are gone it has to do all the same.
        return failure
            .map_or(Ok(None), Err)
            .inspect(|_: &Option<Duration>| context.tried.set(&Key::of(&*pool), hash, f64::INFINITY));
    }
    let reason = reason(&inputs, &newest);
    tracing::info!(pool = pool.name_any(), services = inputs.services.len(), "planning: {reason}");
    // Where all have one, better plans are worth the wait.
    let waiting = if inputs.services.keys().all(|name| newest.contains_key(name)) { 0 } else { waiting };
    let span =
        tracing::info_span!("plan", pool = pool.name_any(), services = inputs.services.len(), reason, plans = Empty);
    let before = followed(context, &inputs, &newest);
    let (thought, inputs) =
        settled(context, inputs, tables, &before, reason, budget(waiting)).instrument(span.clone()).await;
    span.record("plans", thought.plans.len());
    drop(span);
    failure = publish(context, &inputs, &newest, &thought, &hash, services).await.or(failure);
    if let Some(failure) = failure {
        return Err(failure);
    }
    // Room comes and goes with pods that nothing of this is planned with.
    let again = inputs.services.keys().any(|name| thought.is_held(name)).then_some(ROOM_AGAIN);
    let until = again.map_or(f64::INFINITY, |again| clock::now() + again.as_secs_f64());
    context.tried.set(&Key::of(&*pool), hash, until);
    Ok(again)
}

/// Whether nothing is left to plan: it was tried with what there is now, or all have plans for it.
fn is_done(context: &Context, pool: &DevicePool, inputs: &Inputs, newest: &Newest, hash: &String) -> bool {
    let is_current = |name: &String| newest.get(name).is_some_and(|plan| made_for(plan) == Some(hash));
    // Something may have come of it for each service that is there now, and not for one of that name before.
    let note = |name: &str, key: &Key| {
        let generation = newest.get(name).map_or(0, |plan| plan.spec.generation);
        context.plan_notes.of(&*context.caches.services.get(key)?, generation)
    };
    let known = |(name, key): (&String, &Key)| note(name, key).is_some() || newest.contains_key(name);
    if context.tried.is(&Key::of(pool), hash, clock::now()) && inputs.services.iter().all(known) {
        return true;
    }
    // What is said of something before, which could not be planned for, is no longer true where it was taken back: planned again, it is known what is.
    let troubled = |(name, key): (&String, &Key)| {
        let note = note(name, key).or_else(|| Note::carried_by(newest.get(name)?));
        note.is_some_and(|note| note.trouble.is_some())
    };
    let is_planned = inputs.services.keys().all(is_current) && !inputs.services.iter().any(troubled);
    is_planned && !inputs.services.is_empty()
}

/// Stores plans, and says what was found out of each service. Returns a failure, if there was one: plans of other services are stored all the same.
async fn publish(
    context: &Context,
    inputs: &Inputs,
    newest: &Newest,
    thought: &Thought,
    hash: &String,
    services: &Controller<Key>,
) -> Option<Failure> {
    let mut failure = None;
    for (name, key) in &inputs.services {
        let Some(service) = context.caches.services.get(key) else { continue };
        let (mut note, newest) = (note(thought, name), newest.get(name));
        let stored = match thought.plans.get(name) {
            Some(spec) => store(context, &service, newest, of(key, newest, spec), hash, &mut note).await,
            None => carry(context, newest, &note).await,
        };
        let generation = stored.unwrap_or_else(|failed| {
            note.trouble = failed.refusal().or(note.trouble.take());
            failure = Some(failed);
            newest.map_or(0, |newest| newest.spec.generation)
        });
        if context.plan_notes.set(&service, generation, note) {
            services.add(key.clone());
        }
    }
    failure
}

/// The plan of a service, and why it has it in its own words.
fn of(key: &Key, newest: Option<&Arc<EENNPlan>>, spec: &EENNPlanSpec) -> EENNPlanSpec {
    let reason = match newest {
        Some(_) => spec.reason.clone(),
        None => format!("first plan of {}", key.name),
    };
    EENNPlanSpec { reason, ..spec.clone() }
}

/// What a pool is planned with.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Its manifests.
    pub inputs: Inputs,
    /// Exit tables of models, by their names in the manifests.
    pub tables: BTreeMap<String, domain::ExitTable>,
    /// Differs where something differs that plans depend on.
    pub hash: String,
}

/// Collects what a pool is planned with; `None` where there is nothing to plan, or not yet. `held`: plans of services that stay whatever is
/// planned for others, besides those that are paused.
pub async fn gather(
    context: &Context,
    pool: &DevicePool,
    held: &BTreeMap<Key, Arc<EENNPlan>>,
) -> Result<Option<Gathered>, Failure> {
    let candidates = candidates(context, pool, held);
    if candidates.is_empty() {
        return Ok(None);
    }
    let inputs = inputs::inputs(pool, &context.caches.nodes.all(), &candidates);
    let mut tables = BTreeMap::new();
    let mut hashes = BTreeMap::new();
    for (name, key) in &inputs.models {
        let Some(model) = context.caches.models.get(key) else { return Ok(None) };
        if let Ok(table) = context.tables.read(context, &model).await? {
            hashes.insert(name.clone(), table.hash.clone());
            tables.insert(name.clone(), table.table.clone());
        }
    }
    let hash = inputs.hash(&hashes);
    Ok(Some(Gathered { inputs, tables, hash }))
}

/// Services of a pool that can be planned for, and those that go on with what they have.
fn candidates(context: &Context, pool: &DevicePool, held: &BTreeMap<Key, Arc<EENNPlan>>) -> Vec<Candidate> {
    let name = pool.name_any();
    let mut services = context.caches.services.all();
    services.retain(|service| {
        let here = service.spec.device_pool_ref.name.as_str() == name;
        here && service.metadata.deletion_timestamp.is_none()
    });
    let found = services.into_iter().filter_map(|service| {
        let found = references::find(context, &service).ok().filter(|found| model_ready(found).is_true());
        let held = held.get(&Key::of(&*service)).cloned();
        if let (Some(found), None, false) = (&found, &held, is_paused(&service)) {
            return Some(Candidate { found: found.clone(), kept: None, service });
        }
        // Its pods go on as they are, also where something is missing that it names. Without a plan it serves nothing.
        let found = found.or_else(|| references::of_running(context, &service))?;
        let is_known = is_paused(&service) || held.is_some();
        let kept = held.or_else(|| in_force(context, &service))?;
        let is_known = is_known || fits(&kept, &found.model);
        is_known.then_some(Candidate { service, found, kept: Some(kept) })
    });
    found.collect()
}

/// Whether a plan can be read with a model as it is now: where it has other exits, nobody knows what the plan does with them.
pub(crate) fn fits(plan: &EENNPlan, model: &EENNModel) -> bool {
    let (exits, segments) = (model.spec.exits.len(), model.spec.cuts.len() + 1);
    deployment::without_nodes(&plan.spec, exits, segments, &BTreeSet::new()).is_ok()
}

fn in_force(context: &Context, service: &EENNService) -> Option<Arc<EENNPlan>> {
    let plans = choice::own(service, context.caches.plans.within(&service.namespace()?));
    choice::choose(service, &plans).in_force
}

pub(crate) fn newest(context: &Context, inputs: &Inputs) -> Newest {
    let newest = inputs.services.iter().filter_map(|(name, key)| {
        let service = context.caches.services.get(key)?;
        let plan = choice::own(&service, context.caches.plans.within(&key.namespace)).pop()?;
        Some((name.clone(), plan))
    });
    newest.collect()
}

/// What services do now: where the newest plan waits for approval, the one before it is what another has to be worth more than.
pub(crate) fn followed(context: &Context, inputs: &Inputs, newest: &Newest) -> Newest {
    let of = |(name, plan): (&String, &Arc<EENNPlan>)| {
        let service = inputs.services.get(name).and_then(|key| context.caches.services.get(key));
        let in_force = service.and_then(|service| in_force(context, &service));
        (name.clone(), in_force.unwrap_or_else(|| Arc::clone(plan)))
    };
    newest.iter().map(of).collect()
}

fn made_for(plan: &EENNPlan) -> Option<&String> {
    plan.annotations().get(labels::INPUTS)
}

fn reason(inputs: &Inputs, newest: &Newest) -> String {
    // Nothing of the names of others: they may be of other people.
    match inputs.services.keys().filter(|name| newest.contains_key(*name)).count() {
        0 => "nothing of the pool has a plan yet".to_owned(),
        some if some < inputs.services.len() => "another service of the pool is new, and is planned with it".to_owned(),
        _ => "services, models, targets, nodes or the pool have changed".to_owned(),
    }
}

/// Time for a search while so many pools wait.
fn budget(waiting: usize) -> Duration {
    (BUDGET / u32::try_from(waiting.max(1)).unwrap_or(u32::MAX)).max(LEAST_BUDGET)
}

/// Thinks, and thinks again where something would move by choice to where there is no room for old and new pods: that stays. Plans say what
/// their transition takes.
async fn settled(
    context: &Context,
    inputs: Inputs,
    tables: BTreeMap<String, domain::ExitTable>,
    followed: &Newest,
    reason: String,
    budget: Duration,
) -> (Thought, Inputs) {
    let (mut found, inputs) = thought(context, inputs, tables.clone(), followed, reason.clone(), budget).await;
    let mut crowded = transition::crowded(context, &inputs, &found);
    let before = |name: &str| followed.get(name).map(|plan| plan.spec.chains.clone());
    let held = transition::held(&found, &crowded, before);
    if !held.is_empty() {
        let (first, short) = (found, crowded);
        (found, _) = thought(context, inputs.holding(&held), tables, followed, reason, budget).await;
        transition::stays(&mut found, first, &short, &held);
        crowded = transition::crowded(context, &inputs, &found);
    }
    for (name, spec) in &mut found.plans {
        transition::tell(spec, crowded.get(name).map_or(&[], Vec::as_slice));
    }
    (found, inputs)
}

/// Thinks on a thread of its own. A panic there costs the plan, not the operator: what is in force stays.
async fn thought(
    context: &Context,
    inputs: Inputs,
    tables: BTreeMap<String, domain::ExitTable>,
    followed: &Newest,
    reason: String,
    budget: Duration,
) -> (Thought, Inputs) {
    let incumbent = followed.iter().map(|(name, plan)| (name.clone(), plan.spec.clone())).collect();
    // One that was given up goes on thinking: until it has ended another one would but slow both down.
    let alone = Arc::clone(&context.planning).lock_owned().await;
    let thinking = tokio::task::spawn_blocking(move || {
        let _alone = alone;
        let effort = Effort {
            ask: Ask { budget, ..Ask::default() },
            placements: PLACEMENTS,
            look: Look { arrivals: ARRIVALS, ..Look::default() },
        };
        let began = clock::now();
        let passed = move || Duration::from_secs_f64((clock::now() - began).max(0.0));
        let think = || think::think(&inputs, &tables, &incumbent, &reason, &effort, &passed);
        let thought = std::panic::catch_unwind(AssertUnwindSafe(think)).unwrap_or_else(|_| {
            let note = "planning stopped by a panic, which the log of the operator shows; please report it";
            let notes = inputs.services.keys().map(|name| (name.clone(), note.to_owned())).collect();
            Thought { notes, ..Thought::default() }
        });
        (thought, inputs)
    });
    thinking.await.expect("panics have been caught")
}

/// What planning has found out about a service.
fn note(thought: &Thought, name: &str) -> Note {
    /// As many as a status has room for, and as long.
    const MOST: (usize, usize) = (64, 512);
    const LONGEST_TROUBLE: usize = 2048;
    let rejected = |(device, reason): &(String, String)| {
        Some(RejectedDevice { name: device.parse().ok()?, reason: reason.chars().take(MOST.1).collect() })
    };
    let left_out = thought.left_out.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut rejected: Vec<RejectedDevice> = left_out.iter().filter_map(rejected).collect();
    rejected.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    rejected.dedup_by(|a, b| a.name == b.name);
    rejected.truncate(MOST.0);
    let trouble = thought.notes.get(name).map(|note| note.chars().take(LONGEST_TROUBLE).collect());
    Note { trouble, rejected }
}

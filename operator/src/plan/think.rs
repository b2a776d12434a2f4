//! From what a pool is planned with to a plan for each of its services. Pure: the time comes in as a function.
//!
//! What is wrong with one service stops only that one: it is left out, with a note for its owner.

use super::inputs::{Inputs, Kept};
use crate::pool::survey::ARCHITECTURES;
use crate::service::build::pod::BASE_MEMORY;
use api::{EENNPlanSpec, LoadErrors, Manifests, PlacementStrategy, PlannedChain, Resolved, Unplaced};
use deployment::cluster::{self, Usable};
use deployment::placement::{self, Footprint, Placements};
use deployment::{Ask, Clock, Decided, Deployment, Found, Look, Models, Undecided, with_services};
use domain::problem::Problem;
use domain::{ExitTable, Plan};
use std::collections::{BTreeMap, BTreeSet};

/// How much may be spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// For policies.
    pub ask: Ask,
    /// Placements that are looked at.
    pub placements: u64,
    /// How closely the plan is looked at in the end.
    pub look: Look,
}

/// What came of it, by the names of services in the manifests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Thought {
    /// New plans; their generations are not right yet.
    pub plans: BTreeMap<String, EENNPlanSpec>,
    /// Why a service has none.
    pub notes: BTreeMap<String, String>,
    /// Devices that services do not use, and why, per service.
    pub left_out: LeftOut,
    /// Services that move although where they were would do, because it is better.
    pub moved: BTreeSet<String>,
}

/// Devices and reasons, per service.
pub type LeftOut = BTreeMap<String, Vec<(String, String)>>;

/// Plans that services have now, and which of them stay.
struct Before<'a> {
    plans: &'a BTreeMap<String, EENNPlanSpec>,
    kept: &'a BTreeMap<String, Kept>,
}

/// Where the file of a model is does not matter to a plan.
const FILE: &str = "/model/model.onnx";

/// Plans for all services of a pool together, but for those that keep theirs. `incumbent`: the plans that services have now.
pub fn think(
    inputs: &Inputs,
    tables: &BTreeMap<String, ExitTable>,
    incumbent: &BTreeMap<String, EENNPlanSpec>,
    reason: &str,
    effort: &Effort,
    clock: Clock<'_>,
) -> Thought {
    let mut thought = Thought::default();
    let kept = inputs.kept.iter().map(|(name, kept)| (name.clone(), kept.plan.spec.clone()));
    let mut incumbent = incumbent.clone();
    incumbent.extend(kept);
    let incumbent = &incumbent;
    let manifests = without_lost_chains(&inputs.manifests, &mut thought.left_out);
    let manifests = thought.sound(manifests);
    let Some((manifests, unplaced, models)) = thought.usable(manifests, tables) else { return thought };
    let chains = incumbent.iter().map(|(name, plan)| (name.clone(), plan.chains.clone())).collect();
    let manifests = match thought.placed(&manifests, &unplaced, &models, &chains, effort) {
        Ok(manifests) => manifests,
        Err(note) => return thought.none(&manifests, &note),
    };
    let Some((manifests, resolved)) = thought.resolved(manifests) else { return thought };
    let before = Before { plans: incumbent, kept: &inputs.kept };
    if let Err(note) = thought.decide(&resolved, &models, &before, reason, effort, clock) {
        return thought.none(&manifests, &note);
    }
    thought
}

impl Thought {
    /// Whether a service has a plan, and stays where it is only because there was no room elsewhere.
    pub fn is_held(&self, service: &str) -> bool {
        self.plans.contains_key(service) && self.notes.contains_key(service)
    }

    /// None of the services has a plan, for the same reason.
    fn none(mut self, manifests: &Manifests, note: &str) -> Self {
        for service in &manifests.services {
            self.notes.entry(service.name.clone()).or_insert_with(|| note.to_owned());
        }
        self
    }

    /// Without the services that something is wrong with when they are looked at alone.
    fn sound(&mut self, manifests: Manifests) -> Manifests {
        let found = deployment::sound(manifests, Manifests::unplaced);
        self.notes.extend(found.wrong.into_iter().map(|(name, errors)| (name, words(&errors))));
        found.manifests
    }

    fn unplaced(&mut self, manifests: &Manifests) -> Option<Unplaced> {
        if manifests.services.is_empty() {
            return None;
        }
        match manifests.unplaced() {
            Ok(unplaced) => Some(unplaced),
            Err(errors) => {
                let all = std::mem::take(self).none(manifests, &words(&errors));
                *self = all;
                None
            }
        }
    }

    /// Without the services whose models cannot be planned with.
    fn usable(
        &mut self,
        manifests: Manifests,
        tables: &BTreeMap<String, ExitTable>,
    ) -> Option<(Manifests, Unplaced, Models)> {
        let unplaced = self.unplaced(&manifests)?;
        let served = unplaced.services.iter().map(|service| &service.model);
        let Usable { manifests, models, wrong } = cluster::usable(manifests, served, tables);
        if wrong.is_empty() {
            return Some((manifests, unplaced, models));
        }
        self.notes.extend(wrong);
        let unplaced = self.unplaced(&manifests)?;
        Some((manifests, unplaced, models))
    }

    fn placed(
        &mut self,
        manifests: &Manifests,
        unplaced: &Unplaced,
        models: &Models,
        incumbent: &BTreeMap<String, Vec<PlannedChain>>,
        effort: &Effort,
    ) -> Result<Manifests, String> {
        if !manifests.needs_placement() {
            return Ok(manifests.clone());
        }
        let request = placement::Request {
            models,
            footprint: &Footprint::of_pods(manifests, BASE_MEMORY),
            architectures: &ARCHITECTURES.map(str::to_owned),
            incumbent,
            evaluations: effort.placements,
            seed: effort.ask.seed,
        };
        let placements = placement::place(unplaced, &request).map_err(|refused| refused.0)?;
        self.take(&placements, manifests);
        self.moved = by_choice(&placements, incumbent);
        Ok(placements.settled(manifests))
    }

    fn take(&mut self, placements: &Placements, manifests: &Manifests) {
        for pool in placements.pools.values() {
            self.notes.extend(pool.misfits.iter().map(|(name, why)| (name.clone(), no_room(why))));
            for out in &pool.left_out {
                let auto =
                    manifests.services.iter().filter(|one| one.spec.placement.strategy == PlacementStrategy::Auto);
                let concerned = auto.filter(|one| out.service.as_ref().is_none_or(|service| *service == one.name));
                for service in concerned {
                    self.left_out
                        .entry(service.name.clone())
                        .or_default()
                        .push((out.device.clone(), out.reason.clone()));
                }
            }
        }
    }

    /// All that can be served together: services that are one too many are left out, the last one first.
    fn resolved(&mut self, mut manifests: Manifests) -> Option<(Manifests, Resolved)> {
        while !manifests.services.is_empty() {
            let errors = match manifests.resolve() {
                Ok(resolved) => return Some((manifests, unnamed(resolved))),
                Err(errors) => errors,
            };
            let named: BTreeSet<String> = errors.problems().iter().filter_map(|one| service_of(&one.path)).collect();
            let named = match named.is_empty() {
                true => manifests.services.iter().map(|service| service.name.clone()).collect(),
                false => named,
            };
            for name in &named {
                self.notes.insert(name.clone(), words(&errors));
            }
            let left = manifests.services.iter().filter(|service| !named.contains(&service.name)).cloned().collect();
            manifests = with_services(manifests, left);
        }
        None
    }

    fn decide(
        &mut self,
        resolved: &Resolved,
        models: &Models,
        before: &Before<'_>,
        reason: &str,
        effort: &Effort,
        clock: Clock<'_>,
    ) -> Result<(), String> {
        let names = resolved.services.iter().map(|service| service.model.model.name.clone());
        let mut deployed = deployment::deploy(resolved, &names.map(|name| (name, FILE.to_owned())).collect());
        for service in deployed.services.iter_mut().filter(|service| before.kept.contains_key(&service.name)) {
            // Where its chains are no longer all there, nobody knows what it does by now: as well as it can.
            if let Some(plan) = before.plans.get(&service.name) {
                let _ = deployment::keep(service, plan);
            }
        }
        let problem = deployment::problem(&deployed, models).map_err(|refused| refused.0)?;
        let in_force = in_force(&deployed, before.plans);
        let found = decided(&problem, &deployed, &effort.ask, in_force.as_ref(), clock)?;
        let predictions = deployment::predict(&problem, &found.plan, &effort.look);
        let decided =
            Decided { problem: &problem, deployment: &deployed, plan: &found.plan, predictions: &predictions };
        for (index, service) in
            deployed.services.iter().enumerate().filter(|(_, service)| !before.kept.contains_key(&service.name))
        {
            match deployment::spec(&decided, index, 1, reason) {
                Ok(spec) => {
                    self.plans.insert(service.name.clone(), spec);
                }
                Err(refused) => {
                    self.notes.insert(service.name.clone(), refused.0);
                }
            }
        }
        Ok(())
    }
}

/// Policies for all. A plan that the checker refuses is a mistake of the operator's, which must not keep a pool from planning: without the plan in force there is another search.
fn decided(
    problem: &Problem,
    deployed: &Deployment,
    ask: &Ask,
    in_force: Option<&Plan>,
    clock: Clock<'_>,
) -> Result<Found, String> {
    let wrong = |why: &str| tracing::error!("a plan was refused by the checker, please report it: {why}");
    let found = match deployment::decide(problem, deployed, ask, in_force, clock) {
        Err(Undecided::Wrong(why)) if in_force.is_some() => {
            wrong(&why);
            deployment::decide(problem, deployed, ask, None, clock)
        }
        found => found,
    };
    found.map_err(|undecided| match undecided {
        // It names services of others.
        Undecided::Wrong(why) => {
            wrong(&why);
            "the plan that was found is wrong, and is not used; the log of the operator says why".to_owned()
        }
        Undecided::Refused(refused) => refused.0,
    })
}

/// The plan that services have now; `None` unless all of them have one for the chains that they are going to have.
fn in_force(deployed: &Deployment, incumbent: &BTreeMap<String, EENNPlanSpec>) -> Option<Plan> {
    let specs = deployed.services.iter().map(|service| incumbent.get(&service.name));
    deployment::read_back(deployed, &specs.collect::<Option<Vec<_>>>()?).ok()
}

/// Services whose chains are other ones only because those are better.
fn by_choice(placements: &Placements, incumbent: &BTreeMap<String, Vec<PlannedChain>>) -> BTreeSet<String> {
    let better = placements.pools.values().filter(|pool| matches!(pool.verdict, placement::Change::Better { .. }));
    let fragments = |chains: &[api::PinnedChain]| -> BTreeSet<_> {
        let all = chains.iter().flat_map(|chain| &chain.fragments);
        all.map(|one| (one.node.clone(), one.first_segment, one.last_segment)).collect()
    };
    let before = |chains: &[PlannedChain]| -> BTreeSet<_> {
        let all = chains.iter().flat_map(|chain| &chain.fragments);
        all.map(|one| (one.node.clone(), one.first_segment, one.last_segment)).collect()
    };
    let moves = |(name, chains): &(&String, &Vec<api::PinnedChain>)| {
        // What only goes needs no room.
        incumbent.get(*name).is_some_and(|there| !fragments(chains).is_subset(&before(there)))
    };
    better.flat_map(|pool| &pool.chains).filter(moves).map(|(name, _)| name.clone()).collect()
}

/// Why a service has no place, and what would help.
fn no_room(why: &str) -> String {
    let help = match why.contains("memory budget") {
        true => "; a smaller spec.runtime.memoryBudget would help, or a larger memoryBudget of the device class",
        false => "",
    };
    format!("no device has room: {why}{help}")
}

/// `EENNService/camera: spec.…` is about `camera`.
fn service_of(path: &str) -> Option<String> {
    Some(path.strip_prefix("EENNService/")?.split(':').next()?.to_owned())
}

fn words(errors: &LoadErrors) -> String {
    errors.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Pods are called after what they run: another name of a fragment, which processes of local mode have, is no other plan.
fn unnamed(mut resolved: Resolved) -> Resolved {
    for service in &mut resolved.services {
        for fragment in &mut service.fragments {
            fragment.name = format!("{}-{}-{}", service.name, fragment.range.first + 1, fragment.range.last + 1);
        }
    }
    resolved
}

/// Pinned chains over devices that nothing can be placed on are not planned with, where others are left.
fn without_lost_chains(manifests: &Manifests, left_out: &mut LeftOut) -> Manifests {
    let mut manifests = manifests.clone();
    let tolerated: Vec<_> = manifests.pools.iter().flat_map(|pool| pool.spec.tolerations.clone()).collect();
    let nodes: BTreeMap<String, Option<&'static str>> =
        manifests.nodes.iter().map(|node| (node.name.clone(), node.spec.trouble(&tolerated))).collect();
    let trouble = |node: &str| nodes.get(node).map_or(Some("no node of the pool"), |trouble| *trouble);
    for service in &mut manifests.services {
        let pinned = &mut service.spec.placement.pinned;
        let whole = |chain: &api::PinnedChain| chain.fragments.iter().all(|one| trouble(one.node.as_str()).is_none());
        if !pinned.iter().any(whole) {
            continue;
        }
        for chain in pinned.iter().filter(|chain| !whole(chain)) {
            let why = |one: &api::PinnedFragment| Some((one.node.to_string(), trouble(one.node.as_str())?));
            let lost = chain.fragments.iter().filter_map(why);
            let lost =
                lost.map(|(node, why)| (node, format!("{why}, so that chain {:?} is not used", chain.chain.as_str())));
            left_out.entry(service.name.clone()).or_default().extend(lost);
        }
        pinned.retain(whole);
    }
    manifests
}

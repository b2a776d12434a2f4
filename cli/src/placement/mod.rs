//! Services of strategy Auto get their chains: the manifests go on as if somebody had pinned them.
//!
//! * [`place`]: asks the planner, pool by pool.
//! * [`ground`]: manifests as what it decides about; [`weights`]: what the files of models say of memory.
//! * [`names`]: names for chains.
//! * [`document`]: what was decided, and why devices are left out.

mod document;
mod ground;
mod names;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use document::PlacementDocument;

use crate::deploy::{Overrides, local_files};
use crate::exit_code::{Blame, Outcome};
use crate::plan::{Rate, rates_of};
use crate::problem::{Judge, Models, Served};
use api::{LoadErrors, Manifests, PinnedChain, ServicePlacement, Unplaced};
use domain::EvaluationEffort;
use ground::Pooled;
use planner::placement::{Costs, Placed, Request, place as search};
use planner::{Budget, Decomposition};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// Evaluations of a search. Not a time: `plan`, `simulate` and `up` must find the same placement, on any machine.
const EVALUATIONS: u64 = 400;
/// That of the search does not follow the seed of arrivals, for the same reason.
const SEED: u64 = 1;

/// Manifests in which every service has its chains, and what was decided for that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    /// As given, but for services that were placed.
    pub(crate) manifests: Manifests,
    /// `None` where nobody had to decide.
    pub(crate) placement: Option<PlacementDocument>,
}

/// Places the services of strategy Auto for their expected rates, or for those of the command line.
pub(crate) fn place(manifests: Manifests, overrides: &Overrides, rates: &[Rate]) -> Outcome<Settled> {
    if !manifests.needs_placement() {
        return Ok(Settled { manifests, placement: None });
    }
    let mut unplaced = overrides.applied(&manifests).unplaced().blame_input()?;
    rates_of(&mut unplaced, rates)?;
    let models = read(&unplaced, &manifests)?;
    let mut document = PlacementDocument::default();
    let mut chains: BTreeMap<String, Vec<PinnedChain>> = BTreeMap::new();
    let mut problems = vec![];
    for pool in auto_pools(&unplaced) {
        let pooled = Pooled::new(&unplaced, pool, &models)?;
        let placed = ask(&pooled);
        for misfit in &placed.misfits {
            let words = misfit.in_words(&pooled.ground, &pooled.demands);
            let name = &pooled.demands[misfit.service].name;
            let object = manifests.services.iter().find(|object| object.name == *name);
            problems.extend(object.map(|object| object.origin.problem("spec.placement", words)));
        }
        chains.extend(names::chains(&pooled, &placed));
        document.add(&pooled, &placed, &chains);
    }
    LoadErrors::none_or(problems).blame_input()?;
    Ok(Settled { manifests: manifests.with_placement(&chains), placement: Some(document) })
}

fn ask(pooled: &Pooled) -> Placed {
    search(&Request {
        ground: &pooled.ground,
        demands: &pooled.demands,
        incumbent: None,
        costs: Costs::default(),
        judge: &Decomposition::default(),
        effort: EvaluationEffort { seed: SEED, replications: NonZeroU32::MIN, arrivals: 0, stop: None },
        budget: Budget { evaluations: Some(EVALUATIONS), stop: None },
        seed: SEED,
    })
}

/// Pools in which somebody has to decide.
fn auto_pools(unplaced: &Unplaced) -> BTreeSet<&str> {
    let auto = |service: &&api::UnplacedService| matches!(service.placement, ServicePlacement::Auto { .. });
    unplaced.services.iter().filter(auto).map(|service| service.pool.as_str()).collect()
}

/// All models that are served, whether their services are placed or not.
fn read(unplaced: &Unplaced, manifests: &Manifests) -> Outcome<Placing> {
    let names: BTreeSet<&str> = unplaced.services.iter().map(|service| service.model.model.name.as_str()).collect();
    let files = local_files(manifests, &names).blame_input()?;
    let served: Vec<Served<'_>> =
        unplaced.services.iter().map(|service| Served::new(&service.model, &files, manifests)).collect();
    let models = Models::read_all(&served, manifests, None, Judge::Others)?;
    let mut weights = BTreeMap::new();
    for one in &served {
        let model = &one.model.model;
        if !weights.contains_key(&model.name) {
            weights.insert(model.name.clone(), weights::of(one.file, model)?);
        }
    }
    Ok(Placing { models, weights })
}

/// What is known of models.
struct Placing {
    models: Models,
    /// Bytes of the weights of each segment.
    weights: BTreeMap<String, Vec<u64>>,
}

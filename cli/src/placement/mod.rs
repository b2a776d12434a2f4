//! Services of strategy Auto get their chains: the manifests go on as if somebody had pinned them.
//!
//! * [`place`]: reads files, and asks [`deployment::placement`].
//! * [`weights`]: what the files of models say of memory.
//! * [`document`]: what was decided, and why devices are left out.

mod document;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use document::PlacementDocument;

use crate::deploy::{Overrides, local_files};
use crate::exit_code::{Blame, Outcome};
use crate::models::{Served, read_all};
use crate::plan::{Rate, rates_of};
use api::{LoadErrors, Manifests, Unplaced};
use deployment::placement::{Footprint, Placements, Request};
use deployment::{Judge, Models};
use std::collections::{BTreeMap, BTreeSet};

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
    let (models, weights) = read(&unplaced, &manifests)?;
    let request = Request {
        models: &models,
        footprint: &Footprint::of_processes(weights, &unplaced.services),
        // Processes of local mode are emulated on this machine, whatever the nodes are.
        architectures: &[],
        incumbent: &BTreeMap::new(),
        evaluations: EVALUATIONS,
        seed: SEED,
    };
    let placements = deployment::placement::place(&unplaced, &request).blame_input()?;
    refuse_misfits(&placements, &manifests)?;
    let document = PlacementDocument::new(&unplaced, &placements);
    Ok(Settled { manifests: manifests.with_placement(&placements.chains()), placement: Some(document) })
}

/// Local mode serves all services or none.
fn refuse_misfits(placements: &Placements, manifests: &Manifests) -> Outcome {
    let misfits = placements.pools.values().flat_map(|pool| &pool.misfits);
    let problems = misfits.filter_map(|(service, words)| {
        let object = manifests.services.iter().find(|object| object.name == *service)?;
        Some(object.origin.problem("spec.placement", words.clone()))
    });
    LoadErrors::none_or(problems.collect()).blame_input()
}

/// All models that are served, whether their services are placed or not, and bytes of the weights of their segments.
fn read(unplaced: &Unplaced, manifests: &Manifests) -> Outcome<(Models, BTreeMap<String, Vec<u64>>)> {
    let names: BTreeSet<&str> = unplaced.services.iter().map(|service| service.model.model.name.as_str()).collect();
    let files = local_files(manifests, &names).blame_input()?;
    let served: Vec<Served<'_>> =
        unplaced.services.iter().map(|service| Served::new(&service.model, &files, manifests)).collect();
    let models = read_all(&served, manifests, None, Judge::Others)?;
    let mut weights = BTreeMap::new();
    for one in &served {
        let model = &one.model.model;
        if !weights.contains_key(&model.name) {
            weights.insert(model.name.clone(), weights::of(one.file, model)?);
        }
    }
    Ok((models, weights))
}

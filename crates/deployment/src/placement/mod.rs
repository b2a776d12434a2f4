//! Services of strategy Auto get their chains: the manifests go on as if somebody had pinned them.
//!
//! * [`place`]: asks the planner, pool by pool.
//! * [`Footprint`]: memory that processes take.
//! * `ground`: manifests as what it decides about.
//! * `names`: names for chains.

mod footprint;
mod ground;
mod names;

pub use footprint::Footprint;
pub use planner::placement::{Appraisal, Change};

use crate::{Models, Refused};
use api::{Manifests, PinnedChain, PlannedChain, ServicePlacement, Unplaced};
use domain::EvaluationEffort;
use ground::Pooled;
use planner::placement::{Costs, Misfit, Placed, Rejection};
use planner::{Budget, Decomposition};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// What is known beside the manifests, and how long to search.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Every model that is served, whether its services are placed or not.
    pub models: &'a Models,
    /// What processes take of the memory of nodes: of every model and service.
    pub footprint: &'a Footprint,
    /// Architectures that the images of processes are there for; empty for all.
    pub architectures: &'a [String],
    /// Chains that services have now, by their names. What moves has to pay for it.
    pub incumbent: &'a BTreeMap<String, Vec<PlannedChain>>,
    /// Evaluations per pool. Not a time: the same manifests find the same placement, on any machine.
    pub evaluations: u64,
    /// Seed of the search.
    pub seed: u64,
}

/// What was decided for all pools in which somebody has to decide.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placements {
    /// By name of the pool.
    pub pools: BTreeMap<String, PoolPlacement>,
}

/// Where the services of a pool live.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolPlacement {
    /// Chains of the services that were placed, by their names.
    pub chains: BTreeMap<String, Vec<PinnedChain>>,
    /// Services that have no place, and why: device by device in words.
    pub misfits: BTreeMap<String, String>,
    /// Devices that host nothing, or nothing of a service, and why.
    pub left_out: Vec<LeftOut>,
    /// Whether it replaces the incumbent.
    pub verdict: Change,
    /// What it is worth; none where nothing is placed, or nobody could tell.
    pub appraisal: Option<Appraisal>,
    /// Evaluations that it took.
    pub evaluations: u64,
}

/// A device that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub device: String,
    /// By which service; none for all that were placed.
    pub service: Option<String>,
    /// Why, in words.
    pub reason: String,
}

/// Places the services of strategy Auto for the rates that are expected of their sources.
///
/// # Errors
/// Sources on devices that the pool does not have.
///
/// # Panics
/// If a model that is served is not among those of the request.
pub fn place(unplaced: &Unplaced, request: &Request<'_>) -> Result<Placements, Refused> {
    let pools = auto_pools(unplaced).into_iter();
    let placed = pools.map(|pool| Ok((pool.to_owned(), of_pool(&Pooled::new(unplaced, pool, request)?, request))));
    Ok(Placements { pools: placed.collect::<Result<_, Refused>>()? })
}

impl Placements {
    /// The chains of all services that were placed.
    pub fn chains(&self) -> BTreeMap<String, Vec<PinnedChain>> {
        let chains = self.pools.values().flat_map(|pool| &pool.chains);
        chains.map(|(service, chains)| (service.clone(), chains.clone())).collect()
    }

    /// The manifests with these chains, and without the services that have no place: what can be resolved.
    pub fn settled(&self, manifests: &Manifests) -> Manifests {
        let mut settled = manifests.with_placement(&self.chains());
        let has_no_place = |service: &str| self.pools.values().any(|pool| pool.misfits.contains_key(service));
        settled.services.retain(|service| !has_no_place(&service.name));
        settled
    }
}

fn of_pool(pooled: &Pooled, request: &Request<'_>) -> PoolPlacement {
    let placed = ask(pooled, request);
    let words = |misfit: &Misfit| {
        let name = pooled.demands[misfit.service].name.clone();
        (name, misfit.in_words(&pooled.ground, &pooled.demands))
    };
    let left_out = |rejection: &Rejection| LeftOut {
        device: pooled.ground.sites[rejection.site].name.clone(),
        service: rejection.service.map(|service| pooled.demands[service].name.clone()),
        reason: rejection.reason.to_string(),
    };
    PoolPlacement {
        chains: names::chains(pooled, &placed),
        misfits: placed.misfits.iter().map(words).collect(),
        left_out: placed.rejected.iter().map(left_out).collect(),
        verdict: placed.verdict,
        appraisal: placed.appraisal,
        evaluations: placed.spent,
    }
}

fn ask(pooled: &Pooled, request: &Request<'_>) -> Placed {
    planner::placement::place(&planner::placement::Request {
        ground: &pooled.ground,
        demands: &pooled.demands,
        incumbent: Some(&pooled.incumbent),
        costs: Costs::default(),
        judge: &Decomposition::default(),
        effort: EvaluationEffort { seed: request.seed, replications: NonZeroU32::MIN, arrivals: 0, stop: None },
        budget: Budget { evaluations: Some(request.evaluations), stop: None, ..Budget::default() },
        seed: request.seed,
    })
}

/// Pools in which somebody has to decide.
fn auto_pools(unplaced: &Unplaced) -> BTreeSet<&str> {
    let auto = |service: &&api::UnplacedService| matches!(service.placement, ServicePlacement::Auto { .. });
    unplaced.services.iter().filter(auto).map(|service| service.pool.as_str()).collect()
}

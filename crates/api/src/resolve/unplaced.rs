//! Services before it is known where their fragments live: what a planner needs to decide it.

use super::service::{self, Frame};
use super::{
    Fragment, FragmentSize, Pool, Problems, ResolvedChain, ResolvedModel, ResolvedSource, model, planned, pool,
    scheduler,
};
use crate::{
    EENNServiceSpec, LoadErrors, Manifests, Object, PinnedChain, PlacementStrategy, QoSTargetSpec, SchedulerType,
};
use domain::{Bytes, Mixture, Overflow, Probability, Seconds};
use std::collections::BTreeMap;

/// All pools, and the services that are to be placed with those that are.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplaced {
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Services, in the order of the manifests.
    pub services: Vec<UnplacedService>,
}

/// A service without its chains.
#[derive(Debug, Clone, PartialEq)]
pub struct UnplacedService {
    /// Its name.
    pub name: String,
    /// Name of its pool.
    pub pool: String,
    /// What it serves.
    pub model: ResolvedModel,
    /// What it must keep to; the default limits nothing.
    pub targets: Option<QoSTargetSpec>,
    /// Where jobs arrive.
    pub sources: Vec<ResolvedSource>,
    /// What happens to a job that does not fit.
    pub overflow: Overflow,
    /// Share of jobs that run on to the last exit after their answer.
    pub audit: Probability,
    /// Time a job may take.
    pub deadline: Option<Seconds>,
    /// The size of each fragment.
    pub size: FragmentSize,
    /// Memory of each gateway.
    pub gateway_memory_budget: Bytes,
    /// Where its fragments live, or who decides.
    pub placement: ServicePlacement,
}

/// Where the fragments of a service live, or who decides.
#[derive(Debug, Clone, PartialEq)]
pub enum ServicePlacement {
    /// As the manifest says.
    Pinned {
        /// The fragments.
        fragments: Vec<Fragment>,
        /// Ways through them.
        chains: Vec<ResolvedChain>,
    },
    /// A planner.
    Auto {
        /// How jobs are treated on a chain, where the manifest says so.
        given: Option<Mixture>,
    },
}

impl Manifests {
    /// Whether a planner has to place any service before [`Manifests::resolve`].
    pub fn needs_placement(&self) -> bool {
        self.services.iter().any(|service| service.spec.placement.strategy == PlacementStrategy::Auto)
    }

    /// What a planner needs to place services.
    ///
    /// # Errors
    /// Every problem that can be seen before it has.
    pub fn unplaced(&self) -> Result<Unplaced, LoadErrors> {
        let mut problems = Problems::default();
        let pools = pool::resolve(self, &mut problems);
        let models: BTreeMap<&str, ResolvedModel> = self
            .models
            .iter()
            .filter_map(|object| Some((object.name.as_str(), model::resolve(object, &mut problems)?)))
            .collect();
        let services: Vec<UnplacedService> =
            self.services.iter().filter_map(|object| unplaced(object, self, &pools, &models, &mut problems)).collect();
        LoadErrors::none_or(problems.0)?;
        Ok(Unplaced { pools, services })
    }

    /// The same manifests with these chains for the services that a planner has placed, by name; what is wrong with them is
    /// reported as the planner's.
    pub fn with_placement(&self, chains: &BTreeMap<String, Vec<PinnedChain>>) -> Self {
        let mut changed = self.clone();
        for service in &mut changed.services {
            if let Some(chains) = chains.get(&service.name) {
                let placement = &mut service.spec.placement;
                placement.strategy = PlacementStrategy::Pinned;
                placement.pinned.clone_from(chains);
                service.origin.override_field("spec.placement", "the placement that was found");
            }
        }
        changed
    }
}

fn unplaced(
    object: &Object<EENNServiceSpec>,
    manifests: &Manifests,
    pools: &BTreeMap<String, Pool>,
    models: &BTreeMap<&str, ResolvedModel>,
    problems: &mut Problems,
) -> Option<UnplacedService> {
    let Frame { pool, model, targets, sources, size } = service::frame(object, manifests, pools, models, problems)?;
    let placement = placement(object, pool, model, problems)?;
    Some(UnplacedService {
        name: object.name.clone(),
        pool: object.spec.device_pool_ref.name.to_string(),
        model: model.clone(),
        targets,
        sources,
        overflow: service::overflow(object),
        audit: service::audit(object),
        deadline: service::deadline(object),
        size,
        gateway_memory_budget: object.spec.runtime.gateway_memory_budget.bytes(),
        placement,
    })
}

fn placement(
    object: &Object<EENNServiceSpec>,
    pool: &Pool,
    model: &ResolvedModel,
    problems: &mut Problems,
) -> Option<ServicePlacement> {
    let segments = model.model.segments();
    if service::refuse_strategy(object, problems) {
        return None;
    }
    if object.spec.placement.strategy == PlacementStrategy::Pinned {
        let (chains, fragments) = service::chains(object, pool, segments, problems)?;
        return Some(ServicePlacement::Pinned { fragments, chains });
    }
    let exits = model.model.exits.len();
    scheduler::refuse_other_fields(object, problems);
    if object.spec.scheduler.r#type == SchedulerType::Mixture
        && object.spec.scheduler.mixture.iter().any(|choice| choice.chain.is_some())
    {
        let message =
            "names chains, which are not known before they are placed; leave them out, or use strategy Pinned";
        problems.report(&object.origin, "spec.scheduler.mixture", message);
        return None;
    }
    let before = problems.0.len();
    let planned = planned::resolve(object, exits, problems);
    if planned.is_some() || problems.0.len() > before {
        return Some(ServicePlacement::Auto { given: None });
    }
    // One chain that takes all jobs stands for those that there will be.
    let any = [ResolvedChain { name: "any".to_owned(), share: 1.0, fragments: vec![] }];
    let given = scheduler::resolve(object, exits, &any, problems)?;
    Some(ServicePlacement::Auto { given: Some(given) })
}

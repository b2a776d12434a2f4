//! Plans that are in force, read back from EENNPlans: what somebody has decided before, maybe another process.

use crate::{Deployment, Refused, ServicePlan};
use api::{EENNPlanSpec, Manifests, PinnedChain, PinnedFragment, PlannedChain, ResolvedScheduler};
use domain::{PerSecond, Plan, Policy, Problem};
use std::collections::BTreeMap;
use wire::document::PolicyDocument;

/// The manifests with the chains that plans have, by the names of services: whatever their specs say of placement by now.
pub fn with_chains(manifests: &Manifests, chains: &BTreeMap<String, Vec<PlannedChain>>) -> Manifests {
    let pinned = |chain: &PlannedChain| PinnedChain {
        chain: chain.name.clone(),
        probability: None,
        fragments: chain
            .fragments
            .iter()
            .map(|fragment| PinnedFragment {
                name: None,
                node: fragment.node.clone(),
                first_segment: fragment.first_segment,
                last_segment: fragment.last_segment,
            })
            .collect(),
    };
    let chains = chains.iter().map(|(name, chains)| (name.clone(), chains.iter().map(pinned).collect()));
    manifests.with_placement(&chains.collect())
}

/// The plan that EENNPlans hold, one for each service of `deployment` in its order: the inverse of [`spec`](crate::spec()).
///
/// # Errors
/// Policies that cannot be read, or whose chains are not those of the deployment.
pub fn read_back(deployment: &Deployment, specs: &[&EENNPlanSpec]) -> Result<Plan, Refused> {
    if specs.len() != deployment.services.len() {
        return Err(Refused(format!("{} plans for {} services", specs.len(), deployment.services.len())));
    }
    let policies = deployment.services.iter().zip(specs).map(|(service, spec)| policy_of(service, spec));
    Ok(Plan { policies: policies.collect::<Result<_, _>>()? })
}

/// Has a service keep the policy of its plan, whatever scheduler its manifest asks for.
///
/// # Errors
/// As [`read_back`].
pub fn keep(service: &mut ServicePlan, spec: &EENNPlanSpec) -> Result<(), Refused> {
    service.resolved.scheduler = ResolvedScheduler::Given(policy_of(service, spec)?);
    Ok(())
}

fn policy_of(service: &ServicePlan, spec: &EENNPlanSpec) -> Result<Policy, Refused> {
    let wrong = |why: &dyn std::fmt::Display| {
        Refused(format!("the policy of plan {} of service {:?}: {why}", spec.generation, service.name))
    };
    let document: PolicyDocument = serde_json::from_str(&spec.policy).map_err(|error| wrong(&error))?;
    let segments = service.resolved.model.model.cuts.len() + 1;
    let read = policy::read(&document, service.exits.len(), segments).map_err(|error| wrong(&error))?;
    // Under the same name a chain may be cut elsewhere by now.
    let chains = service.resolved.initial_policy().chains;
    if read.policy.chains != chains {
        let names: Vec<&str> = chains.iter().map(|chain| chain.name.as_str()).collect();
        return Err(wrong(&format_args!("its chains are not {}, cut as they are now", names.join(", "))));
    }
    Ok(read.policy)
}

/// The problem with the arrival rates that EENNPlans were made for, one for each service in its order.
#[must_use]
pub fn with_forecast(mut problem: Problem, specs: &[&EENNPlanSpec]) -> Problem {
    for (service, spec) in problem.services.iter_mut().zip(specs) {
        for source in &mut service.sources {
            let forecast = spec.forecast.iter().find(|one| one.source.as_str() == source.name);
            if let Some(rate) = forecast.and_then(|one| PerSecond::new(one.rate.get()).ok()) {
                source.rate = rate;
            }
        }
    }
    problem
}

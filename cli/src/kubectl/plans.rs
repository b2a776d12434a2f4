//! The plans of a service, as its status says which of them gateways follow. Pure.

use api::{EENNPlan, EENNPlanSpec, EENNService, PlannedChain, PlannedFragment};
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;

/// The plans of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plans<'a> {
    /// All that are kept, in the order of their generations.
    pub(super) all: Vec<&'a EENNPlan>,
    /// Gateways follow it.
    pub(super) in_force: Option<&'a EENNPlan>,
    /// Its placement waits for somebody.
    pub(super) proposed: Option<&'a EENNPlan>,
}

/// What a plan is to its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Standing {
    /// Gateways follow it.
    InForce,
    /// Its placement waits for approval.
    Proposed,
    /// Another plan is in force.
    Superseded,
    /// The operator has not looked at it yet.
    New,
}

impl Standing {
    /// For tables.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Proposed => "waits for approval",
            Self::Superseded => "superseded",
            Self::New => "new",
        }
    }
}

impl<'a> Plans<'a> {
    /// Those of `plans` that belong to the service; not to one of the same name that was there before.
    pub(super) fn of(service: &EENNService, plans: &'a [EENNPlan]) -> Self {
        let uid = service.uid();
        let owned = |plan: &&EENNPlan| {
            plan.namespace() == service.namespace()
                && plan.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref())
        };
        let mut all: Vec<&EENNPlan> = plans.iter().filter(owned).collect();
        all.sort_by_key(|plan| plan.spec.generation);
        let named = |reference: Option<&api::ObjectReference>| {
            let name = reference?.name.as_str();
            all.iter().copied().find(|plan| plan.name_any() == name)
        };
        let status = service.status.as_ref();
        let in_force = named(status.and_then(|status| status.plan_ref.as_ref()));
        let proposed = named(status.and_then(|status| status.proposed_plan_ref.as_ref()));
        Self { in_force, proposed, all }
    }

    /// The plan with this generation.
    pub(super) fn generation(&self, generation: i64) -> Option<&'a EENNPlan> {
        self.all.iter().copied().find(|plan| plan.spec.generation == generation)
    }

    /// What a plan is to the service.
    pub(super) fn standing(&self, plan: &EENNPlan) -> Standing {
        let is = |other: Option<&EENNPlan>| other.is_some_and(|other| other.uid() == plan.uid());
        let newest = [self.in_force, self.proposed].into_iter().flatten().map(|plan| plan.spec.generation).max();
        match () {
            () if is(self.in_force) => Standing::InForce,
            () if is(self.proposed) => Standing::Proposed,
            () if newest.is_none_or(|newest| plan.spec.generation > newest) => Standing::New,
            () => Standing::Superseded,
        }
    }

    /// `1, 2 and 4`
    pub(super) fn generations(&self) -> String {
        let all: Vec<String> = self.all.iter().map(|plan| plan.spec.generation.to_string()).collect();
        match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => "none".to_owned(),
        }
    }
}

/// Share of all jobs that take each chain, at the forecast.
pub(super) fn shares(spec: &EENNPlanSpec) -> BTreeMap<&str, f64> {
    let mut shares: BTreeMap<&str, f64> = spec.chains.iter().map(|chain| (chain.name.as_str(), 0.0)).collect();
    let all: f64 = spec.forecast.iter().map(|one| one.rate.get()).sum();
    for forecast in &spec.forecast {
        let own = spec.choices.iter().any(|choice| choice.source.as_ref() == Some(&forecast.source));
        let wanted = own.then_some(&forecast.source);
        for choice in spec.choices.iter().filter(|choice| choice.source.as_ref() == wanted) {
            if let Some(share) = shares.get_mut(choice.chain.as_str()) {
                *share += choice.probability.get() * forecast.rate.get() / all;
            }
        }
    }
    shares
}

/// `pi 1–3 → box 4–6`
pub(super) fn way(chain: &PlannedChain) -> String {
    chain.fragments.iter().map(fragment).collect::<Vec<_>>().join(" → ")
}

/// `pi 1–3`
pub(super) fn fragment(one: &PlannedFragment) -> String {
    match (one.first_segment, one.last_segment) {
        (first, last) if first == last => format!("{} {first}", one.node),
        (first, last) => format!("{} {first}–{last}", one.node),
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn plans_of_a_service_of_the_same_name_are_not_its_own() {
        let (service, mut plans) = (example::service(), example::plans());
        plans[0].metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
        let found = Plans::of(&service, &plans);
        assert_eq!(found.generations(), "2 and 3");
        assert_eq!(found.generation(1), None);
        assert_eq!(found.standing(found.generation(2).unwrap()), Standing::InForce);
        assert_eq!(found.standing(found.generation(3).unwrap()), Standing::Proposed);
    }

    #[test]
    fn shares_are_those_of_all_sources_together() {
        let plans = example::plans();
        let shares = shares(&plans[1].spec);
        // Of 20 jobs per second 15 are shared as all are, and 5 of the door take the box.
        assert!((shares["split"] - 0.75 * 0.4).abs() < 1e-12, "{shares:?}");
        assert!((shares["box"] - (0.75 * 0.6 + 0.25)).abs() < 1e-12, "{shares:?}");
    }
}

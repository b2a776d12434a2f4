//! A plan without the chains that are lost: what gateways are told at once, before anybody has planned anew.

use crate::{Refused, choices};
use api::EENNPlanSpec;
use domain::{Choice, Mixture, Policy, Probability};
use std::collections::BTreeSet;
use wire::document::PolicyDocument;

/// The same plan with jobs on those of its chains only that pass through none of the nodes `lost`, in the shares that they have of each
/// other. `None` where no jobs go there, or nothing else is left.
///
/// # Errors
/// A policy that cannot be read.
pub fn without_nodes(
    spec: &EENNPlanSpec,
    exits: usize,
    segments: usize,
    lost: &BTreeSet<String>,
) -> Result<Option<EENNPlanSpec>, Refused> {
    let document: PolicyDocument = serde_json::from_str(&spec.policy).map_err(Refused::new)?;
    let policy = policy::read(&document, exits, segments).map_err(Refused::new)?.policy;
    let is_lost = |chain: &api::PlannedChain| chain.fragments.iter().any(|one| lost.contains(one.node.as_str()));
    let lost: BTreeSet<&str> =
        spec.chains.iter().filter(|chain| is_lost(chain)).map(|chain| chain.name.as_str()).collect();
    let kept: Vec<bool> = policy.chains.iter().map(|chain| !lost.contains(chain.name.as_str())).collect();
    let Some(left) = without(&policy, &kept).filter(|left| *left != policy) else { return Ok(None) };
    let written = policy::write(&left, &document.service, document.version, document.chains);
    Ok(Some(EENNPlanSpec {
        policy: serde_json::to_string(&written).expect("documents have no keys but text"),
        choices: choices(&left),
        // Nobody has looked at what that does.
        predicted: vec![],
        missed: vec![],
        ..spec.clone()
    }))
}

/// The policy with these of its chains. `None` where its usual mixture, which is what others fall back on, has none of them.
fn without(policy: &Policy, kept: &[bool]) -> Option<Policy> {
    let usual = restricted(&policy.default, kept)?;
    let or_usual = |mixture: &Mixture| restricted(mixture, kept).unwrap_or_else(|| usual.clone());
    let sources = |sources: &[(String, Mixture)]| -> Vec<(String, Mixture)> {
        sources.iter().map(|(name, mixture)| (name.clone(), or_usual(mixture))).collect()
    };
    let mut left = policy.clone();
    left.sources = sources(&policy.sources);
    for row in left.rates.iter_mut().flat_map(|table| &mut table.rows) {
        row.default = or_usual(&row.default);
        row.sources = sources(&row.sources);
    }
    left.default = usual;
    Some(left)
}

/// The choices with these chains, in their shares of each other.
fn restricted(mixture: &Mixture, kept: &[bool]) -> Option<Mixture> {
    let left: Vec<&Choice> =
        mixture.choices().iter().filter(|choice| kept[choice.chain] && choice.probability.get() > 0.0).collect();
    let sum: f64 = left.iter().map(|choice| choice.probability.get()).sum();
    let share = |choice: &&Choice| {
        let probability = Probability::new((choice.probability.get() / sum).min(1.0)).ok()?;
        Some(Choice { probability, ..Choice::clone(choice) })
    };
    Mixture::new(left.iter().map(share).collect::<Option<_>>()?, "what is left").ok()
}

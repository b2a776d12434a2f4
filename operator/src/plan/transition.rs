//! What a new placement needs while old pods still serve: known before anything is stored, so that nothing moves by choice to where there
//! is no room for both, and whoever approves a plan knows what it takes.

use super::inputs::Inputs;
use super::think::Thought;
use crate::Context;
use crate::cache::Key;
use crate::head::Head;
use crate::room::{self, Crowded, Pods};
use crate::service::build::{self, Blueprint, Operator};
use crate::service::references::{self, References};
use crate::service::standing;
use api::{EENNPlan, EENNPlanSpec, EENNService, PlannedChain};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Chains of services, by their names in the manifests.
type Chains = BTreeMap<String, Vec<PlannedChain>>;

/// A service by its name in the manifests: those of its pods that are there, and all that it is going to have.
type Planned = (String, BTreeSet<Key>, Vec<Pods>);

/// As long as the reason of a plan may be.
const LONGEST_REASON: usize = 1024;

/// Nodes without room for old and new pods, by the names of services in the manifests: of those whose old pods stay until new ones are
/// ready.
pub(super) fn crowded(context: &Context, inputs: &Inputs, thought: &Thought) -> BTreeMap<String, Vec<Crowded>> {
    let deployments = context.caches.deployments.all();
    let owner = |key: &Key| {
        let own = deployments.iter().filter(|one| one.service().as_ref() == Some(key));
        own.map(|one| one.key.clone()).collect::<BTreeSet<_>>()
    };
    let planned = thought.plans.iter().filter_map(|(name, spec)| {
        let key = inputs.services.get(name)?;
        let service = context.caches.services.get(key)?;
        Some((name.clone(), owner(key), pods(context, &service, spec)?))
    });
    let planned: Vec<_> = planned.collect();
    let pods = context.caches.pods.all();
    // Those that never served go at once.
    let goes = |one: &Head<_, _>| {
        let is_old = |(_, own, wanted): &Planned| own.contains(&one.key) && !wanted.iter().any(|it| it.name == one.key);
        planned.iter().any(is_old) && standing::never_served(one, &pods)
    };
    let there = deployments.iter().filter(|one| !goes(one)).filter_map(|one| Pods::there(one));
    let there: Vec<Pods> = there.collect();
    let allocatable = room::allocatable(context.caches.nodes.all().iter().map(AsRef::as_ref));
    let mut crowded = of_services(&allocatable, &there, &planned);
    crowded.retain(|name, _| !inputs.breaks_first.contains(name));
    crowded
}

/// The pods of a service as its plan wants them.
fn pods(context: &Context, service: &Arc<EENNService>, spec: &EENNPlanSpec) -> Option<Vec<Pods>> {
    let References { model, pool, .. } = references::find(context, service).ok()?;
    let blueprint = Blueprint {
        service,
        model: &model,
        pool: &pool,
        plan: &EENNPlan::new("next", spec.clone()),
        image: &context.runtime_image,
        version: Default::default(),
        operator: Operator { name: &context.operator_name, namespace: &context.namespace },
    };
    let children = build::children(&blueprint);
    Some(standing::deployments(&children).into_iter().filter_map(Pods::of).collect())
}

/// Nodes that are crowded for services that all change at a time.
fn of_services(
    allocatable: &BTreeMap<String, u64>,
    there: &[Pods],
    services: &[Planned],
) -> BTreeMap<String, Vec<Crowded>> {
    let replaced: BTreeSet<&Key> = services.iter().flat_map(|(_, own, _)| own).collect();
    let stays = there.iter().filter(|one| !replaced.contains(&one.name)).cloned();
    let wanted: Vec<Pods> = stays.chain(services.iter().flat_map(|(_, _, wanted)| wanted.clone())).collect();
    let crowded = room::crowded(allocatable, there, &wanted);
    let of = |(name, own, wanted): &Planned| {
        let is_new = |node: &str| wanted.iter().any(|one| one.node == node && !own.contains(&one.name));
        let mine: Vec<Crowded> = crowded.iter().filter(|one| is_new(&one.node)).cloned().collect();
        // First plans replace nothing.
        (!mine.is_empty() && !own.is_empty()).then(|| (name.clone(), mine))
    };
    services.iter().filter_map(of).collect()
}

/// Chains of services that move by choice, where at least one of them has no room to: they are to stay.
pub(super) fn held(
    thought: &Thought,
    crowded: &BTreeMap<String, Vec<Crowded>>,
    before: impl Fn(&str) -> Option<Vec<PlannedChain>>,
) -> Chains {
    match thought.moved.iter().any(|name| crowded.contains_key(name)) {
        true => thought.moved.iter().filter_map(|name| Some((name.clone(), before(name)?))).collect(),
        false => BTreeMap::new(),
    }
}

/// Has services that stay say why, and which devices they do not use. `first`: what was thought before that, with what was `short`.
pub(super) fn stays(found: &mut Thought, first: Thought, short: &BTreeMap<String, Vec<Crowded>>, held: &Chains) {
    for (name, chains) in held {
        if let Some(note) = short.get(name).and_then(|short| room::in_words(short)) {
            found.notes.entry(name.clone()).or_insert_with(|| format!("another placement would be better, but {note}"));
        }
        let used: BTreeSet<&str> = chains.iter().flat_map(|one| &one.fragments).map(|one| one.node.as_str()).collect();
        let mut left_out = first.left_out.get(name).cloned().unwrap_or_default();
        left_out.retain(|(device, _)| !used.contains(device.as_str()));
        found.left_out.entry(name.clone()).or_default().extend(left_out);
    }
}

/// Has a plan say what its transition takes.
pub(super) fn tell(spec: &mut EENNPlanSpec, crowded: &[Crowded]) {
    if let Some(note) = room::in_words(crowded) {
        spec.reason = format!("{}; {note}", spec.reason).chars().take(LONGEST_REASON).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods(name: &str, node: &str, bytes: u64) -> Pods {
        Pods { name: Key::new("edge", name), node: node.into(), bytes }
    }

    fn service(name: &str, own: &[&str], wanted: &[Pods]) -> Planned {
        (name.to_owned(), own.iter().map(|&name| Key::new("edge", name)).collect(), wanted.to_vec())
    }

    #[test]
    fn whoever_starts_pods_where_there_is_no_room_for_both_is_told() {
        let nodes = BTreeMap::from([("pi".to_owned(), 100), ("box".to_owned(), 100)]);
        let there = [pods("a-old", "pi", 60), pods("b", "box", 50), pods("foreign", "pi", 10)];
        let moves = service("a", &["a-old"], &[pods("a-new", "box", 60)]);
        let swaps = service("b", &["b"], &[pods("b-new", "pi", 50)]);
        let names = |services: &[Planned]| {
            of_services(&nodes, &there, services).into_iter().map(|(name, it)| (name, it[0].need)).collect::<Vec<_>>()
        };
        assert_eq!(names(std::slice::from_ref(&moves)), [], "110 do not fit, with and without old ones");
        let both = [("a".to_owned(), 110), ("b".to_owned(), 120)];
        assert_eq!(names(&[moves.clone(), swaps]), both, "each has room only once the other has left");
        let grows = service("a", &["a-old"], &[pods("a-new", "pi", 61)]);
        assert_eq!(names(std::slice::from_ref(&grows)), [("a".to_owned(), 131)]);
        let first = service("c", &[], &[pods("c", "pi", 40)]);
        assert_eq!(names(&[grows, first]), [], "61, 40 and 10 never fit on the node");
    }

    fn crowded() -> Vec<Crowded> {
        vec![Crowded { node: "pi".into(), need: 2 << 20, allocatable: 1 << 20 }]
    }

    #[test]
    fn what_moves_by_choice_stays_where_one_has_no_room() {
        let chain = |_: &str| Some(vec![]);
        let moved =
            |names: &[&str]| Thought { moved: names.iter().map(|&name| name.into()).collect(), ..Thought::default() };
        let short = BTreeMap::from([("a".to_owned(), crowded())]);
        let names = |moves: &[&str]| held(&moved(moves), &short, chain).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&["a", "b"]), ["a", "b"], "they were placed for each other");
        assert!(names(&["b"]).is_empty(), "the one without room has to move");
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn a_plan_says_what_its_transition_takes() {
        let spec: EENNPlanSpec = serde_json::from_value(json!({
            "serviceRef": { "name": "a" }, "generation": 1, "reason": "the pool has changed", "policy": "", "choices": [],
            "forecast": [], "predicted": [], "chains": [],
        }))
        .expect("it is a plan");
        let reason = |crowded: &[Crowded]| {
            let mut told = spec.clone();
            tell(&mut told, crowded);
            told.reason
        };
        assert_eq!(reason(&[]), "the pool has changed");
        let note =
            "the pool has changed; old and new pods on pi ask for 2 MiB together, and it has 1 MiB: the annotation";
        assert!(reason(&crowded()).starts_with(note), "{}", reason(&crowded()));
        assert_eq!(reason(&vec![crowded().remove(0); 100]).chars().count(), LONGEST_REASON);
    }

    #[test]
    fn what_stays_says_why_and_which_devices_it_does_not_use() {
        let chain = json!([{ "name": "pi", "fragments": [{ "node": "pi", "firstSegment": 1, "lastSegment": 6 }] }]);
        let held = BTreeMap::from([("a".to_owned(), serde_json::from_value(chain).expect("it is a chain"))]);
        let left_out = |device: &str| (device.to_owned(), "it is slow".to_owned());
        let first = Thought {
            left_out: BTreeMap::from([("a".to_owned(), vec![left_out("pi"), left_out("box")])]),
            ..Thought::default()
        };
        let mut found = Thought::default();
        stays(&mut found, first, &BTreeMap::from([("a".to_owned(), crowded())]), &held);
        assert!(
            found.notes["a"].starts_with("another placement would be better, but old and new pods on pi"),
            "{found:?}"
        );
        assert_eq!(found.left_out["a"], [left_out("box")]);
    }
}

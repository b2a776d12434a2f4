use super::processes::models;
use crate::placement::{Change, Footprint, Placements, Request, place};
use api::{Manifests, PlannedChain, PlannedFragment};
use std::collections::BTreeMap;
use std::path::Path;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/two-tier");

fn example() -> Manifests {
    let mut manifests = api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"));
    manifests.services[0].spec.placement = api::Placement::default();
    manifests
}

fn placed(manifests: &Manifests, incumbent: &BTreeMap<String, Vec<PlannedChain>>, images: &[String]) -> Placements {
    let unplaced = manifests.unplaced().unwrap_or_else(|errors| panic!("{errors}"));
    let models = models(manifests);
    let weights = BTreeMap::from([("fashion-mnist".to_owned(), vec![10_000; 6])]);
    let footprint = Footprint::of_processes(weights, &unplaced.services);
    let (architectures, models, footprint) = (images, &models, &footprint);
    let request = Request { models, footprint, architectures, incumbent, evaluations: 100, seed: 1 };
    place(&unplaced, &request).unwrap_or_else(|error| panic!("{error}"))
}

fn whole_on(node: &str) -> BTreeMap<String, Vec<PlannedChain>> {
    let fragment = PlannedFragment { node: node.parse().unwrap(), first_segment: 1, last_segment: 6 };
    let chain = PlannedChain { name: "by-itself".parse().unwrap(), fragments: vec![fragment] };
    BTreeMap::from([("fashion-mnist".to_owned(), vec![chain])])
}

#[test]
fn what_was_placed_can_be_resolved_and_stays_under_its_names() {
    let manifests = example();
    let first = placed(&manifests, &BTreeMap::new(), &[]);
    let pool = first.pools.values().next().unwrap();
    assert_eq!(pool.verdict, Change::First);
    let resolved = first.settled(&manifests).resolve().unwrap_or_else(|errors| panic!("{errors}"));
    let files = BTreeMap::from([("fashion-mnist".to_owned(), "model.onnx".to_owned())]);
    let mut chains = crate::chains(&crate::deploy(&resolved, &files).services[0]);
    chains[0].name = "mine".parse().unwrap();
    let again = placed(&manifests, &BTreeMap::from([("fashion-mnist".to_owned(), chains)]), &[]);
    let pool = again.pools.values().next().unwrap();
    assert_eq!(pool.verdict, Change::Kept);
    assert!(pool.chains["fashion-mnist"].iter().any(|chain| chain.chain.as_str() == "mine"), "{pool:?}");
}

#[test]
fn chains_on_devices_that_are_gone_have_to_move() {
    let again = placed(&example(), &whole_on("gone"), &[]);
    let pool = again.pools.values().next().unwrap();
    assert!(matches!(pool.verdict, Change::Forced { .. }), "{:?}", pool.verdict);
    let reason = pool.left_out.iter().find(|one| one.device == "gone").map(|one| one.reason.as_str());
    assert_eq!(reason, Some("not in the pool any more"));
}

#[test]
fn a_service_without_a_place_is_left_out_of_what_goes_on() {
    let mut manifests = example();
    for node in &mut manifests.nodes {
        node.spec.status.allocatable.memory = Some("20Mi".parse().unwrap());
    }
    let none = placed(&manifests, &BTreeMap::new(), &[]);
    let pool = none.pools.values().next().unwrap();
    assert!(pool.misfits["fashion-mnist"].starts_with("fashion-mnist has no place: "), "{:?}", pool.misfits);
    assert_eq!(none.settled(&manifests).services, []);
}

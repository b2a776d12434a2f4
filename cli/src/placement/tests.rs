use super::*;
use crate::deploy::deploy;
use api::{Placement, PlacementStrategy};
use std::path::Path;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/two-tier");

/// The example without its chains, otherwise changed.
fn changed(change: impl Fn(&mut Manifests)) -> Outcome<Settled> {
    let mut manifests = api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"));
    manifests.services[0].spec.placement = Placement::default();
    change(&mut manifests);
    place(manifests, &Overrides::default(), &[])
}

fn left_out(settled: &Settled) -> Vec<String> {
    let placement = settled.placement.as_ref().unwrap_or_else(|| panic!("it was placed"));
    placement.left_out.iter().map(|one| format!("{}: {}", one.device, one.reason)).collect()
}

#[test]
fn what_was_placed_can_be_deployed() {
    let settled = changed(|_| {}).unwrap_or_else(|error| panic!("{error}"));
    let deployed = deploy(&settled.manifests, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let placement = settled.placement.unwrap_or_else(|| panic!("it was placed"));
    let chains: Vec<&str> = placement.services[0].chains.iter().map(|chain| chain.name.as_str()).collect();
    let deployed: Vec<&str> =
        deployed.deployment.services[0].resolved.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(deployed, chains);
}

#[test]
fn chains_that_are_pinned_stay_as_they_are() {
    let manifests = api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"));
    let settled = place(manifests.clone(), &Overrides::default(), &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((settled.manifests, settled.placement), (manifests, None));
}

#[test]
fn nodes_that_are_not_ready_or_cordoned_are_left_out() {
    let cordoned = |manifests: &mut Manifests| manifests.nodes[1].spec.spec.unschedulable = true;
    let not_ready = |manifests: &mut Manifests| {
        let condition = api::NodeCondition { r#type: "Ready".to_owned(), status: "Unknown".to_owned() };
        manifests.nodes[1].spec.status.conditions.push(condition);
    };
    for (settled, want) in [(changed(cordoned), "box: cordoned"), (changed(not_ready), "box: not ready")] {
        assert_eq!(left_out(&settled.unwrap_or_else(|error| panic!("{error}"))), [want]);
    }
}

#[test]
fn more_jobs_than_one_machine_serves_are_placed_on_both() {
    let rate: Rate = "120".parse().unwrap_or_else(|error| panic!("{error}"));
    let mut manifests = api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"));
    manifests.services[0].spec.placement = Placement::default();
    let settled = place(manifests, &Overrides::default(), &[rate]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(left_out(&settled), Vec::<String>::new());
}

#[test]
fn a_service_that_fits_nowhere_is_refused_at_its_line() {
    let error = changed(|manifests| {
        for node in &mut manifests.nodes {
            node.spec.status.allocatable.memory = Some("30Mi".parse().unwrap_or_else(|error| panic!("{error}")));
        }
    });
    let error = error.expect_err("there is no room").to_string();
    assert!(error.contains("spec.placement: fashion-mnist has no place: box: needs 3"), "{error}");
    assert!(error.contains("; pi: needs 3"), "{error}");
}

#[test]
fn strategies_that_do_not_exist_are_refused_as_before() {
    let error = changed(|manifests| manifests.services[0].spec.placement.strategy = PlacementStrategy::Latency);
    // Nobody has to place anything then: the reader refuses it.
    let settled = error.unwrap_or_else(|error| panic!("{error}"));
    let errors = deploy(&settled.manifests, &Overrides::default()).expect_err("it is not there").to_string();
    assert!(errors.contains("Latency is not available yet; use Pinned"), "{errors}");
}

#[test]
fn manifests_for_a_cluster_are_planned_here_with_copies_of_their_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    for name in ["examples/cluster/pool.yaml", "examples/cluster/model.yaml", "examples/cluster/service.yaml"] {
        let text = std::fs::read_to_string(root.join(name)).unwrap().replace("NODE", "pi");
        std::fs::write(folder.path().join(Path::new(name).file_name().unwrap()), text).unwrap();
    }
    std::fs::copy(root.join("tests/cluster/manifests/nodes.yaml"), folder.path().join("nodes.yaml")).unwrap();
    let settled = || {
        let manifests = api::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
        place(manifests, &Overrides::default(), &[])
    };
    let refused = || settled().map(drop).unwrap_err().to_string();
    let says = |refused: &str, field: &str, file: &str| {
        let copy = folder.path().join(file).display().to_string();
        refused.contains(field) && refused.ends_with(&format!("beside the manifest, and there is no {copy}"))
    };
    assert!(says(&refused(), "spec.artifact.uri: \"https://", "model.onnx"), "{}", refused());
    let copy = |file: &str| {
        std::fs::copy(root.join("examples/fashion-mnist").join(file), folder.path().join(file)).unwrap();
    };
    copy("model.onnx");
    assert!(says(&refused(), "spec.exitTable.uri: \"configmap://", "exit-table.safetensors"), "{}", refused());
    copy("exit-table.safetensors");
    let settled = settled().unwrap_or_else(|error| panic!("{error}"));
    let deployed = deploy(&settled.manifests, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"));
    deployed.verify().unwrap_or_else(|error| panic!("{error}"));
}

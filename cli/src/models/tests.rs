use super::*;
use crate::deploy::{Overrides, deploy};
use deployment::problem;
use domain::problem::Burstiness;
use domain::{Bytes, Probability, Problem, Seconds};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fashion-mnist");

/// The problem of changed manifests of the example.
fn changed(judge: Judge, change: impl Fn(&mut Manifests)) -> Outcome<Problem> {
    let mut manifests = api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"));
    change(&mut manifests);
    let deployed = deploy(&manifests, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"));
    problem(&deployed.deployment, &read(&deployed, &manifests, None, judge)?).blame_input()
}

fn example() -> Problem {
    changed(Judge::Others, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn devices_of_the_example_host_one_fragment_each() {
    let problem = example();
    let devices: Vec<_> = problem.devices.iter().map(|one| (one.name.as_str(), one.cores, one.speed)).collect();
    assert_eq!(devices, [("box", 1.0, 0.06), ("pi-1", 1.0, 0.04), ("pi-2", 1.0, 0.04)]);
    for device in &problem.devices {
        let [fragment] = &device.fragments[..] else { panic!("{device:?}") };
        assert_eq!((fragment.service, fragment.workers, fragment.cpu_request), (0, 1, 1.0));
        assert_eq!((fragment.cpu_limit, fragment.memory_budget), (f64::INFINITY, Bytes(256 << 10)));
        assert_eq!(device.memory_budget, None, "budgets of fragments are within that of the device");
    }
}

#[test]
fn chains_of_the_example_cross_links_like_its_processes() {
    let problem = example();
    let links: Vec<_> = problem.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(links, ["pi-1→box", "fashion-mnist@pi-1→pi-2", "pi-2→box"]);
    let [service] = &problem.services[..] else { panic!("one service") };
    let chains: Vec<_> = service.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(chains, ["left", "right"]);
    let hops =
        |chain: usize| -> Vec<_> { service.chains[chain].hops.iter().map(|hop| (hop.device, hop.link)).collect() };
    assert_eq!((hops(0), hops(1)), (vec![(1, None), (0, Some(0))], vec![(2, None), (0, Some(2))]));
    let [gateway] = &service.gateways[..] else { panic!("one gateway") };
    assert_eq!((gateway.device.as_str(), &gateway.links[..]), ("pi-1", &[None, Some(1)][..]));
    let link = problem.links[0].link;
    assert_eq!((link.bytes_per_second, link.latency.get()), (12.5e6, 0.0005));
}

#[test]
fn the_service_of_the_example_has_its_model_targets_and_source() {
    let problem = example();
    let service = &problem.services[0];
    let model = &service.model;
    assert_eq!(model.exit_segments, [0, 1, 2, 3, 4, 5]);
    assert_eq!(model.tensor_bytes, [3_136, 9_408, 18_816, 9_408, 12_544, 18_816, 0]);
    assert_eq!((model.choose.table.samples(), model.judge.table.samples()), (2_500, 2_500));
    assert_eq!(service.targets.max_loss, Probability::new(0.01).ok());
    assert_eq!(service.targets.max_p95_latency, Seconds::new(0.1).ok());
    assert_eq!((service.audit.get(), service.deadline), (0.01, Seconds::new(1.0).ok()));
    let [source] = &service.sources[..] else { panic!("one source") };
    assert_eq!((source.name.as_str(), source.rate.get(), source.burstiness), ("camera", 100.0, Burstiness::Poisson));
}

#[test]
fn where_nothing_is_chosen_all_samples_judge() {
    let problem = changed(Judge::All, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let model = &problem.services[0].model;
    assert_eq!((model.choose.table.samples(), model.judge.table.samples()), (5_000, 5_000));
}

#[test]
fn what_cannot_be_predicted_is_named_with_its_remedy() {
    let refused = |change: &dyn Fn(&mut Manifests)| changed(Judge::All, change).expect_err("it was read").to_string();
    let error = refused(&|manifests| manifests.models[0].spec.exit_table = None);
    assert!(error.contains("model.yaml") && error.contains("spec.exitTable: is missing;"), "{error}");
    assert!(error.contains("`eenn model profile -f DIR --data"), "{error}");
    let error = refused(&|manifests| manifests.models[0].spec.exits[0].name = "first".parse().expect("a name"));
    assert!(error.contains("its exits are exit1, exit2"), "{error}");
    let error = refused(&|manifests| {
        manifests.services[0].spec.runtime.memory_budget = "4Ki".parse().expect("a quantity");
    });
    assert!(
        error.contains("on \"box\" has a memoryBudget of 4096 bytes, which does not hold one job of 18816"),
        "{error}"
    );
}

use crate::{Deployment, Judge, Models, Outline, deploy, model};
use api::Manifests;
use domain::{ExitTable, PerSecond};
use std::collections::BTreeMap;
use std::path::Path;
use wire::document::{DeviceDocument, GatewayDocument};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/fashion-mnist");

pub(crate) fn example() -> Manifests {
    api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn deployed(manifests: &Manifests) -> Deployment {
    let resolved = manifests.resolve().unwrap_or_else(|errors| panic!("{errors}"));
    deploy(&resolved, &BTreeMap::from([("fashion-mnist".to_owned(), "/model/model.onnx".to_owned())]))
}

/// The model of an example as its manifest says it, with four samples that get surer from exit to exit.
pub(crate) fn models(manifests: &Manifests) -> Models {
    let resolved = manifests.unplaced().unwrap_or_else(|errors| panic!("{errors}"));
    let resolved = &resolved.services[0].model;
    let confidences = (0..24).map(|at| 0.4 + 0.1 * (at % 6) as f32).collect();
    let said = (0..24).map(|at| u16::from(at % 6 >= at / 6)).collect();
    let table = ExitTable::new(6, confidences, said, vec![1; 4]).unwrap();
    let outline = Outline::from_manifest(&manifests.models[0].spec).unwrap();
    Models::from_iter([model(resolved, outline, table, Judge::Others, false).unwrap()])
}

#[test]
fn the_example_becomes_three_devices_and_one_gateway() {
    let deployment = deployed(&example());
    let devices: Vec<_> = deployment
        .devices
        .iter()
        .map(|device| {
            let fragments: Vec<&str> = device.fragments.iter().map(|fragment| fragment.name.as_str()).collect();
            let links: Vec<&str> = device.links.keys().map(String::as_str).collect();
            (device.device.as_str(), fragments, links)
        })
        .collect();
    assert_eq!(
        devices,
        [
            ("box", vec!["fashion-mnist-3-6"], vec!["pi-1", "pi-2"]),
            ("pi-1", vec!["fashion-mnist-1-2"], vec!["box", "pi-2"]),
            ("pi-2", vec!["fashion-mnist-1-2"], vec!["box", "pi-1"]),
        ]
    );
    let [service] = &deployment.services[..] else { panic!("one service") };
    let [gateway] = &service.gateways[..] else { panic!("one gateway") };
    assert_eq!((gateway.device.as_str(), gateway.source.as_str()), ("pi-1", "camera"));
    assert_eq!(gateway.links.keys().collect::<Vec<_>>(), ["box", "pi-2"]);
}

#[test]
fn documents_of_the_example_can_be_read_by_the_processes() {
    let deployment = deployed(&example());
    for device in &deployment.devices {
        let text = serde_json::to_string(device).unwrap();
        assert_eq!(&serde_json::from_str::<DeviceDocument>(&text).unwrap(), device);
    }
    for service in &deployment.services {
        for gateway in &service.gateways {
            let segments = gateway.model.cuts.len() + 1;
            policy::read(&gateway.policy, gateway.model.exits.len(), segments).unwrap();
            let text = serde_json::to_string(gateway).unwrap();
            assert_eq!(&serde_json::from_str::<GatewayDocument>(&text).unwrap(), gateway);
        }
    }
}

#[test]
fn addresses_reach_every_hop() {
    let mut deployment = deployed(&example());
    let names = deployment.devices.iter().map(|device| device.device.clone());
    deployment.with_addresses(&names.map(|name| (name.clone(), format!("{name}:1"))).collect());
    let chains = &deployment.services[0].gateways[0].policy.chains;
    assert!(chains.iter().flat_map(|chain| &chain.hops).all(|hop| hop.address == format!("{}:1", hop.device)));
}

#[test]
fn sources_on_one_node_share_a_gateway() {
    let mut manifests = example();
    let second = manifests.services[0].spec.sources[0].clone();
    manifests.services[0].spec.sources.push(api::Source { name: "second".parse().unwrap(), ..second });
    let deployment = deployed(&manifests);
    assert_eq!((deployment.services[0].gateways.len(), deployment.services[0].sources.len()), (1, 2));
}

#[test]
fn every_gateway_expects_the_rate_of_its_own_sources() {
    let mut manifests = example();
    let second = manifests.services[0].spec.sources[0].clone();
    let (name, node) = ("second".parse().unwrap(), "pi-2".parse().unwrap());
    let second = api::Source { name, node, expected_rate: "300".parse().unwrap(), ..second };
    manifests.services[0].spec.sources.push(second);
    let mut deployment = deployed(&manifests);
    let mut policy = deployment.services[0].resolved.initial_policy();
    policy.rates = Some(domain::RateTable {
        forecast: PerSecond::new(200.0).unwrap(),
        measured: domain::Measured::Window(domain::Seconds::new(1.0).unwrap()),
        rows: vec![domain::RateRow { up_to: 1.0, default: policy.default.clone(), sources: vec![] }],
    });
    deployment.with_plan(&domain::Plan { policies: vec![policy] });
    let gateways = deployment.services[0].gateways.iter();
    let forecasts: Vec<f64> =
        gateways.filter_map(|gateway| gateway.policy.rates.as_ref()).map(|rates| rates.forecast_per_second).collect();
    assert_eq!(forecasts, [50.0, 150.0]);
}

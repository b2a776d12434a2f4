use super::decided::{explained, in_force};
use super::neighbours::{Member, Neighbours};
use api::{DevicePool, EENNModel, EENNPlan, EENNService, Manifests, Object, QoSTarget};
use deployment::{Ask, Decided, Judge, Look, Outline, decide, deploy, known, model, predict, problem, spec};
use domain::{ExitTable, Plan};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The manifests of the tests against an API server.
fn manifests() -> Manifests {
    let read = |name: &str| api::load(&file("tests/cluster/manifests").join(name)).unwrap();
    Manifests { nodes: read("nodes.yaml").nodes, ..read("two-tier.yaml") }
}

fn table() -> ExitTable {
    api::exit_table::read(&file("examples/fashion-mnist/exit-table.safetensors")).unwrap().0
}

/// What the operator would store for them, with the plan as it was before.
fn decided(manifests: &Manifests) -> (Plan, EENNPlan) {
    let resolved = manifests.resolve().unwrap();
    let deployed = deploy(&resolved, &[("fashion-mnist".to_owned(), "/model".to_owned())].into());
    let outline = Outline::from_manifest(&manifests.models[0].spec).unwrap();
    let models = [model(&resolved.services[0].model, outline, table(), Judge::Others, true).unwrap()];
    let problem = problem(&deployed, &models.into_iter().collect()).unwrap();
    let ask = Ask { budget: Duration::from_millis(50), ..Ask::default() };
    let plan = decide(&problem, &deployed, &ask, None, &|| Duration::ZERO).unwrap().plan;
    let predictions = predict(&problem, &plan, &Look { arrivals: 1_000, ..Look::default() });
    let decided = Decided { problem: &problem, deployment: &deployed, plan: &plan, predictions: &predictions };
    let spec = spec(&decided, 0, 1, "first plan").unwrap();
    (plan, EENNPlan::new("camera-1", spec))
}

/// A service of a namespace.
fn service(object: &Object<api::EENNServiceSpec>, namespace: &str) -> EENNService {
    let mut service = EENNService::new(&object.name, object.spec.clone());
    service.metadata.namespace = Some(namespace.to_owned());
    service.metadata.uid = Some(format!("uid-{namespace}"));
    service
}

/// A pool with one service in each of these namespaces.
fn neighbours(namespaces: &[&str]) -> (Plan, Neighbours) {
    let manifests = manifests();
    let (plan, stored) = decided(&manifests);
    let member = |namespace: &&str| Member {
        service: service(&manifests.services[0], namespace),
        model: EENNModel::new("fashion-mnist", manifests.models[0].spec.clone()),
        table: table(),
        target: Some(QoSTarget::new("interactive", manifests.targets[0].spec.clone())),
        plan: stored.clone(),
    };
    let nodes = manifests.nodes.iter().map(|node| serde_json::to_value(&node.spec).unwrap());
    let neighbours = Neighbours {
        pool: DevicePool::new("edge", manifests.pools[0].spec.clone()),
        nodes: nodes.map(|node| serde_json::from_value(node).unwrap()).collect(),
        members: namespaces.iter().map(member).collect(),
        notes: vec![],
    };
    (plan, neighbours)
}

#[test]
fn the_plan_that_was_decided_is_the_one_that_is_explained() {
    let (plan, neighbours) = neighbours(&["edge"]);
    // Bounds of its rows may differ in the last digit: they were text.
    let read = in_force(&neighbours).unwrap().plan;
    let (read, plan) = (&read.policies[0], &plan.policies[0]);
    assert_eq!((&read.chains, &read.default, read.epoch), (&plan.chains, &plan.default, plan.epoch));
    assert_eq!(read.rates.as_ref().map(|it| it.rows.len()), plan.rates.as_ref().map(|it| it.rows.len()));
    let text = explained(&neighbours, &neighbours.members[0].service).unwrap();
    assert!(text.starts_with("All targets are met, by simulation.\n\ncamera: "), "{text}");
    assert!(text.contains("By plan camera-1, at the jobs per second that it was made for: 20 from camera."), "{text}");
    assert!(!text.contains("is shared with"), "{text}");
}

#[test]
fn services_of_other_namespaces_share_the_devices() {
    let (_, neighbours) = neighbours(&["edge", "yard"]);
    let in_force = in_force(&neighbours).unwrap();
    assert_eq!(in_force.problem.services.len(), 2);
    let text = explained(&neighbours, &neighbours.members[1].service).unwrap();
    assert!(text.contains("\ncamera: "), "people do not know names with hashes: {text}");
    assert!(text.contains("Pool edge is shared with edge/camera."), "{text}");
}

#[test]
fn a_node_that_is_gone_is_told() {
    let (_, mut neighbours) = neighbours(&["edge"]);
    neighbours.nodes.retain(|node| node.metadata.name.as_deref() != Some("box"));
    let refused = explained(&neighbours, &neighbours.members[0].service).unwrap_err();
    assert!(refused.contains("\"box\""), "{refused}");
}

/// The same pool and model, whose numbers are not in their specs but were measured.
fn measured(mut neighbours: Neighbours) -> Neighbours {
    let on = json!({ "node": "box", "measuredTime": "2026-01-01T00:00:00Z" });
    let class = &mut neighbours.pool.spec.classes[1];
    let speed = class.speed_factor.take().unwrap();
    let of = json!({ "name": class.name, "speedFactor": speed, "model": "edge/fashion-mnist" });
    let classes = json!({ "classes": [merged(of, &on)] });
    neighbours.pool.status = Some(serde_json::from_value(classes).unwrap());
    for member in &mut neighbours.members {
        let spec = &mut member.model.spec;
        let of = json!({ "of": known::what(spec), "class": "edge-box", "speedFactor": "1", "machine": "a box" });
        let segments =
            spec.cuts.iter_mut().map(|cut| json!({ "macs": 1, "weightBytes": 1, "activationBytes": cut.bytes.take() }));
        let status = json!({ "segments": segments.collect::<Vec<_>>(), "profile": spec.profile.take().unwrap(), "measured": merged(of, &on) });
        member.model.status = Some(serde_json::from_value(status).unwrap());
    }
    neighbours
}

fn merged(mut object: serde_json::Value, more: &serde_json::Value) -> serde_json::Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

#[test]
fn what_was_measured_counts_where_specs_say_nothing() {
    let (_, said) = neighbours(&["edge"]);
    let measured = measured(said.clone());
    assert_eq!(in_force(&measured).unwrap().problem, in_force(&said).unwrap().problem);
    let mut unknown = measured;
    unknown.members[0].model.status = None;
    assert!(in_force(&unknown).unwrap_err().contains("profile"), "without its times there is nothing to simulate");
}

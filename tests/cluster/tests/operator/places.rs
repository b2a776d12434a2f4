//! Where fragments are, and how they get somewhere else.

use crate::SERVICE;
use crate::proxy::{Fate, Faults, Proxy};
use crate::scene::{NAMESPACE, Scene};
use anyhow::ensure;
use cluster_tests::Test;
use hyper::Uri;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const TESTS: &[Test] = &[
    ("a_placement_waits_for_approval", a_placement_waits_for_approval),
    ("a_cordoned_node_is_left_after_others_have_taken_over", a_cordoned_node_is_left_after_others_have_taken_over),
    ("a_lost_node_is_done_without_before_anything_is_planned", a_lost_node_is_done_without_before_anything_is_planned),
    ("a_gateway_serves_until_its_successor_does", a_gateway_serves_until_its_successor_does),
    ("a_source_moves_to_another_node", a_source_moves_to_another_node),
    ("a_chain_that_is_cut_elsewhere_is_planned_again", a_chain_that_is_cut_elsewhere_is_planned_again),
    (
        "a_plan_that_is_refused_keeps_no_other_service_from_its_own",
        a_plan_that_is_refused_keeps_no_other_service_from_its_own,
    ),
    ("pods_without_room_beside_old_ones_are_told_and_let_in", pods_without_room_beside_old_ones_are_told_and_let_in),
];

fn a_placement_waits_for_approval() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &[])?;
    scene.apply_all()?;
    let patch = |spec: &str| scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", spec]);
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    patch(r#"{"spec": {"planning": "Manual", "approvedPlan": "camera-1"}}"#)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let running = scene.names("deployments")?;
    patch(
        r#"{"spec": {"placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#,
    )?;
    scene.until("a plan is proposed", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["proposedPlanRef"]["name"] == "camera-2")
    })?;
    scene.wait_for(SERVICE, "Planned", "True", "ProposalWaits")?;
    ensure!(scene.get(SERVICE)?["status"]["planRef"]["name"] == "camera-1");
    ensure!(scene.names("deployments")? == running, "nothing moves before it is approved");
    patch(r#"{"spec": {"approvedPlan": "camera-2"}}"#)?;
    scene.until("the approved plan is in force", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] == "camera-2")
    })?;
    scene.wait_for("eennplan/camera-1", "InForce", "False", "Superseded")?;
    scene.until("one fragment and one gateway are left", || {
        scene.names("deployments").is_ok_and(|names| names.len() == 2)
    })?;
    // Back again: gateways take only what is newer, so that it comes under another number.
    patch(r#"{"spec": {"approvedPlan": "camera-1"}}"#)?;
    let plan = || -> anyhow::Result<Value> {
        let name = scene.get(SERVICE)?["status"]["planRef"]["name"].as_str().unwrap_or_default().to_owned();
        scene.get(&format!("eennplan/{name}"))
    };
    scene.until("the first plan is in force again", || {
        plan().is_ok_and(|plan| {
            plan["spec"]["reason"] == "camera-1 is in force again" && plan["spec"]["generation"].as_i64() > Some(2)
        })
    })?;
    ensure!(plan()?["spec"]["chains"] == scene.get("eennplan/camera-1")?["spec"]["chains"], "{:#}", plan()?);
    scene.until("its pods are there again, and no others", || {
        scene.names("deployments").is_ok_and(|names| names.len() == running.len())
    })
}

fn a_cordoned_node_is_left_after_others_have_taken_over() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let before = scene.names("deployments")?;
    scene.kubectl(&["cordon", "box"])?;
    scene.wait_for("devicepool/edge", "Ready", "True", "SomeDevicesUsable")?;
    scene.until("a plan without it is in force", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] == "camera-2")
    })?;
    let plan = scene.get("eennplan/camera-2")?;
    ensure!(!plan["spec"]["chains"].to_string().contains("\"box\""), "{plan:#}");
    ensure!(scene.names("deployments")? == before, "jobs on their way are finished first");
    scene.until("what was there is gone", || scene.names("deployments").is_ok_and(|names| names.len() == 2))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn a_lost_node_is_done_without_before_anything_is_planned() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let first = scene.get("eennplan/camera-1")?;
    // To a chain through the node, so that it has to be done without.
    let used = first["spec"]["choices"].as_array().cloned().unwrap_or_default();
    let goes = |chain: &str| used.iter().any(|choice| choice["chain"] == chain);
    ensure!(goes("split") || goes("box"), "no job goes over the box: {first:#}");
    scene.kubectl(&["delete", "node", "box"])?;
    scene.until("there is a plan without the node", || scene.get("eennplan/camera-2").is_ok())?;
    let second = scene.get("eennplan/camera-2")?;
    let chains: Vec<&Value> = second["spec"]["choices"]
        .as_array()
        .map(|all| all.iter().map(|one| &one["chain"]).collect())
        .unwrap_or_default();
    ensure!(chains.iter().all(|chain| **chain == "pi"), "{second:#}");
    ensure!(second["spec"]["chains"] == first["spec"]["chains"], "pods stay until new ones are there: {second:#}");
    ensure!(second["spec"]["reason"] == "box is gone: jobs take the other chains", "{second:#}");
    scene.until("it is planned anew", || scene.get("eennplan/camera-3").is_ok())?;
    let third = scene.get("eennplan/camera-3")?;
    ensure!(third["spec"]["chains"].as_array().is_some_and(|chains| chains.len() == 1), "{third:#}");
    scene.until("the node is among those that are not used", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["rejectedDevices"][0]["name"] == "box")
    })
}

fn pods_without_room_beside_old_ones_are_told_and_let_in() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election", "--drain-seconds", "2"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // Two fragments on a node of 3 GiB, with about 1 GiB each: two of them fit, three do not.
    let with_size = |size: &str| {
        let patch = format!(r#"{{"spec": {{"artifact": {{"size": "{size}"}}}}}}"#);
        scene.kubectl(&["-n", NAMESPACE, "patch", "eennmodel/fashion-mnist", "--type=merge", "-p", &patch])
    };
    with_size("480Mi")?;
    scene.until("old pods are gone", || {
        let placed = scene.condition(SERVICE, "Placed").is_ok_and(|(status, _, _)| status == "True");
        placed && scene.names("deployments").is_ok_and(|names| names.len() == 5)
    })?;
    with_size("481Mi")?;
    scene.until("it says that there is no room", || {
        scene.condition(SERVICE, "Placed").is_ok_and(|(_, _, message)| {
            let counted = message.contains("old and new pods on") && message.contains("and it has 3072 MiB");
            counted
                && message.contains("Insufficient memory")
                && message.contains("eenn.dev/replacement=BreakBeforeMake")
        })
    })?;
    scene.kubectl(&["-n", NAMESPACE, "annotate", SERVICE, "eenn.dev/replacement=BreakBeforeMake"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

/// Addresses of pods that take what is sent to a Service, from its EndpointSlices.
fn addresses(scene: &Scene, service: &str) -> anyhow::Result<Vec<String>> {
    let slices = scene.kubectl(&[
        "-n",
        NAMESPACE,
        "get",
        "endpointslices",
        "-l",
        &format!("kubernetes.io/service-name={service}"),
        "-o",
        "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}",
    ])?;
    Ok(slices.split_whitespace().map(str::to_owned).collect())
}

fn a_gateway_serves_until_its_successor_does() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election", "--drain-seconds", "2"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let url = scene.get(SERVICE)?["status"]["endpoints"][0]["url"].as_str().unwrap_or_default().to_owned();
    let endpoint = url.trim_start_matches("http://").split('.').next().unwrap_or_default().to_owned();
    scene.until("requests get to a gateway", || addresses(&scene, &endpoint).is_ok_and(|all| all.len() == 1))?;
    let before = addresses(&scene, &endpoint)?;
    // Its successor finds no node for now: it may not go where there is none for it.
    scene.kubectl(&["taint", "node", "pi", "example.com/away=now:NoSchedule"])?;
    let memory = |size: &str| {
        let patch = format!(r#"{{"spec": {{"runtime": {{"gatewayMemoryBudget": "{size}"}}}}}}"#);
        scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", &patch])
    };
    memory("17Mi")?;
    scene.wait_for(SERVICE, "Placed", "False", "PodsStuck")?;
    for _ in 0..10 {
        ensure!(addresses(&scene, &endpoint)? == before, "the gateway of before is out of reach");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    scene.kubectl(&["taint", "node", "pi", "example.com/away-"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.until("the old one is gone, and the new one is reached", || {
        addresses(&scene, &endpoint).is_ok_and(|now| now.len() == 1 && now != before)
    })
}

fn a_source_moves_to_another_node() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election", "--drain-seconds", "5"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let endpoint = || -> anyhow::Result<String> {
        let url = scene.get(SERVICE)?["status"]["endpoints"][0]["url"].as_str().unwrap_or_default().to_owned();
        Ok(url.trim_start_matches("http://").split('.').next().unwrap_or_default().to_owned())
    };
    let before = endpoint()?;
    scene.until("requests get to a gateway", || addresses(&scene, &before).is_ok_and(|all| all.len() == 1))?;
    let old = addresses(&scene, &before)?;
    let moved = r#"{"spec": {"sources": [{"name": "camera", "node": "box", "expectedRate": "20"}], "placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#;
    scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", moved])?;
    scene.until("requests get to a gateway on the other node", || {
        endpoint().is_ok_and(|now| now != before && addresses(&scene, &now).is_ok_and(|all| all.len() == 1))
    })?;
    ensure!(addresses(&scene, &before)? == old, "who has not looked up the new address is not served any more");
    scene.until("what was there is gone", || {
        let left = scene.names("services").is_ok_and(|names| !names.contains(&before));
        left && scene.names("deployments").is_ok_and(|names| names.len() == 2)
    })?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn a_chain_that_is_cut_elsewhere_is_planned_again() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    scene.add_door()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    for service in [SERVICE, "eennservice/door"] {
        scene.wait_for(service, "Placed", "True", "Placed")?;
    }
    let cut = |after: u32| {
        let next = after + 1;
        let patch = format!(
            r#"{{"spec": {{"placement": {{"pinned": [{{"chain": "split", "fragments": [{{"node": "pi", "firstSegment": 1, "lastSegment": {after}}}, {{"node": "box", "firstSegment": {next}, "lastSegment": 6}}]}}]}}}}}}"#
        );
        scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", &patch])
    };
    for after in [3, 2, 4] {
        cut(after)?;
        scene.until(&format!("it is cut after segment {after}"), || {
            let service = scene.get(SERVICE).unwrap_or_default();
            let plan = service["status"]["planRef"]["name"].as_str().unwrap_or_default().to_owned();
            let plan = scene.get(&format!("eennplan/{plan}")).unwrap_or_default();
            plan["spec"]["chains"][0]["fragments"][0]["lastSegment"] == after
                && plan["spec"]["chains"].as_array().is_some_and(|chains| chains.len() == 1)
        })?;
        for service in [SERVICE, "eennservice/door"] {
            scene.wait_for(service, "Planned", "True", "Planned")?;
        }
    }
    Ok(())
}

/// From some time on no plan is taken in one namespace, as where a quota is used up.
#[derive(Default, Clone)]
struct Full(Arc<AtomicBool>);

impl Faults for Full {
    fn request(&self, method: &str, uri: &Uri) -> Fate {
        let plan = method == "POST" && uri.path().ends_with("/namespaces/full/eennplans");
        if plan && self.0.load(Ordering::SeqCst) { Fate::Refused(403) } else { Fate::Passes }
    }
}

fn a_plan_that_is_refused_keeps_no_other_service_from_its_own() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    scene.kubectl(&["create", "namespace", "full"])?;
    let all = std::fs::read_to_string(crate::scene::manifest("two-tier.yaml"))?;
    let of_namespace: Vec<&str> = all.split("---\n").filter(|one| !one.contains("kind: DevicePool")).collect();
    scene.tools.kubectl(&["-n", "full", "apply", "-f", "-"], &of_namespace.join("---\n"))?.ok()?;
    let table = cluster_tests::file("examples/fashion-mnist/exit-table.safetensors");
    let table = format!("--from-file=exit-table.safetensors={}", table.display());
    scene.kubectl(&["-n", "full", "create", "configmap", "fashion-mnist", &table])?;
    let full = Full::default();
    let proxy = Proxy::start(&scene.plane, "operator", full.clone())?;
    let _operator = scene.operator_with("operator", &proxy.kubeconfig(), &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.until("the other one has a plan, too", || {
        scene.kubectl(&["-n", "full", "get", "eennplan/camera-1"]).is_ok()
    })?;
    full.0.store(true, Ordering::SeqCst);
    scene.kubectl(&["delete", "node", "box"])?;
    scene.until("the service of the namespace with room does without the node", || {
        let service = scene.get(SERVICE).unwrap_or_default();
        let plan = service["status"]["planRef"]["name"].as_str().unwrap_or_default().to_owned();
        let plan = scene.get(&format!("eennplan/{plan}")).unwrap_or_default();
        plan["spec"]["chains"].as_array().is_some_and(|chains| chains.len() == 1)
    })?;
    scene.until("the other one says what is refused", || {
        let said =
            ["-n", "full", "get", SERVICE, "-o", "jsonpath={.status.conditions[?(@.type==\"Planned\")].message}"];
        scene.kubectl(&said).is_ok_and(|said| said.contains("cannot create EENNPlan"))
    })
}

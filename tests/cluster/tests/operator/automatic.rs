//! Placements that the operator finds itself, and when it finds others.

use crate::SERVICE;
use crate::scene::{NAMESPACE, Scene};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) const TESTS: &[Test] =
    &[("placements_are_found_kept_approved_and_left", placements_are_found_kept_approved_and_left)];

/// Nodes beside those of all tests: one that is as good as the box, and five that cannot be used, each for another reason.
fn add_nodes(scene: &Scene) -> anyhow::Result<()> {
    let nodes = [
        ("spare", "edge-box", "amd64", "15Gi"),
        ("old", "edge-box", "riscv64", "15Gi"),
        ("small", "edge-box", "amd64", "24Mi"),
        ("far", "far-box", "amd64", "15Gi"),
        ("shut", "edge-box", "amd64", "15Gi"),
        ("walled", "edge-box", "amd64", "15Gi"),
    ];
    for (name, kind, architecture, memory) in nodes {
        let size = json!({ "cpu": "4", "memory": memory, "pods": "110" });
        let taint = json!({ "key": "robots", "value": "only", "effect": "NoSchedule" });
        let taints = if name == "walled" { json!([taint]) } else { json!([]) };
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": { "kwok.x-k8s.io/node": "fake" },
                "labels": {
                    "example.com/pool": "edge", "node.kubernetes.io/instance-type": kind,
                    "kubernetes.io/arch": architecture, "kubernetes.io/os": "linux",
                },
            },
            "spec": { "unschedulable": name == "shut", "taints": taints },
            "status": {
                "capacity": size, "allocatable": size,
                "nodeInfo": {
                    "architecture": architecture, "operatingSystem": "linux", "bootID": "", "machineID": "",
                    "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "fake",
                    "osImage": "", "systemUUID": "",
                },
            },
        });
        scene.plane.api().post("/api/v1/nodes", &node)?;
    }
    // No link leads to the class of that one.
    let class = r#"[{"op": "add", "path": "/spec/classes/-", "value": {
        "name": "far-box", "matchLabels": {"node.kubernetes.io/instance-type": "far-box"}, "tier": "FarEdge",
        "cores": "1", "speedFactor": "0.1", "memoryBudget": "256Ki"}}]"#;
    scene.kubectl(&["patch", "devicepool/edge", "--type=json", "-p", class])?;
    Ok(())
}

/// The plan in force: its name, and itself.
fn in_force(scene: &Scene) -> anyhow::Result<(String, Value)> {
    let service = scene.get(SERVICE)?;
    let name = service["status"]["planRef"]["name"].as_str().context("no plan is in force")?.to_owned();
    let plan = scene.get(&format!("eennplan/{name}"))?;
    Ok((name, plan))
}

/// Nodes that fragments of a plan are on.
fn nodes(plan: &Value) -> BTreeSet<String> {
    let chains = plan["spec"]["chains"].as_array().into_iter().flatten();
    let fragments = chains.flat_map(|chain| chain["fragments"].as_array().into_iter().flatten());
    fragments.filter_map(|fragment| Some(fragment["node"].as_str()?.to_owned())).collect()
}

/// Why a node is not used; empty where that is not said.
fn why_not(scene: &Scene, node: &str) -> String {
    let service = scene.get(SERVICE).unwrap_or_default();
    let all = service["status"]["rejectedDevices"].as_array().cloned().unwrap_or_default();
    let one = all.iter().find(|one| one["name"] == node);
    one.and_then(|one| one["reason"].as_str()).unwrap_or_default().to_owned()
}

fn placements_are_found_kept_approved_and_left() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    add_nodes_and_service(&scene)?;
    let _operator = scene.operator("operator", &["--no-leader-election", "--drain-seconds", "2"])?;
    let patch = |spec: &str| scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", spec]);
    let moved_from = |node: &str| in_force(&scene).is_ok_and(|(_, plan)| !nodes(&plan).contains(node));

    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let (first, plan) = in_force(&scene)?;
    let usable: BTreeSet<String> = ["pi", "box", "spare"].map(str::to_owned).into();
    ensure!(nodes(&plan).is_subset(&usable), "{plan:#}");
    for (node, why) in [
        ("old", "riscv64 image missing"),
        ("small", "are free"),
        ("far", "no link from gateway pi"),
        ("shut", "cordoned"),
        ("walled", "has a taint that its pool does not tolerate"),
    ] {
        scene.until(&format!("it is said why {node} is not used"), || why_not(&scene, node).contains(why))?;
    }
    let (_, _, message) = scene.condition("devicepool/edge", "Ready")?;
    ensure!(
        message.contains("walled has the taint robots=only:NoSchedule, which no entry of spec.tolerations"),
        "{message}"
    );
    let (_, _, message) = scene.condition(SERVICE, "Planned")?;
    ensure!(message.contains("; not used: far (no link from gateway pi), old (riscv64 image missing)"), "{message}");

    // A little more load is no reason to move.
    let running = scene.names("deployments")?;
    patch(r#"{"spec": {"sources": [{"name": "camera", "node": "pi", "expectedRate": "40.5"}]}}"#)?;
    scene.until("it is planned for more", || in_force(&scene).is_ok_and(|(name, _)| name != first))?;
    let (second, kept) = in_force(&scene)?;
    ensure!(kept["spec"]["chains"] == plan["spec"]["chains"], "it has moved: {plan:#} {kept:#}");
    ensure!(scene.names("deployments")? == running, "pods were replaced");

    // A node that is to be left is left when somebody has approved of it.
    let left = nodes(&kept).into_iter().find(|node| node != "pi").context("40 jobs per second are too many for pi")?;
    patch(&format!(r#"{{"spec": {{"planning": "Manual", "approvedPlan": "{second}"}}}}"#))?;
    scene.wait_for(SERVICE, "Planned", "True", "Planned")?;
    scene.kubectl(&["cordon", &left])?;
    scene.wait_for(SERVICE, "Planned", "True", "ProposalWaits")?;
    ensure!(scene.names("deployments")? == running, "nothing moves before it is approved");
    let proposed = scene.get(SERVICE)?["status"]["proposedPlanRef"]["name"].as_str().unwrap_or_default().to_owned();
    patch(&format!(r#"{{"spec": {{"approvedPlan": "{proposed}"}}}}"#))?;
    scene.until("the node is left", || moved_from(&left))?;
    scene.until("there are pods elsewhere beside the old ones", || {
        scene
            .names("deployments")
            .is_ok_and(|now| running.iter().all(|one| now.contains(one)) && now.len() > running.len())
    })?;
    scene.until("the old ones are gone", || {
        let now = scene.names("deployments").unwrap_or_default();
        scene.condition(SERVICE, "Placed").is_ok_and(|(status, _, _)| status == "True")
            && running.iter().any(|one| !now.contains(one))
    })?;

    // A node that is lost is done without at once, and then something else is found.
    patch(r#"{"spec": {"planning": "Automatic"}}"#)?;
    scene.kubectl(&["uncordon", &left])?;
    let lost = nodes(&in_force(&scene)?.1).into_iter().find(|node| node != "pi").context("pi is not enough")?;
    scene.kubectl(&["delete", "node", &lost])?;
    scene.until("other nodes are found", || moved_from(&lost))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn add_nodes_and_service(scene: &Scene) -> anyhow::Result<()> {
    scene.apply_all()?;
    add_nodes(scene)?;
    let free = r#"{"spec": {"placement": null, "sources": [{"name": "camera", "node": "pi", "expectedRate": "40"}]}}"#;
    scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", free]).map(drop)
}

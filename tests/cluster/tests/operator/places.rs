//! Where fragments are, and how they get somewhere else.

use crate::SERVICE;
use crate::scene::{NAMESPACE, Scene};
use anyhow::ensure;
use cluster_tests::Test;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    ("a_placement_waits_for_approval", a_placement_waits_for_approval),
    ("a_cordoned_node_is_left_after_others_have_taken_over", a_cordoned_node_is_left_after_others_have_taken_over),
    ("a_lost_node_is_done_without_before_anything_is_planned", a_lost_node_is_done_without_before_anything_is_planned),
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
    ensure!(scene.get(SERVICE)?["status"]["planRef"]["name"] == "camera-1");
    ensure!(scene.names("deployments")? == running, "nothing moves before it is approved");
    patch(r#"{"spec": {"approvedPlan": "camera-2"}}"#)?;
    scene.until("the approved plan is in force", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] == "camera-2")
    })?;
    scene.wait_for("eennplan/camera-1", "InForce", "False", "Superseded")?;
    scene.until("one fragment and one gateway are left", || {
        scene.names("deployments").is_ok_and(|names| names.len() == 2)
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

//! What a service names: deleted, made again, and renamed, in any order.

use crate::SERVICE;
use crate::scene::{NAMESPACE, Scene, manifest};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;

pub(crate) const TESTS: &[Test] = &[
    ("a_missing_reference_is_told_and_recovers", a_missing_reference_is_told_and_recovers),
    ("references_come_and_go_in_any_order", references_come_and_go_in_any_order),
    ("references_are_renamed", references_are_renamed),
];

/// Kinds and names of what a service names, the reason where it is not there, and the field that names it.
const REFERENCES: [(&str, &str, &str, &str); 3] = [
    ("EENNModel", "fashion-mnist", "ModelNotFound", "modelRef"),
    ("QoSTarget", "interactive", "QoSTargetNotFound", "qosTargetRef"),
    ("DevicePool", "edge", "PoolNotFound", "devicePoolRef"),
];

/// The manifest of a kind.
pub(crate) fn document(kind: &str) -> anyhow::Result<String> {
    let all = std::fs::read_to_string(manifest("two-tier.yaml"))?;
    let of_kind = |one: &&str| one.contains(&format!("kind: {kind}\n"));
    Ok(all.split("---\n").find(of_kind).with_context(|| format!("there is no {kind}"))?.to_owned())
}

/// Applies one document, as users do.
pub(crate) fn apply(scene: &Scene, document: &str) -> anyhow::Result<()> {
    scene.tools.kubectl(&["-n", NAMESPACE, "apply", "-f", "-"], document)?.ok().map(drop)
}

fn delete(scene: &Scene, kind: &str, name: &str) -> anyhow::Result<()> {
    scene.kubectl(&["-n", NAMESPACE, "delete", &format!("{kind}/{name}")]).map(drop)
}

fn a_missing_reference_is_told_and_recovers() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &[])?;
    scene.apply_all()?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let running = scene.names("deployments")?;
    for (kind, name, reason, _) in REFERENCES {
        delete(&scene, kind, name)?;
        scene.wait_for(SERVICE, "Accepted", "False", reason)?;
        let (_, _, message) = scene.condition(SERVICE, "Ready")?;
        ensure!(message.contains("create it, or name another one"), "{message}");
        ensure!(scene.names("deployments")? == running, "what runs goes on");
        apply(&scene, &document(kind)?)?;
        scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    }
    scene.kubectl(&["-n", NAMESPACE, "delete", "configmap", "fashion-mnist"])?;
    scene.wait_for("eennmodel/fashion-mnist", "Ready", "False", "ExitTableNotFound")?;
    scene.wait_for(SERVICE, "ModelReady", "False", "ModelNotReady")?;
    ensure!(scene.names("deployments")? == running, "what runs goes on");
    scene.make_table()?;
    scene.wait_for("eennmodel/fashion-mnist", "Ready", "True", "Ready")?;
    scene.wait_for(SERVICE, "ModelReady", "True", "ModelReady")?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn references_come_and_go_in_any_order() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let running = scene.names("deployments")?;
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (gone, back) in orders.iter().zip(orders.iter().cycle().skip(2)) {
        for &one in gone {
            delete(&scene, REFERENCES[one].0, REFERENCES[one].1)?;
        }
        for (left, &one) in back.iter().enumerate() {
            // Which of those that are missing is told is up to the operator.
            let missing: Vec<&str> = back[left..].iter().map(|&one| REFERENCES[one].2).collect();
            scene.until(&format!("one of {missing:?} is told"), || {
                let (status, reason, _) = scene.condition(SERVICE, "Accepted").unwrap_or_default();
                status == "False" && missing.contains(&reason.as_str())
            })?;
            apply(&scene, &document(REFERENCES[one].0)?)?;
        }
        scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
        ensure!(scene.names("deployments")? == running, "what runs goes on: {gone:?}, {back:?}");
    }
    Ok(())
}

fn references_are_renamed() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    for (kind, name, reason, field) in REFERENCES {
        let renamed = document(kind)?.replacen(&format!("name: {name}"), "name: renamed", 1);
        // Old one first or new one first: the service names one that is not there for a while, or two are.
        delete(&scene, kind, name)?;
        scene.wait_for(SERVICE, "Accepted", "False", reason)?;
        apply(&scene, &renamed)?;
        let patch = format!(r#"{{"spec": {{"{field}": {{"name": "renamed"}}}}}}"#);
        scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", &patch])?;
        scene.wait_for(SERVICE, "Accepted", "True", "Accepted")?;
        scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    }
    // Back again, before the new name is gone.
    for (kind, name, _, field) in REFERENCES {
        apply(&scene, &document(kind)?)?;
        let patch = format!(r#"{{"spec": {{"{field}": {{"name": "{name}"}}}}}}"#);
        scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", &patch])?;
        delete(&scene, kind, "renamed")?;
        scene.wait_for(SERVICE, "Accepted", "True", "Accepted")?;
        scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    }
    Ok(())
}

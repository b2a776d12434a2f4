//! kstatus, by which Flux, kpt and Helm wait: as Helm has it, on objects in a real API server.

use anyhow::ensure;
use cluster_tests::{Said, Test, Tools, start, text};
use control_plane::{ControlPlane, Options};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) const TESTS: &[Test] = &[("helm_waits_for_what_the_operator_says", helm_waits_for_what_the_operator_says)];

/// Where objects of the example are, and the condition that sums each up.
const OBJECTS: [(&str, &str); 4] = [
    ("devicepools/edge", "Ready"),
    ("namespaces/default/eennmodels/fashion-mnist", "Ready"),
    ("namespaces/default/qostargets/interactive", "Accepted"),
    ("namespaces/default/eennservices/fashion-mnist", "Ready"),
];

fn helm_waits_for_what_the_operator_says() -> anyhow::Result<()> {
    let plane = start(&Options::default())?;
    let tools = Tools::of(&plane, &crate::NEEDED)?;
    let definitions = cluster_tests::file("crds").display().to_string();
    tools.kubectl(&["apply", "--filename", &definitions], "")?.ok()?;
    tools.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")?.ok()?;
    let chart = tempfile::tempdir()?;
    chart_of_example(chart.path())?;
    let chart = chart.path().display().to_string();
    let wait = |seconds: &str| -> anyhow::Result<Said> {
        tools.helm(&["upgrade", "--install", "example", &chart, "--wait=watcher", "--timeout", seconds])
    };
    let waits = |what: &str| -> anyhow::Result<()> {
        let said = wait("4s")?;
        ensure!(!said.success && said.err.contains("InProgress"), "{what}: {}{}", said.out, said.err);
        Ok(())
    };
    waits("nobody has looked at anything")?;
    OBJECTS.iter().try_for_each(|(path, aspect)| say(&plane, path, aspect, "False", 0))?;
    waits("the service is not ready")?;
    OBJECTS.iter().try_for_each(|(path, aspect)| say(&plane, path, aspect, "True", 0))?;
    wait("30s")?.ok()?;
    OBJECTS.iter().try_for_each(|(path, aspect)| say(&plane, path, aspect, "True", 1))?;
    waits("what is said is about the spec of before")
}

fn chart_of_example(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("templates"))?;
    std::fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: example\nversion: 0.1.0\n")?;
    for name in ["pool", "model", "service"] {
        let manifest = text(&format!("examples/cluster/{name}.yaml"))?.replace("NODE", "pi-1");
        std::fs::write(folder.join("templates").join(format!("{name}.yaml")), manifest)?;
    }
    Ok(())
}

/// Writes a status as the operator does, about the generation so many before the one there is.
fn say(plane: &ControlPlane, path: &str, aspect: &str, status: &str, before: i64) -> anyhow::Result<()> {
    let path = format!("/apis/eenn.dev/v1alpha1/{path}");
    let mut object: Value = plane.api().get(&path)?;
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default() - before;
    object["status"] = json!({
        "observedGeneration": generation,
        "conditions": [{
            "type": aspect, "status": status, "reason": "Because", "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    let reply = plane.api().send("PUT", &format!("{path}/status"), Some(&object))?;
    ensure!(reply.status == 200, "{}", String::from_utf8_lossy(&reply.body));
    Ok(())
}

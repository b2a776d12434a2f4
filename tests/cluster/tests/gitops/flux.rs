//! Expressions for Flux, evaluated by the API server, which has the same language: as an admission policy that refuses every status that
//! an expression is true of.

use anyhow::{Context as _, ensure};
use cluster_tests::{Test, Tools, eventually, start, text};
use control_plane::{ControlPlane, Options, Reply};
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[("expressions_follow_ready_and_accepted", expressions_follow_ready_and_accepted)];

/// Kinds, and where the object of the example is.
const OBJECTS: [(&str, &str); 3] = [
    ("DevicePool", "devicepools/edge"),
    ("EENNModel", "namespaces/default/eennmodels/fashion-mnist"),
    ("EENNService", "namespaces/default/eennservices/fashion-mnist"),
];

fn expressions_follow_ready_and_accepted() -> anyhow::Result<()> {
    let plane = start(&Options::default())?;
    apply_example(&plane)?;
    let all = expressions()?;
    ensure!(all.len() == OBJECTS.len(), "{all:#?}");
    for (kind, path) in OBJECTS {
        let (_, failed, current) = all.iter().find(|(of, ..)| of == kind).with_context(|| format!("no {kind}"))?;
        refuse_what_is(&plane, path, failed, current)?;
        let good: &[_] = &[("Accepted", "True"), ("Ready", "True")];
        eventually(&plane, "the policy is in force", || {
            verdict(&plane, path, 1, good).is_ok_and(|verdict| verdict == "current")
        })?;
        let (refused, waits): (&[_], &[_]) =
            (&[("Accepted", "False"), ("Ready", "False")], &[("Accepted", "True"), ("Ready", "Unknown")]);
        for (generation, conditions, expected) in [
            (1, good, "current"),
            (0, good, "in progress"),
            (1, refused, "failed"),
            (0, refused, "in progress"),
            (1, waits, "in progress"),
            (1, &[], "in progress"),
        ] {
            let found = verdict(&plane, path, generation, conditions)?;
            ensure!(found == expected, "{kind} with {conditions:?} of {generation}: {found}, wanted {expected}");
        }
    }
    Ok(())
}

/// Kind, `failed` and `current` of each entry.
fn expressions() -> anyhow::Result<Vec<(String, String, String)>> {
    let file = text("docs/gitops/flux/kustomization.yaml")?;
    let (_, entries) = file.split_once("healthCheckExprs:\n").context("there are expressions")?;
    let value = |entry: &str, key: &str| -> anyhow::Result<String> {
        let line = entry.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: ")));
        let line = line.with_context(|| format!("no {key} in {entry}"))?;
        Ok(serde_json::from_str(line).unwrap_or_else(|_| line.to_owned()))
    };
    let entries = entries.split("- apiVersion: eenn.dev/v1alpha1\n").skip(1);
    entries.map(|entry| Ok((value(entry, "kind")?, value(entry, "failed")?, value(entry, "current")?))).collect()
}

fn apply_example(plane: &ControlPlane) -> anyhow::Result<()> {
    let tools = Tools::of(plane, &crate::NEEDED)?;
    let definitions = cluster_tests::file("crds").display().to_string();
    tools.kubectl(&["apply", "--filename", &definitions], "")?.ok()?;
    tools.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")?.ok()?;
    for name in ["pool", "model", "service"] {
        let manifest = text(&format!("examples/cluster/{name}.yaml"))?.replace("NODE", "pi-1");
        tools.kubectl(&["apply", "--filename", "-"], &manifest)?.ok()?;
    }
    Ok(())
}

fn refuse_what_is(plane: &ControlPlane, path: &str, failed: &str, current: &str) -> anyhow::Result<()> {
    let resource = path.rsplit('/').nth(1).context("a path has a resource")?;
    // Flux has the fields of the object as variables.
    let of_object = |expression: &str| {
        let expression = expression.replace("status.conditions", "object.status.conditions");
        format!("!({})", expression.replace("metadata.generation", "object.metadata.generation"))
    };
    let version = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": resource},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["eenn.dev"], "apiVersions": ["v1alpha1"], "operations": ["UPDATE"],
                "resources": [format!("{resource}/status")],
            }]},
            "validations": [
                {"expression": of_object(failed), "message": "verdict: failed"},
                {"expression": of_object(current), "message": "verdict: current"},
            ],
        },
    });
    let binding = json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": resource},
        "spec": {"policyName": resource, "validationActions": ["Deny"]},
    });
    plane.api().post(&format!("/apis/{version}/validatingadmissionpolicies"), &policy)?;
    plane.api().post(&format!("/apis/{version}/validatingadmissionpolicybindings"), &binding)?;
    Ok(())
}

/// What the expressions say of an object with these conditions, about this generation; it is in its first.
fn verdict(plane: &ControlPlane, path: &str, generation: i64, all: &[(&str, &str)]) -> anyhow::Result<String> {
    let path = format!("/apis/eenn.dev/v1alpha1/{path}");
    let mut object = plane.api().get(&path)?;
    let condition = |(aspect, status): &(&str, &str)| {
        json!({
            "type": aspect, "status": status, "reason": "Because", "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    object["status"] =
        json!({"observedGeneration": 1, "conditions": all.iter().map(condition).collect::<Vec<Value>>()});
    let Reply { status, body } = plane.api().send("PUT", &format!("{path}/status?dryRun=All"), Some(&object))?;
    let body = String::from_utf8_lossy(&body);
    match body.split_once("verdict: ") {
        Some((_, rest)) => Ok(rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_owned()),
        None => {
            ensure!(status == 200, "{status}: {body}");
            Ok("in progress".to_owned())
        }
    }
}

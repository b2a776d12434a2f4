//! Health of our kinds as Argo CD sees it: its scripts, run by the interpreter that it has.

use anyhow::ensure;
use cluster_tests::{Test, Tools, text};
use control_plane::Binary;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) const TESTS: &[Test] = &[
    ("service_is_as_healthy_as_its_conditions_say", service_is_as_healthy_as_its_conditions_say),
    ("models_and_pools_are_healthy_when_ready", models_and_pools_are_healthy_when_ready),
    ("plan_that_is_not_followed_is_suspended", plan_that_is_not_followed_is_suspended),
];

fn service_is_as_healthy_as_its_conditions_say() -> anyhow::Result<()> {
    let good = [("Accepted", "True", "Accepted"), ("Planned", "True", "Planned"), ("Ready", "True", "Ready")];
    let missed = [("Ready", "True", "Ready"), ("QoSMet", "False", "TargetsExpectedToBeMissed")];
    let waits = [
        ("Accepted", "True", "Accepted"),
        ("Planned", "False", "WaitsForApproval"),
        ("Ready", "False", "WaitsForApproval"),
    ];
    let pods =
        [("Accepted", "True", "Accepted"), ("Placed", "False", "PodsNotReady"), ("Ready", "False", "PodsNotReady")];
    let pending = [("Accepted", "True", "Accepted"), ("Ready", "Unknown", "Planning")];
    let refused = [("Accepted", "False", "NoModel"), ("Ready", "False", "NoModel")];
    let fresh = seen(1, 0, 0, &[("Ready", "Unknown", "Pending")]);
    let bare = json!({"metadata": {"name": "a", "generation": 1}});
    let mut paused = seen(2, 2, 2, &good);
    paused["metadata"]["annotations"] = json!({"eenn.dev/paused": "true", "other": "a \"quoted\" text\nof two lines"});
    let mut resumed = seen(2, 2, 2, &good);
    resumed["metadata"]["annotations"] = json!({"eenn.dev/paused": "false"});
    for (object, status, message) in [
        (fresh, "Progressing", "has not looked at this version"),
        (bare, "Progressing", "has not looked at this version"),
        (seen(2, 1, 1, &good), "Progressing", "has not looked at this version"),
        (seen(2, 2, 1, &good), "Progressing", "no condition Ready"),
        (seen(2, 2, 1, &refused), "Progressing", "no condition Ready"),
        (seen(2, 2, 2, &[]), "Progressing", "no condition Ready"),
        (seen(2, 2, 2, &good), "Healthy", "about Ready"),
        (seen(2, 2, 2, &missed), "Healthy", "about Ready; targets: about TargetsExpectedToBeMissed"),
        (seen(2, 2, 2, &waits), "Suspended", "about WaitsForApproval"),
        (seen(2, 2, 2, &pods), "Progressing", "about PodsNotReady"),
        (seen(2, 2, 2, &pending), "Progressing", "about Planning"),
        (seen(2, 2, 2, &refused), "Degraded", "about NoModel"),
        (paused, "Suspended", "paused by the annotation"),
        (resumed, "Healthy", "about Ready"),
    ] {
        check("EENNService", &object, status, message)?;
    }
    Ok(())
}

fn models_and_pools_are_healthy_when_ready() -> anyhow::Result<()> {
    for kind in ["EENNModel", "DevicePool"] {
        let refused = [("Accepted", "False", "InvalidSpec"), ("Ready", "False", "InvalidSpec")];
        let waits = [("Accepted", "True", "Accepted"), ("Ready", "False", "NotProfiled")];
        let good = [("Accepted", "True", "Accepted"), ("Ready", "True", "Ready")];
        check(kind, &json!({"metadata": {"generation": 1}}), "Progressing", "has not looked")?;
        check(kind, &seen(3, 2, 2, &good), "Progressing", "has not looked")?;
        check(kind, &seen(3, 3, 2, &good), "Progressing", "no condition Ready")?;
        check(kind, &seen(3, 3, 3, &refused), "Degraded", "about InvalidSpec")?;
        check(kind, &seen(3, 3, 3, &waits), "Progressing", "about NotProfiled")?;
        check(kind, &seen(3, 3, 3, &good), "Healthy", "about Ready")?;
    }
    Ok(())
}

fn plan_that_is_not_followed_is_suspended() -> anyhow::Result<()> {
    check("EENNPlan", &json!({"metadata": {"generation": 1}}), "Progressing", "has not said yet")?;
    check("EENNPlan", &seen(1, 1, 1, &[("InForce", "True", "InForce")]), "Healthy", "about InForce")?;
    check("EENNPlan", &seen(1, 1, 1, &[("InForce", "False", "WaitsForApproval")]), "Suspended", "about Waits")?;
    check("EENNPlan", &seen(1, 1, 1, &[]), "Progressing", "no condition InForce")
}

/// An object whose status is about one generation and whose conditions are about another.
fn seen(generation: i64, status: i64, conditions: i64, all: &[(&str, &str, &str)]) -> Value {
    let condition = |(aspect, status, reason): &(&str, &str, &str)| {
        json!({
            "type": aspect, "status": status, "reason": reason, "message": format!("about {reason}"),
            "observedGeneration": conditions,
        })
    };
    let conditions: Vec<_> = all.iter().map(condition).collect();
    json!({
        "metadata": {"name": "a", "generation": generation},
        "status": {"observedGeneration": status, "conditions": conditions},
    })
}

fn check(kind: &str, object: &Value, status: &str, message: &str) -> anyhow::Result<()> {
    let script = text(&format!("docs/gitops/argocd/{kind}.lua"))?;
    let mut program = String::from("obj = ");
    lua(&mut program, object);
    let _ = write!(
        program,
        "\nlocal function health()\n{script}end\nlocal it = health()\nprint(it.status)\nprint(it.message)\n"
    );
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("health.lua");
    std::fs::write(&file, program)?;
    let said = Tools::find(&[Binary::Glua])?.run(Binary::Glua, &[&file.display().to_string()], "")?;
    ensure!(said.err.is_empty(), "{kind}: {}", said.err);
    let said = said.ok()?;
    let (found, why) = said.split_once('\n').unwrap_or((&said, ""));
    ensure!(
        found == status && why.contains(message),
        "{kind}: {found}: {why}, wanted {status}: {message}; of {object:#}"
    );
    Ok(())
}

/// A value as Lua writes it.
fn lua(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("nil"),
        Value::Bool(_) | Value::Number(_) => drop(write!(text, "{value}")),
        // Escapes of our texts are the same in both languages.
        Value::String(_) => drop(write!(text, "{value}")),
        Value::Array(items) => {
            text.push('{');
            for item in items {
                lua(text, item);
                text.push(',');
            }
            text.push('}');
        }
        Value::Object(fields) => {
            text.push('{');
            for (key, value) in fields {
                let _ = write!(text, "[{}] = ", json!(key));
                lua(text, value);
                text.push(',');
            }
            text.push('}');
        }
    }
}

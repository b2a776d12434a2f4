//! `eenn up` under a load that drifts: it notices, plans again, and keeps its loss target where the first plan would not.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do; clippy only knows the latter")]

use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use system_tests::{binary, build};

const LOAD: &str = "rate=20/s for 12s, then 120/s for 15s";

/// Plans are made by the clock, and emulated devices keep their pace by it: one run at a time.
static MACHINE: Mutex<()> = Mutex::new(());

fn up(arguments: &[&str]) -> (Value, String) {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let example = build::file("../examples/two-tier");
    let output = Command::new(binary("eenn"))
        .arg("up")
        .arg("-f")
        .arg(example)
        .args(["--load", LOAD, "-o", "json"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    (serde_json::from_slice(&output.stdout).unwrap(), stderr)
}

#[test]
fn a_load_that_grows_sixfold_is_noticed_and_met_where_the_first_plan_would_have_lost_most() {
    let (summary, log) = up(&[]);
    let again = &summary["reoptimization"];
    let changes = again["changes"].as_array().unwrap();
    // A new plan, or the word that none beats the one in force: its table over rates may do as well.
    assert!(!changes.is_empty() || log.contains("plan stays: "), "nobody thought of a new plan\n{log}");
    for change in changes {
        assert!(change["generation"].as_u64().unwrap() >= 2 && change["at"].as_f64().unwrap() >= 12.0, "{change}");
        assert!(log.contains(&format!("plan {}: ", change["generation"])), "{change}\n{log}");
    }
    assert!(log.contains("camera went from"), "the change is told\n{log}");
    let (loss, without) = (summary["loss_ratio"].as_f64().unwrap(), again["predicted_loss_without"].as_f64().unwrap());
    assert!(without > 0.3, "the first plan is for 20/s: {without}");
    assert!(loss < without / 3.0, "{loss} with new plans, {without} without\n{log}");
    assert_eq!(summary["failed"], 0, "no job fails because of a new plan\n{log}");
}

#[test]
fn without_reoptimisation_the_first_plan_stays() {
    let (summary, log) = up(&["--no-reoptimize"]);
    assert_eq!(summary["reoptimization"], Value::Null);
    assert!(summary["loss_ratio"].as_f64().unwrap() > 0.2, "{}\n{log}", summary["loss_ratio"]);
    assert!(!log.contains("plan 2: "), "{log}");
}

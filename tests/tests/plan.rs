//! `eenn plan` and `eenn explain` as users run them: every scheduler, forms of output, rates, and wrong input.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do; clippy only knows the latter")]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use system_tests::{binary, build};

fn example() -> PathBuf {
    build::file("../examples/two-tier")
}

fn eenn(command: &str, arguments: &[&str]) -> Output {
    Command::new(binary("eenn")).arg(command).arg("-f").arg(example()).args(arguments).output().unwrap()
}

/// Standard output of a run that has to go well.
fn results(command: &str, arguments: &[&str]) -> String {
    let output = eenn(command, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{arguments:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&results("plan", &[arguments, &["-o", "json"]].concat())).unwrap()
}

fn prediction<'a>(plan: &'a Value, evaluator: &str) -> &'a Value {
    let all = plan["services"][0]["predicted"].as_array().unwrap();
    all.iter().find(|one| one["evaluator"] == evaluator).unwrap()
}

#[test]
fn every_scheduler_gives_a_plan_that_the_simulation_can_predict() {
    for scheduler in [
        "Auto",
        "ExitFirst",
        "ExitLast",
        "Random",
        "Reactive",
        "Knapsack",
        "Knapsack:TrackedConfidence",
        "QueueingLP",
        "QueueingLP:TwoMoment",
        "DataDriven",
        "AdaEE",
        "AdaEE:BufferAware",
        "SMDP",
    ] {
        let plan = json(&["--scheduler", scheduler, "--budget", "300ms"]);
        let service = &plan["services"][0];
        assert_eq!(service["scheduler"], scheduler.split(':').next().unwrap());
        let shares = service["sources"][0]["choices"].as_array().unwrap().iter();
        let sum: f64 = shares.map(|choice| choice["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{scheduler}: {sum}");
        let accuracy = prediction(&plan, "simulation")["accuracy"].as_f64().unwrap();
        assert!((0.7..0.96).contains(&accuracy), "{scheduler}: {accuracy}");
    }
}

#[test]
fn what_exit_last_loses_a_plan_saves() {
    let last = json(&["--rate", "120", "--scheduler", "ExitLast"]);
    assert_eq!(last["meetsTargets"], false);
    let missed: Vec<_> = last["services"][0]["missed"].as_array().unwrap().iter().map(|one| &one["target"]).collect();
    assert_eq!(missed, ["maxLoss", "maxP95LatencyMilliseconds"]);
    assert!(prediction(&last, "simulation")["loss"].as_f64().unwrap() > 0.5);

    let planned = json(&["--rate", "120", "--budget", "2s"]);
    assert_eq!(planned["meetsTargets"], true, "{planned:#}");
    assert!(prediction(&planned, "simulation")["accuracy"].as_f64().unwrap() > 0.9);
}

#[test]
fn few_jobs_may_go_nearly_all_the_way() {
    let last = json(&["--scheduler", "ExitLast"]);
    let planned = json(&[]);
    assert_eq!((&last["meetsTargets"], &planned["meetsTargets"]), (&Value::Bool(true), &Value::Bool(true)));
    let accuracy = |plan: &Value| prediction(plan, "simulation")["accuracy"].as_f64().unwrap();
    // The exits before the last are nearly as good on samples that did not choose: half of them are 2,500.
    assert!(accuracy(&planned) > accuracy(&last) - 0.01, "{} against {}", accuracy(&planned), accuracy(&last));
}

#[test]
fn objects_are_yaml_that_names_chains_and_thresholds() {
    let text = results("plan", &["--thresholds", "0.5,0.6,0.7,0.8,0.9", "-o", "yaml"]);
    assert!(text.starts_with("apiVersion: eenn.dev/v1alpha1\nkind: EENNPlan\n"), "{text}");
    let thresholds = "thresholds: [\"0.5\", \"0.6\", \"0.7\", \"0.8\", \"0.9\"]";
    for line in ["name: fashion-mnist-1", "- chain: split", thresholds, "evaluator: simulation"] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn what_limits_is_said_with_what_would_help() {
    let text = results("explain", &["--rate", "120", "--scheduler", "ExitLast"]);
    assert!(text.contains("limits it: it is busy 100.0 % of the time"), "{text}");
    assert!(text.contains(" with a quarter faster: loss "), "{text}");
}

#[test]
fn wrong_input_is_refused_in_a_line() {
    for (arguments, want) in [
        (&["--rate", "door:10"][..], "--rate door: there is no such source; there are fashion-mnist/camera"),
        (&["--thresholds", "0.5"], "--thresholds (for EENNService/fashion-mnist): has 1 thresholds"),
        (&["--scheduler", "FixedDistribution"], "--scheduler FixedDistribution needs --probabilities, one per exit"),
        (&["--probabilities", "0.5,0.5"], "--probabilities (for EENNService/fashion-mnist): has 2 probabilities"),
    ] {
        let output = eenn("plan", arguments);
        let line = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
        assert!(line.contains(want) && line.trim_end().lines().count() == 1, "{line}");
    }
}

fn placed(command: &str, arguments: &[&str]) -> Output {
    let folder = build::file("../examples/four-nodes");
    Command::new(binary("eenn")).arg(command).arg("-f").arg(folder).args(arguments).output().unwrap()
}

#[test]
fn services_without_chains_are_placed_and_devices_left_out_with_the_reason() {
    let output = placed("plan", &["-o", "json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["meetsTargets"], true, "{plan:#}");
    let placement = &plan["placement"];
    let left_out: Vec<_> =
        placement["leftOut"].as_array().unwrap().iter().map(|one| (&one["device"], &one["reason"])).collect();
    assert!(left_out.contains(&(&"pi-3".into(), &"not ready".into())), "{placement:#}");
    for (service, planned) in placement["services"].as_array().unwrap().iter().zip(plan["services"].as_array().unwrap())
    {
        let chains = service["chains"].as_array().unwrap();
        assert_eq!(service["name"], planned["name"]);
        for chain in chains {
            let fragments = chain["fragments"].as_array().unwrap();
            assert!(fragments.iter().all(|fragment| fragment["device"] != "pi-3"), "{chain:#}");
            let (first, last) = (&fragments[0]["firstSegment"], &fragments[fragments.len() - 1]["lastSegment"]);
            assert_eq!((first, last), (&1.into(), &6.into()));
        }
        // What jobs are sent over is what was placed.
        let names: Vec<&Value> = chains.iter().map(|chain| &chain["name"]).collect();
        let choices = planned["sources"][0]["choices"].as_array().unwrap();
        assert!(choices.iter().all(|choice| names.contains(&&choice["chain"])), "{planned:#}");
    }
    let table = String::from_utf8(placed("plan", &[]).stdout).unwrap();
    assert!(table.contains("Left out: pi-3: not ready"), "{table}");
}

#[test]
fn a_simulation_and_another_seed_see_the_same_placement() {
    let chains = |arguments: &[&str]| {
        let plan: Value =
            serde_json::from_slice(&placed("plan", &[arguments, &["-o", "json"]].concat()).stdout).unwrap();
        plan["placement"].clone()
    };
    assert_eq!(chains(&["--seed", "1"]), chains(&["--seed", "2", "--budget", "100ms"]));
    let output = placed("simulate", &["--load", "rate=60/s for 500 jobs", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

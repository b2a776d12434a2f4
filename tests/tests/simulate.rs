//! `eenn simulate` as users run it: examples, forms of output, wrong input, known answers, and Ctrl-C.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do; clippy only knows the latter")]

use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use system_tests::{binary, build};
use tempfile::TempDir;

/// Enough to see that it works, also for examples that are simulated from their start to their end.
const FEW: [&str; 2] = ["--arrivals", "200k"];

fn example(name: &str) -> PathBuf {
    build::file("../examples/networks").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&fs::read(example(name)).unwrap()).unwrap()
}

fn simulate(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(binary("eenn"));
    command.arg("simulate").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What is refused early is not read to its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a run that has to go well.
fn results(arguments: &[&str], input: &[u8]) -> String {
    let output = simulate(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

fn results_of(name: &str, arguments: &[&str]) -> String {
    results(&[&[example(name).to_str().unwrap()], arguments].concat(), b"")
}

fn json_of(name: &str, arguments: &[&str]) -> Value {
    serde_json::from_str(&results_of(name, &[arguments, &["-o", "json"]].concat())).unwrap()
}

/// The one line about a document that is refused.
fn refused(arguments: &[&str], input: &[u8]) -> String {
    let output = simulate(arguments, input);
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
    assert!(line.starts_with("error: ") && line.trim_end().lines().count() == 1, "{line}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    line
}

#[test]
fn every_example_is_simulated_without_a_warning() {
    let mut files = 0;
    for entry in fs::read_dir(example("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".json") {
            continue;
        }
        files += 1;
        let output = simulate(&[&[example(&name).to_str().unwrap()][..], &FEW].concat(), b"");
        assert!(output.status.success() && output.stderr.is_empty(), "{name}: {}", text(&output.stderr));
        let shown = text(&output.stdout);
        assert!(shown.contains("answered/s") && shown.contains("busy"), "{name}:\n{shown}");
    }
    assert!(files >= 4, "only {files}");
}

#[test]
fn known_answers_are_found() {
    let shown = results_of("known-answers.json", &["--check"]);
    assert!(shown.contains("All cases: 13 of 13 metrics agree with the known answers."), "{shown}");
}

#[test]
fn answers_that_differ_fail_a_check_only() {
    let mut file = read("known-answers.json");
    file["cases"][0]["expected"]["devices"][0]["mean_jobs"]["value"] = json!(0.5);
    let file = file.to_string();
    let shown = results(&["-"], file.as_bytes());
    assert!(shown.contains("All cases: 12 of 13 metrics agree"), "{shown}");
    let output = simulate(&["-", "--check", "-o", "json"], file.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "error: 1 of 13 metrics differ from the known answers\n");
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results["cases"][0]["devices"][0]["mean_jobs"]["agrees"], json!(false));
    assert_eq!(results["cases"][0]["agreement"], json!({"compared": 8, "agreeing": 7}));
}

#[test]
fn json_has_every_metric_with_its_interval() {
    let results = json_of("two-chains.json", &FEW);
    let case = &results["cases"][0];
    assert_eq!(case["id"], "two-chains");
    let chain = &case["chains"][1];
    assert_eq!(chain["name"], "street");
    let fragment = &chain["fragments"][1];
    let device = &case["devices"][2];
    assert_eq!(device["name"], "box");
    for metric in [
        &chain["throughput"],
        &chain["loss_prob"],
        &chain["response_time_completed"],
        &chain["latency"]["p95"],
        &chain["exits"][1],
        &chain["lost_at"]["pi-2"],
        &fragment["offered_rate"],
        &fragment["served_rate"],
        &fragment["residence_time"],
        &device["utilization"],
        &device["mean_jobs"],
    ] {
        let [value, ci99] = ["value", "ci99"].map(|field| metric[field].as_f64());
        assert!(value.is_some_and(|value| value > 0.0) && ci99.is_some(), "{metric} in\n{case:#}");
    }
    assert!(case["run"]["arrivals"].as_u64().unwrap() >= 200_000, "{}", case["run"]);
    assert_eq!(case["run"]["ended"], "complete");
}

#[test]
fn what_goes_beyond_is_in_json_too() {
    let case = &json_of("shared-box.json", &FEW)["cases"][0];
    assert!(case["chains"][0]["accuracy"]["value"].as_f64().is_some_and(|share| share > 0.5), "{case:#}");
    assert_eq!(case["chains"][2].get("accuracy"), None, "no model is served");
    assert_eq!(case["links"][0]["name"], "left→box");
    assert_eq!(case["sources"][1]["name"], "camera");
}

#[test]
fn csv_has_one_row_per_metric() {
    let rows = results_of("known-answers.json", &["--case", "mm1k", "-o", "csv", "--arrivals", "10k"]);
    let mut lines = rows.lines();
    assert_eq!(lines.next(), Some("case,object,name,fragment,metric,value,ci99"));
    assert!(lines.clone().all(|line| line.split(',').count() == 7), "{rows}");
    for start in ["mm1k,chain,c0,,throughput,0.", "mm1k,chain,c0,0,residence_time,1.", "mm1k,device,d0,,utilization,0."]
    {
        assert!(lines.clone().any(|line| line.starts_with(start)), "{start} is missing in\n{rows}");
    }
}

#[test]
fn the_same_seed_gives_the_same_results() {
    let of = |seed: &str| results_of("two-chains.json", &["-o", "csv", "--arrivals", "1e4", "--seed", seed]);
    assert_eq!(of("7"), of("7"));
    assert_ne!(of("7"), of("8"));
}

#[test]
fn jobs_and_pictures_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["two-chains.json", "rush-hour.json"] {
        let [trace, plot] = ["jobs.csv", "plot.svg"].map(|file| folder.path().join(file));
        let files = ["--trace", trace.to_str().unwrap(), "--plot", plot.to_str().unwrap()];
        results_of(name, &[&files[..], &FEW].concat());
        let jobs = fs::read_to_string(&trace).unwrap();
        assert!(jobs.starts_with("source,chain,arrived,ended,fate,exit,on_overflow,correct,lost_at\n"), "{jobs:.200}");
        assert!(jobs.lines().count() > 1000, "{}", jobs.lines().count());
        let picture = fs::read_to_string(&plot).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture:.200}");
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{name}");
    }
}

#[test]
fn pictures_show_one_case() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("plot.svg");
    let file = example("known-answers.json");
    let line = refused(&[file.to_str().unwrap(), "--plot", plot.to_str().unwrap()], b"");
    assert!(line.contains("--plot shows one case; choose it with --case; there are mm1k, erlang-b"), "{line}");
    assert!(refused(&[file.to_str().unwrap(), "--case", "mm2k"], b"").contains("there is no such case"));
}

#[test]
fn malformed_networks_are_refused_by_place() {
    let plain = read("known-answers.json")["cases"][0].clone();
    for (pointer, new, place) in [
        ("/chains/0/fragments/0/device", json!(4), "chains[0].fragments[0].device: there is no device 4"),
        ("/chains/0/fragments/0/device", json!("d9"), "chains[0].fragments[0].device: there is no device \"d9\""),
        ("/chains/0/fragments/0/exit_prob_after", json!(1.01), "fragments[0].exit_prob_after: must be a probability"),
        ("/devices/0/memory", json!(0), "devices[0].memory: must be above 0"),
        ("/devices/0/servers", json!(0), "devices[0].servers: must be a whole number"),
        ("/devices/0/speed", json!(null), "devices[0].speed (line 1, column "),
        ("/chains/0/fragments", json!(1_000_000_000), "chains[0].fragments (line 1, column "),
        ("/chains/0/arrival", json!(null), "chains[0]: needs the field `arrival`"),
        ("/chains/0/arrival/mean", json!(0), "chains[0].arrival.mean: must be above 0"),
        ("/chains", json!([]), "chains: must hold at least one chain"),
    ] {
        let mut case = plain.clone();
        *case.pointer_mut(pointer).unwrap() = new;
        let line = refused(&["-"], case.to_string().as_bytes());
        assert!(line.contains(place), "{pointer}: {line}");
        let line = refused(&["-"], json!({ "cases": [plain, case] }).to_string().as_bytes());
        assert!(
            line.contains(&format!("cases[1].{}", place.split_once(' ').unwrap().0)) || !place.starts_with("ch"),
            "{line}"
        );
    }
}

#[test]
fn what_is_no_network_is_refused() {
    let nan = read("two-chains.json").to_string().replace("\"speed\":5", "\"speed\":NaN");
    assert!(refused(&["-"], nan.as_bytes()).contains("devices[2].speed (line 1, column "));
    let many = "{\"devices\":[".to_owned() + &"{},".repeat(10_000);
    for (input, words) in [
        ("", "EOF while parsing"),
        ("hello", "expected"),
        ("[]", "expected an object"),
        ("{}", "has neither `cases`, nor `devices` and `chains`"),
        (&"[".repeat(100_000), "standard input: "),
        (&many, "devices[0]"),
    ] {
        let line = refused(&["-"], input.as_bytes());
        assert!(line.contains(words), "{line}");
    }
    let huge = vec![b' '; (64 << 20) + 1];
    assert!(refused(&["-"], &huge).contains("standard input: is larger than 64 MiB"));
    assert!(refused(&["nowhere.json"], b"").contains("failed to read nowhere.json: "));
    assert!(refused(&["."], b"").contains("give a folder of manifests with -f"));
}

#[test]
fn too_many_fragments_are_refused() {
    let mut case = read("known-answers.json")["cases"][0].clone();
    let fragment = case["chains"][0]["fragments"][0].clone();
    case["chains"][0]["fragments"] = Value::Array(vec![fragment; 100_001]);
    let line = refused(&["-"], case.to_string().as_bytes());
    assert!(line.contains("chains: has 100001 fragments in all chains; at most 100000 are possible"), "{line}");
}

#[test]
fn unknown_fields_are_warned_about() {
    let mut case = read("known-answers.json")["cases"][0].clone();
    case["devices"][0]["memry"] = json!(7);
    let output = simulate(&["-", "--arrivals", "1000"], case.to_string().as_bytes());
    assert!(output.status.success());
    let want = "warning: standard input: devices[0].memry: unknown field, ignored; did you mean \"memory\"?\n";
    assert_eq!(text(&output.stderr), want);
}

#[test]
fn options_of_manifests_need_manifests() {
    let file = example("two-chains.json");
    for option in [["--load", "rate=1/s for 1s"], ["--scheduler", "ExitLast"], ["--spacing", "uniform"]] {
        let output = simulate(&[&[file.to_str().unwrap()][..], &option].concat(), b"");
        assert_eq!(output.status.code(), Some(2), "{option:?}");
        assert!(text(&output.stderr).contains("cannot be used with"), "{}", text(&output.stderr));
    }
}

#[test]
fn ctrl_c_shows_what_was_simulated() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let file = read("known-answers.json");
    let path = folder.path().join("network.json");
    fs::write(&path, file.to_string()).unwrap();
    let mut command = Command::new(binary("eenn"));
    command.arg("simulate").arg(&path).args(["--precision", "0.001%", "--arrivals", "1e12", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    while !catches_interrupts(child.id()) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(child.wait().unwrap().success(), "{shown}");
    let results: Value = serde_json::from_str(&shown).unwrap();
    let cases = results["cases"].as_array().unwrap();
    assert!(cases.iter().all(|case| case["run"]["ended"] == "stopped"), "{shown}");
    let skipped = results["skipped"].as_array().unwrap();
    assert_eq!(cases.len() + skipped.len(), 2, "{shown}");
}

/// Whether a process has a handler for SIGINT.
fn catches_interrupts(process: u32) -> bool {
    const SIGINT: u32 = 2;
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (SIGINT - 1)) != 0)
}

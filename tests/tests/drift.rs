//! `eenn up` under a load that drifts: it notices, plans again, and keeps its loss target where the first plan would not.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do; clippy only knows the latter")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use system_tests::{binary, build};

/// The second rate twice: as the change is noticed, and once it has been met.
const LOAD: &str = "rate=20/s for 12s, then 120/s for 6s, then 120/s for 9s";
/// Of the example.
const TARGET: f64 = 0.01;

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
    let met = &summary["services"][0]["phases"][2];
    assert!(met["loss_ratio"].as_f64().unwrap() <= TARGET, "loss is not back under its target: {met}\n{log}");
    assert_eq!(summary["failed"], 0, "no job fails because of a new plan\n{log}");
}

#[test]
fn without_reoptimisation_the_first_plan_stays() {
    let (summary, log) = up(&["--no-reoptimize"]);
    assert_eq!(summary["reoptimization"], Value::Null);
    assert!(summary["loss_ratio"].as_f64().unwrap() > 0.2, "{}\n{log}", summary["loss_ratio"]);
    assert!(!log.contains("plan 2: "), "{log}");
}

/// Process of an emulated device, which gets little of the processor: what a device does that is hot.
struct Throttled {
    over: Arc<AtomicBool>,
    throttling: Option<JoinHandle<()>>,
}

impl Throttled {
    fn device(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let signal = move |name: &str| {
            let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
        };
        let throttling = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                signal("STOP");
                std::thread::sleep(STOPPED);
                signal("CONT");
                std::thread::sleep(RUNS);
            }
        });
        Self { over, throttling: Some(throttling) }
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.throttling.take().map(JoinHandle::join);
    }
}

const STOPPED: Duration = Duration::from_millis(120);
const RUNS: Duration = Duration::from_millis(40);

/// Devices are what their processes say they do, not what their class promises.
#[test]
fn a_device_that_is_throttled_is_found_out_and_planned_with_as_it_is() {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut eenn = Command::new(binary("eenn"))
        .args(["up", "--load", "rate=60/s for 22s", "-o", "json", "-f"])
        .arg(build::file("../examples/two-tier"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut throttled, mut log) = (None, String::new());
    for line in BufReader::new(eenn.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(rest) = line.strip_prefix("device box (pid ") {
            throttled = Some(Throttled::device(rest.split(')').next().unwrap().parse().unwrap()));
        }
        log += &(line + "\n");
    }
    assert!(throttled.is_some() && eenn.wait().unwrap().success(), "{log}");
    assert!(log.contains("box computes at"), "{log}");
    let is_for_it = |line: &str| line.starts_with("plan 2: ") && line.contains("box has speed");
    assert!(log.lines().any(is_for_it), "nothing was planned for it\n{log}");
}

//! The same experiment for real: processes on this machine, beside what the simulator says of them.

use crate::output::{Csv, Output, Table, percent};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One run of local mode.
struct Case {
    scheduler: &'static str,
    rate: u32,
}

/// What both roads say.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    loss: f64,
    accuracy: f64,
    mean: f64,
    p95: f64,
}

/// The example without new plans: its files, but for one line more in the manifest of the service.
fn folder_without_drift_loop(example: &Path) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
    for entry in std::fs::read_dir(example).with_context(|| format!("failed to list {}", example.display()))? {
        let path = entry?.path();
        let copy = folder.path().join(path.file_name().context("files have names")?);
        if path.ends_with("service.yaml") {
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(copy, format!("{}\n  reoptimization: {{ mode: Disabled }}\n", text.trim_end()))?;
        } else {
            std::os::unix::fs::symlink(&path, copy)?;
        }
    }
    Ok(folder)
}

/// Runs the example at several loads under several schedulers.
pub(crate) fn run(root: &Path, short: bool, out: &mut Output) -> anyhow::Result<()> {
    let eenn = std::env::current_exe()?.with_file_name("eenn");
    ensure!(eenn.exists(), "{} is not there; `cargo build --release --workspace` builds it", eenn.display());
    let (rates, seconds): (&[u32], u32) = if short { (&[120], 5) } else { (&[60, 120, 240], 12) };
    let schedulers: &[&str] =
        if short { &["ExitLast", "Auto"] } else { &["ExitLast", "Knapsack", "SMDP", "QueueingLP", "AdaEE", "Auto"] };
    let folder = folder_without_drift_loop(&root.join("examples/fashion-mnist"))?;
    let place = Place { eenn: &eenn, folder: folder.path() };
    let mut table =
        Table::new(&["scheduler, jobs/s", "loss", "predicted", "accuracy", "predicted", "p95, ms", "predicted"]);
    let mut numbers = Csv::new(&["scheduler", "source", "rate", "loss", "accuracy", "mean_ms", "p95_ms"]);
    let (mut worst_loss, mut worst_accuracy) = (0f64, 0f64);
    for &scheduler in schedulers {
        for &rate in rates {
            let case = Case { scheduler, rate };
            eprintln!("local mode: {scheduler} at {rate}/s for {seconds} s");
            let measured = place.measure(&case, seconds)?;
            let predicted = place.predict(&case, seconds)?;
            worst_loss = worst_loss.max((measured.loss - predicted.loss).abs());
            worst_accuracy = worst_accuracy.max((measured.accuracy - predicted.accuracy).abs());
            for (source, one) in [("measured", measured), ("predicted", predicted)] {
                numbers.row(&[scheduler, source], &[f64::from(rate), one.loss, one.accuracy, one.mean, one.p95]);
            }
            table.row(&[
                format!("{scheduler}, {rate}"),
                percent(measured.loss),
                percent(predicted.loss),
                percent(measured.accuracy),
                percent(predicted.accuracy),
                format!("{:.1}", measured.p95),
                format!("{:.1}", predicted.p95),
            ]);
        }
    }
    out.say("## For real: three emulated devices");
    out.say(format!(
        "`eenn up` serves the Fashion-MNIST example with real processes, real inference and emulated speeds and links, without \
         the drift loop (`reoptimization: {{ mode: Disabled }}`); `eenn simulate` predicts the same load. {seconds} s per run, Poisson arrivals, the exit table of the very \
         images that are sent. Loss differs by at most {:.1} points, accuracy by at most {:.1} points.",
        100.0 * worst_loss,
        100.0 * worst_accuracy,
    ));
    out.say(table.text());
    out.say(
        "Why they differ. Images are sent in their order, and some seconds at a low rate do not get to all of them: at 60/s to the first \
         720 or so of 1,000, at 120/s to the first 440 twice. The last exit is right about 94.9 % of the former and 94.4 % of all, and \
         predictions draw from all: hence the accuracy at low rates. A run of some seconds is one draw of arrivals: its loss has an \
         interval of its own, which the prediction, a mean over many draws, has not. A job takes about 0.6 ms between processes, which delays its answer and is not \
         predicted; where the queue is held in the gateway it also takes capacity, and that is. And a bandit \
         that learns during the run is still exploring in a short one.",
    );
    out.list("local-mode", &numbers)
}

/// Where commands run.
struct Place<'a> {
    eenn: &'a Path,
    folder: &'a Path,
}

impl Place<'_> {
    fn measure(&self, case: &Case, seconds: u32) -> anyhow::Result<Outcome> {
        let document = self.output("up", case, seconds, &[])?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let latency = &document["latency_milliseconds"];
        Ok(Outcome {
            loss: number(&document["loss_ratio"]),
            accuracy: number(&document["accuracy"]),
            mean: number(&latency["mean"]),
            p95: number(&latency["p95"]),
        })
    }

    fn predict(&self, case: &Case, seconds: u32) -> anyhow::Result<Outcome> {
        let table = self.folder.join("exit-table-load.safetensors");
        let table = table.to_str().context("the path is no text")?;
        let document = self.output("simulate", case, seconds, &["--exit-table", table])?;
        let source = &document["cases"][0]["sources"][0];
        let number = |value: &Value| value["value"].as_f64().unwrap_or(f64::NAN);
        Ok(Outcome {
            loss: number(&source["loss_prob"]),
            accuracy: number(&source["accuracy"]),
            mean: 1e3 * number(&source["response_time_completed"]),
            p95: 1e3 * number(&source["latency"]["p95"]),
        })
    }

    fn output(&self, command: &str, case: &Case, seconds: u32, more: &[&str]) -> anyhow::Result<Value> {
        let load = format!("rate={}/s for {seconds}s", case.rate);
        let result = Command::new(self.eenn)
            .args([command, "--scheduler", case.scheduler, "--load", &load, "-o", "json"])
            .args(more)
            .arg("-f")
            .arg(self.folder)
            .output()
            .with_context(|| format!("failed to start {}", self.eenn.display()))?;
        let errors = String::from_utf8_lossy(&result.stderr);
        ensure!(result.status.success(), "eenn {command} with {} failed:\n{errors}", case.scheduler);
        serde_json::from_slice(&result.stdout).with_context(|| format!("eenn {command} did not print JSON"))
    }
}

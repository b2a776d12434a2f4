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

/// What is predicted, and how far from it 95 of 100 runs of that length are at most.
#[derive(Debug, Clone, Copy)]
struct Prediction {
    of: Outcome,
    within: Outcome,
}

impl Prediction {
    /// Whether what was measured is one of the 95: loss, accuracy and p95.
    fn holds(&self, measured: &Outcome) -> [bool; 3] {
        let near = |of: fn(&Outcome) -> f64| (of(measured) - of(&self.of)).abs() <= of(&self.within);
        [near(|one| one.loss), near(|one| one.accuracy), near(|one| one.p95)]
    }
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
    let (mut held, mut outside) = (0, vec![]);
    for &scheduler in schedulers {
        for &rate in rates {
            let case = Case { scheduler, rate };
            eprintln!("local mode: {scheduler} at {rate}/s for {seconds} s");
            let measured = place.measure(&case, seconds)?;
            let predicted = place.predict(&case, seconds)?;
            let Prediction { of, within } = predicted;
            worst_loss = worst_loss.max((measured.loss - of.loss).abs());
            worst_accuracy = worst_accuracy.max((measured.accuracy - of.accuracy).abs());
            for (what, holds) in ["loss", "accuracy", "p95"].into_iter().zip(predicted.holds(&measured)) {
                held += usize::from(holds);
                if !holds {
                    outside.push(format!("{what} of {scheduler} at {rate}/s"));
                }
            }
            for (source, one) in [("measured", measured), ("predicted", of), ("within", within)] {
                numbers.row(&[scheduler, source], &[f64::from(rate), one.loss, one.accuracy, one.mean, one.p95]);
            }
            table.row(&[
                format!("{scheduler}, {rate}"),
                percent(measured.loss),
                format!("{} ± {:.2}", percent(of.loss), 100.0 * within.loss),
                percent(measured.accuracy),
                format!("{} ± {:.2}", percent(of.accuracy), 100.0 * within.accuracy),
                format!("{:.1}", measured.p95),
                format!("{:.1} ± {:.1}", of.p95, within.p95),
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
        "Why they differ. A run of some seconds is one draw of arrivals; the prediction is the mean of many, and behind ± is how far from it 95 of 100 runs of that \
         length are at most. All runs at a rate have the same arrivals: where they happen to be kind, every scheduler whose queue grows is below its prediction. Images are sent in their order, and some seconds at a low rate do not get to all of them: at 60/s to the first \
         720 or so of 1,000, at 120/s to the first 440 twice. The last exit is right about 94.9 % of the former and 94.4 % of all, and \
         predictions draw from all: hence the accuracy at low rates. A job takes about 0.6 ms between processes, which delays its answer and is not \
         predicted; where the queue is held in the gateway it also takes capacity, and that is. And a bandit \
         that learns during the run is still exploring in a short one.",
    );
    let named = if outside.is_empty() { String::new() } else { format!("; not {}", outside.join(", ")) };
    out.say(format!("Within what one run may differ by: {held} of {} numbers{named}.", held + outside.len()));
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

    fn predict(&self, case: &Case, seconds: u32) -> anyhow::Result<Prediction> {
        let table = self.folder.join("exit-table-load.safetensors");
        let table = table.to_str().context("the path is no text")?;
        let document = self.output("simulate", case, seconds, &["--exit-table", table])?;
        let case = &document["cases"][0];
        let (source, runs) = (&case["sources"][0], case["run"]["replications"].as_f64().unwrap_or(f64::NAN));
        let outcome = |of: &dyn Fn(&Value) -> f64| Outcome {
            loss: of(&source["loss_prob"]),
            accuracy: of(&source["accuracy"]),
            mean: 1e3 * of(&source["response_time_completed"]),
            p95: 1e3 * of(&source["latency"]["p95"]),
        };
        let number = |value: &Value, name: &str| value[name].as_f64().unwrap_or(f64::NAN);
        // From the half-width of the mean's 99 % interval to that of one run's 95 %.
        let spread = runs.sqrt() * 1.960 / 2.576;
        Ok(Prediction {
            of: outcome(&|value| number(value, "value")),
            within: outcome(&|value| spread * number(value, "ci99")),
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

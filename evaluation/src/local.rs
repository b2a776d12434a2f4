//! The same experiment for real: processes on this machine, beside what the simulator says of them.

use crate::models::{Models, PI_SPEED};
use crate::output::{Csv, Output, Table, percent};
use crate::setting::{LOSS_TARGET, ROOM, saturation};
use crate::{manifests, tiers};
use anyhow::{Context, ensure};
use api::exit_table;
use domain::ExitTable;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Accuracy that one run may differ by.
const ONE_RUN: f64 = 0.02;

/// One run of local mode.
struct Case<'a> {
    beyond: usize,
    load: f64,
    scheduler: &'a str,
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

/// Runs three tiers at several loads under several schedulers.
pub(crate) fn run(root: &Path, models: &Models, short: bool, out: &mut Output) -> anyhow::Result<()> {
    let eenn = std::env::current_exe()?.with_file_name("eenn");
    ensure!(eenn.exists(), "{} is not there; `cargo build --release --workspace` builds it", eenn.display());
    let (loads, tiers, seconds): (&[f64], &[usize], u32) =
        if short { (&[2.0], &[2], 5) } else { (&[1.0, 2.0, 3.0], &[0, 1, 2], 10) };
    let schedulers: &[&str] = if short { &["ExitLast", "Auto"] } else { &tiers::CONTENDERS };
    let saturated = saturation(&models.fashion);
    let example = root.join("examples/fashion-mnist");
    let (sent, _) = exit_table::read(&example.join("exit-table-load.safetensors"))?;
    let mut found = Found::default();
    for &beyond in tiers {
        for &load in loads {
            let rate = load * saturated;
            let folder = manifests::folder(&example, beyond, rate)?;
            let place = Place { eenn: &eenn, folder: folder.path(), rate, seconds };
            for &scheduler in schedulers {
                let case = Case { beyond, load, scheduler };
                eprintln!("local mode: {} under {scheduler} at load {load} for {seconds} s", tiers::NAMES[beyond]);
                found.add(&case, place.measure(scheduler)?, place.predict(scheduler)?);
            }
        }
    }
    found.say(saturated, seconds, out);
    out.say(why(&sent, saturated, seconds));
    out.say(found.within());
    out.say(found.behind());
    out.list("local-mode", &found.numbers)
}

/// What was measured beside what was predicted.
struct Found {
    table: Table,
    numbers: Csv,
    worst_loss: f64,
    worst_accuracy: f64,
    held: usize,
    outside: Vec<String>,
    /// Tiers and load, scheduler, and what it came to.
    measured: Vec<(String, String, Outcome)>,
}

impl Default for Found {
    fn default() -> Self {
        let heads = ["tiers, scheduler, load", "loss", "predicted", "accuracy", "predicted", "p95, ms", "predicted"];
        let numbers = Csv::new(&["tiers", "scheduler", "source", "load", "loss", "accuracy", "mean_ms", "p95_ms"]);
        Self {
            table: Table::new(&heads),
            numbers,
            worst_loss: 0.0,
            worst_accuracy: 0.0,
            held: 0,
            outside: vec![],
            measured: vec![],
        }
    }
}

impl Found {
    fn add(&mut self, &Case { beyond, load, scheduler }: &Case<'_>, measured: Outcome, predicted: Prediction) {
        let Prediction { of, within } = predicted;
        let name = format!("{}, {scheduler}, {load}", tiers::NAMES[beyond]);
        let place = format!("{} at load {load}", tiers::NAMES[beyond]);
        self.measured.push((place, scheduler.to_owned(), measured));
        self.worst_loss = self.worst_loss.max((measured.loss - of.loss).abs());
        self.worst_accuracy = self.worst_accuracy.max((measured.accuracy - of.accuracy).abs());
        for (what, holds) in ["loss", "accuracy", "p95"].into_iter().zip(predicted.holds(&measured)) {
            match holds {
                true => self.held += 1,
                false => self.outside.push(format!("{what} of {name}")),
            }
        }
        for (source, one) in [("measured", measured), ("predicted", of), ("within", within)] {
            let numbers = [load, one.loss, one.accuracy, one.mean, one.p95];
            self.numbers.row(&[tiers::NAMES[beyond], scheduler, source], &numbers);
        }
        self.table.row(&[
            name,
            percent(measured.loss),
            format!("{} ± {:.2}", percent(of.loss), 100.0 * within.loss),
            percent(measured.accuracy),
            format!("{} ± {:.2}", percent(of.accuracy), 100.0 * within.accuracy),
            format!("{:.1}", measured.p95),
            format!("{:.1} ± {:.1}", of.p95, within.p95),
        ]);
    }

    fn say(&self, saturated: f64, seconds: u32, out: &mut Output) {
        out.say("## For real: three emulated devices");
        out.say(format!(
            "`eenn up` serves the same three tiers with real processes and real inference of the Fashion-MNIST network, with speeds and links emulated: a \
             gateway of {} times the speed of the machine that was profiled, which load factor 1 saturates with {saturated:.1} jobs/s. As in the simulation \
             fragments hold {ROOM} images; but chains on two devices are split in the middle (there they hold 3 jobs), and schedulers that keep \
             the queue in the gateway have 16 MiB for it. `eenn simulate` predicts the same load from the same manifests. Without the drift loop, planned for the load that is \
             sent; {seconds} s per run, Poisson arrivals, the exit table of the very images that are sent. Loss differs by at most {:.1} points, \
             accuracy by at most {:.1} points.",
            PI_SPEED,
            100.0 * self.worst_loss,
            100.0 * self.worst_accuracy,
        ));
        out.say(self.table.text());
    }

    /// Where another scheduler that keeps the target was as accurate as ours and much sooner, or more accurate than a run may differ.
    fn behind(&self) -> String {
        let ours = self.measured.iter().filter(|(_, scheduler, _)| scheduler == "Auto");
        let others_at = |place: &str| {
            let place = place.to_owned();
            self.measured.iter().filter(move |(other, scheduler, _)| *other == place && scheduler != "Auto")
        };
        let is_ahead = |their: &Outcome, our: &Outcome| {
            let (more, sooner) = (their.accuracy - our.accuracy, their.p95 < our.p95 / 1.5);
            their.loss <= LOSS_TARGET && (more > ONE_RUN || more > -ONE_RUN / 4.0 && sooner)
        };
        let lines = ours.flat_map(|(place, _, our)| {
            others_at(place).filter(|(_, _, their)| is_ahead(their, our)).map(move |(_, scheduler, their)| {
                format!(
                    "{place}: {scheduler} with {} right and a p95 of {:.0} ms, against {} and {:.0} ms",
                    percent(their.accuracy),
                    their.p95,
                    percent(our.accuracy),
                    our.p95
                )
            })
        });
        let lines: Vec<String> = lines.collect();
        match lines.is_empty() {
            true => "Nobody else who kept the target was clearly better than Auto in these runs.".to_owned(),
            false => format!("Others that kept the target were better than Auto in these runs, {}.", lines.join("; ")),
        }
    }

    /// How many numbers are no further from predictions than one run may be.
    fn within(&self) -> String {
        let named = if self.outside.is_empty() { String::new() } else { format!("; not {}", self.outside.join(", ")) };
        format!(
            "Within what one run may differ by: {} of {} numbers{named}.",
            self.held,
            self.held + self.outside.len()
        )
    }
}

/// Why runs differ from predictions. `sent`: what exits say of the images that are sent, in order.
fn why(sent: &ExitTable, saturated: f64, seconds: u32) -> String {
    let last = sent.exits() - 1;
    let first = ((saturated * f64::from(seconds)) as usize).clamp(1, sent.samples());
    let right = (0..first).filter(|&sample| sent.correct(sample, last)).count() as f64 / first as f64;
    format!(
        "Why they differ. A run of some seconds is one draw of arrivals; the prediction is the mean of many, and behind ± is how far from it 95 of \
         100 runs of that length are at most. All runs at a load have the same arrivals: where they happen to be kind, every scheduler whose queue \
         grows is below its prediction. Images are sent in their order, at load 1 the first {first} or so of {}, of which the last exit is right \
         about {}; predictions draw from all, of which it is right about {}. A job takes about 0.6 ms between processes (1.2 to 1.5 ms where two \
         fragments work on it), which delays its answer and is not predicted; where the queue is held in the gateway it also takes capacity, and that \
         is. A bandit that learns during the run is still exploring in a short one. And Auto plans for a second twice, once for each, and may come to \
         plans that are as good and differ.",
        sent.samples(),
        percent(right),
        percent(sent.accuracy(last)),
    )
}

/// Where commands run.
struct Place<'a> {
    eenn: &'a Path,
    folder: &'a Path,
    /// Jobs per second.
    rate: f64,
    seconds: u32,
}

impl Place<'_> {
    fn measure(&self, scheduler: &str) -> anyhow::Result<Outcome> {
        let document = self.output("up", scheduler, &[])?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let latency = &document["latency_milliseconds"];
        Ok(Outcome {
            loss: number(&document["loss_ratio"]),
            accuracy: number(&document["accuracy"]),
            mean: number(&latency["mean"]),
            p95: number(&latency["p95"]),
        })
    }

    fn predict(&self, scheduler: &str) -> anyhow::Result<Prediction> {
        let table = self.folder.join("exit-table-load.safetensors");
        let table = table.to_str().context("the path is no text")?;
        let document = self.output("simulate", scheduler, &["--exit-table", table])?;
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

    fn output(&self, command: &str, scheduler: &str, more: &[&str]) -> anyhow::Result<Value> {
        let load = format!("rate={:.2}/s for {}s", self.rate, self.seconds);
        let result = Command::new(self.eenn)
            .args([command, "--scheduler", scheduler, "--load", &load, "-o", "json"])
            .args(more)
            .arg("-f")
            .arg(self.folder)
            .output()
            .with_context(|| format!("failed to start {}", self.eenn.display()))?;
        let errors = String::from_utf8_lossy(&result.stderr);
        ensure!(result.status.success(), "eenn {command} with {scheduler} failed:\n{errors}");
        serde_json::from_slice(&result.stdout).with_context(|| format!("eenn {command} did not print JSON"))
    }
}

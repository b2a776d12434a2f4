//! Options of `eenn simulate`.

use super::document::Document;
use super::input::{self, Task};
use super::{csv, jobs, manifests, plot, quantity, run, table};
use crate::exit_code::{Failure, Outcome};
use crate::up::Drive;
use anyhow::Context;
use clap::{Args, ValueEnum};
use simulator::{Effort, Precision, Report};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Predict loss, latency and accuracy of a network of devices by simulation
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("load", |arg| arg.conflicts_with("file")),
    mut_arg("scheduler", |arg| arg.conflicts_with("file")),
    mut_arg("thresholds", |arg| arg.conflicts_with("file")),
    // `eenn up` calls it --arrivals, which is how much to simulate here.
    mut_arg("arrivals", |arg| arg.long("spacing").conflicts_with("file")),
)]
pub(crate) struct Options {
    /// Networks in JSON: a file of cases or one case by itself; - for standard input
    #[arg(value_name = "NETWORK.json", required_unless_present = "manifests", conflicts_with = "manifests")]
    file: Option<PathBuf>,

    /// Folder (or file) with the manifests of `eenn up` instead: predicts what it would measure
    #[arg(short = 'f', long = "file", value_name = "DIR", id = "manifests")]
    manifests: Option<PathBuf>,

    #[command(flatten)]
    drive: Drive,

    /// Exit table of the model instead of the one that its manifest names
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    exit_table: Option<PathBuf>,

    /// Only these cases of the file; may be given several times
    #[arg(long, value_name = "ID")]
    case: Vec<String>,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Most arrivals to measure, all sources and replications together, such as 1e6 or 500k; without --precision exactly
    /// so many [default: 100M]
    #[arg(long = "arrivals", id = "measured", value_name = "N", value_parser = quantity::count)]
    measured: Option<u64>,

    /// End when the 99 % confidence intervals of throughput and residence times are within this share of them, and those
    /// of loss within four times that or ±1e-4 [default: 0.5%, unless there is --arrivals]
    #[arg(long, value_name = "SHARE", value_parser = quantity::share)]
    precision: Option<f64>,

    /// Independent replications, at most 1,000 [default: 4; for a run that has an end of its own as many as it needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    replications: Option<u32>,

    /// Form of the results on standard output; progress is on standard error
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,

    /// Show every chain, fragment and device in the table
    #[arg(long)]
    wide: bool,

    /// Write the jobs of the first replication here as CSV (at most 1,000,000)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Draw the results here
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Fail (exit code 1) unless all metrics agree with the known answers of the file
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "\
Examples:
  Where does this network lose jobs, and why?
    eenn simulate examples/networks/two-chains.json

  Draw what happens when the load changes:
    eenn simulate examples/networks/rush-hour.json --plot rush-hour.svg

  What would `eenn up` measure with these manifests?
    eenn simulate -f examples/fashion-mnist --load 'rate=100/s for 30s'

The form of NETWORK.json is in docs/reference/network.schema.json, examples are in
examples/networks. Ctrl-C ends early with what was simulated; a second one ends at once.";

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// One row per metric
    Csv,
}

impl Options {
    /// Simulates everything and writes the results to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let tasks = self.tasks()?;
        self.try_files()?;
        let reports = run::run(&tasks, &self.effort(), self.plot.is_some())?;
        self.write_files(&tasks, &reports)?;
        let document = Document::new(&tasks, &reports);
        out.write_all(self.render(&document)?.as_bytes())?;
        self.check_agreement(&document)
    }

    fn tasks(&self) -> Outcome<Vec<Task>> {
        let mut tasks = match (&self.file, &self.manifests) {
            (Some(file), _) => {
                let (tasks, warnings) = input::read(file)?;
                warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
                tasks
            }
            (None, Some(folder)) => {
                let cases = manifests::cases(folder, &self.drive, self.seed, self.exit_table.as_deref())?;
                cases.into_iter().map(Task::from).collect()
            }
            (None, None) => return Err(Failure::input("name a file, or a folder of manifests with -f")),
        };
        if let Some(missing) = self.case.iter().find(|id| tasks.iter().all(|task| task.case.id != **id)) {
            return Err(Failure::input(format!("--case {missing}: there is no such case; {}", known(&tasks))));
        }
        if !self.case.is_empty() {
            tasks.retain(|task| self.case.contains(&task.case.id));
        }
        for (option, given) in [("--trace", &self.trace), ("--plot", &self.plot)] {
            if given.is_some() && tasks.len() > 1 {
                return Err(Failure::input(format!(
                    "{option} shows one case; choose it with --case; {}",
                    known(&tasks)
                )));
            }
        }
        if self.check && tasks.iter().all(|task| task.expected.is_none()) {
            return Err(Failure::input("--check needs a file with known answers (`expected`)"));
        }
        Ok(tasks)
    }

    fn effort(&self) -> Effort<'static> {
        let defaults = Effort::default();
        let precision = match (self.precision, self.measured) {
            (None, Some(_)) => None,
            (None, None) => Some(Precision::default()),
            (Some(relative), _) => Some(precision(relative)),
        };
        Effort {
            seed: self.seed,
            replications: self.replications.and_then(NonZeroU32::new),
            arrivals: self.measured.unwrap_or(defaults.arrivals),
            precision,
            trace: if self.trace.is_some() { jobs::MOST } else { 0 },
            ..defaults
        }
    }

    /// Says before the simulation, not behind it, that a file cannot be written.
    fn try_files(&self) -> Outcome {
        for path in [&self.trace, &self.plot].into_iter().flatten() {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.with_context(|| failed_to_write(path))?;
        }
        Ok(())
    }

    fn write_files(&self, tasks: &[Task], reports: &[Report]) -> Outcome {
        let (Some(task), Some(report)) = (tasks.first(), reports.first()) else { return Ok(()) };
        if let Some(path) = &self.trace {
            let file = File::create(path);
            let written =
                file.and_then(|file| jobs::write(&mut BufWriter::new(file), &task.case.network, &report.jobs));
            written.with_context(|| failed_to_write(path))?;
        }
        if let Some(path) = &self.plot {
            let picture = plot::draw(task, report).context("failed to draw")?;
            fs::write(path, picture).with_context(|| failed_to_write(path))?;
        }
        Ok(())
    }

    fn render(&self, document: &Document) -> Outcome<String> {
        Ok(match self.output {
            Output::Table => table::render(document, self.wide),
            Output::Csv => csv::render(document),
            Output::Json => serde_json::to_string_pretty(document).context("failed to write JSON")? + "\n",
        })
    }

    fn check_agreement(&self, document: &Document) -> Outcome {
        match document.agreement().filter(|_| self.check) {
            Some(all) if all.agreeing < all.compared => {
                let differ = all.compared - all.agreeing;
                Err(anyhow::anyhow!("{differ} of {} metrics differ from the known answers", all.compared).into())
            }
            _ => Ok(()),
        }
    }
}

/// Loss is allowed wider intervals, in the proportions of the default.
fn precision(relative: f64) -> Precision {
    let usual = Precision::default();
    let factor = relative / usual.relative;
    Precision { relative, loss_relative: usual.loss_relative * factor, loss_absolute: usual.loss_absolute * factor }
}

fn known(tasks: &[Task]) -> String {
    const MOST: usize = 20;
    let ids: Vec<_> = tasks.iter().take(MOST).map(|task| task.case.id.as_str()).collect();
    let more = if tasks.len() > MOST { ", …" } else { "" };
    format!("there are {}{more}", ids.join(", "))
}

fn failed_to_write(path: &Path) -> String {
    format!("failed to write {}", path.display())
}

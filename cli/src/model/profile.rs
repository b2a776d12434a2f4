//! `eenn model profile`: times of segments and heads on this machine, memory of fragments, and the exit table.

use super::Output;
use super::description::{Described, of_file, of_manifests, sha256};
use super::manifest;
use super::memory::{self, IdleMemory};
use super::progress::Progress;
use crate::exit_code::{Blame, Failure, Outcome};
use crate::format::{bytes, digits, percent, plain_table};
use anyhow::Context;
use api::exit_table::ExitTableMetadata;
use clap::Args;
use comfy_table::Table;
use domain::{ExitTable, Model};
use runtime_image::model::{Network, Samples, exit_table, profile};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use wire::document::{ProfileDocument, TimeDocument};

/// Measure the times of segments and exits on this machine, and with data the accuracy of every exit
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eenn model profile network.onnx
  eenn model profile -f examples/fashion-mnist --output manifest
  eenn model profile -f DIR --data validation.safetensors --exit-table exit-table.safetensors

Times are those of one thread; measure on a machine that does nothing else.")]
pub(crate) struct Options {
    /// ONNX file; its exits and cuts are those that `eenn model inspect` recommends
    #[arg(required_unless_present = "manifests", conflicts_with = "manifests")]
    file: Option<PathBuf>,

    /// Folder (or file) with the EENNModel instead
    #[arg(short = 'f', long = "file", value_name = "DIR", id = "manifests")]
    manifests: Option<PathBuf>,

    /// Which EENNModel of the folder, when there are several
    #[arg(long, value_name = "NAME", requires = "manifests")]
    model: Option<String>,

    /// Samples: safetensors with `input`, and `label` to learn how good every exit is
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Write the exit table of the data here
    #[arg(long, value_name = "OUT.safetensors", requires = "data")]
    exit_table: Option<PathBuf>,

    /// Rounds of measurement
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repetitions: u32,

    /// Form of the results; `manifest` is the `profile:` block of an EENNModel
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// Samples that a round of measurement goes through: different ones, but few enough to stay in the cache as a single
/// one would on a device that serves nothing else.
const SAMPLES_PER_ROUND: usize = 8;
/// Rounds before the first that counts: caches, branch predictors and the clock of the processor settle.
const WARM_UP: usize = 5;

#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    machine: String,
    profile: ProfileDocument,
    memory: Vec<IdleMemory>,
    accuracy: Option<Vec<f64>>,
    samples: Option<usize>,
}

impl Options {
    /// Measures and writes the results to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let described = match (&self.file, &self.manifests) {
            (Some(file), _) => of_file(file),
            (None, Some(folder)) => of_manifests(folder, self.model.as_deref()),
            (None, None) => return Err(Failure::input("name an ONNX file, or a folder of manifests with -f")),
        };
        let described = described.blame_input()?;
        let data = self.data.as_deref().map(api::samples::read).transpose().blame_input()?;
        let network = Network::load(&described.file, &described.model).blame_input()?;
        if let Some(data) = data.as_ref().filter(|data| data.shape() != described.model.input_shape) {
            let (given, wanted) = (data.shape(), &described.model.input_shape);
            return Err(Failure::input(format!("samples have shape {given:?}, the model takes {wanted:?}")));
        }
        let table = data.as_ref().map(|data| table_of(&network, data)).transpose()?.flatten();
        if let Some(path) = &self.exit_table {
            let table = table.as_ref().ok_or_else(|| Failure::input("an exit table needs data with `label`"))?;
            self.write_table(path, table, &described)?;
        }
        let measured = Measured {
            model: described.model.name.clone(),
            machine: machine(),
            profile: times(&network, data.as_ref(), self.repetitions as usize)?,
            memory: memory_of(&described)?,
            accuracy: table.as_ref().map(|table| (0..table.exits()).map(|exit| table.accuracy(exit)).collect()),
            samples: table.as_ref().map(ExitTable::samples),
        };
        Ok(out.write_all(self.render(&measured, &described.model)?.as_bytes())?)
    }

    fn write_table(&self, path: &Path, table: &ExitTable, described: &Described) -> Outcome {
        let Described { file, model } = described;
        let metadata = ExitTableMetadata {
            model_sha256: sha256(file)?,
            exits: model.exits.iter().map(|exit| exit.name.clone()).collect(),
            confidence: match model.confidence {
                domain::Confidence::MaxSoftmax => api::Confidence::MaxSoftmax,
                domain::Confidence::NormalizedEntropy => api::Confidence::NormalizedEntropy,
            },
            source: self.data.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        };
        Ok(api::exit_table::write(path, table, &metadata).context("failed to write the exit table")?)
    }

    fn render(&self, measured: &Measured, model: &Model) -> anyhow::Result<String> {
        Ok(match self.output {
            Output::Json => serde_json::to_string_pretty(measured)? + "\n",
            Output::Manifest => manifest::of_profile(&measured.profile, &measured.machine),
            Output::Table => tables(measured, model),
        })
    }
}

fn values(data: &api::samples::Samples, count: usize) -> Vec<f32> {
    (0..data.count().min(count)).flat_map(|sample| data.input(sample).iter().copied()).collect()
}

fn table_of(network: &Network, data: &api::samples::Samples) -> anyhow::Result<Option<ExitTable>> {
    let labels: Option<Vec<u16>> = (0..data.count()).map(|sample| data.label(sample)).collect();
    let Some(labels) = labels else { return Ok(None) };
    let mut progress = Progress::of("samples");
    let inputs = values(data, usize::MAX);
    Ok(Some(exit_table(network, Samples(&inputs), &labels, |done, all| progress.at(done, all))?))
}

fn times(network: &Network, data: Option<&api::samples::Samples>, rounds: usize) -> anyhow::Result<ProfileDocument> {
    let length = network.model().input_len();
    // Without data: values between 0 and 1 that are not all the same.
    let made_up = || (0..length).map(|index| (index % 17) as f32 / 17.0).collect();
    let inputs = data.map_or_else(made_up, |data| values(data, SAMPLES_PER_ROUND));
    let mut progress = Progress::of("rounds of measurement");
    Ok(profile(network, Samples(&inputs), rounds, WARM_UP, |done, all| progress.at(done, all))?)
}

fn memory_of(described: &Described) -> anyhow::Result<Vec<IdleMemory>> {
    let ranges = memory::ranges(described.model.segments());
    let mut progress = Progress::of("memory of fragments");
    let mut measured = Vec::with_capacity(ranges.len());
    for (index, range) in ranges.iter().enumerate() {
        progress.at(index, ranges.len());
        measured.push(memory::measure(&described.file, &described.model, *range)?);
    }
    Ok(measured)
}

/// What the processor calls itself.
fn machine() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| format!("one thread of {}", name.trim()))
}

fn tables(measured: &Measured, model: &Model) -> String {
    let mut text = format!("{} on {}\n\n{}\n\n", measured.model, measured.machine, segments(measured).trim_fmt());
    text.push_str(&format!("{}\n", exits(measured, model).trim_fmt()));
    if let Some(whole) = measured.memory.iter().max_by_key(|fragment| fragment.last_segment - fragment.first_segment) {
        let idle = bytes(whole.resident_bytes);
        text.push_str(&format!(
            "\nA fragment with the whole model holds {idle} when idle; its budget for jobs comes on top.\n"
        ));
    }
    text
}

fn segments(measured: &Measured) -> Table {
    let mut table = plain_table(&["segment"], &["mean µs", "scv", "idle memory"]);
    for (index, time) in measured.profile.segments.iter().enumerate() {
        let alone = |fragment: &&IdleMemory| (fragment.first_segment, fragment.last_segment) == (index + 1, index + 1);
        let memory = measured.memory.iter().find(alone).map(|fragment| bytes(fragment.resident_bytes));
        let [mean, scv] = time_cells(time);
        table.add_row(vec![(index + 1).to_string(), mean, scv, memory.unwrap_or_default()]);
    }
    table
}

fn exits(measured: &Measured, model: &Model) -> Table {
    let mut table = plain_table(&["exit"], &["head mean µs", "scv", "accuracy"]);
    for (index, (exit, time)) in model.exits.iter().zip(&measured.profile.heads).enumerate() {
        let accuracy = measured.accuracy.as_ref().map(|accuracy| accuracy[index]);
        let [mean, scv] = time_cells(time);
        table.add_row(vec![exit.name.clone(), mean, scv, percent(accuracy)]);
    }
    table
}

fn time_cells(time: &TimeDocument) -> [String; 2] {
    [digits(time.mean_microseconds), format!("{:.4}", time.scv)]
}

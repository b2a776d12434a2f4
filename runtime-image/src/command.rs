//! The subcommands of `eenn-runtime`; `eenn` has them too, so that local mode can start itself.

use crate::fetch::Fetch;
use crate::handover::{Handover, NotAcknowledged};
use crate::measurement::{self, Asked};
use crate::model::{Network, Samples, inspect, profile, read_description, resident_memory_bytes};
use crate::{fetch, fragment, gateway};
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use domain::{FragmentRange, Thresholds};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use wire::document::ProfileDocument;
use wire::measurement::MeasurementDocument;

/// A process of the data plane.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Host fragments of models on a device
    Fragment(Process),
    /// Take requests of a service and send its jobs to fragments
    Gateway(Process),
    /// Say where a multi-exit ONNX file can be cut, with the cost of each part, as JSON
    Inspect(Inspect),
    /// Measure service times, and the memory of an idle fragment, as JSON
    Profile(Profile),
    /// Bring a file here, whole and with the right digest, or not at all
    Fetch(Fetch),
}

/// What to inspect.
#[derive(Debug, Args)]
pub struct Inspect {
    /// ONNX file
    file: PathBuf,
    /// What is known of the model: a JSON file, or the JSON itself. Its exits and cuts are looked at then, not those that are
    /// recommended
    #[arg(long, value_name = "JSON")]
    description: Option<String>,
    /// What the sha256 of the ONNX file must be
    #[arg(long, value_name = "HEX", requires = "description", value_parser = fetch::parse_digest)]
    sha256: Option<String>,
    /// Measure service times, too
    #[arg(long, requires = "description")]
    times: bool,
    /// Exit table to bring along, made to fit into a megabyte
    #[arg(long, value_name = "FILE", requires = "description")]
    exit_table: Option<PathBuf>,
    /// What the sha256 of the exit table must be
    #[arg(long, value_name = "HEX", requires = "exit_table", value_parser = fetch::parse_digest)]
    exit_table_sha256: Option<String>,
    #[command(flatten)]
    handover: Handover,
}

/// What to profile.
#[derive(Debug, Args)]
pub struct Profile {
    /// ONNX file
    file: PathBuf,
    /// JSON file that describes the model; without it, exits and cuts are those that `inspect` recommends
    #[arg(long, value_name = "FILE")]
    description: Option<PathBuf>,
    /// First segment of the fragment whose memory is measured, from 1
    #[arg(long, default_value_t = 1)]
    first_segment: usize,
    /// Last segment of that fragment; the last of the model if not given
    #[arg(long)]
    last_segment: Option<usize>,
    /// Safetensors file with samples `input`; one of zeros if not given
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Rounds over the samples
    #[arg(long, default_value_t = 200)]
    repetitions: usize,
    #[command(flatten)]
    handover: Handover,
}

/// How a process is started.
#[derive(Debug, Args)]
pub struct Process {
    /// JSON file that says what to run
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Exit when standard input ends, so that no process outlives its parent
    #[arg(long)]
    exit_with_parent: bool,
}

/// Runs a subcommand to its end. Logs go to standard error, at the level of `EENN_LOG` (`error` to `trace`, default
/// `warn`).
pub fn run(command: Command) -> anyhow::Result<()> {
    let level = std::env::var("EENN_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::WARN);
    // Fails only when a subscriber is there already.
    let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).try_init();
    match command {
        Command::Fragment(process) => fragment::run(process.document()?, process.exit_with_parent),
        Command::Gateway(process) => gateway::run(process.document()?, process.exit_with_parent),
        Command::Inspect(Inspect { file, handover, description: None, .. }) => give(&handover, || Ok(inspect(&file)?)),
        Command::Inspect(options) => give(&options.handover, || options.measure()),
        Command::Profile(options) => give(&options.handover, || options.measure()),
        Command::Fetch(options) => fetch::run(&options),
    }
}

impl Inspect {
    fn measure(&self) -> anyhow::Result<MeasurementDocument> {
        let description = self.description.as_deref().unwrap_or_default();
        let document = match description.starts_with('{') {
            true => serde_json::from_str(description).context("the description is not right")?,
            false => read_json(Path::new(description))?,
        };
        measurement::measure(&Asked {
            file: &self.file,
            sha256: self.sha256.as_deref(),
            model: &read_description(document)?,
            times: self.times,
            exit_table: self.exit_table.as_deref().map(|file| (file, self.exit_table_sha256.as_deref())),
        })
    }
}

/// With which code a process ends whose subcommand failed: 3 if all went well, and only nobody has acknowledged the result;
/// else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<NotAcknowledged>() { ExitCode::from(3) } else { ExitCode::FAILURE }
}

/// What `profile` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    /// Times of all segments and heads.
    profile: ProfileDocument,
    /// Resident memory of this process with the fragment loaded and warm, no job in it.
    idle_resident_bytes: Option<u64>,
    /// What a job holds in the fragment: the larger of the tensors it brings and takes on.
    job_bytes: u64,
}

impl Profile {
    fn measure(&self) -> anyhow::Result<Measured> {
        let model = match &self.description {
            Some(file) => read_description(read_json(file)?)?,
            None => inspect(&self.file)?.model("model"),
        };
        let (first, segments) = (self.first_segment, model.segments());
        let last = self.last_segment.unwrap_or(segments);
        let range = first.checked_sub(1).and_then(|from| FragmentRange::new(from, last.wrapping_sub(1), segments));
        let range = range.with_context(|| format!("segments {first} to {last} are not within 1 to {segments}"))?;
        // Memory first: the whole network is loaded for the times, and freed memory is not given back.
        let fragment = Network::load(&self.file, &model)?.fragment(range)?;
        let mut worker = fragment.worker()?;
        let zeros = fragment.input_from_values(&vec![0.0; fragment.input_len()])?;
        worker.run(zeros, &Thresholds::exit_last(model.exits.len()), true)?;
        let idle_resident_bytes = resident_memory_bytes().map(|memory| memory.resident);
        let job_values = fragment.input_len().max(fragment.output_len().unwrap_or(0));
        let network = Network::load(&self.file, &model)?;
        let samples = match &self.data {
            Some(file) => read_samples(file, model.input_len())?,
            None => vec![0.0; model.input_len()],
        };
        let repetitions = (self.repetitions * model.input_len() / samples.len()).max(1);
        let profile = profile(&network, Samples(&samples), repetitions, repetitions.div_ceil(10), |_, _| {})?;
        Ok(Measured { profile, idle_resident_bytes, job_bytes: (job_values * size_of::<f32>()) as u64 })
    }
}

/// At most this many samples: they should stay in the cache, as a single one would on a device.
const MOST_SAMPLES: usize = 8;

fn read_samples(file: &Path, sample: usize) -> anyhow::Result<Vec<f32>> {
    let place = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("failed to read {place}"))?;
    let tensors = SafeTensors::deserialize(&bytes).with_context(|| format!("{place} is no safetensors file"))?;
    let input = tensors.tensor("input").with_context(|| format!("{place} has no tensor `input`"))?;
    let whole = input.dtype() == Dtype::F32 && !input.data().is_empty() && input.data().len() % (4 * sample) == 0;
    ensure!(
        whole,
        "{place}: `input` must hold f32 samples of {sample} values, not {:?} {:?}",
        input.dtype(),
        input.shape()
    );
    let values = input.data().chunks_exact(4).take(MOST_SAMPLES * sample);
    Ok(values.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect())
}

fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let place = file.display();
    let text = std::fs::read(file).with_context(|| format!("failed to read {place}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{place} is not right"))
}

/// Prints what `make` finds out, or serves it to whom it is for. Who that is, is found out before the work is done.
fn give<T: Serialize>(handover: &Handover, make: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<()> {
    match handover.prepare()? {
        None => print(&make()?),
        Some(prepared) => prepared.serve(&make()?),
    }
}

fn print(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

impl Process {
    fn document<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        read_json(&self.config)
    }
}

//! Finds out what a cluster has to know of a model that is described already: what its parts cost, how long they take on this
//! machine, and what its exits are worth.

use crate::exit_table::{self, Fitting};
use crate::fetch::digest;
use crate::model::{Network, Samples, profile};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Model;
use std::path::Path;
use std::time::{Duration, Instant};
use wire::document::ProfileDocument;
use wire::measurement::{ExitTableMeasurement, MeasurementDocument};

/// Rounds that count, where they take no longer than [`LONGEST`].
const ROUNDS: usize = 200;
/// Fewer say nothing about variance.
const FEWEST_ROUNDS: usize = 5;
/// Rounds before the first that counts: caches, branch predictors and the clock of the processor settle.
const WARM_UP: usize = 5;
/// Slow devices make fewer rounds.
const LONGEST: Duration = Duration::from_secs(120);
/// The largest exit table that is read.
const LARGEST_TABLE: u64 = 1 << 30;

/// What is to be found out.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The file of the model.
    pub(crate) file: &'a Path,
    /// What its digest must be.
    pub(crate) sha256: Option<&'a str>,
    /// Its exits and cuts.
    pub(crate) model: &'a Model,
    /// Whether service times are measured.
    pub(crate) times: bool,
    /// An exit table to bring along, and what its digest must be.
    pub(crate) exit_table: Option<(&'a Path, Option<&'a str>)>,
}

/// Finds it out.
pub(crate) fn measure(asked: &Asked<'_>) -> anyhow::Result<MeasurementDocument> {
    let sha256 = checked(asked.file, asked.sha256)?;
    // What may be refused comes before what takes long.
    let exit_table = asked.exit_table.map(|(file, sha256)| table(file, sha256)).transpose()?;
    let network = Network::load(asked.file, asked.model)?;
    let (exits, segments) = network.costs()?;
    let profile = asked.times.then(|| times(&network)).transpose()?;
    Ok(MeasurementDocument { sha256, machine: machine(), exits, segments, profile, exit_table })
}

/// The digest of a file, if it is the right one.
fn checked(file: &Path, wanted: Option<&str>) -> anyhow::Result<String> {
    let found = digest(file).with_context(|| format!("failed to read {}", file.display()))?;
    let right = wanted.is_none_or(|wanted| wanted == found);
    ensure!(right, "{} has SHA-256 {found}, not {}", file.display(), wanted.unwrap_or_default());
    Ok(found)
}

fn table(file: &Path, wanted: Option<&str>) -> anyhow::Result<ExitTableMeasurement> {
    let place = || format!("the exit table {} cannot be used", file.display());
    let size = std::fs::metadata(file).with_context(place)?.len();
    ensure!(size <= LARGEST_TABLE, "the exit table {} has {size} bytes; at most {LARGEST_TABLE}", file.display());
    let sha256 = checked(file, wanted).with_context(place)?;
    let bytes = std::fs::read(file).with_context(place)?;
    let Fitting { file, samples, of, largest_error } = exit_table::fit(&bytes, exit_table::MOST).with_context(place)?;
    Ok(ExitTableMeasurement { sha256, samples, samples_of_file: of, largest_error, file: STANDARD.encode(file) })
}

/// Service times; of as many rounds as there is time for.
fn times(network: &Network) -> anyhow::Result<ProfileDocument> {
    // Values between 0 and 1 that are not all the same.
    let input: Vec<f32> = (0..network.model().input_len()).map(|index| (index % 17) as f32 / 17.0).collect();
    let began = Instant::now();
    profile(network, Samples(&input), 1, 1, |_, _| {})?;
    let rounds = rounds(began.elapsed() / 2);
    Ok(profile(network, Samples(&input), rounds, WARM_UP, |_, _| {})?)
}

/// How many rounds of this length.
fn rounds(one: Duration) -> usize {
    let fitting = LONGEST.as_secs_f64() / one.as_secs_f64().max(1e-9);
    // The cast saturates.
    (fitting as usize).clamp(FEWEST_ROUNDS, ROUNDS)
}

/// What the processor calls itself.
fn machine() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::inspect;

    fn branchy() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/branchy.onnx")
    }

    #[test]
    fn a_described_model_is_measured_as_it_is_inspected() {
        let file = branchy();
        let inspected = inspect(&file).unwrap();
        let model = inspected.model("model");
        let asked = Asked { file: &file, sha256: None, model: &model, times: true, exit_table: None };
        let found = measure(&asked).unwrap();
        let cost = |macs: u64, bytes: u64| (macs, bytes);
        assert_eq!(
            found.segments.iter().map(|one| (cost(one.macs, one.weight_bytes), one.forward_bytes)).collect::<Vec<_>>(),
            inspected
                .segments
                .iter()
                .map(|one| (cost(one.macs, one.weight_bytes), one.forward_bytes))
                .collect::<Vec<_>>(),
        );
        assert_eq!(
            found.exits.iter().map(|one| (one.name.clone(), one.segment, one.macs)).collect::<Vec<_>>(),
            inspected.exits.iter().map(|one| (one.tensor.clone(), one.segment, one.macs)).collect::<Vec<_>>(),
        );
        let profile = found.profile.unwrap();
        assert_eq!((profile.segments.len(), profile.heads.len()), (found.segments.len(), found.exits.len()));
        assert!(profile.segments.iter().all(|time| time.mean_microseconds > 0.0), "{profile:?}");
        let right = found.sha256;
        assert!(measure(&Asked { sha256: Some(&right), times: false, ..asked }).unwrap().profile.is_none());
    }

    #[test]
    fn a_file_that_was_not_meant_is_not_measured() {
        let file = branchy();
        let model = inspect(&file).unwrap().model("model");
        let zeros = "0".repeat(64);
        let asked = Asked { file: &file, sha256: Some(&zeros), model: &model, times: false, exit_table: None };
        let error = measure(&asked).unwrap_err().to_string();
        assert!(error.ends_with(&format!("not {zeros}")) && error.contains("branchy.onnx has SHA-256 "), "{error}");
        let table = Some((file.as_path(), None));
        let error = measure(&Asked { sha256: None, exit_table: table, ..asked }).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be used: it is no safetensors file"), "{error:#}");
    }

    #[test]
    fn slow_devices_make_fewer_rounds() {
        assert_eq!(rounds(Duration::from_millis(1)), 200);
        assert_eq!(rounds(Duration::from_secs(2)), 60);
        assert_eq!(rounds(Duration::from_secs(100)), 5);
        assert_eq!(rounds(Duration::ZERO), 200);
    }
}

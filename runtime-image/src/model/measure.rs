//! Measurements on this machine: service times, what every exit says about labelled samples, memory.

use super::error::{ModelError, RunError};
use super::network::Network;
use super::run::{Run, Worker};
use domain::{ExitTable, ExitTableError, Thresholds};
use std::time::Duration;
use wire::document::{ProfileDocument, TimeDocument};

/// Samples one after the other, as they lie in a file.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a>(pub &'a [f32]);

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The model cannot be prepared.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A sample cannot be computed.
    #[error("sample {sample}: {cause}")]
    Run {
        /// Number of the sample, from 0.
        sample: usize,
        /// Why.
        #[source]
        cause: RunError,
    },
    /// No samples, or a number of values that is not a multiple of one sample.
    #[error("{values} values are no samples of {sample} values each")]
    Samples {
        /// Values given.
        values: usize,
        /// Values of one sample.
        sample: usize,
    },
    /// Labels that do not fit the samples.
    #[error("{labels} labels for {samples} samples")]
    Labels {
        /// Labels given.
        labels: usize,
        /// Samples given.
        samples: usize,
    },
    /// The outcome is no exit table.
    #[error(transparent)]
    Table(#[from] ExitTableError),
}

/// Mean and variability of the time of every segment and head, over `repetitions` rounds through the samples after
/// `warm_up` rounds that do not count. `progress` is told rounds done and rounds in all.
///
/// Times are wall-clock time of one thread. Runs in which the kernel gave the core to somebody else are left out, as
/// long as one in ten remains: they tell of the neighbours, and one of them outweighs a hundred others in the variance.
pub fn profile(
    network: &Network,
    samples: Samples<'_>,
    repetitions: usize,
    warm_up: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<ProfileDocument, MeasureError> {
    let mut all = Times::new(network);
    let mut undisturbed = all.clone();
    let mut worker = network.undivided()?.worker()?;
    for round in 0..warm_up + repetitions {
        let mut turns = scheduler_turns();
        each_sample(&mut worker, samples, |_, run| {
            let before = std::mem::replace(&mut turns, scheduler_turns());
            if round >= warm_up {
                all.add(&run);
                if before == turns {
                    undisturbed.add(&run);
                }
            }
        })?;
        progress(round + 1, warm_up + repetitions);
    }
    let enough = undisturbed.runs() * 10.0 >= all.runs();
    Ok(if enough { undisturbed } else { all }.document())
}

/// How often this thread was given a core so far; `None` where the kernel does not tell.
fn scheduler_turns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().nth(2)?.parse().ok()
}

/// What every exit says about every sample. `progress` is told samples done and samples in all.
pub fn exit_table(
    network: &Network,
    samples: Samples<'_>,
    labels: &[u16],
    mut progress: impl FnMut(usize, usize),
) -> Result<ExitTable, MeasureError> {
    let exits = network.model().exits.len();
    let (mut confidence, mut prediction) = (Vec::new(), Vec::new());
    let mut worker = network.undivided()?.worker()?;
    let count = samples.0.len() / network.model().input_len();
    if count != labels.len() {
        return Err(MeasureError::Labels { labels: labels.len(), samples: count });
    }
    each_sample(&mut worker, samples, |sample, run| {
        confidence.extend(run.evaluated.iter().map(|evaluated| evaluated.softmax.confidence));
        prediction.extend(run.evaluated.iter().map(|evaluated| evaluated.softmax.class));
        progress(sample + 1, count);
    })?;
    Ok(ExitTable::new(exits, confidence, prediction, labels.to_vec())?)
}

fn each_sample(
    worker: &mut Worker,
    samples: Samples<'_>,
    mut visit: impl FnMut(usize, Run),
) -> Result<(), MeasureError> {
    let fragment = worker.fragment().clone();
    let size = fragment.input_len();
    if samples.0.is_empty() || !samples.0.len().is_multiple_of(size) {
        return Err(MeasureError::Samples { values: samples.0.len(), sample: size });
    }
    let thresholds = Thresholds::exit_last(fragment.exits_of_model);
    for (sample, values) in samples.0.chunks_exact(size).enumerate() {
        let input = fragment.input_from_values(values);
        let run = input.and_then(|input| worker.run(input, &thresholds, true));
        visit(sample, run.map_err(|cause| MeasureError::Run { sample, cause })?);
    }
    Ok(())
}

/// Times of all segments and heads.
#[derive(Debug, Clone)]
struct Times {
    segments: Vec<Moments>,
    heads: Vec<Moments>,
}

impl Times {
    fn new(network: &Network) -> Self {
        let model = network.model();
        let none = Moments::default();
        Self { segments: vec![none; model.segments()], heads: vec![none; model.exits.len()] }
    }

    fn add(&mut self, run: &Run) {
        for (moments, time) in self.segments.iter_mut().zip(&run.segment_times) {
            moments.add(*time);
        }
        for evaluated in &run.evaluated {
            self.heads[evaluated.exit].add(evaluated.head_time);
        }
    }

    fn runs(&self) -> f64 {
        self.segments[0].count
    }

    fn document(&self) -> ProfileDocument {
        let times = |moments: &[Moments]| moments.iter().map(Moments::time).collect();
        ProfileDocument { segments: times(&self.segments), heads: times(&self.heads) }
    }
}

/// Count, mean and sum of squared deviations, updated one by one.
///
/// Reference: B. P. Welford (1962), "Note on a method for calculating corrected sums of squares and products",
/// Technometrics 4(3).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, time: Duration) {
        let value = time.as_secs_f64() * 1e6;
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }

    fn time(&self) -> TimeDocument {
        let scv = if self.mean > 0.0 && self.count > 1.0 {
            self.squares / (self.count - 1.0) / (self.mean * self.mean)
        } else {
            0.0
        };
        TimeDocument { mean_microseconds: self.mean, scv }
    }
}

/// Memory of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes resident now.
    pub resident: u64,
    /// Most bytes ever resident.
    pub peak: u64,
}

/// Memory of this process; `None` where the kernel does not tell.
pub fn resident_memory_bytes() -> Option<Memory> {
    read_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn read_status(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_known_times() {
        let mut moments = Moments::default();
        for microseconds in [1, 2, 3] {
            moments.add(Duration::from_micros(microseconds));
        }
        let time = moments.time();
        assert!((time.mean_microseconds - 2.0).abs() < 1e-9, "{time:?}");
        assert!((time.scv - 0.25).abs() < 1e-9, "{time:?}");
        assert_eq!(Moments::default().time().scv, 0.0);
    }

    #[test]
    fn status_of_a_process_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(read_status(status), Some(Memory { resident: 1 << 20, peak: 2 << 20 }));
        assert_eq!(read_status("Name:\tx\n"), None);
    }
}

//! A fragment as it is hosted: its model slice, memory, and how the executor serves it.

use super::metrics::{DeviceMetrics, FragmentMetrics};
use crate::executor::{Lane, Serve, Served};
use crate::memory::Region;
use crate::model::{Fragment, Network, Run, RunError, Worker, read_description};
use anyhow::{Context as _, ensure};
use domain::{FragmentRange, Seconds, ServiceTime, ServiceTimes, Thresholds};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::document::{EmulateDocument, FragmentDocument, ProfileDocument};

/// Seconds that one segment may take on an emulated device; more is a mistake.
const LONGEST_SERVICE: f64 = 3600.0;

/// What the executor computes.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) input: Vec<u8>,
    pub(crate) thresholds: Thresholds,
    pub(crate) evaluate_all: bool,
}

/// What comes of it.
pub(crate) type Computed = Result<Run, RunError>;

/// A fragment on this device.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) name: String,
    pub(crate) region: Arc<Region>,
    pub(crate) metrics: Arc<FragmentMetrics>,
    /// Exits of the whole model.
    pub(crate) exits: usize,
    /// Bytes of the tensor a job brings.
    pub(crate) input_bytes: u64,
    /// Bytes of the tensor it takes on; 0 for the last fragment.
    pub(crate) output_bytes: u64,
    /// Nanoseconds that the machine of the profile would have needed for all jobs so far.
    profiled: Arc<AtomicU64>,
}

/// The times of a profile, and what they are used for.
struct Profiled {
    times: ServiceTimes,
    /// Speed of the emulated processor relative to the machine of the profile, if there is one.
    speed: Option<f64>,
    /// Sum of the times, in nanoseconds.
    sum: Arc<AtomicU64>,
}

impl Hosted {
    /// Time that the machine of the profile would have needed for all jobs so far; 0 without a profile.
    pub(crate) fn profiled(&self) -> Duration {
        Duration::from_nanos(self.profiled.load(Ordering::Relaxed))
    }

    /// What a job holds: the larger of what it brings and what it takes on, so that serving it never needs more.
    pub(crate) fn job_bytes(&self) -> u64 {
        self.input_bytes.max(self.output_bytes)
    }
}

/// Loads a fragment. Slow: once, before the process says that it is ready.
pub(crate) fn host(
    document: &FragmentDocument,
    emulate: Option<EmulateDocument>,
    metrics: &DeviceMetrics,
) -> anyhow::Result<(Hosted, Lane<Task, Computed>)> {
    let place = || format!("fragment {:?}", document.name);
    let model = read_description(document.model.clone()).with_context(place)?;
    let segments = model.segments();
    let (first, last) = (document.first_segment, document.last_segment);
    let range = first.checked_sub(1).and_then(|from| FragmentRange::new(from, last.wrapping_sub(1), segments));
    let range =
        range.with_context(|| format!("{}: segments {first} to {last} are not within 1 to {segments}", place()))?;
    ensure!(document.workers > 0, "{}: workers must be at least 1", place());
    let exits = model.exits.len();
    let profiled = profiled(document, emulate, segments, exits).with_context(place)?;
    let sum = profiled.as_ref().map(|profiled| Arc::clone(&profiled.sum)).unwrap_or_default();
    let fragment = Network::load(Path::new(&document.file), &model)?.fragment(range)?;
    let bytes = |values: usize| (values * size_of::<f32>()) as u64;
    let hosted = Hosted {
        name: document.name.clone(),
        region: Region::new(document.memory_budget_bytes),
        metrics: Arc::new(metrics.fragment(
            &document.name,
            document.memory_budget_bytes,
            &(range.first..=range.last).collect::<Vec<_>>(),
            fragment.exits(),
        )),
        exits,
        input_bytes: bytes(fragment.input_len()),
        output_bytes: fragment.output_len().map_or(0, bytes),
        profiled: sum,
    };
    ensure!(
        document.memory_budget_bytes >= hosted.job_bytes(),
        "{}: a budget of {} bytes does not hold one job of {} bytes",
        place(),
        document.memory_budget_bytes,
        hosted.job_bytes()
    );
    let millis = |value: Option<u64>| value.map(|millis| millis as f64 / 1e3);
    let lane = Lane {
        workers: document.workers,
        // Without a request every fragment weighs the same.
        cpu_request: millis(document.cpu_request_millis).filter(|request| *request > 0.0).unwrap_or(1.0),
        cpu_limit: millis(document.cpu_limit_millis).filter(|limit| *limit > 0.0).unwrap_or(f64::INFINITY),
        serve: serve(&fragment, document.workers, exits, profiled)?,
    };
    Ok((hosted, lane))
}

/// One state per worker, made before the first job; a state that failed is replaced.
fn serve(
    fragment: &Arc<Fragment>,
    workers: usize,
    exits: usize,
    profiled: Option<Profiled>,
) -> anyhow::Result<Serve<Task, Computed>> {
    let idle = (0..workers).map(|_| warm(fragment.worker()?, exits)).collect::<anyhow::Result<Vec<Worker>>>()?;
    let idle = Mutex::new(idle);
    let fragment = Arc::clone(fragment);
    Ok(Box::new(move |task| {
        let taken = lock(&idle).pop();
        let worker = taken.map_or_else(|| fragment.worker().map_err(|error| RunError::Compute(error.to_string())), Ok);
        let result = worker.and_then(|mut worker| {
            let input = fragment.input_from_le_bytes(&task.input)?;
            drop(task.input);
            let result = worker.run(input, &task.thresholds, task.evaluate_all);
            // A worker that failed is dropped, and the next job gets a fresh one. One that panicked never gets here.
            if !matches!(result, Err(RunError::Compute(_))) {
                lock(&idle).push(worker);
            }
            result
        });
        let emulated = match (&profiled, &result) {
            (Some(profiled), Ok(run)) => profiled.count(&fragment, run),
            _ => Duration::ZERO,
        };
        Served { result, emulated }
    }))
}

/// Runs the worker once, so that its memory is there before limits are read off the idle process.
fn warm(mut worker: Worker, exits: usize) -> anyhow::Result<Worker> {
    let fragment = Arc::clone(worker.fragment());
    let input = fragment.input_from_values(&vec![0.0; fragment.input_len()])?;
    let _ = worker.run(input, &Thresholds::exit_last(exits), true);
    Ok(worker)
}

impl Profiled {
    /// Adds a run to the sum. Time that it takes on the emulated processor; 0 where there is none.
    fn count(&self, fragment: &Fragment, run: &Run) -> Duration {
        let heads = run.evaluated.iter().map(|evaluated| evaluated.exit);
        let seconds = self.times.service(fragment.range(), run.segment_times.len(), heads).get();
        self.sum.fetch_add(Duration::from_secs_f64(seconds).as_nanos() as u64, Ordering::Relaxed);
        self.speed.map_or(Duration::ZERO, |speed| Duration::from_secs_f64(seconds / speed))
    }
}

/// The times of the profile, if there is one; an emulated processor needs them.
fn profiled(
    document: &FragmentDocument,
    emulate: Option<EmulateDocument>,
    segments: usize,
    exits: usize,
) -> anyhow::Result<Option<Profiled>> {
    let Some(profile) = document.profile.as_ref() else {
        ensure!(emulate.is_none(), "an emulated device needs the service times of a profile");
        return Ok(None);
    };
    let ProfileDocument { segments: of_segments, heads } = profile;
    ensure!(
        of_segments.len() == segments && heads.len() == exits,
        "the profile has {} segments and {} heads, the model {segments} and {exits}",
        of_segments.len(),
        heads.len()
    );
    let speed = emulate.map(|emulate| emulate.speed_factor);
    if let Some(EmulateDocument { cores, speed_factor }) = emulate {
        ensure!(speed_factor > 0.0 && cores > 0.0, "cores and speedFactor must be above 0");
    }
    let time = |time: &wire::document::TimeDocument| -> anyhow::Result<ServiceTime> {
        let mean = Seconds::new(time.mean_microseconds / 1e6)?;
        let longest = mean.get() / speed.unwrap_or(1.0);
        ensure!(longest <= LONGEST_SERVICE, "a service of {longest} s is longer than {LONGEST_SERVICE} s");
        Ok(ServiceTime { mean, scv: time.scv })
    };
    let times = ServiceTimes {
        segments: of_segments.iter().map(time).collect::<anyhow::Result<_>>()?,
        heads: heads.iter().map(time).collect::<anyhow::Result<_>>()?,
    };
    Ok(Some(Profiled { times, speed, sum: Arc::default() }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! To whom each job goes: loads, sources and samples put together into one stream of jobs in time order.

use super::arrivals::{Arrivals, Due, Spacing, expected_seconds, phase_seconds};
use super::grammar::{Load, Pattern, Phase};
use crate::measure::summary::PhaseLabel;
use crate::measure::{Key, Stream};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::iter::Peekable;
use std::time::Duration;

/// A job to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    /// What it counts for.
    pub(crate) key: Key,
    /// How many jobs of this load came before: which sample it carries.
    pub(crate) number: usize,
    /// When it is due after the start.
    pub(crate) at: Duration,
}

/// A source that jobs can be sent to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// Service and name.
    pub(crate) stream: Stream,
    /// Its share of the loads that name no source.
    pub(crate) expected_rate: f64,
}

/// A load with its times and sources known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResolvedLoad {
    /// What `--load` named.
    pub(crate) source: Option<String>,
    /// When jobs are due.
    pub(crate) times: Times,
    /// Indices of the sources.
    pub(crate) targets: Vec<usize>,
}

/// When jobs are due.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Times {
    /// Drawn from rates.
    Phases(Vec<Phase>),
    /// Recorded offsets in seconds.
    Trace(Vec<f64>),
}

/// All loads of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// In the order of the options.
    pub(crate) loads: Vec<ResolvedLoad>,
    /// How jobs of phases are spaced.
    pub(crate) spacing: Spacing,
    /// Makes a run repeatable.
    pub(crate) seed: u64,
}

impl ResolvedLoad {
    /// Finds the sources that a load names. `read` reads traces.
    pub(crate) fn new(
        load: Load,
        sources: &[Source],
        read: impl Fn(&std::path::Path) -> Result<Vec<f64>, String>,
    ) -> Result<Self, String> {
        let targets = targets(load.source.as_deref(), sources)?;
        let times = match load.pattern {
            Pattern::Phases(phases) => Times::Phases(phases),
            Pattern::Trace(file) => Times::Trace(read(&file).map_err(|error| format!("{}: {error}", file.display()))?),
        };
        Ok(Self { source: load.source, times, targets })
    }

    /// When its last job is expected, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        match &self.times {
            Times::Phases(phases) => expected_seconds(phases),
            Times::Trace(times) => times.last().copied().unwrap_or(0.0),
        }
    }

    /// The phase at a time, its rate, and when it ends; none when all are over.
    pub(crate) fn phase_at(&self, seconds: f64) -> Option<(usize, Option<f64>, f64)> {
        let Times::Phases(phases) = &self.times else {
            return (seconds < self.seconds()).then(|| (0, None, self.seconds()));
        };
        let mut end = 0.0;
        phases.iter().enumerate().find_map(|(index, phase)| {
            end += phase_seconds(phase);
            (seconds < end).then_some((index, Some(phase.rate), end))
        })
    }
}

fn targets(name: Option<&str>, sources: &[Source]) -> Result<Vec<usize>, String> {
    let names = |stream: &Stream, name: &str| {
        stream.source == name || name.split_once('/') == Some((stream.service.as_str(), stream.source.as_str()))
    };
    let Some(name) = name else {
        return Ok((0..sources.len()).collect());
    };
    let found: Vec<usize> = (0..sources.len()).filter(|&index| names(&sources[index].stream, name)).collect();
    let list = |indices: &mut dyn Iterator<Item = usize>| {
        let full =
            indices.map(|index| &sources[index].stream).map(|stream| format!("{}/{}", stream.service, stream.source));
        full.collect::<Vec<_>>().join(", ")
    };
    match found.len() {
        1 => Ok(found),
        0 => Err(format!("--load names source {name:?}; there are {}", list(&mut (0..sources.len())))),
        _ => Err(format!(
            "--load names source {name:?}, but several services have one: {}",
            list(&mut found.into_iter())
        )),
    }
}

impl Plan {
    /// All jobs in the order of their times.
    pub(crate) fn jobs(&self, sources: &[Source]) -> Jobs {
        let stream = |(load, resolved): (usize, &ResolvedLoad)| LoadStream {
            load,
            due: self.due(load, resolved).peekable(),
            chooser: Chooser::new(&resolved.targets, sources, self.rng(load, Purpose::Target)),
            number: 0,
        };
        Jobs { loads: self.loads.iter().enumerate().map(stream).collect() }
    }

    fn due(&self, load: usize, resolved: &ResolvedLoad) -> DueTimes {
        match &resolved.times {
            Times::Phases(phases) => {
                Box::new(Arrivals::new(phases.clone(), self.spacing, self.rng(load, Purpose::Arrival)))
            }
            Times::Trace(times) => Box::new(times.clone().into_iter().map(|at| Due { at, phase: 0 })),
        }
    }

    /// Draws are functions of seed, load and purpose: another load does not change the times of this one.
    fn rng(&self, load: usize, purpose: Purpose) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(2 * load as u64 + purpose as u64);
        rng
    }

    /// When the last job is expected, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.loads.iter().map(ResolvedLoad::seconds).fold(0.0, f64::max)
    }

    /// Phases for the summary; those that begin after `until` seconds are left out.
    pub(crate) fn labels(&self, until: f64) -> Vec<PhaseLabel> {
        let labels = self.loads.iter().enumerate().flat_map(|(load, resolved)| {
            let label =
                move |phase, rate, seconds| PhaseLabel { load, phase, source: resolved.source.clone(), rate, seconds };
            let mut start = 0.0;
            let mut labels = Vec::new();
            match &resolved.times {
                Times::Trace(_) => labels.push((0.0, label(0, None, resolved.seconds()))),
                Times::Phases(phases) => {
                    for (index, phase) in phases.iter().enumerate() {
                        labels.push((start, label(index, Some(phase.rate), phase_seconds(phase))));
                        start += phase_seconds(phase);
                    }
                }
            }
            labels
        });
        labels.filter(|(start, _)| *start <= until).map(|(_, label)| label).collect()
    }
}

#[derive(Clone, Copy)]
enum Purpose {
    Arrival = 0,
    Target = 1,
}

type DueTimes = Box<dyn Iterator<Item = Due> + Send>;

/// Jobs of all loads, merged by time.
pub(crate) struct Jobs {
    loads: Vec<LoadStream>,
}

struct LoadStream {
    load: usize,
    due: Peekable<DueTimes>,
    chooser: Chooser,
    number: usize,
}

impl Iterator for Jobs {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        let next = |load: &mut LoadStream| load.due.peek().map(|due| due.at);
        let times = self.loads.iter_mut().enumerate().filter_map(|(index, load)| Some((index, next(load)?)));
        let (index, _) = times.min_by(|a, b| a.1.total_cmp(&b.1))?;
        self.loads[index].take()
    }
}

impl LoadStream {
    fn take(&mut self) -> Option<Job> {
        let due = self.due.next()?;
        let key = Key { stream: self.chooser.draw(), load: self.load, phase: due.phase };
        let job = Job { key, number: self.number, at: Duration::from_secs_f64(due.at) };
        self.number += 1;
        Some(job)
    }
}

/// Draws one of several sources by weight. A Poisson stream that is split so is Poisson at each of them.
struct Chooser {
    /// Index of a source, and the share of jobs that go to it or to one before.
    upto: Vec<(usize, f64)>,
    rng: ChaCha8Rng,
}

impl Chooser {
    fn new(targets: &[usize], sources: &[Source], rng: ChaCha8Rng) -> Self {
        let total: f64 = targets.iter().map(|&target| sources[target].expected_rate).sum();
        let mut sum = 0.0;
        let upto = targets.iter().map(|&target| {
            sum += sources[target].expected_rate / total;
            (target, sum)
        });
        Self { upto: upto.collect(), rng }
    }

    fn draw(&mut self) -> usize {
        let point: f64 = self.rng.random();
        let found = self.upto.iter().find(|(_, upto)| point < *upto);
        // Rounding may leave the last share a little below 1.
        found.or(self.upto.last()).expect("a load has a source").0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::grammar::Extent;

    fn sources() -> Vec<Source> {
        [("a", "x", 30.0), ("a", "y", 10.0), ("b", "x", 40.0)]
            .map(|(service, source, expected_rate)| Source {
                stream: Stream { service: service.into(), source: source.into() },
                expected_rate,
            })
            .into()
    }

    fn load(text: &str) -> Result<ResolvedLoad, String> {
        ResolvedLoad::new(text.parse().unwrap(), &sources(), |_| Ok(vec![0.5, 0.75]))
    }

    fn plan(loads: &[&str]) -> Plan {
        let loads = loads.iter().map(|text| load(text).unwrap()).collect();
        Plan { loads, spacing: Spacing::Uniform, seed: 1 }
    }

    #[test]
    fn sources_are_found_by_name() {
        assert_eq!(load("1/s for 1s").unwrap().targets, [0, 1, 2]);
        assert_eq!(load("y: 1/s for 1s").unwrap().targets, [1]);
        assert_eq!(load("b/x: 1/s for 1s").unwrap().targets, [2]);
        assert_eq!(load("z: 1/s for 1s").unwrap_err(), "--load names source \"z\"; there are a/x, a/y, b/x");
        assert_eq!(
            load("x: 1/s for 1s").unwrap_err(),
            "--load names source \"x\", but several services have one: a/x, b/x"
        );
    }

    #[test]
    fn jobs_of_all_loads_come_in_time_order() {
        let jobs: Vec<_> = plan(&["y: 1/s for 2s", "b/x: trace=t"]).jobs(&sources()).collect();
        let got: Vec<_> = jobs.iter().map(|job| (job.at.as_secs_f64(), job.key.stream, job.number)).collect();
        assert_eq!(got, [(0.0, 1, 0), (0.5, 2, 0), (0.75, 2, 1), (1.0, 1, 1)]);
    }

    #[test]
    fn a_load_without_source_is_split_by_expected_rate() {
        let mut counts = [0.0; 3];
        for job in plan(&["1000/s for 10s"]).jobs(&sources()) {
            counts[job.key.stream] += 1.0 / 10_000.0;
        }
        for (got, want) in counts.iter().zip([0.375f64, 0.125, 0.5]) {
            assert!((got - want).abs() < 0.025, "{counts:?}");
        }
    }

    #[test]
    fn phases_are_known_by_time() {
        let plan = plan(&["y: 2/s for 10s, then 4/s for 8 jobs"]);
        assert_eq!(plan.seconds(), 12.0);
        assert_eq!(plan.loads[0].phase_at(3.0), Some((0, Some(2.0), 10.0)));
        assert_eq!(plan.loads[0].phase_at(11.0), Some((1, Some(4.0), 12.0)));
        assert_eq!(plan.loads[0].phase_at(12.0), None);
        assert_eq!(plan.labels(5.0).len(), 1);
        assert_eq!(plan.labels(20.0).len(), 2);
        let Times::Phases(phases) = &plan.loads[0].times else { panic!() };
        assert_eq!(phases[1].extent, Extent::Jobs(8));
    }
}

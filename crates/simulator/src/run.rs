//! Replications, in parallel, until enough is known.

use crate::check::NetworkError;
use crate::effort::{Effort, Progress};
use crate::engine::plan::Plan;
use crate::engine::record::Group;
use crate::engine::{Engine, Setup, Until};
use crate::histogram::Histogram;
use crate::network::Network;
use crate::report::{Ended, Interval, JobRecord, Report, RunReport, Series};
use crate::summary::Summary;
use std::sync::{Mutex, PoisonError};

/// Replications of a run without an end of its own.
const REPLICATIONS: u32 = 4;
/// Replications of a run with an end, at first.
const TRANSIENT_REPLICATIONS: u32 = 32;
/// Replications, at most: more say nothing that these do not.
const MOST_REPLICATIONS: u32 = 10_000;
/// Replications of a run with an end that are held at a time.
const AT_A_TIME: u32 = 64;
/// Groups of replications of a run with an end: they are merged when there are twice as many.
const MOST_GROUPS: usize = 128;
/// Batches over all replications, at least.
const BATCHES: u32 = 32;
/// Batches per replication, at least.
const BATCHES_EACH: u32 = 4;
/// And when arrivals are too few for batches that know little of each other.
const FEWEST_BATCHES_EACH: u32 = 2;
/// Length of such batches in times that the network takes to forget.
const INDEPENDENT: f64 = 5.0;
/// Arrivals in a batch at first, at most.
const FIRST_BATCH: u64 = 2_000;
/// Arrivals of the warm-up of a replication, at least.
const SHORTEST_WARMUP: f64 = 500.0;
/// And at most, however slowly a network forgets.
const LONGEST_WARMUP: u64 = 200_000;

/// Simulates a network.
///
/// A run whose arrivals never end is simulated in independent replications, each of which is measured after a warm-up in
/// batches of arrivals; confidence intervals come from these batches. The warm-up follows from how long the devices need
/// to fill or to forget, and is at most as long as what is measured at first. When the precision asked for needs more, the
/// same replications go on, and batches double in length.
///
/// A run whose arrivals end (a trace, pieces that do not repeat) is simulated whole, from an empty network until the last
/// job has ended, once per replication; confidence intervals come from replications.
///
/// Jobs count where they arrived, in time and place: every measured job is followed to its end.
///
/// # Errors
/// What is wrong with the network, and where.
///
/// # Cost
/// Some tens of nanoseconds per event; a job is one event when it arrives, one per step, and two per link. No
/// memory is allocated once there have been as many jobs in the network as there ever will be.
pub fn simulate(network: &Network, effort: &Effort<'_>) -> Result<Report, NetworkError> {
    network.check()?;
    let exact = check_length(network, effort)?;
    let effort = &Effort { arrivals: effort.arrivals.min(exact), ..*effort };
    let plan = Plan::new(network);
    let events = effort.events.min(enough_events(network, effort));
    let mut run = Run { network, plan: &plan, effort, events, seen: Seen::new(&plan) };
    let ended = if plan.horizon.is_finite() { run.transient() } else { run.stationary() };
    Ok(run.report(ended))
}

/// Far more events than the arrivals that are measured need. More are only needed to follow jobs that take so long that
/// nearly all of what is simulated comes after them.
fn enough_events(network: &Network, effort: &Effort<'_>) -> u64 {
    let steps = network.chains.iter().map(|chain| 3 * chain.steps.len() as u64 + 1).max().unwrap_or(1);
    effort.arrivals.saturating_add(1_000_000).saturating_mul(10 * steps)
}

/// A run with an end of its own is simulated to that end at least once. Gives the arrivals of all replications during which
/// the shortest times are still exact to four digits beside the time since the start.
fn check_length(network: &Network, effort: &Effort<'_>) -> Result<u64, NetworkError> {
    let exact = crate::engine::ticks::exact_until(network);
    let wrong = |message: String| Err(NetworkError { place: "sources".to_owned(), message });
    let Some(end) = crate::engine::ticks::horizon(network) else {
        let rate: f64 = network.sources.iter().filter_map(|source| source.arrivals.rate()).sum();
        let replications = effort.replications.map_or(REPLICATIONS, u32::from);
        let arrivals = exact * rate * f64::from(replications);
        if arrivals < 10_000.0 {
            return wrong(
                "arrive so rarely that the shortest of the other times cannot be resolved beside them".to_owned(),
            );
        }
        return Ok(arrivals as u64);
    };
    if end > exact {
        return wrong("last so long that the shortest times cannot be resolved".to_owned());
    }
    let jobs: f64 = network.sources.iter().map(|source| source.arrivals.until(end)).sum();
    if jobs > effort.arrivals as f64 {
        let limit = effort.arrivals;
        return wrong(format!("bring about {jobs:.0} arrivals until their end; the limit of arrivals is {limit}"));
    }
    Ok(effort.arrivals)
}

struct Run<'a> {
    network: &'a Network,
    plan: &'a Plan,
    effort: &'a Effort<'a>,
    /// Most events.
    events: u64,
    seen: Seen,
}

/// What replications have left behind.
pub(crate) struct Seen {
    pub(crate) groups: Vec<Group>,
    /// Per stream, of all replications.
    pub(crate) latencies: Vec<Histogram>,
    /// Per replication, per source and then per chain: quantiles.
    pub(crate) quantiles: Vec<Vec<[f64; 3]>>,
    series: Vec<Vec<Interval>>,
    jobs: Vec<JobRecord>,
    replications: u32,
    events: u64,
}

impl Seen {
    fn new(plan: &Plan) -> Self {
        Self {
            groups: vec![],
            latencies: vec![Histogram::default(); plan.streams.len()],
            quantiles: vec![],
            series: vec![vec![]; plan.sources.len()],
            jobs: vec![],
            replications: 0,
            events: 0,
        }
    }

    /// Keeps the number of groups small enough to look at them often.
    fn merge_groups(&mut self) {
        while self.groups.len() >= 2 * MOST_GROUPS {
            let pairs = std::mem::take(&mut self.groups);
            for (index, group) in pairs.into_iter().enumerate() {
                match self.groups.last_mut().filter(|_| index % 2 == 1) {
                    Some(last) => last.add(&group),
                    None => self.groups.push(group),
                }
            }
        }
    }

    /// Takes over what a replication that is over has seen.
    fn add(&mut self, plan: &Plan, engine: Engine<'_>) {
        self.groups.extend(engine.measured().cloned());
        self.quantiles.push(crate::summary::quantiles_of(plan, &engine.latencies));
        self.latencies.iter_mut().zip(&engine.latencies).for_each(|(all, one)| all.add(one));
        for (all, one) in self.series.iter_mut().zip(&engine.watch.series) {
            all.resize(all.len().max(one.len()), Interval::default());
            all.iter_mut().zip(one).for_each(|(sum, interval)| sum.add(interval));
        }
        self.events += engine.events;
        self.replications += 1;
        self.jobs.extend(engine.trace);
    }
}

impl<'a> Run<'a> {
    fn setup(&self, batch_len: u64, warmup: u64) -> Setup {
        let Effort { seed, series, trace, .. } = *self.effort;
        Setup { seed, batch_len, warmup, series, trace }
    }

    fn stationary(&mut self) -> Ended {
        let replications = self.effort.replications.map_or(REPLICATIONS, u32::from).min(MOST_REPLICATIONS);
        // Jobs of different batches should know little of each other.
        let independent = INDEPENDENT * crate::warmup::memory(self.network);
        // A run that ends when its intervals are narrow must know well how wide they are: twice as many.
        let wanted = if self.effort.precision.is_some() { 2 * BATCHES } else { BATCHES };
        let mut batches = BATCHES_EACH.max(wanted.div_ceil(replications));
        let fitting = |batches: u32| self.effort.arrivals.div_ceil(u64::from(replications) * u64::from(batches)).max(1);
        while batches > FEWEST_BATCHES_EACH && (fitting(batches) as f64) < independent {
            batches /= 2;
        }
        let fitting = fitting(batches);
        // Short batches at first, so that a run that is stopped has measured something: they double until they fit.
        let doublings = fitting.div_ceil(FIRST_BATCH).next_power_of_two();
        let batch_len = fitting.div_ceil(doublings);
        let longest = (fitting * u64::from(batches)).min(LONGEST_WARMUP) as f64;
        let warmup = crate::warmup::arrivals(self.network).max(SHORTEST_WARMUP).min(longest);
        let setup = self.setup(batch_len, warmup.ceil() as u64);
        let mut engines: Vec<Engine<'a>> =
            (0..replications).map(|number| Engine::new(self.network, self.plan, &setup, number)).collect();
        let mut groups = batches;
        let ended = loop {
            let group_len = engines[0].record.group_len();
            if !self.advance(&mut engines, groups * group_len) {
                break self.why_interrupted(&engines);
            }
            let measured: Vec<&Group> = engines.iter().flat_map(|engine| engine.measured()).collect();
            let imprecision = self.imprecision(&measured);
            let arrivals: u64 = measured.iter().map(|group| group.arrivals).sum();
            self.tell(arrivals, imprecision);
            if imprecision <= 1.0 && (u64::from(group_len) * batch_len) as f64 >= independent {
                break Ended::Precise;
            }
            let next = u64::from(replications) * u64::from(group_len) * batch_len;
            match self.effort.precision {
                None if arrivals >= self.effort.arrivals => break Ended::Complete,
                Some(_) if arrivals.saturating_add(next) > self.effort.arrivals => break Ended::Arrivals,
                _ => groups += 1,
            }
            if groups > 2 * batches {
                engines.iter_mut().for_each(|engine| engine.record.double());
                groups = batches + 1;
            }
        };
        engines.into_iter().for_each(|engine| self.seen.add(self.plan, engine));
        ended
    }

    fn transient(&mut self) -> Ended {
        let asked = self.effort.replications.map(|replications| u32::from(replications).min(MOST_REPLICATIONS));
        let mut wanted = asked.unwrap_or(TRANSIENT_REPLICATIONS);
        loop {
            if let Err(why) = self.replicate(wanted) {
                return why;
            }
            self.seen.merge_groups();
            let groups: Vec<&Group> = self.seen.groups.iter().collect();
            let imprecision = self.imprecision(&groups);
            let arrivals: u64 = groups.iter().map(|group| group.arrivals).sum();
            self.tell(arrivals, imprecision);
            if asked.is_some() {
                return Ended::Complete;
            }
            if imprecision <= 1.0 {
                return Ended::Precise;
            }
            let left = self.effort.arrivals.saturating_sub(arrivals);
            let more = left * u64::from(wanted) / arrivals.max(1);
            if more == 0 || wanted == MOST_REPLICATIONS {
                return if self.effort.precision.is_some() { Ended::Arrivals } else { Ended::Complete };
            }
            // Twice as many each time, so that looking at them costs little beside simulating them.
            wanted = wanted.saturating_add(more.min(u64::from(wanted)) as u32).min(MOST_REPLICATIONS);
        }
    }

    /// Simulates until there are so many replications, some of them at a time.
    fn replicate(&mut self, wanted: u32) -> Result<(), Ended> {
        let setup = self.setup(u64::MAX, 0);
        while self.seen.replications < wanted {
            let first = self.seen.replications;
            let mut engines: Vec<Engine<'a>> = (first..wanted.min(first + AT_A_TIME))
                .map(|number| Engine::new(self.network, self.plan, &setup, number))
                .collect();
            let whole = self.advance(&mut engines, 1);
            let why = self.why_interrupted(&engines);
            engines.into_iter().for_each(|engine| self.seen.add(self.plan, engine));
            if !whole {
                return Err(why);
            }
            // Short replications end before they look at limits.
            if self.effort.stop.is_some_and(|stop| stop()) {
                return Err(Ended::Stopped);
            }
            if self.seen.events >= self.events {
                return Err(Ended::Events);
            }
        }
        Ok(())
    }

    /// Runs all replications on until each has closed so many batches; `false` when one was interrupted. Each is run by one
    /// thread, and none looks at another, so the result does not depend on the number of threads.
    fn advance(&self, engines: &mut [Engine<'_>], batches: u32) -> bool {
        let threads = match self.effort.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let left = self.events.saturating_sub(self.seen.events);
        let events = (left / engines.len() as u64).max(1);
        let never = || false;
        let until = Until { batches, events, stop: self.effort.stop.unwrap_or(&never) };
        if threads.min(engines.len()) == 1 {
            // All of them, also after one was interrupted.
            return engines.iter_mut().filter_map(|engine| (!engine.run(until)).then_some(())).count() == 0;
        }
        let (queue, whole) = (Mutex::new(engines.iter_mut()), Mutex::new(true));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(engine) = next() {
                        if !engine.run(until) {
                            *whole.lock().unwrap_or_else(PoisonError::into_inner) = false;
                        }
                    }
                });
            }
        });
        whole.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_interrupted(&self, engines: &[Engine<'_>]) -> Ended {
        if engines.iter().any(Engine::is_unstable) {
            return Ended::Unstable;
        }
        let events: u64 = engines.iter().map(|engine| engine.events).sum::<u64>() + self.seen.events;
        if events >= self.events / 2 && self.effort.stop.is_none_or(|stop| !stop()) {
            Ended::Events
        } else {
            Ended::Stopped
        }
    }

    fn imprecision(&self, groups: &[&Group]) -> f64 {
        match &self.effort.precision {
            Some(precision) => Summary::new(self.network, self.plan, groups).imprecision(precision),
            None => f64::NAN,
        }
    }

    fn tell(&self, arrivals: u64, imprecision: f64) {
        if let Some(progress) = self.effort.progress {
            progress(Progress { arrivals, imprecision });
        }
    }

    fn report(self, ended: Ended) -> Report {
        let Self { network, plan, effort, mut seen, .. } = self;
        let groups: Vec<&Group> = seen.groups.iter().collect();
        let summary = Summary::new(network, plan, &groups);
        let (sources, chains) = summary.fates(&seen);
        let run = RunReport {
            seed: effort.seed,
            replications: seen.replications,
            batches: groups.len() as u32,
            arrivals: groups.iter().map(|group| group.arrivals).sum(),
            events: seen.events,
            seconds: groups.iter().map(|group| group.ticks).sum::<f64>() * plan.tick,
            ended,
            transient: plan.horizon.is_finite(),
        };
        let (devices, links) = (summary.devices(), summary.links());
        let replications = f64::from(seen.replications);
        seen.series.iter_mut().flatten().for_each(|interval| interval.scale(1.0 / replications));
        let series = effort.series.map(|interval| Series { interval, sources: std::mem::take(&mut seen.series) });
        Report { sources, chains, devices, links, run, series, jobs: seen.jobs }
    }
}

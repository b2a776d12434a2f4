//! Small networks in few words, and what became of their jobs.

use domain::Thresholds;
use domain::{
    Choice, Epoch, ExitTable, FragmentRange, Mixture, Policy, Probability, Seconds, ServiceTime, ServiceTimes,
};
use simulator::{
    Arrivals, Chain, Device, Discipline, Effort, Estimate, Failure, Fate, JobRecord, Law, Link, MakeScheduler, Model,
    Network, Outages, Overflow, Region, Report, Routing, Scheduling, Source, Step, Work, simulate,
};
use std::num::NonZeroU32;
use std::sync::Arc;

/// A budget that is never exhausted.
pub(crate) const PLENTY: u64 = 1 << 40;

pub(crate) fn device(cores: f64, discipline: Discipline) -> Device {
    Device { name: "device".to_owned(), cores, speed: 1.0, discipline, outages: Outages::Never }
}

/// One core, first come, first served.
pub(crate) fn core() -> Device {
    device(1.0, Discipline::Fcfs)
}

pub(crate) fn region(name: &str, budget: u64) -> Region {
    Region { name: name.to_owned(), budget }
}

/// A visit of one unit of memory.
pub(crate) fn step(device: usize, region: usize, seconds: f64) -> Step {
    Step {
        device,
        lane: 0,
        regions: vec![region],
        memory: 1,
        memory_after: 1,
        work: Work::Law(Law::Deterministic(seconds)),
        exit_probability: 0.0,
        link: None,
        transfer: 0,
    }
}

/// A visit during which an exit is evaluated, at which nobody leaves.
pub(crate) fn step_with_exit(device: usize, region: usize, seconds: f64) -> Step {
    Step { exit_probability: 1e-15, ..step(device, region, seconds) }
}

pub(crate) fn law_step(device: usize, region: usize, law: Law) -> Step {
    Step { work: Work::Law(law), ..step(device, region, 0.0) }
}

/// The visit, over a link.
pub(crate) fn over(link: usize, transfer: u64, step: Step) -> Step {
    Step { link: Some(link), transfer, ..step }
}

pub(crate) fn link(bytes_per_second: f64, latency: f64, return_latency: f64) -> Link {
    Link { name: "link".to_owned(), bytes_per_second, latency, return_latency }
}

pub(crate) fn chain(steps: Vec<Step>) -> Chain {
    Chain { name: "chain".to_owned(), priority: 0, overflow: Overflow::Drop, model: None, steps }
}

pub(crate) fn source(arrivals: Arrivals, routing: Routing) -> Source {
    Source { name: "source".to_owned(), arrivals, routing, deadline: None, retry: None }
}

pub(crate) fn trace(times: &[f64]) -> Arrivals {
    Arrivals::Trace(times.into())
}

/// Jobs at these times, all on one chain.
pub(crate) fn at(chain: usize, times: &[f64]) -> Source {
    source(trace(times), Routing::Mixture(vec![(chain, 1.0)]))
}

pub(crate) fn poisson(chain: usize, rate: f64) -> Source {
    source(Arrivals::Renewal(Law::Exponential { mean: 1.0 / rate }), Routing::Mixture(vec![(chain, 1.0)]))
}

pub(crate) fn every(chain: usize, seconds: f64) -> Source {
    source(Arrivals::Renewal(Law::Deterministic(seconds)), Routing::Mixture(vec![(chain, 1.0)]))
}

/// A run from empty to empty, once.
pub(crate) fn once() -> Effort<'static> {
    Effort { replications: NonZeroU32::new(1), trace: 1_000_000, threads: 1, ..Effort::arrivals(1, 10_000_000) }
}

pub(crate) fn run(network: &Network) -> Report {
    simulate(network, &once()).expect("the network is sound")
}

pub(crate) fn run_for(network: &Network, arrivals: u64) -> Report {
    simulate(network, &Effort::arrivals(1, arrivals)).expect("the network is sound")
}

/// All jobs in the order of their arrival, then of their source, then of their end.
pub(crate) fn jobs(network: &Network) -> Vec<JobRecord> {
    sorted(run(network).jobs)
}

pub(crate) fn sorted(mut jobs: Vec<JobRecord>) -> Vec<JobRecord> {
    jobs.sort_by(|a, b| {
        a.arrived.total_cmp(&b.arrived).then(a.source.cmp(&b.source)).then(a.ended.total_cmp(&b.ended))
    });
    jobs
}

/// Answered at an exit or behind a step; nothing is known about whether it is right.
pub(crate) fn ok(exit: usize) -> Fate {
    Fate::Answered { exit, on_overflow: false, correct: None }
}

pub(crate) fn overflowed(exit: usize) -> Fate {
    Fate::Answered { exit, on_overflow: true, correct: None }
}

pub(crate) fn lost(step: usize) -> Fate {
    Fate::Lost { step: Some(step) }
}

pub(crate) fn failed(why: Failure) -> Fate {
    Fate::Failed(why)
}

/// Rows of: source, arrived, ended, fate. In the order of arrival, then of source.
#[track_caller]
pub(crate) fn assert_jobs(network: &Network, rows: &[(usize, f64, f64, Fate)]) {
    let found = &jobs(network);
    let same = found.len() == rows.len()
        && found.iter().zip(rows).all(|(job, (source, arrived, ended, fate))| {
            job.source == *source && close(job.arrived, *arrived) && close(job.ended, *ended) && job.fate == *fate
        });
    let found = found.iter().map(|job| (job.source, job.arrived, job.ended, job.fate));
    let list = |rows: &mut dyn Iterator<Item = (usize, f64, f64, Fate)>| -> String {
        rows.map(|row| format!("  {row:?}\n")).collect()
    };
    assert!(same, "found\n{}wanted\n{}", list(&mut found.clone()), list(&mut rows.iter().copied()));
}

pub(crate) fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

#[track_caller]
pub(crate) fn assert_close(what: &str, found: f64, wanted: f64) {
    assert!(close(found, wanted), "{what}: {found}, by hand {wanted}");
}

/// Within the 99.9 % interval.
#[track_caller]
pub(crate) fn assert_within(what: &str, found: Estimate, wanted: f64) {
    assert!((found.value - wanted).abs() <= 1.3 * found.ci99 + 1e-9, "{what}: {found:?}, exact {wanted}");
}

/// A model of which a table knows, per sample and exit, the confidence and whether it is right. Times are in seconds.
pub(crate) fn model(exit_segments: &[usize], segments: &[f64], heads: &[f64], samples: &[&[(f32, bool)]]) -> Model {
    let time = |&seconds: &f64| ServiceTime { mean: Seconds::new(seconds).expect("it is a duration"), scv: 0.0 };
    let cells = || samples.iter().flat_map(|sample| sample.iter());
    let table = ExitTable::new(
        exit_segments.len(),
        cells().map(|cell| cell.0).collect(),
        cells().map(|cell| u16::from(cell.1)).collect(),
        vec![1; samples.len()],
    );
    Model {
        name: "model".to_owned(),
        exit_segments: exit_segments.to_vec(),
        times: ServiceTimes { segments: segments.iter().map(time).collect(), heads: heads.iter().map(time).collect() },
        varies: false,
        table: Arc::new(table.expect("it is a table")),
    }
}

/// A visit that runs segments of the model, both ends included.
pub(crate) fn segments(device: usize, region: usize, first: usize, last: usize) -> Step {
    Step { work: Work::Segments(FragmentRange { first, last }), ..step(device, region, 0.0) }
}

pub(crate) fn model_chain(steps: Vec<Step>) -> Chain {
    Chain { model: Some(0), ..chain(steps) }
}

pub(crate) fn thresholds(values: &[f32]) -> Thresholds {
    Thresholds::new(values).expect("they are thresholds")
}

/// A mixture of: probability, chain, thresholds.
pub(crate) fn policy(epoch: Epoch, choices: &[(f64, usize, &[f32])]) -> Policy {
    let choice = |&(share, chain, values): &(f64, usize, &[f32])| {
        Choice::new(Probability::new(share).expect("it is a probability"), chain, thresholds(values))
    };
    Policy {
        epoch,
        overflow: domain::Overflow::Drop,
        chains: vec![],
        default: Mixture::new(choices.iter().map(choice).collect(), "a test").expect("it sums to one"),
        sources: vec![],
        rates: None,
        learning: None,
        audit: Probability::new(0.0).expect("it is a probability"),
        deadline: None,
    }
}

pub(crate) fn scheduling<S: policy::Scheduler + Clone + Sync + 'static>(chains: &[usize], scheduler: S) -> Scheduling {
    let make: MakeScheduler = Arc::new(move |_| Box::new(scheduler.clone()));
    Scheduling { name: "service".to_owned(), chains: chains.to_vec(), gateway: None, turnaround: 0.0, make }
}

/// A policy, with fresh state in each replication.
pub(crate) fn keeping(chains: &[usize], policy: Policy) -> Scheduling {
    scheduling(chains, policy::Gatekeeper::new(policy, 0.0))
}

pub(crate) fn scheduled(arrivals: Arrivals) -> Source {
    source(arrivals, Routing::Scheduled(0))
}

//! The load of a plan as sources of the simulation.
//!
//! A Poisson stream that is split among sources is Poisson at each of them, and is drawn anew in every replication. All
//! other streams are replayed: their jobs come when `eenn up` sends them.

use crate::exit_code::{Failure, Outcome};
use crate::load::arrivals::{Spacing, expected_seconds, phase_seconds};
use crate::load::grammar::Phase;
use crate::load::plan::{Plan, ResolvedLoad, Source as Target, Times};
use crate::up;
use deployment::Deployment;
use domain::problem::Burstiness;
use simulator::{Arrivals, Law};
use std::sync::Arc;

/// More jobs of one stream would take gigabytes.
const MOST_REPLAYED: f64 = 1e7;

/// Arrivals at a source of the manifests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stream {
    /// Index of the source.
    pub(super) source: usize,
    /// Its name in results.
    pub(super) name: String,
    pub(super) arrivals: Arrivals,
}

/// What arrives where. Without load every source has its expected rate for ever.
pub(super) fn streams(deployment: &Deployment, load: Option<&Plan>) -> Outcome<Vec<Stream>> {
    let targets = up::sources(deployment);
    let mut streams = match load {
        None => expected(deployment),
        Some(load) => planned(load, &targets)?,
    };
    let names = names(&streams, &targets);
    streams.iter_mut().zip(names).for_each(|(stream, name)| stream.name = name);
    Ok(streams)
}

/// One that has no name yet.
fn stream(source: usize, arrivals: Arrivals) -> Stream {
    Stream { source, name: String::new(), arrivals }
}

fn expected(deployment: &Deployment) -> Vec<Stream> {
    let sources = deployment.services.iter().flat_map(|service| &service.resolved.sources);
    let arrivals = sources.map(|source| {
        let rate = source.expected_rate.get();
        match source.burstiness {
            Burstiness::Poisson => Arrivals::Renewal(Law::Exponential { mean: 1.0 / rate }),
            Burstiness::Phases { rates, switch } => Arrivals::Mmpp2 { rates: rates.map(|ratio| ratio * rate), switch },
        }
    });
    arrivals.enumerate().map(|(index, arrivals)| stream(index, arrivals)).collect()
}

fn planned(plan: &Plan, targets: &[Target]) -> Outcome<Vec<Stream>> {
    let loads = plan.loads.iter().enumerate();
    let streams = loads.map(|(index, load)| match &load.times {
        Times::Phases(phases) if plan.spacing == Spacing::Poisson => Ok(poisson(load, phases, targets)),
        _ => replayed(plan, index, targets),
    });
    Ok(streams.collect::<Outcome<Vec<_>>>()?.concat())
}

fn poisson(load: &ResolvedLoad, phases: &[Phase], targets: &[Target]) -> Vec<Stream> {
    let total: f64 = load.targets.iter().map(|&target| targets[target].expected_rate).sum();
    let of_target = |&source: &usize| {
        let share = targets[source].expected_rate / total;
        let pieces = phases.iter().map(|phase| (phase_seconds(phase), phase.rate * share)).collect();
        let gaps = Law::Exponential { mean: 1.0 };
        stream(source, Arrivals::Piecewise { gaps, pieces, repeat: false })
    };
    load.targets.iter().map(of_target).collect()
}

/// The very times of one load, as they reach each of its sources.
fn replayed(plan: &Plan, index: usize, targets: &[Target]) -> Outcome<Vec<Stream>> {
    let load = &plan.loads[index];
    if let Times::Phases(phases) = &load.times {
        check_length(phases)?;
    }
    let mut times: Vec<Vec<f64>> = vec![vec![]; targets.len()];
    for job in alone(plan, index).jobs(targets) {
        times[job.key.stream].push(job.at.as_secs_f64());
    }
    let streams = times.into_iter().enumerate().filter(|(_, times)| !times.is_empty());
    Ok(streams.map(|(source, times)| stream(source, Arrivals::Trace(Arc::from(times)))).collect())
}

/// The plan without the jobs of all other loads. They stay in it, because draws depend on the index of a load.
fn alone(plan: &Plan, index: usize) -> Plan {
    let mut alone = plan.clone();
    let others = alone.loads.iter_mut().enumerate().filter(|(other, _)| *other != index);
    others.for_each(|(_, load)| load.times = Times::Trace(vec![]));
    alone
}

fn check_length(phases: &[Phase]) -> Outcome {
    let jobs: f64 = phases.iter().map(|phase| phase.rate * phase_seconds(phase)).sum();
    if jobs <= MOST_REPLAYED {
        return Ok(());
    }
    let seconds = expected_seconds(phases);
    Err(Failure::input(format!(
        "{jobs:.0} jobs in {seconds} s are too many to simulate at their very times; space them as poisson, or shorten the load"
    )))
}

/// The source's name; with the service where another service has a source of that name, and numbered where several loads
/// name the source.
fn names(streams: &[Stream], targets: &[Target]) -> Vec<String> {
    let name = |(index, stream): (usize, &Stream)| {
        let ours = &targets[stream.source].stream;
        let shared = targets.iter().filter(|target| target.stream.source == ours.source).count() > 1;
        let full = if shared { format!("{}/{}", ours.service, ours.source) } else { ours.source.clone() };
        let same = |other: &&Stream| other.source == stream.source;
        match streams.iter().filter(same).count() {
            1 => full,
            _ => format!("{full}#{}", streams[..=index].iter().filter(same).count()),
        }
    };
    streams.iter().enumerate().map(name).collect()
}

//! Simulation as an opinion on a plan.
//!
//! # Problem
//! How the jobs of each service fare under a plan, replication by replication, so that two plans can be compared in pairs.
//!
//! # How
//! Each replication is a run of its own, from an empty network, with a seed that depends on the seed of the effort and its
//! number only: the same jobs arrive at the same times with the same samples whatever the plan (common random numbers).
//! Replications run in parallel, each on one thread; none looks at another, so threads do not change results.
//!
//! # Assumptions
//! The 95th percentile of a service with one source is that of its jobs. With several it is where the mixture of their
//! distributions reaches 95 %, each interpolated between its 50th, 95th and 99th percentile (straight lines between
//! logarithms of time and normal quantiles: exact for log-normal latencies). A run that turns out unstable, with jobs
//! piling up where nothing limits them, predicts NaN for all services.

use super::network;
use crate::{Effort, Ended, Fates, Report, SourceReport, simulate};
use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Problem, ServiceMetrics, Unsupported};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// Predicts by discrete-event simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Simulation {
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
}

const NAME: &str = "simulation";

impl Evaluator for Simulation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn evaluate(
        &self,
        problem: &Problem,
        plan: &Plan,
        effort: &EvaluationEffort<'_>,
    ) -> Result<Evaluation, Unsupported> {
        if problem.services.len() != plan.policies.len() {
            return Err(unsupported("a plan with another number of services".to_owned()));
        }
        let network = network(problem, plan);
        if network.sources.is_empty() {
            let replication = problem.services.iter().map(|service| idle(service.chains.len())).collect();
            return Ok(Evaluation { replications: vec![replication], is_sampled: false, ..zeros(problem) });
        }
        let reports = replicate(effort, self.threads, |effort| simulate(&network, effort));
        let mut evaluation = Evaluation { is_sampled: true, ..zeros(problem) };
        // Of a run that was stopped nothing counts from the first replication on that is not whole: pairs need numbers.
        for report in reports.into_iter().map_while(|report| report) {
            let report = report.map_err(|error| unsupported(error.to_string()))?;
            if report.run.ended == Ended::Stopped {
                break;
            }
            evaluation.replications.push(services(problem, &report));
            add(&mut evaluation.devices, report.devices.iter().map(|device| device.utilization.value));
            add(&mut evaluation.links, report.links.iter().map(|link| link.utilization.value));
        }
        let count = evaluation.replications.len().max(1) as f64;
        let Evaluation { devices, links, .. } = &mut evaluation;
        devices.iter_mut().chain(links).for_each(|sum| *sum /= count);
        Ok(evaluation)
    }
}

fn unsupported(what: String) -> Unsupported {
    Unsupported { evaluator: NAME, what }
}

fn zeros(problem: &Problem) -> Evaluation {
    let (devices, links) = (vec![0.0; problem.devices.len()], vec![0.0; problem.links.len()]);
    Evaluation { devices, links, ..Evaluation::default() }
}

fn add(sums: &mut [f64], values: impl Iterator<Item = f64>) {
    // A device that nobody visits has nothing to report.
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += if value.is_nan() { 0.0 } else { value });
}

/// Runs all replications; `None` for those that were not begun when it was stopped.
fn replicate<R: Send>(
    effort: &EvaluationEffort<'_>,
    threads: usize,
    run: impl Fn(&Effort<'_>) -> R + Sync,
) -> Vec<Option<R>> {
    let replications = effort.replications.get();
    let arrivals = effort.arrivals.div_ceil(u64::from(replications)).max(1);
    let stopped = || effort.stop.is_some_and(|stop| stop());
    let one = |number: u32| {
        let seed = effort.seed.wrapping_add(u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let alone = Some(NonZeroU32::MIN);
        run(&Effort { replications: alone, threads: 1, stop: effort.stop, ..Effort::arrivals(seed, arrivals) })
    };
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let mut found: Vec<Option<R>> = (0..replications).map(|_| None).collect();
    if threads.min(found.len()) == 1 {
        for (number, place) in found.iter_mut().enumerate().take_while(|_| !stopped()) {
            *place = Some(one(number as u32));
        }
        return found;
    }
    let queue = Mutex::new(found.iter_mut().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(replications as usize) {
            scope.spawn(|| {
                while let Some((number, place)) = next().filter(|_| !stopped()) {
                    *place = Some(one(number as u32));
                }
            });
        }
    });
    found
}

fn services(problem: &Problem, report: &Report) -> Vec<ServiceMetrics> {
    let rates: f64 = report.sources.iter().map(|source| source.fates.arrival_rate.value).sum();
    let per_rate = report.run.arrivals as f64 / rates;
    let (mut sources, mut chains) = (report.sources.iter(), report.chains.iter());
    let service = |service: &domain::problem::Service| {
        let arriving: Vec<bool> = service.sources.iter().map(|source| source.rate.get() > 0.0).collect();
        let ours: Vec<&SourceReport> = sources.by_ref().take(arriving.iter().filter(|&&is| is).count()).collect();
        let ways: Vec<Vec<f64>> = (service.gateways.iter())
            .map(|_| chains.by_ref().take(service.chains.len()).map(|chain| chain.fates.arrival_rate.value).collect())
            .collect();
        if ours.is_empty() {
            return idle(service.chains.len());
        }
        let mut metrics = pooled(&ours);
        metrics.jobs = metrics.arrival_rate * per_rate;
        metrics.chains = (0..service.chains.len())
            .map(|chain| ways.iter().map(|way| or_zero(way[chain])).sum::<f64>() / metrics.arrival_rate)
            .collect();
        let mut losses = ours.iter().map(|source| source.fates.loss.value);
        metrics.source_loss = arriving.iter().map(|&is| if is { losses.next().unwrap_or(0.0) } else { 0.0 }).collect();
        if report.run.ended == Ended::Unstable {
            let ServiceMetrics { loss, accuracy, mean_latency, p95_latency, .. } = &mut metrics;
            [loss, accuracy, mean_latency, p95_latency].into_iter().for_each(|value| *value = f64::NAN);
        }
        metrics
    };
    problem.services.iter().map(service).collect()
}

fn or_zero(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// Without arrivals nothing is lost, late or wrong.
fn idle(chains: usize) -> ServiceMetrics {
    ServiceMetrics { accuracy: 1.0, chains: vec![0.0; chains], ..ServiceMetrics::default() }
}

/// All sources of a service together.
fn pooled(sources: &[&SourceReport]) -> ServiceMetrics {
    let fates = || sources.iter().map(|source| &source.fates);
    let sum = |value: fn(&Fates) -> f64| fates().map(value).sum::<f64>();
    let arrivals = sum(|one| one.arrival_rate.value);
    // Of sources without answers nothing is known about answers.
    let answered = |value: &dyn Fn(&Fates) -> f64| {
        let known = || fates().filter(|one| one.throughput.value > 0.0);
        let total: f64 = known().map(|one| one.throughput.value).sum();
        known().map(|one| one.throughput.value * value(one)).sum::<f64>() / total
    };
    let of_arrivals =
        |value: fn(&Fates) -> f64| fates().map(|one| one.arrival_rate.value * value(one)).sum::<f64>() / arrivals;
    let exits = fates().map(|one| one.exits.len()).max().unwrap_or(0);
    ServiceMetrics {
        arrival_rate: arrivals,
        throughput: sum(|one| one.throughput.value),
        loss: of_arrivals(|one| one.loss.value),
        failure: of_arrivals(|one| one.failure.value),
        accuracy: answered(&|one| one.accuracy.value),
        mean_latency: answered(&|one| one.response.value),
        p95_latency: p95(sources),
        exits: (0..exits).map(|exit| answered(&|one| one.exits.get(exit).map_or(0.0, |share| share.value))).collect(),
        ..ServiceMetrics::default()
    }
}

/// Where the latencies of all sources together reach 95 %.
fn p95(sources: &[&SourceReport]) -> f64 {
    let known = || sources.iter().map(|source| &source.fates).filter(|one| one.throughput.value > 0.0);
    let ends = || known().map(|one| one.latency.p95.value);
    let (mut low, mut high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
    if known().count() < 2 || low >= high {
        return if known().count() == 0 { f64::NAN } else { high };
    }
    let total: f64 = known().map(|one| one.throughput.value).sum();
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        let below: f64 = known().map(|one| one.throughput.value * share_below(one, middle)).sum();
        *(if below < 0.95 * total { &mut low } else { &mut high }) = middle;
    }
    high
}

/// Share of latencies below a time, from three of their quantiles.
fn share_below(fates: &Fates, time: f64) -> f64 {
    let quantiles = &fates.latency;
    // Normal quantiles of 50, 95 and 99 %.
    let points = [(quantiles.p50.value, 0.0), (quantiles.p95.value, 1.644_854), (quantiles.p99.value, 2.326_348)];
    let [low, middle, high] = points.map(|(time, z)| (time.max(1e-12).ln(), z));
    let at = time.max(1e-12).ln();
    let (from, to) = if at < middle.0 { (low, middle) } else { (middle, high) };
    let z = if to.0 > from.0 {
        from.1 + (at - from.0) / (to.0 - from.0) * (to.1 - from.1)
    } else if at < to.0 {
        -9.0
    } else {
        9.0
    };
    normal_below(z)
}

/// Standard normal distribution function.
fn normal_below(z: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(-z / std::f64::consts::SQRT_2)
}

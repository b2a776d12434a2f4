//! Predictions of what a plan will do, and who makes them.

use crate::Problem;
use crate::plan::Plan;
use std::fmt;
use std::num::NonZeroU32;

/// Predicts what a plan will do. Two evaluators are two independent opinions.
pub trait Evaluator: Sync {
    /// Its name in tables and documents, such as `simulation`.
    fn name(&self) -> &'static str;

    /// Predicts for a problem that has passed [`Problem::check`] and a plan that fits it.
    ///
    /// # Errors
    /// What in the plan it cannot predict.
    fn evaluate(
        &self,
        problem: &Problem,
        plan: &Plan,
        effort: &EvaluationEffort<'_>,
    ) -> Result<Evaluation, Unsupported>;
}

/// How much work an evaluation may take. Formulas do not look at it.
///
/// The same seed and replication give the same arrivals and samples whatever the plan, so that plans can be compared in
/// pairs.
#[derive(Clone, Copy)]
pub struct EvaluationEffort<'a> {
    /// Seed of everything random.
    pub seed: u64,
    /// Independent replications.
    pub replications: NonZeroU32,
    /// Measured arrivals of all sources and replications together.
    pub arrivals: u64,
    /// Says whether to stop; what was measured until then is returned.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl fmt::Debug for EvaluationEffort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, replications, arrivals, .. } = self;
        write!(f, "EvaluationEffort {{ seed: {seed}, replications: {replications}, arrivals: {arrivals} }}")
    }
}

/// What an evaluator predicts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// Per replication, per service; formulas have one replication. At least one, unless it was stopped before.
    pub replications: Vec<Vec<ServiceMetrics>>,
    /// Per device: busy cores ÷ cores.
    pub devices: Vec<f64>,
    /// Per link: share of time it transmits.
    pub links: Vec<f64>,
    /// Whether p95 latencies are a fit to mean and variance rather than measured.
    pub p95_is_fitted: bool,
    /// Whether numbers come from a sample and so have an uncertainty.
    pub is_sampled: bool,
}

/// How the jobs of a service fare.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceMetrics {
    /// Jobs that were measured; 0 for formulas.
    pub jobs: f64,
    /// Jobs per second that arrive.
    pub arrival_rate: f64,
    /// Jobs per second that are answered.
    pub throughput: f64,
    /// Share of arrivals lost: no memory.
    pub loss: f64,
    /// Share of arrivals that end otherwise without an answer.
    pub failure: f64,
    /// Share of answers that are right.
    pub accuracy: f64,
    /// Mean time from arrival to answer, over answered jobs, in seconds.
    pub mean_latency: f64,
    /// 95th percentile of it.
    pub p95_latency: f64,
    /// Per exit the share of answers given there.
    pub exits: Vec<f64>,
    /// Per chain the share of jobs sent there.
    pub chains: Vec<f64>,
    /// Per source its loss.
    pub source_loss: Vec<f64>,
}

/// What an evaluator cannot predict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{evaluator} cannot predict {what}")]
pub struct Unsupported {
    /// Its name.
    pub evaluator: &'static str,
    /// What, such as `thresholds that depend on jobs present`.
    pub what: String,
}

impl Evaluation {
    /// The metrics of a service over all replications, each weighed by its jobs (all alike for formulas).
    pub fn service(&self, service: usize) -> ServiceMetrics {
        let mut mean = ServiceMetrics::default();
        let all = || self.replications.iter().map(|services| &services[service]);
        let total: f64 = all().map(weight).sum();
        for one in all() {
            mean.add(one, weight(one) / total);
            mean.jobs += one.jobs;
        }
        mean
    }

    /// Number of services; 0 where nothing was measured.
    pub fn services(&self) -> usize {
        self.replications.first().map_or(0, Vec::len)
    }
}

fn weight(metrics: &ServiceMetrics) -> f64 {
    if metrics.jobs > 0.0 { metrics.jobs } else { 1.0 }
}

impl ServiceMetrics {
    /// Share of arrivals without an answer, whatever the reason: what a limit of loss is held against. A plan that lets jobs
    /// wait until their deadline has passed is no better than one that loses them.
    pub fn unanswered(&self) -> f64 {
        self.loss + self.failure
    }

    fn add(&mut self, other: &Self, share: f64) {
        let pairs = [
            (&mut self.arrival_rate, other.arrival_rate),
            (&mut self.throughput, other.throughput),
            (&mut self.loss, other.loss),
            (&mut self.failure, other.failure),
            (&mut self.accuracy, other.accuracy),
            (&mut self.mean_latency, other.mean_latency),
            (&mut self.p95_latency, other.p95_latency),
        ];
        pairs.into_iter().for_each(|(sum, value)| *sum += share * value);
        let lists = [
            (&mut self.exits, &other.exits),
            (&mut self.chains, &other.chains),
            (&mut self.source_loss, &other.source_loss),
        ];
        for (sums, values) in lists {
            sums.resize(values.len().max(sums.len()), 0.0);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
        }
    }
}

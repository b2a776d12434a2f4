//! Plans and simulates one contender on one problem.

use crate::contenders::Contender;
use domain::{Plan, Policy, Problem};
use planner::Scheduler;
use simulator::{Effort, Network, Report};
use std::time::Instant;

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) seed: u64,
    pub(crate) arrivals: u64,
    /// Evaluations that a joint plan may take.
    pub(crate) evaluations: u64,
}

/// What a plan does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metrics {
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
    /// Seconds.
    pub(crate) mean_latency: f64,
    /// Seconds.
    pub(crate) p95_latency: f64,
}

impl Metrics {
    /// Share of arrivals that get the right answer: what is lost is wrong.
    pub(crate) fn right(&self) -> f64 {
        self.accuracy * (1.0 - self.loss)
    }

    pub(crate) fn of(report: &Report) -> Self {
        let fates = &report.sources[0].fates;
        Self {
            loss: fates.loss.value,
            accuracy: fates.accuracy.value,
            mean_latency: fates.response.value,
            p95_latency: fates.latency.p95.value,
        }
    }
}

/// A policy, made of samples that do not score it, and the seconds it took to find.
pub(crate) fn plan(contender: &Contender, problem: &Problem, size: Size) -> anyhow::Result<(Policy, f64)> {
    let problem = crate::joint::unscored(problem);
    let begin = Instant::now();
    let policy = match &contender.scheduler {
        Scheduler::Auto => crate::joint::plan_with_table(&problem, size),
        scheduler => planner::schedule(scheduler, &problem, 0)?,
    };
    Ok((policy, begin.elapsed().as_secs_f64()))
}

/// The network of a policy; contenders that track confidence bring a scheduler of their own.
pub(crate) fn network(contender: &Contender, problem: &Problem, policy: Policy) -> Network {
    let mut network = simulator::problem::network(problem, &Plan { policies: vec![policy] });
    crate::joint::track(contender, problem, &mut network);
    network
}

pub(crate) fn simulate(network: &Network, size: Size) -> anyhow::Result<Metrics> {
    Ok(Metrics::of(&simulator::simulate(network, &Effort::arrivals(size.seed, size.arrivals))?))
}

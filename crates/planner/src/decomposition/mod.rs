//! Predicts what a plan does by formulas: every fragment and link a queue of its own, in microseconds.
//!
//! # Problem
//! Throughput, loss, latency, exits and accuracy of each service under a plan, for a search that tries tens of
//! thousands of plans.
//!
//! # How
//! * Exits: the exact behaviour of thresholds on the samples that choose them ([`domain::ExitEvaluator`]). A chain of a
//!   source becomes a flow whose jobs leave behind each fragment with the share of samples that do; the service of a
//!   fragment is the mixture over what runs there (segments until the exit, open heads), with the first two moments.
//! * Queues: [`queueing::decomposition`] for lanes (fragments) and links; latencies of links are added.
//! * Capacity, by a fixed point: a lane holds as many jobs as fit into its budget, less the bytes that jobs hold on
//!   their way here (from the start of their transmission) and from here (until the next fragment has them). A budget
//!   of the device is what its other fragments leave of it, at their mean.
//! * Cores: a busy lane gets the mean of what water-filling gives it while its neighbours are busy with their shares of
//!   time, independently of each other and of it; services are longer by that factor, and vary by what the cores vary.
//!   Several workers are several cores.
//! * Links that are busy for less than a fifth of the time delay jobs by the mean wait of M/D/1 instead of being
//!   queues.
//! * Bursts: c² of arrivals is the index of dispersion of counts over the time in which the fullest station of the
//!   chain could serve all it holds.
//! * p95: the log-normal distribution with the mean and variance of the latency over all flows, hops and waits; a wait
//!   is taken as exponential for those who wait.
//!
//! # Assumptions
//! Those of [`queueing::decomposition`]. Deadlines count what the fitted latency says of answers that come too late,
//! and do not take load off devices. A rate table is looked up at the rates of the problem. Exits of answers given for
//! lack of memory are not told apart.
//!
//! # Accuracy
//! A fragment that has its device for itself, on Poisson arrivals: exact but for the log-normal fit. Fragments that
//! share cores, 100 generated systems at loads of 0.5 to 1.4, against simulation: loss within 0.9 points in the mean
//! and 6 at worst, mean latency within 20 %, p95 within 32 %. Bursts longer than a queue needs to fill: 9 % of loss
//! instead of 16 % in the one case tried.
//!
//! # Cost
//! One to four solutions of the network; the plan's exits are evaluated once per threshold vector. From the plan to the
//! evaluation 80 µs for 5 devices, 2 services, 3 chains and 6 exits, 0.4 ms for 40 devices and 20 services.
//!
//! # Reference
//! Chains of early exits as flows that thin out, and capacities from bytes by a fixed point, are those of CEED (Chen,
//! Niu, Roveri, Casale, INFOCOM 2025) as far as is known; we use formulas where it uses a surrogate network.

mod arm;
mod layout;
mod metrics;
mod sharing;
mod solve;

pub(crate) use arm::Arm;
pub(crate) use layout::{Flow, Layout};
pub(crate) use metrics::{evaluation, latency_p95, sum};
pub(crate) use solve::Solver;

use domain::problem::Service;
use domain::{
    Evaluation, EvaluationEffort, Evaluator, Measured, Mixture, Plan, Policy, Probability, Problem, Thresholds,
    Unsupported,
};

/// Predicts by formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decomposition {
    /// Whether exits behave as on the samples that judge, instead of those that choose thresholds.
    pub judges: bool,
}

/// What gateways hold for a job beside its sample, in bytes.
const JOB_STATE: u64 = 4 * 1024;

const NAME: &str = "decomposition";

impl Evaluator for Decomposition {
    fn name(&self) -> &'static str {
        NAME
    }

    fn evaluate(&self, problem: &Problem, plan: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        let layout = Layout::new(problem);
        let mut loads = Loads::new(&layout);
        if plan.policies.len() != problem.services.len() {
            return Err(unsupported("a plan with another number of services"));
        }
        for (service, policy) in plan.policies.iter().enumerate() {
            supports(policy).map_err(unsupported)?;
            loads.add_policy(&layout, service, policy, self.judges);
        }
        let mut solver = Solver::default();
        solver.solve(&layout, &loads.numbers, &loads.waiting);
        Ok(evaluation(&layout, &solver, &loads.numbers, plan))
    }
}

fn unsupported(what: &str) -> Unsupported {
    Unsupported { evaluator: NAME, what: what.to_owned() }
}

/// What in a policy formulas cannot predict.
fn supports(policy: &Policy) -> Result<(), &'static str> {
    let rows = policy.rates.iter().flat_map(|table| &table.rows);
    let sources = policy.sources.iter().chain(rows.clone().flat_map(|row| &row.sources)).map(|(_, mixture)| mixture);
    let mixtures = std::iter::once(&policy.default).chain(sources).chain(rows.map(|row| &row.default));
    if mixtures.into_iter().flat_map(Mixture::choices).any(|choice| !choice.by_present.is_empty()) {
        return Err("thresholds that depend on jobs present");
    }
    if policy.learning.is_some() {
        return Err("thresholds that gateways find by themselves");
    }
    match policy.rates.as_ref().map(|table| table.measured) {
        Some(Measured::Phases { .. } | Measured::Belief { .. }) => Err("a rate table over phases"),
        _ => Ok(()),
    }
}

/// Loads of all flows under a plan.
#[derive(Debug, Clone)]
pub(crate) struct Loads {
    pub(crate) numbers: Vec<f64>,
    pub(crate) waiting: Vec<f64>,
}

impl Loads {
    pub(crate) fn new(layout: &Layout<'_>) -> Self {
        Self { numbers: vec![0.0; layout.size], waiting: vec![0.0; layout.lanes.len()] }
    }

    /// Adds the jobs of a service under a policy. What formulas cannot predict is taken as near as they come:
    /// thresholds that depend on jobs present all alike, learners as the thresholds of their choices.
    pub(crate) fn add_policy(&mut self, layout: &Layout<'_>, service: usize, policy: &Policy, judges: bool) {
        let of = &layout.problem.services[service];
        let first = layout.sources.iter().position(|source| source.service == service);
        let mut made: Vec<Arm> = vec![];
        for (index, source) in of.sources.iter().enumerate() {
            let flows = first.map_or(0..0, |first| layout.flows_of(first + index));
            for choice in mixture_at(policy, of, &source.name).choices() {
                let Some(flow) = layout.flows.get(flows.start + choice.chain) else { continue };
                let always = [(Probability::new(1.0).expect("1 is a probability"), &choice.thresholds)];
                let lotteries = choice.by_present.iter().flat_map(|lottery| lottery.draws());
                let mut draws: Vec<(f64, &Thresholds)> =
                    lotteries.map(|(share, thresholds)| (share.get(), thresholds)).collect();
                let entries = choice.by_present.len().max(1) as f64;
                if draws.is_empty() {
                    draws.extend(always.map(|(share, thresholds)| (share.get(), thresholds)));
                }
                for (share, thresholds) in draws {
                    let known = made.iter().position(|arm| arm.thresholds == *thresholds);
                    let arm = known.unwrap_or_else(|| {
                        made.push(Arm::new(&of.model, thresholds.clone(), of.overflow, judges));
                        made.len() - 1
                    });
                    layout.add(flow, &made[arm], choice.probability.get() * share / entries, &mut self.numbers);
                }
            }
        }
        if policy.epoch == domain::Epoch::Dispatch {
            self.wait_at_gateways(layout, of);
        }
    }

    /// Jobs whose thresholds are fixed when they are sent wait at their gateway, not at the first fragment.
    fn wait_at_gateways(&mut self, layout: &Layout<'_>, service: &Service) {
        let held = (service.model.tensor_bytes[0] + JOB_STATE) as f64;
        let places: f64 = service.gateways.iter().map(|gateway| (gateway.memory_budget.0 as f64 / held).floor()).sum();
        let mut firsts: Vec<usize> = service
            .chains
            .iter()
            .map(|chain| layout.first_lane[chain.hops[0].device] + chain.hops[0].fragment)
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        let each = places / firsts.len() as f64;
        firsts.into_iter().for_each(|lane| self.waiting[lane] += each);
    }
}

/// The mixture of a source at the rates of the problem.
pub(crate) fn mixture_at<'a>(policy: &'a Policy, service: &Service, source: &str) -> &'a Mixture {
    let Some(table) = &policy.rates else { return policy.mixture(source) };
    let rate: f64 = service.sources.iter().map(|source| source.rate.get()).sum();
    let ratio = rate / table.forecast.get();
    let row = table.rows.iter().find(|row| ratio <= row.up_to * (1.0 + 1e-9)).or(table.rows.last());
    row.map_or_else(|| policy.mixture(source), |row| row.mixture(source))
}

//! What limits a service: which device or link, and what relief would bring.
//!
//! The plan stays as it is; every device and link that a service uses is made a quarter faster, or a fragment's memory
//! a quarter larger, and the decomposition says what becomes of loss and latency; of plans that it cannot predict (tables
//! over jobs present) another evaluator does.

use crate::Decomposition;
use crate::decomposition::{Layout, Loads, Solver};
use domain::{Bytes, Evaluation, EvaluationEffort, Evaluator, Plan, Problem, ServiceMetrics};
use std::num::NonZeroU32;

/// How much more is asked about.
const MORE: f64 = 1.25;
/// How long an evaluator looks that samples, on the same random numbers each time.
const LOOK: EvaluationEffort<'static> =
    EvaluationEffort { seed: 0x4C1A_17ED, replications: NonZeroU32::new(4).unwrap(), arrivals: 40_000, stop: None };

/// What limits a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Index of the service.
    pub service: usize,
    /// What would have to be more.
    pub by: Limiting,
    /// Name of the device or link.
    pub place: String,
    /// Share of time it is busy, by the evaluation given.
    pub utilization: f64,
    /// Share of the service's arrivals lost there, by formulas; 0 where they cannot tell.
    pub lost_here: f64,
    /// Share of jobs without an answer (lost, or too late to begin) and 95th percentile of latency in seconds as it is, by whoever can
    /// predict the plan.
    pub now: (f64, f64),
    /// The same with a quarter more.
    pub relieved: (f64, f64),
}

/// What a service would need more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limiting {
    /// Speed of a device.
    Speed,
    /// Memory of its fragments and gateways on a device.
    Memory,
    /// Bandwidth of a link.
    Bandwidth,
}

/// What limits each service, the most limiting first; services that nothing limits are left out. `other` is asked where formulas
/// can say nothing of the plan; empty where it cannot either.
pub fn explain(problem: &Problem, plan: &Plan, evaluation: &Evaluation, other: &dyn Evaluator) -> Vec<Limit> {
    let formulas = Decomposition { judges: true };
    let (by_formulas, by_other) = (predict(&formulas, problem, plan), || predict(other, problem, plan));
    let (evaluator, lost): (&dyn Evaluator, _) = match by_formulas {
        Some(_) => (&formulas, Some(lost(problem, plan))),
        None => (other, None),
    };
    let Some(now) = by_formulas.or_else(by_other) else { return vec![] };
    let mut limits = vec![];
    for (by, index, relieved) in reliefs(problem) {
        let Some(then) = predict(evaluator, &relieved, plan) else { continue };
        for (service, of) in problem.services.iter().enumerate() {
            if !uses(problem, service, by, index) {
                continue;
            }
            let (place, busy) = match by {
                Limiting::Bandwidth => (problem.links[index].name.clone(), evaluation.links.get(index)),
                _ => (problem.devices[index].name.clone(), evaluation.devices.get(index)),
            };
            let rate: f64 = of.sources.iter().map(|source| source.rate.get()).sum();
            let lost_here = match &lost {
                Some(lost) if by != Limiting::Bandwidth => lost[index][service] / rate,
                _ => 0.0,
            };
            limits.push(Limit {
                service,
                by,
                place,
                utilization: busy.copied().unwrap_or(f64::NAN),
                lost_here,
                now: (now[service].unanswered(), now[service].p95_latency),
                relieved: (then[service].unanswered(), then[service].p95_latency),
            });
        }
    }
    limits.retain(|limit| limit.gain() > 0.01);
    limits.sort_by(|one, other| one.service.cmp(&other.service).then(other.gain().total_cmp(&one.gain())));
    limits
}

impl Limit {
    /// How much of loss (counted in units of 1 %, where less is lost) or of latency relief would take away; 0 for
    /// nothing.
    pub fn gain(&self) -> f64 {
        let loss = (self.now.0 - self.relieved.0) / self.now.0.max(0.01);
        let latency = (self.now.1 - self.relieved.1) / self.now.1;
        let gain = loss.max(latency);
        if gain.is_nan() { 0.0 } else { gain }
    }

    /// In a sentence.
    pub fn in_words(&self, problem: &Problem) -> String {
        let service = &problem.services[self.service].name;
        let what = match self.by {
            Limiting::Speed => "the speed of",
            Limiting::Memory => "the memory of",
            Limiting::Bandwidth => "the bandwidth of",
        };
        let lost = if self.lost_here > 5e-4 {
            format!(" and loses {:.2} % of its jobs there", 100.0 * self.lost_here)
        } else {
            String::new()
        };
        format!(
            "{service} is limited by {what} {}, which is busy {:.0} % of the time{lost}; a quarter more would bring its loss \
             from {:.2} % to {:.2} % and p95 from {:.1} ms to {:.1} ms",
            self.place,
            100.0 * self.utilization,
            100.0 * self.now.0,
            100.0 * self.relieved.0,
            1e3 * self.now.1,
            1e3 * self.relieved.1,
        )
    }
}

fn predict(evaluator: &dyn Evaluator, problem: &Problem, plan: &Plan) -> Option<Vec<ServiceMetrics>> {
    let found = evaluator.evaluate(problem, plan, &LOOK).ok()?;
    Some((0..problem.services.len()).map(|service| found.service(service)).collect())
}

/// Per device, per service the jobs lost there per second.
fn lost(problem: &Problem, plan: &Plan) -> Vec<Vec<f64>> {
    let layout = Layout::new(problem);
    let (mut loads, mut solver) = (Loads::new(&layout), Solver::default());
    for (service, policy) in plan.policies.iter().enumerate() {
        loads.add_policy(&layout, service, policy, true);
    }
    solver.solve(&layout, &loads.numbers, &loads.waiting);
    let mut lost = vec![vec![0.0; problem.services.len()]; problem.devices.len()];
    let fragments = problem.devices.iter().enumerate();
    let places = fragments.flat_map(|(device, of)| of.fragments.iter().map(move |fragment| (device, fragment.service)));
    for ((device, service), state) in places.zip(&solver.lanes) {
        lost[device][service] += state.lost;
    }
    lost
}

/// Problems with a quarter more of one thing.
fn reliefs(problem: &Problem) -> Vec<(Limiting, usize, Problem)> {
    let mut all = vec![];
    let more = |bytes: Bytes| Bytes((bytes.0 as f64 * MORE) as u64);
    for device in 0..problem.devices.len() {
        let mut faster = problem.clone();
        faster.devices[device].speed *= MORE;
        all.push((Limiting::Speed, device, faster));
        let mut larger = problem.clone();
        let place = &mut larger.devices[device];
        place.memory_budget = place.memory_budget.map(more);
        place.fragments.iter_mut().for_each(|fragment| fragment.memory_budget = more(fragment.memory_budget));
        let name = &problem.devices[device].name;
        let gateways = larger.services.iter_mut().flat_map(|service| &mut service.gateways);
        gateways
            .filter(|gateway| gateway.device == *name)
            .for_each(|gateway| gateway.memory_budget = more(gateway.memory_budget));
        all.push((Limiting::Memory, device, larger));
    }
    for link in (0..problem.links.len()).filter(|&link| problem.links[link].link.bytes_per_second.is_finite()) {
        let mut wider = problem.clone();
        wider.links[link].link.bytes_per_second *= MORE;
        all.push((Limiting::Bandwidth, link, wider));
    }
    all
}

fn uses(problem: &Problem, service: usize, by: Limiting, index: usize) -> bool {
    let of = &problem.services[service];
    let mut hops = of.chains.iter().flat_map(|chain| &chain.hops);
    match by {
        Limiting::Bandwidth => {
            hops.any(|hop| hop.link == Some(index))
                || of.gateways.iter().any(|gateway| gateway.links.contains(&Some(index)))
        }
        // Jobs that wait at a gateway do so on its device, whether or not that has a fragment.
        Limiting::Memory if of.gateways.iter().any(|gateway| gateway.device == problem.devices[index].name) => true,
        _ => hops.any(|hop| hop.device == index),
    }
}

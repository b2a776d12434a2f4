//! A plan while it is searched: per source a mixture of threshold vectors on chains.

use super::pricing::Pricer;
use crate::decomposition::{Arm, Layout};
use domain::problem::Service;
use domain::{Chain, Choice, Epoch, Mixture, Plan, Policy, Probability, Thresholds};
use std::sync::Arc;

/// Choices with less weight than this are left out.
pub(crate) const LEAST_WEIGHT: f64 = 2e-3;

/// A threshold vector on a chain with its weight.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) flow: usize,
    pub(crate) arm: Arc<Arm>,
    /// What all jobs of the source would bring, see [`Layout::block`].
    pub(crate) block: Arc<Vec<f64>>,
    pub(crate) weight: f64,
}

/// Per source its columns; none for sources of services that are not planned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidate {
    pub(crate) sources: Vec<Vec<Column>>,
}

/// What candidates are made with.
pub(crate) struct Workshop<'p> {
    pub(crate) layout: &'p Layout<'p>,
    /// Per service.
    pub(crate) pricers: Vec<Arc<Pricer>>,
    /// Loads of services that keep their policies.
    pub(crate) fixed_loads: Vec<f64>,
    pub(crate) fixed: Vec<Option<Policy>>,
}

impl<'p> Workshop<'p> {
    pub(crate) fn is_planned(&self, source: usize) -> bool {
        let place = &self.layout.sources[source];
        self.fixed[place.service].is_none()
    }

    pub(crate) fn column(&self, flow: usize, thresholds: Thresholds, weight: f64) -> Column {
        let service = &self.layout.problem.services[self.layout.flows[flow].service];
        let arm = Arc::new(Arm::new(&service.model, thresholds, service.overflow, false));
        self.with_arm(flow, arm, weight)
    }

    pub(crate) fn with_arm(&self, flow: usize, arm: Arc<Arm>, weight: f64) -> Column {
        let block = Arc::new(self.layout.block(&self.layout.flows[flow], &arm));
        Column { flow, arm, block, weight }
    }

    pub(crate) fn loads(&self, candidate: &Candidate) -> Vec<f64> {
        let mut loads = self.fixed_loads.clone();
        for column in candidate.sources.iter().flatten() {
            self.add(column, column.weight, &mut loads);
        }
        loads
    }

    pub(crate) fn add(&self, column: &Column, weight: f64, loads: &mut [f64]) {
        let places = &mut loads[self.layout.flows[column.flow].at..][..column.block.len()];
        places.iter_mut().zip(column.block.iter()).for_each(|(place, number)| *place += weight * number);
    }

    /// The candidate that does what a plan does, for the services that are planned.
    pub(crate) fn read(&self, plan: &Plan) -> Candidate {
        let of = |source: usize| {
            if !self.is_planned(source) {
                return vec![];
            }
            let place = &self.layout.sources[source];
            let service = &self.layout.problem.services[place.service];
            let first = self.layout.sources.iter().position(|other| other.service == place.service).unwrap_or(source);
            let name = &service.sources[source - first].name;
            let choices = crate::decomposition::mixture_at(&plan.policies[place.service], service, name).choices();
            let column = |choice: &Choice| {
                self.column(place.first_flow + choice.chain, choice.thresholds.clone(), choice.probability.get())
            };
            choices.iter().filter(|choice| choice.probability.get() > 0.0).map(column).collect()
        };
        Candidate { sources: (0..self.layout.sources.len()).map(of).collect() }
    }

    /// The plan that does what a candidate says.
    pub(crate) fn plan(&self, candidate: &Candidate) -> Plan {
        let policy = |(index, service): (usize, &Service)| match &self.fixed[index] {
            Some(policy) => policy.clone(),
            None => self.policy(candidate, index, service),
        };
        Plan { policies: self.layout.problem.services.iter().enumerate().map(policy).collect() }
    }

    fn policy(&self, candidate: &Candidate, index: usize, service: &Service) -> Policy {
        let places = self.layout.sources.iter().enumerate().filter(|(_, place)| place.service == index);
        let mixtures: Vec<Mixture> =
            places.map(|(source, place)| mixture(&candidate.sources[source], place.first_flow)).collect();
        let first = mixtures[0].clone();
        let others = service.sources.iter().zip(mixtures).skip(1);
        Policy {
            epoch: Epoch::Arrival,
            overflow: service.overflow,
            chains: chains(self.layout.problem, service),
            sources: others
                .filter(|(_, mixture)| *mixture != first)
                .map(|(source, mixture)| (source.name.clone(), mixture))
                .collect(),
            default: first,
            rates: None,
            learning: None,
            audit: service.audit,
            deadline: service.deadline,
        }
    }
}

/// Chains of a service as policies name them.
pub(crate) fn chains(problem: &domain::Problem, service: &Service) -> Vec<Chain> {
    let chain = |chain: &domain::problem::Chain| Chain {
        name: chain.name.clone(),
        fragments: chain.hops.iter().map(|&hop| problem.fragment(hop).range).collect(),
    };
    service.chains.iter().map(chain).collect()
}

fn mixture(columns: &[Column], first_flow: usize) -> Mixture {
    let total: f64 = columns.iter().map(|column| column.weight).sum();
    let mut choices: Vec<Choice> = vec![];
    for column in columns {
        let share = (column.weight / total).clamp(0.0, 1.0);
        let chain = column.flow - first_flow;
        let same = choices.iter_mut().find(|one| one.chain == chain && one.thresholds == column.arm.thresholds);
        match same {
            Some(same) => same.probability = chance(same.probability.get() + share),
            None => choices.push(Choice::new(chance(share), chain, column.arm.thresholds.clone())),
        }
    }
    choices.sort_by(|one, other| {
        one.chain.cmp(&other.chain).then(other.probability.get().total_cmp(&one.probability.get()))
    });
    Mixture::new(choices, "a source").expect("weights are divided by their sum")
}

fn chance(value: f64) -> Probability {
    Probability::new(value.clamp(0.0, 1.0)).expect("it is clamped")
}

impl Candidate {
    /// Leaves out columns that hardly count.
    pub(crate) fn prune(&mut self) {
        for columns in &mut self.sources {
            let heaviest = columns.iter().map(|column| column.weight).fold(0.0, f64::max);
            columns.retain(|column| column.weight >= LEAST_WEIGHT.min(heaviest));
            let total: f64 = columns.iter().map(|column| column.weight).sum();
            columns.iter_mut().for_each(|column| column.weight /= total);
        }
    }
}

/// Exit-last on all chains of a service alike.
pub(crate) fn plain(problem: &domain::Problem, service: usize) -> Policy {
    let service = &problem.services[service];
    let share = chance(1.0 / service.chains.len() as f64);
    let thresholds = Thresholds::exit_last(service.model.exits());
    let choices = (0..service.chains.len()).map(|chain| Choice::new(share, chain, thresholds.clone()));
    Policy {
        epoch: Epoch::Arrival,
        overflow: service.overflow,
        chains: chains(problem, service),
        default: Mixture::new(choices.collect(), "all chains").expect("equal shares sum to one"),
        sources: vec![],
        rates: None,
        learning: None,
        audit: service.audit,
        deadline: service.deadline,
    }
}

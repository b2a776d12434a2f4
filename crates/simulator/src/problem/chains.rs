//! At every gateway of a service its chains, who decides between them, and the memory of the gateway.

use super::network::Places;
use super::{JOB_STATE, scheduler};
use crate::{Chain, Overflow, Region, Scheduling, Step, Work};
use domain::problem::{self, Gateway, Service};
use domain::{PerSecond, Plan, Policy, Problem};
use std::sync::Arc;

/// What gateways bring into a network.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) chains: Vec<Chain>,
    pub(super) schedulers: Vec<Scheduling>,
    /// Of gateways; they come behind those of fragments.
    pub(super) regions: Vec<Region>,
    /// Per service, per gateway: its scheduler.
    pub(super) scheduler_of: Vec<Vec<usize>>,
}

pub(super) fn of(problem: &Problem, plan: &Plan, places: &Places, model_of: &[usize]) -> Ways {
    let mut ways = Ways::default();
    for (index, (service, policy)) in problem.services.iter().zip(&plan.policies).enumerate() {
        let first = ways.schedulers.len();
        for gateway in &service.gateways {
            ways.add(&Parts { problem, places, service, policy, gateway, model: model_of[index] });
        }
        ways.scheduler_of.push((first..ways.schedulers.len()).collect());
    }
    ways
}

/// What the chains of a gateway are made of.
struct Parts<'a> {
    problem: &'a Problem,
    places: &'a Places,
    service: &'a Service,
    policy: &'a Policy,
    gateway: &'a Gateway,
    model: usize,
}

impl Ways {
    fn add(&mut self, parts: &Parts<'_>) {
        let Parts { service, policy, gateway, .. } = *parts;
        let first = self.chains.len();
        // The first link depends on where the gateway is, so every gateway has chains of its own.
        let suffix = if service.gateways.len() > 1 { format!("@{}", gateway.device) } else { String::new() };
        let chains = service.chains.iter().zip(&gateway.links);
        self.chains.extend(chains.map(|(chain, &link)| parts.chain(chain, link, &suffix)));
        let region = parts.places.regions.len() + self.regions.len();
        self.regions.push(Region { name: format!("gateway{suffix}"), budget: gateway.memory_budget.0 });
        let policy = Arc::new(at_gateway(policy, service, gateway));
        self.schedulers.push(Scheduling {
            name: format!("{}@{}", service.name, gateway.device),
            chains: (first..self.chains.len()).collect(),
            gateway: Some((region, service.model.tensor_bytes[0] + JOB_STATE)),
            turnaround: gateway.turnaround.get(),
            make: Arc::new(move |_| scheduler(&policy)),
        });
    }
}

impl Parts<'_> {
    fn chain(&self, chain: &problem::Chain, first: Option<usize>, suffix: &str) -> Chain {
        let links = std::iter::once(first).chain(chain.hops.iter().skip(1).map(|hop| hop.link));
        Chain {
            name: format!("{}/{}{suffix}", self.service.name, chain.name),
            priority: 0,
            overflow: match self.policy.overflow {
                domain::Overflow::Drop => Overflow::Drop,
                domain::Overflow::AnswerWithLastExit => Overflow::AnswerWithLastExit,
            },
            model: Some(self.model),
            steps: chain.hops.iter().zip(links).map(|(&hop, link)| self.step(hop, link)).collect(),
        }
    }

    fn step(&self, hop: problem::Hop, link: Option<usize>) -> Step {
        let (range, model) = (self.problem.fragment(hop).range, &self.service.model);
        Step {
            device: hop.device,
            lane: hop.fragment,
            regions: self.places.of(hop),
            memory: model.held_bytes(range),
            memory_after: model.output_bytes(range),
            work: Work::Segments(range),
            exit_probability: 0.0,
            link,
            transfer: model.input_bytes(range),
        }
    }
}

/// A policy as one gateway of its service gets it: the forecast of a rate table is split over gateways like the rates of
/// the sources behind them.
fn at_gateway(policy: &Policy, service: &Service, gateway: &Gateway) -> Policy {
    let mut policy = policy.clone();
    let rate_of = |gateway: &Gateway| -> f64 {
        let ours =
            service.sources.iter().filter(|source| std::ptr::eq(&raw const service.gateways[source.gateway], gateway));
        ours.map(|source| source.rate.get()).sum()
    };
    let (here, all) = (rate_of(gateway), service.gateways.iter().map(rate_of).sum::<f64>());
    if let Some(table) = policy.rates.as_mut().filter(|_| here > 0.0) {
        let forecast = table.forecast.get() * (here / all);
        table.forecast = PerSecond::new(forecast).expect("a share of a rate is one");
    }
    policy
}

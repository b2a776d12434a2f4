//! A scheduler of a service as a policy.

use crate::Scheduler;
use domain::problem::Service;
use domain::{Chain, Choice, Epoch, Mixture, Policy, Probability, Problem, Thresholds};

/// Why a scheduler gives no policy for a service.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// It plans for all services together.
    #[error("Auto is planned for all services together")]
    Joint,
}

/// The policy of a scheduler for one service (by index) of a problem that has passed its check. Chains are taken in equal
/// shares.
pub fn schedule(scheduler: &Scheduler, problem: &Problem, service: usize) -> Result<Policy, ScheduleError> {
    let service = &problem.services[service];
    let exits = service.model.exits();
    match scheduler {
        Scheduler::ExitFirst => Ok(fixed(problem, service, &Thresholds::exit_first(exits))),
        Scheduler::ExitLast => Ok(fixed(problem, service, &Thresholds::exit_last(exits))),
        Scheduler::Fixed(thresholds) => Ok(fixed(problem, service, thresholds)),
        _ => Err(ScheduleError::Joint),
    }
}

/// The same thresholds for every job, chains in equal shares.
fn fixed(problem: &Problem, service: &Service, thresholds: &Thresholds) -> Policy {
    let share = Probability::new(1.0 / service.chains.len() as f64).expect("a share of at least one chain");
    let choices = (0..service.chains.len()).map(|chain| Choice::new(share, chain, thresholds.clone()));
    let chain = |chain: &domain::problem::Chain| Chain {
        name: chain.name.clone(),
        fragments: chain.hops.iter().map(|&hop| problem.fragment(hop).range).collect(),
    };
    Policy {
        epoch: Epoch::Arrival,
        overflow: service.overflow,
        chains: service.chains.iter().map(chain).collect(),
        default: Mixture::new(choices.collect(), "all chains").expect("equal shares sum to one"),
        sources: vec![],
        rates: None,
        learning: None,
        audit: service.audit,
        deadline: service.deadline,
    }
}

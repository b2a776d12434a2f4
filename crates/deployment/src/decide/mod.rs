//! Decides for all services of a problem: at first ([`decide()`]), and again while gateways serve ([`replan`], [`retune`]).

mod joint;
mod replan;

pub use replan::{Replanned, replan, retune};

use crate::{Deployment, Refused, ServicePlan};
use api::{PlannedScheduler, ResolvedScheduler};
use domain::{Plan, Policy, Problem};
use joint::{Jointly, jointly};
use planner::checker::{self, Severity};
use planner::{RunnerUp, Scheduler, ThresholdSearch};
use std::time::Duration;

/// Share of the budget after which no rival is begun.
const FOR_RIVALS: f64 = 0.3;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// Time for everything: the plan, rows for other rates by which gateways adapt on their own, and the comparison with what it
    /// would replace. Where the plan is that of a scheduler with rows of its own it ends sooner.
    pub budget: Duration,
    /// Seed of everything random.
    pub seed: u64,
    /// Cores for simulations; 0 for all.
    pub threads: usize,
}

impl Ask {
    fn cores(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            some => some,
        }
    }
}

impl Default for Ask {
    fn default() -> Self {
        Self { budget: Duration::from_secs(1), seed: 1, threads: 0 }
    }
}

/// Says how much time has gone by since some moment. Asked for every plan that is looked at; one that says a very long time ends
/// a search early.
pub type Clock<'a> = &'a (dyn Fn() -> Duration + Sync);

/// What came of asking: the plan, and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What gateways are to do.
    pub plan: Plan,
    /// The best plan that was not taken.
    pub runner_up: Option<RunnerUp>,
    /// Accuracy per service on samples that chose and on those that judge; empty where nothing was chosen jointly.
    pub held_out: Vec<(f64, f64)>,
    /// Time that it took.
    pub took: Duration,
    /// Whether the budget ended the search for the plan.
    pub is_cut_short: bool,
    /// Plans that were looked at.
    pub plans: u64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// A scheduler cannot plan for this problem.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The planner has made a mistake, which the checker has found.
    #[error("the plan is wrong, and is not used: {0}")]
    Wrong(String),
}

/// The policies of all services. `incumbent`: the plan in force for the same chains, which stays where nothing beats it and
/// manifests do not ask for something else.
///
/// # Errors
/// What a scheduler cannot plan for, and plans that the checker refuses.
pub fn decide(
    problem: &Problem,
    deployment: &Deployment,
    ask: &Ask,
    incumbent: Option<&Plan>,
    clock: Clock<'_>,
) -> Result<Found, Undecided> {
    let began = clock();
    let services = deployment.services.iter().enumerate();
    let fixed = services.map(|(index, service)| single(problem, service, index, None));
    let fixed = fixed.collect::<Result<Vec<_>, Refused>>()?;
    let incumbent = incumbent.and_then(|plan| as_asked(plan, deployment, &fixed));
    let found = match fixed.iter().cloned().collect::<Option<Vec<Policy>>>() {
        Some(policies) => {
            let plan = Plan { policies };
            Found { plan, runner_up: None, held_out: vec![], took: Duration::ZERO, is_cut_short: false, plans: 0 }
        }
        None => {
            let rivals = rivals(problem, deployment, &fixed, ask, (began, clock));
            let Jointly { plan, planned, is_cut_short, plans } =
                jointly(problem, &fixed, &rivals, incumbent.as_ref(), ask, (began, clock));
            let held_out = planned.held_out.iter().map(|one| (one.chosen, one.judged)).collect();
            Found { plan, runner_up: planned.runner_up, held_out, took: Duration::ZERO, is_cut_short, plans }
        }
    };
    let plan = checked(problem, found.plan)?;
    Ok(Found { plan, took: clock().saturating_sub(began), ..found })
}

/// A plan with the policies of services that are planned by themselves; `None` where it does not do all that manifests say beside
/// what is searched for.
fn as_asked(plan: &Plan, deployment: &Deployment, fixed: &[Option<Policy>]) -> Option<Plan> {
    let policy = |((policy, service), fixed): ((&Policy, &ServicePlan), &Option<Policy>)| {
        let asked = service.resolved.initial_policy();
        let does = (policy.overflow, policy.audit, policy.deadline) == (asked.overflow, asked.audit, asked.deadline);
        fixed.clone().or_else(|| does.then(|| policy.clone()))
    };
    let services = plan.policies.iter().zip(&deployment.services).zip(fixed);
    let policies = services.map(policy).collect::<Option<Vec<Policy>>>()?;
    (plan.policies.len() == fixed.len()).then_some(Plan { policies })
}

/// Refuses a plan that gateways must not follow, whoever made it.
fn checked(problem: &Problem, plan: Plan) -> Result<Plan, Undecided> {
    let notes = checker::check(problem, &plan);
    match notes.iter().find(|note| note.severity == Severity::Error) {
        Some(note) => Err(Undecided::Wrong(format!("{}: {}", note.place, note.message))),
        None => Ok(plan),
    }
}

/// The policy of a service that is planned by itself; `None` for Auto. Schedulers that track confidence take `confidences`
/// as they are observed for those of the exit table.
fn single(
    problem: &Problem,
    service: &ServicePlan,
    index: usize,
    confidences: Option<&[f64]>,
) -> Result<Option<Policy>, Refused> {
    let planned = match &service.resolved.scheduler {
        ResolvedScheduler::Given(policy) => return Ok(Some(policy.clone())),
        ResolvedScheduler::Planned(PlannedScheduler::Auto { .. }) => return Ok(None),
        ResolvedScheduler::Planned(planned) => planned,
    };
    let scheduler = scheduler(planned);
    let policy = match confidences {
        Some(confidences) => planner::retuned(&scheduler, problem, index, confidences),
        None => planner::schedule(&scheduler, problem, index),
    };
    match policy {
        // A scheduler that decides at arrival may also decide when a job is sent, if the manifest says so.
        Ok(policy) => Ok(Some(Policy { epoch: service.resolved.epoch, ..policy })),
        Err(error) => Err(Refused(format!("service {:?}: {}", service.name, with_causes(&error)))),
    }
}

/// Whether the policy of a service depends on the confidences that its gateways observe.
pub fn tracks_confidence(service: &ServicePlan) -> bool {
    matches!(
        service.resolved.scheduler,
        ResolvedScheduler::Planned(
            PlannedScheduler::Knapsack { tracks_confidence: true }
                | PlannedScheduler::QueueingLP { tracks_confidence: true, .. }
        )
    )
}

/// What schedulers of one device make of it, for the referee.
fn rivals(
    problem: &Problem,
    deployment: &Deployment,
    fixed: &[Option<Policy>],
    ask: &Ask,
    (began, clock): (Duration, Clock<'_>),
) -> Vec<Plan> {
    let is_over = || clock().saturating_sub(began) >= ask.budget.mul_f64(FOR_RIVALS);
    let may_dispatch = |service: &ServicePlan| {
        !matches!(
            service.resolved.scheduler,
            ResolvedScheduler::Planned(PlannedScheduler::Auto { may_dispatch: false })
        )
    };
    planner::rivals(problem, fixed, deployment.services.iter().all(may_dispatch), &is_over)
}

/// An error and what caused it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The planner's word for a scheduler of a manifest.
fn scheduler(planned: &PlannedScheduler) -> Scheduler {
    match planned {
        PlannedScheduler::Auto { .. } => Scheduler::Auto,
        PlannedScheduler::Random => Scheduler::Random,
        PlannedScheduler::FixedDistribution(probabilities) => Scheduler::FixedDistribution(probabilities.clone()),
        PlannedScheduler::Reactive => Scheduler::Reactive,
        &PlannedScheduler::Knapsack { tracks_confidence } => Scheduler::Knapsack { tracks_confidence },
        &PlannedScheduler::QueueingLP { approximate, tracks_confidence } => {
            Scheduler::QueueingLP { approximate, tracks_confidence }
        }
        PlannedScheduler::DataDriven { bayesian: true } => Scheduler::DataDriven(ThresholdSearch::Bayesian),
        PlannedScheduler::DataDriven { bayesian: false } => Scheduler::DataDriven(ThresholdSearch::Direct),
        &PlannedScheduler::AdaEE { buffer_aware } => Scheduler::AdaEE { buffer_aware },
        PlannedScheduler::SMDP => Scheduler::SMDP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::processes::{deployed, example};
    use domain::Probability;

    #[test]
    fn a_plan_in_force_goes_on_where_another_service_gets_a_policy_of_its_own() {
        let mut deployment = deployed(&example());
        deployment.services.push(deployment.services[0].clone());
        let planned = deployment.services[0].resolved.initial_policy();
        let own = Policy { epoch: domain::Epoch::Arrival, audit: Probability::new(0.5).unwrap(), ..planned.clone() };
        let before = Plan { policies: vec![planned.clone(), planned.clone()] };
        let asked = |fixed: &[Option<Policy>]| as_asked(&before, &deployment, fixed);
        assert_eq!(asked(&[None, None]), Some(before.clone()));
        let with_own = Plan { policies: vec![planned.clone(), own.clone()] };
        assert_eq!(asked(&[None, Some(own.clone())]), Some(with_own.clone()));
        assert_eq!(asked(&[None]), None, "it is of more services");
        assert_eq!(as_asked(&with_own, &deployment, &[None, None]), None, "audits are not those of the manifest");
    }
}

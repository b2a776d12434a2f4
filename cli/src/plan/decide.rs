//! Decides for all services of a problem, and lets evaluators look at what was decided.

use super::decision::{Decision, Prediction, RunnerUp};
use super::document::SearchDocument;
use super::progress::Line;
use crate::deploy::{Deployment, ServicePlan};
use crate::exit_code::{Failure, Outcome};
use api::{PlannedScheduler, ResolvedScheduler};
use domain::{EvaluationEffort, Evaluator, Plan, Policy, Problem};
use planner::checker::{self, Severity};
use planner::{Budget, Decomposition, Method, Planned, Request, Scheduler, ThresholdSearch, Verdict};
use simulator::Simulation;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ask {
    /// Time for the search.
    pub(crate) budget: Duration,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// Cores for simulations; 0 for all.
    pub(crate) threads: usize,
}

impl Default for Ask {
    fn default() -> Self {
        Self { budget: Duration::from_secs(1), seed: 1, threads: 0 }
    }
}

/// Arrivals by which a plan is shown to the user: a loss of 1 % is known to a tenth of it.
const ARRIVALS: u64 = 400_000;
/// Arrivals by which rows at other rates are compared, which are many.
const REFEREED_ROWS: u64 = 20_000;
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");
/// Time for rows at other rates ÷ time for the plan. They come after it: a plan is worth having before they are there.
const FOR_ROWS: f64 = 1.0;
/// Share of the time for rows that goes into formulas; the rest is simulation.
const FOR_SCREEN: f64 = 0.4;

/// What came of asking: the plan, and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// What gateways are to do.
    pub(crate) plan: Plan,
    /// The best plan that was not taken.
    runner_up: Option<RunnerUp>,
    /// Accuracy per service on samples that chose and on those that judge; empty where nothing was chosen jointly.
    held_out: Vec<(f64, f64)>,
    search: SearchDocument,
}

/// The policies of all services.
pub(crate) fn decide(problem: &Problem, deployment: &Deployment, ask: &Ask) -> Outcome<Found> {
    let services = deployment.services.iter().enumerate();
    let fixed = services.map(|(index, service)| single(problem, service, index, None)).collect::<Outcome<Vec<_>>>()?;
    let found = match fixed.iter().cloned().collect::<Option<Vec<Policy>>>() {
        Some(policies) => {
            let search = SearchDocument::new(ask, Duration::ZERO, 0);
            Found { plan: Plan { policies }, runner_up: None, held_out: vec![], search }
        }
        None => {
            let (plan, search, planned) = jointly(problem, &fixed, &rivals(problem, deployment, &fixed), None, ask);
            let runner_up = planned.runner_up.as_ref().map(RunnerUp::from);
            Found { plan, runner_up, held_out: held_out(&planned), search }
        }
    };
    let plan = checked(problem, found.plan)?;
    Ok(Found { plan, ..found })
}

/// Refuses a plan that gateways must not follow, whoever made it.
pub(super) fn checked(problem: &Problem, plan: Plan) -> Outcome<Plan> {
    let notes = checker::check(problem, &plan);
    match notes.iter().find(|note| note.severity == Severity::Error) {
        Some(note) => {
            Err(anyhow::anyhow!("the plan is wrong, and is not used: {}: {}", note.place, note.message).into())
        }
        None => Ok(plan),
    }
}

/// The policy of a service that is planned by itself; `None` for Auto. Schedulers that track confidence take `confidences`
/// as they are observed for those of the exit table.
pub(super) fn single(
    problem: &Problem,
    service: &ServicePlan,
    index: usize,
    confidences: Option<&[f64]>,
) -> Outcome<Option<Policy>> {
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
        Err(error) => Err(Failure::input(format!("service {:?}: {:#}", service.name, anyhow::Error::new(error)))),
    }
}

/// Whether the policy of a service depends on the confidences that its gateways observe.
pub(crate) fn tracks_confidence(service: &ServicePlan) -> bool {
    matches!(
        service.resolved.scheduler,
        ResolvedScheduler::Planned(
            PlannedScheduler::Knapsack { tracks_confidence: true }
                | PlannedScheduler::QueueingLP { tracks_confidence: true, .. }
        )
    )
}

/// What schedulers of one device make of it, for the referee.
pub(super) fn rivals(problem: &Problem, deployment: &Deployment, fixed: &[Option<Policy>]) -> Vec<Plan> {
    let may_dispatch = |service: &ServicePlan| {
        !matches!(
            service.resolved.scheduler,
            ResolvedScheduler::Planned(PlannedScheduler::Auto { may_dispatch: false })
        )
    };
    planner::rivals(problem, fixed, deployment.services.iter().all(may_dispatch))
}

/// All services together, but for those that keep a policy of their own.
pub(super) fn jointly(
    problem: &Problem,
    fixed: &[Option<Policy>],
    rivals: &[Plan],
    incumbent: Option<&Plan>,
    ask: &Ask,
) -> (Plan, SearchDocument, Planned) {
    let began = Instant::now();
    let whole = ask.budget.mul_f64(1.0 + FOR_ROWS);
    let line = Line::new(began, whole);
    let until = |end: Duration| {
        let line = &line;
        move || {
            line.show();
            began.elapsed() >= end
        }
    };
    let (for_plan, for_all) = (until(ask.budget), until(whole));
    let referee = Simulation { threads: ask.threads };
    let request = Request {
        problem,
        incumbent,
        rivals,
        fixed,
        referee: &referee,
        effort: EvaluationEffort {
            seed: ask.seed,
            replications: REPLICATIONS,
            arrivals: planner::arrivals_for(problem, ask.budget),
            stop: None,
        },
        budget: Budget { evaluations: None, stop: Some(&for_plan) },
        method: Method::default(),
    };
    let mut planned = planner::plan(&request);
    let search_took = began.elapsed();
    let plans: u64 = planned.spent.iter().map(|(_, count)| count).sum();
    let effort = EvaluationEffort { arrivals: REFEREED_ROWS, ..request.effort };
    let evaluations = Some(affordable(plans, began.elapsed(), whole));
    let budget = Budget { evaluations, stop: Some(&for_all) };
    let rest = Request { budget, effort, rivals: &[], ..request };
    // Rivals have tables over rates already.
    let plan = match rivals.contains(&planned.plan) || !planned.verdict.is_new() {
        true => planned.plan.clone(),
        false => {
            let tabled =
                planner::with_rate_table(&rest, &planned.plan, &planner::ratios(), planner::window(problem)).plan;
            match planner::settle(&request, &tabled) {
                None => tabled,
                Some((winner, loser)) => {
                    planned.runner_up = Some(loser);
                    if incumbent == Some(&winner) {
                        let why = "with its table over rates the new plan does not beat it";
                        planned.verdict = Verdict::Kept(why.to_owned());
                    }
                    winner
                }
            }
        }
    };
    (plan, SearchDocument::new(ask, search_took, plans), planned)
}

/// Evaluations that the rest of the budget has time for, at the pace so far: a row must not take the time of all others.
fn affordable(done: u64, took: Duration, budget: Duration) -> u64 {
    let pace = done as f64 / took.as_secs_f64().max(1e-3);
    (pace * budget.saturating_sub(took).as_secs_f64() * FOR_SCREEN) as u64
}

fn held_out(planned: &Planned) -> Vec<(f64, f64)> {
    planned.held_out.iter().map(|one| (one.chosen, one.judged)).collect()
}

/// A decision with what each evaluator predicts of it.
pub(crate) fn predicted(problem: &Problem, found: Found, seed: u64) -> Decision {
    // Not the arrivals that the search has looked at.
    let seed = seed ^ 0x0A55_E55E;
    let effort = EvaluationEffort { seed, replications: REPLICATIONS, arrivals: ARRIVALS, stop: None };
    let evaluators: [&dyn Evaluator; 2] = [&Decomposition { judges: true }, &Simulation::default()];
    let predictions = evaluators.into_iter().map(|evaluator| Prediction {
        evaluator: evaluator.name().to_owned(),
        outcome: evaluator.evaluate(problem, &found.plan, &effort),
    });
    let predictions = predictions.collect();
    let Found { plan, runner_up, held_out, search } = found;
    Decision { plan, predictions, runner_up, held_out, search }
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

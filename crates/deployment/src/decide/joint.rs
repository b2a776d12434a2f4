//! All services together, within a budget of time.

use super::{Ask, Clock};
use domain::{EvaluationEffort, Plan, Policy, Problem};
use planner::{Budget, Method, Planned, Request, Settled, Verdict};
use simulator::Simulation;
use std::num::NonZeroU32;
use std::time::Duration;

/// Arrivals by which rows at other rates are compared, which are many.
const REFEREED_ROWS: u64 = 20_000;
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");
/// Share of the budget for the plan, and share by which rows for other rates are made: what is left is for comparing the plan with
/// its rows with what it would replace.
const UNTIL_PLAN: f64 = 0.6;
const UNTIL_ROWS: f64 = 0.85;
/// Share after which the first race ends, so that there is time to look at what it has found.
const UNTIL_FIRST: f64 = 0.2;
/// Share after which rivals are asked for no more rows, so that there is time to search for those that they do not lend.
const UNTIL_LENT_ROWS: f64 = 0.75;
/// Share of the time for rows that goes into formulas; the rest is simulation.
const FOR_SCREEN: f64 = 0.4;
/// As many plans are compared in the end, at most: that with rows, incumbent and rivals.
const COMPARED: f64 = 6.0;
/// The search gets its part of this share of the budget at least, however long rivals have taken.
const LEFT_BY_RIVALS: f64 = 0.5;

/// What came of a search.
pub(super) struct Jointly {
    /// The plan with its table over rates.
    pub(super) plan: Plan,
    /// What the planner says of it.
    pub(super) planned: Planned,
    /// Whether the time ended the search.
    pub(super) is_cut_short: bool,
    /// Plans that were looked at.
    pub(super) plans: u64,
}

/// All services together, but for those that keep a policy of their own. The budget began when the clock said `began`: rivals have had
/// their part of it.
pub(super) fn jointly(
    problem: &Problem,
    fixed: &[Option<Policy>],
    rivals: &[Plan],
    incumbent: Option<&Plan>,
    ask: &Ask,
    (began, clock): (Duration, Clock<'_>),
) -> Jointly {
    let starts = clock();
    let left = ask.budget.saturating_sub(starts.saturating_sub(began)).max(ask.budget.mul_f64(LEFT_BY_RIVALS));
    let elapsed = || clock().saturating_sub(starts);
    let until = |share: f64| move || elapsed() >= left.mul_f64(share);
    let (for_plan, for_rows, for_all) = (until(UNTIL_PLAN), until(UNTIL_ROWS), until(1.0));
    let (for_first, for_lent_rows) = (until(UNTIL_FIRST), until(UNTIL_LENT_ROWS));
    let cores = ask.cores();
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
            arrivals: planner::arrivals_for(problem, left.mul_f64(UNTIL_PLAN), cores),
            stop: None,
        },
        budget: Budget { evaluations: None, stop: Some(&for_plan), first: Some(&for_first) },
        method: Method::default(),
    };
    let mut planned = planner::plan(&request);
    let took = elapsed();
    let is_cut_short = for_plan();
    let plans: u64 = planned.spent.iter().map(|(_, count)| count).sum();
    let effort = EvaluationEffort { arrivals: REFEREED_ROWS, ..request.effort };
    let evaluations = Some(affordable(plans, took, left.mul_f64(UNTIL_ROWS)));
    let budget = Budget { evaluations, stop: Some(&for_rows), first: Some(&for_lent_rows) };
    let rest = Request { budget, effort, ..request };
    let tabled = || planner::with_rate_table(&rest, &planned.plan, &planner::ratios(), planner::window(problem)).plan;
    // Rivals have tables over rates already. What stays may be of a scheduler that has no rows: they are all that it is given.
    let plan = match (lacks_rows(&planned.plan, fixed), planned.verdict.is_new()) {
        (false, _) => planned.plan.clone(),
        (true, false) => tabled(),
        (true, true) => {
            let tabled = tabled();
            let each = left.saturating_sub(elapsed()).div_f64(COMPARED);
            let effort =
                EvaluationEffort { arrivals: planner::arrivals_within(problem, each, cores), ..request.effort };
            let budget = Budget { evaluations: None, stop: Some(&for_all), ..Budget::default() };
            let settled = planner::settle(&Request { effort, budget, ..request }, &tabled);
            is_told(problem, &mut planned, &settled, &effort);
            if incumbent == Some(&settled.plan) {
                planned.verdict = Verdict::Kept("with its table over rates the new plan does not beat it".to_owned());
            }
            settled.plan
        }
    };
    Jointly { plan, planned, is_cut_short, plans }
}

/// Has what is said of the plan be what is said of the one that was settled on.
fn is_told(problem: &Problem, planned: &mut Planned, settled: &Settled, effort: &EvaluationEffort<'_>) {
    if let (Some(said), Some(found)) = (planned.evaluations.first_mut(), &settled.evaluation) {
        said.1.clone_from(found);
    }
    if let Some(loser) = &settled.loser {
        planned.runner_up = Some(loser.clone());
        planned.held_out = planner::held_out(problem, &settled.plan, effort);
    }
}

/// Whether some policy that is searched for is the same at all rates, and does not learn either.
fn lacks_rows(plan: &Plan, fixed: &[Option<Policy>]) -> bool {
    let is_fixed = |service: usize| fixed.get(service).is_some_and(Option::is_some);
    let mut policies = plan.policies.iter().enumerate();
    policies.any(|(service, policy)| !is_fixed(service) && policy.rates.is_none() && policy.learning.is_none())
}

/// Evaluations that the rest of the budget has time for, at the pace so far: a row must not take the time of all others.
fn affordable(done: u64, took: Duration, budget: Duration) -> u64 {
    let pace = done as f64 / took.as_secs_f64().max(1e-3);
    (pace * budget.saturating_sub(took).as_secs_f64() * FOR_SCREEN) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::processes::{deployed, example};
    use domain::{Measured, PerSecond, RateTable, Seconds};

    #[test]
    fn rows_are_lacking_where_a_policy_that_is_searched_for_knows_one_rate() {
        let bare = deployed(&example()).services[0].resolved.initial_policy();
        let (forecast, measured) = (PerSecond::new(1.0).unwrap(), Measured::Window(Seconds::new(1.0).unwrap()));
        let table = RateTable { forecast, measured, rows: vec![] };
        let tabled = Policy { rates: Some(table), ..bare.clone() };
        let lacks = |policies: &[&Policy], fixed: &[Option<Policy>]| {
            lacks_rows(&Plan { policies: policies.iter().map(|policy| (*policy).clone()).collect() }, fixed)
        };
        assert!(lacks(&[&tabled, &bare], &[]) && !lacks(&[&tabled, &tabled], &[]));
        assert!(!lacks(&[&tabled, &bare], &[None, Some(bare.clone())]), "it keeps its own");
        assert!(lacks(&[&bare, &tabled], &[None, Some(bare.clone())]));
    }
}

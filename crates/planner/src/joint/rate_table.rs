//! Plans for other rates than the forecast, as a table by which gateways adapt on their own.
//!
//! One row per ratio of measured rate ÷ forecast, the rates of all sources scaled alike, planned for the largest ratio
//! that it serves. Every row begins with the best fluid plan for its rate, or repeats its neighbour where that is better. Then rows
//! are searched for outwards from the forecast, as far as there is time. A row that is worse at its own rate than the row of the next
//! higher rate, by formulas, takes over that one: more load never brings a better plan.
//! Above the forecast rivals lend rows ([`super::lending`]), which are not searched for then.

use super::lending::{self, is_no_worse, looks_at_jobs};
use super::search::{level, plan};
use super::{Budget, Method, Request, Verdict};
use crate::Decomposition;
use domain::plan::{WITHIN_ACCURACY, WITHIN_VIOLATION};
use domain::{
    Epoch, EvaluationEffort, Evaluator, Measured, PerSecond, Plan, Policy, Problem, RateRow, RateTable, Score, Seconds,
};
use std::cmp::Ordering;
use std::num::NonZeroU64;

/// Ratios that differ by less are the same.
pub(super) const SAME_RATIO: f64 = 1e-9;

/// Policies with their rate tables.
#[derive(Debug, Clone, PartialEq)]
pub struct RatePlan {
    /// The plan for the forecast, with tables.
    pub plan: Plan,
    /// Per ratio, in rising order, whether its row was planned for it or repeats a neighbour.
    pub rows: Vec<(f64, bool)>,
}

/// Rows by which gateways adapt on their own: up to 2^(3·(u/8)·|u/8|) times the forecast for u = −4..=8, from 0.59 to 8,
/// closer together around the forecast.
pub fn ratios() -> Vec<f64> {
    const OCTAVES: f64 = 3.0;
    const LAST: i32 = 8;
    let ratio = |row: i32| {
        let part = f64::from(row) / f64::from(LAST);
        2f64.powf(OCTAVES * part * part.abs())
    };
    (-4..=LAST).map(ratio).collect()
}

/// The window over which gateways measure rates: 50 arrivals of the slowest service, by which a rate is known to 14 %, and
/// from a second to a minute.
pub fn window(problem: &Problem) -> Seconds {
    const ARRIVALS: f64 = 50.0;
    let rates = problem.services.iter().map(|one| one.sources.iter().map(|source| source.rate.get()).sum::<f64>());
    let slowest = rates.filter(|rate| *rate > 0.0).fold(f64::INFINITY, f64::min);
    Seconds::new((ARRIVALS / slowest).clamp(1.0, 60.0)).expect("it is clamped")
}

/// Adds rate tables to `planned`, a plan for the rates of the request's problem, for the services that have no fixed
/// policy. Rivals of the request may lend rows that look at jobs present; such policies decide at dispatch.
///
/// `ratios` are above 0; 1 need not be among them. Evaluations of the budget are shared among rows; rates are measured
/// over `window`. The forecast of a table is the rate of all sources of its service; it is to be split over gateways
/// like their rates are.
pub fn with_rate_table(request: &Request<'_>, planned: &Plan, ratios: &[f64], window: Seconds) -> RatePlan {
    let mut grid: Vec<f64> =
        ratios.iter().copied().filter(|ratio| *ratio > 0.0 && ratio.is_finite()).chain([1.0]).collect();
    grid.sort_by(f64::total_cmp);
    grid.dedup_by(|one, other| (*one - *other).abs() < SAME_RATIO);
    let middle = grid.iter().position(|ratio| *ratio >= 1.0 - SAME_RATIO).unwrap_or(grid.len() - 1);
    let mut rows: Vec<(Plan, bool)> = vec![(planned.clone(), false); grid.len()];
    rows[middle].1 = true;
    let each = share_of(request.budget, grid.len());
    let upward = (middle + 1..grid.len()).map(|row| (row, row - 1));
    let downward = (0..middle).rev().map(|row| (row, row + 1));
    let outward: Vec<(usize, usize)> = upward.chain(downward).collect();
    for (row, neighbour) in &outward {
        rows[*row] = begun_row(request, grid[*row], &rows[*neighbour].0);
    }
    let lent = lending::lent(request, &grid, middle, &rows);
    for (row, neighbour) in outward {
        if request.budget.is_stopped() {
            break;
        }
        if lent[row].is_some() {
            continue;
        }
        let problem = request.problem.scaled(grid[row]);
        let begun = &rows[row];
        let incumbent = match is_better(&problem, &rows[neighbour].0, &begun.0, &request.effort) {
            true => (rows[neighbour].0.clone(), false),
            false => begun.clone(),
        };
        rows[row] = planned_row(request, each, &problem, incumbent);
    }
    for row in (0..grid.len() - 1).rev() {
        if row != middle
            && is_better(&request.problem.scaled(grid[row]), &rows[row + 1].0, &rows[row].0, &request.effort)
        {
            rows[row] = (rows[row + 1].0.clone(), false);
        }
    }
    let own = tabled(request, planned, &grid, &rows, window);
    if lent.iter().any(Option::is_some) {
        for (row, lent) in rows.iter_mut().zip(lent).filter_map(|(row, lent)| Some((row, lent?))) {
            *row = (lent, true);
        }
        let with_lent = tabled(request, planned, &grid, &rows, window);
        // At the forecast nothing is to be lost by it, whatever else is gained.
        if is_no_worse(request, &with_lent.plan, &own.plan) {
            return with_lent;
        }
    }
    own
}

/// The plan with these rows.
fn tabled(request: &Request<'_>, planned: &Plan, grid: &[f64], rows: &[(Plan, bool)], window: Seconds) -> RatePlan {
    let policies = planned.policies.iter().enumerate();
    let with_table = |(service, policy): (usize, &Policy)| match request.fixed.get(service) {
        Some(Some(_)) => policy.clone(),
        // A rival that won has a table of its own, over jobs present as well.
        _ if policy.rates.is_some() => policy.clone(),
        _ => {
            let rates = table(request.problem, service, grid, rows, window);
            let epoch = rates.as_ref().filter(|table| looks_at_jobs(table)).map_or(policy.epoch, |_| Epoch::Dispatch);
            Policy { rates, epoch, ..policy.clone() }
        }
    };
    RatePlan {
        plan: Plan { policies: policies.map(with_table).collect() },
        rows: grid.iter().copied().zip(rows.iter().map(|row| row.1)).collect(),
    }
}

fn share_of(budget: Budget<'_>, rows: usize) -> Budget<'_> {
    let rows = NonZeroU64::new(rows as u64).unwrap_or(NonZeroU64::MIN);
    Budget { evaluations: budget.evaluations.map(|all| all / rows), ..budget }
}

/// The fluid plan for a ratio, or its neighbour's.
fn begun_row(request: &Request<'_>, ratio: f64, neighbour: &Plan) -> (Plan, bool) {
    let problem = request.problem.scaled(ratio);
    let is_searched = matches!(request.method, Method::Prices | Method::Near) && !request.budget.is_stopped();
    let level = is_searched.then(|| level(&Request { problem: &problem, ..*request })).flatten();
    let level = level.filter(|level| is_better(&problem, level, neighbour, &request.effort));
    level.map_or_else(|| (neighbour.clone(), false), |level| (level, true))
}

fn planned_row(request: &Request<'_>, budget: Budget<'_>, problem: &Problem, begun: (Plan, bool)) -> (Plan, bool) {
    // Rivals are for the forecast, and rows hold mixtures only.
    // The incumbent was planned for nearly the same rates.
    let method = if request.method == Method::Prices { Method::Near } else { request.method };
    let incumbent = Some(&begun.0);
    let found = plan(&Request { problem, incumbent, rivals: &[], budget, method, ..*request }, 0);
    // An incumbent that is kept has been compared, so the row is good, unless time ran out.
    let compared = found.verdict.is_new() || matches!(found.verdict, Verdict::Kept(_)) && found.score.is_some();
    (found.plan, begun.1 || compared)
}

fn is_better(problem: &Problem, plan: &Plan, than: &Plan, effort: &EvaluationEffort<'_>) -> bool {
    let score = |plan: &Plan| Some(Score::of(problem, &Decomposition::default().evaluate(problem, plan, effort).ok()?));
    match (score(plan), score(than)) {
        (Some(ours), Some(theirs)) => {
            let clearly = ours.accuracy > theirs.accuracy + WITHIN_ACCURACY || ours.violation + 0.01 < theirs.violation;
            clearly && ours.violation <= theirs.violation + WITHIN_VIOLATION && ours.order(&theirs) == Ordering::Greater
        }
        _ => false,
    }
}

fn table(problem: &Problem, service: usize, grid: &[f64], rows: &[(Plan, bool)], window: Seconds) -> Option<RateTable> {
    let forecast: f64 = problem.services[service].sources.iter().map(|source| source.rate.get()).sum();
    let forecast = PerSecond::new(forecast).ok().filter(|rate| rate.get() > 0.0)?;
    let row = |(up_to, (plan, _)): (&f64, &(Plan, bool))| {
        let policy = &plan.policies[service];
        RateRow { up_to: *up_to, default: policy.default.clone(), sources: policy.sources.clone() }
    };
    Some(RateTable { forecast, measured: Measured::Window(window), rows: grid.iter().zip(rows).map(row).collect() })
}

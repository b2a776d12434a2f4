//! Rows over rates that rivals lend.
//!
//! Above the forecast, where queues fill, looking at jobs present is worth most, which the search cannot do. A row of a rival that does
//! takes the place of what was found for the same rate where the referee says that it beats it.

use super::Request;
use super::rate_table::SAME_RATIO;
use super::referee::{Look, Referee};
use super::settle::does_beat;
use domain::plan::WITHIN_VIOLATION;
use domain::{Measured, Mixture, Plan, Policy, RateRow, RateTable, Score};

/// Per ratio of `grid` the row that a rival lends in place of the one in `rows`, if any does; from the highest ratio down to `middle`, that of
/// the forecast, as far as its share of the time goes: further up more is gained, and nearer the search does well.
pub(super) fn lent(request: &Request<'_>, grid: &[f64], middle: usize, rows: &[(Plan, bool)]) -> Vec<Option<Plan>> {
    let mut lent = vec![None; grid.len()];
    let is_over = || request.budget.first.or(request.budget.stop).is_some_and(|is_over| is_over());
    for row in (middle + 1..grid.len()).rev().take_while(|_| !is_over()) {
        lent[row] = lent_row(request, [grid[row - 1], grid[row]], &rows[row].0);
    }
    lent
}

/// The row of the rival that beats all others and what was found for the same rates, which are those from `ratios[0]` to `ratios[1]`:
/// in the middle of them, and without missing targets by more at the highest. What does not look at jobs present is made for the highest,
/// and gives away what there is room for below.
///
/// Only where one gateway measures for all: rivals plan every service by itself, so what one of them lends may take what the rows of
/// others count on.
fn lent_row(request: &Request<'_>, ratios: [f64; 2], found: &Plan) -> Option<Plan> {
    let gateways = request.problem.services.iter().map(|service| service.gateways.len());
    if gateways.sum::<usize>() > 1 {
        return None;
    }
    let rivals = request.rivals.iter().filter_map(|rival| row_of(rival, ratios[1], request.fixed));
    let rivals: Vec<Plan> = rivals.collect();
    let [middle, highest] = [(ratios[0] * ratios[1]).sqrt(), ratios[1]].map(|ratio| request.problem.scaled(ratio));
    let misses = |plan: &Plan| {
        let request = Request { problem: &highest, ..*request };
        let (mut referee, look) = referee(&request);
        let found = referee.look(plan, look, false).evaluation;
        found.map_or(f64::INFINITY, |found| Score::of(&highest, &found).violation)
    };
    let request = Request { problem: &middle, ..*request };
    let (mut referee, look) = referee(&request);
    let own = referee.look(found, look, true);
    let mut field: Vec<_> = rivals.iter().map(|rival| referee.look(rival, look, false)).collect();
    referee.rank(&mut field, 0.0);
    let best = field.into_iter().find(|rival| does_beat(&request, rival, &own))?.plan;
    (misses(&best) <= misses(found) + WITHIN_VIOLATION).then_some(best)
}

fn referee<'a>(request: &Request<'a>) -> (Referee<'a>, Look) {
    (Referee::new(request), Look { arrivals: request.effort.arrivals, seed: request.effort.seed })
}

/// Whether both could be judged, and the other does not beat the one.
pub(super) fn is_no_worse(request: &Request<'_>, one: &Plan, other: &Plan) -> bool {
    let (mut referee, look) = referee(request);
    let [one, other] = [one, other].map(|plan| referee.look(plan, look, false));
    one.evaluation.is_some() && other.evaluation.is_some() && !does_beat(request, &other, &one)
}

/// What a plan whose tables look at jobs present does at a ratio of measured rates.
fn row_of(plan: &Plan, ratio: f64, fixed: &[Option<Policy>]) -> Option<Plan> {
    let policy = |(service, policy): (usize, &Policy)| {
        if fixed.get(service).is_some_and(Option::is_some) {
            return Some(policy.clone());
        }
        let table = policy.rates.as_ref().filter(|table| matches!(table.measured, Measured::Window(_)))?;
        let reaches = |row: &&RateRow| row.up_to >= ratio - SAME_RATIO;
        let row = table.rows.iter().find(reaches).or(table.rows.last()).filter(|_| looks_at_jobs(table))?;
        let (default, sources) = (row.default.clone(), row.sources.clone());
        Some(Policy { default, sources, rates: None, ..policy.clone() })
    };
    let policies = plan.policies.iter().enumerate().map(policy).collect::<Option<_>>()?;
    Some(Plan { policies })
}

/// Whether some row looks at jobs present.
pub(super) fn looks_at_jobs(table: &RateTable) -> bool {
    let looks = |mixture: &Mixture| mixture.choices().iter().any(|choice| !choice.by_present.is_empty());
    table.rows.iter().any(|row| looks(&row.default) || row.sources.iter().any(|(_, mixture)| looks(mixture)))
}

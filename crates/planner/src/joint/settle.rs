//! The last comparison: a plan with its table over rates, with what it would replace and with rivals.
//!
//! What gateways measure is rounded up to the next row, which costs accuracy that a plan without a table has not shown.

use super::careful;
use super::planned::why_lost;
use super::referee::{Look, Referee};
use super::rivals::is_bursty;
use super::span::spanning;
use super::ties::preferred;
use super::{Budget, Contender, Request, RunnerUp};
use domain::plan::{WITHIN_VIOLATION, beats};
use domain::{Evaluation, Plan, Score};

/// What is followed in the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The plan with its table, a rival, or the incumbent.
    pub plan: Plan,
    /// What the referee says of it; `None` where it could not say.
    pub evaluation: Option<Evaluation>,
    /// What lost to it, where it is not the plan with its table.
    pub loser: Option<RunnerUp>,
}

/// What is followed of `tabled`, a plan with its tables over rates, the rivals of the request that adapt to rates as well (all of
/// them in bursts, in which rates that gateways measure may mislead), and the incumbent, which stays unless it is beaten. Who
/// could not be judged does not win, and nobody wins against an incumbent who could not.
///
/// The referee looks at `tabled` and at the incumbent whatever the time is, then at rivals while there is some. Where `tabled` misses
/// targets something more careful is followed near the forecast if that misses less (`careful.rs`).
pub fn settle(request: &Request<'_>, tabled: &Plan) -> Settled {
    let problem = request.problem;
    let effort = spanning(problem, request.effort);
    // On arrivals that no plan was chosen by.
    let look = Look { arrivals: effort.arrivals, seed: effort.seed ^ 0x5E77_1E00 };
    let mut referee = Referee::new(&Request { budget: Budget::default(), ..*request });
    let mut ours = referee.look(tabled, look, false);
    let misses =
        |one: &Contender| one.evaluation.as_ref().map_or(f64::INFINITY, |found| Score::of(problem, found).violation);
    for share in careful::SHARES {
        // What is certain to be most careful is looked at whatever the time is.
        let has_time = share == 0.0 || share == 1.0 || !request.budget.is_stopped();
        if has_time && misses(&ours) > WITHIN_VIOLATION {
            let careful = referee.look(&careful::careful(request, tabled, share), look, false);
            ours = if misses(&careful) < misses(&ours) { careful } else { ours };
        }
    }
    let incumbent = request.incumbent.map(|plan| referee.look(plan, look, true));
    referee.budget = request.budget;
    let adapts = |plan: &&Plan| plan.policies.iter().any(|one| one.rates.is_some() || one.learning.is_some());
    let rivals = request.rivals.iter().filter(|plan| is_bursty(problem) || adapts(plan));
    let judged = rivals.map(|plan| referee.look(plan, look, false));
    let mut field: Vec<Contender> = judged.filter(|rival| does_beat(request, rival, &ours)).collect();
    field.push(ours.clone());
    referee.rank(&mut field, 0.0);
    // Also among these a hair of accuracy is not worth much loss or latency.
    let best = preferred(problem, &field).unwrap_or(&ours);
    let loser_is = |loser: &Contender, winner: &Evaluation| {
        let evaluation = loser.evaluation.clone()?;
        let (score, why) = (Score::of(problem, &evaluation), why_lost(problem, &evaluation, winner));
        Some(RunnerUp { plan: loser.plan.clone(), evaluation, score, is_incumbent: false, why })
    };
    let is_beaten = |incumbent: &Contender| {
        does_beat(request, best, incumbent)
            && preferred(problem, [best, incumbent]).is_some_and(|one| !one.is_incumbent)
    };
    match incumbent.filter(|incumbent| !is_beaten(incumbent)) {
        Some(stays) => {
            let loser = stays.evaluation.as_ref().and_then(|found| loser_is(best, found));
            Settled { plan: stays.plan, evaluation: stays.evaluation, loser }
        }
        None => {
            let is_rival = best.plan != ours.plan;
            let loser = best.evaluation.as_ref().filter(|_| is_rival).and_then(|found| loser_is(&ours, found));
            Settled { plan: best.plan.clone(), evaluation: best.evaluation.clone(), loser }
        }
    }
}

/// Whether both were judged, and the first beats the second.
pub(super) fn does_beat(request: &Request<'_>, one: &Contender, other: &Contender) -> bool {
    let both = one.evaluation.as_ref().zip(other.evaluation.as_ref());
    both.is_some_and(|(one, other)| beats(request.problem, one, other))
}

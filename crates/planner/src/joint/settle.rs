//! The last comparison: a plan with its table over rates, with what it would replace and with rivals.
//!
//! What gateways measure is rounded up to the next row, which costs accuracy that a plan without a table has not shown. And a table is there for
//! other rates than the forecast: of plans that are as good at that, the one is taken that does clearly better where more jobs arrive.

use super::planned::why_lost;
use super::referee::{Look, Referee};
use super::rivals::is_bursty;
use super::span::spanning;
use super::ties::{is_as_good, preferred, worth};
use super::{Budget, Contender, Request, RunnerUp};
use domain::plan::{WITHIN_VIOLATION, beats};
use domain::{Evaluation, Plan, Score};

/// Multiples of the forecast at which tables are compared.
const HIGHER: [f64; 2] = [2.0, 4.0];
/// Right answers per arrival that another plan has to give more there, or how much less it has to miss its targets: what is as good at the forecast is
/// not changed for less.
const CLEARLY: f64 = 5e-3;
const LESS_MISSED: f64 = 0.1;

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
/// The referee looks at `tabled` and at the incumbent whatever the time is, then at rivals while there is some.
pub fn settle(request: &Request<'_>, tabled: &Plan) -> Settled {
    let problem = request.problem;
    let effort = spanning(problem, request.effort);
    // On arrivals that no plan was chosen by.
    let look = Look { arrivals: effort.arrivals, seed: effort.seed ^ 0x5E77_1E00 };
    let mut referee = Referee::new(&Request { budget: Budget::default(), ..*request });
    let ours = referee.look(tabled, look, false);
    let incumbent = request.incumbent.map(|plan| referee.look(plan, look, true));
    referee.budget = request.budget;
    let adapts = |plan: &&Plan| plan.policies.iter().any(|one| one.rates.is_some() || one.learning.is_some());
    let rivals = request.rivals.iter().filter(|plan| is_bursty(problem) || adapts(plan));
    let judged: Vec<Contender> = rivals.map(|plan| referee.look(plan, look, false)).collect();
    let mut field: Vec<Contender> = judged.iter().filter(|rival| does_beat(request, rival, &ours)).cloned().collect();
    field.push(ours.clone());
    referee.rank(&mut field, 0.0);
    // Also among these a hair of accuracy is not worth much loss or latency.
    let best = preferred(problem, &field).unwrap_or(&ours);
    let adapts = adaptable(request, look, best, judged.iter().chain([&ours]));
    let best = adapts.unwrap_or(best);
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
            let is_rival = best.plan != *tabled;
            let mut loser = best.evaluation.as_ref().filter(|_| is_rival).and_then(|found| loser_is(&ours, found));
            if let (Some(loser), true) = (&mut loser, adapts.is_some()) {
                WORSE_TABLE.clone_into(&mut loser.why);
            }
            Settled { plan: best.plan.clone(), evaluation: best.evaluation.clone(), loser }
        }
    }
}

const WORSE_TABLE: &str = "as good at the forecast, and worse where 2 and 4 times as many jobs arrive";

/// The one of those as good as `best` at the forecast whose table does best where more jobs arrive; `None` where none does clearly better than that of `best`, or
/// there is no time to see.
fn adaptable<'c>(
    request: &Request<'_>,
    look: Look,
    best: &Contender,
    others: impl Iterator<Item = &'c Contender>,
) -> Option<&'c Contender> {
    let at_forecast = best.evaluation.as_ref()?;
    let is_alike = |one: &&Contender| {
        let found = one.evaluation.as_ref();
        one.plan != best.plan && found.is_some_and(|found| is_as_good(request.problem, found, at_forecast))
    };
    let alike: Vec<&Contender> = others.filter(is_alike).collect();
    if alike.is_empty() {
        return None;
    }
    let problems = HIGHER.map(|ratio| request.problem.scaled(ratio));
    // What targets are missed by in sum, and the mean worth.
    let does = |one: &Contender| -> Option<(f64, f64)> {
        let mut sum = (0.0, 0.0);
        for problem in &problems {
            let found = Referee::new(&Request { problem, ..*request }).judge(&one.plan, look)?;
            sum.0 += Score::of(problem, &found).violation;
            sum.1 += worth(problem, &found) / HIGHER.len() as f64;
        }
        Some(sum)
    };
    let (missed, least) = does(best)?;
    let judged = alike.into_iter().filter_map(|one| Some((one, does(one)?)));
    let is_better = |&(_, (violation, worth)): &(&Contender, (f64, f64))| {
        violation + LESS_MISSED < missed || (violation <= missed + WITHIN_VIOLATION && worth > least + CLEARLY)
    };
    let better = judged.filter(is_better);
    better.max_by(|(_, one), (_, other)| one.1.total_cmp(&other.1)).map(|(one, _)| one)
}

/// Whether both were judged, and the first beats the second.
fn does_beat(request: &Request<'_>, one: &Contender, other: &Contender) -> bool {
    let both = one.evaluation.as_ref().zip(other.evaluation.as_ref());
    both.is_some_and(|(one, other)| beats(request.problem, one, other))
}

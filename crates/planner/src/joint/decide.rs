//! The verdict: which plan is followed, and what is known about it.

use super::planned::why_lost;
use super::referee::Referee;
use super::screen::Screen;
use super::search::Search;
use super::{Contender, HeldOut, Outcome, Planned, Request, RunnerUp, Verdict};
use crate::Decomposition;
use domain::plan::beats;
use domain::{Evaluation, Evaluator, Plan, Problem, Score};

/// The incumbent, or the plain plan where there is none.
pub(super) fn keep(request: &Request<'_>, why: &str) -> Planned {
    let verdict = if request.incumbent.is_some() { Verdict::Kept(why.to_owned()) } else { Verdict::First };
    let plan = request.incumbent.cloned().unwrap_or_else(|| plain(request.problem, request));
    Planned {
        plan,
        outcome: Outcome::Infeasible(vec![]),
        verdict,
        score: None,
        evaluations: vec![],
        runner_up: None,
        spent: vec![],
        held_out: vec![],
    }
}

/// Exit-last on all chains alike.
fn plain(problem: &Problem, request: &Request<'_>) -> Plan {
    let policy = |service: usize| match request.fixed.get(service) {
        Some(Some(policy)) => policy.clone(),
        _ => super::candidate::plain(problem, service),
    };
    Plan { policies: (0..problem.services.len()).map(policy).collect() }
}

impl Search<'_> {
    pub(super) fn decide(&self, contenders: Vec<Contender>, screen: &Screen<'_>, referee: &mut Referee<'_>) -> Planned {
        let request = self.request;
        let judged = contenders.iter().any(|contender| contender.evaluation.is_some());
        if let (false, Some(_), Some(trouble)) = (judged, request.incumbent, referee.trouble.as_deref()) {
            return keep(request, trouble);
        }
        if !judged && request.incumbent.is_some() && !referee.is_unable {
            return keep(request, "the time did not suffice to compare");
        }
        let contenders = if judged { contenders } else { self.screened(contenders) };
        let by = if judged { request.referee.name() } else { Decomposition::default().name() };
        let winner = contenders.iter().find(|contender| contender.evaluation.is_some());
        let Some(winner) = winner else {
            return keep(request, referee.trouble.as_deref().unwrap_or("nobody could tell what a plan would do"));
        };
        let (chosen, verdict) = self.verdict(&contenders, winner);
        let evaluation = chosen.evaluation.clone();
        let next = contenders.iter().find(|other| other.plan != chosen.plan && other.evaluation.is_some());
        let runner_up = next.and_then(|other| {
            let (theirs, ours) = (other.evaluation.as_ref()?, evaluation.as_ref()?);
            let mut why = why_lost(request.problem, theirs, ours);
            if let (Verdict::Kept(reason), false) = (&verdict, other.is_incumbent) {
                why.clone_from(reason);
            }
            let score = Score::of(request.problem, theirs);
            let (plan, evaluation) = (other.plan.clone(), theirs.clone());
            Some(RunnerUp { plan, evaluation, score, is_incumbent: other.is_incumbent, why })
        });
        let mut evaluations: Vec<(&'static str, Evaluation)> =
            evaluation.iter().map(|found| (by, found.clone())).collect();
        let formula = |judges| Decomposition { judges }.evaluate(request.problem, &chosen.plan, &request.effort).ok();
        let (choosing, judging) = (formula(false), formula(true));
        if let Some(judging) = judging.as_ref().filter(|_| judged) {
            evaluations.push((Decomposition::default().name(), judging.clone()));
        }
        let held_out = choosing.iter().zip(&judging).flat_map(|(chosen, judged)| {
            let of = |service| HeldOut {
                chosen: chosen.service(service).accuracy,
                judged: judged.service(service).accuracy,
            };
            (0..chosen.services()).map(of).collect::<Vec<_>>()
        });
        Planned {
            outcome: evaluation
                .as_ref()
                .map_or(Outcome::Infeasible(vec![]), |found| Outcome::of(request.problem, found)),
            score: evaluation.as_ref().map(|found| Score::of(request.problem, found)),
            verdict,
            held_out: held_out.collect(),
            evaluations,
            runner_up,
            spent: vec![(Decomposition::default().name(), screen.spent), (request.referee.name(), referee.spent)],
            plan: chosen.plan.clone(),
        }
    }

    /// What is followed, and why.
    fn verdict<'c>(&self, contenders: &'c [Contender], winner: &'c Contender) -> (&'c Contender, Verdict) {
        let Some(incumbent) = contenders.iter().find(|contender| contender.is_incumbent) else {
            return (winner, Verdict::First);
        };
        let kept = |why: &str| (incumbent, Verdict::Kept(why.to_owned()));
        if winner.is_incumbent {
            return kept("nothing better was found");
        }
        match (&winner.evaluation, &incumbent.evaluation) {
            (Some(ours), Some(theirs)) if beats(self.request.problem, ours, theirs) => (winner, Verdict::Beats),
            (Some(_), Some(_)) => kept("the best other plan is better by no more than chance explains"),
            _ => kept("the time did not suffice to compare"),
        }
    }

    /// Without a referee formulas have the last word.
    fn screened(&self, contenders: Vec<Contender>) -> Vec<Contender> {
        let judge = |contender: Contender| {
            let found = Decomposition::default().evaluate(self.request.problem, &contender.plan, &self.request.effort);
            Contender { evaluation: found.ok(), ..contender }
        };
        let mut all: Vec<Contender> = contenders.into_iter().map(judge).collect();
        let score = |one: &Contender| one.evaluation.as_ref().map(|found| Score::of(self.request.problem, found));
        all.sort_by(|one, other| match (score(one), score(other)) {
            (Some(one), Some(other)) => other.order(&one),
            (one, other) => other.is_some().cmp(&one.is_some()),
        });
        all
    }
}

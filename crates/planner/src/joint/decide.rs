//! The verdict: which plan is followed, and what is known about it.

use super::planned::why_lost;
use super::referee::Referee;
use super::screen::Screen;
use super::search::Search;
use super::ties::preferred;
use super::{Contender, HeldOut, Outcome, Planned, Request, RunnerUp, Verdict};
use crate::Decomposition;
use domain::plan::beats;
use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Problem, Score};

/// The incumbent, or the plain plan where there is none.
pub(super) fn keep(request: &Request<'_>, why: &str) -> Planned {
    let verdict = if request.incumbent.is_some() { Verdict::Kept(why.to_owned()) } else { Verdict::First };
    let plan = request.incumbent.cloned().unwrap_or_else(|| plain(request.problem, request));
    Planned {
        plan,
        outcome: Outcome::Unknown,
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

/// Accuracy by formulas per service, on the samples that chose thresholds and on others; empty where formulas cannot tell.
pub fn held_out(problem: &Problem, plan: &Plan, effort: &EvaluationEffort<'_>) -> Vec<HeldOut> {
    let formula = |judges| Decomposition { judges }.evaluate(problem, plan, effort).ok();
    let (Some(choosing), Some(judging)) = (formula(false), formula(true)) else { return vec![] };
    let of =
        |service| HeldOut { chosen: choosing.service(service).accuracy, judged: judging.service(service).accuracy };
    (0..choosing.services()).map(of).collect()
}

impl Search<'_> {
    /// `contenders`: best first; the first `finalists` of them were judged on the same arrivals, or all by short looks.
    pub(super) fn decide(
        &self,
        contenders: Vec<Contender>,
        finalists: usize,
        screen: &Screen<'_>,
        referee: &mut Referee<'_>,
    ) -> Planned {
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
        if contenders.iter().all(|contender| contender.evaluation.is_none()) {
            return keep(request, referee.trouble.as_deref().unwrap_or("nobody could tell what a plan would do"));
        }
        let field = if judged && finalists > 0 { &contenders[..finalists] } else { &contenders[..] };
        let (chosen, verdict) = self.verdict(&contenders, field);
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
        if judged {
            let formulas = Decomposition::default();
            evaluations.extend(
                formulas
                    .evaluate(request.problem, &chosen.plan, &request.effort)
                    .ok()
                    .map(|found| (formulas.name(), found)),
            );
        }
        Planned {
            outcome: evaluation.as_ref().map_or(Outcome::Unknown, |found| Outcome::of(request.problem, found)),
            score: evaluation.as_ref().map(|found| Score::of(request.problem, found)),
            verdict,
            held_out: held_out(request.problem, &chosen.plan, &request.effort),
            evaluations,
            runner_up,
            spent: vec![(Decomposition::default().name(), screen.spent), (request.referee.name(), referee.spent)],
            plan: chosen.plan.clone(),
        }
    }

    /// What is followed, and why: of those who beat the incumbent the one that users would rather have.
    fn verdict<'c>(&self, all: &'c [Contender], field: &'c [Contender]) -> (&'c Contender, Verdict) {
        let problem = self.request.problem;
        let first = field.iter().find(|one| one.evaluation.is_some()).expect("somebody was judged");
        let Some(incumbent) = all.iter().find(|contender| contender.is_incumbent) else {
            return (preferred(problem, field).unwrap_or(first), Verdict::First);
        };
        let kept = |why: &str| (incumbent, Verdict::Kept(why.to_owned()));
        let Some(theirs) = &incumbent.evaluation else { return kept("the time did not suffice to compare") };
        if first.is_incumbent {
            return kept("nothing better was found");
        }
        let beats = |one: &&Contender| one.evaluation.as_ref().is_some_and(|ours| beats(problem, ours, theirs));
        let mut better = field.iter().filter(beats).peekable();
        if better.peek().is_none() {
            return kept("the best other plan is better by no more than chance explains");
        }
        match preferred(problem, better.chain([incumbent])) {
            Some(winner) if !winner.is_incumbent => (winner, Verdict::Beats),
            _ => kept("it is as accurate as any other, and loses less or answers sooner"),
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

//! Whose word counts: candidates before a second evaluator, with common random numbers.

use super::{Budget, Contender};
use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Problem, Score};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The second evaluator with what it may spend.
pub(crate) struct Referee<'a> {
    pub(crate) evaluator: &'a dyn Evaluator,
    pub(crate) problem: &'a Problem,
    pub(crate) effort: EvaluationEffort<'a>,
    pub(crate) budget: Budget<'a>,
    pub(crate) spent: u64,
    /// What went wrong the last time.
    pub(crate) trouble: Option<String>,
    /// Whether it has said that it cannot judge such plans.
    pub(crate) is_unable: bool,
}

impl Referee<'_> {
    /// What the evaluator says of a plan with so many arrivals; nothing where it cannot, was stopped before the first
    /// replication was over, or panicked.
    pub(crate) fn judge(&mut self, plan: &Plan, arrivals: u64) -> Option<Evaluation> {
        if self.budget.stop.is_some_and(|stop| stop()) {
            return None;
        }
        self.spent += 1;
        let effort = EvaluationEffort { arrivals, stop: self.budget.stop.or(self.effort.stop), ..self.effort };
        let call = || self.evaluator.evaluate(self.problem, plan, &effort);
        match catch_unwind(AssertUnwindSafe(call)) {
            // What was cut short says less than it seems to: it does not take part.
            Ok(Ok(evaluation)) if !evaluation.replications.is_empty() && !self.is_cut_short(&evaluation) => {
                Some(evaluation)
            }
            Ok(Ok(_)) => None,
            Ok(Err(_)) => {
                self.is_unable = true;
                None
            }
            Err(_) => {
                self.trouble = Some(format!("{} panicked", self.evaluator.name()));
                None
            }
        }
    }

    fn is_cut_short(&self, evaluation: &Evaluation) -> bool {
        let stop = self.budget.stop.or(self.effort.stop);
        evaluation.replications.len() < self.effort.replications.get() as usize && stop.is_some_and(|stop| stop())
    }

    /// Has a look at a plan.
    pub(crate) fn look(&mut self, plan: &Plan, arrivals: u64, is_incumbent: bool) -> Contender {
        let evaluation = self.judge(plan, arrivals);
        Contender { plan: plan.clone(), evaluation, looked_at: arrivals, is_incumbent }
    }

    /// Successive halving: all are judged, the better half again with four times the arrivals, until one or two are left that
    /// have been judged with `arrivals`. Best first. Those that were not judged come last.
    pub(crate) fn halve(&mut self, mut contenders: Vec<Contender>, arrivals: u64) -> Vec<Contender> {
        let rounds = contenders.len().max(2).ilog2();
        for round in 0..rounds {
            let share = arrivals >> (2 * (rounds - 1 - round));
            let keep =
                if round == 0 { contenders.len() } else { contenders.len().min(2.max(contenders.len() >> round)) };
            for contender in &mut contenders[..keep] {
                if contender.evaluation.is_some() && contender.looked_at >= share {
                    continue;
                }
                if let Some(evaluation) = self.judge(&contender.plan, share) {
                    (contender.evaluation, contender.looked_at) = (Some(evaluation), share);
                }
            }
            self.rank(&mut contenders[..keep]);
        }
        // Where time was over in between: longer looks are believed, and shorter ones where there is nothing else.
        contenders.sort_by_key(|contender| {
            contender.evaluation.as_ref().map_or(u64::MAX, |_| u64::MAX - 1 - contender.looked_at)
        });
        contenders
    }

    /// Best first; those that were not judged come last.
    pub(crate) fn rank(&self, contenders: &mut [Contender]) {
        let score = |contender: &Contender| contender.evaluation.as_ref().map(|found| Score::of(self.problem, found));
        contenders.sort_by(|one, other| match (score(one), score(other)) {
            (Some(one), Some(other)) => other.order(&one),
            (one, other) => other.is_some().cmp(&one.is_some()),
        });
    }
}

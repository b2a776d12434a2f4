//! Whose word counts: plans before a second evaluator, with common random numbers.

use super::{Budget, Contender, Request, span};
use domain::plan::mean_and_half_width;
use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Problem, Score, ServiceMetrics};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Share of the half width of the 95 % interval of a latency that counts on top of it: about its upper 90 % limit.
const CAUTION: f64 = 0.7;
/// More of it, and of that of losses, whenever there are twice as many services as two.
const PER_DOUBLING: f64 = 0.22;

/// How long to look, and at which arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    pub(crate) arrivals: u64,
    pub(crate) seed: u64,
}

/// The second evaluator with what it may spend.
#[derive(Clone)]
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

impl<'a> Referee<'a> {
    /// The one that a request names; it has not looked at anything yet.
    pub(crate) fn new(request: &Request<'a>) -> Self {
        let &Request { referee, problem, effort, budget, .. } = request;
        Self { evaluator: referee, problem, effort, budget, spent: 0, trouble: None, is_unable: false }
    }
}

impl Referee<'_> {
    /// What the evaluator says of a plan; nothing where it cannot, was stopped before the first replication was over,
    /// or panicked.
    pub(crate) fn judge(&mut self, plan: &Plan, Look { arrivals, seed }: Look) -> Option<Evaluation> {
        if self.budget.is_stopped() {
            return None;
        }
        self.spent += 1;
        let replications = span::replications(arrivals, self.problem.services.len(), self.effort.replications);
        let stop = self.budget.stop.or(self.effort.stop);
        let effort = EvaluationEffort { arrivals, seed, replications, stop };
        let call = || self.evaluator.evaluate(self.problem, plan, &effort);
        match catch_unwind(AssertUnwindSafe(call)) {
            // What was cut short says less than it seems to: it does not take part.
            Ok(Ok(evaluation)) if !evaluation.replications.is_empty() && !is_cut_short(&evaluation, &effort) => {
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

    /// Has a look at a plan.
    pub(crate) fn look(&mut self, plan: &Plan, look: Look, is_incumbent: bool) -> Contender {
        let evaluation = self.judge(plan, look);
        Contender { plan: plan.clone(), evaluation, is_incumbent }
    }

    /// What others like it have come to.
    pub(crate) fn take_over(&mut self, other: Self) {
        self.spent += other.spent;
        self.trouble = other.trouble.or(self.trouble.take());
        self.is_unable |= other.is_unable;
    }

    /// Best first; those that were not judged come last. Losses count by `more` of the half widths of their 95 % intervals than
    /// usual.
    pub(crate) fn rank(&self, contenders: &mut [Contender], more: f64) {
        let score = |contender: &Contender| {
            contender.evaluation.as_ref().map(|found| Score::of(self.problem, &more_cautious(found, more)))
        };
        contenders.sort_by(|one, other| match (score(one), score(other)) {
            (Some(one), Some(other)) => other.order(&one),
            (one, other) => other.is_some().cmp(&one.is_some()),
        });
    }
}

fn is_cut_short(evaluation: &Evaluation, effort: &EvaluationEffort<'_>) -> bool {
    let whole = effort.replications.get() as usize;
    evaluation.replications.len() < whole && effort.stop.is_some_and(|stop| stop())
}

/// Latencies at their upper limits, as losses are in scores: among many plans the one that is best by chance would win.
/// The more services there are, the further: every one of them is to keep its targets.
pub(crate) fn cautious(evaluation: &Evaluation) -> Evaluation {
    more_cautious(evaluation, 0.0)
}

/// As [`cautious`], and losses count by so many half widths of their 95 % intervals more.
pub(crate) fn more_cautious(evaluation: &Evaluation, with_losses: f64) -> Evaluation {
    let mut cautious = evaluation.clone();
    let more = (evaluation.services() as f64 / 2.0).max(1.0).log2() * PER_DOUBLING;
    for service in 0..evaluation.services() {
        let loss = upper_by(evaluation, ServiceMetrics::unanswered, service, more + with_losses);
        let mean = upper_by(evaluation, |metrics| metrics.mean_latency, service, CAUTION + more);
        let p95 = upper_by(evaluation, |metrics| metrics.p95_latency, service, CAUTION + more);
        for replication in &mut cautious.replications {
            replication[service].loss *= loss;
            replication[service].failure *= loss;
            replication[service].mean_latency *= mean;
            replication[service].p95_latency *= p95;
        }
    }
    cautious
}

/// The upper limit of a metric ÷ its mean over replications.
fn upper_by(evaluation: &Evaluation, metric: impl Fn(&ServiceMetrics) -> f64, service: usize, halves: f64) -> f64 {
    let values: Vec<f64> = evaluation.replications.iter().map(|services| metric(&services[service])).collect();
    let (mean, half) = mean_and_half_width(&values);
    if mean > 0.0 && half.is_finite() { 1.0 + halves * half / mean } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_too_late_are_feared_as_lost_ones_are() {
        let of = |failure: f64| vec![ServiceMetrics { failure, jobs: 1e6, ..ServiceMetrics::default() }; 20];
        let replications = [0.009, 0.01, 0.011].into_iter().map(of).collect();
        let told = Evaluation { replications, is_sampled: true, ..Evaluation::default() };
        assert!(cautious(&told).service(0).failure > 1.01 * told.service(0).failure);
    }

    #[test]
    fn caution_is_in_proportion_to_what_is_not_known() {
        let of = |p95_latency: f64| vec![ServiceMetrics { p95_latency, jobs: 100.0, ..ServiceMetrics::default() }];
        let told = |values: &[f64]| Evaluation {
            replications: values.iter().copied().map(of).collect(),
            is_sampled: true,
            ..Evaluation::default()
        };
        let p95 = |values: &[f64]| cautious(&told(values)).service(0).p95_latency;
        assert_eq!(p95(&[2.0, 2.0, 2.0]), 2.0);
        assert_eq!(p95(&[2.0]), 2.0, "formulas are not sampled");
        let of_many = |services: usize| {
            let all = |value: f64| vec![of(value).remove(0); services];
            let replications = [1.9, 2.0, 2.1].into_iter().map(all).collect();
            cautious(&Evaluation { replications, is_sampled: true, ..Evaluation::default() }).service(0).p95_latency
        };
        assert!(of_many(20) > of_many(2) && of_many(2) == of_many(1));
        assert!(p95(&[1.9, 2.0, 2.1]) > 2.0 && p95(&[1.8, 2.0, 2.2]) > p95(&[1.9, 2.0, 2.1]));
    }
}

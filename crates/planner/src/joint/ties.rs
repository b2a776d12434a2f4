//! Which of several plans users would rather have where accuracy does not tell them apart.
//!
//! # Problem
//! Targets that are kept count for nothing more, so a plan that loses as many jobs as it may is as good as one that loses
//! none, and one that makes everybody wait as good as one that answers at once, if a hair more of its answers are right.
//! Nobody who looks at both agrees.
//!
//! # How
//! Of the plans that miss their targets no more than the best and are within [`ALIKE`] of its accuracy, the one is taken
//! whose *worth* is highest: right answers per arrival, and for every halving of the mean latency [`HALVING`] more.
//! Services count by their priority.

use super::Contender;
use super::referee::cautious;
use domain::plan::WITHIN_VIOLATION;
use domain::{Evaluation, Problem, Score};

/// Accuracy that does not tell plans apart: exit tables of 2,500 samples know it to six times that.
const ALIKE: f64 = 1e-3;
/// Share of right answers that half the latency is worth.
const HALVING: f64 = 1e-3;
/// Latencies beyond these count as these, in seconds.
const LATENCIES: (f64, f64) = (1e-6, 1e6);

/// The plan of highest worth among those that are as good as the best; the best itself where others are worth no more. `None` where
/// nothing has been judged. `ranked`: best first.
pub(super) fn preferred<'c>(
    problem: &Problem,
    ranked: impl IntoIterator<Item = &'c Contender>,
) -> Option<&'c Contender> {
    let score = |found: &Evaluation| Score::of(problem, &cautious(found));
    let mut judged = ranked.into_iter().filter_map(|one| Some((one, one.evaluation.as_ref()?)));
    let first = judged.next()?;
    let best = score(first.1);
    let is_alike = |found: &Evaluation| {
        let score = score(found);
        score.violation <= best.violation + WITHIN_VIOLATION && score.accuracy >= best.accuracy - ALIKE
    };
    let others = judged.filter(|(_, found)| is_alike(found)).map(|(one, found)| (one, worth(problem, found)));
    let (preferred, _) = others.fold((first.0, worth(problem, first.1)), |best, other| {
        // The first of equals, and never what is no number.
        if other.1 > best.1 { other } else { best }
    });
    Some(preferred)
}

/// Of a service by the shares of right answers and of jobs without any, and by the mean latency in seconds.
pub(super) fn worth_of(accuracy: f64, unanswered: f64, mean_latency: f64) -> f64 {
    accuracy * (1.0 - unanswered) - HALVING * mean_latency.clamp(LATENCIES.0, LATENCIES.1).log2()
}

fn worth(problem: &Problem, found: &Evaluation) -> f64 {
    let of = |(index, service): (usize, &domain::problem::Service)| {
        let metrics = found.service(index);
        let worth = worth_of(metrics.accuracy, metrics.unanswered(), metrics.mean_latency);
        (service.targets.priority, worth)
    };
    let (weights, worth) = problem
        .services
        .iter()
        .enumerate()
        .map(of)
        .fold((0.0, 0.0), |sum, (weight, worth)| (sum.0 + weight, sum.1 + weight * worth));
    worth / weights
}

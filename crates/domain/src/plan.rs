//! Plans, and which of two is better.

use crate::problem::{Problem, Targets};
use crate::{Evaluation, Policy, ServiceMetrics};
use std::cmp::Ordering;

/// What the gateways of all services of a problem do. Placement is part of the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One per service of the problem, in its order. Chains are those of the service.
    pub policies: Vec<Policy>,
}

/// How good a plan is: less violation first, then more accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Sum over services and targets of how far each is missed, relative to it, weighed by priority; 0 when all are
    /// met. NaN predictions count as infinitely far.
    pub violation: f64,
    /// Share of right answers, mean over services weighed by priority.
    pub accuracy: f64,
}

/// Accuracy below which two plans are taken as equal, as a share of jobs.
pub const WITHIN_ACCURACY: f64 = 0.003;
/// The same for violation.
pub const WITHIN_VIOLATION: f64 = 1e-9;

impl Score {
    /// Of what was predicted. Loss counts at its upper 95 % limit where it was sampled.
    pub fn of(problem: &Problem, evaluation: &Evaluation) -> Self {
        if evaluation.replications.is_empty() {
            return Self { violation: f64::INFINITY, accuracy: 0.0 };
        }
        let upper = |service: usize| if evaluation.is_sampled { upper_loss(evaluation, service) } else { f64::NAN };
        let of_service = |service: usize| (service, evaluation.service(service), upper(service));
        Self::sum(problem, (0..evaluation.services()).map(of_service))
    }

    /// Of one replication, without intervals: to compare plans in pairs.
    pub fn of_replication(problem: &Problem, services: &[ServiceMetrics]) -> Self {
        Self::sum(problem, services.iter().cloned().enumerate().map(|(index, metrics)| (index, metrics, f64::NAN)))
    }

    fn sum(problem: &Problem, services: impl Iterator<Item = (usize, ServiceMetrics, f64)>) -> Self {
        let (mut score, mut weights) = (Self { violation: 0.0, accuracy: 0.0 }, 0.0);
        for (service, metrics, upper) in services {
            let targets = &problem.services[service].targets;
            let loss = if upper.is_nan() { metrics.unanswered() } else { upper };
            score.violation +=
                targets.priority * violations(targets, &metrics, loss).iter().map(|one| one.relative).sum::<f64>();
            score.accuracy += targets.priority * if metrics.accuracy.is_nan() { 0.0 } else { metrics.accuracy };
            weights += targets.priority;
        }
        score.accuracy /= weights;
        score
    }

    /// Which of two is better; `Greater` is better.
    pub fn order(&self, other: &Self) -> Ordering {
        let violation = other.violation.total_cmp(&self.violation);
        let same = (self.violation - other.violation).abs() <= WITHIN_VIOLATION;
        if same { self.accuracy.total_cmp(&other.accuracy) } else { violation }
    }

    /// Whether this one is as good as `other`, but for 0.3 points of accuracy.
    pub fn is_within(&self, other: &Self) -> bool {
        self.violation <= other.violation + WITHIN_VIOLATION && self.accuracy >= other.accuracy - WITHIN_ACCURACY
    }
}

/// A target that is missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Violation {
    /// Which target.
    pub target: Target,
    /// What it asks for.
    pub limit: f64,
    /// What is predicted.
    pub predicted: f64,
    /// How far it is missed ÷ the limit. For accuracy ÷ what may be wrong, so that it weighs like a loss.
    pub relative: f64,
}

/// Kinds of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Share of jobs lost, or failed: without an answer.
    Loss,
    /// Share of right answers.
    Accuracy,
    /// Mean latency, in seconds.
    MeanLatency,
    /// 95th percentile of latency, in seconds.
    P95Latency,
}

/// Loss limits and shares of wrong answers below this count as this, so that the relative miss stays finite.
const SMALLEST_LIMIT: f64 = 1e-4;

/// The targets that predicted metrics miss; `loss` is what to judge by: the share of jobs without an answer, or its
/// upper limit.
pub fn violations(targets: &Targets, metrics: &ServiceMetrics, loss: f64) -> Vec<Violation> {
    let at_most = |target, limit: Option<f64>, predicted: f64, smallest: f64| {
        let limit = limit?;
        // NaN is a miss.
        let is_met = predicted <= limit;
        (!is_met).then(|| {
            let relative = (predicted - limit) / limit.max(smallest);
            Violation { target, limit, predicted, relative: if relative.is_nan() { f64::INFINITY } else { relative } }
        })
    };
    let accuracy = targets.min_accuracy.map(crate::Probability::get).and_then(|limit| {
        at_most(Target::Accuracy, Some(1.0 - limit), 1.0 - metrics.accuracy, SMALLEST_LIMIT).map(|one| Violation {
            limit,
            predicted: metrics.accuracy,
            ..one
        })
    });
    let seconds = |limit: Option<crate::Seconds>| limit.map(crate::Seconds::get);
    [
        at_most(Target::Loss, targets.max_loss.map(crate::Probability::get), loss, SMALLEST_LIMIT),
        accuracy,
        at_most(Target::MeanLatency, seconds(targets.max_mean_latency), metrics.mean_latency, 1e-6),
        at_most(Target::P95Latency, seconds(targets.max_p95_latency), metrics.p95_latency, 1e-6),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Upper 95 % limit (one-sided) of the share of a service's jobs without an answer: from the spread over
/// replications, and never less than what so few jobs can show (3 ÷ n where none was lost).
pub fn upper_loss(evaluation: &Evaluation, service: usize) -> f64 {
    let losses: Vec<f64> = evaluation.replications.iter().map(|services| services[service].unanswered()).collect();
    let pooled = evaluation.service(service);
    let counted = pooled.unanswered() * pooled.jobs;
    // One-sided 95 % limit of a Poisson count, by the approximation of Wilson and Hilferty; 3.0 at a count of 0.
    let next = counted + 1.0;
    let count = next * (1.0 - 1.0 / (9.0 * next) + 1.645 / (3.0 * next.sqrt())).powi(3);
    let (mean, error) = mean_and_error(&losses);
    let spread = if losses.len() > 1 { mean + student_95(losses.len() - 1) * error } else { mean };
    if pooled.jobs > 0.0 { spread.max(count / pooled.jobs).min(1.0) } else { spread }
}

/// Whether `plan` beats `incumbent`: better in pairs of replications with common random numbers by more than the 95 %
/// interval of the difference, in violation or, where that is the same, in accuracy. With one replication each
/// (formulas) the difference itself counts.
pub fn beats(problem: &Problem, plan: &Evaluation, incumbent: &Evaluation) -> bool {
    let scores = |evaluation: &Evaluation| -> Vec<Score> {
        evaluation.replications.iter().map(|services| Score::of_replication(problem, services)).collect()
    };
    let (ours, theirs) = (scores(plan), scores(incumbent));
    if ours.is_empty() || theirs.is_empty() {
        return !ours.is_empty();
    }
    let (our, their) = (Score::of(problem, plan), Score::of(problem, incumbent));
    if !their.violation.is_finite() {
        return our.violation.is_finite();
    }
    let pairs = || ours.iter().zip(&theirs);
    let violation: Vec<f64> = pairs().map(|(our, their)| their.violation - our.violation).collect();
    let accuracy: Vec<f64> = pairs().map(|(our, their)| our.accuracy - their.accuracy).collect();
    let (less, half) = mean_and_half_width(&violation);
    if less > half.max(WITHIN_VIOLATION) && our.violation < their.violation - WITHIN_VIOLATION {
        return true;
    }
    let (more, half) = mean_and_half_width(&accuracy);
    our.violation <= their.violation + WITHIN_VIOLATION && more > half
}

/// Mean, and half width of its 95 % confidence interval (Student); 0 for a single value.
pub fn mean_and_half_width(values: &[f64]) -> (f64, f64) {
    let (mean, error) = mean_and_error(values);
    (mean, if values.len() < 2 { 0.0 } else { student_975(values.len() - 1) * error })
}

/// Mean, and its standard error; 0 for a single value.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// 97.5 % quantile of Student's t.
fn student_975(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    TABLE.get(freedom - 1).copied().unwrap_or_else(|| student(1.959_964, freedom))
}

/// 95 % quantile of Student's t.
fn student_95(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812];
    TABLE.get(freedom - 1).copied().unwrap_or_else(|| student(1.644_854, freedom))
}

/// A quantile of Student's t from that of the normal: the first terms of the expansion around it.
fn student(z: f64, freedom: usize) -> f64 {
    let n = freedom as f64;
    z + (z.powi(3) + z) / (4.0 * n) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Probability, Seconds};

    fn metrics(loss: f64, accuracy: f64) -> ServiceMetrics {
        ServiceMetrics {
            jobs: 10_000.0,
            loss,
            accuracy,
            mean_latency: 0.02,
            p95_latency: 0.1,
            ..ServiceMetrics::default()
        }
    }

    fn targets() -> Targets {
        Targets {
            max_loss: Some(Probability::new(0.01).unwrap()),
            min_accuracy: Some(Probability::new(0.9).unwrap()),
            max_p95_latency: Some(Seconds::new(0.1).unwrap()),
            ..Targets::default()
        }
    }

    #[test]
    fn misses_are_relative_to_their_limits() {
        assert_eq!(violations(&targets(), &metrics(0.01, 0.9), 0.01), []);
        let missed = violations(&targets(), &metrics(0.02, 0.85), 0.02);
        let found: Vec<_> = missed.iter().map(|one| (one.target, (one.relative * 1e6).round() / 1e6)).collect();
        assert_eq!(found, [(Target::Loss, 1.0), (Target::Accuracy, 0.5)]);
        let nan = violations(&targets(), &metrics(f64::NAN, 0.95), f64::NAN);
        assert_eq!(nan[0].relative, f64::INFINITY, "what is not known is not met");
    }

    #[test]
    fn jobs_that_fail_count_as_lost() {
        let evaluation = Evaluation {
            replications: vec![vec![ServiceMetrics { failure: 0.5, ..metrics(0.0, 0.99) }]],
            ..Evaluation::default()
        };
        assert!(upper_loss(&evaluation, 0) >= 0.5);
    }

    #[test]
    fn less_violation_comes_before_accuracy() {
        let score = |violation, accuracy| Score { violation, accuracy };
        assert_eq!(score(0.0, 0.8).order(&score(0.1, 0.9)), Ordering::Greater);
        assert_eq!(score(0.0, 0.8).order(&score(0.0, 0.9)), Ordering::Less);
        assert!(score(0.0, 0.8975).is_within(&score(0.0, 0.9)));
        assert!(!score(0.0, 0.89).is_within(&score(0.0, 0.9)));
    }

    #[test]
    fn zero_losses_in_few_jobs_prove_little() {
        let of = |jobs: f64| Evaluation {
            replications: vec![vec![ServiceMetrics { jobs, ..metrics(0.0, 0.9) }]],
            is_sampled: true,
            ..Evaluation::default()
        };
        assert!((upper_loss(&of(300.0), 0) - 3.0 / 300.0).abs() < 5e-4, "{}", upper_loss(&of(300.0), 0));
        assert!(upper_loss(&of(1e6), 0) < 4e-6);
    }

    #[test]
    fn students_quantiles_match_the_tables() {
        for (freedom, want) in [(1, 12.706), (4, 2.776), (15, 2.131), (30, 2.042), (100, 1.984)] {
            assert!((student_975(freedom) - want).abs() < 2e-3, "{freedom}");
        }
    }
}

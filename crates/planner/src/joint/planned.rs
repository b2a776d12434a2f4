//! What planning has come to, as data.

use domain::plan::{Target, Violation, upper_loss, violations};
use domain::{Evaluation, Plan, Problem, Score, ServiceMetrics};

/// A plan with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The plan to follow: the winner, or the incumbent where that stays.
    pub plan: Plan,
    /// Whether targets are met, by the last word.
    pub outcome: Outcome,
    /// Whether it replaces the incumbent, and why.
    pub verdict: Verdict,
    /// How good it is, by the last word; `None` if nobody could tell.
    pub score: Option<Score>,
    /// By each evaluator what it predicts for the plan, the one with the last word first.
    pub evaluations: Vec<(&'static str, Evaluation)>,
    /// The next best, if there was another.
    pub runner_up: Option<RunnerUp>,
    /// By each evaluator how often it was asked.
    pub spent: Vec<(&'static str, u64)>,
    /// Per service the accuracy on samples that chose and on samples that judge.
    pub held_out: Vec<HeldOut>,
}

/// Whether targets are met.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All of them.
    Feasible,
    /// Not these; the plan is the least bad one found.
    Infeasible(Vec<Missed>),
    /// Nobody could tell what the plan does.
    Unknown,
}

/// A target that cannot be met.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// Name of the service.
    pub service: String,
    /// Which target.
    pub target: Target,
    /// What it asks for.
    pub limit: f64,
    /// What is predicted.
    pub predicted: f64,
    /// How far it is missed ÷ the limit.
    pub relative: f64,
}

/// Whether a plan replaces the incumbent.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// There was none.
    First,
    /// It is better, beyond what chance explains.
    Beats,
    /// The incumbent stays, because of this.
    Kept(String),
}

/// The next best plan.
#[derive(Debug, Clone, PartialEq)]
pub struct RunnerUp {
    /// The plan.
    pub plan: Plan,
    /// What was predicted for it, by the same evaluator as for the plan.
    pub evaluation: Evaluation,
    /// How good it is.
    pub score: Score,
    /// Whether it is the incumbent.
    pub is_incumbent: bool,
    /// Why it lost, in words.
    pub why: String,
}

/// Accuracy by formulas, on the samples that chose thresholds and on others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// On samples that chose.
    pub chosen: f64,
    /// On samples that judge.
    pub judged: f64,
}

impl Verdict {
    /// Whether the plan is another one than the incumbent.
    pub fn is_new(&self) -> bool {
        !matches!(self, Self::Kept(_))
    }
}

impl Outcome {
    /// By what an evaluator predicts.
    pub fn of(problem: &Problem, evaluation: &Evaluation) -> Self {
        let of_service = |service: usize| {
            let metrics = evaluation.service(service);
            let loss = if evaluation.is_sampled { upper_loss(evaluation, service) } else { metrics.unanswered() };
            let missed = violations(&problem.services[service].targets, &metrics, loss);
            missed.into_iter().map(move |one| Missed::new(problem, service, one))
        };
        let missed: Vec<Missed> = (0..evaluation.services()).flat_map(of_service).collect();
        if missed.is_empty() { Self::Feasible } else { Self::Infeasible(missed) }
    }
}

impl Missed {
    fn new(problem: &Problem, service: usize, violation: Violation) -> Self {
        let Violation { target, limit, predicted, relative } = violation;
        Self { service: problem.services[service].name.clone(), target, limit, predicted, relative }
    }
}

/// Why `loser` comes after `winner`, in words.
pub(crate) fn why_lost(problem: &Problem, loser: &Evaluation, winner: &Evaluation) -> String {
    let (lost, won) = (Score::of(problem, loser), Score::of(problem, winner));
    if lost.violation > won.violation + domain::plan::WITHIN_VIOLATION
        && let Outcome::Infeasible(missed) = Outcome::of(problem, loser)
    {
        let worst = missed.into_iter().max_by(|one, other| one.relative.total_cmp(&other.relative));
        return worst.map_or_else(String::new, |worst| worst.in_words());
    }
    let points = 100.0 * (won.accuracy - lost.accuracy);
    let of = |found: &Evaluation, metric: fn(&ServiceMetrics) -> f64| -> f64 {
        (0..found.services()).map(|service| metric(&found.service(service))).sum()
    };
    let (loses, waits) =
        (ServiceMetrics::unanswered as fn(&ServiceMetrics) -> f64, |one: &ServiceMetrics| one.mean_latency);
    match points {
        points if points >= 0.05 => format!("{points:.1} points less accuracy"),
        _ if of(loser, loses) > of(winner, loses) + 1e-3 => {
            "no more accuracy that could be told apart, and more jobs are lost".to_owned()
        }
        _ if of(loser, waits) > 1.1 * of(winner, waits) => {
            "no more accuracy that could be told apart, and answers come later".to_owned()
        }
        _ => "no better in accuracy, within what can be told apart".to_owned(),
    }
}

impl Missed {
    /// Such as `camera would lose 3.1 % of its jobs, 1 % is allowed`.
    pub fn in_words(&self) -> String {
        let Self { service, target, limit, predicted, .. } = self;
        match target {
            Target::Loss => {
                format!(
                    "{service} would lose {:.2} % of its jobs, {:.2} % is allowed",
                    100.0 * predicted,
                    100.0 * limit
                )
            }
            Target::Accuracy => {
                format!("{service} would be right in {:.1} %, {:.1} % is asked for", 100.0 * predicted, 100.0 * limit)
            }
            Target::MeanLatency => {
                format!("{service} would need {:.1} ms on average, {:.1} ms is allowed", 1e3 * predicted, 1e3 * limit)
            }
            Target::P95Latency => {
                format!("{service} would need {:.1} ms at p95, {:.1} ms is allowed", 1e3 * predicted, 1e3 * limit)
            }
        }
    }
}

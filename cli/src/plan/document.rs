//! A plan as a document: what `--output json` prints, and what tables and words are made from.

use super::decision::Decision;
use crate::placement::PlacementDocument;
use deployment::{Ask, Found, Prediction, misses};
use domain::plan::{Score, Target, Violation, upper_loss};
use domain::{Choice, Epoch, Evaluation, Learning, Mixture, Policy, Probability, Problem, Seconds, ServiceMetrics};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// What was decided for all services, and what is predicted of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanDocument {
    /// Whether the judging evaluator predicts that all targets are met.
    pub(crate) meets_targets: bool,
    /// The evaluator by which plans were judged; null where none could predict this one.
    pub(crate) judge: Option<String>,
    /// How good the plan is.
    pub(crate) score: Option<ScoreDocument>,
    /// Services, in the order of the manifests.
    pub(crate) services: Vec<ServiceDocument>,
    /// How busy devices are.
    pub(crate) devices: Vec<BusyDocument>,
    /// How busy links are.
    pub(crate) links: Vec<BusyDocument>,
    /// The best plan that was not taken; null where there was no other.
    pub(crate) runner_up: Option<RunnerUpDocument>,
    /// Where fragments live; null where the manifests say it for all services.
    pub(crate) placement: Option<PlacementDocument>,
    /// How the plan was found.
    pub(crate) search: SearchDocument,
}

/// How good a plan is: first less violation, then more accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScoreDocument {
    /// Sum over targets of how far each is missed relative to it, weighed by priority; 0 when all are met, null when infinite.
    pub(crate) violation: Option<f64>,
    /// Share of right answers, mean over services weighed by priority.
    pub(crate) accuracy: f64,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceDocument {
    /// Its name.
    pub(crate) name: String,
    /// Its scheduler.
    pub(crate) scheduler: String,
    /// When thresholds are fixed: Arrival or Dispatch.
    pub(crate) epoch: &'static str,
    /// Names of the exits in order.
    pub(crate) exits: Vec<String>,
    /// What is done with the jobs of each source.
    pub(crate) sources: Vec<SourceDocument>,
    /// Other choices for other arrival rates, by which a gateway adapts by itself.
    pub(crate) rates: Vec<RateDocument>,
    /// Thresholds that gateways find by themselves.
    pub(crate) learning: Option<LearningDocument>,
    /// What it must keep to.
    pub(crate) targets: TargetsDocument,
    /// What each evaluator predicts.
    pub(crate) predicted: Vec<PredictionDocument>,
    /// How well its thresholds do on samples that did not choose them; null where nothing was chosen jointly.
    pub(crate) held_out: Option<HeldOutDocument>,
    /// Targets that are missed, by the judging evaluator.
    pub(crate) missed: Vec<MissDocument>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceDocument {
    /// Its name.
    pub(crate) name: String,
    /// Jobs per second that were planned for.
    pub(crate) rate: f64,
    /// Ways to treat a job, drawn by probability.
    pub(crate) choices: Vec<ChoiceDocument>,
}

/// A way to treat a job.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChoiceDocument {
    /// Share of the jobs treated so.
    pub(crate) probability: f64,
    /// The chain they take.
    pub(crate) chain: String,
    /// One per exit but the last: a job leaves where its confidence is above; 0 always leaves, 1 is closed.
    pub(crate) thresholds: Vec<f32>,
    /// Thresholds by the number of jobs present at the first fragment, itself included, from 1 on; the last entry is also for
    /// more. Empty where that does not matter.
    pub(crate) by_present: Vec<Vec<DrawDocument>>,
}

/// A vector of thresholds that is drawn with some probability.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrawDocument {
    /// Its probability.
    pub(crate) probability: f64,
    /// One per exit but the last.
    pub(crate) thresholds: Vec<f32>,
}

/// Choices for a range of arrival rates.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RateDocument {
    /// Largest measured rate ÷ forecast that they are for.
    pub(crate) up_to: f64,
    /// What is done with the jobs of each source.
    pub(crate) sources: Vec<SourceDocument>,
}

/// How a gateway finds thresholds by itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LearningDocument {
    /// Reactive or AdaEE.
    pub(crate) kind: &'static str,
    /// Vectors of thresholds that it chooses from; 0 where it moves from exit to exit.
    pub(crate) arms: usize,
}

/// Targets; null does not limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetsDocument {
    /// Largest share of jobs lost.
    pub(crate) max_loss: Option<f64>,
    /// Smallest share of right answers.
    pub(crate) min_accuracy: Option<f64>,
    /// Largest mean latency in milliseconds.
    pub(crate) max_mean_latency_milliseconds: Option<f64>,
    /// Largest 95th percentile of latency in milliseconds.
    pub(crate) max_p95_latency_milliseconds: Option<f64>,
    /// Weight against other services.
    pub(crate) priority: f64,
}

/// What an evaluator predicts of a service. Numbers are null where it predicts none.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PredictionDocument {
    /// Its name.
    pub(crate) evaluator: String,
    /// Why it predicts nothing; null where it does.
    pub(crate) unsupported: Option<String>,
    /// Jobs that were simulated; 0 for formulas.
    pub(crate) jobs: f64,
    /// Answered jobs per second.
    pub(crate) throughput: Option<f64>,
    /// Share of jobs lost.
    pub(crate) loss: Option<f64>,
    /// Share of jobs that ended otherwise without an answer, mostly because it came too late.
    pub(crate) failure: Option<f64>,
    /// Upper end of the 95 % confidence interval of both together, by which the target is judged; null for formulas.
    pub(crate) loss_upper: Option<f64>,
    /// Share of right answers.
    pub(crate) accuracy: Option<f64>,
    /// Mean latency in milliseconds.
    pub(crate) mean_latency_milliseconds: Option<f64>,
    /// 95th percentile of latency in milliseconds.
    pub(crate) p95_latency_milliseconds: Option<f64>,
    /// Whether that percentile is a fit to mean and variance; such a one judges nothing.
    pub(crate) p95_is_fitted: bool,
    /// Per exit the share of answers given there.
    pub(crate) exits: Vec<f64>,
    /// Per chain, in the order of the manifest, the share of jobs sent there.
    pub(crate) chains: Vec<f64>,
}

/// A target that is missed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MissDocument {
    /// maxLoss, minAccuracy, maxMeanLatencyMilliseconds or maxP95LatencyMilliseconds.
    pub(crate) target: &'static str,
    /// What it asks for, in its unit.
    pub(crate) limit: f64,
    /// What is predicted; for loss its upper 95 % limit.
    pub(crate) predicted: Option<f64>,
    /// How far it is missed relative to the limit; null when infinite.
    pub(crate) relative: Option<f64>,
}

/// How busy something is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BusyDocument {
    /// Its name.
    pub(crate) name: String,
    /// By the judging evaluator the share of its cores, or of time, that is busy.
    pub(crate) busy: f64,
}

/// The best plan that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerUpDocument {
    /// How good it is.
    pub(crate) score: ScoreDocument,
    /// Why it lost, in words.
    pub(crate) why: String,
    /// Per service what is done with the jobs of each source.
    pub(crate) services: Vec<RunnerUpServiceDocument>,
}

/// A service under the best plan that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerUpServiceDocument {
    /// Its name.
    pub(crate) name: String,
    /// What would be done with the jobs of each source.
    pub(crate) sources: Vec<SourceDocument>,
    /// What the judging evaluator predicts, from fewer jobs.
    pub(crate) predicted: PredictionDocument,
}

/// Accuracy on the samples by which thresholds were chosen, and on others; close to each other unless they were tuned to
/// noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldOutDocument {
    /// On samples that chose.
    pub(crate) chosen: f64,
    /// On samples that judge.
    pub(crate) judged: f64,
}

/// How a plan was found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchDocument {
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// Milliseconds that it might take.
    pub(crate) budget_milliseconds: u64,
    /// Milliseconds that it took, with rows for other rates.
    pub(crate) milliseconds: u64,
    /// Plans that were looked at; 0 where there was nothing to search for.
    pub(crate) plans: u64,
    /// Whether the budget ended the search, of which it is three fifths.
    pub(crate) is_cut_short: bool,
}

impl PlanDocument {
    /// Of a decision about a problem; `schedulers` are the names of those that decided, one per service.
    pub(crate) fn new(problem: &Problem, schedulers: &[String], exits: &[Vec<String>], decision: &Decision) -> Self {
        let judge = decision.judge();
        let service = |index: usize| {
            let judging = judge.and_then(|judge| judge.evaluation());
            ServiceDocument::new(problem, index, &schedulers[index], &exits[index], decision, judging)
        };
        let services: Vec<_> = (0..problem.services.len()).map(service).collect();
        let evaluation = judge.and_then(Prediction::evaluation);
        let busy = |names: Vec<&str>, shares: Option<&Vec<f64>>| {
            let shares = shares.into_iter().flatten();
            names.into_iter().zip(shares).map(|(name, &busy)| BusyDocument { name: name.to_owned(), busy }).collect()
        };
        Self {
            meets_targets: judge.is_some() && services.iter().all(|service| service.missed.is_empty()),
            judge: judge.map(|judge| judge.evaluator.clone()),
            score: evaluation.map(|evaluation| Score::of(problem, evaluation).into()),
            services,
            devices: busy(
                problem.devices.iter().map(|device| device.name.as_str()).collect(),
                evaluation.map(|evaluation| &evaluation.devices),
            ),
            links: busy(
                problem.links.iter().map(|link| link.name.as_str()).collect(),
                evaluation.map(|evaluation| &evaluation.links),
            ),
            runner_up: decision.runner_up.as_ref().zip(judge).map(|(other, judge)| RunnerUpDocument {
                score: Score::of(problem, &other.evaluation).into(),
                why: other.why.clone(),
                services: (0..problem.services.len())
                    .map(|index| RunnerUpServiceDocument {
                        name: problem.services[index].name.clone(),
                        sources: {
                            let policy = &other.plan.policies[index];
                            sources(&rates(problem, index), policy, &|name| policy.mixture(name).clone(), 1.0)
                        },
                        predicted: PredictionDocument::new(&judge.evaluator, &other.evaluation, index),
                    })
                    .collect(),
            }),
            placement: None,
            search: decision.search.clone(),
        }
    }
}

impl SearchDocument {
    /// Of what was asked for and what came of it.
    pub(crate) fn new(ask: &Ask, found: &Found) -> Self {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            seed: ask.seed,
            budget_milliseconds: milliseconds(ask.budget),
            milliseconds: milliseconds(found.took),
            plans: found.plans,
            is_cut_short: found.is_cut_short,
        }
    }
}

impl ServiceDocument {
    fn new(
        problem: &Problem,
        index: usize,
        scheduler: &str,
        exits: &[String],
        decision: &Decision,
        judging: Option<&Evaluation>,
    ) -> Self {
        let (service, policy) = (&problem.services[index], &decision.plan.policies[index]);
        let targets = TargetsDocument::new(&service.targets);
        Self {
            predicted: decision.predictions.iter().map(|one| PredictionDocument::of(one, index)).collect(),
            held_out: decision.held_out.get(index).map(|&(chosen, judged)| HeldOutDocument { chosen, judged }),
            missed: judging
                .iter()
                .flat_map(|judging| misses(problem, judging, index))
                .map(|miss| MissDocument::new(&miss))
                .collect(),
            ..Self::of_policy(&service.name, scheduler, exits, &rates(problem, index), policy, targets)
        }
    }

    /// What a policy does with jobs that come at these rates, per source; nothing is predicted of it yet.
    pub(crate) fn of_policy(
        name: &str,
        scheduler: &str,
        exits: &[String],
        forecast: &[(String, f64)],
        policy: &Policy,
        targets: TargetsDocument,
    ) -> Self {
        let rows = policy.rates.iter().flat_map(|rates| &rates.rows);
        Self {
            name: name.to_owned(),
            scheduler: scheduler.to_owned(),
            epoch: match policy.epoch {
                Epoch::Arrival => "Arrival",
                Epoch::Dispatch => "Dispatch",
            },
            exits: exits.to_vec(),
            sources: sources(forecast, policy, &|name| policy.mixture(name).clone(), 1.0),
            rates: rows
                .map(|row| RateDocument {
                    up_to: row.up_to,
                    sources: sources(forecast, policy, &|name| row.mixture(name).clone(), row.up_to),
                })
                .collect(),
            learning: policy.learning.as_ref().map(LearningDocument::new),
            targets,
            predicted: vec![],
            held_out: None,
            missed: vec![],
        }
    }
}

/// Jobs per second of each source of a service.
fn rates(problem: &Problem, service: usize) -> Vec<(String, f64)> {
    problem.services[service].sources.iter().map(|source| (source.name.clone(), source.rate.get())).collect()
}

/// What is done with the jobs of each source of a service, at `factor` times its rate.
fn sources(
    rates: &[(String, f64)],
    policy: &Policy,
    mixture: &dyn Fn(&str) -> Mixture,
    factor: f64,
) -> Vec<SourceDocument> {
    let source = |(name, rate): &(String, f64)| SourceDocument {
        name: name.clone(),
        rate: rate * factor,
        choices: mixture(name).choices().iter().map(|one| ChoiceDocument::new(one, policy)).collect(),
    };
    rates.iter().map(source).collect()
}

impl ChoiceDocument {
    fn new(choice: &Choice, policy: &Policy) -> Self {
        let lottery = |lottery: &domain::Lottery| {
            let draw = |(probability, thresholds): &(Probability, domain::Thresholds)| DrawDocument {
                probability: probability.get(),
                thresholds: thresholds.as_slice().to_vec(),
            };
            lottery.draws().iter().map(draw).collect()
        };
        Self {
            probability: choice.probability.get(),
            chain: policy.chains[choice.chain].name.clone(),
            thresholds: choice.thresholds.as_slice().to_vec(),
            by_present: choice.by_present.iter().map(lottery).collect(),
        }
    }
}

impl LearningDocument {
    fn new(learning: &Learning) -> Self {
        match learning {
            Learning::Reactive => Self { kind: "Reactive", arms: 0 },
            Learning::AdaEE(bandit) => Self { kind: "AdaEE", arms: bandit.arms.len() },
        }
    }
}

impl TargetsDocument {
    /// Of limits as they are planned with.
    pub(crate) fn new(targets: &domain::problem::Targets) -> Self {
        let milliseconds = |limit: Option<Seconds>| limit.map(|limit| limit.get() * 1e3);
        Self {
            max_loss: targets.max_loss.map(Probability::get),
            min_accuracy: targets.min_accuracy.map(Probability::get),
            max_mean_latency_milliseconds: milliseconds(targets.max_mean_latency),
            max_p95_latency_milliseconds: milliseconds(targets.max_p95_latency),
            priority: targets.priority,
        }
    }
}

impl PredictionDocument {
    fn of(prediction: &Prediction, service: usize) -> Self {
        match &prediction.outcome {
            Ok(evaluation) => Self::new(&prediction.evaluator, evaluation, service),
            Err(unsupported) => Self {
                unsupported: Some(unsupported.to_string()),
                ..Self::empty(&prediction.evaluator, ServiceMetrics::default())
            },
        }
    }

    fn new(evaluator: &str, evaluation: &Evaluation, service: usize) -> Self {
        if evaluation.replications.is_empty() {
            let unsupported = Some(format!("{evaluator} was stopped before it had measured anything"));
            return Self { unsupported, ..Self::empty(evaluator, ServiceMetrics::default()) };
        }
        let metrics = evaluation.service(service);
        let milliseconds = |seconds: f64| finite(seconds * 1e3);
        Self {
            throughput: finite(metrics.throughput),
            loss: finite(metrics.loss),
            failure: finite(metrics.failure),
            loss_upper: evaluation.is_sampled.then(|| upper_loss(evaluation, service)).and_then(finite),
            accuracy: finite(metrics.accuracy),
            mean_latency_milliseconds: milliseconds(metrics.mean_latency),
            p95_latency_milliseconds: milliseconds(metrics.p95_latency),
            p95_is_fitted: evaluation.p95_is_fitted,
            ..Self::empty(evaluator, metrics)
        }
    }

    /// Without any number but how often what was taken.
    pub(crate) fn empty(evaluator: &str, metrics: ServiceMetrics) -> Self {
        Self {
            evaluator: evaluator.to_owned(),
            unsupported: None,
            jobs: metrics.jobs,
            throughput: None,
            loss: None,
            failure: None,
            loss_upper: None,
            accuracy: None,
            mean_latency_milliseconds: None,
            p95_latency_milliseconds: None,
            p95_is_fitted: false,
            exits: metrics.exits,
            chains: metrics.chains,
        }
    }
}

impl MissDocument {
    /// Of a target that is missed.
    pub(crate) fn new(violation: &Violation) -> Self {
        let (target, unit) = match violation.target {
            Target::Loss => ("maxLoss", 1.0),
            Target::Accuracy => ("minAccuracy", 1.0),
            Target::MeanLatency => ("maxMeanLatencyMilliseconds", 1e3),
            Target::P95Latency => ("maxP95LatencyMilliseconds", 1e3),
        };
        let (limit, predicted) = (violation.limit * unit, finite(violation.predicted * unit));
        Self { target, limit, predicted, relative: finite(violation.relative) }
    }
}

impl From<Score> for ScoreDocument {
    fn from(score: Score) -> Self {
        Self { violation: finite(score.violation), accuracy: score.accuracy }
    }
}

/// JSON knows no infinities.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// The schema of the document.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(PlanDocument).to_value()
}

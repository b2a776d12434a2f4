//! A problem and a decision to try documents, tables and words with.

use super::decision::{Decision, RunnerUp};
use super::document::{PlanDocument, SearchDocument};
use deployment::Prediction;
use domain::problem::{Chain, Device, Fragment, Gateway, Hop, Model, NamedLink, Samples, Service, Source, Targets};
use domain::{
    Bytes, Choice, Epoch, Evaluation, ExitTable, FragmentRange, Link, Lottery, Mixture, Overflow, PerSecond, Plan,
    Policy, Probability, Problem, Seconds, ServiceMetrics, ServiceTime, ServiceTimes, Thresholds, Unsupported,
};
use std::sync::Arc;

fn share(value: f64) -> Probability {
    Probability::new(value).expect("a probability")
}

fn seconds(value: f64) -> Seconds {
    Seconds::new(value).expect("a duration")
}

fn thresholds(values: &[f32]) -> Thresholds {
    Thresholds::new(values.to_vec()).expect("thresholds")
}

fn model() -> Model {
    let table = ExitTable::new(3, vec![0.5; 6], vec![1; 6], vec![1, 1]).expect("a table");
    let samples = Arc::new(Samples::new(table));
    let time = |micros: f64| ServiceTime { mean: seconds(micros / 1e6), scv: 0.0 };
    Model {
        name: "faces".to_owned(),
        exit_segments: vec![0, 1, 1],
        tensor_bytes: vec![1_000, 2_000, 0],
        times: ServiceTimes { segments: vec![time(100.0), time(300.0)], heads: vec![time(10.0); 3] },
        varies: false,
        choose: Arc::clone(&samples),
        judge: samples,
    }
}

/// One service with two sources and two chains, on a camera and a box.
pub(super) fn problem() -> Problem {
    let fragment = |name: &str, first, last| Fragment {
        name: name.to_owned(),
        service: 0,
        range: FragmentRange { first, last },
        workers: 1,
        cpu_request: 1.0,
        cpu_limit: f64::INFINITY,
        memory_budget: Bytes(64_000),
    };
    let device = |name: &str, fragments| Device {
        name: name.to_owned(),
        cores: 1.0,
        speed: 0.1,
        memory_budget: None,
        fragments,
    };
    let source = |name: &str, rate| Source {
        name: name.to_owned(),
        gateway: 0,
        rate: PerSecond::new(rate).expect("a rate"),
        burstiness: domain::problem::Burstiness::Poisson,
    };
    let hop = |device, fragment, link| Hop { device, fragment, link };
    let link = Link { bytes_per_second: 1e6, latency: seconds(0.001) };
    let service = Service {
        name: "faces".to_owned(),
        model: Arc::new(model()),
        chains: vec![
            Chain { name: "split".to_owned(), hops: vec![hop(0, 0, None), hop(1, 0, Some(0))] },
            Chain { name: "box".to_owned(), hops: vec![hop(1, 1, None)] },
        ],
        gateways: vec![Gateway {
            device: "camera".to_owned(),
            memory_budget: Bytes(64_000),
            links: vec![None, Some(1)],
            turnaround: Seconds::ZERO,
        }],
        sources: vec![source("street", 75.0), source("door", 25.0)],
        targets: Targets {
            max_loss: Some(share(0.01)),
            min_accuracy: Some(share(0.88)),
            max_p95_latency: Some(seconds(0.1)),
            ..Targets::default()
        },
        overflow: Overflow::Drop,
        deadline: None,
        audit: share(0.0),
    };
    let problem = Problem {
        devices: vec![
            device("camera", vec![fragment("faces-1-1", 0, 0)]),
            device("box", vec![fragment("faces-2-2", 1, 1), fragment("faces-1-2", 0, 1)]),
        ],
        links: ["camera→box", "faces@camera→box"].map(|name| NamedLink { name: name.to_owned(), link }).to_vec(),
        services: vec![service],
    };
    problem.check().unwrap_or_else(|error| panic!("{error}"));
    problem
}

fn policy(epoch: Epoch) -> Policy {
    let by_present = match epoch {
        Epoch::Arrival => vec![],
        Epoch::Dispatch => {
            let always = |values: &[f32]| Lottery::always(thresholds(values));
            let mixed = vec![(share(0.25), thresholds(&[0.0, 1.0])), (share(0.75), thresholds(&[0.3, 0.2]))];
            vec![
                always(&[1.0, 1.0]),
                always(&[1.0, 1.0]),
                always(&[0.9, 0.5]),
                Lottery::new(mixed, "the lottery").expect("it sums to one"),
                always(&[0.0, 1.0]),
                always(&[0.0, 1.0]),
            ]
        }
    };
    let split = Choice { by_present, ..Choice::new(share(0.625), 0, thresholds(&[0.875, 1.0])) };
    let choices = vec![split, Choice::new(share(0.375), 1, thresholds(&[0.0, 0.5]))];
    let door = vec![Choice::new(share(1.0), 1, thresholds(&[1.0, 1.0]))];
    let chain = |name: &str, ranges: &[(usize, usize)]| domain::Chain {
        name: name.to_owned(),
        fragments: ranges.iter().map(|&(first, last)| FragmentRange { first, last }).collect(),
    };
    Policy {
        epoch,
        overflow: Overflow::Drop,
        chains: vec![chain("split", &[(0, 0), (1, 1)]), chain("box", &[(0, 1)])],
        default: Mixture::new(choices, "the default").expect("it sums to one"),
        sources: vec![("door".to_owned(), Mixture::new(door, "the door").expect("it sums to one"))],
        rates: None,
        learning: None,
        audit: share(0.0),
        deadline: None,
    }
}

/// All jobs through the whole network, on one chain.
fn last_on_box() -> Policy {
    let all = vec![Choice::new(share(1.0), 1, thresholds(&[1.0, 1.0]))];
    let default = Mixture::new(all, "the default").expect("it sums to one");
    Policy { default, sources: vec![], ..policy(Epoch::Arrival) }
}

/// Eight replications in which so many jobs are lost.
pub(super) fn simulated(loss: f64, accuracy: f64) -> Evaluation {
    let replication = |number: u32| ServiceMetrics {
        jobs: 50_000.0,
        arrival_rate: 100.0,
        throughput: 100.0 * (1.0 - loss),
        loss: loss * (1.0 + 0.01 * (f64::from(number) - 3.5)),
        accuracy,
        mean_latency: 0.0123,
        p95_latency: 0.0456,
        exits: vec![0.5, 0.125, 0.375],
        chains: vec![0.46875, 0.53125],
        ..ServiceMetrics::default()
    };
    Evaluation {
        replications: (0..8).map(|number| vec![replication(number)]).collect(),
        devices: vec![0.21, 0.873],
        links: vec![0.02, 0.005],
        p95_is_fitted: false,
        is_sampled: true,
    }
}

fn formula() -> Evaluation {
    let mut evaluation = simulated(0.002, 0.9);
    evaluation.replications.truncate(1);
    evaluation.replications[0][0].jobs = 0.0;
    Evaluation { p95_is_fitted: true, is_sampled: false, ..evaluation }
}

/// A decision of which this is predicted.
pub(super) fn decision(epoch: Epoch, evaluation: Evaluation) -> Decision {
    let formula = match epoch {
        Epoch::Arrival => Ok(formula()),
        Epoch::Dispatch => {
            Err(Unsupported { evaluator: "decomposition", what: "thresholds that depend on jobs present".to_owned() })
        }
    };
    let prediction = |evaluator: &str, outcome| Prediction { evaluator: evaluator.to_owned(), outcome };
    Decision {
        plan: Plan { policies: vec![policy(epoch)] },
        predictions: vec![prediction("decomposition", formula), prediction("simulation", Ok(evaluation))],
        runner_up: Some(RunnerUp {
            plan: Plan { policies: vec![last_on_box()] },
            evaluation: simulated(0.05, 0.93),
            why: "faces would lose 5.11 % of its jobs, 1.00 % is allowed".to_owned(),
        }),
        held_out: vec![(0.9031, 0.9012)],
        search: SearchDocument {
            seed: 1,
            budget_milliseconds: 1_000,
            milliseconds: 812,
            plans: 1_234,
            is_cut_short: false,
        },
    }
}

/// The document of a decision.
pub(super) fn document(decision: &Decision) -> PlanDocument {
    let exits = ["early", "middle", "late"].map(str::to_owned).to_vec();
    PlanDocument::new(&problem(), &["Auto".to_owned()], &[exits], decision)
}

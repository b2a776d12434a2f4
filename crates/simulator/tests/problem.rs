//! Problems with plans as networks, and the evaluator on them.

use domain::problem::{
    Burstiness, Chain, Device, Fragment, Gateway, Hop, Model, NamedLink, Samples, Service, Source, Targets,
};
use domain::{
    Bytes, Choice, Epoch, EvaluationEffort, Evaluator, ExitTable, FragmentRange, Link, Mixture, Overflow, PerSecond,
    Plan, Policy, Probability, Problem, Seconds, ServiceTime, ServiceTimes, Thresholds,
};
use simulator::problem::network;
use simulator::{Arrivals, Discipline, Handover, Simulation};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn chance(value: f64) -> Probability {
    Probability::new(value).expect("a share")
}

fn seconds(value: f64) -> Seconds {
    Seconds::new(value).expect("a time")
}

/// Two segments of 6 and 4 ms; exit 1 is sure about and right in half of the samples, exit 2 in all.
fn model() -> Arc<Model> {
    let table = || {
        let confidence = vec![0.9, 0.9, 0.2, 0.9];
        ExitTable::new(2, confidence, vec![1, 1, 0, 1], vec![1, 1]).expect("a sound table")
    };
    let time = |mean: f64| ServiceTime { mean: seconds(mean), scv: 0.0 };
    Arc::new(Model {
        name: "model".to_owned(),
        exit_segments: vec![0, 1],
        tensor_bytes: vec![100, 300, 0],
        times: ServiceTimes { segments: vec![time(0.006), time(0.004)], heads: vec![time(0.0), time(0.0)] },
        varies: false,
        choose: Arc::new(Samples::new(table())),
        judge: Arc::new(Samples::new(table())),
    })
}

fn fragment(first: usize, last: usize, budget: u64) -> Fragment {
    Fragment {
        name: format!("{first}-{last}"),
        service: 0,
        range: FragmentRange { first, last },
        workers: 1,
        cpu_request: 1.0,
        cpu_limit: f64::INFINITY,
        memory_budget: Bytes(budget),
    }
}

fn device(name: &str, fragments: Vec<Fragment>) -> Device {
    Device { name: name.to_owned(), cores: 1.0, speed: 1.0, memory_budget: None, fragments }
}

/// A chain on one device, and one over a link to another.
fn problem(rate: f64) -> Problem {
    let hop = |device, fragment, link| Hop { device, fragment, link };
    let link = Link { bytes_per_second: 1e6, latency: seconds(0.001) };
    let source = |name: &str, rate: f64| Source {
        name: name.to_owned(),
        gateway: 0,
        rate: PerSecond::new(rate).expect("a rate"),
        burstiness: Burstiness::Poisson,
    };
    let problem = Problem {
        devices: vec![
            device("pi", vec![fragment(0, 1, 1500), fragment(0, 0, 1500)]),
            device("box", vec![fragment(1, 1, 1500)]),
        ],
        links: vec![NamedLink { name: "pi→box".to_owned(), link }],
        services: vec![Service {
            name: "camera".to_owned(),
            model: model(),
            chains: vec![
                Chain { name: "alone".to_owned(), hops: vec![hop(0, 0, None)] },
                Chain { name: "far".to_owned(), hops: vec![hop(0, 1, None), hop(1, 0, Some(0))] },
            ],
            gateways: vec![Gateway {
                device: "pi".to_owned(),
                memory_budget: Bytes(1 << 20),
                links: vec![None, None],
                turnaround: Seconds::ZERO,
            }],
            sources: vec![source("left", rate), source("right", 0.0)],
            targets: Targets::default(),
            overflow: Overflow::Drop,
            deadline: Some(seconds(1.0)),
            audit: chance(0.0),
        }],
    };
    problem.check().expect("a sound problem");
    problem
}

fn plan(problem: &Problem, alone: f64, thresholds: &Thresholds) -> Plan {
    let service = &problem.services[0];
    let chain = |chain: &Chain| domain::Chain {
        name: chain.name.clone(),
        fragments: chain.hops.iter().map(|&hop| problem.fragment(hop).range).collect(),
    };
    let choice = |share, chain| Choice::new(chance(share), chain, thresholds.clone());
    let policy = Policy {
        epoch: Epoch::Arrival,
        overflow: service.overflow,
        chains: service.chains.iter().map(chain).collect(),
        default: Mixture::new(vec![choice(alone, 0), choice(1.0 - alone, 1)], "test").expect("they sum to one"),
        sources: vec![],
        rates: None,
        learning: None,
        audit: service.audit,
        deadline: service.deadline,
    };
    Plan { policies: vec![policy] }
}

fn effort(replications: u32, arrivals: u64) -> EvaluationEffort<'static> {
    let replications = NonZeroU32::new(replications).expect("above 0");
    EvaluationEffort { seed: 5, replications, arrivals, stop: None }
}

#[test]
fn places_links_and_bytes_are_those_of_the_data_plane() {
    let mut problem = problem(10.0);
    problem.devices[0].memory_budget = Some(Bytes(2000));
    let network = network(&problem, &plan(&problem, 0.5, &Thresholds::exit_last(2)));
    let regions: Vec<_> = network.regions.iter().map(|region| (region.name.as_str(), region.budget)).collect();
    assert_eq!(regions, [("pi/0-1", 1500), ("pi/0-0", 1500), ("pi (all)", 2000), ("box", 1500), ("gateway", 1 << 20)]);
    let steps: Vec<_> = (network.chains.iter().flat_map(|chain| &chain.steps))
        .map(|step| {
            (step.device, step.lane, &step.regions[..], step.memory, step.memory_after, step.link, step.transfer)
        })
        .collect();
    assert_eq!(
        steps,
        [
            (0, 0, &[0, 2][..], 100, 0, None, 100),
            (0, 1, &[1, 2], 300, 300, None, 100),
            (1, 0, &[3], 300, 0, Some(0), 300)
        ]
    );
    assert_eq!(network.handover, Handover::ReserveFirst);
    assert_eq!((network.links[0].latency, network.links[0].return_latency), (0.001, 0.001));
    assert_eq!(network.schedulers[0].gateway, Some((4, 100 + 4096)));
    assert_eq!((network.sources.len(), network.sources[0].deadline), (1, Some(1.0)), "one of them has no arrivals");
    let Discipline::Pods(lanes) = &network.devices[0].discipline else { panic!("lanes") };
    assert_eq!(lanes.iter().map(|lane| lane.name.as_str()).collect::<Vec<_>>(), ["0-1", "0-0"]);
    assert!(network.check().is_ok());
}

#[test]
fn bursts_are_phases_around_the_mean_rate() {
    let mut problem = problem(10.0);
    problem.services[0].sources[0].burstiness = Burstiness::Phases { rates: [0.5, 3.0], switch: [1.0, 4.0] };
    let network = network(&problem, &plan(&problem, 1.0, &Thresholds::exit_last(2)));
    assert_eq!(network.sources[0].arrivals, Arrivals::Mmpp2 { rates: [5.0, 30.0], switch: [1.0, 4.0] });
}

#[test]
fn one_station_loses_what_the_formula_says() {
    // 10 ms, 90 jobs per second, room for 15 jobs of 100 bytes.
    let problem = problem(90.0);
    let found =
        Simulation::default().evaluate(&problem, &plan(&problem, 1.0, &Thresholds::exit_last(2)), &effort(4, 400_000));
    let metrics = found.expect("it is simulated").service(0);
    let service = queueing::Law::deterministic(0.01).expect("positive").into();
    let exact = queueing::mg1k::solve(90.0, &service, 15).expect("in range").metrics;
    assert!((metrics.loss - exact.loss).abs() < 0.1 * exact.loss, "{} {}, seed 5", metrics.loss, exact.loss);
    assert!((metrics.mean_latency - exact.mean_residence).abs() < 0.03 * exact.mean_residence, "{metrics:?}");
    assert_eq!((metrics.accuracy, &metrics.exits[..], &metrics.chains[..]), (1.0, &[0.0, 1.0][..], &[1.0, 0.0][..]));
    assert!((metrics.source_loss[0] - metrics.loss).abs() < 1e-12 && metrics.source_loss[1] == 0.0);
}

#[test]
fn replications_are_pairs_whatever_the_plan_and_the_threads() {
    // So few that none is lost.
    let problem = problem(20.0);
    let of = |threads, alone| {
        let plan = plan(&problem, alone, &Thresholds::new(vec![0.5]).expect("in range"));
        Simulation { threads }.evaluate(&problem, &plan, &effort(6, 60_000)).expect("it is simulated")
    };
    let found = of(1, 1.0);
    assert_eq!(found, of(2, 1.0));
    let exits = |found: &domain::Evaluation| -> Vec<Vec<f64>> {
        found.replications.iter().map(|services| services[0].exits.clone()).collect()
    };
    for (one, other) in exits(&found).concat().iter().zip(exits(&of(1, 0.4)).concat()) {
        assert!((one - other).abs() < 1e-9, "the same samples on any chain: {one} {other}");
    }
    assert_ne!(exits(&found)[0], exits(&found)[1], "other samples in other replications");
    let all = found.service(0);
    assert!((all.exits[0] - 0.5).abs() < 0.02 && (all.accuracy - 1.0).abs() < 1e-9 && all.loss == 0.0, "{all:?}");
}

#[test]
fn what_was_whole_when_it_was_stopped_is_returned() {
    let problem = problem(60.0);
    let plan = plan(&problem, 1.0, &Thresholds::exit_last(2));
    let asked = AtomicU32::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) > 2;
    let effort = EvaluationEffort { stop: Some(&stop), ..effort(400, 400_000) };
    let found = Simulation { threads: 1 }.evaluate(&problem, &plan, &effort).expect("it is simulated");
    assert!(found.replications.len() < 10, "{}", found.replications.len());
}

#[test]
fn what_piles_up_without_end_predicts_nothing() {
    let mut problem = problem(60.0);
    // The way to the first fragment carries ten jobs per second, and nothing limits who waits for it.
    problem.links[0].link.bytes_per_second = 1000.0;
    problem.services[0].gateways[0].links = vec![Some(0), Some(0)];
    let plan = plan(&problem, 1.0, &Thresholds::exit_last(2));
    let found = Simulation::default().evaluate(&problem, &plan, &effort(2, 4_000_000)).expect("it is simulated");
    assert!(
        found.replications.is_empty() || found.service(0).loss.is_nan() || found.service(0).failure > 0.5,
        "{found:?}"
    );
}

//! Cost of an event, beside a minimal loop that can do nothing else.
//!
//! `cargo bench -p simulator`

mod minimal;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simulator::{
    Arrivals, Chain, Device, Discipline, Effort, Law, Network, Outages, Overflow, Region, Routing, Source, Step, Work,
    simulate,
};
use std::hint::black_box;

/// A chain: mean time between arrivals, and steps as (device, constant service time).
type Way = (f64, Vec<(usize, f64)>);
type Chains = Vec<Way>;

/// Measured arrivals of a run.
const ARRIVALS: u64 = 200_000;

/// A network of the size of ChainNet's: 3 chains, 4 steps each, 8 devices.
fn small() -> (Vec<u64>, Chains) {
    let capacity = vec![10, 25, 40, 8, 30, 15, 50, 20];
    let chain = |gap: f64, path: [usize; 4], times: [f64; 4]| (gap, path.into_iter().zip(times).collect());
    let chains = vec![
        chain(1.3, [0, 1, 2, 3], [0.5, 0.9, 0.4, 0.7]),
        chain(2.1, [2, 4, 5, 1], [0.8, 1.1, 0.6, 0.5]),
        chain(3.7, [6, 7, 4, 0], [1.9, 1.2, 1.0, 0.9]),
    ];
    (capacity, chains)
}

/// 10 chains of 5 steps on 20 devices.
fn large() -> (Vec<u64>, Chains) {
    let chain = |number: usize| {
        let steps =
            (0..5).map(|step| ((number * 7 + step * 3 + step * step) % 20, 0.4 + 0.13 * ((number + step) % 7) as f64));
        (3.0 + 0.2 * number as f64, steps.collect())
    };
    (vec![20; 20], (0..10).map(chain).collect())
}

fn network((capacity, chains): &(Vec<u64>, Chains), exponential: bool) -> Network {
    let device = |index: usize| Device {
        name: index.to_string(),
        cores: 1.0,
        speed: 1.0,
        discipline: Discipline::Fcfs,
        outages: Outages::Never,
    };
    let step = |&(device, seconds): &(usize, f64)| Step {
        device,
        lane: 0,
        regions: vec![device],
        memory: 1,
        memory_after: 1,
        work: Work::Law(if exponential { Law::Exponential { mean: seconds } } else { Law::Deterministic(seconds) }),
        exit_probability: 0.0,
        link: None,
        transfer: 0,
    };
    let chain = |(_, steps): &Way| Chain {
        name: String::new(),
        priority: 0,
        overflow: Overflow::Drop,
        model: None,
        steps: steps.iter().map(step).collect(),
    };
    let source = |(index, (gap, _)): (usize, &Way)| Source {
        name: index.to_string(),
        arrivals: Arrivals::Renewal(Law::Exponential { mean: *gap }),
        routing: Routing::Mixture(vec![(index, 1.0)]),
        deadline: None,
        retry: None,
    };
    Network {
        devices: (0..capacity.len()).map(device).collect(),
        regions: capacity.iter().map(|&budget| Region { name: String::new(), budget }).collect(),
        chains: chains.iter().map(chain).collect(),
        sources: chains.iter().enumerate().map(source).collect(),
        ..Network::default()
    }
}

fn events(c: &mut Criterion) {
    let effort = Effort { threads: 1, ..Effort::arrivals(1, ARRIVALS) };
    let mut group = c.benchmark_group("event");
    group.sample_size(20);
    for (name, system) in [("3 chains, 8 devices", small()), ("10 chains, 20 devices", large())] {
        let minimal_events = minimal::run(&system.0, &system.1, ARRIVALS, 1).events;
        group.throughput(Throughput::Elements(minimal_events));
        group.bench_with_input(BenchmarkId::new("minimal loop", name), &system, |bench, system| {
            bench.iter(|| black_box(minimal::run(&system.0, &system.1, ARRIVALS, 1)));
        });
        for (law, exponential) in [("constant service", false), ("exponential service", true)] {
            let network = network(&system, exponential);
            let events = simulate(&network, &effort).expect("it is a network").run.events;
            group.throughput(Throughput::Elements(events));
            group.bench_with_input(BenchmarkId::new(format!("simulator, {law}"), name), &network, |bench, network| {
                bench.iter(|| black_box(simulate(network, &effort)));
            });
        }
    }
    group.finish();
}

/// What a planner asks for: is this plan better than that one.
fn referee(c: &mut Criterion) {
    let network = network(&small(), false);
    let mut group = c.benchmark_group("referee");
    group.sample_size(20);
    for arrivals in [10_000, 100_000] {
        let effort = Effort::arrivals(1, arrivals);
        group.bench_function(format!("{arrivals} arrivals, all cores"), |bench| {
            bench.iter(|| black_box(simulate(&network, &effort)));
        });
    }
    group.finish();
}

criterion_group!(benches, events, referee);
criterion_main!(benches);

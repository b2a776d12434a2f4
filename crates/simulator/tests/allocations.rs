//! No event allocates memory.

use allocation_counter::measure;
use simulator::{
    Arrivals, Chain, Device, Discipline, Effort, Lane, Law, Link, Network, Outages, Overflow, Region, Retry, Routing,
    Source, Step, Work, simulate,
};
use std::num::NonZeroU32;

fn device(cores: f64, discipline: Discipline) -> Device {
    Device { name: "device".to_owned(), cores, speed: 1.0, discipline, outages: Outages::Never }
}

fn step(device: usize, mean: f64) -> Step {
    Step {
        device,
        lane: 0,
        regions: vec![device],
        memory: 2,
        memory_after: 1,
        work: Work::Law(Law::Exponential { mean }),
        exit_probability: 0.2,
        link: None,
        transfer: 0,
    }
}

/// All disciplines in a row, a link, retries and deadlines.
fn network() -> Network {
    let lanes = vec![Lane { name: "lane".to_owned(), workers: 2, request: 1.0, limit: 1.0 }];
    let disciplines = [Discipline::Fcfs, Discipline::Hol, Discipline::Ps, Discipline::Pods(lanes)];
    let mut steps: Vec<Step> = (0..4).map(|number| step(number, 0.5)).collect();
    steps[2] = Step { link: Some(0), transfer: 100, ..steps[2].clone() };
    Network {
        devices: disciplines.map(|discipline| device(2.0, discipline)).into(),
        regions: (0..4).map(|_| Region { name: "region".to_owned(), budget: 12 }).collect(),
        links: vec![Link { name: "link".to_owned(), bytes_per_second: 1e3, latency: 0.05, return_latency: 0.01 }],
        chains: vec![Chain {
            name: "chain".to_owned(),
            priority: 0,
            overflow: Overflow::AnswerWithLastExit,
            model: None,
            steps,
        }],
        sources: vec![Source {
            name: "source".to_owned(),
            arrivals: Arrivals::Renewal(Law::Exponential { mean: 0.4 }),
            routing: Routing::Mixture(vec![(0, 1.0)]),
            deadline: Some(20.0),
            retry: Some(Retry { attempts: 2, delay: 1.0 }),
        }],
        ..Network::default()
    }
}

/// Allocations of a run on this thread.
fn allocations(network: &Network, arrivals: u64) -> u64 {
    let effort = Effort { replications: NonZeroU32::new(1), threads: 1, ..Effort::arrivals(1, arrivals) };
    let info = measure(|| {
        let report = simulate(network, &effort).expect("it is a network");
        assert!(report.run.arrivals >= arrivals && report.chains[0].fates.throughput.value > 0.0);
    });
    info.count_total
}

#[test]
fn events_allocate_nothing() {
    let network = network();
    let counts = [100_000, 400_000, 1_600_000].map(|arrivals| allocations(&network, arrivals));
    assert!(counts[0] > 50, "allocations are counted: {counts:?}");
    // Batches are merged whenever they have become twice as many, so there is a constant number of new ones per doubling;
    // beside them there is the room for the most jobs there ever were. Arrivals and events become a million more.
    for pair in counts.windows(2) {
        assert!(pair[1] <= pair[0] + 300, "for 100,000, 400,000 and 1,600,000 arrivals: {counts:?}");
    }
}

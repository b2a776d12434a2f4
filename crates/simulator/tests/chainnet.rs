//! The 2,000 networks that the authors of ChainNet publish, against what they recorded: see
//! `testdata/chainnet/README.md`.

use flate2::read::GzDecoder;
use serde::Deserialize;
use simulator::{
    Arrivals, Chain, Device, Discipline, Effort, Law, Network, Outages, Overflow, Region, Routing, Source, Step, Work,
    simulate,
};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Deserialize)]
struct Sample {
    devices: Vec<SampleDevice>,
    chains: Vec<SampleChain>,
}

#[derive(Deserialize)]
struct SampleDevice {
    capacity: u64,
}

#[derive(Deserialize)]
struct SampleChain {
    interarrival_mean: f64,
    path: Vec<usize>,
    service_time: Vec<f64>,
    throughput: f64,
    response_time: f64,
}

/// Relative differences from what was recorded, over all chains.
#[derive(Default)]
struct Differences {
    throughput: Vec<f64>,
    response: Vec<f64>,
}

fn samples() -> Vec<Sample> {
    let mut text = String::new();
    let bytes = &include_bytes!("../testdata/chainnet/chainnet_dev.jsonl.gz")[..];
    GzDecoder::new(bytes).read_to_string(&mut text).expect("the file is whole");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is a network")).collect()
}

fn network(sample: &Sample) -> Network {
    let device = |index: usize| Device {
        name: index.to_string(),
        cores: 1.0,
        speed: 1.0,
        discipline: Discipline::Fcfs,
        outages: Outages::Never,
    };
    let step = |(&device, &seconds): (&usize, &f64)| Step {
        device,
        lane: 0,
        regions: vec![device],
        memory: 1,
        memory_after: 1,
        work: Work::Law(Law::Deterministic(seconds)),
        exit_probability: 0.0,
        link: None,
        transfer: 0,
    };
    let chain = |chain: &SampleChain| Chain {
        name: String::new(),
        priority: 0,
        overflow: Overflow::Drop,
        model: None,
        steps: chain.path.iter().zip(&chain.service_time).map(step).collect(),
    };
    let source = |(index, chain): (usize, &SampleChain)| Source {
        name: index.to_string(),
        arrivals: Arrivals::Renewal(Law::Exponential { mean: chain.interarrival_mean }),
        routing: Routing::Mixture(vec![(index, 1.0)]),
        deadline: None,
        retry: None,
    };
    Network {
        devices: (0..sample.devices.len()).map(device).collect(),
        regions: sample.devices.iter().map(|d| Region { name: String::new(), budget: d.capacity }).collect(),
        chains: sample.chains.iter().map(chain).collect(),
        sources: sample.chains.iter().enumerate().map(source).collect(),
        ..Network::default()
    }
}

/// A seed of its own for each network: errors that all have in common would look like a bias.
fn differences(seed: u64, sample: &Sample) -> Differences {
    let effort = Effort { threads: 1, ..Effort::arrivals(seed, 100_000) };
    let report = simulate(&network(sample), &effort).expect("it is a network");
    let mut differences = Differences::default();
    for (chain, recorded) in report.chains.iter().zip(&sample.chains) {
        let response: f64 = chain.steps.iter().map(|step| step.residence_time.value).sum();
        differences.throughput.push(chain.fates.throughput.value / recorded.throughput - 1.0);
        differences.response.push(response / recorded.response_time - 1.0);
    }
    differences
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[test]
fn recorded_throughput_and_response_are_met() {
    let (samples, next) = (samples(), AtomicUsize::new(0));
    assert_eq!(samples.len(), 2_000);
    let work = || {
        let mut mine = Differences::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(sample) = samples.get(index) else {
                return mine;
            };
            let of_sample = differences(index as u64, sample);
            mine.throughput.extend(of_sample.throughput);
            mine.response.extend(of_sample.response);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Differences::default();
        for worker in workers {
            let of_worker = worker.join().expect("no network panics");
            all.throughput.extend(of_worker.throughput);
            all.response.extend(of_worker.response);
        }
        all
    });
    for (what, differences, most, most_bias) in
        [("throughput", &all.throughput, 0.0075, 0.0005), ("response", &all.response, 0.006, 0.0015)]
    {
        let finite: Vec<f64> = differences.iter().copied().filter(|difference| difference.is_finite()).collect();
        let (absolute, bias) = (mean(finite.iter().map(|d| d.abs())), mean(finite.iter().copied()));
        println!("{what}: {} chains, mean absolute difference {absolute:.5}, bias {bias:+.5}", finite.len());
        assert!(finite.len() * 1000 >= differences.len() * 999, "{what}: {} chains", finite.len());
        assert!(absolute <= most && bias.abs() <= most_bias, "{what}: {absolute} (bias {bias})");
    }
}

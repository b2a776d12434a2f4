//! Simulation against formulas for single stations, on random parameters from a fixed seed.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{assert_within, chain, core, device, law_step, poisson, region, source};
use queueing::{Metrics, Service};
use rand::{RngExt, SeedableRng};
use simulator::{Arrivals, Chain, Discipline, Effort, Law, Network, Report, Routing, Source, Step, simulate};

type Random = rand::rngs::SmallRng;

const ARRIVALS: u64 = 300_000;

fn random(test: u64) -> Random {
    Random::seed_from_u64(2024 + test)
}

/// The same law for both: with the mean 1 on average, and of any variability.
fn law(random: &mut Random) -> (Law, queueing::Law) {
    let mean = random.random_range(0.3..1.7);
    let (ours, theirs) = match random.random_range(0..6) {
        0 => (Law::Deterministic(mean), queueing::Law::deterministic(mean)),
        1 => (Law::Exponential { mean }, queueing::Law::exponential(mean)),
        2 => (Law::Erlang { mean, phases: 3 }, queueing::Law::erlang(3, mean)),
        3 => (Law::LogNormal { mean, scv: 0.6 }, queueing::Law::log_normal(mean, 0.6)),
        4 => (Law::Uniform { low: 0.0, high: 2.0 * mean }, queueing::Law::uniform(0.0, 2.0 * mean)),
        _ => {
            let (means, probs) = ([3.0 * mean, 0.5 * mean], [0.2, 0.8]);
            let branches = [(probs[0], means[0]), (probs[1], means[1])];
            (
                Law::Hyperexponential { probs: probs.into(), means: means.into() },
                queueing::Law::hyperexponential(&branches),
            )
        }
    };
    (ours, theirs.expect("it is a law"))
}

fn station(discipline: Discipline, cores: usize, budget: u64) -> Network {
    Network {
        devices: vec![device(cores as f64, discipline)],
        regions: vec![region("memory", budget)],
        ..Network::default()
    }
}

fn simulated(network: &Network, seed: u64) -> Report {
    simulate(network, &Effort::arrivals(seed, ARRIVALS)).expect("it is a network")
}

#[track_caller]
fn assert_agrees(what: &str, report: &Report, exact: &Metrics) {
    let (chain, device) = (&report.chains, &report.devices[0]);
    if chain.len() == 1 {
        assert_within(&format!("loss of {what}"), chain[0].fates.loss, exact.loss);
        assert_within(&format!("throughput of {what}"), chain[0].fates.throughput, exact.throughput);
        assert_within(&format!("residence of {what}"), chain[0].steps[0].residence_time, exact.mean_residence);
    }
    assert_within(&format!("jobs of {what}"), device.mean_jobs, exact.mean_jobs);
    assert_within(&format!("utilization of {what}"), device.utilization, exact.utilization);
}

#[test]
fn one_core_with_a_mixture_of_laws() {
    let mut random = random(1);
    for set in 0..8 {
        let [(first, first_exact), (second, second_exact)] = [law(&mut random), law(&mut random)];
        let (share, places, rate) =
            (random.random_range(0.1..0.9), random.random_range(1..14), random.random_range(0.3..1.3));
        let mut network = station(Discipline::Fcfs, 1, places);
        network.chains = vec![chain(vec![law_step(0, 0, first)]), chain(vec![law_step(0, 0, second)])];
        let arrivals = poisson(0, rate).arrivals;
        network.sources = vec![source(arrivals, Routing::Mixture(vec![(0, share), (1, 1.0 - share)]))];
        let service = Service::new([(share, first_exact), (1.0 - share, second_exact)]).expect("it is a service");
        let exact = queueing::mg1k::solve(rate, &service, places as usize).expect("it can be solved").metrics;
        let report = simulated(&network, set);
        assert_agrees(&format!("set {set}"), &report, &exact);
        assert_within(&format!("loss of set {set}"), report.sources[0].fates.loss, exact.loss);
        assert_within(&format!("response of set {set}"), report.sources[0].fates.response, exact.mean_residence);
    }
}

#[test]
fn several_cores() {
    let mut random = random(2);
    for set in 0..6 {
        let (cores, mean) = (random.random_range(1..6), random.random_range(0.2..3.0));
        let places = cores + random.random_range(0..9);
        let rate = random.random_range(0.3..1.3) * cores as f64 / mean;
        let mut network = station(Discipline::Fcfs, cores, places as u64);
        network.chains = vec![chain(vec![law_step(0, 0, Law::Exponential { mean })])];
        network.sources = vec![poisson(0, rate)];
        let exact = queueing::mmck::solve(rate, mean, cores, places).expect("it can be solved").metrics;
        assert_agrees(&format!("set {set}"), &simulated(&network, set), &exact);
    }
}

#[test]
fn sharing_does_not_depend_on_the_law() {
    let mut random = random(3);
    for set in 0..6 {
        let (ours, theirs) = law(&mut random);
        let cores: usize = random.random_range(1..4);
        let (places, rate) = (random.random_range(2..16), random.random_range(0.3..1.2) * cores as f64);
        let mut network = station(Discipline::Ps, cores, places);
        network.chains = vec![chain(vec![law_step(0, 0, ours)])];
        network.sources = vec![poisson(0, rate)];
        let service = Service::new([(1.0, theirs)]).expect("it is a service");
        let exact = queueing::ps::solve(rate, &service, cores, places as usize).expect("it can be solved").metrics;
        assert_agrees(&format!("set {set}"), &simulated(&network, set), &exact);
    }
}

#[test]
fn two_priorities() {
    let mut random = random(4);
    for set in 0..4 {
        let class = |random: &mut Random| queueing::hol::PriorityClass {
            rate: random.random_range(0.2..0.7),
            mean_service: random.random_range(0.3..1.5),
        };
        let (classes, places) = ([class(&mut random), class(&mut random)], random.random_range(2..12));
        let mut network = station(Discipline::Hol, 1, places);
        for (number, class) in classes.iter().enumerate() {
            let steps = vec![law_step(0, 0, Law::Exponential { mean: class.mean_service })];
            network.chains.push(Chain { priority: number as u32, ..chain(steps) });
            network.sources.push(poisson(number, class.rate));
        }
        let exact = queueing::hol::solve(classes[0], classes[1], places as usize).expect("it can be solved");
        let report = simulated(&network, set);
        for (number, exact) in exact.classes.iter().enumerate() {
            let what = format!("class {number} of set {set}");
            assert_within(&format!("loss of {what}"), report.chains[number].fates.loss, exact.loss);
            assert_within(
                &format!("residence of {what}"),
                report.chains[number].steps[0].residence_time,
                exact.mean_residence,
            );
        }
    }
}

#[test]
fn shared_memory_without_waiting() {
    let mut random = random(5);
    for set in 0..4 {
        let units: usize = random.random_range(6..20);
        let mut network = station(Discipline::Fcfs, units, units as u64);
        let mut classes = vec![];
        for number in 0..3 {
            let (ours, theirs) = law(&mut random);
            let size: usize = random.random_range(1..5);
            let rate = random.random_range(0.5..4.0);
            network.chains.push(chain(vec![Step { memory: size as u64, memory_after: 0, ..law_step(0, 0, ours) }]));
            network.sources.push(poisson(number, rate));
            classes.push(queueing::kaufman_roberts::SizeClass { rate, mean_service: theirs.mean(), size });
        }
        let exact = queueing::kaufman_roberts::solve(&classes, units).expect("it can be solved");
        let report = simulated(&network, set);
        for (number, loss) in exact.loss.iter().enumerate() {
            assert_within(&format!("loss of class {number} of set {set}"), report.chains[number].fates.loss, *loss);
        }
        assert_within("jobs", report.devices[0].mean_jobs, exact.mean_jobs.iter().sum());
    }
}

#[test]
fn bursty_arrivals() {
    let mut random = random(6);
    for set in 0..4 {
        let (ours, theirs) = law(&mut random);
        let rates = [random.random_range(0.1..0.5), random.random_range(0.8..2.5)];
        let switch = [random.random_range(0.02..0.2), random.random_range(0.02..0.2)];
        let places = random.random_range(2..14);
        let mut network = station(Discipline::Fcfs, 1, places);
        network.devices = vec![core()];
        network.chains = vec![chain(vec![law_step(0, 0, ours)])];
        network.sources = vec![Source { arrivals: Arrivals::Mmpp2 { rates, switch }, ..poisson(0, 1.0) }];
        let arrivals = queueing::map::ArrivalProcess::mmpp(rates, switch).expect("it is a process");
        let service = Service::new([(1.0, theirs)]).expect("it is a service");
        let exact = queueing::map::solve(&arrivals, &service, places as usize).expect("it can be solved").metrics;
        assert_agrees(&format!("set {set}"), &simulated(&network, set), &exact);
    }
}

/// Jackson: exponential first come first served cores without limits are independent, whatever the ways of jobs.
#[test]
fn networks_of_product_form() {
    const STATIONS: usize = 5;
    let mut random = random(7);
    let mut compared = 0;
    for number in 0..8 {
        let means: Vec<f64> = (0..STATIONS).map(|_| random.random_range(0.3..1.0)).collect();
        let mut load = [0.0; STATIONS];
        let (mut chains, mut sources) = (vec![], vec![]);
        for index in 0..3 {
            let (rate, exit) = (random.random_range(0.05..0.2), random.random_range(0.0..0.5));
            let mut reaching = rate;
            let mut steps = vec![];
            for _ in 0..random.random_range(2..6) {
                let station = random.random_range(0..STATIONS);
                load[station] += reaching * means[station];
                reaching *= 1.0 - exit;
                let step = law_step(station, station, Law::Exponential { mean: means[station] });
                steps.push(Step { exit_probability: exit, ..step });
            }
            chains.push(chain(steps));
            sources.push(poisson(index, rate));
        }
        if load.iter().any(|&load| load > 0.85) {
            continue;
        }
        let network = Network {
            devices: (0..STATIONS).map(|_| core()).collect(),
            regions: (0..STATIONS).map(|_| region("memory", common::PLENTY)).collect(),
            chains,
            sources,
            ..Network::default()
        };
        compared += 1;
        let report = simulated(&network, number);
        for (chain, plan) in report.chains.iter().zip(&network.chains) {
            for (step, found) in plan.steps.iter().zip(&chain.steps) {
                let exact = means[step.device] / (1.0 - load[step.device]);
                assert_within(&format!("network {number}: residence at {}", step.device), found.residence_time, exact);
            }
        }
        for (device, load) in report.devices.iter().zip(load) {
            assert_within(&format!("network {number}: jobs"), device.mean_jobs, load / (1.0 - load));
        }
    }
    assert!(compared >= 4, "{compared} networks are stable enough");
}

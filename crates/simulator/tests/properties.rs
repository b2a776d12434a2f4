//! What holds for every network.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{chain, core, link, over, region, source, step};
use domain::{Epoch, Probability};
use proptest::prelude::*;
use proptest::test_runner::Config;
use simulator::{
    Arrivals, Chain, Device, Discipline, Effort, Ended, Estimate, Fate, Handover, Lane, Law, Network, Outages,
    Overflow, Report, Retry, Routing, Source, Step, Work, simulate,
};
use std::num::NonZeroU32;

const DEVICES: usize = 4;

fn law() -> impl Strategy<Value = Law> {
    prop_oneof![
        (1u32..20).prop_map(|tenths| Law::Deterministic(f64::from(tenths) / 10.0)),
        (0.1f64..2.0).prop_map(|mean| Law::Exponential { mean }),
        (0.1f64..2.0, 1u32..5).prop_map(|(mean, phases)| Law::Erlang { mean, phases }),
        (0.1f64..2.0, 0.0f64..4.0).prop_map(|(mean, scv)| Law::LogNormal { mean, scv }),
        (0.05f64..0.95, 0.1f64..4.0, 0.1f64..1.0)
            .prop_map(|(p, a, b)| Law::Hyperexponential { probs: vec![p, 1.0 - p], means: vec![a, b] }),
    ]
}

fn arrivals(ends: bool) -> BoxedStrategy<Arrivals> {
    let gaps = law();
    if ends {
        return prop_oneof![
            proptest::collection::vec(0u32..400, 1..80).prop_map(|mut tenths| {
                tenths.sort_unstable();
                Arrivals::Trace(tenths.into_iter().map(|time| f64::from(time) / 10.0).collect())
            }),
            proptest::collection::vec((1.0f64..20.0, 0.1f64..3.0), 1..4).prop_map(|pieces| Arrivals::Piecewise {
                gaps: Law::Exponential { mean: 1.0 },
                pieces,
                repeat: false
            }),
        ]
        .boxed();
    }
    prop_oneof![
        3 => gaps.prop_map(Arrivals::Renewal),
        1 => (0.1f64..3.0, 0.1f64..3.0, 0.01f64..1.0, 0.01f64..1.0)
            .prop_map(|(a, b, c, d)| Arrivals::Mmpp2 { rates: [a, b], switch: [c, d] }),
        1 => proptest::collection::vec((1.0f64..9.0, 0.1f64..3.0), 1..4).prop_map(|pieces| Arrivals::Piecewise {
            gaps: Law::Deterministic(1.0),
            pieces,
            repeat: true
        }),
    ]
    .boxed()
}

fn device(blocks: bool) -> impl Strategy<Value = Device> {
    let lanes = vec![
        Lane { name: "a".to_owned(), workers: 1, request: 1.0, limit: f64::INFINITY },
        Lane { name: "b".to_owned(), workers: 3, request: 2.0, limit: 0.7 },
    ];
    let discipline = prop_oneof![
        Just(Discipline::Fcfs),
        Just(Discipline::Hol),
        Just(if blocks { Discipline::Fcfs } else { Discipline::Ps }),
        Just(if blocks { Discipline::Hol } else { Discipline::Pods(lanes) }),
    ];
    let outages = prop_oneof![
        2 => Just(Outages::Never),
        1 => (5.0f64..50.0, 1.0f64..9.0).prop_map(|(mean_up, mean_down)| Outages::Random { mean_up, mean_down }),
        1 => Just(Outages::At(vec![(3.0, 5.5), (10.0, 20.0)])),
    ];
    (1u32..4, 0.5f64..3.0, discipline, outages).prop_map(move |(cores, speed, discipline, outages)| Device {
        cores: f64::from(cores),
        speed,
        discipline,
        outages: if blocks { Outages::Never } else { outages },
        ..core()
    })
}

/// Device, lane, memory, memory after, law, exit probability, link and whether it holds memory of the shared region.
type RawStep = (usize, usize, u64, u64, Law, f64, Option<usize>, bool);

fn raw_step() -> impl Strategy<Value = RawStep> {
    (
        0..DEVICES,
        0..2usize,
        1u64..4,
        0u64..4,
        law(),
        prop_oneof![Just(0.0), 0.0f64..0.6],
        proptest::option::weighted(0.3, 0..2usize),
        any::<bool>(),
    )
}

fn cooked(raw: &RawStep, index: usize, blocks: bool) -> Step {
    let (device, lane, memory, after, law, exit, link, shared) = raw.clone();
    let work = Work::Law(law);
    if blocks {
        // In the order of devices, so that there is no cycle.
        return Step { work, exit_probability: exit, ..step(index, index, 0.0) };
    }
    let regions = if shared { vec![device, DEVICES] } else { vec![device] };
    let visit = Step {
        lane,
        regions,
        memory,
        memory_after: after.min(memory),
        work,
        exit_probability: exit,
        ..step(device, 0, 0.0)
    };
    link.map_or(visit.clone(), |link| over(link, memory * 10, visit))
}

/// A network that may have everything, of which some things exclude each other.
fn network(ends: bool) -> impl Strategy<Value = Network> {
    any::<bool>().prop_flat_map(move |blocks| {
        let chains =
            proptest::collection::vec((proptest::collection::vec(raw_step(), 1..=DEVICES), 0u32..3, 0..3usize), 2..4);
        let retry = proptest::option::of((0u32..4, prop_oneof![Just(0.0), 0.1f64..3.0]));
        let sources = proptest::collection::vec(
            (arrivals(ends), 0..3usize, 0.0f64..1.0, proptest::option::weighted(0.4, 0.5f64..9.0), retry),
            1..4,
        );
        let devices = proptest::collection::vec(device(blocks), DEVICES);
        let budgets = proptest::collection::vec(3u64..12, DEVICES + 1);
        (devices, budgets, chains, sources, any::<bool>(), any::<bool>()).prop_map(
            move |(devices, budgets, chains, sources, reserves, dispatches)| {
                build(devices, &budgets, chains, sources, [blocks, reserves && !blocks, dispatches])
            },
        )
    })
}

type RawChain = (Vec<RawStep>, u32, usize);
type RawSource = (Arrivals, usize, f64, Option<f64>, Option<(u32, f64)>);

fn build(
    devices: Vec<Device>,
    budgets: &[u64],
    chains: Vec<RawChain>,
    sources: Vec<RawSource>,
    [blocks, reserves, dispatches]: [bool; 3],
) -> Network {
    let overflows = [
        Overflow::Drop,
        Overflow::AnswerWithLastExit,
        if blocks { Overflow::BlockAfterService } else { Overflow::Drop },
    ];
    let mut all: Vec<Chain> = chains
        .iter()
        .map(|(steps, priority, overflow)| Chain {
            priority: *priority,
            overflow: overflows[*overflow],
            ..chain(steps.iter().enumerate().map(|(index, raw)| cooked(raw, index, blocks)).collect())
        })
        .collect();
    // Two more for the scheduler, which owns its chains.
    let own = all.len();
    all.push(all[0].clone());
    all.push(all[1].clone());
    let epoch = if dispatches { Epoch::Dispatch } else { Epoch::Arrival };
    let mut policy = common::policy(epoch, &[(0.7, 0, &[]), (0.3, 1, &[])]);
    policy.audit = Probability::new(0.2).expect("it is a probability");
    let mut scheduling = common::keeping(&[own, own + 1], policy);
    scheduling.gateway = Some((DEVICES + 1, 3));
    let sources = sources.into_iter().map(|(arrivals, to, share, deadline, retry)| Source {
        deadline,
        retry: retry.map(|(attempts, delay)| Retry { attempts, delay }),
        ..source(
            arrivals,
            match to {
                0 => Routing::Scheduled(0),
                to => Routing::Mixture(vec![(0, share), (to.min(own - 1), 1.0 - share)]),
            },
        )
    });
    Network {
        devices,
        regions: budgets.iter().chain([&10]).map(|&budget| region("memory", budget)).collect(),
        links: vec![link(50.0, 0.1, 0.05), link(f64::INFINITY, 0.0, 0.0)],
        sources: sources.collect(),
        chains: all,
        schedulers: vec![scheduling],
        handover: if reserves { Handover::ReserveFirst } else { Handover::ReleaseFirst },
        ..Network::default()
    }
}

fn simulated(network: &Network, threads: usize, arrivals: u64) -> Report {
    let effort = Effort {
        threads,
        replications: NonZeroU32::new(6),
        // A job that is starved by more urgent ones never ends, and its run neither.
        events: 5_000_000,
        trace: 1_000_000,
        series: Some(5.0),
        ..Effort::arrivals(11, arrivals)
    };
    simulate(network, &effort).unwrap_or_else(|error| panic!("{error}: {network:#?}"))
}

/// Shares of all jobs are between 0 and 1, and add up.
fn assert_sound(report: &Report) -> Result<(), TestCaseError> {
    let is_share = |found: Estimate| found.value.is_nan() || (-1e-9..=1.0 + 1e-9).contains(&found.value);
    let fates = report.sources.iter().map(|source| &source.fates).chain(report.chains.iter().map(|chain| &chain.fates));
    for fates in fates {
        for share in [fates.loss, fates.failure, fates.answered_on_overflow, fates.accuracy].iter().chain(&fates.exits)
        {
            prop_assert!(is_share(*share), "{fates:?}");
        }
        let exits: f64 = fates.exits.iter().map(|exit| exit.value).sum();
        prop_assert!(fates.exits.is_empty() || exits.is_nan() || (exits - 1.0).abs() < 1e-9, "{fates:?}");
        prop_assert!(fates.response.value.is_nan() || fates.response.value >= 0.0);
        prop_assert!(fates.latency.p50.value.is_nan() || fates.latency.p50.value <= fates.latency.p99.value);
    }
    for source in &report.sources {
        let fates = &source.fates;
        if fates.loss.value.is_nan() {
            continue;
        }
        let answered = fates.throughput.value / fates.arrival_rate.value;
        let sum = answered + fates.loss.value + fates.failure.value;
        // The rate of arrivals is known, not measured, and the sum is that of shares.
        prop_assert!((sum - 1.0).abs() < 1e-9, "{sum} of {source:?}");
        let failed: f64 = source.failed_by.iter().map(|reason| reason.1.value).sum();
        prop_assert!((failed - fates.failure.value).abs() < 1e-9, "{source:?}");
    }
    for chain in &report.chains {
        for step in &chain.steps {
            let (offered, served) = (step.offered_rate.value, step.served_rate.value);
            prop_assert!(offered.is_nan() || served <= offered * (1.0 + 1e-9), "{chain:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 150, failure_persistence: None, ..Config::default() })]

    #[test]
    fn of_every_job_of_a_run_with_an_end_is_known_what_became_of_it(network in network(true)) {
        let report = simulated(&network, 1, 1_000_000);
        assert_sound(&report)?;
        for device in &report.devices {
            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&device.utilization.value), "{device:?}");
        }
        for link in &report.links {
            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&link.utilization.value), "{link:?}");
        }
        let series = report.series.as_ref().expect("it was asked for");
        let mut arrived = 0.0;
        for interval in series.sources.iter().flatten() {
            let ended = interval.answered + interval.lost + interval.failed;
            prop_assert!((interval.arrived - ended).abs() < 1e-9, "{interval:?}");
            arrived += interval.arrived;
        }
        prop_assert!((arrived * 6.0 - report.run.arrivals as f64).abs() < 1e-6);
        for job in &report.jobs {
            prop_assert!(job.ended >= job.arrived, "{job:?}");
            let deadline = network.sources[job.source].deadline.unwrap_or(f64::INFINITY);
            if let Fate::Answered { .. } = job.fate {
                prop_assert!(job.ended - job.arrived <= deadline * (1.0 + 1e-9), "{job:?}");
            }
        }
        for (number, source) in network.sources.iter().enumerate() {
            if let Arrivals::Trace(times) = &source.arrivals {
                prop_assert_eq!(times.len(), report.jobs.iter().filter(|job| job.source == number).count());
            }
        }
    }

    #[test]
    fn a_run_without_an_end_has_sound_shares(network in network(false)) {
        let report = simulated(&network, 1, 3_000);
        assert_sound(&report)?;
        prop_assert!(report.run.arrivals >= 3_000 || report.run.ended != Ended::Complete, "{:?}", report.run);
    }

    #[test]
    fn the_result_does_not_depend_on_threads(network in any::<bool>().prop_flat_map(network)) {
        // Not by equality: what is not known is not a number.
        let text = |threads: usize| format!("{:?}", simulated(&network, threads, 1_000_000.min(if network.sources.iter().any(|s| s.arrivals.rate().is_none()) { 1_000_000 } else { 1_500 })));
        let one = text(1);
        prop_assert!(one == text(2), "two threads");
        prop_assert!(one == text(5), "five threads");
    }
}

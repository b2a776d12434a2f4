//! Models: who leaves where, what is computed for it, and how often it is right.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{PLENTY, assert_close, assert_within, at, core, model, model_chain, policy, region, run, scheduled};
use common::{keeping, segments, step, trace};
use domain::{Epoch, ServiceTime};
use simulator::{Arrivals, Failure};
use simulator::{Chain, Device, Effort, Fate, Law, Model, Network, Outages, Overflow, simulate};

/// Four segments and three exits, behind the first, the third and the last segment.
const EXITS: [usize; 3] = [0, 2, 3];
const SEGMENTS: [f64; 4] = [0.1, 0.2, 0.3, 0.4];
const HEADS: [f64; 3] = [0.01, 0.02, 0.04];

fn network(model: Model, thresholds: &[f32], times: &[f64]) -> Network {
    Network {
        devices: vec![core(), core()],
        regions: vec![region("first", PLENTY), region("second", PLENTY)],
        models: vec![model],
        chains: vec![model_chain(vec![segments(0, 0, 0, 1), segments(1, 1, 2, 3)])],
        schedulers: vec![keeping(&[0], policy(Epoch::Arrival, &[(1.0, 0, thresholds)]))],
        sources: vec![scheduled(trace(times))],
        ..Network::default()
    }
}

/// A model that knows a single sample.
fn of_sample(sample: &[(f32, bool)]) -> Model {
    model(&EXITS, &SEGMENTS, &HEADS, &[sample])
}

fn answered(exit: usize, on_overflow: bool, correct: bool) -> Fate {
    Fate::Answered { exit, on_overflow, correct: Some(correct) }
}

#[test]
fn thresholds_and_confidences_decide_where_a_job_leaves_and_what_is_computed() {
    let sample = [(0.5, false), (0.6, true), (0.9, false)];
    let rows: [(&[f32], usize, f64); 11] = [
        // thresholds, exit, time
        (&[0.4, 0.4], 0, 0.1 + 0.01),
        // Not above the threshold: the head has been computed in vain.
        (&[0.5, 0.5], 1, 0.1 + 0.01 + 0.2 + 0.3 + 0.02),
        (&[0.499_999, 1.0], 0, 0.1 + 0.01),
        (&[0.9, 0.6], 2, 0.1 + 0.01 + 0.2 + 0.3 + 0.02 + 0.4 + 0.04),
        (&[0.9, 1.0], 2, 0.1 + 0.01 + 0.2 + 0.3 + 0.4 + 0.04),
        // Closed: its head is not computed.
        (&[1.0, 0.5], 1, 0.1 + 0.2 + 0.3 + 0.02),
        (&[1.0, 0.9], 2, 0.1 + 0.2 + 0.3 + 0.02 + 0.4 + 0.04),
        (&[1.0, 1.0], 2, 0.1 + 0.2 + 0.3 + 0.4 + 0.04),
        // Always.
        (&[0.0, 0.0], 0, 0.1 + 0.01),
        (&[0.0, 1.0], 0, 0.1 + 0.01),
        (&[1.0, 0.0], 1, 0.1 + 0.2 + 0.3 + 0.02),
    ];
    for (thresholds, exit, seconds) in rows {
        let found = common::jobs(&network(of_sample(&sample), thresholds, &[1.0]));
        assert_eq!(found[0].fate, answered(exit, false, sample[exit].1), "{thresholds:?}");
        assert_close(&format!("time with {thresholds:?}"), found[0].ended - 1.0, seconds);
    }
}

#[test]
fn zero_always_leaves_and_one_never_does() {
    let extremes = [(0.0, true), (1.0, true), (0.0, false)];
    for (thresholds, exit) in [([0.0, 1.0], 0), ([1.0, 1.0], 2), ([1e-9, 1.0], 2), ([1e-9, 0.999_999], 1)] {
        let found = common::jobs(&network(of_sample(&extremes), &thresholds, &[0.0]));
        assert_eq!(found[0].fate, answered(exit, false, exit < 2), "{thresholds:?}");
    }
}

#[test]
fn a_model_runs_faster_on_a_faster_device() {
    let mut network = network(of_sample(&[(0.0, true); 3]), &[1.0, 1.0], &[0.0]);
    network.devices = vec![Device { speed: 2.0, ..core() }, Device { speed: 0.5, ..core() }];
    assert_close("end", common::jobs(&network)[0].ended, 0.3 / 2.0 + 0.74 / 0.5);
}

/// 300 samples whose later exits are surer and more often right.
fn sampled() -> Model {
    let cell = |sample: usize, exit: usize| {
        let number = (sample * 7919 + exit * 104_729 + 13) % 1000;
        ((number as f32 / 1000.0).powf(1.0 / (exit + 1) as f32), (sample * 31 + exit * 17) % 10 < 6 + exit)
    };
    let samples: Vec<Vec<(f32, bool)>> =
        (0..300).map(|sample| (0..3).map(|exit| cell(sample, exit)).collect()).collect();
    model(&EXITS, &SEGMENTS, &HEADS, &samples.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Exactly: shares of the exits, accuracy and mean time on the two fragments.
fn exactly(model: &Model, thresholds: [f32; 2]) -> ([f64; 3], f64, f64) {
    let (table, mut shares, mut right, mut time) = (&model.table, [0.0; 3], 0.0, 0.0);
    let each = 1.0 / table.samples() as f64;
    for sample in 0..table.samples() {
        let exit = (0..2).find(|&exit| table.confidence(sample, exit) > thresholds[exit]).unwrap_or(2);
        shares[exit] += each;
        right += each * f64::from(u8::from(table.correct(sample, exit)));
        time += each * (SEGMENTS[..=EXITS[exit]].iter().sum::<f64>() + HEADS[..=exit].iter().sum::<f64>());
    }
    (shares, right, time)
}

#[test]
fn shares_accuracy_and_times_are_those_of_the_table() {
    for (thresholds, varies) in [([0.6, 0.8], false), ([0.9, 0.7], true)] {
        let mut model = sampled();
        model.varies = varies;
        for time in model.times.segments.iter_mut().chain(&mut model.times.heads) {
            *time = ServiceTime { scv: 0.5, ..*time };
        }
        let (shares, accuracy, seconds) = exactly(&model, thresholds);
        assert!(shares.iter().all(|&share| share > 0.05), "a test of three exits: {shares:?}");
        let mut network = network(model, &thresholds, &[]);
        // Nobody waits, so that response is service.
        network.sources = vec![scheduled(Arrivals::Renewal(Law::Deterministic(50.0)))];
        let report = simulate(&network, &Effort::arrivals(3, 100_000)).expect("it is a network");
        let fates = &report.sources[0].fates;
        assert_within("accuracy", fates.accuracy, accuracy);
        assert_within("response", fates.response, seconds);
        for (exit, share) in shares.into_iter().enumerate() {
            assert_within("share", fates.exits[exit], share);
            assert!(fates.exits[exit].ci99 < 0.01);
        }
        assert_close("loss", fates.loss.value, 0.0);
    }
}

#[test]
fn only_means_count_unless_times_vary() {
    let latencies = |varies: bool| -> Vec<f64> {
        let mut model = of_sample(&[(0.0, true); 3]);
        model.varies = varies;
        model.times.segments.iter_mut().for_each(|time| time.scv = 0.3);
        let times: Vec<f64> = (0..50).map(|job| f64::from(job) * 100.0).collect();
        let found = common::jobs(&network(model, &[1.0, 1.0], &times));
        found.iter().map(|job| job.ended - job.arrived).collect()
    };
    latencies(false).into_iter().for_each(|latency| assert_close("latency", latency, 1.04));
    let mut varied = latencies(true);
    varied.sort_by(f64::total_cmp);
    varied.dedup();
    assert_eq!(varied.len(), 50);
}

/// The second fragment is full until 10.
fn overflowing(thresholds: &[f32], cut: usize) -> Network {
    let mut network = network(of_sample(&[(0.5, true), (0.6, false), (0.9, true)]), thresholds, &[1.0]);
    network.regions[1].budget = 1;
    network.chains[0] = Chain {
        overflow: Overflow::AnswerWithLastExit,
        ..model_chain(vec![segments(0, 0, 0, cut), segments(1, 1, cut + 1, 3)])
    };
    network.chains.push(common::chain(vec![step(1, 1, 10.0)]));
    network.sources.push(at(1, &[0.0]));
    network
}

#[test]
fn the_last_exit_of_an_overflow_is_the_deepest_open_one() {
    let rows: [(&[f32], usize, Fate, f64); 6] = [
        (&[0.95, 1.0], 1, answered(0, true, true), 0.31),
        (&[1.0, 0.95], 1, Fate::Lost { step: Some(1) }, 0.3),
        (&[1.0, 1.0], 1, Fate::Lost { step: Some(1) }, 0.3),
        (&[0.95, 0.95], 2, answered(1, true, false), 0.63),
        (&[0.95, 1.0], 2, answered(0, true, true), 0.61),
        (&[1.0, 0.95], 2, answered(1, true, false), 0.62),
    ];
    for (thresholds, cut, fate, seconds) in rows {
        let network = overflowing(thresholds, cut);
        let found = common::jobs(&network);
        assert_eq!(found[1].fate, fate, "{thresholds:?}");
        assert_close("time", found[1].ended - 1.0, seconds);
        let report = run(&network);
        let answers = if let Fate::Answered { .. } = fate { 1.0 } else { 0.0 };
        assert_eq!(report.sources[0].fates.answered_on_overflow.value, answers);
        if let Fate::Answered { exit, correct, .. } = fate {
            assert_eq!(report.sources[0].fates.exits[exit].value, 1.0);
            assert_eq!(report.sources[0].fates.accuracy.value, f64::from(u8::from(correct == Some(true))));
        }
    }
}

#[test]
fn a_device_that_is_down_is_answered_for_with_the_last_exit_too() {
    let rows: [(&[f32], Overflow, Fate, Fate); 3] = [
        (&[0.95, 1.0], Overflow::AnswerWithLastExit, answered(0, true, true), answered(0, true, true)),
        (&[1.0, 1.0], Overflow::AnswerWithLastExit, failed(Failure::DeviceDown), failed(Failure::Unreachable)),
        (&[0.95, 1.0], Overflow::Drop, failed(Failure::DeviceDown), failed(Failure::Unreachable)),
    ];
    for (thresholds, overflow, held, sent) in rows {
        let mut network = overflowing(thresholds, 1);
        network.chains[0].overflow = overflow;
        network.sources.pop();
        // The first is there when the device goes down, the second gets to it after that.
        network.sources[0] = scheduled(trace(&[1.0, 1.5, 5.0]));
        network.devices[1].outages = Outages::At(vec![(1.4, 4.0)]);
        let found = common::jobs(&network);
        assert_eq!([found[0].fate, found[1].fate], [held, sent], "{thresholds:?} {overflow:?}");
        let heads = if thresholds[0] < 1.0 { 0.01 } else { 0.0 };
        assert_close("the end of what was there", found[0].ended, 1.4);
        assert_close("the end of what came to it", found[1].ended, 1.8 + heads);
        assert_eq!(found[2].fate, answered(2, false, true), "it is back");
    }
}

fn failed(why: Failure) -> Fate {
    Fate::Failed(why)
}

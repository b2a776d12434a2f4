//! What tests of schedulers for one station share.

use domain::problem::{Model, Samples};
use domain::{ExitTable, Seconds, ServiceTime, ServiceTimes, Thresholds};
use planner::single::{Mode, Station};
use queueing::{Law, Service};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Accuracies of the nine gates: made up, monotone; not measured.
pub(crate) const MADE_UP: [f64; 9] = [0.50, 0.62, 0.72, 0.78, 0.84, 0.87, 0.89, 0.91, 0.915];

/// Load factor 1: jobs per second that exit-last can serve.
pub(crate) fn saturation() -> f64 {
    1.0 / gates()[8][0]
}

/// Mean, standard deviation, and mean and deviation of the logarithm of each gate's time.
pub(crate) fn gates() -> Vec<[f64; 4]> {
    let json: serde_json::Value = serde_json::from_str(include_str!("../../testdata/ceed.json")).expect("it is JSON");
    let gate = |gate: &serde_json::Value| {
        ["mean", "std", "log_mean", "log_std"].map(|key| gate[key].as_f64().expect("it is a number"))
    };
    json["gates"].as_array().expect("it is a list").iter().map(gate).collect()
}

/// The published times with made-up accuracies: log-normal times as 15 nodes of Gauss–Hermite quadrature.
pub(crate) fn published_station(capacity: usize) -> Station {
    let law = |[_, _, location, scale]: [f64; 4]| {
        let node =
            |&(z, weight): &(f64, f64)| (weight, Law::deterministic((location + scale * z).exp()).expect("positive"));
        let nodes: Vec<_> = hermite().iter().map(node).collect();
        Service::new(nodes).expect("weights sum to one")
    };
    let modes = gates().into_iter().enumerate().map(|(exit, gate)| Mode {
        thresholds: Thresholds::exit_at(9, exit),
        value: MADE_UP[exit],
        service: law(gate),
    });
    Station { capacity, modes: modes.collect() }
}

/// Nodes and weights for the standard normal law: roots of the Hermite polynomial of degree 15, by Newton.
fn hermite() -> Vec<(f64, f64)> {
    const DEGREE: usize = 15;
    // Orthonormal: h_{k+1} = (z·h_k − √k·h_{k−1}) ÷ √(k+1).
    let values = |z: f64| {
        let mut h = vec![1.0, z];
        for k in 1..DEGREE {
            h.push((z * h[k] - (k as f64).sqrt() * h[k - 1]) / ((k + 1) as f64).sqrt());
        }
        h
    };
    let value = |z: f64| values(z)[DEGREE];
    let mut roots = vec![];
    let step = 0.01;
    for index in -800..800 {
        let (mut low, mut high) = (f64::from(index) * step + 0.003, f64::from(index + 1) * step + 0.003);
        if value(low) * value(high) > 0.0 {
            continue;
        }
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            if value(low) * value(middle) <= 0.0 { high = middle } else { low = middle }
        }
        roots.push((low + high) / 2.0);
    }
    assert_eq!(roots.len(), DEGREE);
    let weight = |z: f64| 1.0 / values(z)[..DEGREE].iter().map(|h| h * h).sum::<f64>();
    roots.into_iter().map(|z| (z, weight(z))).collect()
}

/// A table of samples whose later exits are right more often, and surer where they are right.
pub(crate) fn table(samples: usize, accuracies: &[f64], seed: u64) -> ExitTable {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let exits = accuracies.len();
    let (mut confidence, mut prediction) = (vec![], vec![]);
    for _ in 0..samples {
        // How hard the sample is; an exit is right where its skill is above.
        let hard: f64 = rng.random();
        for &skill in accuracies {
            let noise = 0.25 * (rng.random::<f64>() - 0.5);
            let right = hard + noise < skill;
            let margin = skill - hard + 0.3 * (rng.random::<f64>() - 0.5);
            confidence.push((1.0 / (1.0 + (-6.0 * margin).exp())).clamp(0.05, 1.0) as f32);
            prediction.push(u16::from(!right));
        }
    }
    ExitTable::new(exits, confidence, prediction, vec![0; samples]).expect("lengths fit")
}

/// A model whose exits hang behind one segment each.
pub(crate) fn model(segments: &[(f64, f64)], head: f64, table: ExitTable, judge: ExitTable) -> Arc<Model> {
    let time = |mean: f64, scv: f64| ServiceTime { mean: Seconds::new(mean).expect("positive"), scv };
    let exits = segments.len();
    let heads = (0..exits).map(|exit| time(if exit + 1 == exits { 0.0 } else { head }, 0.0)).collect();
    Arc::new(Model {
        name: "test".to_owned(),
        exit_segments: (0..exits).collect(),
        tensor_bytes: (0..=exits).map(|at| if at == exits { 0 } else { 1000 }).collect(),
        times: ServiceTimes { segments: segments.iter().map(|&(mean, scv)| time(mean, scv)).collect(), heads },
        varies: true,
        choose: Arc::new(Samples::new(table)),
        judge: Arc::new(Samples::new(judge)),
    })
}

/// The published times, cut behind the gates, with samples as accurate as the made-up accuracies.
pub(crate) fn published_model(samples: usize) -> Arc<Model> {
    let gates = gates();
    let mut before = (0.0, 0.0);
    let segment = |gate: &[f64; 4]| {
        let (mean, variance) = (gate[0] - before.0, (gate[1] * gate[1] - before.1).max(0.0));
        before = (gate[0], gate[1] * gate[1]);
        (mean, variance / (mean * mean))
    };
    let segments: Vec<(f64, f64)> = gates.iter().map(segment).collect();
    model(&segments, 0.0009, table(samples, &MADE_UP, 1), table(samples, &MADE_UP, 2))
}

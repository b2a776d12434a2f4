//! One threshold vector per arrival rate, chosen on the exit table: by Bayesian optimisation as published, and
//! directly.
//!
//! # Problem
//! At rate λ, over threshold vectors τ, maximise
//!
//! > value(τ) − 100·max(0, loss(τ) − target),
//!
//! where value and service time come from the samples of the exit table (some 10 µs), and the loss from the exact
//! M/G/1/K with that service.
//!
//! # Bayesian
//! Five random vectors, then a hundred where a Gaussian process promises most, mean + 2.576 standard deviations. What
//! the published code gets wrong, and this does not: the standard deviation of times is their variance there; the
//! penalty is not clipped, so that losing less than the target is rewarded for ever; the loss is the two-moment
//! approximation. Promise is maximised over a fixed set of random vectors and around the best one.
//!
//! # Direct
//! The best point of the [frontier](super::frontier), which all rates share, then coordinate by coordinate with steps
//! that halve; a fixed number of evaluations. Deterministic, so that neighbouring rates get neighbouring vectors.
//!
//! # Cost
//! Evaluations × 10–20 µs; Bayesian adds O(n²) per candidate and iteration.
//!
//! # Reference
//! The data-driven policy of Casale and Roveri, IEEE Trans. Computers 73, 2024, and the code published with CEED,
//! INFOCOM 2025.

use super::Mode;
use super::gaussian_process::GaussianProcess;
use super::modes::{self, Server, Worth};
use domain::Thresholds;
use domain::problem::Model;
use queueing::{ArrivalCounts, mg1k};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weight of a loss above the target, in units of value.
pub const PENALTY: f64 = 100.0;
/// Random vectors before the Gaussian process decides.
const FIRST: usize = 5;
/// Standard deviations that are hoped for.
const HOPE: f64 = 2.576;
/// Random candidates, and candidates around the best vector, per iteration.
const CANDIDATES: usize = 256;
const AROUND: usize = 64;
/// Iterations between two choices of the kernel's length.
const REFIT: usize = 10;
/// Step of the direct search at first, and the smallest.
const STEP: f32 = 0.16;
const SMALLEST_STEP: f32 = 0.0025;

/// What is maximised.
#[derive(Debug, Clone, Copy)]
pub struct Objective<'a> {
    /// The model with its samples.
    pub model: &'a Model,
    /// Where it runs.
    pub server: Server,
    /// By what answers are valued.
    pub worth: Worth,
    /// Jobs there is room for, the one in service included.
    pub capacity: usize,
    /// Arrivals per second.
    pub rate: f64,
    /// Largest loss without penalty.
    pub target: f64,
}

/// A threshold vector with what it scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The vector.
    pub thresholds: Thresholds,
    /// Its objective.
    pub score: f64,
    /// Evaluations that were spent.
    pub evaluations: usize,
}

impl Objective<'_> {
    /// Of a vector; −∞ where times make no sense.
    pub fn score(&self, thresholds: &Thresholds) -> f64 {
        let mode = modes::mode(self.model, self.server, self.worth, thresholds.clone());
        mode.map_or(f64::NEG_INFINITY, |mode| self.score_mode(&mode))
    }

    fn score_mode(&self, mode: &Mode) -> f64 {
        let counts = ArrivalCounts::new(self.rate, &mode.service, self.capacity);
        counts.map_or(f64::NEG_INFINITY, |counts| mode.value - PENALTY * (mg1k::loss(&counts) - self.target).max(0.0))
    }
}

/// The best vector of a frontier, refined within `evaluations` evaluations in all.
pub fn direct(objective: &Objective<'_>, frontier: &[Mode], evaluations: usize) -> Found {
    let last = Thresholds::exit_last(objective.model.exits());
    let mut best = Found { thresholds: last, score: f64::NEG_INFINITY, evaluations: 0 };
    for mode in frontier.iter().take(evaluations) {
        best.offer(mode.thresholds.clone(), objective.score(&mode.thresholds));
    }
    let exits = best.thresholds.as_slice().len();
    let mut step = STEP;
    while step >= SMALLEST_STEP {
        let before = best.score;
        for exit in 0..exits {
            for signed in [step, -step] {
                let mut values = best.thresholds.as_slice().to_vec();
                values[exit] = (values[exit] + signed).clamp(0.0, 1.0);
                if values[exit] == best.thresholds.as_slice()[exit] {
                    continue;
                }
                if best.evaluations >= evaluations {
                    return best;
                }
                let thresholds = Thresholds::new(values).expect("clamped into the range");
                let score = objective.score(&thresholds);
                best.offer(thresholds, score);
            }
        }
        if best.score <= before {
            step /= 2.0;
        }
    }
    best
}

/// The best vector of a Bayesian optimisation with `evaluations` evaluations (5 + 100 as published).
pub fn bayesian(objective: &Objective<'_>, evaluations: usize, seed: u64) -> Found {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let exits = objective.model.exits() - 1;
    let mut best = Found { thresholds: Thresholds::exit_last(exits + 1), score: f64::NEG_INFINITY, evaluations: 0 };
    let random = |rng: &mut ChaCha8Rng| -> Vec<f64> { (0..exits).map(|_| rng.random_range(0.0..=1.01)).collect() };
    let candidates: Vec<Vec<f64>> = (0..CANDIDATES).map(|_| random(&mut rng)).collect();
    let (mut points, mut values): (Vec<Vec<f64>>, Vec<f64>) = (vec![], vec![]);
    let mut length = None;
    while best.evaluations < evaluations {
        let point = if points.len() < FIRST {
            random(&mut rng)
        } else {
            let wanted = if points.len() % REFIT == 0 { None } else { length };
            let process = GaussianProcess::fit(&points, &values, wanted);
            length = process.as_ref().map(GaussianProcess::length);
            promising(process.as_ref(), &candidates, best_point(&points, &values), &mut rng)
        };
        let thresholds = as_thresholds(&point);
        let score = objective.score(&thresholds);
        best.offer(thresholds, score);
        points.push(point);
        values.push(score);
    }
    best
}

/// As published, values up to 1.01: what is above 1 is closed.
fn as_thresholds(point: &[f64]) -> Thresholds {
    let values: Vec<f32> = point.iter().map(|&value| value.clamp(0.0, 1.0) as f32).collect();
    Thresholds::new(values).expect("clamped into the range")
}

fn best_point<'a>(points: &'a [Vec<f64>], values: &[f64]) -> &'a [f64] {
    let best = (0..points.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
    best.map_or(&[], |best| &points[best])
}

/// The candidate with the largest upper confidence bound.
fn promising(
    process: Option<&GaussianProcess>,
    candidates: &[Vec<f64>],
    best: &[f64],
    rng: &mut ChaCha8Rng,
) -> Vec<f64> {
    let mut around = |_: usize| -> Vec<f64> {
        let spread = 10f64.powf(rng.random_range(-2.5..-0.5));
        best.iter().map(|value| (value + spread * rng.random_range(-1.0..1.0)).clamp(0.0, 1.01)).collect()
    };
    let near: Vec<Vec<f64>> = (0..AROUND).map(&mut around).collect();
    let bound = |point: &[f64]| {
        process.map_or(0.0, |process| {
            let prediction = process.predict(point);
            prediction.mean + HOPE * prediction.deviation
        })
    };
    let scored = candidates.iter().chain(&near).map(|point| (bound(point), point));
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(Vec::new, |(_, point)| point.clone())
}

impl Found {
    fn offer(&mut self, thresholds: Thresholds, score: f64) {
        self.evaluations += 1;
        if score > self.score {
            self.score = score;
            self.thresholds = thresholds;
        }
    }
}

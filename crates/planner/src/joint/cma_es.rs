//! Evolution strategy over thresholds and chain scores: from scratch, or as the last touch to what another search has found.
//!
//! Variables: per source and chain the logit of every threshold and a score (softmax gives probabilities). Covariance is
//! adapted on its diagonal only, which is what tens of variables and hundreds of generations allow.
//!
//! # Reference
//! R. Ros and N. Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", PPSN X (2008),
//! with the default parameters given there and in N. Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772.

use super::candidate::{Candidate, Column, Workshop};
use super::screen::Screen;
use domain::Thresholds;
use rand::{Rng, RngExt};

/// Logits beyond this are thresholds of 0 and 1.
const FAR: f64 = 7.0;
/// Standard deviation of the first steps from scratch, and of a last touch.
const WIDE: f64 = 1.0;
const NARROW: f64 = 0.25;
/// Generations without a gain that end a last touch.
const IN_VAIN: usize = 25;

/// Searches from scratch for as long as there is budget.
pub(crate) fn search(workshop: &Workshop<'_>, screen: &mut Screen<'_>, rng: &mut impl Rng) -> (f64, Candidate) {
    screen.softness = 0.02;
    // Thresholds of 0.9, all chains alike.
    let mut mean = vec![];
    for flow in &workshop.layout.flows {
        mean.extend(vec![2.2; flow.exits - 1]);
        mean.push(0.0);
    }
    evolve(workshop, screen, rng, mean, WIDE, 20 * IN_VAIN)
}

/// Improves a candidate, with one threshold vector per chain, until nothing better is found for a while. What it gives is
/// never worse.
pub(crate) fn polish(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    rng: &mut impl Rng,
    start: (f64, Candidate),
) -> (f64, Candidate) {
    screen.softness = 0.01;
    let mut mean = vec![];
    for (index, flow) in workshop.layout.flows.iter().enumerate() {
        let columns = || start.1.sources[flow.source].iter().filter(|column| column.flow == index);
        let heaviest = columns().max_by(|one, other| one.weight.total_cmp(&other.weight));
        match heaviest {
            Some(column) => mean.extend(column.arm.thresholds.as_slice().iter().map(|&threshold| logit(threshold))),
            None => mean.extend(vec![2.2; flow.exits - 1]),
        }
        let weight: f64 = columns().map(|column| column.weight).sum();
        mean.push(weight.max(1e-3).ln());
    }
    let found = evolve(workshop, screen, rng, mean, NARROW, IN_VAIN);
    if found.0 > start.0 { found } else { start }
}

fn evolve(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    rng: &mut impl Rng,
    mut mean: Vec<f64>,
    mut sigma: f64,
    in_vain: usize,
) -> (f64, Candidate) {
    let size = mean.len();
    let n = size as f64;
    let lambda = 4 + (3.0 * n.ln()) as usize;
    let mu = lambda / 2;
    let raw: Vec<f64> = (0..mu).map(|rank| ((mu as f64 + 0.5).ln() - (rank as f64 + 1.0).ln()).max(0.0)).collect();
    let total: f64 = raw.iter().sum();
    let weights: Vec<f64> = raw.iter().map(|weight| weight / total).collect();
    let mass = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
    let (c_sigma, c_c) = ((mass + 2.0) / (n + mass + 5.0), 4.0 / (n + 4.0));
    let d_sigma = 1.0 + c_sigma + 2.0 * (((mass - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0);
    let faster = (n + 2.0) / 3.0;
    let c_1 = faster * 2.0 / ((n + 1.3).powi(2) + mass);
    let c_mu = (faster * 2.0 * (mass - 2.0 + 1.0 / mass) / ((n + 2.0).powi(2) + mass)).min(1.0 - c_1);
    let expected = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
    let mut diagonal = vec![1.0; size];
    let (mut path_sigma, mut path_c) = (vec![0.0; size], vec![0.0; size]);
    let mut best = (f64::NEG_INFINITY, candidate(workshop, &mean));
    let mut vain = 0;
    while !screen.is_over() && vain < in_vain {
        vain += 1;
        let mut generation: Vec<(f64, Vec<f64>)> = vec![];
        for _ in 0..lambda {
            let step: Vec<f64> = diagonal.iter().map(|variance: &f64| variance.sqrt() * normal(rng)).collect();
            let point: Vec<f64> = mean.iter().zip(&step).map(|(mean, step)| mean + sigma * step).collect();
            let mut tried = candidate(workshop, &point);
            tried.prune();
            let merit = screen.merit(&workshop.loads(&tried));
            if merit > best.0 {
                vain = if merit > best.0 + 1e-6 { 0 } else { vain };
                best = (merit, tried);
            }
            generation.push((merit, step));
            if screen.is_over() {
                return best;
            }
        }
        generation.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut norm = 0.0;
        for index in 0..size {
            let step: f64 = generation.iter().zip(&weights).map(|((_, step), weight)| weight * step[index]).sum();
            mean[index] = (mean[index] + sigma * step).clamp(-12.0, 12.0);
            let white = step / diagonal[index].sqrt();
            path_sigma[index] = (1.0 - c_sigma) * path_sigma[index] + (c_sigma * (2.0 - c_sigma) * mass).sqrt() * white;
            path_c[index] = (1.0 - c_c) * path_c[index] + (c_c * (2.0 - c_c) * mass).sqrt() * step;
            let spread: f64 =
                generation.iter().zip(&weights).map(|((_, step), weight)| weight * step[index] * step[index]).sum();
            diagonal[index] =
                ((1.0 - c_1 - c_mu) * diagonal[index] + c_1 * path_c[index].powi(2) + c_mu * spread).max(1e-12);
            norm += path_sigma[index] * path_sigma[index];
        }
        sigma *= (c_sigma / d_sigma * (norm.sqrt() / expected - 1.0)).exp();
        sigma = sigma.clamp(1e-6, 10.0);
    }
    best
}

fn candidate(workshop: &Workshop<'_>, point: &[f64]) -> Candidate {
    let layout = workshop.layout;
    let start = |first: &mut usize, flow: &crate::decomposition::Flow| {
        *first += flow.exits;
        Some(*first - flow.exits)
    };
    let starts: Vec<usize> = layout.flows.iter().scan(0, start).collect();
    let score = |flow: usize| point[starts[flow] + layout.flows[flow].exits - 1].clamp(-30.0, 30.0).exp();
    let of = |source: usize| -> Vec<Column> {
        if !workshop.is_planned(source) {
            return vec![];
        }
        let flows = layout.flows_of(source);
        let total: f64 = flows.clone().map(score).sum();
        let column = |flow: usize| {
            let logits = &point[starts[flow]..][..layout.flows[flow].exits - 1];
            let thresholds: Vec<f32> = logits.iter().map(|&logit| threshold(logit)).collect();
            let thresholds = Thresholds::new(thresholds).expect("a logistic value is in range");
            workshop.column(flow, thresholds, score(flow) / total)
        };
        flows.map(column).collect()
    };
    Candidate { sources: (0..layout.sources.len()).map(of).collect() }
}

/// Closed beyond what makes a difference.
fn threshold(logit: f64) -> f32 {
    if logit > FAR {
        1.0
    } else if logit < -FAR {
        0.0
    } else {
        (1.0 / (1.0 + (-logit).exp())) as f32
    }
}

fn logit(threshold: f32) -> f64 {
    let threshold = f64::from(threshold);
    (threshold / (1.0 - threshold)).ln().clamp(-FAR - 0.5, FAR + 0.5)
}

/// Standard normal, by the method of Box and Muller.
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random::<f64>().max(1e-300), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

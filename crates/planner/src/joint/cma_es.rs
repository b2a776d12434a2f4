//! Evolution strategy over thresholds and chain scores: from scratch, or as the last touch to what another search has
//! found.
//!
//! Variables: per source and chain the logit of every threshold and a score (softmax gives probabilities). Covariance
//! is adapted on its diagonal only, which is what tens of variables and hundreds of generations allow.
//!
//! # Reference
//! R. Ros and N. Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", PPSN X (2008),
//! with the default parameters given there and in N. Hansen, "The CMA evolution strategy: a tutorial", arXiv
//! 1604.00772.

use super::candidate::{Candidate, Column, Workshop};
use super::screen::{SHARP, Screen};
use domain::Thresholds;
use rand::{Rng, RngExt};

/// Logits beyond this are thresholds of 0 and 1.
const FAR: f64 = 7.0;
/// Standard deviation of the first steps from scratch, and of a last touch.
const WIDE: f64 = 1.0;
const NARROW: f64 = 0.25;
/// Generations without a gain that end a last touch.
const IN_VAIN: usize = 25;

/// Variables beyond which generations learn too slowly to be a last touch, and a gradient costs more than it brings.
pub(crate) const MOST_VARIABLES: usize = 150;

/// Searches from scratch for as long as there is budget.
pub(crate) fn search(workshop: &Workshop<'_>, screen: &mut Screen<'_>, rng: &mut impl Rng) -> (f64, Candidate) {
    let mut evolution = Evolution::wide(workshop, 0, rng);
    let found = evolution.run(workshop, screen, rng);
    (evolution.best.map_or(f64::NEG_INFINITY, |best| best.0), found)
}

/// Improves a candidate, with one threshold vector per chain, until nothing better is found for a while. What it gives
/// is never worse.
pub(crate) fn polish(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    rng: &mut impl Rng,
    start: (f64, Candidate),
) -> (f64, Candidate) {
    let mean = point_of(workshop, &start.1).values;
    if mean.len() > MOST_VARIABLES {
        return start;
    }
    let mut evolution = Evolution::new(mean, NARROW, SHARP, IN_VAIN);
    evolution.run(workshop, screen, rng);
    evolution.best.filter(|found| found.0 > start.0).unwrap_or(start)
}

/// Whether a problem has few enough variables for an evolution from scratch to be worth a try.
pub(crate) fn is_promising(workshop: &Workshop<'_>) -> bool {
    workshop.layout.flows.iter().map(|flow| flow.exits).sum::<usize>() <= MOST_VARIABLES
}

pub(crate) fn point_of(workshop: &Workshop<'_>, candidate: &Candidate) -> Point {
    let mut point = vec![];
    for (index, flow) in workshop.layout.flows.iter().enumerate() {
        let columns = || candidate.sources[flow.source].iter().filter(|column| column.flow == index);
        let heaviest = columns().max_by(|one, other| one.weight.total_cmp(&other.weight));
        match heaviest {
            Some(column) => point.extend(column.arm.thresholds.as_slice().iter().map(|&threshold| logit(threshold))),
            None => point.extend(vec![2.2; flow.exits - 1]),
        }
        let weight: f64 = columns().map(|column| column.weight).sum();
        point.push(weight.max(1e-3).ln());
    }
    Point { values: point }
}

/// An evolution that can be stopped and continued.
pub(crate) struct Evolution {
    mean: Vec<f64>,
    sigma: f64,
    diagonal: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    softness: f64,
    /// Generations without a gain, and as many as end it.
    vain: usize,
    in_vain: usize,
    best: Option<(f64, Candidate)>,
}

/// The parameters of the strategy, by the number of variables.
struct Rules {
    lambda: usize,
    weights: Vec<f64>,
    mass: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// Expected length of a standard normal vector.
    expected: f64,
}

impl Rules {
    fn new(size: usize) -> Self {
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
        Self { lambda, weights, mass, c_sigma, d_sigma, c_c, c_1, c_mu, expected }
    }
}

impl Evolution {
    fn new(mean: Vec<f64>, sigma: f64, softness: f64, in_vain: usize) -> Self {
        let (ones, zeros) = (vec![1.0; mean.len()], vec![0.0; mean.len()]);
        let (path_sigma, path_c) = (zeros.clone(), zeros);
        Self { mean, sigma, diagonal: ones, path_sigma, path_c, softness, vain: 0, in_vain, best: None }
    }

    /// From scratch: the first from thresholds of 0.9 with all chains alike, later ones from around that.
    pub(crate) fn wide(workshop: &Workshop<'_>, number: u64, rng: &mut impl Rng) -> Self {
        let around = if number == 0 { 0.0 } else { WIDE };
        let mut mean = vec![];
        for flow in &workshop.layout.flows {
            mean.extend((1..flow.exits).map(|_| 2.2 + around * normal(rng)));
            mean.push(around * normal(rng));
        }
        Self::new(mean, WIDE, 0.02, 20 * IN_VAIN)
    }

    /// Goes on until the screen's budget is over or nothing is gained any more; the best so far.
    pub(crate) fn run(&mut self, workshop: &Workshop<'_>, screen: &mut Screen<'_>, rng: &mut impl Rng) -> Candidate {
        screen.softness = self.softness;
        let rules = Rules::new(self.mean.len());
        while !screen.is_over() && self.vain < self.in_vain {
            self.vain += 1;
            let Some(mut generation) = self.generation(rules.lambda, workshop, screen, rng) else { break };
            generation.sort_by(|one, other| other.0.total_cmp(&one.0));
            self.adapt(&rules, &generation);
        }
        self.best.as_ref().map_or_else(|| candidate(workshop, &self.mean), |best| best.1.clone())
    }

    /// Steps with their merits; `None` where the budget does not suffice for all.
    fn generation(
        &mut self,
        lambda: usize,
        workshop: &Workshop<'_>,
        screen: &mut Screen<'_>,
        rng: &mut impl Rng,
    ) -> Option<Vec<(f64, Vec<f64>)>> {
        let mut generation = vec![];
        for _ in 0..lambda {
            let step: Vec<f64> = self.diagonal.iter().map(|variance| variance.sqrt() * normal(rng)).collect();
            let point: Vec<f64> = self.mean.iter().zip(&step).map(|(mean, step)| mean + self.sigma * step).collect();
            let mut tried = candidate(workshop, &point);
            tried.prune();
            let merit = screen.merit(&workshop.loads(&tried));
            let best = self.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.0);
            if merit > best || self.best.is_none() {
                self.vain = if merit > best + 1e-6 { 0 } else { self.vain };
                self.best = Some((merit, tried));
            }
            generation.push((merit, step));
            if screen.is_over() {
                return None;
            }
        }
        Some(generation)
    }

    fn adapt(&mut self, rules: &Rules, generation: &[(f64, Vec<f64>)]) {
        let Rules { weights, mass, c_sigma, d_sigma, c_c, c_1, c_mu, expected, .. } = rules;
        let chosen = || generation.iter().zip(weights).map(|((_, step), weight)| (weight, step));
        let mut norm = 0.0;
        for index in 0..self.mean.len() {
            let step: f64 = chosen().map(|(weight, step)| weight * step[index]).sum();
            let spread: f64 = chosen().map(|(weight, step)| weight * step[index] * step[index]).sum();
            self.mean[index] = (self.mean[index] + self.sigma * step).clamp(-12.0, 12.0);
            let (variance, path_sigma, path_c) =
                (&mut self.diagonal[index], &mut self.path_sigma[index], &mut self.path_c[index]);
            let white = step / variance.sqrt();
            *path_sigma = (1.0 - c_sigma) * *path_sigma + (c_sigma * (2.0 - c_sigma) * mass).sqrt() * white;
            *path_c = (1.0 - c_c) * *path_c + (c_c * (2.0 - c_c) * mass).sqrt() * step;
            *variance = ((1.0 - c_1 - c_mu) * *variance + c_1 * path_c.powi(2) + c_mu * spread).max(1e-12);
            norm += *path_sigma * *path_sigma;
        }
        self.sigma *= (c_sigma / d_sigma * (norm.sqrt() / expected - 1.0)).exp();
        self.sigma = self.sigma.clamp(1e-6, 10.0);
    }
}

/// Per flow the logits of its thresholds and its score.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) values: Vec<f64>,
}

impl Point {
    pub(crate) fn candidate(&self, workshop: &Workshop<'_>) -> Candidate {
        let of = |source: usize| -> Vec<Column> {
            if !workshop.is_planned(source) {
                return vec![];
            }
            let shares = self.shares(workshop, source);
            workshop
                .layout
                .flows_of(source)
                .zip(shares)
                .map(|(flow, share)| self.column(workshop, flow, share))
                .collect()
        };
        Candidate { sources: (0..workshop.layout.sources.len()).map(of).collect() }
    }

    /// The shares of the chains of a source: the softmax of their scores.
    pub(crate) fn shares(&self, workshop: &Workshop<'_>, source: usize) -> impl Iterator<Item = f64> {
        let flows = workshop.layout.flows_of(source);
        let score = |flow| self.values[start_of(workshop, flow + 1) - 1].clamp(-30.0, 30.0).exp();
        let scores: Vec<f64> = flows.map(score).collect();
        let total: f64 = scores.iter().sum();
        scores.into_iter().map(move |score| score / total)
    }

    pub(crate) fn column(&self, workshop: &Workshop<'_>, flow: usize, weight: f64) -> Column {
        let logits = &self.values[start_of(workshop, flow)..][..workshop.layout.flows[flow].exits - 1];
        let thresholds: Vec<f32> = logits.iter().map(|&logit| threshold(logit)).collect();
        workshop.column(flow, Thresholds::new(thresholds).expect("a logistic value is in range"), weight)
    }

    /// Whose variable stands there, and whether it is a score.
    pub(crate) fn flow_of(&self, workshop: &Workshop<'_>, index: usize) -> (usize, bool) {
        let mut end = 0;
        for (flow, of) in workshop.layout.flows.iter().enumerate() {
            end += of.exits;
            if index < end {
                return (flow, index + 1 == end);
            }
        }
        unreachable!("a point has no more variables than flows have exits")
    }

    pub(crate) fn clamp_logits(&mut self, workshop: &Workshop<'_>, most: f64) {
        let mut first = 0;
        for flow in &workshop.layout.flows {
            let logits = &mut self.values[first..first + flow.exits - 1];
            logits.iter_mut().for_each(|logit| *logit = logit.clamp(-most, most));
            first += flow.exits;
        }
    }
}

fn start_of(workshop: &Workshop<'_>, flow: usize) -> usize {
    workshop.layout.flows[..flow].iter().map(|flow| flow.exits).sum()
}

fn candidate(workshop: &Workshop<'_>, point: &[f64]) -> Candidate {
    Point { values: point.to_vec() }.candidate(workshop)
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

//! Climbing by gradients: all thresholds and chain scores move at once.
//!
//! # How
//! Variables are those of the evolution ([`Point`]). Gradients are differences over steps that many samples lie within,
//! which smooths the exits; a difference changes one flow, so that predictions repeat little. Directions are those of a
//! quasi-Newton method with limited memory, with backtracking.
//!
//! # Cost
//! Per iteration one evaluation per variable and some for the step.
//!
//! # Reference
//! J. Nocedal and S. Wright, "Numerical Optimization", second edition, 2006, section 7.2 (L-BFGS).

use super::candidate::{Candidate, Column, Workshop};
use super::cma_es::{MOST_VARIABLES, Point, point_of};
use super::screen::{SHARP, Screen};
use std::collections::VecDeque;

/// Length of a difference in logits and scores.
const DIFFERENCE: f64 = 0.15;
/// Longest move of a variable per iteration, and in the first one.
const LONGEST: f64 = 1.5;
const FIRST: f64 = 0.5;
/// Steps remembered.
const MEMORY: usize = 8;
/// Times that a step is shortened, and by how much.
const SHORTENED: usize = 4;
const SHORTER: f64 = 0.35;
/// Gains below this end it.
const SETTLED: f64 = 3e-5;
/// Logits beyond this have no slope.
const FLAT: f64 = 4.5;

/// Climbs from `start`; never worse by sharp targets.
pub(crate) fn ascend(workshop: &Workshop<'_>, screen: &mut Screen<'_>, start: (f64, Candidate)) -> (f64, Candidate) {
    let mut point = point_of(workshop, &start.1);
    if point.values.len() > MOST_VARIABLES {
        return start;
    }
    point.clamp_logits(workshop, FLAT);
    for softness in [0.05, SHARP] {
        screen.softness = softness;
        Ascent { point: &mut point, steps: VecDeque::new() }.run(workshop, screen);
    }
    screen.softness = SHARP;
    let mut found = point.candidate(workshop);
    found.prune();
    let merit = screen.merit(&workshop.loads(&found));
    if merit > start.0 { (merit, found) } else { start }
}

struct Ascent<'a> {
    point: &'a mut Point,
    /// Moves with the changes of the gradient that they brought.
    steps: VecDeque<(Vec<f64>, Vec<f64>)>,
}

impl Ascent<'_> {
    fn run(&mut self, workshop: &Workshop<'_>, screen: &mut Screen<'_>) {
        let mut candidate = self.point.candidate(workshop);
        let mut merit = screen.merit(&workshop.loads(&candidate));
        let mut before: Option<(Vec<f64>, Vec<f64>)> = None;
        while !screen.is_over() {
            let Some(gradient) = self.gradient(workshop, screen, &candidate, merit) else { return };
            if let Some((at, slope)) = before.take() {
                let step: Vec<f64> = self.point.values.iter().zip(&at).map(|(now, then)| now - then).collect();
                // Of what is to be made small: the merit with its sign changed.
                let change: Vec<f64> = slope.iter().zip(&gradient).map(|(then, now)| then - now).collect();
                if dot(&step, &change) > 1e-10 {
                    self.steps.push_back((step, change));
                }
                if self.steps.len() > MEMORY {
                    self.steps.pop_front();
                }
            }
            let mut direction = self.direction(&gradient);
            if dot(&direction, &gradient) <= 0.0 {
                self.steps.clear();
                direction = self.direction(&gradient);
            }
            let start = self.point.values.clone();
            let Some((reached, found)) = self.move_along(workshop, screen, &direction, merit) else {
                self.point.values = start;
                if self.steps.is_empty() {
                    return;
                }
                self.steps.clear();
                continue;
            };
            let gain = reached - merit;
            (merit, candidate) = (reached, found);
            before = Some((start, gradient));
            if gain < SETTLED {
                return;
            }
        }
    }

    fn gradient(
        &self,
        workshop: &Workshop<'_>,
        screen: &mut Screen<'_>,
        candidate: &Candidate,
        merit: f64,
    ) -> Option<Vec<f64>> {
        let loads = workshop.loads(candidate);
        let mut gradient = vec![0.0; self.point.values.len()];
        let mut moved = Point { values: self.point.values.clone() };
        for (index, slope) in gradient.iter_mut().enumerate() {
            if screen.is_over() {
                return None;
            }
            let (flow, is_score) = moved.flow_of(workshop, index);
            let source = workshop.layout.flows[flow].source;
            if !workshop.is_planned(source) {
                continue;
            }
            let own = &candidate.sources[source];
            let at = flow - workshop.layout.sources[source].first_flow;
            if !is_score && own[at].weight < 1e-4 {
                continue;
            }
            moved.values[index] += DIFFERENCE;
            let changed: Vec<Column> = if is_score {
                moved.shares(workshop, source).zip(own).map(|(weight, one)| Column { weight, ..one.clone() }).collect()
            } else {
                vec![moved.column(workshop, flow, own[at].weight)]
            };
            moved.values[index] = self.point.values[index];
            let before = if is_score { &own[..] } else { &own[at..=at] };
            let mut tried = loads.clone();
            before.iter().for_each(|column| workshop.add(column, -column.weight, &mut tried));
            changed.iter().for_each(|column| workshop.add(column, column.weight, &mut tried));
            tried.iter_mut().for_each(|number| *number = number.max(0.0));
            *slope = (screen.merit(&tried) - merit) / DIFFERENCE;
        }
        Some(gradient)
    }

    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction = gradient.to_vec();
        let mut parts = vec![];
        for (step, change) in self.steps.iter().rev() {
            let part = dot(step, &direction) / dot(step, change);
            direction.iter_mut().zip(change).for_each(|(value, change)| *value -= part * change);
            parts.push(part);
        }
        if let Some((step, change)) = self.steps.back() {
            let scale = dot(step, change) / dot(change, change);
            direction.iter_mut().for_each(|value| *value *= scale);
        }
        for ((step, change), part) in self.steps.iter().zip(parts.into_iter().rev()) {
            let other = dot(change, &direction) / dot(step, change);
            direction.iter_mut().zip(step).for_each(|(value, step)| *value += (part - other) * step);
        }
        let longest = direction.iter().map(|value| value.abs()).fold(1e-12, f64::max);
        let most = if self.steps.is_empty() { FIRST } else { LONGEST.min(longest) };
        direction.iter_mut().for_each(|value| *value *= most / longest);
        direction
    }

    fn move_along(
        &mut self,
        workshop: &Workshop<'_>,
        screen: &mut Screen<'_>,
        direction: &[f64],
        merit: f64,
    ) -> Option<(f64, Candidate)> {
        let start = self.point.values.clone();
        let mut length = 1.0;
        for _ in 0..SHORTENED {
            self.point.values = start.iter().zip(direction).map(|(value, step)| value + length * step).collect();
            self.point.clamp_logits(workshop, FLAT);
            let candidate = self.point.candidate(workshop);
            let found = screen.merit(&workshop.loads(&candidate));
            if found > merit {
                return Some((found, candidate));
            }
            length *= SHORTER;
        }
        None
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

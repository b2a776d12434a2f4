//! Climbing by prices: the search that plans are made with.
//!
//! # Problem
//! Which mixture of (chain, thresholds) per source has the largest merit ([`Screen::merit`])?
//!
//! # How
//! What a mixture brings to devices is linear in it, and what devices make of that is smooth. So, as in column
//! generation:
//!
//! 1. what a second of work on each fragment (and of transmission on each busy link) costs in merit, by differences;
//! 2. for each source and chain the thresholds that are best at these prices ([`Pricer`]);
//! 3. from what a source does, a small step towards each of them and towards each of its own columns: the derivative,
//!    with all that prices do not say;
//! 4. weight goes from the worst column to the best (a pairwise Frank–Wolfe step), as far as merit rises; where that
//!    does not help, a share of all columns goes.
//!
//! 5. one threshold vector takes the place of all on a chain where that is better, at the prices or near them.
//!
//! Targets are softened at first and sharpened while it climbs.
//!
//! # Cost
//! Per round one evaluation per fragment, and per source one per chain and column and some for the step.
//!
//! # Reference
//! S. Lacoste-Julien and M. Jaggi, "On the global linear convergence of Frank–Wolfe optimization variants", NIPS 2015,
//! section 2 (pairwise steps). Prices by differences and columns from exit tables are ours.

use super::candidate::{Candidate, Column, LEAST_WEIGHT, Workshop};
use super::prices::ByStation;
use super::screen::{SHARP, Screen};

/// Relative length of a difference.
const DIFFERENCE: f64 = 0.02;
/// Length of a trial step.
const TRIAL: f64 = 0.03;
/// Factors on prices at which thresholds are tried in the place of others.
const SCALES: [f64; 5] = [1.0, 0.5, 0.8, 1.25, 2.0];
/// Columns of a source, at most.
const MOST_COLUMNS: usize = 8;
/// A round that gains less than this is the last one of its softness.
const SETTLED: f64 = 2e-5;

/// Softness of targets, from first to last: at first corners would stop a climb, what has been climbed to would be
/// left.
pub(crate) const FROM_AFAR: &[f64] = &[0.2, 0.05, SHARP];
pub(crate) const FROM_NEAR: &[f64] = &[0.05, SHARP];

/// Climbs from `start` for as long as the screen has budget; gives what it ends with, and its merit.
pub(crate) fn climb(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    start: &Candidate,
    rounds: usize,
    softness: &[f64],
) -> (f64, Candidate) {
    let mut climb =
        Climb { workshop, loads: workshop.loads(start), candidate: start.clone(), merit: f64::NEG_INFINITY };
    for softness in softness {
        screen.softness = *softness;
        climb.merit = screen.merit(&climb.loads);
        for _ in 0..rounds {
            let before = climb.merit;
            climb.round(screen);
            if screen.is_over() || climb.merit - before < SETTLED {
                break;
            }
        }
    }
    climb.candidate.prune();
    climb.loads = workshop.loads(&climb.candidate);
    screen.softness = SHARP;
    (screen.merit(&climb.loads), climb.candidate)
}

struct Climb<'a, 'p> {
    workshop: &'a Workshop<'p>,
    candidate: Candidate,
    loads: Vec<f64>,
    merit: f64,
}

impl Climb<'_, '_> {
    fn round(&mut self, screen: &mut Screen<'_>) {
        let prices = self.prices(screen);
        for source in 0..self.candidate.sources.len() {
            if screen.is_over() {
                return;
            }
            if self.workshop.is_planned(source) && self.workshop.layout.sources[source].rate > 0.0 {
                self.improve(screen, source, &prices);
            }
        }
        self.candidate.prune();
        self.loads = self.workshop.loads(&self.candidate);
        self.merit = screen.merit(&self.loads);
    }

    /// What a second more of work per second costs: per lane and per link.
    fn prices(&mut self, screen: &mut Screen<'_>) -> ByStation {
        let layout = self.workshop.layout;
        let (lanes, links) = (layout.lanes.len(), layout.links.len());
        let mut found = ByStation { prices: vec![0.0; lanes + links], worth: vec![0.0; layout.problem.services.len()] };
        screen.solver.keeps_capacities = false;
        let merit = screen.merit(&self.loads);
        let total: f64 = layout.problem.services.iter().map(|service| service.targets.priority).sum();
        for (service, worth) in found.worth.iter_mut().enumerate() {
            let answered = screen.standing(service).map_or(1.0, |standing| standing.answered);
            *worth = layout.problem.services[service].targets.priority / total / answered.max(1e-6);
        }
        let used: Vec<f64> = (screen.solver.lanes.iter().map(|lane| lane.busy_cores))
            .chain(screen.solver.links.iter().map(|link| if link.1 > 0.2 { link.1 } else { 0.0 }))
            .collect();
        screen.solver.keeps_capacities = true;
        screen.solver.factors = vec![1.0; lanes + links];
        for (station, used) in used.into_iter().enumerate().filter(|(_, used)| *used > 1e-6) {
            if screen.is_over() {
                break;
            }
            screen.solver.factors[station] = 1.0 + DIFFERENCE;
            let slower = screen.merit(&self.loads);
            screen.solver.factors[station] = 1.0;
            found.prices[station] = ((merit - slower) / (DIFFERENCE * used)).max(0.0);
        }
        screen.solver.factors.clear();
        screen.solver.keeps_capacities = false;
        found
    }

    fn improve(&mut self, screen: &mut Screen<'_>, source: usize, prices: &ByStation) {
        let mut columns = std::mem::take(&mut self.candidate.sources[source]);
        let own = columns.len();
        columns.extend(self.workshop.layout.flows_of(source).map(|flow| {
            let thresholds = prices.thresholds(self.workshop, flow);
            self.workshop.column(flow, thresholds, 0.0)
        }));
        let slopes: Vec<f64> = columns.iter().map(|target| self.slope(screen, source, target)).collect();
        let by = |one: &usize, other: &usize| slopes[*one].total_cmp(&slopes[*other]);
        let best = (0..columns.len()).max_by(by).unwrap_or(0);
        let worst = (0..own).filter(|&index| index != best).min_by(by);
        if slopes[best] > 0.0 || worst.is_some_and(|worst| slopes[worst] < -1e-9) {
            let stepped = worst.is_some_and(|worst| self.shift(screen, &mut columns, worst, best));
            if !stepped {
                self.blend(screen, source, &mut columns, best);
            }
        }
        columns.retain(|column| column.weight > 0.0);
        for flow in self.workshop.layout.flows_of(source) {
            self.replace(screen, &mut columns, flow, prices);
        }
        columns.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        columns.truncate(MOST_COLUMNS);
        self.candidate.sources[source] = columns;
    }

    /// Puts one threshold vector in the place of all that a chain has, where that is better: services then vary less,
    /// and thresholds move at once instead of by mixing. Tried are those at the prices, and at more and less.
    fn replace(&mut self, screen: &mut Screen<'_>, columns: &mut Vec<Column>, flow: usize, prices: &ByStation) {
        let weight: f64 = columns.iter().filter(|column| column.flow == flow).map(|column| column.weight).sum();
        if weight < LEAST_WEIGHT {
            return;
        }
        let mut without = self.loads.clone();
        for column in columns.iter().filter(|column| column.flow == flow) {
            self.workshop.add(column, -column.weight, &mut without);
        }
        let own: Vec<Column> = columns.iter().filter(|column| column.flow == flow).cloned().collect();
        let own = own.into_iter().filter(|column| column.weight < weight - 1e-9);
        let priced = SCALES.iter().map(|scale| {
            let thresholds = prices.scaled(*scale).thresholds(self.workshop, flow);
            self.workshop.column(flow, thresholds, 0.0)
        });
        let mut best: Option<(f64, Column, Vec<f64>)> = None;
        for tried in priced.chain(own) {
            let mut loads = without.clone();
            self.workshop.add(&tried, weight, &mut loads);
            loads.iter_mut().for_each(|number| *number = number.max(0.0));
            let merit = screen.merit(&loads);
            if merit > best.as_ref().map_or(self.merit, |best| best.0) {
                best = Some((merit, tried, loads));
            }
        }
        if let Some((merit, tried, loads)) = best {
            columns.retain(|column| column.flow != flow);
            columns.push(Column { weight, ..tried });
            (self.merit, self.loads) = (merit, loads);
        }
    }

    /// The gain of a small step of the whole source towards a column.
    fn slope(&self, screen: &mut Screen<'_>, source: usize, target: &Column) -> f64 {
        screen.merit(&self.towards(source, target, TRIAL)) - self.merit
    }

    fn towards(&self, source: usize, target: &Column, share: f64) -> Vec<f64> {
        let mut loads = self.loads.clone();
        let layout = self.workshop.layout;
        for flow in &layout.flows[layout.flows_of(source)] {
            loads[flow.at..][..flow.len()].iter_mut().for_each(|number| *number *= 1.0 - share);
        }
        self.workshop.add(target, share, &mut loads);
        loads
    }

    /// Moves weight from one column to another, as much as is best. `false` when none is.
    fn shift(&mut self, screen: &mut Screen<'_>, columns: &mut [Column], from: usize, to: usize) -> bool {
        let all = columns[from].weight;
        let mut best = (self.merit, 0.0, vec![]);
        for share in [1.0, 0.5, 0.25, 0.1, 0.04] {
            let mut loads = self.loads.clone();
            self.workshop.add(&columns[from], -share * all, &mut loads);
            self.workshop.add(&columns[to], share * all, &mut loads);
            loads.iter_mut().for_each(|number| *number = number.max(0.0));
            let merit = screen.merit(&loads);
            if merit > best.0 {
                best = (merit, share * all, loads);
            } else if best.1 > 0.0 {
                break;
            }
        }
        let (merit, moved, loads) = best;
        if moved == 0.0 {
            return false;
        }
        columns[from].weight = if moved == all { 0.0 } else { all - moved };
        columns[to].weight += moved;
        (self.merit, self.loads) = (merit, loads);
        true
    }

    /// Moves a share of all columns to one.
    fn blend(&mut self, screen: &mut Screen<'_>, source: usize, columns: &mut [Column], to: usize) {
        let mut best = (self.merit, 0.0);
        for share in [TRIAL / 3.0, TRIAL, 0.1, 0.3, 0.6, 1.0] {
            let merit = screen.merit(&self.towards(source, &columns[to], share));
            if merit > best.0 {
                best = (merit, share);
            } else if best.1 > 0.0 {
                break;
            }
        }
        let (merit, share) = best;
        if share < LEAST_WEIGHT {
            return;
        }
        self.loads = self.towards(source, &columns[to], share);
        self.merit = merit;
        columns.iter_mut().for_each(|column| column.weight *= 1.0 - share);
        columns[to].weight += share;
    }
}

//! Pattern search over frontier prices and chain scores, for comparison.
//!
//! Variables: per source and chain the logarithm of a price of time, which gives its thresholds from the accuracy–time
//! frontier of the model, and a score; probabilities are the softmax of scores. Each variable is moved up and down by
//! its step, which grows by half after a gain and is halved after none.

use super::candidate::{Candidate, Column, Workshop};
use super::screen::Screen;
use super::starts::frontier;

/// Steps below this have settled.
const SETTLED: f64 = 0.02;

/// Climbs from the middle of the frontier with all chains alike.
pub(crate) fn search(workshop: &Workshop<'_>, screen: &mut Screen<'_>) -> (f64, Candidate) {
    screen.softness = 0.02;
    let flows = workshop.layout.flows.len();
    let mut point = vec![-2.0; flows];
    point.extend(vec![0.0; flows]);
    let mut steps = vec![1.0; 2 * flows];
    let mut best = candidate(workshop, &point);
    let mut merit = screen.merit(&workshop.loads(&best));
    while !screen.is_over() && steps.iter().any(|&step| step > SETTLED) {
        for index in 0..point.len() {
            let planned = workshop.is_planned(workshop.layout.flows[index % flows].source);
            if !planned || steps[index] <= SETTLED || screen.is_over() {
                steps[index] *= if planned { 1.0 } else { 0.0 };
                continue;
            }
            let before = point[index];
            let mut gained = false;
            for direction in [1.0, -1.0] {
                point[index] = (before + direction * steps[index]).clamp(-9.0, 9.0);
                let tried = candidate(workshop, &point);
                let found = screen.merit(&workshop.loads(&tried));
                if found > merit + 1e-9 {
                    (merit, best, gained) = (found, tried, true);
                    break;
                }
            }
            if gained {
                steps[index] *= 1.5;
            } else {
                point[index] = before;
                steps[index] *= 0.5;
            }
        }
    }
    (merit, best)
}

fn candidate(workshop: &Workshop<'_>, point: &[f64]) -> Candidate {
    let (prices, scores) = point.split_at(workshop.layout.flows.len());
    let of = |source: usize| -> Vec<Column> {
        if !workshop.is_planned(source) {
            return vec![];
        }
        let flows = workshop.layout.flows_of(source);
        let service = workshop.layout.sources[source].service;
        let total: f64 = scores[flows.clone()].iter().map(|score| score.exp()).sum();
        let column = |flow: usize| {
            workshop.column(flow, frontier(workshop, service, prices[flow].exp()), scores[flow].exp() / total)
        };
        flows.map(column).collect()
    };
    Candidate { sources: (0..workshop.layout.sources.len()).map(of).collect() }
}

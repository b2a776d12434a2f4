//! Small corrections that keep what a plan is like: all thresholds of a source a little up or down.
//!
//! When limits have moved by some percent, a plan should follow them by some percent. Shifting the logits of all open
//! thresholds of a source together trades accuracy for time along one line; each source is shifted as far as merit
//! rises, in steps that get smaller.

use super::candidate::{Candidate, Column, Workshop};
use super::screen::Screen;
use domain::Thresholds;

/// Steps of logits.
const STEPS: [f64; 6] = [0.6, 0.3, 0.15, 0.08, 0.04, 0.02];
/// Times that a step is repeated in a row.
const REPEATS: usize = 4;

/// Shifts `start` to the best merit around; never worse.
pub(crate) fn shift(workshop: &Workshop<'_>, screen: &mut Screen<'_>, start: Candidate) -> (f64, Candidate) {
    let merit = screen.merit(&workshop.loads(&start));
    let mut best = (merit, start);
    for step in STEPS {
        for source in 0..best.1.sources.len() {
            for direction in [step, -step] {
                let gained = (0..REPEATS).take_while(|_| shift_source(workshop, screen, source, direction, &mut best));
                if gained.count() > 0 {
                    break;
                }
            }
        }
    }
    best
}

fn shift_source(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    source: usize,
    by: f64,
    best: &mut (f64, Candidate),
) -> bool {
    if best.1.sources[source].is_empty() || screen.is_over() {
        return false;
    }
    let mut tried = best.1.clone();
    let shifted = |column: &Column| workshop.column(column.flow, shifted(&column.arm.thresholds, by), column.weight);
    tried.sources[source] = tried.sources[source].iter().map(shifted).collect();
    let merit = screen.merit(&workshop.loads(&tried));
    let gained = merit > best.0;
    if gained {
        *best = (merit, tried);
    }
    gained
}

/// What always leaves and what is closed stays so.
fn shifted(thresholds: &Thresholds, by: f64) -> Thresholds {
    let shift = |&threshold: &f32| {
        let open = f64::from(threshold);
        if open <= 0.0 || open >= 1.0 {
            return threshold;
        }
        let logit = (open / (1.0 - open)).ln() + by;
        ((1.0 / (1.0 + (-logit).exp())) as f32).clamp(1e-6, 1.0 - 1e-6)
    };
    let shifted: Vec<f32> = thresholds.as_slice().iter().map(shift).collect();
    Thresholds::new(shifted).expect("a logistic value is in range")
}

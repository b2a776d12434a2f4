//! Whether answers are as sure as the exit table says they should be under the plan: a shift of inputs seen without audits.
//!
//! # Formula
//! Per exit the mean confidence of the answers given there, over windows of [`ANSWERS`], against the mean over the rows of the
//! exit table that leave there under the thresholds in force (those of the row of the rate table that the gateway names). A
//! window is off when the two differ by more than the shift that matters and three standard deviations of a mean of
//! confidences, which are below 0.3 ÷ √answers for confidences between 0 and 1 unless they are nearly all at the ends. Three
//! windows in a row are a shift.
//!
//! # Assumptions
//! Thresholds are known: where a gateway learns them, or they depend on jobs present, nothing is tested.
//!
//! # Cost
//! O(exits) per reading, an evaluation of the exit table per plan and row.

use crate::GatewayReading;
use domain::problem::Service;
use domain::{Mixture, Policy};
use std::collections::BTreeMap;

/// Answers of a window.
pub(crate) const ANSWERS: f64 = 500.0;

const WINDOWS: u32 = 3;

/// Row in force, and per exit sum and number of confidences.
type Counters = (Option<usize>, Vec<(f64, u64)>);

/// Follows the confidence of the answers of one service.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfidenceTracker {
    /// Per row of the rate table (`None` without one) and exit: what to expect; NaN where nothing leaves.
    expected: BTreeMap<Option<usize>, Vec<f64>>,
    replicas: BTreeMap<String, Counters>,
    /// Per row and exit: sum and number of answers.
    windows: BTreeMap<(Option<usize>, usize), (f64, f64)>,
    off: BTreeMap<(Option<usize>, usize), u32>,
}

impl ConfidenceTracker {
    /// Takes the counters of a gateway under the plan's `policy` for `service`.
    pub(crate) fn observe(&mut self, gateway: &GatewayReading, service: &Service, policy: &Policy, shift: f64) {
        let now = (gateway.row, gateway.confidences.clone());
        let Some((row, before)) = self.replicas.insert(gateway.replica.clone(), now) else { return };
        // What was counted while the row changed belongs to neither.
        if row != gateway.row {
            return;
        }
        let expected = self.expected.entry(row).or_insert_with(|| expected(service, policy, row)).clone();
        for (exit, ((now, was), expected)) in gateway.confidences.iter().zip(&before).zip(expected).enumerate() {
            let Some(answers) = now.1.checked_sub(was.1) else { return };
            let sum = now.0 - was.0;
            let sound = (0.0..=answers as f64 + 1e-6).contains(&sum);
            if answers == 0 || !sound || expected.is_nan() {
                continue;
            }
            let window = self.windows.entry((row, exit)).or_default();
            *window = (window.0 + sum, window.1 + answers as f64);
            if window.1 >= ANSWERS {
                let (sum, answers) = std::mem::take(window);
                let is_off = (sum / answers - expected).abs() > shift + 0.9 / answers.sqrt();
                let off = self.off.entry((row, exit)).or_default();
                *off = if is_off { off.saturating_add(1) } else { 0 };
            }
        }
    }

    /// Whether answers are less or more sure than they should be.
    pub(crate) fn has_shifted(&self) -> bool {
        self.off.values().any(|windows| *windows >= WINDOWS)
    }

    /// Another plan is in force.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }
}

/// Mean confidence of the answers at each exit; empty where thresholds are not known.
fn expected(service: &Service, policy: &Policy, row: Option<usize>) -> Vec<f64> {
    let exits = service.model.exits();
    let (mut sums, mut shares) = (vec![0.0; exits], vec![0.0; exits]);
    for source in &service.sources {
        let Some(mixture) = mixture(policy, row, &source.name) else { return vec![] };
        for choice in mixture.choices() {
            if !choice.by_present.is_empty() || choice.thresholds.exits() != exits {
                return vec![];
            }
            let behaviour = service.model.choose.exits.evaluate(&choice.thresholds);
            let weight = source.rate.get() * choice.probability.get();
            for exit in 0..exits {
                sums[exit] += weight * behaviour.confidence[exit];
                shares[exit] += weight * behaviour.share[exit];
            }
        }
    }
    sums.iter().zip(shares).map(|(sum, share)| sum / share).collect()
}

fn mixture<'a>(policy: &'a Policy, row: Option<usize>, source: &str) -> Option<&'a Mixture> {
    match (&policy.learning, &policy.rates, row) {
        (None, Some(rates), Some(row)) => rates.rows.get(row).map(|row| row.mixture(source)),
        (None, None, None) => Some(policy.mixture(source)),
        _ => None,
    }
}

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

/// Answers of a gateway since its last reading.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Increment {
    /// Row of the rate table that was in force all the time; `None` without one.
    pub(crate) row: Option<usize>,
    /// Per exit the sum of the confidences of its answers, and their number.
    pub(crate) exits: Vec<(f64, u64)>,
}

/// Tells answers since the last reading from counters since the start of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerMeter {
    replicas: BTreeMap<String, Increment>,
}

impl AnswerMeter {
    /// Takes the counters of a gateway; `None` for the first ones of a process, and where the row has changed: what was counted
    /// meanwhile belongs to neither.
    pub(crate) fn read(&mut self, gateway: &GatewayReading) -> Option<Increment> {
        let now = Increment { row: gateway.row, exits: gateway.confidences.clone() };
        let before = self.replicas.insert(gateway.replica.clone(), now)?;
        if before.row != gateway.row || before.exits.len() != gateway.confidences.len() {
            return None;
        }
        let exits = gateway.confidences.iter().zip(&before.exits).map(|(now, was)| {
            let (sum, count) = (now.0 - was.0, now.1.checked_sub(was.1)?);
            (0.0..=count as f64 + 1e-6).contains(&sum).then_some((sum, count))
        });
        Some(Increment { row: gateway.row, exits: exits.collect::<Option<_>>()? })
    }
}

/// Follows the confidence of the answers of one service.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfidenceTracker {
    /// Per row of the rate table (`None` without one) and exit: what to expect; NaN where nothing leaves.
    expected: BTreeMap<Option<usize>, Vec<f64>>,
    /// Per row and exit: sum and number of answers.
    windows: BTreeMap<(Option<usize>, usize), (f64, f64)>,
    off: BTreeMap<(Option<usize>, usize), u32>,
}

impl ConfidenceTracker {
    /// Takes what a gateway answered under the plan's `policy` for `service`.
    pub(crate) fn observe(&mut self, answers: &Increment, service: &Service, policy: &Policy, shift: f64) {
        let row = answers.row;
        let expected = self.expected.entry(row).or_insert_with(|| expected(service, policy, row));
        for (exit, ((sum, count), expected)) in answers.exits.iter().zip(expected.iter()).enumerate() {
            if *count == 0 || expected.is_nan() {
                continue;
            }
            let window = self.windows.entry((row, exit)).or_default();
            *window = (window.0 + sum, window.1 + *count as f64);
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

/// What jobs of a source do in a row of the rate table; `None` where that is not known.
pub(crate) fn mixture<'a>(policy: &'a Policy, row: Option<usize>, source: &str) -> Option<&'a Mixture> {
    match (&policy.learning, &policy.rates, row) {
        (None, Some(rates), Some(row)) => rates.rows.get(row).map(|row| row.mixture(source)),
        (None, None, None) => Some(policy.mixture(source)),
        _ => None,
    }
}

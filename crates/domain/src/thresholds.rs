//! The threshold rule: at which confidence a job may leave.

/// One threshold per exit but the last, each in [0, 1].
///
/// A job leaves at exit `l` when its confidence is **above** the threshold, or when the threshold is 0 (it always
/// leaves: an entropy confidence can be 0). A threshold of 1 closes the exit: its head is not even computed. The last
/// exit always answers. All comparisons are in `f32`, in every process, so that two of them never disagree.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds(Box<[f32]>);

/// Why a list of numbers is no threshold vector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("threshold {index} must be between 0 (always leaves) and 1 (closed), not {value}")]
pub struct ThresholdsError {
    /// Position in the list, from 0.
    pub index: usize,
    /// What was given.
    pub value: f32,
}

impl Thresholds {
    /// Takes L − 1 values for a model of L exits. A list of none belongs to a model with one exit.
    pub fn new(values: impl Into<Box<[f32]>>) -> Result<Self, ThresholdsError> {
        let values = values.into();
        match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            Some(index) => Err(ThresholdsError { index, value: values[index] }),
            None => Ok(Self(values)),
        }
    }

    /// Every job leaves at the first exit of `exits` (≥ 1).
    pub fn exit_first(exits: usize) -> Self {
        Self::exit_at(exits, 0)
    }

    /// No job leaves before the last exit of `exits` (≥ 1).
    pub fn exit_last(exits: usize) -> Self {
        Self::exit_at(exits, exits - 1)
    }

    /// Every job leaves at `exit` (from 0): that one is always open, those before it are closed.
    pub fn exit_at(exits: usize, exit: usize) -> Self {
        Self((0..exits - 1).map(|index| if index == exit { 0.0 } else { 1.0 }).collect())
    }

    /// Number of exits L of the models these thresholds are for.
    pub fn exits(&self) -> usize {
        self.0.len() + 1
    }

    /// Whether the head of `exit` (from 0) has to be computed.
    pub fn is_open(&self, exit: usize) -> bool {
        self.0.get(exit).is_none_or(|&threshold| threshold < 1.0)
    }

    /// Whether a job with this confidence leaves at `exit` (from 0).
    pub fn leaves(&self, exit: usize, confidence: f32) -> bool {
        self.0.get(exit).is_none_or(|&threshold| threshold == 0.0 || (threshold < 1.0 && confidence > threshold))
    }

    /// The L − 1 values.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_outside_zero_to_one_are_refused_by_position() {
        for bad in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            let error = Thresholds::new(vec![0.5, bad]).unwrap_err();
            assert_eq!(error.index, 1, "{bad}");
        }
    }

    #[test]
    fn the_rule_at_its_edges() {
        let rows = [
            // threshold, confidence, leaves
            (0.0, 0.0, true),
            (0.5, 0.5, false),
            (0.5, 0.500_001, true),
            (1.0, 1.0, false),
            (0.999_999, 1.0, true),
        ];
        for (threshold, confidence, leaves) in rows {
            let thresholds = Thresholds::new(vec![threshold]).unwrap();
            assert_eq!(thresholds.leaves(0, confidence), leaves, "τ={threshold} c={confidence}");
        }
    }

    #[test]
    fn exit_first_and_exit_last_fix_the_exit() {
        let first = Thresholds::exit_first(3);
        assert!(first.leaves(0, 0.0));
        let last = Thresholds::exit_last(3);
        assert!(!last.is_open(0) && !last.is_open(1) && last.is_open(2));
        assert!(last.leaves(2, 0.0));
        assert_eq!(Thresholds::exit_first(1), Thresholds::exit_last(1));
    }

    proptest! {
        #[test]
        fn a_higher_threshold_never_lets_more_leave(
            low in 0.000_001f32..=1.0, high in 0.000_001f32..=1.0, confidence in 0.0f32..=1.0,
        ) {
            let (low, high) = (low.min(high), low.max(high));
            let rule = |threshold| Thresholds::new(vec![threshold]).unwrap().leaves(0, confidence);
            prop_assert!(rule(low) || !rule(high));
        }
    }
}

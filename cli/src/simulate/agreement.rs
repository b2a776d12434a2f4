//! Whether what was simulated agrees with what is known.

use serde::Serialize;
use simulator::Estimate;
use simulator::form::ExpectedMetric;

/// How many metrics were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Agreement {
    /// With known answers.
    pub(super) compared: usize,
    /// That agree.
    pub(super) agreeing: usize,
}

impl Agreement {
    pub(super) fn count(&mut self, agrees: Option<bool>) {
        self.compared += usize::from(agrees.is_some());
        self.agreeing += usize::from(agrees == Some(true));
    }

    pub(super) fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.agreeing += other.agreeing;
    }
}

/// Within both confidence intervals, ours of 99.9 %, and what the printed digits of the other leave open.
pub(super) fn agrees(simulated: Estimate, known: &ExpectedMetric) -> Option<bool> {
    /// Half width of 99.9 % ÷ half width of 99 %.
    const WIDER: f64 = 1.3;
    const DIGITS: f64 = 1e-4;
    let value = known.value?;
    let room = known.ci99.unwrap_or(0.0) + WIDER * simulated.ci99 + DIGITS * value.abs();
    Some((simulated.value - value).abs() <= room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_agree_within_both_intervals() {
        let known = |value: f64| serde_json::from_value(serde_json::json!({ "value": value, "ci99": 0.1 })).unwrap();
        let simulated = |value| Estimate { value, ci99: 0.1 };
        assert_eq!(agrees(simulated(1.22), &known(1.0)), Some(true));
        assert_eq!(agrees(simulated(1.24), &known(1.0)), Some(false));
        assert_eq!(agrees(simulated(f64::NAN), &known(1.0)), Some(false));
        let unknown = serde_json::from_value(serde_json::json!({ "value": null })).unwrap();
        assert_eq!(agrees(simulated(1.0), &unknown), None);
    }
}

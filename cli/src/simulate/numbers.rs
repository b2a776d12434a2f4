//! Numbers with their uncertainty, in as many digits as it leaves.

use super::document::Metric;

/// Of times in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
        }
    }

    /// Units in a second.
    pub(super) fn per_second(self) -> f64 {
        match self {
            Unit::Seconds => 1.0,
            Unit::Milliseconds => 1e3,
        }
    }

    /// A time in seconds.
    pub(super) fn number(self, metric: &Metric) -> String {
        scaled(metric, self.per_second()).unwrap_or_else(|| "–".to_owned())
    }
}

/// `0.492 ± 0.001`, or `–`.
pub(super) fn number(metric: &Metric) -> String {
    scaled(metric, 1.0).unwrap_or_else(|| "–".to_owned())
}

/// `1.58 ± 0.02 %`, or `–`.
pub(super) fn share(metric: &Metric) -> String {
    scaled(metric, 100.0).map_or_else(|| "–".to_owned(), |text| format!("{text} %"))
}

/// Without its uncertainty, but in the digits that it leaves.
pub(super) fn alone(text: &str) -> String {
    text.split_once(" ±").map_or(text, |(number, _)| number).to_owned()
}

/// With whether it agrees with the known answer.
pub(super) fn with_mark(metric: &Metric, text: String) -> String {
    match metric.agrees {
        None => text,
        Some(true) => format!("{text} ✓"),
        Some(false) => format!("{text} ✗"),
    }
}

fn scaled(metric: &Metric, factor: f64) -> Option<String> {
    /// What is so narrow, relatively, is as good as exact.
    const EXACT: f64 = 5e-5;
    let value = metric.value? * factor;
    Some(match metric.ci99.map(|ci99| ci99 * factor) {
        // Seen never, in so many observations.
        Some(ci99) if value == 0.0 && ci99 > 0.0 => format!("< {ci99:.*}", decimals_of(ci99, 1)),
        Some(ci99) if ci99 > EXACT * value.abs() => {
            let decimals = decimals_of(ci99, 1).max(decimals_of(value, 2).min(1));
            format!("{value:.decimals$} ± {ci99:.decimals$}")
        }
        _ => {
            let text = format!("{value:.*}", decimals_of(value, 4));
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
    })
}

/// Decimals that show so many digits of a number.
fn decimals_of(value: f64, digits: i32) -> usize {
    if value == 0.0 {
        return 0;
    }
    let first = value.abs().log10().floor() as i32;
    (digits - 1 - first).clamp(0, 7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: f64, ci99: f64) -> Metric {
        Metric { value: Some(value), ci99: Some(ci99), agrees: None }
    }

    #[test]
    fn digits_are_as_many_as_the_uncertainty_leaves() {
        for (value, ci99, text) in [
            (0.4920635, 0.00101, "0.492 ± 0.001"),
            (0.5, 0.0, "0.5"),
            (0.500_000_1, 0.000_001, "0.5"),
            (1.0 / 3.0, 0.0, "0.3333"),
            (1234.5678, 0.0, "1235"),
            (1234.5678, 12.0, "1235 ± 12"),
            (0.0, 0.000_046, "< 0.00005"),
            (0.0, 0.0, "0"),
            (120.0, 0.0, "120"),
        ] {
            assert_eq!(number(&metric(value, ci99)), text, "{value} ± {ci99}");
        }
        assert_eq!(share(&metric(0.0158, 0.000_203)), "1.58 ± 0.02 %");
        assert_eq!(Unit::Milliseconds.number(&metric(0.01234, 0.0001)), "12.3 ± 0.1");
        assert_eq!(number(&Metric { value: None, ci99: None, agrees: None }), "–");
    }
}

//! Numbers as text, rounded: what programs report.

use crate::{Decimal, Ratio};

impl Decimal {
    /// A number with so many places behind the point, at most 15; `None` if it is negative, not finite or too large.
    pub fn rounded(value: f64, places: usize) -> Option<Self> {
        text(value, places)?.parse().ok()
    }
}

impl Ratio {
    /// As [`Decimal::rounded`]; `None` also if it is above 1.
    pub fn rounded(value: f64, places: usize) -> Option<Self> {
        text(value, places)?.parse().ok()
    }
}

/// Without zeros at the end.
fn text(value: f64, places: usize) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{:.*}", places.min(15), value);
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    // What is rounded to nothing has no sign.
    Some(if short == "-0" { "0".to_owned() } else { short.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_text() {
        for (value, places, want) in [
            (0.25, 4, Some("0.25")),
            (0.123_456, 4, Some("0.1235")),
            (100.0, 4, Some("100")),
            (100.0, 0, Some("100")),
            (0.3, 15, Some("0.3")),
            (-1e-9, 4, Some("0")),
            (-1.0, 4, None),
            (f64::NAN, 4, None),
            (f64::INFINITY, 4, None),
            (1e20, 4, None),
        ] {
            assert_eq!(Decimal::rounded(value, places).as_ref().map(Decimal::as_str), want, "{value}");
        }
        assert_eq!(Ratio::rounded(1.5, 2), None);
        assert_eq!(Ratio::rounded(1.0, 2).as_ref().map(Ratio::as_str), Some("1"));
    }
}

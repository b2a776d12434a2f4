//! Quantities on the command line.

/// `100000`, `1e5`, `100k` or `2M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let wanted = || "write a whole number above 0, such as 100000, 1e5, 100k or 2M".to_owned();
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'M')) => (&text[..at], 1e6),
        Some((at, 'G')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let value = digits.parse::<f64>().map_err(|_| wanted())? * unit;
    if value.fract() == 0.0 && (1.0..=1e15).contains(&value) { Ok(value as u64) } else { Err(wanted()) }
}

/// `0.5%` or `0.005`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let wanted = || "write a share such as 0.5% or 0.005, at least 0.001% and below 100%".to_owned();
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    value.ok().filter(|value| (1e-5..1.0).contains(value)).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        for (text, value) in [("1", 1), ("100000", 100_000), ("1e5", 100_000), ("2.5k", 2500), ("2M", 2_000_000)] {
            assert_eq!(count(text), Ok(value), "{text}");
        }
        for bad in ["", "0", "-1", "1.5", "k", "nan", "1e99", "inf", "1µ", "é"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_read() {
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(share("0.005"), Ok(0.005));
        for bad in ["", "0", "1", "100%", "0%", "-1%", "nan", "%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}

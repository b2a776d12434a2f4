//! JSON numbers read straight into the nearest `f32`.

/// A number at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// The nearest `f32`; infinite when the number is too large.
    pub(super) value: f32,
    /// Bytes it takes.
    pub(super) length: usize,
    /// Written without fraction and exponent.
    pub(super) integer: bool,
}

/// Powers of ten that an `f64` holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A `u64` holds every mantissa of so many digits.
const EXACT_DIGITS: usize = 19;

/// An `f32` holds every integer of so many digits.
const EXACT_INTEGER_DIGITS: usize = 7;

/// Reads the number that `text` starts with; `None` if there is none by JSON's grammar.
#[inline]
pub(super) fn read(text: &[u8]) -> Option<Number> {
    let negative = text.first() == Some(&b'-');
    let first = usize::from(negative);
    let (mantissa, whole_end) = digits(text, first, 0);
    if whole_end == first || (text[first] == b'0' && whole_end > first + 1) {
        return None;
    }
    if whole_end - first <= EXACT_INTEGER_DIGITS && !matches!(text.get(whole_end), Some(b'.' | b'e' | b'E')) {
        return Some(Number { value: signed(mantissa as f32, negative), length: whole_end, integer: true });
    }
    let (mantissa, fraction_end) = fraction(text, whole_end, mantissa)?;
    let (exponent, length) = exponent(text, fraction_end)?;
    let fraction_digits = fraction_end.saturating_sub(whole_end + 1);
    let value = if whole_end - first + fraction_digits <= EXACT_DIGITS {
        scaled(mantissa, exponent - fraction_digits as i32)
    } else {
        None
    };
    let value = match value {
        Some(magnitude) => signed(magnitude, negative),
        None => std::str::from_utf8(&text[..length]).ok()?.parse().ok()?,
    };
    Some(Number { value, length, integer: length == whole_end })
}

/// `magnitude` with its sign, without a branch: signs of tensor values are hard to predict.
#[inline]
fn signed(magnitude: f32, negative: bool) -> f32 {
    f32::from_bits(magnitude.to_bits() | u32::from(negative) << 31)
}

/// Appends the digits at `at` to `mantissa`, wrapping; returns where they end.
#[inline]
fn digits(text: &[u8], mut at: usize, mut mantissa: u64) -> (u64, usize) {
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (mantissa, at)
}

#[inline]
fn fraction(text: &[u8], at: usize, mantissa: u64) -> Option<(u64, usize)> {
    if text.get(at) != Some(&b'.') {
        return Some((mantissa, at));
    }
    let (mantissa, end) = digits(text, at + 1, mantissa);
    (end > at + 1).then_some((mantissa, end))
}

#[inline]
fn exponent(text: &[u8], at: usize) -> Option<(i32, usize)> {
    if !matches!(text.get(at), Some(b'e' | b'E')) {
        return Some((0, at));
    }
    let sign = text.get(at + 1);
    let first = at + 1 + usize::from(matches!(sign, Some(b'+' | b'-')));
    let (magnitude, end) = digits(text, first, 0);
    if end == first {
        return None;
    }
    // More digits may have wrapped; all that counts is that such an exponent is out of range.
    let magnitude = if end - first > 8 { 100_000_000 } else { magnitude as i32 };
    Some((if sign == Some(&b'-') { -magnitude } else { magnitude }, end))
}

/// `mantissa` · 10^`exponent` if one operation in `f64` decides the nearest `f32`.
///
/// Conversion and operation err by at most half a unit in the last place each, so by less than two in all. Only a
/// result that close to the middle between two neighbouring `f32` could be rounded the wrong way.
#[inline]
fn scaled(mantissa: u64, exponent: i32) -> Option<f32> {
    const DROPPED_BITS: u64 = (1 << (f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS)) - 1;
    const MIDDLE: u64 = DROPPED_BITS / 2 + 1;
    if mantissa == 0 {
        return Some(0.0);
    }
    let power = POWERS_OF_TEN.get(exponent.unsigned_abs() as usize)?;
    let near = if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
    let normal = near >= f64::from(f32::MIN_POSITIVE) && near < f64::from(f32::MAX);
    let decided = (near.to_bits() & DROPPED_BITS).abs_diff(MIDDLE) > 2;
    (normal && decided).then_some(near as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) {
        let number = read(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"));
        let want: f32 = text.parse().unwrap();
        assert_eq!((number.value.to_bits(), number.length), (want.to_bits(), text.len()), "{text}");
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest() {
        for text in [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "1",
            "-1.5",
            "0.1",
            "1e3",
            "1E+3",
            "1e-3",
            "0e99999999999",
            "16777216",
            "16777217",
            "16777219",
            "9007199254740993",
            "0.12941177189350128",
            "3.4028235e38",
            "3.4028236e38",
            "3.5e38",
            "1e400",
            "1.1754944e-38",
            "1.1754942e-38",
            "1e-45",
            "7e-46",
            "1e-400",
            "123456789012345678901234567890",
            "0.000000000000000000000000012345",
            "1.00000005960464477539062",
            "1.000000059604644775390625",
            "1.00000005960464477539063",
            "1e-99999999999",
            "18446744073709551615",
            "99999999999999999999",
        ] {
            check(text);
        }
    }

    #[test]
    fn what_json_does_not_call_a_number_is_none() {
        for text in ["", "-", "+1", ".5", "1.", "1.e3", "1e", "1e+", "01", "-01", "NaN", "Infinity", "true", "--1"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_number_ends_where_its_digits_end() {
        for (text, length, integer) in [("12,3", 2, true), ("1.5]", 3, false), ("1e2 ", 3, false), ("0x", 1, true)] {
            let number = read(text.as_bytes()).unwrap();
            assert_eq!((number.length, number.integer), (length, integer), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_single_is_read_back(value in prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL) {
            check(&format!("{value}"));
            check(&format!("{value:e}"));
            check(&format!("{}", f64::from(value)));
        }

        #[test]
        fn any_decimal_is_rounded_as_the_standard_library_does(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?") {
            check(&text);
        }

        #[test]
        fn neighbours_of_the_middle_between_two_singles_are_rounded_right(bits in 0x0080_0000u32..0x7f00_0000, step in -3i64..=3) {
            let low = f64::from(f32::from_bits(bits));
            let high = f64::from(f32::from_bits(bits + 1));
            let near = f64::from_bits(((low + high) / 2.0).to_bits().wrapping_add_signed(step));
            check(&format!("{near}"));
            check(&format!("{near:e}"));
        }
    }
}

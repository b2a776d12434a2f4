//! Colours, sizes and words of pictures.

use plotters::prelude::*;

/// Told apart also without seeing colours (Okabe and Ito).
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(super) const RED: RGBColor = RGBColor(213, 94, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const FAINT: RGBColor = RGBColor(225, 225, 225);

/// Text of so many pixels.
pub(super) fn text(pixels: i32) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", pixels).into_font())
}

/// At most so many letters.
pub(super) fn shorten(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// A number on an axis, in few digits.
pub(super) fn tick(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The end of an axis that shows a value: somewhat further.
pub(super) fn beyond(value: f64) -> f64 {
    if value.is_finite() && value > 0.0 { value * 1.08 } else { 1.0 }
}

/// Seconds in the unit in which most of them read well, and its name.
pub(super) fn time_unit(largest: f64) -> (f64, &'static str) {
    if largest < 1.0 { (1e3, "ms") } else { (1.0, "s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.0, 0.25, 1.5, 20.0, 1234.5, 0.00012].map(tick), ["0", "0.25", "1.5", "20", "1234", "0.0001"]);
    }
}

//! Numbers and tables for people.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

/// `12,345`
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 %`, or `–`. Small shares keep two digits, so that 0.04 % is not 0.
pub(crate) fn percent(share: Option<f64>) -> String {
    match share.filter(|share| !share.is_nan()).map(|share| share * 100.0) {
        None => "–".to_owned(),
        Some(0.0) => "0 %".to_owned(),
        Some(percent) if percent.abs() < 1.0 => format!("{percent:.2} %"),
        Some(percent) => format!("{percent:.1} %"),
    }
}

/// `12.3` of milliseconds, with three digits or so, or `–`.
pub(crate) fn milliseconds(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), digits)
}

/// A number with three digits or so.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `3.1 MiB`
pub(crate) fn bytes(value: u64) -> String {
    match value {
        0..1024 => format!("{value} B"),
        1024..1_048_576 => format!("{} KiB", digits(value as f64 / 1024.0)),
        _ => format!("{} MiB", digits(value as f64 / 1_048_576.0)),
    }
}

/// A bar of `width` cells for a share in [0, 1], in eighths of a cell.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    text.push_str(EIGHTHS[eighths % 8]);
    let filled = text.chars().count();
    text + &" ".repeat(width - filled)
}

/// A table with columns of words on the left, then columns of numbers, and one line below the header.
pub(crate) fn plain_table(words: &[&str], numbers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header([words, numbers].concat());
    for index in words.len()..words.len() + numbers.len() {
        table.column_mut(index).expect("it was just made").set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [None, Some(0.0), Some(0.0004), Some(0.123), Some(1.0)].map(percent),
            ["–", "0 %", "0.04 %", "12.3 %", "100.0 %"]
        );
        assert_eq!([0.1234, 12.34, 1234.5].map(digits), ["0.12", "12.3", "1234"]);
        assert_eq!([12, 2048, 3 << 20].map(bytes), ["12 B", "2.00 KiB", "3.00 MiB"]);
    }

    #[test]
    fn bars_have_their_width() {
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(0.53, 4), "██▏ ");
        assert_eq!(bar(7.0, 2), "██");
        assert_eq!(bar(0.0, 2), "  ");
        assert_eq!(bar(f64::NAN, 2).len(), 2);
    }
}

//! Latency and loss of every chain, and how busy every device is.

use super::style::{self, BLUE, FAINT, GREEN, INK, ORANGE, RED, shorten, tick, time_unit};
use super::{Area, Problem, caption};
use crate::format::percent;
use plotters::chart::{ChartContext, SeriesLabelPosition};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use simulator::{ChainReport, Estimate, Report};

/// More rows than anybody compares.
const MOST_ROWS: usize = 40;
const ROW: u32 = 30;
/// Caption, axis and its description.
const AROUND: u32 = 100;
/// Width of a bar, as part of a row.
const BAR: f64 = 0.6;
/// Longest name beside a row.
const LETTERS: usize = 22;

type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Plane>;

/// Of all panels.
pub(super) fn height(report: &Report) -> u32 {
    2 * panel_height(report.chains.len()) + panel_height(report.devices.len())
}

pub(super) fn draw(area: &Area<'_>, report: &Report) -> Result<(), Problem> {
    let (latency, rest) = area.split_vertically(panel_height(report.chains.len()));
    let (loss, busy) = rest.split_vertically(panel_height(report.chains.len()));
    let chains = &report.chains[..report.chains.len().min(MOST_ROWS)];
    draw_latency(&latency, chains)?;
    let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
    let losses: Vec<_> = chains.iter().map(|chain| chain.fates.loss).collect();
    draw_shares(&loss, "Lost", "% of the arrivals of the chain", &names, &losses, None, RED)?;
    let devices = &report.devices[..report.devices.len().min(MOST_ROWS)];
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    let loads: Vec<_> = devices.iter().map(|device| device.utilization).collect();
    draw_shares(&busy, "Busy", "% of the cores of the device", &names, &loads, Some(100.0), BLUE)
}

fn panel_height(rows: usize) -> u32 {
    AROUND + ROW * rows.clamp(2, MOST_ROWS) as u32
}

/// A row per name, from top to bottom.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    axis: &str,
    names: &[&str],
    largest: f64,
) -> Result<Chart<'a, 'b>, Problem> {
    caption(area, title)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(30)
        .margin_left(16)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(170)
        .build_cartesian_2d(0.0..largest, 0.0..names.len().max(1) as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .x_desc(axis)
        .x_labels(8)
        .x_label_formatter(&|value| tick(*value))
        .label_style(style::text(13).color(&INK))
        .axis_desc_style(style::text(13).color(&INK))
        .draw()?;
    let beside = style::text(13).color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
    chart.draw_series(names.iter().enumerate().map(|(index, name)| {
        let text = Text::new(shorten(name, LETTERS), (-8, 0), beside.clone());
        EmptyElement::at((0.0, row(index, names.len()))) + text
    }))?;
    Ok(chart)
}

/// The middle of a row; the first one is at the top.
fn row(index: usize, rows: usize) -> f64 {
    (rows - index) as f64 - 0.5
}

/// Median, 95 % and 99 % on one line per chain.
fn draw_latency(area: &Area<'_>, chains: &[ChainReport]) -> Result<(), Problem> {
    let quantiles = |chain: &ChainReport| [chain.fates.latency.p50, chain.fates.latency.p95, chain.fates.latency.p99];
    let all = chains.iter().flat_map(|chain| quantiles(chain).map(|quantile| quantile.value));
    let largest = all.filter(|value| value.is_finite()).fold(0.0, f64::max);
    let (scale, unit) = time_unit(largest);
    // Room for the legend.
    let end = if largest > 0.0 { largest * scale * 1.2 } else { 1.0 };
    let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
    let mut chart = chart(area, "Time from arrival to answer", unit, &names, end)?;
    let rows = chains.len();
    let lines = chains.iter().enumerate().filter(|(_, chain)| chain.fates.latency.p99.value.is_finite());
    chart.draw_series(lines.map(|(index, chain)| {
        let row = row(index, rows);
        let ends = [(0.0, row), (chain.fates.latency.p99.value * scale, row)];
        PathElement::new(ends.to_vec(), FAINT.stroke_width(6))
    }))?;
    for (which, name, color) in [(0, "median", GREEN), (1, "95 %", ORANGE), (2, "99 %", RED)] {
        let dots = chains.iter().enumerate().map(|(index, chain)| (index, quantiles(chain)[which].value));
        let dots = dots
            .filter(|(_, value)| value.is_finite())
            .map(|(index, value)| Circle::new((value * scale, row(index, rows)), 6, color.filled()));
        let series = chart.draw_series(dots)?;
        series.label(name).legend(move |(x, y)| Circle::new((x + 8, y), 5, color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(FAINT)
        .label_font(style::text(13).color(&INK))
        .draw()
}

/// A bar per name, with the confidence interval across its end and the number behind it.
fn draw_shares(
    area: &Area<'_>,
    title: &str,
    axis: &str,
    names: &[&str],
    shares: &[Estimate],
    whole: Option<f64>,
    color: RGBColor,
) -> Result<(), Problem> {
    let values: Vec<(f64, f64)> = shares.iter().map(|share| (known(share.value), known(share.ci99))).collect();
    let largest = values.iter().map(|(value, width)| value + width).fold(0.0, f64::max);
    // Room for the number behind the longest bar; and what is next to nothing looks like it.
    let end = whole.unwrap_or(1.0).max(largest) * 1.15;
    let mut chart = chart(area, title, axis, names, end)?;
    let row = |index: usize| row(index, names.len());
    chart.draw_series(values.iter().enumerate().map(|(index, (value, _))| {
        let corners = [(0.0, row(index) - BAR / 2.0), (*value, row(index) + BAR / 2.0)];
        Rectangle::new(corners, color.mix(0.75).filled())
    }))?;
    let wide = || values.iter().enumerate().filter(|(_, (_, width))| *width > 0.0);
    chart.draw_series(wide().map(|(index, (value, width))| {
        let ends = [(value - width).max(0.0), value + width].map(|end| (end, row(index)));
        PathElement::new(ends.to_vec(), INK.stroke_width(1))
    }))?;
    let ends =
        wide().flat_map(|(index, (value, width))| [(value - width).max(0.0), value + width].map(|end| (index, end)));
    chart.draw_series(ends.map(|(index, end)| {
        EmptyElement::at((end, row(index))) + PathElement::new(vec![(0, -4), (0, 4)], INK.stroke_width(1))
    }))?;
    chart.draw_series(values.iter().enumerate().map(|(index, (value, width))| {
        let text = Text::new(percent(Some(value / 100.0)), (8, -6), style::text(13).color(&INK));
        EmptyElement::at((value + width, row(index))) + text
    }))?;
    Ok(())
}

/// In percent; nothing where it is not known.
fn known(share: f64) -> f64 {
    if share.is_finite() { share * 100.0 } else { 0.0 }
}

//! What happens over time: rates of jobs, and how long answers take.

use super::style::{self, BLUE, FAINT, GREEN, INK, ORANGE, RED, beyond, tick, time_unit};
use super::{Area, Problem, caption};
use plotters::chart::{ChartContext, SeriesLabelPosition};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use simulator::{Interval, Series};

const PANEL: u32 = 280;
/// Shows through where all that arrived was answered.
const ARRIVED: RGBColor = RGBColor(170, 170, 170);

type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Plane>;

/// A line of steps, with gaps where nothing is known.
struct Line {
    name: &'static str,
    color: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
}

/// Lines on common axes.
struct Panel {
    title: &'static str,
    axis: &'static str,
    largest: Option<f64>,
    lines: Vec<Line>,
}

/// Of all panels.
pub(super) fn height(series: &Series) -> u32 {
    PANEL * panels(series, &together(series)).len() as u32
}

pub(super) fn draw(area: &Area<'_>, series: &Series) -> Result<(), Problem> {
    let all = together(series);
    let end = (all.len() as f64 * series.interval).max(f64::MIN_POSITIVE);
    let panels = panels(series, &all);
    for (area, panel) in area.split_evenly((panels.len(), 1)).iter().zip(&panels) {
        draw_panel(area, end, panel)?;
    }
    Ok(())
}

fn panels(series: &Series, all: &[Interval]) -> Vec<Panel> {
    let line = |name, color, width, of: &dyn Fn(&Interval) -> f64| {
        let ends = |index: usize| [index, index + 1].map(|index| index as f64 * series.interval);
        let points = all.iter().enumerate().flat_map(|(index, one)| ends(index).map(|time| (time, of(one))));
        Line { name, color, width, points: points.collect() }
    };
    let per_second = |count: f64| count / series.interval;
    let mut rates = vec![
        line("arrived", ARRIVED, 6, &|one| per_second(one.arrived)),
        line("answered", GREEN, 2, &|one| per_second(one.answered)),
        line("lost", RED, 2, &|one| per_second(one.lost)),
    ];
    if all.iter().any(|one| one.failed > 0.0) {
        rates.push(line("failed", ORANGE, 2, &|one| per_second(one.failed)));
    }
    let of_answers = |one: &Interval, sum: f64| if one.answered > 0.0 { sum / one.answered } else { f64::NAN };
    let mean = |one: &Interval| of_answers(one, one.latency_sum);
    let longest = all.iter().map(mean).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let (scale, unit) = time_unit(longest);
    let latency = line("mean", BLUE, 2, &|one| mean(one) * scale);
    let mut panels = vec![
        Panel { title: "Jobs by the time of their arrival", axis: "jobs per second", largest: None, lines: rates },
        Panel { title: "Mean time from arrival to answer", axis: unit, largest: None, lines: vec![latency] },
    ];
    if all.iter().any(|one| one.correct > 0.0) {
        let lines = vec![line("right", BLUE, 2, &|one| of_answers(one, one.correct) * 100.0)];
        panels.push(Panel { title: "Right answers", axis: "% of answers", largest: Some(100.0), lines });
    }
    panels
}

/// All sources in one.
fn together(series: &Series) -> Vec<Interval> {
    let length = series.sources.iter().map(Vec::len).max().unwrap_or(0);
    let mut all = vec![Interval::default(); length];
    for source in &series.sources {
        for (sum, one) in all.iter_mut().zip(source) {
            sum.arrived += one.arrived;
            sum.answered += one.answered;
            sum.lost += one.lost;
            sum.failed += one.failed;
            sum.correct += one.correct;
            sum.latency_sum += one.latency_sum;
        }
    }
    // Nothing arrives behind the end.
    all.truncate(all.iter().rposition(|one| one.arrived > 0.0).map_or(0, |last| last + 1));
    all
}

fn draw_panel(area: &Area<'_>, end: f64, panel: &Panel) -> Result<(), Problem> {
    let values = panel.lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
    let highest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    caption(area, panel.title)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(30)
        .margin_left(16)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..panel.largest.unwrap_or(beyond(highest)))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .x_desc("seconds since the start")
        .y_desc(panel.axis)
        .x_labels(12)
        .y_labels(6)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .label_style(style::text(13).color(&INK))
        .axis_desc_style(style::text(13).color(&INK))
        .draw()?;
    for line in &panel.lines {
        draw_line(&mut chart, line)?;
    }
    if panel.lines.len() < 2 {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(FAINT)
        .label_font(style::text(13).color(&INK))
        .draw()
}

fn draw_line(chart: &mut Chart<'_, '_>, line: &Line) -> Result<(), Problem> {
    let (color, width) = (line.color, line.width);
    for piece in line.points.split(|(_, value)| !value.is_finite()) {
        chart.draw_series(LineSeries::new(piece.iter().copied(), color.stroke_width(width)))?;
    }
    let none = LineSeries::new(std::iter::empty(), color.stroke_width(width));
    let series = chart.draw_series(none)?;
    series
        .label(line.name)
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(width)));
    Ok(())
}

//! Pictures of results as SVG.
//!
//! * [`stationary`]: latency, loss and load of a network whose load stays the same.
//! * [`transient`]: what happens over time, where the load has an end.
//!
//! Text keeps to fonts that every viewer has; no font is needed to draw.

mod stationary;
mod style;
mod transient;

use super::input::Task;
use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use simulator::Report;

/// What drawing on text can fail with.
type Problem = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 960;
const TITLE_HEIGHT: u32 = 48;

/// The picture of a report.
pub(super) fn draw(task: &Task, report: &Report) -> anyhow::Result<String> {
    let series = report.series.as_ref().filter(|series| series.sources.iter().any(|source| !source.is_empty()));
    let height = TITLE_HEIGHT + series.map_or_else(|| stationary::height(report), transient::height);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let drawn = picture(&area, &title(task), |body| match series {
            Some(series) => transient::draw(body, series),
            None => stationary::draw(body, report),
        });
        drawn.map_err(|error| anyhow!("{error}"))?;
    }
    Ok(svg)
}

fn picture(area: &Area<'_>, title: &str, draw_body: impl Fn(&Area<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
    area.fill(&WHITE)?;
    let (top, body) = area.split_vertically(TITLE_HEIGHT);
    top.draw(&Text::new(title, (24, 16), style::text(18).color(&style::INK)))?;
    draw_body(&body)?;
    area.present()
}

fn title(task: &Task) -> String {
    const MOST_LETTERS: usize = 100;
    let words = task.description.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    style::shorten(&format!("{}{words}", task.case.id), MOST_LETTERS)
}

/// The name of a panel, at its left edge.
fn caption(area: &Area<'_>, text: &str) -> Result<(), Problem> {
    area.draw(&Text::new(text, (24, 4), style::text(15).color(&style::INK)))
}

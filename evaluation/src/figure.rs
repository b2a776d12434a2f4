//! Pictures: panels of lines over one legend, as SVG. Text keeps to fonts that every viewer has.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

/// What drawing on text can fail with.
type Problem = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(225, 225, 225);
/// Told apart also without seeing colours (Okabe and Ito), the first one for what matters most.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(140, 140, 140),
];
const PANEL: (u32, u32) = (480, 330);
const TITLE: u32 = 40;
const LEGEND_ROW: u32 = 24;
const LEGEND_COLUMNS: u32 = 4;

/// A picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figure {
    pub(crate) title: String,
    /// In rows of two. Lines of one name have one style everywhere.
    pub(crate) panels: Vec<Panel>,
    /// Names of lines in the order of the legend.
    pub(crate) names: Vec<String>,
}

/// A coordinate system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    /// The part of the y axis that is shown; from the lines where it is not given.
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) lines: Vec<Line>,
}

/// A line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Points that are not finite are left out.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Figure {
    /// The picture as SVG.
    pub(crate) fn draw(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        let rows = self.panels.len().div_ceil(2) as u32;
        let legend = LEGEND_ROW * (self.names.len() as u32).div_ceil(LEGEND_COLUMNS) + 12;
        {
            let size = (2 * PANEL.0, TITLE + rows * PANEL.1 + legend);
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            self.picture(&area, rows).map_err(|error| anyhow!("{error}"))?;
        }
        Ok(svg)
    }

    fn picture(&self, area: &Area<'_>, rows: u32) -> Result<(), Problem> {
        area.fill(&WHITE)?;
        let (top, rest) = area.split_vertically(TITLE);
        top.draw(&Text::new(self.title.clone(), (24, 14), text(17)))?;
        let (body, legend) = rest.split_vertically(rows * PANEL.1);
        for (place, panel) in body.split_evenly((rows as usize, 2)).iter().zip(&self.panels) {
            self.panel(place, panel)?;
        }
        self.legend(&legend)?;
        area.present()
    }

    fn panel(&self, area: &Area<'_>, panel: &Panel) -> Result<(), Problem> {
        area.draw(&Text::new(panel.title.clone(), (60, 4), text(14)))?;
        let (x, y) = panel.ranges();
        let mut chart = ChartBuilder::on(area)
            .margin_top(24)
            .margin_right(16)
            .margin_left(4)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .x_desc(panel.x.clone())
            .y_desc(panel.y.clone())
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|value| tick(*value))
            .y_label_formatter(&|value| tick(*value))
            .label_style(text(12))
            .axis_desc_style(text(12))
            .draw()?;
        for line in &panel.lines {
            let (color, dashed) = self.style(&line.name);
            let points = line.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
            let inside = points.map(|(x, value)| (x, value.clamp(y.0, y.1)));
            if dashed {
                chart.draw_series(DashedLineSeries::new(inside, 5, 4, color.stroke_width(2)))?;
            } else {
                chart.draw_series(LineSeries::new(inside, color.stroke_width(2)))?;
            }
        }
        Ok(())
    }

    fn legend(&self, area: &Area<'_>) -> Result<(), Problem> {
        let width = (2 * PANEL.0 - 80) / LEGEND_COLUMNS;
        for (index, name) in self.names.iter().enumerate() {
            let (column, row) = (index as u32 % LEGEND_COLUMNS, index as u32 / LEGEND_COLUMNS);
            let (x, y) = ((60 + column * width) as i32, (10 + row * LEGEND_ROW) as i32);
            let (color, dashed) = self.style(name);
            let ends = if dashed { vec![(x, x + 9), (x + 14, x + 24)] } else { vec![(x, x + 24)] };
            for (from, to) in ends {
                area.draw(&PathElement::new(vec![(from, y), (to, y)], color.stroke_width(3)))?;
            }
            area.draw(&Text::new(name.clone(), (x + 32, y - 6), text(13)))?;
        }
        Ok(())
    }

    fn style(&self, name: &str) -> (RGBColor, bool) {
        let index = self.names.iter().position(|other| other == name).unwrap_or(0);
        (COLORS[index % COLORS.len()], index >= COLORS.len())
    }
}

impl Panel {
    fn ranges(&self) -> ((f64, f64), (f64, f64)) {
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let x = ends(&mut points().map(|point| point.0));
        let y = self.range.unwrap_or_else(|| {
            let (low, high) = ends(&mut points().map(|point| point.1));
            (low.min(0.0), high * 1.05)
        });
        (sound(x), sound(y))
    }
}

/// A range that can be drawn.
fn sound((low, high): (f64, f64)) -> (f64, f64) {
    if low.is_finite() && high > low { (low, high) } else { (0.0, 1.0) }
}

fn text(pixels: i32) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", pixels).into_font()).color(&INK)
}

/// A number on an axis, in few digits.
fn tick(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

//! A chart of lines on logarithmic scales.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, IntoDrawingArea as _, IntoLogRange as _, LineSeries,
    PathElement, RGBColor, SVGBackend, SeriesLabelPosition,
};
use plotters::style::{BLACK, WHITE};

/// The size in pixels.
const SIZE: (u32, u32) = (860, 520);

/// The colours of lines, chosen to be distinguishable for colour-blind readers (M. Okabe and K.
/// Ito, "Color Universal Design", 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

/// Lines with their titles.
pub(crate) struct Chart {
    /// The title.
    pub(crate) title: &'static str,
    /// The label of the horizontal axis.
    pub(crate) across: &'static str,
    /// The label of the vertical axis.
    pub(crate) up: &'static str,
    /// The lines.
    pub(crate) lines: Vec<Line>,
}

/// A line with its name.
pub(crate) struct Line {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its points, all above 0.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Chart {
    /// Whether there is nothing to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Draws it into an SVG file.
    pub(crate) fn draw(&self, path: &Path) -> Result<()> {
        self.try_draw(path)
            .map_err(|error| anyhow!("cannot draw `{}`: {error}", path.display()))
    }

    fn try_draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let across = bounds(points().map(|(across, _)| *across));
        let up = bounds(points().map(|(_, up)| *up));
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d((across.0..across.1).log_scale(), (up.0..up.1).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .y_desc(self.up)
            .x_label_formatter(&|number| plain(*number))
            .y_label_formatter(&|number| plain(*number))
            .light_line_style(BLACK.mix(0.05))
            .bold_line_style(BLACK.mix(0.15))
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            let dots = line.points.iter();
            chart.draw_series(dots.map(|point| Circle::new(*point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// Powers of ten around numbers, with room at both ends.
fn bounds(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = numbers.clone().fold(f64::MAX, f64::min);
    let most = numbers.fold(f64::MIN, f64::max);
    let power = |exponent: f64| 10_f64.powf(exponent);
    (
        power(least.log10().floor()),
        power((most * 1.2).log10().ceil()),
    )
}

/// A number without an exponent, unless it is tiny.
fn plain(number: f64) -> String {
    let digits = (-number.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{number:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() {
        grouped
    } else {
        format!("{grouped}.{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_out() {
        let written = [1e6, 1000.0, 10.0, 1.0, 0.1, 0.001].map(plain);
        assert_eq!(written, ["1,000,000", "1,000", "10", "1", "0.1", "0.001"]);
    }

    #[test]
    fn bounds_are_powers_of_ten() {
        let (least, most) = bounds([20.0, 950.0].into_iter());
        assert!((least - 10.0).abs() < 1e-9 && (most - 10_000.0).abs() < 1e-6);
    }
}

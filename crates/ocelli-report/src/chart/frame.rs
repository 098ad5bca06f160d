//! The plot area: where values lie in pixels.

use super::axis::{Axis, Ends, Placed};
use super::series::{Series, Shape};
use super::{Chart, Reference, ReferenceKind};

/// Size of the whole drawing, in its own pixels.
pub(super) const SIZE: (f64, f64) = (560.0, 330.0);
/// Space above the plot, for the title of the y axis.
pub(super) const TOP: f64 = 30.0;
/// Space below the plot, for the labels and the title of the x axis.
pub(super) const BOTTOM: f64 = 54.0;
/// Space to the right, for half a label.
const RIGHT: f64 = 22.0;
/// Width kept for a character of a label. Type on a small screen is set larger against the drawing, and must fit too.
const CHARACTER: f64 = 11.0;

/// The plot area with both axes laid out over it.
#[derive(Debug)]
pub(super) struct Frame {
    /// Left edge of the plot area in the drawing.
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x: Placed,
    pub(super) y: Placed,
    /// How many points had finite coordinates but no place on the axes.
    pub(super) off_scale: usize,
}

impl Frame {
    /// Lays out `chart`.
    pub(super) fn new(chart: &Chart) -> Self {
        let extent = Extent::of(chart);
        let height = SIZE.1 - TOP - BOTTOM;
        let y = chart.y.lay_out(extent.y, Ends::AtTicks, height);
        let longest = y.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let left = (longest as f64 * CHARACTER).clamp(24.0, SIZE.0 / 3.0) + 8.0;
        let width = SIZE.0 - left - RIGHT;
        Self {
            left,
            width,
            height,
            x: chart.x.lay_out(extent.x, Ends::AtData, width),
            y,
            off_scale: extent.off_scale,
        }
    }

    /// Pixels from the left and the top of the plot area, or `None` for a point without a place.
    pub(super) fn place(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x.place(x)?, self.height - self.y.place(y)?))
    }

    /// Whether a point in pixels lies in the plot area, its border included.
    pub(super) fn shows(&self, (x, y): (f64, f64)) -> bool {
        (-0.1..=self.width + 0.1).contains(&x) && (-0.1..=self.height + 0.1).contains(&y)
    }
}

/// The ranges a chart's data take.
#[derive(Debug, Default)]
struct Extent {
    x: Option<(f64, f64)>,
    y: Option<(f64, f64)>,
    off_scale: usize,
}

impl Extent {
    fn of(chart: &Chart) -> Self {
        let mut extent = Self::default();
        for series in &chart.series {
            extent.add_series(chart, series);
        }
        for Reference { kind, .. } in &chart.references {
            match *kind {
                ReferenceKind::Horizontal(y) => include(&mut extent.y, &chart.y, y),
                ReferenceKind::Vertical(x) => include(&mut extent.x, &chart.x, x),
                ReferenceKind::Diagonal => (),
            }
        }
        extent
    }

    fn add_series(&mut self, chart: &Chart, series: &Series) {
        match &series.shape {
            Shape::Line { points, .. } => points.iter().for_each(|point| self.add(chart, *point)),
            Shape::Bars(bars) => {
                for bar in bars {
                    // An empty bar of a log histogram has no height to show, which is no loss.
                    if bar.height != 0.0 {
                        self.add(chart, (bar.from, bar.height));
                    }
                    include(&mut self.x, &chart.x, bar.from);
                    include(&mut self.x, &chart.x, bar.to);
                    include(&mut self.y, &chart.y, 0.0);
                }
            }
        }
    }

    fn add(&mut self, chart: &Chart, (x, y): (f64, f64)) {
        if chart.x.scale.holds(x) && chart.y.scale.holds(y) {
            include(&mut self.x, &chart.x, x);
            include(&mut self.y, &chart.y, y);
        } else if x.is_finite() && y.is_finite() {
            self.off_scale += 1;
        }
    }
}

fn include(range: &mut Option<(f64, f64)>, axis: &Axis, value: f64) {
    if axis.scale.holds(value) {
        let (low, high) = range.unwrap_or((value, value));
        *range = Some((low.min(value), high.max(value)));
    }
}

//! Line charts and histograms as inline SVG.

mod axis;
mod draw;
mod frame;
mod series;
mod thin;
mod ticks;

pub use axis::Axis;
pub(super) use draw::STYLE;
pub use series::{Bar, Series};

use std::path::Path;

use super::ReportError;
use super::markup::Markup;
use super::save::save;

/// A chart: named series over two axes.
///
/// Lines and histograms may share a chart. What has no place on its axes is left out and breaks the line: NaN, an
/// infinity, a number at or below zero on a log axis.
///
/// ```
/// use ocelli_report::{Axis, Chart, Series};
///
/// let roc = [(1e-4, 0.62), (1e-3, 0.81), (1e-2, 0.93), (1.0, 1.0)];
/// let chart = Chart::new("ROC", Axis::log("FAR"), Axis::linear("TAR").range(0.0, 1.0))
///     .series(Series::line("CurricularFace", roc))
///     .diagonal("chance");
/// ```
#[derive(Debug, Clone)]
pub struct Chart {
    title: String,
    note: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
    references: Vec<Reference>,
}

/// A line to compare the series with.
#[derive(Debug, Clone)]
struct Reference {
    name: String,
    kind: ReferenceKind,
}

#[derive(Debug, Clone, Copy)]
enum ReferenceKind {
    /// y = x, a curve where only one axis is logarithmic.
    Diagonal,
    /// y is this value.
    Horizontal(f64),
    /// x is this value.
    Vertical(f64),
}

impl Chart {
    /// An empty chart. The ranges of the axes follow from the series, unless an axis fixes its own.
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self {
            title: title.to_owned(),
            note: String::new(),
            x,
            y,
            series: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Genuine and impostor scores, or any other sets of values, as overlaid histograms: the range of all finite
    /// values cut into `bins` equal bins (at least one), the height of a bar its share of the set.
    ///
    /// `sets` holds a name and the values, in any unit; `x_title` names that unit.
    pub fn histogram(title: &str, x_title: &str, sets: &[(&str, &[f64])], bins: usize) -> Self {
        let mut chart = Self::new(title, Axis::linear(x_title), Axis::linear("share").percent());
        chart.series = Series::histograms(sets, bins);
        chart
    }

    /// Adds a series; earlier ones are drawn beneath later ones.
    #[must_use]
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Adds the line y = x: what chance reaches in an ROC, what is ideal in a calibration plot.
    #[must_use]
    pub fn diagonal(self, name: &str) -> Self {
        self.reference(name, ReferenceKind::Diagonal)
    }

    /// Adds a line at the height `y`, such as the number a paper reports.
    #[must_use]
    pub fn horizontal(self, name: &str, y: f64) -> Self {
        self.reference(name, ReferenceKind::Horizontal(y))
    }

    /// Adds an upright line at `x`, such as a threshold or the step at which the learning rate drops.
    #[must_use]
    pub fn vertical(self, name: &str, x: f64) -> Self {
        self.reference(name, ReferenceKind::Vertical(x))
    }

    /// Sets the sentence under the chart.
    #[must_use]
    pub fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    fn reference(mut self, name: &str, kind: ReferenceKind) -> Self {
        self.references.push(Reference { name: name.to_owned(), kind });
        self
    }

    /// The chart as a picture of its own: an SVG document with its title, its legend and its style sheet.
    pub fn to_svg(&self) -> String {
        let mut out = Markup::default();
        draw::document(self, &mut out);
        out.into_string()
    }

    /// Writes [`Chart::to_svg`] to a file, wholly or not at all.
    ///
    /// # Errors
    /// [`ReportError::Write`].
    pub fn save_svg(&self, file: &Path) -> Result<(), ReportError> {
        save(file, &self.to_svg())
    }

    /// Writes the chart as a `figure`; `number` makes its element ids unique within the page.
    pub(super) fn write(&self, number: usize, out: &mut Markup) {
        out.element("figure", &[("class", "chart")], |out| {
            out.element("figcaption", &[], |out| {
                out.leaf("b", &[], &self.title);
                draw::legend(self, out);
            });
            draw::svg(self, number, out);
            if !self.note.is_empty() {
                out.leaf("p", &[("class", "note")], &self.note);
            }
        });
    }
}

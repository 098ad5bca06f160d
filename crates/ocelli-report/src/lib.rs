//! Reports: one HTML file that says what a run did, to read in any browser, on paper or on a phone.
//!
//! A [`Report`] is a list of parts in reading order. Its file holds everything it shows: style, charts (inline SVG) and
//! pictures (data URIs). It refers to nothing outside itself, runs no script, and forbids the browser to fetch anything,
//! so it can be mailed, archived with the weights, and opened in ten years.
//!
//! ```
//! use ocelli_report::{Axis, Chart, Report, Series};
//!
//! let loss = (0..500).map(|step| (f64::from(step), 4.0 / f64::from(step + 1)));
//! let report = Report::new("CurricularFace", "trained on procedural faces, seed 0")
//!     .numbers(&[("verification accuracy", "98.7 %", "10-fold, 6000 pairs")])
//!     .heading(1, "Training")
//!     .chart(Chart::new("Loss", Axis::linear("step"), Axis::log("loss")).series(Series::line("loss", loss)))
//!     .details("Recipe", |inner| inner.code("recipe.toml", "epochs = 20"));
//!
//! let folder = tempfile::tempdir()?;
//! report.save(&folder.path().join("report.html"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | `lib.rs` | the builder |
//! | `part.rs` | the parts and how each is written |
//! | `page.rs`, `style.css` | the page around them |
//! | `markup.rs` | escaped, balanced HTML |
//! | `bars.rs` | numbers by name, as bars |
//! | `chart/` | axes, ticks, series and the drawing |
//! | `timeline.rs` | segments of time in lanes |
//! | `picture.rs` | PNG or JPEG data URIs |
//! | `save.rs` | the atomic write |

mod bars;
mod chart;
mod error;
mod markup;
mod page;
mod part;
mod picture;
mod save;
#[cfg(test)]
mod tests;
mod timeline;

use std::path::Path;

use image::RgbImage;

pub use chart::{Axis, Bar, Chart, Series};
pub use error::ReportError;
use part::{Part, Photo};
pub use timeline::{Lane, Span};

/// A report in the making: each method appends a part and hands the report on.
///
/// Every string given is shown as it is, whatever it contains; none can act as markup.
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    subtitle: String,
    parts: Vec<Part>,
}

impl Report {
    /// A report without parts. `subtitle` may be empty.
    pub fn new(title: &str, subtitle: &str) -> Self {
        Self { title: title.to_owned(), subtitle: subtitle.to_owned(), parts: Vec::new() }
    }

    /// Appends a heading: level 1 for a section, 2 and 3 for its divisions. Other levels count as the nearest of these.
    #[must_use]
    pub fn heading(self, level: u8, text: &str) -> Self {
        self.with(Part::Heading { level: level.clamp(1, 3), text: text.to_owned() })
    }

    /// Appends paragraphs, which blank lines in `text` separate.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.with(Part::Text(text.to_owned()))
    }

    /// Appends a table of definitions: (what, which value).
    #[must_use]
    pub fn facts<K: AsRef<str>, V: AsRef<str>>(self, facts: &[(K, V)]) -> Self {
        self.with(Part::Facts(facts.iter().map(|(key, value)| [owned(key), owned(value)]).collect()))
    }

    /// Appends the numbers a reader looks for first, large: (label, value with its unit, note). The note may be empty.
    #[must_use]
    pub fn numbers<L: AsRef<str>, V: AsRef<str>, N: AsRef<str>>(self, numbers: &[(L, V, N)]) -> Self {
        let copy = |(label, value, note): &(L, V, N)| [owned(label), owned(value), owned(note)];
        self.with(Part::Numbers(numbers.iter().map(copy).collect()))
    }

    /// Appends a table. A column that holds only numbers is set flush right; short rows end in empty cells.
    #[must_use]
    pub fn table<H: AsRef<str>, R: AsRef<[C]>, C: AsRef<str>>(self, header: &[H], rows: &[R]) -> Self {
        let header = header.iter().map(owned).collect();
        self.with(Part::table(
            header,
            rows.iter().map(|row| row.as_ref().iter().map(owned).collect()).collect(),
        ))
    }

    /// Appends a table of numbers with a bar for the first of each row: (name, values), such as the classes of a
    /// detector. Bars are drawn to the scale of the largest; what is not finite or not above 0 has none, and what is not
    /// finite is a dash.
    #[must_use]
    pub fn bars<H: AsRef<str>, N: AsRef<str>, V: AsRef<[f64]>>(self, header: &[H], rows: &[(N, V)]) -> Self {
        let header = header.iter().map(owned).collect();
        let rows = rows.iter().map(|(name, values)| (owned(name), values.as_ref().to_vec())).collect();
        self.with(Part::Bars { header, rows })
    }

    /// Appends a chart. Charts that follow each other share rows where the screen is wide enough.
    #[must_use]
    pub fn chart(self, chart: Chart) -> Self {
        self.with(Part::Chart(Box::new(chart)))
    }

    /// Appends a grid of pictures `[H, W, RGB]`, each with a caption. A picture without pixels is named as such.
    ///
    /// Sides above 1024 pixels are shrunk; large photographs are stored as JPEG, all else without loss.
    #[must_use]
    pub fn pictures<C: AsRef<str>>(self, title: &str, pictures: &[(RgbImage, C)]) -> Self {
        let photos =
            pictures.iter().map(|(picture, caption)| Photo::new(&[picture], caption.as_ref())).collect();
        self.with(Part::Pictures { title: title.to_owned(), photos })
    }

    /// Appends a grid of pairs of pictures, side by side over one caption, such as the pairs a verifier finds hardest.
    /// The pictures are stored as [`Self::pictures`] stores them.
    #[must_use]
    pub fn picture_pairs<C: AsRef<str>>(self, title: &str, pairs: &[(RgbImage, RgbImage, C)]) -> Self {
        let photos = pairs.iter().map(|(a, b, caption)| Photo::new(&[a, b], caption.as_ref())).collect();
        self.with(Part::Pictures { title: title.to_owned(), photos })
    }

    /// Appends a timeline of `duration` seconds: lanes of segments, such as the actions of a video over those a method
    /// finds. Segments are cut to the duration; the heavier, the stronger they are drawn.
    #[must_use]
    pub fn timeline(self, title: &str, duration: f64, lanes: Vec<Lane>) -> Self {
        self.with(Part::Timeline { title: title.to_owned(), duration, lanes })
    }

    /// Appends preformatted text, such as a recipe. `title` may be empty.
    #[must_use]
    pub fn code(self, title: &str, text: &str) -> Self {
        self.with(Part::Code { title: title.to_owned(), text: text.to_owned() })
    }

    /// Appends parts folded away under `summary`. `inner` receives an empty report and appends them to it.
    #[must_use]
    pub fn details(self, summary: &str, inner: impl FnOnce(Report) -> Report) -> Self {
        let parts = inner(Report::new("", "")).parts;
        self.with(Part::Details { summary: summary.to_owned(), parts })
    }

    /// The whole page, the same for the same parts.
    pub fn render(&self) -> String {
        page::render(self)
    }

    /// Writes the page to `file` by way of a temporary file in the same folder, synced and renamed: a reader finds the
    /// old report or the new one, never half of one.
    ///
    /// # Errors
    /// [`ReportError::Write`] where the folder is absent or the disk refuses; an older report then stays as it was.
    pub fn save(&self, file: &Path) -> Result<(), ReportError> {
        save::save(file, &self.render())
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }
}

fn owned(text: &impl AsRef<str>) -> String {
    text.as_ref().to_owned()
}

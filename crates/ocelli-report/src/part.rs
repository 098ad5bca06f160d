//! The parts of a report and how each is written.

use image::RgbImage;

use super::bars;
use super::chart::Chart;
use super::markup::Markup;
use super::picture::Embedded;
use super::timeline::{self, Lane};

/// Pictures whose longest side is below this are enlarged pixel by pixel: what a network sees at 32 by 32 is what there is.
const PIXELATED_BELOW: u32 = 80;

/// One part of a report.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Heading {
        level: u8,
        text: String,
    },
    Text(String),
    /// Key, value.
    Facts(Vec<[String; 2]>),
    /// Label, value, note.
    Numbers(Vec<[String; 3]>),
    /// Rows as long as the header.
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// Name and values of each row; the first value is drawn as a bar.
    Bars {
        header: Vec<String>,
        rows: Vec<(String, Vec<f64>)>,
    },
    Chart(Box<Chart>),
    Pictures {
        title: String,
        photos: Vec<Photo>,
    },
    Timeline {
        title: String,
        duration: f64,
        lanes: Vec<Lane>,
    },
    Code {
        title: String,
        text: String,
    },
    Details {
        summary: String,
        parts: Vec<Part>,
    },
}

/// One picture or a few side by side, over a caption.
#[derive(Debug, Clone)]
pub(super) struct Photo {
    pictures: Vec<Result<Embedded, String>>,
    caption: String,
}

impl Photo {
    pub(super) fn new(pictures: &[&RgbImage], caption: &str) -> Self {
        Self {
            pictures: pictures.iter().map(|picture| Embedded::new(picture)).collect(),
            caption: caption.to_owned(),
        }
    }

    /// The longest side of its pictures, in pixels.
    fn longest_side(&self) -> u32 {
        let sides = self.pictures.iter().flatten().map(|picture| picture.width.max(picture.height));
        sides.max().unwrap_or(0)
    }
}

/// How many charts and headings stand above, for ids that are unique within the page.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    charts: usize,
    headings: usize,
}

impl Part {
    /// A table whose header and rows are all as long as the longest of them.
    pub(super) fn table(mut header: Vec<String>, mut rows: Vec<Vec<String>>) -> Self {
        let columns = rows.iter().map(Vec::len).fold(header.len(), usize::max);
        for row in rows.iter_mut().chain([&mut header]) {
            row.resize(columns, String::new());
        }
        Part::Table { header, rows }
    }

    /// How many headings the part holds.
    pub(super) fn headings(&self) -> usize {
        match self {
            Part::Heading { .. } => 1,
            Part::Details { parts, .. } => parts.iter().map(Part::headings).sum(),
            _ => 0,
        }
    }

    fn write(&self, numbering: &mut Numbering, out: &mut Markup) {
        match self {
            Part::Heading { level, text } => heading(*level, text, numbering, out),
            Part::Text(text) => paragraphs(text, out),
            Part::Facts(facts) => write_facts(facts, out),
            Part::Numbers(numbers) => write_numbers(numbers, out),
            Part::Table { header, rows } => write_table(header, rows, out),
            Part::Bars { header, rows } => bars::write(header, rows, out),
            Part::Chart(chart) => {
                chart.write(numbering.charts, out);
                numbering.charts += 1;
            }
            Part::Pictures { title, photos } => write_pictures(title, photos, out),
            Part::Timeline { title, duration, lanes } => timeline::write(title, *duration, lanes, out),
            Part::Code { title, text } => write_code(title, text, out),
            Part::Details { summary, parts } => out.element("details", &[], |out| {
                out.leaf("summary", &[], summary);
                write_parts(parts, numbering, out);
            }),
        }
        out.literal("\n");
    }
}

/// Writes `parts` in order; charts that follow each other stand in one grid.
pub(super) fn write_parts(parts: &[Part], numbering: &mut Numbering, out: &mut Markup) {
    let is_chart = |part: &Part| matches!(part, Part::Chart(_));
    for group in parts.chunk_by(|a, b| is_chart(a) && is_chart(b)) {
        if is_chart(&group[0]) {
            out.element("div", &[("class", "charts")], |out| {
                group.iter().for_each(|part| part.write(numbering, out))
            });
        } else {
            group.iter().for_each(|part| part.write(numbering, out));
        }
    }
}

/// The id of the heading with this number in page order.
pub(super) fn heading_id(number: usize) -> String {
    format!("section-{number}")
}

fn heading(level: u8, text: &str, numbering: &mut Numbering, out: &mut Markup) {
    // The title of the page is the only `h1`.
    let tag = match level {
        1 => "h2",
        2 => "h3",
        _ => "h4",
    };
    out.leaf(tag, &[("id", &heading_id(numbering.headings))], text);
    numbering.headings += 1;
}

fn paragraphs(text: &str, out: &mut Markup) {
    // A line of spaces is a blank line too.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    for paragraph in lines.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty()) {
        out.leaf("p", &[], &paragraph.join("\n"));
    }
}

fn write_facts(facts: &[[String; 2]], out: &mut Markup) {
    out.element("dl", &[("class", "facts")], |out| {
        for [key, value] in facts {
            out.element("div", &[], |out| {
                out.leaf("dt", &[], key);
                out.leaf("dd", &[], value);
            });
        }
    });
}

fn write_numbers(numbers: &[[String; 3]], out: &mut Markup) {
    out.element("dl", &[("class", "numbers")], |out| {
        for [label, value, note] in numbers {
            out.element("div", &[], |out| {
                out.leaf("dt", &[], label);
                out.leaf("dd", &[("class", "value")], value);
                if !note.is_empty() {
                    out.leaf("dd", &[("class", "note")], note);
                }
            });
        }
    });
}

fn write_table(header: &[String], rows: &[Vec<String>], out: &mut Markup) {
    let numeric: Vec<bool> = (0..header.len()).map(|column| is_numeric(rows, column)).collect();
    let class = |column: usize| if numeric[column] { "number" } else { "text" };
    table_frame(header, class, out, |out| {
        for row in rows {
            out.element("tr", &[], |out| {
                for (column, cell) in row.iter().enumerate() {
                    out.leaf("td", &[("class", class(column))], cell);
                }
            });
        }
    });
}

/// A table with this header and the class of each column; `rows` writes its rows.
pub(super) fn table_frame(
    header: &[String],
    class: impl Fn(usize) -> &'static str,
    out: &mut Markup,
    rows: impl FnOnce(&mut Markup),
) {
    // A wide table scrolls within its own box, by key too, instead of widening the page.
    out.element("div", &[("class", "scroll"), ("tabindex", "0")], |out| {
        out.element("table", &[], |out| {
            out.element("thead", &[], |out| {
                out.element("tr", &[], |out| {
                    for (column, cell) in header.iter().enumerate() {
                        out.leaf("th", &[("scope", "col"), ("class", class(column))], cell);
                    }
                });
            });
            out.element("tbody", &[], rows);
        });
    });
}

/// Whether `column` holds at least one number and, besides dashes and nothing at all, only numbers.
fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let mut cells =
        rows.iter().map(|row| row[column].trim()).filter(|cell| !matches!(*cell, "" | "-" | "–" | "—"));
    let mut any = false;
    let all = cells.all(|cell| {
        any = true;
        is_number(cell)
    });
    any && all
}

/// Whether `cell` is a number, perhaps with a unit or a deviation: `0.93`, `−1`, `98.7 %`, `0.91 ± 0.02`, `1.3 ms`.
fn is_number(cell: &str) -> bool {
    let unsigned = cell.trim_start_matches(['-', '−', '+', '±', '<', '>', '≤', '≥', '~', ' ']);
    let first = unsigned.split([' ', '±', '×']).next().unwrap_or_default();
    let digits = first.trim_end_matches(|c: char| c == '%' || c.is_alphabetic()).replace(',', "");
    // A longer word is a sentence's, not a unit.
    digits.parse::<f64>().is_ok() && cell.chars().filter(|c| c.is_alphabetic()).count() <= 4
}

fn write_pictures(title: &str, photos: &[Photo], out: &mut Markup) {
    let longest = photos.iter().map(Photo::longest_side).max().unwrap_or(0);
    let size = match longest {
        0..=160 => "small",
        161..=400 => "medium",
        _ => "large",
    };
    let pair = if photos.iter().any(|photo| photo.pictures.len() > 1) { " pairs" } else { "" };
    let pixelated = if longest < PIXELATED_BELOW { " pixelated" } else { "" };
    out.element("section", &[("class", "pictures")], |out| {
        if !title.is_empty() {
            out.leaf("p", &[("class", "label")], title);
        }
        out.element("div", &[("class", &format!("grid {size}{pair}{pixelated}"))], |out| {
            photos.iter().for_each(|photo| write_photo(photo, out));
        });
    });
}

fn write_photo(photo: &Photo, out: &mut Markup) {
    out.element("figure", &[], |out| {
        out.element("div", &[("class", "frame")], |out| {
            for picture in &photo.pictures {
                match picture {
                    Ok(Embedded { uri, width, height }) => {
                        let (width, height) = (width.to_string(), height.to_string());
                        let alt = ("alt", &*photo.caption);
                        out.empty("img", &[("src", uri), ("width", &width), ("height", &height), alt]);
                    }
                    Err(reason) => out.leaf("span", &[("class", "absent")], reason),
                }
            }
        });
        if !photo.caption.is_empty() {
            out.leaf("figcaption", &[], &photo.caption);
        }
    });
}

fn write_code(title: &str, text: &str, out: &mut Markup) {
    out.element("section", &[("class", "code")], |out| {
        if !title.is_empty() {
            out.leaf("p", &[("class", "label")], title);
        }
        out.element("pre", &[("tabindex", "0")], |out| out.leaf("code", &[], text.trim_end()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_are_numbers_are_told_from_words() {
        let numbers = [
            "0.93",
            "-1",
            "−1.5",
            "98.7 %",
            "98.7%",
            "0.91 ± 0.02",
            "0.91±0.02",
            "2×10⁻⁵",
            "37 / 37",
            "1.3 ms",
            "2x",
            "< 1e-6",
        ];
        for number in numbers.iter().chain(&["1,024", "1e-4", "±0.3"]) {
            assert!(is_number(number), "{number}");
        }
        for word in ["ResNet-50", "yes", "", "v1.2.3", "3 of the methods", "0.1 to 0.5 seconds", "1.2.3"] {
            assert!(!is_number(word), "{word}");
        }
    }

    #[test]
    fn rows_are_made_as_long_as_the_longest() {
        let Part::Table { header, rows } =
            Part::table(vec!["a".into()], vec![vec!["1".into(), "2".into()], vec![]])
        else {
            panic!("a table")
        };
        assert_eq!(header, ["a", ""]);
        assert!(rows.iter().all(|row| row.len() == 2));
    }
}

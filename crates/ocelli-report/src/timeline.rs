//! Segments of time in lanes: what happens when in a video, and what a method says of it.

use super::markup::Markup;

/// Extent of the drawing in pixels of its own.
const WIDTH: f64 = 1000.0;
const LABEL: f64 = 90.0;
const LANE: f64 = 18.0;
const GAP: f64 = 6.0;
const AXIS: f64 = 24.0;
/// Marks on the axis.
const MARKS: usize = 5;

/// A segment of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Where it begins, in seconds.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// How strongly it is drawn, from 0 to 1: a score, or 1 for a truth.
    pub weight: f64,
    /// What the pointer is told.
    pub text: String,
}

/// A row of segments under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// The name beside the row.
    pub name: String,
    /// Its segments, later ones over earlier ones.
    pub spans: Vec<Span>,
}

/// Writes a timeline of `duration` seconds.
pub(super) fn write(title: &str, duration: f64, lanes: &[Lane], out: &mut Markup) {
    let duration = if duration.is_finite() && duration > 0.0 { duration } else { 1.0 };
    let height = lanes.len() as f64 * (LANE + GAP) + AXIS;
    let at = |seconds: f64| LABEL + (WIDTH - LABEL) * (seconds / duration).clamp(0.0, 1.0);
    let describe = |lane: &Lane| format!("{}: {} segments", lane.name, lane.spans.len());
    let description: Vec<String> = lanes.iter().map(describe).collect();
    out.element("figure", &[("class", "timeline")], |out| {
        out.leaf("figcaption", &[], title);
        let view = format!("0 0 {WIDTH} {height:.0}");
        let label = format!("{title}, {duration:.1} seconds. {}.", description.join("; "));
        out.element("svg", &[("viewBox", &view), ("role", "img"), ("aria-label", &label)], |out| {
            for (row, lane) in lanes.iter().enumerate() {
                let top = row as f64 * (LANE + GAP);
                let (x, y) = (number(LABEL - 8.0), number(top + LANE / 2.0));
                out.leaf("text", &[("class", "end"), ("x", &x), ("y", &y), ("dy", ".35em")], &lane.name);
                let ground = format!("M{LABEL} {}H{WIDTH}", number(top + LANE));
                out.empty("path", &[("class", "grid"), ("d", &ground)]);
                for span in lane.spans.iter().filter(|s| s.start.is_finite() && s.end.is_finite()) {
                    draw(span, row, [at(span.start), at(span.end)], top, out);
                }
            }
            axis(duration, height, out);
        });
    });
}

fn draw(span: &Span, row: usize, [left, right]: [f64; 2], top: f64, out: &mut Markup) {
    let weight = if span.weight.is_finite() { span.weight.clamp(0.0, 1.0) } else { 0.0 };
    // A span too short to see is drawn a pixel wide, one of no weight still faintly.
    let (width, opacity) = ((right - left).max(1.0), 0.12 + 0.78 * weight);
    let class = format!("s{} span", row % 6);
    let rectangle = [
        ("class", class.as_str()),
        ("x", &number(left)),
        ("y", &number(top)),
        ("width", &number(width)),
        ("height", &number(LANE)),
        ("fill-opacity", &format!("{opacity:.2}")),
    ];
    out.element("rect", &rectangle, |out| out.leaf("title", &[], &span.text));
}

fn axis(duration: f64, height: f64, out: &mut Markup) {
    for mark in 0..=MARKS {
        let share = mark as f64 / MARKS as f64;
        let x = number(LABEL + (WIDTH - LABEL) * share);
        let class = if mark == MARKS { "end" } else { "middle" };
        let text = format!("{:.1} s", duration * share);
        out.leaf("text", &[("class", class), ("x", &x), ("y", &number(height - 6.0))], &text);
    }
}

/// A tenth of a pixel is as fine as screens show.
fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(duration: f64, spans: Vec<Span>) -> String {
        let mut out = Markup::default();
        write("video <1>", duration, &[Lane { name: "truth".to_owned(), spans }], &mut out);
        out.into_string()
    }

    #[test]
    fn segments_are_to_scale_and_inside() {
        let span = |start, end| Span { start, end, weight: 1.0, text: "a & b".to_owned() };
        let text = drawn(10.0, vec![span(0.0, 5.0), span(9.0, 99.0), span(f64::NAN, 1.0)]);
        assert!(text.contains("x=\"90.0\" y=\"0.0\" width=\"455.0\""), "{text}");
        assert!(text.contains("x=\"909.0\" y=\"0.0\" width=\"91.0\""), "{text}");
        assert_eq!(text.matches("<rect").count(), 2, "what is no number has no place");
        assert!(text.contains("a &amp; b") && text.contains("video &lt;1&gt;") && text.contains("10.0 s"));
    }

    #[test]
    fn no_duration_is_survived() {
        assert!(drawn(0.0, vec![]).contains("1.0 s"));
    }
}

//! The drawing itself.

use std::fmt::Write as _;

use super::super::markup::Markup;
use super::axis::Scale;
use super::frame::{BOTTOM, Frame, SIZE, TOP};
use super::series::{Bar, Series, Shape};
use super::thin::thin;
use super::{Chart, Reference, ReferenceKind};

/// How many colours the style sheet has; later series repeat them with another dash.
const COLOURS: usize = 6;
/// A line of up to so many points shows each of them.
const FEW_POINTS: usize = 30;
/// Pieces a curved reference line is drawn in.
const PIECES: usize = 96;

/// The style of drawings.
pub(in super::super) const STYLE: &str = include_str!("style.css");

/// Names and strokes, where there is more than one thing to tell apart.
pub(super) fn legend(chart: &Chart, out: &mut Markup) {
    if chart.series.len() + chart.references.len() < 2 {
        return;
    }
    out.element("span", &[("class", "legend")], |out| {
        for (index, series) in chart.series.iter().enumerate() {
            entry(&class_of(index), matches!(series.shape, Shape::Bars(_)), &series.name, out);
        }
        for reference in &chart.references {
            entry("reference", false, &reference.name, out);
        }
    });
}

fn entry(class: &str, filled: bool, name: &str, out: &mut Markup) {
    out.element("span", &[("class", class)], |out| {
        let size = [("viewBox", "0 0 22 10"), ("width", "22"), ("height", "10"), ("aria-hidden", "true")];
        out.element("svg", &size, |out| match filled {
            true => out.empty("path", &[("class", "bars"), ("d", "M1 1H21V9H1z")]),
            false => out.empty("path", &[("class", "line"), ("d", "M0 5H22")]),
        });
        out.text(name);
    });
}

/// Writes the `svg` element, with a title and a description for who cannot see it.
pub(super) fn svg(chart: &Chart, number: usize, out: &mut Markup) {
    let frame = Frame::new(chart);
    let (title, description) = (format!("chart-{number}-title"), format!("chart-{number}-text"));
    let attributes = [
        ("viewBox", &*format!("0 0 {} {}", SIZE.0, SIZE.1)),
        ("role", "img"),
        ("aria-labelledby", &*format!("{title} {description}")),
    ];
    out.element("svg", &attributes, |out| {
        out.leaf("title", &[("id", &title)], &chart.title);
        out.leaf("desc", &[("id", &description)], &describe(chart, &frame));
        axes(chart, &frame, out);
        plot(chart, &frame, out);
    });
}

/// Heights of a document's title, and of a line of its legend.
const TITLE: usize = 30;
const ENTRY: usize = 18;
/// Between the legend and the chart.
const GAP: usize = 8;

/// Writes a whole document: title, legend, chart.
pub(super) fn document(chart: &Chart, out: &mut Markup) {
    let series = chart
        .series
        .iter()
        .enumerate()
        .map(|(index, series)| (class_of(index), matches!(series.shape, Shape::Bars(_)), &series.name));
    let references =
        chart.references.iter().map(|reference| ("reference".to_owned(), false, &reference.name));
    let entries: Vec<_> = series.chain(references).collect();
    let head = TITLE + ENTRY * entries.len() + GAP;
    let frame = Frame::new(chart);
    let (width, height) = (SIZE.0.to_string(), (SIZE.1 + head as f64).to_string());
    let view = format!("0 0 {width} {height}");
    let attributes = [
        ("xmlns", "http://www.w3.org/2000/svg"),
        ("viewBox", &*view),
        ("width", &*width),
        ("height", &*height),
        ("role", "img"),
    ];
    out.element("svg", &attributes, |out| {
        out.leaf("title", &[], &chart.title);
        out.leaf("desc", &[], &describe(chart, &frame));
        out.element("style", &[], |out| out.literal(STYLE));
        out.empty("rect", &[("width", "100%"), ("height", "100%"), ("style", "fill: var(--page)")]);
        out.leaf("text", &[("class", "heading"), ("x", "2"), ("y", "18")], &chart.title);
        for (at, (class, filled, name)) in entries.iter().enumerate() {
            let middle = TITLE + ENTRY * at + ENTRY / 2;
            let shape = match filled {
                true => ("bars", format!("M2 {}h20v8h-20z", middle - 4)),
                false => ("line", format!("M2 {middle}h20")),
            };
            out.element("g", &[("class", class)], |out| {
                out.empty("path", &[("class", shape.0), ("d", &shape.1)]);
                out.leaf("text", &[("x", "28"), ("y", &middle.to_string()), ("dy", ".35em")], name);
            });
        }
        out.element("g", &[("transform", &format!("translate(0 {head})"))], |out| {
            axes(chart, &frame, out);
            plot(chart, &frame, out);
        });
    });
}

fn describe(chart: &Chart, frame: &Frame) -> String {
    let ends = |labels: &[String]| match (labels.first(), labels.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "no marks".to_owned(),
    };
    let scale = |scale| if scale == Scale::Log { "log scale, " } else { "" };
    let mut text = String::new();
    for (letter, axis, placed) in [("x", &chart.x, &frame.x), ("y", &chart.y, &frame.y)] {
        let _ = write!(text, "{letter}: {}, {}{}. ", axis.title, scale(axis.scale), ends(&placed.labels));
    }
    for Series { name, shape } in &chart.series {
        let _ = match shape {
            Shape::Line { points, .. } => write!(text, "{name}: a line of {} points. ", points.len()),
            Shape::Bars(bars) => write!(text, "{name}: {} bars. ", bars.len()),
        };
    }
    if frame.off_scale > 0 {
        let _ = write!(text, "Points that have no place on the axes: {}.", frame.off_scale);
    }
    text.trim_end().to_owned()
}

fn axes(chart: &Chart, frame: &Frame, out: &mut Markup) {
    let (left, right) = (frame.left, frame.left + frame.width);
    let bottom = TOP + frame.height;
    out.leaf("text", &[("class", "name"), ("x", &px(2.0)), ("y", &px(14.0))], &chart.y.title);
    let middle = [("class", "name middle"), ("x", &*px((left + right) / 2.0)), ("y", &*px(SIZE.1 - 6.0))];
    out.leaf("text", &middle, &chart.x.title);

    let mut grid = String::new();
    for (tick, label) in frame.y.ticks.major.iter().zip(&frame.y.labels) {
        let y = bottom - frame.y.place_clamped(*tick);
        let _ = write!(grid, "M{} {}H{}", px(left), px(y), px(right));
        out.leaf("text", &[("class", "end"), ("x", &px(left - 8.0)), ("y", &px(y)), ("dy", ".35em")], label);
    }
    let mut marks = String::new();
    for (tick, label) in frame.x.ticks.major.iter().zip(&frame.x.labels) {
        let x = left + frame.x.place_clamped(*tick);
        let _ = write!(marks, "M{} {}v6", px(x), px(bottom));
        let (x, y) = (px(x), px(bottom + BOTTOM * 0.4));
        out.leaf("text", &[("class", "middle"), ("x", &x), ("y", &y)], label);
    }
    for tick in &frame.x.ticks.minor {
        let _ = write!(marks, "M{} {}v3", px(left + frame.x.place_clamped(*tick)), px(bottom));
    }
    for tick in &frame.y.ticks.minor {
        let _ = write!(marks, "M{} {}h-3", px(left), px(bottom - frame.y.place_clamped(*tick)));
    }
    let _ = write!(marks, "M{} {}H{}", px(left), px(bottom), px(right));
    out.empty("path", &[("class", "grid"), ("d", &grid)]);
    out.empty("path", &[("class", "axis"), ("d", &marks)]);
}

/// What the chart is about, within an inner `svg`, which cuts off what reaches past the axes.
fn plot(chart: &Chart, frame: &Frame, out: &mut Markup) {
    let (x, y, width, height) = (px(frame.left), px(TOP), px(frame.width), px(frame.height));
    let area = [("x", &*x), ("y", &*y), ("width", &*width), ("height", &*height), ("class", "plot")];
    out.element("svg", &area, |out| {
        let mut shown = false;
        for (index, series) in chart.series.iter().enumerate() {
            let class = class_of(index);
            out.element("g", &[("class", &class)], |out| shown |= body(series, frame, out));
        }
        for reference in &chart.references {
            out.element("g", &[("class", "reference")], |out| line(&[along(reference, frame)], "line", out));
        }
        if !shown {
            let place = [("class", "middle"), ("x", "50%"), ("y", "50%")];
            out.leaf("text", &place, "nothing to show");
        }
    });
    for (index, series) in chart.series.iter().enumerate() {
        markers(chart, series, index, frame, out);
    }
}

/// Draws the lines or bars of a series; false if none of it has a place.
fn body(series: &Series, frame: &Frame, out: &mut Markup) -> bool {
    match &series.shape {
        Shape::Line { points, smooth } => {
            let raw = runs(points, frame);
            line(&raw, if smooth.is_some() { "line faint" } else { "line" }, out);
            if let Some(smooth) = smooth {
                line(&runs(smooth, frame), "line", out);
            }
            !raw.is_empty()
        }
        Shape::Bars(bars) => {
            let outline = outline(bars, frame);
            if !outline.is_empty() {
                out.empty("path", &[("class", "bars"), ("d", &outline)]);
            }
            !outline.is_empty()
        }
    }
}

/// The unbroken stretches of a line, in pixels.
fn runs(points: &[(f64, f64)], frame: &Frame) -> Vec<Vec<(f64, f64)>> {
    let placed: Vec<Option<(f64, f64)>> = points.iter().map(|point| frame.place(*point)).collect();
    let stretches = placed.split(Option::is_none).filter(|run| !run.is_empty());
    stretches.map(|run| thin(&run.iter().copied().flatten().collect::<Vec<_>>())).collect()
}

fn line(runs: &[Vec<(f64, f64)>], class: &str, out: &mut Markup) {
    let mut path = String::new();
    for run in runs {
        for (k, (x, y)) in run.iter().enumerate() {
            let _ = write!(path, "{}{} {}", if k == 0 { 'M' } else { 'L' }, px(*x), px(*y));
        }
        // A point between two gaps: a line without length, which round ends turn into a dot.
        if run.len() == 1 {
            path.push_str("h0");
        }
    }
    if !path.is_empty() {
        out.empty("path", &[("class", class), ("d", &path)]);
    }
}

/// The skyline of bars that touch, and a new one after each gap.
fn outline(bars: &[Bar], frame: &Frame) -> String {
    let floor = frame.height - frame.y.place(0.0).unwrap_or(0.0);
    let mut path = String::new();
    let mut previous_end = None;
    for bar in bars {
        let (Some(from), Some(to)) = (frame.x.place(bar.from), frame.x.place(bar.to)) else { continue };
        let top = frame.y.place(bar.height).map_or(floor, |height| frame.height - height);
        if previous_end != Some(bar.from) {
            if previous_end.is_some() {
                let _ = write!(path, "V{}", px(floor));
            }
            let _ = write!(path, "M{} {}", px(from), px(floor));
        }
        let _ = write!(path, "V{}H{}", px(top), px(to));
        previous_end = Some(bar.to);
    }
    if !path.is_empty() {
        let _ = write!(path, "V{}", px(floor));
    }
    path
}

/// A reference line from one end of its axis to the other.
fn along(reference: &Reference, frame: &Frame) -> Vec<(f64, f64)> {
    match reference.kind {
        ReferenceKind::Horizontal(y) => {
            let height = frame.y.place(y).map(|y| frame.height - y);
            height.map_or(Vec::new(), |y| vec![(0.0, y), (frame.width, y)])
        }
        ReferenceKind::Vertical(x) => {
            frame.x.place(x).map_or(Vec::new(), |x| vec![(x, frame.height), (x, 0.0)])
        }
        ReferenceKind::Diagonal => {
            let pieces = if frame.x.scale == frame.y.scale { 1 } else { PIECES };
            let values = (0..=pieces).map(|k| frame.x.value_at(frame.width * (k as f64 / pieces as f64)));
            values.filter_map(|value| frame.place((value, value))).collect()
        }
    }
}

/// The points of a short line, each with its numbers for who points at it.
fn markers(chart: &Chart, series: &Series, index: usize, frame: &Frame, out: &mut Markup) {
    let Shape::Line { points, smooth: None } = &series.shape else { return };
    if points.len() > FEW_POINTS {
        return;
    }
    let class = class_of(index);
    out.element("g", &[("class", &class)], |out| {
        for point in points {
            let Some(place) = frame.place(*point).filter(|place| frame.shows(*place)) else { continue };
            let path = marker(index, (place.0 + frame.left, place.1 + TOP));
            out.element("path", &[("class", "marker"), ("d", &path)], |out| {
                let (x, y) = (brief(point.0), brief(point.1));
                let text = format!("{}: {} {x}, {} {y}", series.name, chart.x.title, chart.y.title);
                out.leaf("title", &[], &text);
            });
        }
    });
}

/// A circle, square, triangle or diamond of equal weight, so that colour is not all that tells series apart.
fn marker(index: usize, (x, y): (f64, f64)) -> String {
    match index % 4 {
        0 => format!("M{} {}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z", px(x - 3.5), px(y)),
        1 => format!("M{} {}h6.4v6.4h-6.4z", px(x - 3.2), px(y - 3.2)),
        2 => format!("M{} {}l4.2 7.2h-8.4z", px(x), px(y - 4.6)),
        _ => format!("M{} {}l4.4 4.4l-4.4 4.4l-4.4 -4.4z", px(x), px(y - 4.4)),
    }
}

fn class_of(index: usize) -> String {
    format!("s{} d{}", index % COLOURS, (index / COLOURS) % 3)
}

/// A coordinate to a tenth of a pixel.
fn px(value: f64) -> String {
    // Far outside the plot area one place is as good as another, and renderers count in `f32`.
    let tenths = (value.clamp(-1e5, 1e5) * 10.0).round() / 10.0;
    // -0 would read "-0".
    if tenths == 0.0 { "0".to_owned() } else { tenths.to_string() }
}

/// A number in about four significant digits.
fn brief(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let digits_before = value.abs().max(1e-3).log10().floor() + 1.0;
    let decimals = (4.0 - digits_before).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Axis;
    use super::*;

    fn small() -> Chart {
        Chart::new("Accuracy", Axis::linear("epoch"), Axis::linear("accuracy"))
            .series(Series::line("ours", [(0.0, 0.5), (1.0, 0.75), (2.0, f64::NAN), (3.0, 1.0), (4.0, 0.95)]))
            .series(Series::bars(
                "bars",
                [(1.0, 0.6), (2.0, 0.8)].map(|(from, height)| Bar { from, to: from + 1.0, height }),
            ))
            .diagonal("chance")
    }

    fn draw(chart: &Chart) -> String {
        let mut out = Markup::default();
        svg(chart, 0, &mut out);
        out.into_string().replace("><", ">\n<")
    }

    #[test]
    fn a_document_stands_alone() {
        let svg = Chart { title: "a < b".into(), ..small() }.to_svg();
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 560 "), "{svg}");
        // Its style is in it, each series is named, and the drawing is that of the page.
        assert!(svg.contains("--s0:") && svg.contains(">ours</text>") && svg.contains("a &lt; b"));
        assert_eq!(svg.matches("class=\"marker\"").count(), 4);
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }

    #[test]
    fn a_small_chart_is_drawn_as_it_always_was() {
        assert_eq!(draw(&small()), include_str!("small_chart.svg").trim_end());
    }

    #[test]
    fn a_line_breaks_where_it_has_no_place() {
        let line = |points: &[(f64, f64)], y| {
            let chart = Chart::new("c", Axis::linear("x"), y).series(Series::line("s", points.to_vec()));
            runs(points, &Frame::new(&chart)).iter().map(Vec::len).collect::<Vec<_>>()
        };
        let points = [
            (0.0, 1.0),
            (1.0, f64::NAN),
            (2.0, 3.0),
            (3.0, 4.0),
            (4.0, -5.0),
            (5.0, f64::INFINITY),
            (6.0, 7.0),
        ];
        assert_eq!(line(&points, Axis::linear("y")), [1, 3, 1]);
        assert_eq!(line(&points, Axis::log("y")), [1, 2, 1]);
    }

    #[test]
    fn points_off_a_log_axis_are_counted() {
        let chart = Chart::new("ROC", Axis::log("FAR"), Axis::linear("TAR"))
            .series(Series::line("s", [(0.0, 0.5), (0.1, 0.7), (-1.0, 0.8), (f64::NAN, 1.0), (1.0, 1.0)]));
        assert!(draw(&chart).contains("Points that have no place on the axes: 2."));
    }

    #[test]
    fn the_diagonal_bends_on_a_log_axis() {
        let chart = Chart::new("ROC", Axis::log("FAR").range(1e-4, 1.0), Axis::linear("TAR").range(0.0, 1.0))
            .diagonal("chance");
        let frame = Frame::new(&chart);
        let curve = along(&chart.references[0], &frame);
        let (middle, last) = (curve[PIECES / 2], curve[PIECES]);
        assert!((middle.0 - frame.width / 2.0).abs() < 1e-6);
        assert!((middle.1 - frame.height * (1.0 - 0.01)).abs() < 1e-6, "FAR 0.01 lies at TAR 0.01");
        assert!((last.0 - frame.width).abs() < 1e-6 && last.1.abs() < 1e-6);
    }

    #[test]
    fn an_axis_ends_where_its_data_do_unless_too_few_ticks_would_stay() {
        let ends = |points: &[(f64, f64)]| {
            let chart = Chart::new("c", Axis::linear("x"), Axis::linear("y"))
                .series(Series::line("s", points.to_vec()));
            let frame = Frame::new(&chart);
            (frame.x.low, frame.x.high, frame.y.low, frame.y.high)
        };
        assert_eq!(ends(&[(1.0, 0.1), (20.0, 0.9)]), (1.0, 20.0, 0.0, 1.0));
        assert_eq!(ends(&[(0.0, 0.0), (19.9, 1.0)]), (0.0, 20.0, 0.0, 1.0));
        assert_eq!(ends(&[(7.0, 7.0)]), (6.0, 8.0, 6.0, 8.0));
    }

    #[test]
    fn a_long_line_is_thinned_and_a_short_one_marked() {
        let many = Chart::new("c", Axis::linear("x"), Axis::linear("y"))
            .series(Series::line("s", (0..200_000).map(|k| (f64::from(k), f64::from(k % 100)))));
        let drawn = draw(&many);
        assert!(drawn.len() < 60_000, "{}", drawn.len());
        assert!(!drawn.contains("marker"));
        assert_eq!(draw(&small()).matches("class=\"marker\"").count(), 4);
    }

    #[test]
    fn numbers_read_briefly() {
        let read: Vec<String> = [0.0, 0.98765, 12.0, -3.5, 123_456.7, 1e-7].map(brief).to_vec();
        assert_eq!(read, ["0", "0.9877", "12", "-3.5", "123457", "1.000e-7"]);
    }
}

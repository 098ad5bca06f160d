//! Numbers by name, the first of each drawn as a bar.

use super::markup::Markup;
use super::part::table_frame;

/// Digits after the point: six, less the zeros at the end; a dash for what is no number.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes rows of name and values; a column for the bars follows the names.
pub(super) fn write(header: &[String], rows: &[(String, Vec<f64>)], out: &mut Markup) {
    let first = |values: &[f64]| values.first().copied().filter(|v| v.is_finite() && *v > 0.0);
    let largest = rows.iter().filter_map(|(_, values)| first(values)).fold(0.0, f64::max);
    let columns = rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let mut names: Vec<String> = header.to_vec();
    names.resize((columns + 1).max(header.len()).max(1), String::new());
    names.insert(1, String::new());
    let class = |column: usize| match column {
        0 => "text",
        1 => "bar",
        _ => "number",
    };
    table_frame(&names, class, out, |out| {
        for (name, values) in rows {
            out.element("tr", &[], |out| {
                out.leaf("td", &[("class", "text")], name);
                out.element("td", &[("class", "bar")], |out| {
                    if let Some(value) = first(values) {
                        bar(100.0 * value / largest, out);
                    }
                });
                for column in 2..names.len() {
                    let text = values.get(column - 2).map_or_else(String::new, |&value| number(value));
                    out.leaf("td", &[("class", "number")], &text);
                }
            });
        }
    });
}

/// A bar of a share (in percent) of the column's width. The number beside it says the same to who cannot see it.
fn bar(percent: f64, out: &mut Markup) {
    let view = [("viewBox", "0 0 100 10"), ("preserveAspectRatio", "none"), ("aria-hidden", "true")];
    out.element("svg", &view, |out| {
        let path = format!("M0 0H{percent:.2}V10H0z");
        out.empty("path", &[("class", "s0 bars"), ("d", &path)]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_to_scale_and_the_undefined_is_a_dash() {
        let mut out = Markup::default();
        let rows = [
            ("a".to_owned(), vec![0.25, 3.0]),
            ("b".to_owned(), vec![0.5]),
            ("c".to_owned(), vec![f64::NAN]),
        ];
        write(&["class".to_owned(), "AP".to_owned()], &rows, &mut out);
        let text = out.into_string();
        assert!(text.contains("M0 0H50.00V10") && text.contains("M0 0H100.00V10"));
        assert_eq!(text.matches("<svg").count(), 2);
        assert_eq!(text.matches("<th ").count(), 4);
        assert!(text.contains(">–<") && text.contains(">0.25<") && text.contains(">3<"));
    }

    #[test]
    fn no_rows_make_an_empty_table() {
        let mut out = Markup::default();
        write(&[], &[], &mut out);
        assert!(out.into_string().contains("<tbody></tbody>"));
    }
}

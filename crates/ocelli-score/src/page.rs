//! The HTML page of a score.

use ocelli_report::{Axis, Chart, Report, Series};

use crate::interval::Interval;
use crate::{Curve, Detail, Evaluation, Group, Inputs, Metrics, Protocol, Result};

/// Lays out metrics, intervals (may be empty) and the evaluation's detail.
///
/// # Errors
/// As [`Evaluation::detail`].
pub fn page(
    protocol: &Protocol,
    inputs: &Inputs,
    evaluation: &dyn Evaluation,
    metrics: &Metrics,
    intervals: &[Interval],
) -> Result<Report> {
    let Detail { groups, curves, worst } = evaluation.detail()?;
    let files = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    let units = format!("{} {}s", evaluation.units().len(), evaluation.unit());
    let mut report = Report::new(&format!("{} score", protocol.name), protocol.summary)
        .facts(&[
            ("variant", inputs.variant().to_owned()),
            ("predictions", files(&inputs.pred)),
            ("truth", files(&inputs.truth)),
            ("test set", units),
        ])
        .heading(1, "Metrics")
        .table(&["metric", "value", "95 % interval"], &metric_rows(metrics, intervals));
    for note in evaluation.notes() {
        report = report.text(&note);
    }
    if !curves.is_empty() {
        report = report.heading(1, "Curves");
        report = curves.into_iter().fold(report, |report, curve| report.chart(chart(curve)));
    }
    for group in groups {
        report = with_group(report, group);
    }
    if !worst.is_empty() {
        let rows: Vec<[String; 2]> = worst.into_iter().map(|w| [w.unit, w.what]).collect();
        report = report.heading(1, "Where it went worst").table(&[evaluation.unit(), "what happened"], &rows);
    }
    Ok(report)
}

fn metric_rows(metrics: &Metrics, intervals: &[Interval]) -> Vec<[String; 3]> {
    let between = |name: &str| {
        let found = intervals.iter().find(|i| i.name == name)?;
        Some(format!("{} to {}", number(found.low?), number(found.high?)))
    };
    metrics
        .iter()
        .map(|(name, value)| [name.to_owned(), number(value), between(name).unwrap_or_default()])
        .collect()
}

/// Six digits, and a dash for what is undefined.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn chart(curve: Curve) -> Chart {
    let axes = Chart::new(&curve.title, Axis::linear(&curve.x), Axis::linear(&curve.y));
    curve.lines.into_iter().fold(axes, |chart, (name, points)| chart.series(Series::line(&name, points)))
}

fn with_group(report: Report, group: Group) -> Report {
    let header: Vec<String> = std::iter::once(String::new()).chain(group.columns).collect();
    report.heading(1, &group.title).bars(&header, &group.rows)
}

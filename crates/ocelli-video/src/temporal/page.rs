//! Pages on proposals: the report of a training, and a timeline of every video.

use ocelli_metrics::proposals::RecallCurve;
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_train::folder::{LogKind, LogLine, RunFolder};
use ocelli_train::report::{Axis, Chart, Lane, Report, Series, Span};
use ocelli_train::trainer::TaskError;

use super::recipe::ProposalRecipe;
use super::run::Assessed;
use super::task::numbers;
use super::videos::Video;

/// Videos with a timeline of their own on one page.
const SHOWN: usize = 100;
/// Videos with a timeline in the report of a training.
const EXAMPLES: usize = 8;
/// Lanes of proposals, and proposals drawn of each video.
const LANES: usize = 3;
const DRAWN: usize = 30;

/// The report of a training.
pub(super) fn training(
    recipe: &ProposalRecipe,
    folder: &RunFolder,
    videos: &[&Video],
    assessed: &Assessed,
    remarks: &[String],
) -> Result<Report, TaskError> {
    let log = folder.read_log()?;
    let subtitle =
        format!("{} on {}, {} videos it never saw", recipe.method.name(), recipe.data.features, videos.len());
    let mut report = Report::new("Temporal action proposals", &subtitle)
        .numbers(&headlines(recipe, assessed))
        .heading(1, "Recall")
        .chart(recall(&assessed.curve, Some(&assessed.evenly)))
        .heading(1, "Training");
    for chart in courses(&log) {
        report = report.chart(chart);
    }
    report = report.heading(1, "Videos");
    for (video, proposals) in videos.iter().zip(&assessed.proposals).take(EXAMPLES) {
        report = timeline(report, video, proposals);
    }
    report = remarked(report, remarks);
    Ok(report.heading(1, "How it was made").code("recipe.toml", &recipe.to_toml()))
}

/// The page of predictions: recall where there is truth, and a timeline of each of the first videos.
pub fn predictions(
    title: &str,
    videos: &[&Video],
    proposals: &[Vec<ScoredSegment>],
    curve: Option<&RecallCurve>,
    remarks: &[String],
) -> Report {
    let subtitle = match videos.len() > SHOWN {
        true => format!("{} videos, the first {SHOWN} drawn", videos.len()),
        false => format!("{} videos", videos.len()),
    };
    let mut report = Report::new(title, &subtitle);
    if let Some(curve) = curve {
        let auc =
            ("AUC".to_owned(), format!("{:.2}", curve.auc), "average recall against proposals".to_owned());
        report = report.numbers(&[auc]).chart(recall(curve, None));
    }
    report = report.heading(1, "Videos");
    for (video, own) in videos.iter().zip(proposals).take(SHOWN) {
        report = timeline(report, video, own);
    }
    remarked(report, remarks)
}

fn remarked(report: Report, remarks: &[String]) -> Report {
    if remarks.is_empty() {
        return report;
    }
    let rows: Vec<[&str; 1]> = remarks.iter().map(|remark| [remark.as_str()]).collect();
    report.heading(1, "Remarks on videos").table(&["remark"], &rows)
}

fn headlines(recipe: &ProposalRecipe, assessed: &Assessed) -> Vec<(String, String, String)> {
    let (own, evenly) =
        (numbers(&assessed.curve, &recipe.evaluate), numbers(&assessed.evenly, &recipe.evaluate));
    let tile = |(name, value): (&String, &f64)| {
        let plain = evenly.get(name).copied().unwrap_or(f64::NAN);
        (name.clone(), format!("{value:.3}"), format!("evenly spread segments {plain:.3}"))
    };
    own.iter().map(tile).collect()
}

fn recall(curve: &RecallCurve, evenly: Option<&RecallCurve>) -> Chart {
    let line = |name: &str, curve: &RecallCurve| {
        let points = curve.proposals_per_video.iter().zip(&curve.average_recall);
        Series::line(name, points.map(|(&x, &y)| (x, y)))
    };
    let axes = (Axis::linear("proposals a video"), Axis::linear("average recall").range(0.0, 1.0));
    let chart = Chart::new("Average recall", axes.0, axes.1).series(line("proposals", curve));
    match evenly {
        Some(evenly) => chart.series(line("evenly spread segments", evenly)),
        None => chart,
    }
}

fn courses(log: &[LogLine]) -> Vec<Chart> {
    let series = |kind: LogKind, name: &'static str| {
        let lines = log.iter().filter(move |l| l.kind == kind);
        lines.filter_map(move |l| Some((l.epoch, *l.values.get(name)?))).collect::<Vec<_>>()
    };
    let epochs = || Axis::linear("epoch");
    vec![
        Chart::new("Loss", epochs(), Axis::linear("loss"))
            .series(Series::line("training", series(LogKind::Train, "loss")).smoothed(9))
            .series(Series::line("videos not trained on", series(LogKind::Epoch, "validation_loss"))),
        Chart::new("AUC", epochs(), Axis::linear("per cent"))
            .series(Series::line("videos not trained on", series(LogKind::Eval, "AUC"))),
    ]
}

/// A video's timeline: its actions, and below them its best proposals, each lane with those that overlap the lanes above.
fn timeline(report: Report, video: &Video, proposals: &[ScoredSegment]) -> Report {
    let truth = video.truth.iter().map(|s| span(s, 1.0, "annotated")).collect();
    let mut lanes = Vec::new();
    if !video.truth.is_empty() {
        lanes.push(Lane { name: "truth".to_owned(), spans: truth });
    }
    let best = proposals.first().map_or(1.0, |p| p.score.max(f64::MIN_POSITIVE));
    let mut rows: Vec<Vec<&ScoredSegment>> = vec![Vec::new(); LANES];
    for proposal in proposals.iter().take(DRAWN) {
        let clash = |row: &Vec<&ScoredSegment>| {
            let Segment { start, end } = proposal.segment;
            row.iter().any(|other| other.segment.start < end && start < other.segment.end)
        };
        if let Some(row) = rows.iter_mut().find(|row| !clash(row)) {
            row.push(proposal);
        }
    }
    for (k, row) in rows.into_iter().enumerate() {
        let spans =
            row.into_iter().map(|p| span(&p.segment, p.score / best, &format!("score {:.4}", p.score)));
        let name = if k == 0 { "proposals".to_owned() } else { format!("beside {k}") };
        lanes.push(Lane { name, spans: spans.collect() });
    }
    report.timeline(&video.name, video.duration, lanes)
}

fn span(segment: &Segment, weight: f64, text: &str) -> Span {
    let Segment { start, end } = *segment;
    Span { start, end, weight, text: format!("{start:.2} to {end:.2} s, {text}") }
}

//! The report of a training: what it came to, how it went, and which pairs it gets wrong.

use image::RgbImage;
use ocelli_data::Dataset;
use ocelli_data::dataset::BadItem;
use ocelli_method::random::stream;
use ocelli_train::folder::{LogKind, LogLine, RunFolder};
use ocelli_train::report::{Axis, Chart, Report, Series};
use ocelli_train::trainer::TaskError;

use super::data::TestSet;
use super::recipe::FaceRecipe;
use super::verification::{JudgedPair, Verification};

/// Puts the report together.
///
/// # Errors
/// When the log or a picture cannot be read.
pub fn build(
    recipe: &FaceRecipe,
    folder: &RunFolder,
    test: &TestSet,
    learned: &Verification,
    raw: &Verification,
    bad: &[BadItem],
) -> Result<Report, TaskError> {
    let log = folder.read_log()?;
    let subtitle = format!(
        "{} on {}, {} pictures of {} people it never saw",
        recipe.loss.name(),
        recipe.data.train,
        test.pictures.len(),
        test.pictures.identities()
    );
    let mut report = Report::new("Face recognition", &subtitle)
        .numbers(&headlines(learned, raw))
        .heading(1, "Verification")
        .chart(roc(learned, raw))
        .chart(Chart::histogram(
            "Cosines of pairs",
            "cosine",
            &[("same person", learned.scores.genuine()), ("different people", learned.scores.impostor())],
            60,
        ))
        .table(&["measure", "learned", "raw pixels"], &measures(learned, raw))
        .heading(1, "Training");
    for chart in curves(&log) {
        report = report.chart(chart);
    }
    report = report
        .heading(1, "Hardest pairs")
        .text(&format!(
            "Listed pairs that lie furthest on the wrong side of the threshold, a cosine of {:.3}, or nearest to it.",
            learned.threshold
        ))
        .picture_pairs("", &hardest(test, &learned.worst)?);
    if !bad.is_empty() {
        let rows: Vec<[String; 2]> = bad.iter().map(|b| [b.name.clone(), b.reason.clone()]).collect();
        report = report.heading(1, "Pictures left out").table(&["file", "reason"], &rows);
    }
    let environment = environment();
    Ok(report.heading(1, "How it was made").facts(&environment).code("recipe.toml", &recipe.to_toml()))
}

fn percent(v: f64) -> String {
    format!("{:.2} %", 100.0 * v)
}

fn headlines(learned: &Verification, raw: &Verification) -> Vec<(String, String, String)> {
    let mut tiles = vec![(
        "accuracy".to_owned(),
        percent(learned.accuracy),
        format!("raw pixels {}", percent(raw.accuracy)),
    )];
    for ((far, tar), (_, plain)) in learned.tar_at_far.iter().zip(&raw.tar_at_far) {
        tiles.push((format!("TAR @ FAR {far:e}"), percent(*tar), format!("raw pixels {}", percent(*plain))));
    }
    tiles.push((
        "equal error".to_owned(),
        percent(learned.equal_error_rate),
        format!("raw pixels {}", percent(raw.equal_error_rate)),
    ));
    tiles
}

fn measures(learned: &Verification, raw: &Verification) -> Vec<[String; 3]> {
    let raw = raw.numbers();
    let row = |(name, value): (String, f64)| {
        let plain = raw.get(&name).copied().unwrap_or(f64::NAN);
        [name, format!("{value:.4}"), format!("{plain:.4}")]
    };
    learned.numbers().into_iter().map(row).collect()
}

fn roc(learned: &Verification, raw: &Verification) -> Chart {
    let line = |name: &str, v: &Verification| {
        let curve = v.scores.roc_curve(true);
        Series::line(name, curve.far.into_iter().zip(curve.tar))
    };
    Chart::new("ROC", Axis::log("false-accept rate"), Axis::linear("true-accept rate").range(0.0, 1.0))
        .series(line("learned", learned))
        .series(line("raw pixels", raw))
        .diagonal("chance")
}

/// Loss and accuracy over epochs, and whatever else was logged.
fn curves(log: &[LogLine]) -> Vec<Chart> {
    let series = |kind: LogKind, name: &'static str| {
        let lines = log.iter().filter(move |l| l.kind == kind);
        lines.filter_map(move |l| Some((l.epoch, *l.values.get(name)?))).collect::<Vec<_>>()
    };
    let epochs = || Axis::linear("epoch");
    let mut charts = vec![
        Chart::new("Loss", epochs(), Axis::linear("cross entropy"))
            .series(Series::line("training", series(LogKind::Train, "loss")).smoothed(9)),
        Chart::new("Accuracy", epochs(), Axis::linear("share").range(0.0, 1.0))
            .series(Series::line("verification, unseen people", series(LogKind::Eval, "accuracy")))
            .series(Series::line("training batch", series(LogKind::Train, "train_accuracy")).smoothed(9)),
    ];
    let state = series(LogKind::Train, "t");
    if !state.is_empty() {
        charts.push(
            Chart::new("Curriculum", epochs(), Axis::linear("share"))
                .series(Series::line("state t", state))
                .series(Series::line("hard negatives", series(LogKind::Train, "hard_share")).smoothed(9)),
        );
    }
    charts.push(
        Chart::new("Learning rate", epochs(), Axis::linear("rate"))
            .series(Series::line("rate", series(LogKind::Train, "lr"))),
    );
    charts
}

fn hardest(test: &TestSet, worst: &[JudgedPair]) -> Result<Vec<(RgbImage, RgbImage, String)>, TaskError> {
    let picture = |i: usize| test.pictures.get(i, &mut stream(0, "test", i as u64)).map(|s| s.picture);
    let pair = |p: &JudgedPair| {
        let who = if p.same { "same person" } else { "different people" };
        Ok((picture(p.left)?, picture(p.right)?, format!("{who}, cosine {:.3}", p.cosine)))
    };
    worst.iter().map(pair).collect()
}

fn environment() -> Vec<(&'static str, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        ("program", format!("ocelli {}", env!("CARGO_PKG_VERSION"))),
        ("system", format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("threads", threads.to_string()),
    ]
}

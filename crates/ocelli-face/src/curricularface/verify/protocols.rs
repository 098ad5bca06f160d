//! The evaluators of the method's protocols: from the names that cases use to the evaluators and back.

use ocelli_method::{Array, Outputs, Replay, ReplayError};
use ocelli_metrics::identification::{IdentificationTask, mates_from_labels, rank_k};
use ocelli_metrics::ijb::{self, TemplateOptions, TemplatePairs, TemplatePictures};
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, ThresholdGrid, k_fold_distances};
use ocelli_metrics::roc::{FarRule, OperatingPoint, PairScores};
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

/// An input in double precision with its shape.
struct Table {
    name: &'static str,
    values: Vec<f64>,
    shape: [usize; 2],
}

impl Table {
    fn new(case: &Replay<'_>, name: &'static str) -> Result<Self, ReplayError> {
        Ok(Self { name, values: case.doubles(name)?, shape: case.dims(name)? })
    }

    fn matrix(&self) -> Result<Matrix<'_>, ReplayError> {
        Matrix::new(self.name, &self.values, self.shape).map_err(refused)
    }
}

fn refused(error: MetricError) -> ReplayError {
    ReplayError::refused(error)
}

fn floats(values: impl IntoIterator<Item = f64>) -> Array {
    Array::vector_f64(values)
}

fn indices(values: impl IntoIterator<Item = usize>) -> Array {
    Array::integers(values.into_iter().map(|i| i as i64))
}

fn tars(points: &[OperatingPoint]) -> Array {
    floats(points.iter().map(|p| p.tar))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoldConfig {
    folds: usize,
    threshold_start: f64,
    threshold_stop: f64,
    threshold_step: f64,
}

pub(super) fn verification(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: FoldConfig = case.config()?;
    let distance_grid =
        ThresholdGrid { start: c.threshold_start, stop: c.threshold_stop, step: c.threshold_step };
    let options = KFoldOptions { folds: c.folds, distance_grid, ..KFoldOptions::default() };
    let embeddings = Table::new(case, "embeddings")?;
    let distances = LfwVariant::CurricularFace.values_of_pairs(embeddings.matrix()?).map_err(refused)?;
    let report = k_fold_distances(&distances, &case.booleans("issame")?, &options).map_err(refused)?;
    Ok(Outputs::new()
        .with("accuracy", floats(report.accuracy.fold_accuracy))
        .with("best_threshold", floats(report.accuracy.fold_threshold))
        .with("mean_accuracy", report.accuracy.mean_accuracy)
        .with("tpr", floats(report.mean_tpr))
        .with("fpr", floats(report.mean_fpr))
        .with("false_reject_pairs", indices(report.false_reject_pairs)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RocConfig {
    fars: Vec<f64>,
}

pub(super) fn roc(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let RocConfig { fars } = case.config()?;
    let pairs = PairScores::new(&case.doubles("scores")?, &case.booleans("labels")?).map_err(refused)?;
    let points = pairs.tar_at_far(&fars, FarRule::RankRound).map_err(refused)?;
    Ok(Outputs::new()
        .with("tar", tars(&points))
        .with("far", floats(points.iter().map(|p| p.far)))
        .with("threshold", floats(points.iter().map(|p| p.threshold.unwrap_or(f64::NAN)))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentificationConfig {
    fars: Vec<f64>,
    ranks: Vec<usize>,
}

pub(super) fn identification(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let IdentificationConfig { fars, ranks } = case.config()?;
    let scores = Table::new(case, "scores")?;
    let mates = mates_from_labels(&case.booleans("labels")?, case.dims("labels")?).map_err(refused)?;
    let task = IdentificationTask::from_fars(&fars);
    let points = rank_k(scores.matrix()?, &mates, &task, &ranks).map_err(refused)?;
    let rates = Array::f64([points.len(), ranks.len()], points.iter().flat_map(|p| p.dir.clone()).collect());
    Ok(Outputs::new()
        .with("dir", rates.map_err(ReplayError::refused)?)
        .with("far", floats(points.iter().map(|p| p.far)))
        .with("threshold", floats(points.iter().map(|p| p.threshold))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateConfig {
    use_flip_test: bool,
    use_norm_score: bool,
    use_detector_score: bool,
    fars: Vec<f64>,
}

pub(super) fn templates(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: TemplateConfig = case.config()?;
    let features = Table::new(case, "img_feats")?;
    let pictures = TemplatePictures {
        features: features.matrix()?,
        detector_scores: &case.doubles("face_scores")?,
        templates: case.integers("templates")?,
        media: case.integers("medias")?,
    };
    let same = case.booleans("label")?;
    let pairs = TemplatePairs { first: case.integers("p1")?, second: case.integers("p2")?, same: &same };
    let options = TemplateOptions {
        flip: c.use_flip_test,
        keep_norms: c.use_norm_score,
        detector_score: c.use_detector_score,
    };
    let report = ijb::evaluate(pictures, pairs, options, &c.fars).map_err(refused)?;
    let rows = report.templates.ids.len();
    let columns = report.templates.features.len() / rows.max(1);
    let pooled = Array::f64([rows, columns], report.templates.features);
    Ok(Outputs::new()
        .with("tpr", tars(&report.points))
        .with("scores", floats(report.scores))
        .with("template_feats", pooled.map_err(ReplayError::refused)?)
        .with("unique_templates", Array::integers(report.templates.ids)))
}

//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::identification::rank_one;
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_metrics::similarity::{Measure, pairwise, split_by_label};
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    far: Vec<f64>,
}

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MetricConfig { far } = case.config()?;
    let refused = |e: MetricError| ReplayError::refused(e);
    let (probe, gallery) = (case.doubles("probe")?, case.doubles("gallery")?);
    let probe = Matrix::new("probe", &probe, case.dims("probe")?).map_err(refused)?;
    let gallery = Matrix::new("gallery", &gallery, case.dims("gallery")?).map_err(refused)?;
    let (probe_labels, gallery_labels) = (case.integers("probe_label")?, case.integers("gallery_label")?);

    let cosines = pairwise(probe, gallery, Measure::Cosine).map_err(refused)?;
    let cosines = Matrix::new("similarity", &cosines, [probe.rows(), gallery.rows()]).map_err(refused)?;
    let found = rank_one(cosines, probe_labels, gallery_labels).map_err(refused)?;
    let (genuine, impostor) = split_by_label(cosines, probe_labels, gallery_labels).map_err(refused)?;
    let scores = PairScores::from_classes(genuine, impostor).map_err(refused)?;
    let points = scores.tar_at_far(&far, FarRule::NextStrict).map_err(refused)?;
    Ok(Outputs::new()
        .with("rank1", found.accuracy)
        .with("vr", Array::vector_f64(points.iter().map(|p| p.tar)))
        .with("threshold", Array::vector_f64(points.iter().filter_map(|p| p.threshold))))
}

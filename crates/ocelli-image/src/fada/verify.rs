//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::Matrix;
use ocelli_metrics::class_center::{ClassMoments, report};
use ocelli_metrics::segmentation::{Confusion, MiouVariant};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "metric.miou", run: miou },
    Component { name: "metric.ccd", run: class_center_distance },
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MiouConfig {
    num_classes: usize,
    ignore: Option<i64>,
    eps: f64,
}

fn miou(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: MiouConfig = case.config()?;
    let mut confusion = Confusion::new(c.num_classes).map_err(ReplayError::refused)?;
    let (labels, predictions) = (case.integers("label")?, case.integers("pred")?);
    confusion.add(labels, predictions, c.ignore).map_err(ReplayError::refused)?;
    let report = confusion.report(MiouVariant::Eps, c.eps);
    let integers = |counts: Vec<u64>| Array::integers(counts.into_iter().map(|n| n as i64));
    Ok(Outputs::new()
        .with("intersection", integers(report.intersection))
        .with("union", integers(report.union))
        .with("iou", Array::vector_f64(report.iou))
        .with("class_accuracy", Array::vector_f64(report.class_accuracy))
        .with("miou", report.miou)
        .with("mean_accuracy", report.mean_accuracy)
        .with("accuracy", report.pixel_accuracy))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CcdConfig {
    num_classes: usize,
    ignore: Option<i64>,
}

fn class_center_distance(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: CcdConfig = case.config()?;
    let features = case.doubles("features")?;
    let features =
        Matrix::new("features", &features, case.dims("features")?).map_err(ReplayError::refused)?;
    let moments = ClassMoments::new(features, case.integers("labels")?, c.num_classes, c.ignore);
    let found = report([&moments.map_err(ReplayError::refused)?]).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("ccd", Array::vector_f64(found.ccd)).with("mean", found.mean))
}

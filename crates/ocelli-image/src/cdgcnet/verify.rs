//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::segmentation::{Confusion, EPS, MiouVariant};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.miou", run: miou }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MiouConfig {
    n_classes: usize,
    ignore: Option<i64>,
}

fn miou(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: MiouConfig = case.config()?;
    let mut confusion = Confusion::new(c.n_classes).map_err(ReplayError::refused)?;
    let (labels, predictions) = (case.integers("gt")?, case.integers("pred")?);
    confusion.add(labels, predictions, c.ignore).map_err(ReplayError::refused)?;
    let report = confusion.report(MiouVariant::AbsentOut, EPS);
    let counts = Array::integers(confusion.matrix().into_iter().map(|n| n as i64));
    let counts = counts.reshaped([c.n_classes, c.n_classes]).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("confusion", counts)
        .with("iou", Array::vector_f64(report.iou))
        .with("miou", report.miou)
        .with("pixel_accuracy", report.pixel_accuracy))
}

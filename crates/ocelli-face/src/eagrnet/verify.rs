//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::face_parsing::report;
use ocelli_metrics::segmentation::Confusion;
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.f1", run: f1 }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct F1Config {
    names: Vec<String>,
    f1_order: Vec<String>,
    ignore: Option<i64>,
}

fn f1(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: F1Config = case.config()?;
    let mut confusion = Confusion::new(c.names.len()).map_err(ReplayError::refused)?;
    let (labels, predictions) = (case.integers("label")?, case.integers("pred")?);
    confusion.add(labels, predictions, c.ignore).map_err(ReplayError::refused)?;
    let found = report(&confusion, &c.names, &c.f1_order).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("f1", Array::vector_f64(found.f1.into_iter().map(|(_, f1)| f1)))
        .with("pixel_accuracy", found.pixel_accuracy)
        .with("mean_accuracy", found.mean_accuracy)
        .with("mean_iou", found.mean_iou))
}

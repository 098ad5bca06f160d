//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::Matrix;
use ocelli_metrics::few_shot::{mean_interval, meta_shift};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let interval = mean_interval(&case.doubles("accuracy")?).map_err(ReplayError::refused)?;
    let descriptors = case.doubles("descriptors")?;
    let descriptors =
        Matrix::new("descriptors", &descriptors, case.dims("descriptors")?).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("mean", interval.mean)
        .with("half_width", interval.half_width)
        .with("meta_shift", meta_shift(descriptors)))
}

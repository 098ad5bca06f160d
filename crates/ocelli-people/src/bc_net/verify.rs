//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::reid::{Pictures, ReidOptions, evaluate};
use ocelli_metrics::similarity::{Measure, pairwise};
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.reid", run: reid }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReidConfig {
    camera_filter: bool,
    max_rank: usize,
    metric: String,
}

fn reid(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: ReidConfig = case.config()?;
    let measure: Measure =
        c.metric.parse().map_err(|e: MetricError| ReplayError::Unsupported(e.to_string()))?;
    let refused = |e: MetricError| ReplayError::refused(e);
    let (query, gallery) = (case.doubles("query_features")?, case.doubles("gallery_features")?);
    let query = Matrix::new("query_features", &query, case.dims("query_features")?).map_err(refused)?;
    let gallery =
        Matrix::new("gallery_features", &gallery, case.dims("gallery_features")?).map_err(refused)?;
    let query_pictures = Pictures { ids: case.integers("query_pid")?, cameras: case.integers("query_cam")? };
    let gallery_pictures =
        Pictures { ids: case.integers("gallery_pid")?, cameras: case.integers("gallery_cam")? };
    let options = ReidOptions { measure, ..ReidOptions::plain(c.camera_filter, c.max_rank) };
    let report = evaluate(query, query_pictures, gallery, gallery_pictures, &options).map_err(refused)?;
    let distances = pairwise(query, gallery, measure).map_err(refused)?;
    Ok(Outputs::new()
        .with("map", report.map)
        .with("cmc", Array::vector_f64(report.cmc))
        .with("n_valid", Array::integers([report.valid_queries as i64]))
        .with(
            "distances",
            Array::f64([query.rows(), gallery.rows()], distances).map_err(ReplayError::refused)?,
        ))
}

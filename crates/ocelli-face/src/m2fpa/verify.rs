//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::identification::rank_one;
use ocelli_metrics::similarity::{Measure, pairwise};
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    /// Yaw and pitch of each pose, in degrees; probes name theirs by its place in this list.
    poses: Vec<[i64; 2]>,
    /// Whether printed tables average the two signs of a yaw; the values themselves are of single poses.
    #[serde(rename = "merge_sign")]
    _merge_sign: bool,
}

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: MetricConfig = case.config()?;
    let refused = |e: MetricError| ReplayError::refused(e);
    let (probe, gallery) = (case.doubles("probe")?, case.doubles("gallery")?);
    let probe = Matrix::new("probe", &probe, case.dims("probe")?).map_err(refused)?;
    let gallery = Matrix::new("gallery", &gallery, case.dims("gallery")?).map_err(refused)?;
    let (probe_labels, gallery_labels) = (case.integers("probe_label")?, case.integers("gallery_label")?);
    let place = |pose: &i64| usize::try_from(*pose).map_err(|_| ReplayError::refused("a negative pose"));
    let poses: Vec<usize> = case.integers("pose")?.iter().map(place).collect::<Result<_, _>>()?;

    let cosines = pairwise(probe, gallery, Measure::Cosine).map_err(refused)?;
    let cosines = Matrix::new("similarity", &cosines, [probe.rows(), gallery.rows()]).map_err(refused)?;
    let found = rank_one(cosines, probe_labels, gallery_labels).map_err(refused)?;
    let by_pose = found.by_group(&poses, c.poses.len()).map_err(refused)?;
    Ok(Outputs::new()
        .with("rank1", Array::vector_f64(by_pose.into_iter().map(|share| share.unwrap_or(f64::NAN))))
        .with("mean", found.accuracy))
}

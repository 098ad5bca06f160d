//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::pose3d::{Point, PoseErrors, report};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.pose", run: pose }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoseConfig {
    root: usize,
    pck_mm: f64,
}

fn pose(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: PoseConfig = case.config()?;
    let [_, joints, three] = case.dims::<3>("gt")?;
    if case.dims::<3>("pred")? != case.dims::<3>("gt")? || three != 3 || joints == 0 {
        return Err(ReplayError::refused("pred and gt of one shape [N, J, 3] are expected"));
    }
    let points = |name: &str| -> Result<Vec<Point>, ReplayError> {
        Ok(case.doubles(name)?.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect())
    };
    let (predicted, truth) = (points("pred")?, points("gt")?);
    let pairs = predicted.chunks_exact(joints).zip(truth.chunks_exact(joints));
    let poses: Vec<PoseErrors> = pairs
        .map(|(p, t)| PoseErrors::new(p, t, c.root).map_err(ReplayError::refused))
        .collect::<Result<_, _>>()?;
    let found = report(&poses, c.pck_mm).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("mpjpe", found.mpjpe)
        .with("p_mpjpe", found.p_mpjpe)
        .with("n_mpjpe", found.n_mpjpe)
        .with("pck", found.pck)
        .with("auc", found.auc))
}

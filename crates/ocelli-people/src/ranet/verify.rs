//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::pose2d::{
    Corners, JointErrors, MPII_FINE_THRESHOLD, MPII_GROUPS, Pose2dVariant, SC_BIAS, pck,
};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] =
    &[Component { name: "metric.pckh", run: pckh }, Component { name: "metric.pck_lsp", run: pck_lsp }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PckhConfig {
    threshold: f64,
    sc_bias: f64,
    excluded_joints: Vec<usize>,
}

fn pckh(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: PckhConfig = case.config()?;
    let missing = case.booleans("missing")?;
    let people = people(case, Pose2dVariant::Mpii, "head_box", c.sc_bias, |i| !missing[i])?;
    let at = |threshold| pck(&people, threshold, &c.excluded_joints).map_err(ReplayError::refused);
    let report = at(c.threshold)?;
    let mut outputs = Outputs::new();
    for (name, joints) in MPII_GROUPS {
        outputs.set(*name, report.group(joints));
    }
    Ok(outputs
        .with("per_joint", Array::vector_f64(report.per_joint))
        .with("mean", report.mean)
        .with("mean_at_0.1", at(MPII_FINE_THRESHOLD)?.mean))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LspConfig {
    threshold: f64,
    excluded_joints: Vec<usize>,
}

fn pck_lsp(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: LspConfig = case.config()?;
    let people = people(case, Pose2dVariant::Lsp, "torso_box", SC_BIAS, |_| true)?;
    let report = pck(&people, c.threshold, &c.excluded_joints).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("per_joint", Array::vector_f64(report.per_joint)).with("mean", report.mean))
}

/// `pred` and `gt` `[N, J, 2]` with boxes `[N, 2, 2]`; `counts` says whether the joint at an index of `[N, J]` does.
fn people(
    case: &Replay<'_>,
    variant: Pose2dVariant,
    boxes: &str,
    sc_bias: f64,
    counts: impl Fn(usize) -> bool,
) -> Result<Vec<JointErrors>, ReplayError> {
    let [count, joints, two] = case.dims::<3>("gt")?;
    let shapes = [case.dims::<3>("pred")?, [case.dims::<3>(boxes)?[0], joints, case.dims::<3>(boxes)?[2]]];
    if two != 2 || shapes.iter().any(|s| *s != [count, joints, 2]) || case.dims::<3>(boxes)?[1] != 2 {
        return Err(ReplayError::refused("pred and gt of [N, J, 2] and boxes of [N, 2, 2] are expected"));
    }
    let points = |name: &str| -> Result<Vec<[f64; 2]>, ReplayError> {
        Ok(case.doubles(name)?.chunks_exact(2).map(|p| [p[0], p[1]]).collect())
    };
    let (predicted, truth, corners) = (points("pred")?, points("gt")?, points(boxes)?);
    let counts: Vec<bool> = (0..count * joints).map(counts).collect();
    let person = |i: usize| {
        let of = i * joints..(i + 1) * joints;
        let corners: Corners = [corners[2 * i], corners[2 * i + 1]];
        let size = variant.size(corners, sc_bias)?;
        JointErrors::new(&predicted[of.clone()], &truth[of.clone()], &counts[of], size)
    };
    (0..count).map(|i| person(i).map_err(ReplayError::refused)).collect()
}

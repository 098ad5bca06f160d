//! Reference-case components: the method's evaluator and file format, from the names that cases use and back.

use ocelli_data::annotations::kitti_flow::decode;
use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::flow::{FlowField, FlowMasks, FlowRecord, FlowVariant, summarise};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] =
    &[Component { name: "metric.flow", run: flow }, Component { name: "io.kitti_png", run: kitti_png }];

fn flow(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    #[derive(Deserialize)]
    struct Config {
        kind: String,
    }
    let config: Config = case.config()?;
    let variant: FlowVariant = config.kind.parse().map_err(ReplayError::refused)?;
    let [images, height, width, channels] = case.dims("gt")?;
    let [_, low, narrow, 2] = case.dims("pred")? else {
        return Err(ReplayError::refused("pred: flow has 2 channels"));
    };
    if channels != 2 && channels != 4 {
        return Err(ReplayError::refused(format!("gt: 2 or 4 channels expected, found {channels}")));
    }
    let (truth, pred) = (case.doubles("gt")?, case.doubles("pred")?);
    if pred.len() != images * low * narrow * 2 {
        return Err(ReplayError::refused("gt and pred differ in the number of images"));
    }
    let mut records = Vec::new();
    for (truth, pred) in
        truth.chunks_exact(height * width * channels).zip(pred.chunks_exact(low * narrow * 2))
    {
        let pixels = || truth.chunks_exact(channels);
        let uv = pixels().flat_map(|p| [p[0], p[1]]).collect();
        let field = FlowField::new(uv, height, width).map_err(ReplayError::refused)?;
        let pred = FlowField::new(pred.to_vec(), low, narrow).map_err(ReplayError::refused)?;
        let mask = |c: usize| pixels().map(|p| p[c] != 0.0).collect::<Vec<_>>();
        let masks = (channels == 4 && variant == FlowVariant::Kitti).then(|| (mask(2), mask(3)));
        let masks = masks.as_ref().map(|(valid, not_occluded)| FlowMasks { valid, not_occluded });
        records.push(FlowRecord::new(&field, &pred, masks).map_err(ReplayError::refused)?);
    }
    let report = summarise(&records).map_err(ReplayError::refused)?;
    Ok(match variant {
        FlowVariant::Sintel => Outputs::new().with("epe", report.epe_all),
        FlowVariant::Kitti => Outputs::new()
            .with("epe_all", report.epe_all)
            .with("epe_noc", report.epe_noc)
            .with("epe_occ", report.epe_occ)
            .with("fl_all", report.fl_all),
    })
}

/// Pixels come in the order of the tool that reads them: blue, green, red are valid, v, u.
fn kitti_png(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [height, width, 3] = case.dims("raw")? else {
        return Err(ReplayError::refused("raw: pixels have 3 channels"));
    };
    let raw = case.integers("raw")?;
    let word =
        |v: i64| u16::try_from(v).map_err(|_| ReplayError::refused(format!("raw: {v} is no 16-bit value")));
    let (mut flow, mut valid) = (Vec::new(), Vec::new());
    for pixel in raw.chunks_exact(3) {
        let [b, g, r] = [word(pixel[0])?, word(pixel[1])?, word(pixel[2])?];
        flow.extend(decode([r, g, b]));
        valid.push(i64::from(b));
    }
    let flow = Array::f32([height, width, 2], flow).map_err(ReplayError::refused)?;
    let valid = Array::integers(valid).reshaped([height, width]).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("flow", flow).with("valid", valid))
}

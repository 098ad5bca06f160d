//! Reference-case components.

use ocelli_method::{Array, Component, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::grounding::{GroundingOptions, GroundingRecords, GroundingVariant, overlaps};
use ocelli_metrics::segment::Segment;
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.grounding", run: grounding }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    ns: Vec<usize>,
    thresholds: Vec<f64>,
    hit: Option<String>,
}

fn grounding(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Config { ns, thresholds, hit } = case.config()?;
    let variant = match hit.as_deref() {
        None | Some(">=" | "ge") => GroundingVariant::Ge,
        Some(">" | "gt") => GroundingVariant::Gt,
        Some(other) => return Err(ReplayError::Unsupported(format!("hit `{other}`"))),
    };
    let ([queries, predictions, two], [truths, _]) = (case.dims::<3>("pred")?, case.dims::<2>("gt")?);
    if two != 2 || truths != queries || case.dims::<2>("gt")?[1] != 2 {
        return Err(ReplayError::refused("`pred` [Q, P, 2] and `gt` [Q, 2] are expected"));
    }
    let segments = |name: &str| -> Result<Vec<Segment>, ReplayError> {
        Ok(case.doubles(name)?.as_chunks::<2>().0.iter().map(|&s| s.into()).collect())
    };
    let (predicted, truth) = (segments("pred")?, segments("gt")?);
    let options = GroundingOptions { variant, ns: ns.clone(), thresholds: thresholds.clone() };
    let mut records = GroundingRecords::new(options).map_err(ReplayError::refused)?;
    let mut iou = Vec::with_capacity(predicted.len());
    for (query, &truth) in truth.iter().enumerate() {
        let own = &predicted[query * predictions..(query + 1) * predictions];
        records.add(truth, own).map_err(ReplayError::refused)?;
        iou.extend(overlaps(truth, own));
    }
    let summary = records.summary().map_err(ReplayError::refused)?;
    let iou = Array::new([queries, predictions], Data::F64(iou)).map_err(ReplayError::refused)?;
    let mut outputs = Outputs::new().with("iou", iou).with("mIoU", summary.mean_iou);
    for (n, row) in ns.iter().zip(&summary.recall) {
        for (m, recall) in thresholds.iter().zip(row) {
            // Cases name thresholds as Python prints them: 0.5, and 1.0 with its zero.
            outputs.set(format!("R{n}@{m:?}"), *recall);
        }
    }
    Ok(outputs)
}

//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::MetricError;
use ocelli_metrics::liveness::{Liveness, LivenessSample, LivenessVariant};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    threshold: f64,
    fprs: Vec<f64>,
    development: usize,
}

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: MetricConfig = case.config()?;
    let refused = |e: MetricError| ReplayError::refused(e);
    let (scores, live) = (case.doubles("scores")?, case.booleans("live")?);
    if live.len() != scores.len() {
        return Err(ReplayError::refused("scores and live differ in length"));
    }
    let sample = |(&score, &live): (&f64, &bool)| LivenessSample { score, attack: (!live).then_some(0) };
    let samples = scores.iter().zip(&live).map(sample).collect();
    let samples = Liveness::new(samples, LivenessVariant::Live).map_err(refused)?;
    let rates = samples.rates(c.threshold).map_err(refused)?;
    let equal = samples.equal_error().map_err(refused)?;
    let points = samples.recall_at_fpr(&c.fprs).map_err(refused)?;
    Ok(Outputs::new()
        .with("apcer", rates.apcer)
        .with("bpcer", rates.bpcer)
        .with("acer", rates.mean())
        .with("eer", equal.rate)
        .with("eer_threshold", equal.threshold)
        .with("hter", samples.development_hter(c.development).map_err(refused)?)
        .with("tpr_at_fpr", Array::vector_f64(points.iter().map(|p| p.tar))))
}

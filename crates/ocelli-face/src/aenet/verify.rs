//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::MetricError;
use ocelli_metrics::liveness::{Liveness, LivenessSample, LivenessVariant};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "metric.pad", run: presentation_attack },
    Component { name: "metric.recall_at_fpr", run: recall_at_fpr },
];

fn refused(error: MetricError) -> ReplayError {
    ReplayError::refused(error)
}

/// Scores with labels, 1 for an attack; `types` of attacks where the case gives them.
fn samples(case: &Replay<'_>, types: Option<&[i64]>) -> Result<Liveness, ReplayError> {
    let (scores, attack) = (case.doubles("scores")?, case.booleans("labels")?);
    if attack.len() != scores.len() || types.is_some_and(|t| t.len() != scores.len()) {
        return Err(ReplayError::refused("scores, labels and types differ in length"));
    }
    let kind = |i: usize| attack[i].then(|| types.map_or(0, |t| t[i]));
    let samples =
        scores.iter().enumerate().map(|(i, &score)| LivenessSample { score, attack: kind(i) }).collect();
    Liveness::new(samples, LivenessVariant::Attack).map_err(refused)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PadConfig {
    threshold: f64,
    hter_threshold: f64,
}

fn presentation_attack(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: PadConfig = case.config()?;
    let samples = samples(case, Some(case.integers("types")?))?;
    let rates = samples.rates(c.threshold).map_err(refused)?;
    let equal = samples.equal_error().map_err(refused)?;
    Ok(Outputs::new()
        .with("apcer", rates.apcer)
        .with("bpcer", rates.bpcer)
        .with("acer", rates.mean())
        .with("apcer_worst_type", samples.worst_apcer(c.threshold).map_err(refused)?)
        .with("hter", samples.half_total_rates(c.hter_threshold).map_err(refused)?.mean())
        .with("auc", samples.auc().map_err(refused)?)
        .with("eer", equal.rate)
        .with("eer_threshold", equal.threshold))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallConfig {
    fprs: Vec<f64>,
}

fn recall_at_fpr(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let RecallConfig { fprs } = case.config()?;
    let points = samples(case, None)?.recall_at_fpr(&fprs).map_err(refused)?;
    Ok(Outputs::new()
        .with("recalls", Array::vector_f64(points.iter().map(|p| p.tar)))
        .with("thresholds", Array::vector_f64(points.iter().filter_map(|p| p.threshold))))
}

//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::classification::judge_statements;
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.accuracy", run: accuracy }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccuracyConfig {
    threshold: f64,
}

fn accuracy(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let AccuracyConfig { threshold } = case.config()?;
    let (of_true, of_false) = (case.doubles("prob_true")?, case.doubles("prob_false")?);
    let is_true = [vec![true; of_true.len()], vec![false; of_false.len()]].concat();
    let judged =
        judge_statements(&[of_true, of_false].concat(), &is_true, threshold).map_err(ReplayError::refused)?;
    let right = judged.iter().filter(|right| **right).count();
    Ok(Outputs::new().with("accuracy", right as f64 / judged.len() as f64))
}

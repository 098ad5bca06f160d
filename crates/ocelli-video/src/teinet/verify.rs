//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::Matrix;
use ocelli_metrics::classification::{rank_rows, report};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric.topk", run: top_k }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopKConfig {
    ks: Vec<usize>,
}

fn top_k(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let TopKConfig { ks } = case.config()?;
    let scores = case.doubles("scores")?;
    let scores = Matrix::new("scores", &scores, case.dims("scores")?).map_err(ReplayError::refused)?;
    let clips = rank_rows(scores, case.integers("labels")?).map_err(ReplayError::refused)?;
    let found = report(&clips, scores.columns(), &ks).map_err(ReplayError::refused)?;
    let mut outputs = Outputs::new();
    for (k, share) in ks.iter().zip(found.top) {
        outputs.set(format!("top{k}"), 100.0 * share);
    }
    Ok(outputs)
}

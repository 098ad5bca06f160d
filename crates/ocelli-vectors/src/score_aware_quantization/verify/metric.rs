//! The metrics of quantized search.

use ocelli_method::{Array, Outputs, Replay, ReplayError};
use ocelli_metrics::nearest_neighbours::{
    NeighbourResult, Ranking, by_inner_product, recall, recall_of_best, recall_with_tolerance, relative_error,
};
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    eps: f64,
}

/// How many of the best items the cases look at.
const LISTED: usize = 20;

pub(super) fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MetricConfig { eps } = case.config()?;
    let refused = |e: MetricError| ReplayError::refused(e);
    let truth = rankings(case, "x")?;
    let found = rankings(case, "xq")?;
    let results: Vec<NeighbourResult> = found
        .iter()
        .zip(&truth)
        .map(|(found, truth)| NeighbourResult::new(&signed(&found.ids), &signed(&truth.ids)))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let tolerant: Vec<f64> = found
        .iter()
        .zip(&truth)
        .map(|(found, truth)| recall_with_tolerance(&found.ids, truth, 10, eps))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let errors: Vec<f64> = found
        .iter()
        .zip(&truth)
        .map(|(found, truth)| relative_error(truth, found))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let mut outputs = Outputs::new();
    for n in [1, 5, 10, 20] {
        outputs.set(format!("recall1_at_{n}"), recall_of_best(&results, n).map_err(refused)?);
    }
    for k in [5, 10] {
        outputs.set(format!("recall_{k}_at_{k}"), recall(&results, k).map_err(refused)?);
    }
    Ok(outputs
        .with("ids", table(&found)?)
        .with("truth", table(&truth)?)
        .with("recall_threshold_10", tolerant.iter().sum::<f64>() / tolerant.len() as f64)
        .with("relative_error", Array::vector_f64(errors)))
}

fn rankings(case: &Replay<'_>, items: &'static str) -> Result<Vec<Ranking>, ReplayError> {
    let refused = |e: MetricError| ReplayError::refused(e);
    let (queries, values) = (case.doubles("q")?, case.doubles(items)?);
    let queries = Matrix::new("q", &queries, case.dims("q")?).map_err(refused)?;
    let items = Matrix::new(items, &values, case.dims(items)?).map_err(refused)?;
    by_inner_product(queries, items, LISTED).map_err(refused)
}

fn signed(ids: &[usize]) -> Vec<i64> {
    ids.iter().map(|id| *id as i64).collect()
}

/// The ids of all queries, `[Q, listed]`.
fn table(rankings: &[Ranking]) -> Result<Array, ReplayError> {
    let width = rankings.first().map_or(0, |r| r.ids.len());
    let ids = Array::integers(rankings.iter().flat_map(|r| signed(&r.ids)));
    ids.reshaped([rankings.len(), width]).map_err(ReplayError::refused)
}

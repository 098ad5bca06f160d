//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Array, Component, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::hashing::{Codes, HashingOptions, Labels, evaluate, report};
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    top: Option<usize>,
    at: Vec<usize>,
    radius: usize,
}

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MetricConfig { top, at, radius } = case.config()?;
    let options = HashingOptions { top, at: at.clone(), radius };
    let (query, database) = (codes(case, "query")?, codes(case, "database")?);
    let [query_table, database_table] = [case.doubles("query_label")?, case.doubles("database_label")?];
    let query_labels = labels(case, "query_label", &query_table)?;
    let database_labels = labels(case, "database_label", &database_table)?;
    let results =
        evaluate((&query, query_labels), (&database, database_labels), &options).map_err(refused)?;
    let means = report(&results).map_err(refused)?;

    let table = |values: Array, shape: [usize; 2]| values.reshaped(shape).map_err(ReplayError::refused);
    let packed = |codes: &Codes| {
        let shape = [codes.len(), codes.bits().div_ceil(8)];
        Array::new(shape, Data::U8(codes.to_bytes())).map_err(ReplayError::refused)
    };
    let distances = (0..query.len()).flat_map(|q| query.distances(q, &database)).map(|d| d as i64);
    let mut outputs = Outputs::new()
        .with("query_code", table(Array::integers(query.signs()), [query.len(), query.bits()])?)
        .with("query_packed", packed(&query)?)
        .with("database_packed", packed(&database)?)
        .with("distance", table(Array::integers(distances), [query.len(), database.len()])?)
        .with("ap", Array::vector_f64(results.iter().map(|r| r.average_precision)))
        .with("map", means.map)
        .with("precision_radius", means.precision_in_radius);
    for (k, precision) in at.iter().zip(means.precision_at) {
        outputs.set(format!("precision_{k}"), precision);
    }
    Ok(outputs)
}

fn codes(case: &Replay<'_>, name: &'static str) -> Result<Codes, ReplayError> {
    let outputs = case.doubles(name)?;
    Ok(Codes::from_signs(Matrix::new(name, &outputs, case.dims(name)?).map_err(refused)?))
}

/// Of one class an item, or `[N, classes]` of 0 and 1.
fn labels<'a>(case: &'a Replay<'_>, name: &'static str, table: &'a [f64]) -> Result<Labels<'a>, ReplayError> {
    match *case.input(name)?.shape() {
        [rows, columns] => Ok(Labels::MultiHot(Matrix::new(name, table, [rows, columns]).map_err(refused)?)),
        _ => Ok(Labels::Single(case.integers(name)?)),
    }
}

fn refused(error: MetricError) -> ReplayError {
    ReplayError::refused(error)
}

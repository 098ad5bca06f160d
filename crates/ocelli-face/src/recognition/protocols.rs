//! The evaluators as components of reference cases: what the protocols of several methods share between the names that
//! cases use and those of the evaluators.

use ocelli_method::{Array, Outputs, Replay, ReplayError};
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, k_fold};
use ocelli_metrics::roc::OperatingPoint;
use ocelli_metrics::{Matrix, MetricError};
use serde::Deserialize;

/// An input in double precision with its shape.
pub(crate) struct Table {
    name: &'static str,
    values: Vec<f64>,
    shape: [usize; 2],
}

impl Table {
    pub(crate) fn new(case: &Replay<'_>, name: &'static str) -> Result<Self, ReplayError> {
        Ok(Self { name, values: case.doubles(name)?, shape: case.dims(name)? })
    }

    pub(crate) fn matrix(&self) -> Result<Matrix<'_>, ReplayError> {
        Matrix::new(self.name, &self.values, self.shape).map_err(refused)
    }
}

pub(crate) fn refused(error: MetricError) -> ReplayError {
    ReplayError::refused(error)
}

pub(crate) fn floats(values: impl IntoIterator<Item = f64>) -> Array {
    Array::vector_f64(values)
}

pub(crate) fn indices(values: impl IntoIterator<Item = usize>) -> Array {
    Array::integers(values.into_iter().map(|i| i as i64))
}

pub(crate) fn tars(points: &[OperatingPoint]) -> Array {
    floats(points.iter().map(|p| p.tar))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvenFolds {
    folds: usize,
    pairs_per_fold: usize,
    num_thresholds: usize,
}

/// Ten-fold accuracy of given scores over evenly spaced thresholds: `mean` and `std_err`.
pub(crate) fn lfw(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let EvenFolds { folds, pairs_per_fold, num_thresholds } = case.config()?;
    let (scores, same) = (case.doubles("scores")?, case.booleans("labels")?);
    if folds.checked_mul(pairs_per_fold) != Some(scores.len()) {
        let n = scores.len();
        return Err(ReplayError::refused(format!("{n} scores are not {folds} folds of {pairs_per_fold}")));
    }
    let options = KFoldOptions { folds, num_thresholds, ..KFoldOptions::default() };
    let found = k_fold(LfwVariant::NpcFace, &scores, &same, &options).map_err(refused)?;
    Ok(Outputs::new().with("mean", found.mean_accuracy).with("std_err", found.standard_error))
}

//! Input checks shared by the protocols.

use crate::{MetricError, Result};

/// `found` entries of `name`, as many as `partner` has.
pub(crate) fn same_length(
    name: &'static str,
    found: usize,
    partner: &'static str,
    wanted: usize,
) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(MetricError::Length { name, found, partner, wanted }) }
}

/// At least `wanted` entries.
pub(crate) fn at_least(name: &'static str, found: usize, wanted: usize) -> Result<()> {
    if found >= wanted { Ok(()) } else { Err(MetricError::Empty { name, wanted }) }
}

/// No NaN, no infinity.
pub(crate) fn finite(name: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(MetricError::NotFinite { name, index, value: values[index] }),
    }
}

/// Rates of false accepts lie in [0, 1].
pub(crate) fn rates(name: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        None => Ok(()),
        Some(v) => Err(setting(name, v, "a share between 0 and 1")),
    }
}

/// Ranks count from 1.
pub(crate) fn ranks(name: &'static str, values: &[usize]) -> Result<()> {
    if values.contains(&0) { Err(setting(name, 0, "ranks, which count from 1")) } else { Ok(()) }
}

/// Both classes of a two-class protocol are there.
pub(crate) fn both_classes(genuine: usize, impostor: usize, within: &str) -> Result<()> {
    let class = match (genuine, impostor) {
        (0, _) => "pairs of the same person",
        (_, 0) => "pairs of different people",
        _ => return Ok(()),
    };
    Err(MetricError::MissingClass { class, within: within.to_owned() })
}

/// The error for a setting out of range.
pub(crate) fn setting(name: &'static str, value: impl ToString, wanted: &str) -> MetricError {
    MetricError::Setting { name, value: value.to_string(), wanted: wanted.to_owned() }
}

//! LVIS's JSON: COCO's, in which each picture lists the categories that people looked for and each category says how
//! often it occurs (Gupta et al., CVPR 2019). Results are files of COCO's form, see [`super::coco::read_results`].

use std::path::Path;

use super::coco::{self, Detail};
use super::detection::DetectionSet;
use crate::error::DataError;

pub use super::coco::{Truth, read_results, write_results};

/// Reads the truth.
///
/// # Errors
/// As [`coco::read`]; and [`DataError::Content`] naming the first category without `frequency`.
pub fn read(path: impl AsRef<Path>, detail: Detail) -> Result<Truth, DataError> {
    let path = path.as_ref();
    let truth = coco::read(path, detail)?;
    check(&truth.set).map_err(|reason| DataError::content(path, reason))?;
    Ok(truth)
}

/// Writes a truth.
///
/// # Errors
/// As [`coco::write`]; and [`DataError::Setting`] for a category without a frequency.
pub fn write(path: impl AsRef<Path>, set: &DetectionSet) -> Result<(), DataError> {
    check(set).map_err(|reason| DataError::setting("categories", reason))?;
    coco::write(path, set)
}

fn check(set: &DetectionSet) -> Result<(), String> {
    match set.categories.iter().position(|c| c.frequency.is_none()) {
        None => Ok(()),
        Some(place) => Err(format!(
            "categories[{place}] (`{}`) has no `frequency`, which LVIS gives as r, c or f",
            set.categories[place].name
        )),
    }
}

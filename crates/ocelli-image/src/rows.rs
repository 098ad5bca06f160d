//! Tables in reference cases.

use ocelli_method::{Replay, ReplayError};

/// The rows of an input of `N` columns.
pub(crate) fn rows<const N: usize>(case: &Replay<'_>, name: &str) -> Result<Vec<[f64; N]>, ReplayError> {
    let [_, columns] = case.dims(name)?;
    if columns != N {
        return Err(ReplayError::refused(format!("`{name}` has {columns} columns; {N} are expected")));
    }
    Ok(case.doubles(name)?.as_chunks().0.to_vec())
}

//! Work on many units at once.

use rayon::prelude::*;

/// The results of a parallel iterator, in order; of several errors the first, so that the same input gives the same
/// message every time.
pub(crate) fn in_order<T: Send, E: Send>(
    results: impl IndexedParallelIterator<Item = Result<T, E>>,
) -> Result<Vec<T>, E> {
    let all: Vec<Result<T, E>> = results.collect();
    all.into_iter().collect()
}

//! What the cases of retrieval share: a table of similarities, ranked, and one direction's metrics as outputs.

use ocelli_method::{Outputs, Replay, ReplayError};
use ocelli_metrics::Matrix;
use ocelli_metrics::retrieval::{Direction, RetrievalRecords, RetrievalVariant};

/// The K of R@K that cases store.
pub(crate) const KS: [usize; 3] = [1, 5, 10];

/// Ranks the input `sim`, whose rows are texts, or items when `turned`.
pub(crate) fn ranked(
    case: &Replay<'_>,
    variant: RetrievalVariant,
    owner: &[usize],
    turned: bool,
) -> Result<RetrievalRecords, ReplayError> {
    let [rows, columns] = case.dims("sim")?;
    let values = case.doubles("sim")?;
    let (values, shape) = match turned {
        false => (values, [rows, columns]),
        true => {
            let column = |c: usize| values.iter().skip(c).step_by(columns.max(1)).copied();
            ((0..columns).flat_map(column).collect(), [columns, rows])
        }
    };
    let similarity = Matrix::new("sim", &values, shape).map_err(ReplayError::refused)?;
    RetrievalRecords::new(variant, similarity, owner).map_err(ReplayError::refused)
}

/// Sets `{prefix}.R1`, `.R5` and `.R10`.
pub(crate) fn set_recalls(outputs: &mut Outputs, prefix: &str, direction: &Direction) {
    for (k, recall) in KS.iter().zip(&direction.recall) {
        outputs.set(format!("{prefix}.R{k}"), *recall);
    }
}

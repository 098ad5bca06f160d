//! Products of a fixed sparse matrix with dense rows: each row of the result is a weighted sum of a few rows.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};
use burn_flex::FlexTensor;
use thiserror::Error;

use crate::backend::{Numbers, is_served};
use crate::jobs;
use crate::memory::{SharedOutput, filled, tensor};
use ocelli_simd::vectorized;

/// A matrix of which few elements are not zero, and its transpose. Cloning shares both.
#[derive(Clone, Debug)]
pub struct SparseMatrix {
    forward: Arc<Rows>,
    backward: Arc<Rows>,
}

/// Why entries do not make a matrix.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SparseError {
    /// An entry names a column beyond the last.
    #[error("row {row} has an entry in column {column}, the matrix has {columns} columns")]
    Column {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// Number of columns.
        columns: usize,
    },
    /// More columns, rows or entries than 32 bits count.
    #[error("{0} rows, columns or entries are more than 32 bits count")]
    TooLarge(usize),
}

/// Compressed rows: the entries of row r lie from `starts[r]` to `starts[r + 1]`.
#[derive(Debug)]
struct Rows {
    starts: Vec<u32>,
    /// The column of each entry, below `width`.
    columns: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl SparseMatrix {
    /// A matrix of `columns` columns from its rows, each a list of (column, value). Columns named twice in a row add up.
    ///
    /// # Errors
    /// [`SparseError`] naming the entry.
    pub fn from_rows<R>(columns: usize, rows: impl IntoIterator<Item = R>) -> Result<Self, SparseError>
    where
        R: IntoIterator<Item = (usize, f32)>,
    {
        let mut forward = Rows { starts: vec![0], columns: Vec::new(), values: Vec::new(), width: columns };
        let mut entries: Vec<(usize, f32)> = Vec::new();
        for (row, list) in rows.into_iter().enumerate() {
            entries.clear();
            entries.extend(list);
            entries.sort_by_key(|(column, _)| *column);
            if let Some(&(column, _)) = entries.last().filter(|(column, _)| *column >= columns) {
                return Err(SparseError::Column { row, column, columns });
            }
            let mut last = None;
            for &(column, value) in &entries {
                match (last == Some(column), forward.values.last_mut()) {
                    (true, Some(sum)) => *sum += value,
                    _ => {
                        forward.columns.push(column as u32);
                        forward.values.push(value);
                    }
                }
                last = Some(column);
            }
            forward.starts.push(forward.values.len() as u32);
        }
        let largest = columns.max(forward.values.len()).max(forward.starts.len());
        if u32::try_from(largest).is_err() {
            return Err(SparseError::TooLarge(largest));
        }
        let backward = forward.transposed();
        Ok(Self { forward: Arc::new(forward), backward: Arc::new(backward) })
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.forward.count(), self.forward.width]
    }

    /// Number of elements that are stored.
    pub fn entries(&self) -> usize {
        self.forward.values.len()
    }

    /// The entries of a row, by rising column.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let (columns, values) = self.forward.row(row);
        columns.iter().zip(values).map(|(&column, &value)| (column as usize, value))
    }

    /// All elements, row-major.
    fn dense(&self) -> Vec<f32> {
        let [rows, columns] = self.dims();
        let mut dense = vec![0.0; rows * columns];
        for row in 0..rows {
            self.row(row).for_each(|(column, value)| dense[row * columns + column] = value);
        }
        dense
    }
}

impl Rows {
    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.starts[row] as usize..self.starts[row + 1] as usize;
        (&self.columns[range.clone()], &self.values[range])
    }

    fn transposed(&self) -> Self {
        let mut starts = vec![0u32; self.width + 1];
        self.columns.iter().for_each(|&column| starts[column as usize + 1] += 1);
        (0..self.width).for_each(|column| starts[column + 1] += starts[column]);
        let mut next = starts.clone();
        let (mut columns, mut values) = (vec![0; self.columns.len()], vec![0.0; self.values.len()]);
        for row in 0..self.count() {
            let (own, weights) = self.row(row);
            for (&column, &value) in own.iter().zip(weights) {
                let place = &mut next[column as usize];
                columns[*place as usize] = row as u32;
                values[*place as usize] = value;
                *place += 1;
            }
        }
        Self { starts, columns, values, width: self.count() }
    }
}

/// The product of `matrix` `[R, K]` with `x` `[B, K, O]`, `[B, R, O]`: output row r is the sum of the rows of `x` that row r
/// of the matrix names, each times its value; an empty row is zero.
///
/// Gradients flow to `x`. On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes
/// a dense product. The result is the same for any number of threads.
///
/// # Panics
/// If `x` has not as many rows as the matrix has columns.
pub fn sparse_product(matrix: &SparseMatrix, x: Tensor<3>) -> Tensor<3> {
    let ([batch, found, _], [rows, columns]) = (x.dims(), matrix.dims());
    assert!(found == columns, "sparse_product: {found} rows for a matrix of {columns} columns");
    if !is_served(&x) {
        let device = x.device().without_autodiff();
        let dense = TensorData::new(matrix.dense(), [1, rows, columns]);
        let dense: Tensor<3> = Tensor::from_data(dense, (&device, x.dtype()));
        return dense.expand([batch, rows, columns]).matmul(x);
    }
    Tensor::from_dispatch(Dispatch::mix_rows(x.into_dispatch(), matrix.clone()))
}

/// A backend with a [`sparse_product`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait SparseBackend: Backend {
    fn mix_rows(x: FloatTensor<Self>, matrix: SparseMatrix) -> FloatTensor<Self>;
}

/// [`SparseBackend`] with its gradient, on a backend that does not record.
pub(crate) trait SparseKernels: SparseBackend {
    /// Gradient of the dense factor.
    fn gradient(output_gradient: FloatTensor<Self>, matrix: SparseMatrix) -> FloatTensor<Self>;
}

impl SparseBackend for Flex {
    fn mix_rows(x: FloatTensor<Self>, matrix: SparseMatrix) -> FloatTensor<Self> {
        product(&matrix.forward, x)
    }
}

impl SparseKernels for Flex {
    fn gradient(output_gradient: FloatTensor<Self>, matrix: SparseMatrix) -> FloatTensor<Self> {
        product(&matrix.backward, output_gradient)
    }
}

impl<B: SparseKernels, C: CheckpointStrategy> SparseBackend for Autodiff<B, C> {
    fn mix_rows(x: FloatTensor<Self>, matrix: SparseMatrix) -> FloatTensor<Self> {
        let prepared = SparseStep.prepare::<C>([x.node()]);
        let output = B::mix_rows(x.primitive().clone(), matrix.clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(matrix, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step: the product with the transposed matrix.
#[derive(Debug)]
struct SparseStep;

impl<B: SparseKernels> Backward<B, 1> for SparseStep {
    type State = SparseMatrix;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gradient(output_gradient, ops.state));
        }
    }
}

/// Lanes that are summed at once: rows are cut into pieces so that all rows' pieces of one width stay in the cache.
const LANES: usize = 64;
/// Products that make a job worth a thread's while.
const JOB: usize = 64 * 1024;

/// `matrix` `[R, K]` times `x` `[B, K, O]`.
#[allow(unsafe_code)] // the output is not zeroed first, and pieces of rows interleave
fn product(matrix: &Rows, x: FlexTensor) -> FlexTensor {
    let [batch, inner, width] = x.shape().dims();
    let (rows, x) = (matrix.count(), Numbers::of(x));
    let pieces = width.div_ceil(LANES);
    let each = matrix.values.len().div_ceil(rows.max(1)).max(1) * width.clamp(1, LANES);
    let chunk = JOB.div_ceil(each);
    let chunks = rows.div_ceil(chunk);
    let job = |index: usize, output: SharedOutput<'_>| {
        let (image, piece, first) =
            (index / (pieces * chunks), index / chunks % pieces, index % chunks * chunk);
        let lanes = piece * LANES..((piece + 1) * LANES).min(width);
        let x = &x[image * inner * width..(image + 1) * inner * width];
        for row in first..(first + chunk).min(rows) {
            let (columns, values) = matrix.row(row);
            // SAFETY: every piece of every row of every image belongs to one job.
            let part = unsafe { output.strided((image * rows + row) * width + lanes.start, lanes.len(), 1) };
            weighted_sum(x, [width, lanes.start], columns, values, part.memory());
        }
    };
    // SAFETY: the jobs are all pieces of all rows, and `weighted_sum` writes every number.
    let output = unsafe {
        filled(batch * rows * width, |output| {
            jobs::run(batch * pieces * chunks, |index| job(index, output));
        })
    };
    tensor(output, [batch, rows, width])
}

vectorized! {
    /// The sum of pieces of rows of `x` (`[width, first]`), each times its weight, in the order given.
    fn weighted_sum(x: &[f32], at: [usize; 2], columns: &[u32], weights: &[f32], output: &mut [MaybeUninit<f32>]) {
        let [width, first] = at;
        let terms = || columns.iter().map(|&column| column as usize * width + first).zip(weights);
        if output.len() == LANES {
            let mut sums = [0.0f32; LANES];
            for (start, &weight) in terms() {
                for (sum, x) in sums.iter_mut().zip(&x[start..][..LANES]) {
                    *sum += weight * x;
                }
            }
            output.iter_mut().zip(sums).for_each(|(output, sum)| _ = output.write(sum));
            return;
        }
        for (lane, output) in output.iter_mut().enumerate() {
            let mut sum = 0.0f32;
            for (start, &weight) in terms() {
                sum += weight * x[start + lane];
            }
            output.write(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_sorted_and_merged() {
        let matrix =
            SparseMatrix::from_rows(4, [vec![(3, 1.0), (1, 0.5), (3, 2.0)], vec![], vec![(0, -1.0)]])
                .unwrap();
        assert_eq!((matrix.dims(), matrix.entries()), ([3, 4], 3));
        assert_eq!(matrix.row(0).collect::<Vec<_>>(), [(1, 0.5), (3, 3.0)]);
        assert_eq!(matrix.row(1).count(), 0);
        assert_eq!(matrix.dense()[..4], [0.0, 0.5, 0.0, 3.0]);
        let back = matrix.backward.transposed();
        assert_eq!((&back.columns, &back.values), (&matrix.forward.columns, &matrix.forward.values));
    }

    #[test]
    fn columns_are_checked() {
        let error = SparseMatrix::from_rows(2, [vec![(0, 1.0)], vec![(2, 1.0)]]).unwrap_err();
        assert_eq!(error.to_string(), "row 1 has an entry in column 2, the matrix has 2 columns");
    }
}

//! Lines divided by their Euclidean norm.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use ocelli_simd::vectorized;

use super::values::{Values, row_sum};
use super::{Lines, Rows, rewrite};
use crate::backend::{Numbers, is_served};
use crate::memory::tensor;

/// `x` divided by its Euclidean norm along `dim`, which counts as at least `floor`: any shape to the same. With a floor of 0 a
/// line of zeros becomes NaN; with another it stays zero, and its gradient is the output's over the floor.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own operations.
///
/// # Panics
/// If there is no such dimension.
pub fn l2_normalize<const D: usize>(x: Tensor<D>, dim: usize, floor: f64) -> Tensor<D> {
    assert!(dim < D, "l2_normalize: no dimension {dim} among {D}");
    if is_served(&x) {
        let (output, _) = Dispatch::divide_by_norm(x.into_dispatch(), dim, floor);
        return Tensor::from_dispatch(output);
    }
    let squares = x.clone().square().sum_dim(dim);
    // Held up under the root, whose derivative is infinite at 0.
    let squares = if floor > 0.0 { squares.clamp_min(floor * floor) } else { squares };
    x / squares.sqrt()
}

/// A backend with [`l2_normalize`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait NormalizeBackend: Backend {
    /// The output, and what the lines were divided by, negative for the floor.
    fn divide_by_norm(x: FloatTensor<Self>, dim: usize, floor: f64)
    -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// [`NormalizeBackend`] with its gradient, on a backend that does not record.
pub(crate) trait NormalizeKernels: NormalizeBackend {
    /// Gradient of the input, from output and divisors.
    fn gradient(
        saved: [FloatTensor<Self>; 2],
        dim: usize,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl NormalizeBackend for Flex {
    fn divide_by_norm(
        x: FloatTensor<Self>,
        dim: usize,
        floor: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let lines = Lines::along(&x.shape(), dim);
        let work = |norms: &mut Vec<f32>, rows: Rows<'_, 0>| divide(rows.values, lines.len, floor, norms);
        let (output, norms) = rewrite(x, [], lines, Vec::new, work);
        let norms = norms.concat();
        let count = norms.len();
        (output, tensor(norms, [count]))
    }
}

impl NormalizeKernels for Flex {
    fn gradient(
        saved: [FloatTensor<Self>; 2],
        dim: usize,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let lines = Lines::along(&output_gradient.shape(), dim);
        let [output, norms] = saved.map(Numbers::of);
        let work = |_: &mut (), rows: Rows<'_, 1>| {
            quotient_gradients(rows.others[0], &norms[rows.first..], rows.values, lines.len);
        };
        rewrite(output_gradient, [&output], lines, || (), work).0
    }
}

impl<B: NormalizeKernels, C: CheckpointStrategy> NormalizeBackend for Autodiff<B, C> {
    fn divide_by_norm(
        x: FloatTensor<Self>,
        dim: usize,
        floor: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormalizeStep.prepare::<C>([x.node()]);
        let (output, norms) = B::divide_by_norm(x.into_primitive(), dim, floor);
        let constant = Self::from_inner(norms.clone());
        let output = match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(([output.clone(), norms], dim), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, constant)
    }
}

/// The backward step.
#[derive(Debug)]
struct NormalizeStep;

impl<B: NormalizeKernels> Backward<B, 1> for NormalizeStep {
    /// Output and divisors, and the dimension.
    type State = ([FloatTensor<B>; 2], usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (saved, dim) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gradient(saved, dim, output_gradient));
        }
    }
}

vectorized! {
    /// Divides rows by their norms, and appends what they were divided by, negative for the floor.
    fn divide<M>(rows: Values<'_>, len: usize, floor: f64, norms: &mut Vec<f32>) {
        for row in rows.rows(len) {
            let norm = row_sum([row.source()], [0.0], |sum, [value]| M::mul_add(value, value, sum)).sqrt();
            let divisor = if norm < floor { floor } else { norm };
            norms.push(if norm < floor { -divisor as f32 } else { divisor as f32 });
            let divisor = divisor as f32;
            row.write([], |value, []| value / divisor);
        }
    }
}

vectorized! {
    /// Makes the gradients of rows of those of the rows divided by their norms.
    fn quotient_gradients<M>(outputs: &[f32], norms: &[f32], gradients: Values<'_>, len: usize) {
        let rows = outputs.chunks_exact(len.max(1)).zip(gradients.rows(len));
        for ((output, gradient), &norm) in rows.zip(norms) {
            let factor = 1.0 / norm.abs();
            // The floor does not change with the row.
            let is_held = norm < 0.0;
            let sum = row_sum([output, gradient.source()], [0.0; 2], |sum, [y, g]| M::mul_add(y, g, sum));
            let along = if is_held { 0.0 } else { sum as f32 };
            gradient.write([output], |gradient, [output]| M::mul_add(-along, output, gradient) * factor);
        }
    }
}

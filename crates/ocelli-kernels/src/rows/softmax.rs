//! Softmax and its logarithm along a dimension.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};
use ocelli_simd::math::exp_of_negative;
use ocelli_simd::vectorized;

use super::values::{Values, log_sum, reference, row_sum};
use super::{Lines, Rows, rewrite};
use crate::backend::{Numbers, is_served};

/// `eˣ` over its sum along `dim`: any shape to the same. A number of minus infinity has a share of 0.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own operation.
///
/// # Panics
/// If there is no such dimension.
pub fn softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    of_lines(x, dim, Kind::Shares)
}

/// The logarithm of [`softmax`], without its overflow.
///
/// # Panics
/// If there is no such dimension.
pub fn log_softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    of_lines(x, dim, Kind::Logarithms)
}

fn of_lines<const D: usize>(x: Tensor<D>, dim: usize, kind: Kind) -> Tensor<D> {
    assert!(dim < D, "softmax: no dimension {dim} among {D}");
    if is_served(&x) {
        return Tensor::from_dispatch(Dispatch::share_out(x.into_dispatch(), dim, kind));
    }
    match kind {
        Kind::Shares => activation::softmax(x, dim),
        Kind::Logarithms => activation::log_softmax(x, dim),
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Shares,
    Logarithms,
}

/// A backend with [`softmax`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait SoftmaxBackend: Backend {
    fn share_out(x: FloatTensor<Self>, dim: usize, kind: Kind) -> FloatTensor<Self>;
}

/// [`SoftmaxBackend`] with its gradient, on a backend that does not record.
pub(crate) trait SoftmaxKernels: SoftmaxBackend {
    /// Gradient of the input.
    fn gradient(
        output: FloatTensor<Self>,
        dim: usize,
        kind: Kind,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl SoftmaxBackend for Flex {
    fn share_out(x: FloatTensor<Self>, dim: usize, kind: Kind) -> FloatTensor<Self> {
        let lines = Lines::along(&x.shape(), dim);
        let work = |_: &mut (), rows: Rows<'_, 0>| match kind {
            Kind::Shares => write_shares(rows.values, lines.len),
            Kind::Logarithms => write_log_shares(rows.values, lines.len),
        };
        rewrite(x, [], lines, || (), work).0
    }
}

impl SoftmaxKernels for Flex {
    fn gradient(
        output: FloatTensor<Self>,
        dim: usize,
        kind: Kind,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let lines = Lines::along(&output.shape(), dim);
        let output = Numbers::of(output);
        let work = |_: &mut (), rows: Rows<'_, 1>| match kind {
            Kind::Shares => write_share_gradients(rows.others[0], rows.values, lines.len),
            Kind::Logarithms => write_log_share_gradients(rows.others[0], rows.values, lines.len),
        };
        rewrite(output_gradient, [&output], lines, || (), work).0
    }
}

impl<B: SoftmaxKernels, C: CheckpointStrategy> SoftmaxBackend for Autodiff<B, C> {
    fn share_out(x: FloatTensor<Self>, dim: usize, kind: Kind) -> FloatTensor<Self> {
        let prepared = SoftmaxStep.prepare::<C>([x.node()]);
        let output = B::share_out(x.into_primitive(), dim, kind);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((output.clone(), dim, kind), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct SoftmaxStep;

impl<B: SoftmaxKernels> Backward<B, 1> for SoftmaxStep {
    /// Output, dimension and kind.
    type State = (FloatTensor<B>, usize, Kind);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (output, dim, kind) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gradient(output, dim, kind, output_gradient));
        }
    }
}

/// Replaces rows of logits by their softmax.
pub(crate) fn softmax_rows(rows: &mut [f32], len: usize) {
    write_shares(Values::Held(rows), len);
}

/// Makes the gradients of rows of numbers of those of their softmax.
pub(crate) fn softmax_gradients(shares: &[f32], gradients: &mut [f32], len: usize) {
    write_share_gradients(shares, Values::Held(gradients), len);
}

vectorized! {
    /// Writes the softmax of rows.
    fn write_shares<M>(rows: Values<'_>, len: usize) {
        for row in rows.rows(len) {
            let reference = reference(row.source());
            let (row, sum) = row.exponentials::<M>(reference);
            let factor = (1.0 / sum) as f32;
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

vectorized! {
    /// Writes the logarithmic softmax of rows.
    fn write_log_shares<M>(rows: Values<'_>, len: usize) {
        for row in rows.rows(len) {
            let shift = log_sum::<M>(row.source());
            row.write([], |value, []| value - shift);
        }
    }
}

vectorized! {
    /// Makes the gradients of rows of numbers of those of their softmax.
    fn write_share_gradients<M>(shares: &[f32], gradients: Values<'_>, len: usize) {
        for (shares, gradient) in shares.chunks_exact(len.max(1)).zip(gradients.rows(len)) {
            let mean = row_sum([shares, gradient.source()], [0.0; 2], |sum, [share, gradient]| {
                M::mul_add(share, gradient, sum)
            }) as f32;
            gradient.write([shares], |gradient, [share]| share * (gradient - mean));
        }
    }
}

vectorized! {
    /// Makes the gradients of rows of numbers of those of their logarithmic softmax.
    fn write_log_share_gradients<M>(logarithms: &[f32], gradients: Values<'_>, len: usize) {
        for (logarithms, gradient) in logarithms.chunks_exact(len.max(1)).zip(gradients.rows(len)) {
            let sum = row_sum([gradient.source()], [0.0], |sum, [gradient]| sum + gradient) as f32;
            gradient.write([logarithms], |gradient, [logarithm]| {
                M::mul_add(-sum, exp_of_negative::<M>(logarithm), gradient)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_one_and_keep_nan() {
        for count in [1, 5, 16, 100] {
            let mut row: Vec<f32> = (0..count).map(|i| 40.0 * (i as f32).sin()).collect();
            let total: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
            let expected: Vec<f64> = row.iter().map(|&v| f64::from(v).exp() / total).collect();
            softmax_rows(&mut row, count);
            for (got, expected) in row.iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() < 1e-6, "{got}, expected {expected}");
            }
        }
        let mut row = vec![0.0, f32::NAN, 1.0];
        softmax_rows(&mut row, 3);
        assert!(row[0].is_nan());
    }
}

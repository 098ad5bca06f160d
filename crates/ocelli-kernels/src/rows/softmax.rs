//! Softmax and its logarithm along a dimension.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};
use ocelli_simd::math::{exp_of_negative, ln};
use ocelli_simd::vectorized;

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
            Kind::Shares => softmax_rows(rows.values, lines.len),
            Kind::Logarithms => log_softmax_rows(rows.values, lines.len),
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
            Kind::Shares => softmax_gradients(rows.others[0], rows.values, lines.len),
            Kind::Logarithms => log_softmax_gradients(rows.others[0], rows.values, lines.len),
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

/// Numbers that are worked on side by side.
const WIDTH: usize = 16;
/// Blocks of them that are independent of each other.
const CHAINS: usize = 4;

/// The first numbers of a block, the others filled up.
#[inline(always)]
pub(super) fn padded(rest: &[f32], filler: f32) -> [f32; WIDTH] {
    let mut block = [filler; WIDTH];
    for (place, value) in block.iter_mut().zip(rest) {
        *place = *value;
    }
    block
}

/// The largest number of a row; NaN may be passed over.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; WIDTH * CHAINS];
    let (long, rest) = row.as_chunks::<{ WIDTH * CHAINS }>();
    for block in long {
        for (best, &value) in best.iter_mut().zip(block) {
            *best = if value > *best { value } else { *best };
        }
    }
    let (short, rest) = rest.as_chunks::<WIDTH>();
    let mut last = padded(rest, f32::NEG_INFINITY);
    for block in short.iter().chain(best.as_chunks::<WIDTH>().0) {
        for (last, &value) in last.iter_mut().zip(block) {
            *last = if value > *last { value } else { *last };
        }
    }
    let mut width = WIDTH / 2;
    while width > 0 {
        for at in 0..width {
            last[at] = if last[at + width] > last[at] { last[at + width] } else { last[at] };
        }
        width /= 2;
    }
    last[0]
}

/// What is subtracted before the exponential: the largest number, or 0 if that is minus infinity.
#[inline(always)]
fn reference(row: &[f32]) -> f32 {
    let largest = largest(row);
    if largest == f32::NEG_INFINITY { 0.0 } else { largest }
}

/// Sum of the terms of rows of the same length, read in step; the term of the `fillers` must be zero.
#[inline(always)]
pub(super) fn row_sum<const N: usize>(
    rows: [&[f32]; N],
    fillers: [f32; N],
    term: impl Fn([f32; N]) -> f32,
) -> f64 {
    let len = rows[0].len();
    let mut sums = [0.0_f32; WIDTH * CHAINS];
    let long = rows.map(|row| row[..len].as_chunks::<{ WIDTH * CHAINS }>().0);
    for at in 0..long[0].len() {
        let blocks = long.map(|row| &row[at]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(blocks.map(|block| block[lane]));
        }
    }
    let done = long[0].len() * WIDTH * CHAINS;
    let short = rows.map(|row| row[done..len].as_chunks::<WIDTH>());
    let mut last = [0.0_f32; WIDTH];
    let ends: [[f32; WIDTH]; N] = std::array::from_fn(|row| padded(short[row].1, fillers[row]));
    for at in 0..=short[0].0.len() {
        for (lane, sum) in last.iter_mut().enumerate() {
            let numbers = std::array::from_fn(|row| {
                let (blocks, _) = short[row];
                if at < blocks.len() { blocks[at][lane] } else { ends[row][lane] }
            });
            *sum += term(numbers);
        }
    }
    for block in sums.as_chunks::<WIDTH>().0 {
        last.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    }
    total(&last)
}

/// Sum of all lanes, in pairs: neither digits nor time are lost in a chain of additions.
#[inline(always)]
fn total(sums: &[f32; WIDTH]) -> f64 {
    let mut wide = sums.map(f64::from);
    let mut width = WIDTH / 2;
    while width > 0 {
        for at in 0..width {
            wide[at] += wide[at + width];
        }
        width /= 2;
    }
    wide[0]
}

/// Replaces a row by `e` to the power of its distances from `reference`, and returns their sum.
#[inline(always)]
pub(super) fn exponentials(row: &mut [f32], reference: f32) -> f64 {
    let mut sums = [0.0; WIDTH];
    let (blocks, rest) = row.as_chunks_mut::<WIDTH>();
    for block in blocks {
        for (value, sum) in block.iter_mut().zip(&mut sums) {
            *value = exp_of_negative(*value - reference);
            *sum += *value;
        }
    }
    let mut last = padded(rest, f32::NEG_INFINITY);
    for (value, sum) in last.iter_mut().zip(&mut sums) {
        *value = exp_of_negative(*value - reference);
        *sum += *value;
    }
    rest.iter_mut().zip(last).for_each(|(value, power)| *value = power);
    total(&sums)
}

/// Sum of `e` to the power of a row's distances from `reference`.
#[inline(always)]
pub(super) fn exponential_sum(row: &[f32], reference: f32) -> f64 {
    let mut sums = [0.0; WIDTH];
    let (blocks, rest) = row.as_chunks::<WIDTH>();
    for block in blocks.iter().chain(std::iter::once(&padded(rest, f32::NEG_INFINITY))) {
        for (&value, sum) in block.iter().zip(&mut sums) {
            *sum += exp_of_negative(value - reference);
        }
    }
    total(&sums)
}

/// The logarithm of the sum of a row's exponentials.
#[inline(always)]
pub(super) fn log_sum(row: &[f32]) -> f32 {
    let reference = reference(row);
    reference + ln(exponential_sum(row, reference) as f32)
}

vectorized! {
    /// Replaces rows of logits by their softmax.
    pub(crate) fn softmax_rows(rows: &mut [f32], len: usize) {
        for row in rows.chunks_exact_mut(len.max(1)) {
            let reference = reference(row);
            let factor = (1.0 / exponentials(row, reference)) as f32;
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

vectorized! {
    fn log_softmax_rows(rows: &mut [f32], len: usize) {
        for row in rows.chunks_exact_mut(len.max(1)) {
            let shift = log_sum(row);
            row.iter_mut().for_each(|value| *value -= shift);
        }
    }
}

vectorized! {
    /// Makes the gradients of rows of numbers of those of their softmax.
    pub(crate) fn softmax_gradients(shares: &[f32], gradients: &mut [f32], len: usize) {
        for (shares, gradient) in shares.chunks_exact(len.max(1)).zip(gradients.chunks_exact_mut(len.max(1))) {
            let mean = row_sum([shares, gradient], [0.0; 2], |[share, gradient]| share * gradient) as f32;
            for (gradient, share) in gradient.iter_mut().zip(shares) {
                *gradient = share * (*gradient - mean);
            }
        }
    }
}

vectorized! {
    /// Makes the gradients of rows of numbers of those of their logarithmic softmax.
    fn log_softmax_gradients(logarithms: &[f32], gradients: &mut [f32], len: usize) {
        for (logarithms, gradient) in
            logarithms.chunks_exact(len.max(1)).zip(gradients.chunks_exact_mut(len.max(1)))
        {
            let sum = row_sum([gradient], [0.0], |[gradient]| gradient) as f32;
            for (gradient, logarithm) in gradient.iter_mut().zip(logarithms) {
                *gradient -= exp_of_negative(*logarithm) * sum;
            }
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

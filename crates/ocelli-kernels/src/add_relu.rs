//! The end of a residual unit: the positive part of a sum.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use crate::pieces::filled_in_pieces;
use ocelli_simd::vectorized;

/// `max(a + b, 0)` of two tensors of one shape, in one visit.
///
/// The backward step needs the output alone, which whatever comes next keeps anyway, and forms one gradient for both
/// terms. On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own
/// operations.
///
/// # Panics
/// If the shapes differ.
pub fn add_relu<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    assert!(a.dims() == b.dims(), "add_relu: a sum of {:?} and {:?}", a.dims(), b.dims());
    if !is_served(&a) || !is_served(&b) {
        return activation::relu(a + b);
    }
    Tensor::from_dispatch(Dispatch::rectified_sum(a.into_dispatch(), b.into_dispatch()))
}

/// A backend with [`add_relu`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait AddReluBackend: Backend {
    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`AddReluBackend`] with its gradient, on a backend that does not record.
pub(crate) trait AddReluKernels: AddReluBackend {
    /// Gradient of either term.
    fn gradient(output: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl AddReluBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let (shape, [a, b]) = (a.shape(), [a, b].map(Numbers::of));
        let fill = |piece: Range<usize>, output: &mut [MaybeUninit<f32>]| {
            positive_sum(&a[piece.clone()], &b[piece], output);
        };
        // SAFETY: `positive_sum` writes every number.
        tensor(unsafe { filled_in_pieces(a.len(), fill) }, shape)
    }
}

impl AddReluKernels for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn gradient(output: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let (shape, [values, gradient]) = (output.shape(), [output, output_gradient].map(Numbers::of));
        let fill = |piece: Range<usize>, output: &mut [MaybeUninit<f32>]| {
            where_positive(&values[piece.clone()], &gradient[piece], output);
        };
        // SAFETY: `where_positive` writes every number.
        tensor(unsafe { filled_in_pieces(values.len(), fill) }, shape)
    }
}

impl<B: AddReluKernels, C: CheckpointStrategy> AddReluBackend for Autodiff<B, C> {
    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = AddReluStep.prepare::<C>([a.node(), b.node()]);
        let output = B::rectified_sum(a.primitive().clone(), b.primitive().clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(output.clone(), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are the two terms.
#[derive(Debug)]
struct AddReluStep;

impl<B: AddReluKernels> Backward<B, 2> for AddReluStep {
    /// The output.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let gradient = B::gradient(ops.state, output_gradient);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<B>(node.id, gradient.clone());
        }
    }
}

vectorized! {
    fn positive_sum(a: &[f32], b: &[f32], output: &mut [MaybeUninit<f32>]) {
        for ((output, a), b) in output.iter_mut().zip(a).zip(b) {
            let sum = a + b;
            // A comparison and not `max`, which would lose a NaN.
            output.write(if sum < 0.0 { 0.0 } else { sum });
        }
    }
}

vectorized! {
    fn where_positive(values: &[f32], gradient: &[f32], output: &mut [MaybeUninit<f32>]) {
        for ((output, &value), &gradient) in output.iter_mut().zip(values).zip(gradient) {
            output.write(if value <= 0.0 { 0.0 } else { gradient });
        }
    }
}

//! Every second pixel, or third: max pooling with a kernel of one, as shortcuts of residual networks have it.

use std::mem::MaybeUninit;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, s};

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use crate::planes::Planes;
use ocelli_simd::vectorized;

/// Keeps every `stride`-th row and column of `x` `[B, C, H, W]`, from the first on: `[B, C, ceil(H / stride[0]),
/// ceil(W / stride[1])]`, the same as max pooling with a kernel of one.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes a slice.
///
/// # Panics
/// If a stride is zero.
pub fn subsample(x: Tensor<4>, stride: [usize; 2]) -> Tensor<4> {
    assert!(!stride.contains(&0), "subsample: strides must be at least 1, found {stride:?}");
    if !is_served(&x) {
        let [rows, cols] = stride.map(|step| step.try_into().unwrap_or(isize::MAX));
        return x.slice(s![.., .., ..;rows, ..;cols]);
    }
    Tensor::from_dispatch(Dispatch::subsample_pixels(x.into_dispatch(), stride))
}

/// A backend with a [`subsample`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait SubsampleBackend: Backend {
    fn subsample_pixels(x: FloatTensor<Self>, stride: [usize; 2]) -> FloatTensor<Self>;
}

/// [`SubsampleBackend`] with its gradient, on a backend that does not record.
pub(crate) trait SubsampleKernels: SubsampleBackend {
    /// Gradient of an input of shape `shape`.
    fn gradient(
        output_gradient: FloatTensor<Self>,
        shape: [usize; 4],
        stride: [usize; 2],
    ) -> FloatTensor<Self>;
}

impl SubsampleBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn subsample_pixels(x: FloatTensor<Self>, stride: [usize; 2]) -> FloatTensor<Self> {
        let [batch, channels, height, width] = x.shape().dims();
        let shape = [batch, channels, height.div_ceil(stride[0]), width.div_ceil(stride[1])];
        let (source, target) = (Planes::of(&x.shape()), Planes::of(&shape.into()));
        let x = Numbers::of(x);
        let fill = |index: usize, output: &mut [MaybeUninit<f32>]| {
            pick(source.get(&x, index), width, stride, output);
        };
        // SAFETY: `pick` writes every number.
        let (output, _) = unsafe { target.filled_by_plane(fill) };
        tensor(output, shape)
    }
}

impl SubsampleKernels for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn gradient(
        output_gradient: FloatTensor<Self>,
        shape: [usize; 4],
        stride: [usize; 2],
    ) -> FloatTensor<Self> {
        let (source, target) = (Planes::of(&output_gradient.shape()), Planes::of(&shape.into()));
        let output_gradient = Numbers::of(output_gradient);
        let fill = |index: usize, output: &mut [MaybeUninit<f32>]| {
            put_back(source.get(&output_gradient, index), shape[3], stride, output);
        };
        // SAFETY: `put_back` writes every number.
        let (gradient, _) = unsafe { target.filled_by_plane(fill) };
        tensor(gradient, shape)
    }
}

impl<B: SubsampleKernels, C: CheckpointStrategy> SubsampleBackend for Autodiff<B, C> {
    fn subsample_pixels(x: FloatTensor<Self>, stride: [usize; 2]) -> FloatTensor<Self> {
        let prepared = SubsampleStep.prepare::<C>([x.node()]);
        let shape = x.shape().dims();
        let output = B::subsample_pixels(x.primitive().clone(), stride);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, stride), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct SubsampleStep;

impl<B: SubsampleKernels> Backward<B, 1> for SubsampleStep {
    /// Shape of the input, and stride.
    type State = ([usize; 4], [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (shape, stride) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::gradient(output_gradient, shape, stride));
        }
    }
}

vectorized! {
    /// Writes every `stride`-th row and column of a plane with rows of `width`.
    fn pick(x: &[f32], width: usize, stride: [usize; 2], output: &mut [MaybeUninit<f32>]) {
        let rows = x.chunks_exact(width.max(1)).step_by(stride[0]);
        for (output, row) in output.chunks_exact_mut(width.div_ceil(stride[1]).max(1)).zip(rows) {
            for (output, &x) in output.iter_mut().zip(row.iter().step_by(stride[1])) {
                output.write(x);
            }
        }
    }
}

vectorized! {
    /// Writes a plane with rows of `width`: the gradients at every `stride`-th row and column, zeros elsewhere.
    fn put_back(gradient: &[f32], width: usize, stride: [usize; 2], output: &mut [MaybeUninit<f32>]) {
        let mut gradient = gradient.chunks_exact(width.div_ceil(stride[1]).max(1));
        for (row, output) in output.chunks_exact_mut(width.max(1)).enumerate() {
            output.fill(MaybeUninit::new(0.0));
            if row % stride[0] != 0 {
                continue;
            }
            for (output, &gradient) in output.iter_mut().step_by(stride[1]).zip(gradient.next().unwrap_or(&[])) {
                output.write(gradient);
            }
        }
    }
}

//! `max(0, x) + a min(0, x)` with a slope a channel, and its gradients, in one pass each.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use crate::channels::{Planes, sum2};
use crate::memory::tensor;
use crate::serves;

/// Applies `max(0, x) + a min(0, x)` to `x` `[B, C, ...]` with slopes `a` `[C]` (He et al. 2015, equation 1).
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own operation.
///
/// # Panics
/// If there is not one slope a channel.
pub fn prelu<const D: usize>(x: Tensor<D>, slope: Tensor<1>) -> Tensor<D> {
    assert!(D >= 2, "prelu: an input [B, C, ...] is needed, found {D} dimensions");
    assert_eq!(x.dims()[1], slope.dims()[0], "prelu: one slope a channel is needed");
    if !serves(&x) || !serves(&slope) {
        return burn::tensor::activation::prelu(x, slope);
    }
    Tensor::from_dispatch(Dispatch::prelu_forward(x.into_dispatch(), slope.into_dispatch()))
}

/// A backend that knows the activation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait PreluBackend: Backend {
    /// The activation.
    fn prelu_forward(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The activation with its gradients, outside any recording.
pub(crate) trait PreluKernels: Backend {
    /// The activation.
    fn forward(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of `x`.
    fn input_gradient(
        x: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradient of the slopes.
    fn slope_gradient(x: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl PreluBackend for Flex {
    fn prelu_forward(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::forward(x, slope)
    }
}

impl PreluKernels for Flex {
    fn forward(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, slope) = (x.to_contiguous(), slope.to_contiguous());
        let shape = x.shape();
        let slope: &[f32] = slope.storage();
        let values = Planes::of(&shape).map(x.storage(), |channel, source, target| {
            let a = slope[channel];
            for (y, x) in target.iter_mut().zip(source) {
                *y = if *x >= 0.0 { *x } else { a * *x };
            }
        });
        tensor(values, shape)
    }

    fn input_gradient(
        x: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (x, slope, g) = (x.to_contiguous(), slope.to_contiguous(), output_gradient.to_contiguous());
        let shape = x.shape();
        let slope: &[f32] = slope.storage();
        let values = Planes::of(&shape).map2(x.storage(), g.storage(), |channel, x, g, target| {
            let a = slope[channel];
            for ((dx, x), g) in target.iter_mut().zip(x).zip(g) {
                *dx = if *x >= 0.0 { *g } else { a * *g };
            }
        });
        tensor(values, shape)
    }

    fn slope_gradient(x: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, g) = (x.to_contiguous(), output_gradient.to_contiguous());
        let planes = Planes::of(&x.shape());
        let (x, g): (&[f32], &[f32]) = (x.storage(), g.storage());
        let sums = planes.sum(|_, i| sum2(planes.plane(x, i), planes.plane(g, i), |x, g| x.min(0.0) * g));
        tensor(sums.into_iter().map(|v| v as f32).collect(), Shape::new([planes.channels]))
    }
}

impl<B: PreluKernels, C: CheckpointStrategy> PreluBackend for Autodiff<B, C> {
    fn prelu_forward(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = PreluStep.prepare::<C>([x.node(), slope.node()]);
        let output = B::forward(x.primitive().clone(), slope.primitive().clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&slope)];
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step: parents are the input and the slopes.
#[derive(Debug)]
struct PreluStep;

impl<B: PreluKernels> Backward<B, 2> for PreluStep {
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let [x, slope] = ops.state;
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
        let slope: FloatTensor<B> = checkpointer.retrieve_node_output(slope);
        let [to_x, to_slope] = ops.parents;
        if let Some(node) = to_slope {
            let gradient = B::slope_gradient(x.clone(), output_gradient.clone());
            grads.register::<B>(node.id, gradient);
        }
        if let Some(node) = to_x {
            grads.register::<B>(node.id, B::input_gradient(x, slope, output_gradient));
        }
    }
}

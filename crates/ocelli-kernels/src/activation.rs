//! Activations with parameters.

use std::mem::MaybeUninit;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use crate::planes::Planes;
use crate::vector::vectorized;

/// `x` where it is positive and `slope x` elsewhere (He et al., *Delving Deep into Rectifiers*, 2015, equation 1), for
/// `x` `[B, C, ...]` and one slope a channel, `[C]`, or for all, `[1]`.
///
/// At zero the gradient is the slope's, as in PyTorch. Only 32-bit tensors on the CPU take this crate's kernel.
///
/// # Panics
/// If there is neither one slope nor one a channel.
pub fn prelu<const D: usize>(x: Tensor<D>, slope: Tensor<1>) -> Tensor<D> {
    if D < 2 || !is_served(&x) || !is_served(&slope) {
        return activation::prelu(x, slope);
    }
    let ([slopes], channels) = (slope.dims(), x.dims()[1]);
    assert!(
        slopes == 1 || slopes == channels,
        "prelu: {slopes} slopes for {channels} channels; give 1 or {channels}"
    );
    Tensor::from_dispatch(Dispatch::rectify(x.into_dispatch(), slope.into_dispatch()))
}

/// A backend with a fused [`prelu`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait PreluBackend: Backend {
    fn rectify(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradients of `x` and `slope`.
    fn rectify_gradient(
        x: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl PreluBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn rectify(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let (x, slope) = (Numbers::of(x), Numbers::of(slope));
        let fill = |index: usize, plane: &mut [MaybeUninit<f32>]| {
            rectify(planes.get(&x, index), slope[index % planes.channels % slope.len()], plane);
        };
        // SAFETY: `rectify` writes every number.
        let (output, _) = unsafe { planes.filled(fill) };
        tensor(output, shape)
    }

    #[allow(unsafe_code)] // the output is not zeroed first
    fn rectify_gradient(
        x: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let (x, slope, gradient) = (Numbers::of(x), Numbers::of(slope), Numbers::of(output_gradient));
        let fill = |index: usize, plane: &mut [MaybeUninit<f32>]| {
            let slope = slope[index % planes.channels % slope.len()];
            rectify_gradient(planes.get(&x, index), planes.get(&gradient, index), slope, plane)
        };
        // SAFETY: `rectify_gradient` writes every number.
        let (input_gradient, sums) = unsafe { planes.filled(fill) };
        let mut slope_gradient = planes.sum_channels(&sums);
        if slope.len() == 1 {
            slope_gradient = vec![slope_gradient.iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32];
        }
        (tensor(input_gradient, shape), tensor(slope_gradient, [slope.len()]))
    }
}

impl<B: PreluBackend, C: CheckpointStrategy> PreluBackend for Autodiff<B, C> {
    fn rectify(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = PreluStep.prepare::<C>([x.node(), slope.node()]);
        let output = B::rectify(x.primitive().clone(), slope.primitive().clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&slope)];
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn rectify_gradient(
        _x: FloatTensor<Self>,
        _slope: FloatTensor<Self>,
        _output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are computed on the backend below, not differentiated again")
    }
}

/// The backward step of [`prelu`].
#[derive(Debug)]
struct PreluStep;

impl<B: PreluBackend> Backward<B, 2> for PreluStep {
    /// Nodes of `x` and `slope`.
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let [x, slope] = ops.state.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let (input_gradient, slope_gradient) = B::rectify_gradient(x, slope, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip([input_gradient, slope_gradient]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

vectorized! {
    fn rectify(x: &[f32], slope: f32, output: &mut [MaybeUninit<f32>]) {
        for (output, &x) in output.iter_mut().zip(x) {
            output.write(if x > 0.0 { x } else { slope * x });
        }
    }
}

vectorized! {
    /// Writes the gradient of `x` and returns the slope's.
    fn rectify_gradient(
        x: &[f32],
        output_gradient: &[f32],
        slope: f32,
        input_gradient: &mut [MaybeUninit<f32>],
    ) -> f32 {
        const LANES: usize = 64;
        let mut lanes = [0.0_f32; LANES];
        let chunks = x.chunks(LANES).zip(output_gradient.chunks(LANES)).zip(input_gradient.chunks_mut(LANES));
        for ((x, output_gradient), input_gradient) in chunks {
            let numbers = x.iter().zip(output_gradient).zip(input_gradient).zip(&mut lanes);
            for (((&x, &gradient), input_gradient), lane) in numbers {
                input_gradient.write(if x > 0.0 { gradient } else { slope * gradient });
                *lane += if x > 0.0 { 0.0 } else { x * gradient };
            }
        }
        lanes.iter().sum()
    }
}

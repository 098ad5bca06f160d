//! Convolution as an extension of the tensor framework's backends: our kernels on the CPU, and the gradients
//! over them.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::geometry::Geometry;
use super::{ConvOptions, dense, depthwise, filters};
use crate::backend::Numbers;
use crate::memory::tensor;
use crate::planes::Planes;
use ocelli_simd::lanes::sum;

pub(super) fn dispatch(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions,
) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::convolve_biased(x, weight, bias.into_dispatch(), options),
        None => Dispatch::convolve(x, weight, options),
    })
}

/// A backend that convolves 32-bit tensors.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ConvBackend: Backend {
    /// `x` `[B, C, H, W]` and `weight` `[O, C / groups, kh, kw]` to `[B, O, H', W']`.
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: ConvOptions) -> FloatTensor<Self>;

    /// [`ConvBackend::convolve`] plus a bias `[O]`.
    fn convolve_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self>;
}

/// [`ConvBackend`] with its gradients, on a backend that does not record.
pub(crate) trait ConvKernels: ConvBackend {
    /// Gradient of `x`, of which only the shape is used.
    fn input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self>;

    /// Gradient of `weight`, of which only the shape is used.
    fn weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self>;

    /// Gradient of the bias.
    fn bias_gradient(output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The geometry of a call whose shapes were checked when the convolution was asked for.
fn geometry(x: &FlexTensor, weight: &FlexTensor, options: ConvOptions) -> Geometry {
    Geometry::new(x.shape().dims(), weight.shape().dims(), options)
        .unwrap_or_else(|error| panic!("conv2d: {error}"))
}

fn forward(x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>, options: ConvOptions) -> FlexTensor {
    let geometry = geometry(&x, &weight, options);
    let (x, weight, bias) = (Numbers::of(x), Numbers::of(weight), bias.map(Numbers::of));
    let forward = if geometry.is_depthwise() { depthwise::forward } else { dense::forward };
    tensor(forward(&geometry, &x, &weight, bias.as_deref()), geometry.out_shape())
}

impl ConvBackend for Flex {
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: ConvOptions) -> FloatTensor<Self> {
        forward(x, weight, None, options)
    }

    fn convolve_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        forward(x, weight, Some(bias), options)
    }
}

impl ConvKernels for Flex {
    fn input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let geometry = geometry(&x, &weight, options);
        let (weight, output_gradient) = (Numbers::of(weight), Numbers::of(output_gradient));
        let backward =
            if geometry.is_depthwise() { depthwise::input_gradient } else { dense::input_gradient };
        tensor(backward(&geometry, &weight, &output_gradient), geometry.in_shape())
    }

    fn weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let geometry = geometry(&x, &weight, options);
        let (x, output_gradient) = (Numbers::of(x), Numbers::of(output_gradient));
        let backward =
            if geometry.is_depthwise() { depthwise::weight_gradient } else { filters::weight_gradient };
        tensor(backward(&geometry, &x, &output_gradient), geometry.weight_shape())
    }

    fn bias_gradient(output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let planes = Planes::of(&output_gradient.shape());
        let output_gradient = Numbers::of(output_gradient);
        let sums = (0..planes.channels)
            .into_par_iter()
            .map(|channel| sum(&mut planes.channel(&output_gradient, channel)))
            .collect();
        tensor(sums, [planes.channels])
    }
}

impl<B: ConvKernels, C: CheckpointStrategy> ConvBackend for Autodiff<B, C> {
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: ConvOptions) -> FloatTensor<Self> {
        let prepared = ConvStep.prepare::<C>([x.node(), weight.node()]);
        let output = B::convolve(x.primitive().clone(), weight.primitive().clone(), options);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x, weight) = (prep.checkpoint(&x), prep.checkpoint(&weight));
                prep.finish(SavedConv { x, weight, options }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn convolve_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let prepared = ConvStep.prepare::<C>([x.node(), weight.node(), bias.node()]);
        let [input, filters, offset] = [&x, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::convolve_biased(input, filters, offset, options);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x, weight) = (prep.checkpoint(&x), prep.checkpoint(&weight));
                prep.finish(SavedConv { x, weight, options }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step of a convolution with two parents (no bias) or three.
#[derive(Debug)]
struct ConvStep;

/// What the backward step needs from the forward one.
#[derive(Clone, Debug)]
struct SavedConv {
    x: NodeId,
    weight: NodeId,
    options: ConvOptions,
}

impl<B: ConvKernels, const PARENTS: usize> Backward<B, PARENTS> for ConvStep {
    type State = SavedConv;

    fn backward(
        self,
        ops: Ops<Self::State, PARENTS>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let saved = ops.state;
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(saved.x);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(saved.weight);
        // Parents are ordered [x, weight, bias]; the bias may be missing.
        let parent = |index: usize| ops.parents.get(index).and_then(Option::as_ref).map(|node| node.id);
        if let Some(node) = parent(0) {
            let (x, weight, gradient) = (x.clone(), weight.clone(), output_gradient.clone());
            grads.register::<B>(node, B::input_gradient(x, weight, gradient, saved.options));
        }
        if let Some(node) = parent(1) {
            let gradient = B::weight_gradient(x, weight, output_gradient.clone(), saved.options);
            grads.register::<B>(node, gradient);
        }
        if let Some(node) = parent(2) {
            grads.register::<B>(node, B::bias_gradient(output_gradient));
        }
    }
}

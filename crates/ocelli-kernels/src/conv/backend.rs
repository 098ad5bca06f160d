//! Convolution as an extension of the tensor framework's backends: our kernels on the CPU, and the gradients
//! over them.
//!
//! A transposed convolution is the input gradient of a convolution, so both are one operation in two directions: what
//! one computes forward, the other computes for its input's gradient.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::geometry::{AXES, Geometry};
use super::{ConvError, ConvOptions, TransposeOptions, dense, depthwise, filters};
use crate::backend::Numbers;
use crate::jobs;
use crate::memory::tensor;
use crate::planes::Planes;
use ocelli_simd::lanes::sum;

/// One of the two directions of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    /// From the input to the output.
    Gather(ConvOptions<AXES>),
    /// From the output to the input: a transposed convolution.
    Spread(TransposeOptions<AXES>),
}

impl Direction {
    fn geometry(self, x: &FlexTensor, weight: &FlexTensor) -> Geometry {
        let (x, weight) = (x.shape(), weight.shape());
        let geometry: Result<_, ConvError> = match self {
            Self::Gather(options) => Geometry::new(&x, &weight, options),
            Self::Spread(options) => Geometry::transposed(&x, &weight, options),
        };
        // The shapes were checked when the convolution was asked for.
        geometry.unwrap_or_else(|error| panic!("convolution: {error}"))
    }
}

/// Applies a convolution in one of its directions.
pub(super) fn convolve<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<D>,
    bias: Option<Tensor<1>>,
    direction: Direction,
) -> Tensor<D> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::convolve_biased(x, weight, bias.into_dispatch(), direction),
        None => Dispatch::convolve(x, weight, direction),
    })
}

/// A backend that convolves 32-bit tensors with one to three spatial axes.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ConvBackend: Backend {
    /// `x` `[B, C, ...]` and `weight` to `[B, O, ...]`.
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, direction: Direction) -> FloatTensor<Self>;

    /// [`ConvBackend::convolve`] plus a bias `[O]`.
    fn convolve_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self>;
}

/// [`ConvBackend`] with its gradients, on a backend that does not record.
pub(crate) trait ConvKernels: ConvBackend {
    /// Gradient of `x`, of which only the shape is used.
    fn input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self>;

    /// Gradient of `weight`, of which only the shape is used.
    fn weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self>;

    /// Gradient of the bias.
    fn bias_gradient(output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The output of a convolution's forward walk, `[B, O, ...]`.
fn gather(geometry: &Geometry, x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
    let shape = geometry.out_shape(x.rank() - 2);
    let (x, weight, bias) = (Numbers::of(x), Numbers::of(weight), bias.map(Numbers::of));
    let forward = if geometry.is_depthwise() { depthwise::forward } else { dense::forward };
    tensor(forward(geometry, &x, &weight, bias.as_deref()), shape)
}

/// The output of a convolution's backward walk, `[B, C, ...]`.
fn spread(geometry: &Geometry, x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
    let shape = geometry.in_shape(x.rank() - 2);
    let (x, weight, bias) = (Numbers::of(x), Numbers::of(weight), bias.map(Numbers::of));
    let backward = if geometry.is_depthwise() { depthwise::input_gradient } else { dense::input_gradient };
    tensor(backward(geometry, &x, &weight, bias.as_deref()), shape)
}

fn forward(x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>, direction: Direction) -> FlexTensor {
    let geometry = direction.geometry(&x, &weight);
    let walk = match direction {
        Direction::Gather(_) => gather,
        Direction::Spread(_) => spread,
    };
    walk(&geometry, x, weight, bias)
}

impl ConvBackend for Flex {
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, direction: Direction) -> FloatTensor<Self> {
        forward(x, weight, None, direction)
    }

    fn convolve_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        forward(x, weight, Some(bias), direction)
    }
}

impl ConvKernels for Flex {
    fn input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        let geometry = direction.geometry(&x, &weight);
        let walk = match direction {
            Direction::Gather(_) => spread,
            Direction::Spread(_) => gather,
        };
        walk(&geometry, output_gradient, weight, None)
    }

    fn weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        let geometry = direction.geometry(&x, &weight);
        let (input, output) = match direction {
            Direction::Gather(_) => (x, output_gradient),
            Direction::Spread(_) => (output_gradient, x),
        };
        let (input, output) = (Numbers::of(input), Numbers::of(output));
        let walk =
            if geometry.is_depthwise() { depthwise::weight_gradient } else { filters::weight_gradient };
        tensor(walk(&geometry, &input, &output), weight.shape())
    }

    fn bias_gradient(output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let planes = Planes::of(&output_gradient.shape());
        let output_gradient = Numbers::of(output_gradient);
        let sums = jobs::map(planes.channels, |channel| sum(&mut planes.channel(&output_gradient, channel)));
        tensor(sums, [planes.channels])
    }
}

impl<B: ConvKernels, C: CheckpointStrategy> ConvBackend for Autodiff<B, C> {
    fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>, direction: Direction) -> FloatTensor<Self> {
        let prepared = ConvStep.prepare::<C>([x.node(), weight.node()]);
        let output = B::convolve(x.primitive().clone(), weight.primitive().clone(), direction);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x, weight) = (prep.checkpoint(&x), prep.checkpoint(&weight));
                prep.finish(SavedConv { x, weight, direction }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn convolve_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        let prepared = ConvStep.prepare::<C>([x.node(), weight.node(), bias.node()]);
        let [input, filters, offset] = [&x, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::convolve_biased(input, filters, offset, direction);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x, weight) = (prep.checkpoint(&x), prep.checkpoint(&weight));
                prep.finish(SavedConv { x, weight, direction }, output)
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
    direction: Direction,
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
            grads.register::<B>(node, B::input_gradient(x, weight, gradient, saved.direction));
        }
        if let Some(node) = parent(1) {
            let gradient = B::weight_gradient(x, weight, output_gradient.clone(), saved.direction);
            grads.register::<B>(node, gradient);
        }
        if let Some(node) = parent(2) {
            grads.register::<B>(node, B::bias_gradient(output_gradient));
        }
    }
}

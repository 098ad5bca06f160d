//! PReLU: a rectifier whose slope below zero is learned, one for each channel.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};

use crate::backend::{Numbers, is_served};
use crate::columns::{Block, SMALL, Sums};
use crate::memory::{SharedOutput, filled, tensor};
use crate::planes::Planes;
use ocelli_simd::lanes::Lanes;
use ocelli_simd::vectorized;

/// `x` where it is positive and `slope x` elsewhere (He et al., *Delving Deep into Rectifiers*, 2015, equation 1), for
/// `x` `[B, C, ...]` and one slope a channel, `[C]`.
///
/// At zero the gradient is the slope's, as in PyTorch. On the CPU, 32-bit tensors take this crate's kernel; every other
/// device or number type takes Burn's own operation.
///
/// # Panics
/// If `x` has no channels, or there is not one slope a channel.
pub fn prelu<const D: usize>(x: Tensor<D>, slope: Tensor<1>) -> Tensor<D> {
    assert!(D >= 2, "prelu: an input [B, C, ...] is needed, found {D} dimensions");
    let ([slopes], channels) = (slope.dims(), x.dims()[1]);
    assert!(slopes == channels, "prelu: found {slopes} slopes for {channels} channels");
    if !is_served(&x) || !is_served(&slope) {
        return activation::prelu(x, slope);
    }
    Tensor::from_dispatch(Dispatch::rectify(x.into_dispatch(), slope.into_dispatch()))
}

/// A backend with a fused [`prelu`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait PreluBackend: Backend {
    fn rectify(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`PreluBackend`] with its gradients, on a backend that does not record.
pub(crate) trait PreluKernels: PreluBackend {
    /// Gradients of `x` and `slope`.
    fn gradients(
        x: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];
}

impl PreluBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn rectify(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let (x, slope) = (Numbers::of(x), Numbers::of(slope));
        if planes.size < SMALL {
            return tensor(rectify_rows(planes, &x, &slope), shape);
        }
        let fill = |index: usize, output: &mut [MaybeUninit<f32>]| {
            rectify_plane(planes.get(&x, index), slope[index % planes.channels], output);
        };
        // SAFETY: `rectify_plane` writes every number.
        let (output, _) = unsafe { planes.filled_by_plane(fill) };
        tensor(output, shape)
    }
}

impl PreluKernels for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn gradients(
        x: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, slope, gradient] = [x, slope, output_gradient].map(Numbers::of);
        if planes.size < SMALL {
            let (input_gradient, sums) = row_gradients(planes, [&x, &gradient], &slope);
            return [tensor(input_gradient, shape), tensor(sums, [planes.channels])];
        }
        let fill = |index: usize, output: &mut [MaybeUninit<f32>]| {
            let [x, gradient] = [&x, &gradient].map(|values| planes.get(values, index));
            plane_gradient(x, gradient, slope[index % planes.channels], output)
        };
        // SAFETY: `plane_gradient` writes every number.
        let (input_gradient, sums) = unsafe { planes.filled_by_plane(fill) };
        let slope_gradient = planes.sum_channels(&sums);
        [tensor(input_gradient, shape), tensor(slope_gradient, [planes.channels])]
    }
}

impl<B: PreluKernels, C: CheckpointStrategy> PreluBackend for Autodiff<B, C> {
    fn rectify(x: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        let again = Again { nodes: [&x, &slope].map(|tensor| tensor.node().id()), backend: PhantomData::<B> };
        let prepared = PreluStep.prepare::<BalancedCheckpointing>([x.node(), slope.node()]);
        let output = B::rectify(x.primitive().clone(), slope.primitive().clone());
        match prepared.memory_bound().retro_forward(again).parents([&x, &slope]).stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&slope)];
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// Forms the output again when the backward step of what comes after asks for it, whatever is done with other operations:
/// the input is kept anyway, and a pass over a map costs little beside keeping another one until then.
#[derive(Debug)]
struct Again<B> {
    /// Of `x` and `slope`.
    nodes: [NodeId; 2],
    backend: PhantomData<B>,
}

impl<B: PreluKernels> RetroForward for Again<B> {
    fn forward(&self, states: &mut BackwardStates, output: NodeId) {
        let [x, slope] = self.nodes.map(|node| states.get_state::<FloatTensor<B>>(&node));
        states.save(output, B::rectify(x, slope));
    }
}

/// The backward step; its parents are `x` and `slope`.
#[derive(Debug)]
struct PreluStep;

impl<B: PreluKernels> Backward<B, 2> for PreluStep {
    /// Nodes of `x` and `slope`.
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let [x, slope] = ops.state.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let gradients = B::gradients(x, slope, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

vectorized! {
    fn rectify_plane(x: &[f32], slope: f32, output: &mut [MaybeUninit<f32>]) {
        for (output, &x) in output.iter_mut().zip(x) {
            output.write(if x > 0.0 { x } else { slope * x });
        }
    }
}

vectorized! {
    /// Writes the gradient of the input and returns the slope's.
    fn plane_gradient(x: &[f32], gradient: &[f32], slope: f32, output: &mut [MaybeUninit<f32>]) -> f32 {
        for ((output, &x), &gradient) in output.iter_mut().zip(x).zip(gradient) {
            output.write(if x > 0.0 { gradient } else { slope * gradient });
        }
        let mut slope_gradient = Lanes::new();
        slope_gradient.add([x, gradient], |[x, gradient]| if x > 0.0 { 0.0 } else { x * gradient });
        slope_gradient.sum() as f32
    }
}

/// The output where planes are small, row by row.
#[allow(unsafe_code)] // the output is not zeroed first
fn rectify_rows(planes: Planes, x: &[f32], slope: &[f32]) -> Vec<f32> {
    let rows = Planes { batch: planes.batch, channels: 1, size: planes.channels * planes.size };
    let mut slopes = Vec::with_capacity(rows.size);
    slope.iter().for_each(|slope| slopes.resize(slopes.len() + planes.size, *slope));
    let fill = |row: usize, output: &mut [MaybeUninit<f32>]| rectify_row(rows.get(x, row), &slopes, output);
    // SAFETY: `rectify_row` writes every number.
    unsafe { rows.filled_by_plane(fill) }.0
}

/// Gradients of the input and of the slope where planes are small; `sources` are the input and the output's gradient.
#[allow(unsafe_code)] // the output is not zeroed first
fn row_gradients(planes: Planes, sources: [&[f32]; 2], slope: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut sums = Vec::new();
    let work = |output: SharedOutput<'_>| {
        let gradient = |block: Block| block_gradient(block, sources, slope, output).by_channel(block);
        sums = Block::map_all(planes, gradient).concat();
    };
    // SAFETY: every block is written in all rows.
    let input_gradient = unsafe { filled(sources[0].len(), work) };
    (input_gradient, sums.into_iter().map(|sum| sum as f32).collect())
}

vectorized! {
    fn rectify_row(x: &[f32], slopes: &[f32], output: &mut [MaybeUninit<f32>]) {
        for ((output, &x), &slope) in output.iter_mut().zip(x).zip(slopes) {
            output.write(if x > 0.0 { x } else { slope * x });
        }
    }
}

vectorized! {
    /// Writes the input gradient of a block and returns the slope's.
    #[allow(unsafe_code)] // blocks interleave
    fn block_gradient(block: Block, sources: [&[f32]; 2], slope: &[f32], output: SharedOutput<'_>) -> Sums {
        let (slopes, mut sums) = (block.spread(|channel| slope[channel]), Sums::new());
        for image in 0..block.planes.batch {
            let part = block.part(image);
            let [x, gradient] = sources.map(|source| &source[part.clone()]);
            // SAFETY: nobody else has the block.
            let output = unsafe { output.strided(part.start, part.len(), 1) }.memory();
            for (((output, &x), &gradient), &slope) in output.iter_mut().zip(x).zip(gradient).zip(&slopes) {
                output.write(if x > 0.0 { gradient } else { slope * gradient });
            }
            for ((sum, &x), &gradient) in sums.row().iter_mut().zip(x).zip(gradient) {
                *sum += if x > 0.0 { 0.0 } else { x * gradient };
            }
        }
        sums
    }
}

//! Sampling of pictures at places of a grid, with gradients of both (Jaderberg et al., *Spatial Transformer Networks*, 2015,
//! section 3.3).
//!
//! `place` finds where a place of the grid lies in the picture; `kernel` lays the channels of a picture side by side, so
//! that a place takes whole rows of them.

mod compose;
mod kernel;
mod place;

use burn::backend::Dispatch;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use kernel::Job;
use place::Place;

/// How a number between pixels is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleMode {
    /// Between the four neighbours.
    Bilinear,
    /// The nearest pixel; of two alike the even one.
    Nearest,
}

/// What lies outside of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplePadding {
    /// Zeros.
    Zeros,
    /// The nearest pixel of the border.
    Border,
    /// The picture mirrored, over and over.
    Reflection,
}

/// How [`grid_sample`] samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleOptions {
    /// How a number between pixels is found.
    pub mode: SampleMode,
    /// What lies outside of the picture.
    pub padding: SamplePadding,
    /// Whether -1 and 1 are the centres of the outermost pixels, instead of their outer edges.
    pub align_corners: bool,
}

impl Default for SampleOptions {
    /// Bilinear, zeros outside, edges aligned.
    fn default() -> Self {
        Self { mode: SampleMode::Bilinear, padding: SamplePadding::Zeros, align_corners: false }
    }
}

/// Samples pictures `x` `[B, C, H, W]` at the places of `grid` `[B, H', W', 2]` (`torch.nn.functional.grid_sample`): `[B, C, H',
/// W']`. A place is (x, y), each from -1 at the left or top to 1 at the right or bottom.
///
/// Gradients flow to both. A place that is no number lies outside. On the CPU, 32-bit tensors take this crate's kernel;
/// every other device or number type takes a composition of Burn's operations.
///
/// # Panics
/// If the batches differ, the grid has not two numbers a place, or the pictures have no pixels while there are places.
pub fn grid_sample(x: Tensor<4>, grid: Tensor<4>, options: SampleOptions) -> Tensor<4> {
    let ([b, _, h, w], [grids, rows, cols, two]) = (x.dims(), grid.dims());
    assert!(b == grids && two == 2, "grid_sample: pictures {:?} with a grid {:?}", x.dims(), grid.dims());
    assert!(h * w > 0 || rows * cols == 0, "grid_sample: there is nothing to sample");
    if !is_served(&x) || !is_served(&grid) {
        return compose::grid_sample(x, grid, options);
    }
    Tensor::from_dispatch(Dispatch::sample(x.into_dispatch(), grid.into_dispatch(), options))
}

/// A backend with [`grid_sample`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait SampleBackend: Backend {
    fn sample(x: FloatTensor<Self>, grid: FloatTensor<Self>, options: SampleOptions) -> FloatTensor<Self>;
}

/// [`SampleBackend`] with its gradients, on a backend that does not record.
pub(crate) trait SampleKernels: SampleBackend {
    /// Gradients of picture and grid, as far as they are wanted.
    fn gradients(
        x: FloatTensor<Self>,
        grid: FloatTensor<Self>,
        options: SampleOptions,
        output_gradient: FloatTensor<Self>,
        wanted: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2];
}

impl SampleBackend for Flex {
    fn sample(x: FloatTensor<Self>, grid: FloatTensor<Self>, options: SampleOptions) -> FloatTensor<Self> {
        let ([b, c, h, w], [_, rows, cols, _]) = (x.shape().dims(), grid.shape().dims());
        let [x, grid] = [x, grid].map(Numbers::of);
        let places = Place::all(&grid, [h, w], options);
        let job = Job { x: &x, places: &places, batch: b, channels: c, size: [h, w], outputs: rows * cols };
        tensor(job.forward(), [b, c, rows, cols])
    }
}

impl SampleKernels for Flex {
    fn gradients(
        x: FloatTensor<Self>,
        grid: FloatTensor<Self>,
        options: SampleOptions,
        output_gradient: FloatTensor<Self>,
        wanted: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2] {
        let ([b, c, h, w], [_, rows, cols, _]) = (x.shape().dims(), grid.shape().dims());
        let [x, grid, gradient] = [x, grid, output_gradient].map(Numbers::of);
        let places = Place::all(&grid, [h, w], options);
        let job = Job { x: &x, places: &places, batch: b, channels: c, size: [h, w], outputs: rows * cols };
        let [pictures, places] = job.backward(&gradient, wanted);
        [
            pictures.map(|gradient| tensor(gradient, [b, c, h, w])),
            places.map(|gradient| tensor(gradient, [b, rows, cols, 2])),
        ]
    }
}

impl<B: SampleKernels, C: CheckpointStrategy> SampleBackend for Autodiff<B, C> {
    fn sample(x: FloatTensor<Self>, grid: FloatTensor<Self>, options: SampleOptions) -> FloatTensor<Self> {
        let prepared = SampleStep.prepare::<C>([x.node(), grid.node()]);
        let output = B::sample(x.primitive().clone(), grid.primitive().clone(), options);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&x, &grid].map(|tensor| prep.checkpoint(tensor));
                prep.finish((nodes, options), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are picture and grid.
#[derive(Debug)]
struct SampleStep;

impl<B: SampleKernels> Backward<B, 2> for SampleStep {
    /// Nodes of picture and grid.
    type State = ([NodeId; 2], SampleOptions);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (nodes, options) = ops.state;
        let [x, grid] = nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = B::gradients(x, grid, options, output_gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

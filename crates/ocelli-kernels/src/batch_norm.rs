//! Batch normalisation with the statistics of the batch, in one visit to every channel.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, module};

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use crate::planes::{ChannelOutput, Planes};
use ocelli_simd::lanes::Lanes;
use ocelli_simd::vectorized;

/// A normalised batch and the statistics it was normalised by.
#[derive(Clone, Debug)]
pub struct Normalized<const D: usize> {
    /// The output, of the input's shape.
    pub output: Tensor<D>,
    /// Mean of every channel, `[C]`; no gradient flows through it.
    pub mean: Tensor<1>,
    /// Biased variance of every channel, `[C]`; no gradient flows through it.
    pub variance: Tensor<1>,
}

/// Normalises `x` `[B, C, ...]` by the mean and biased variance of each channel over the batch, then scales by `gamma`
/// `[C]` and shifts by `beta` `[C]` (Ioffe and Szegedy, 2015, algorithm 1).
///
/// `epsilon` is added to the variance under the root. The gradient of `x` takes the statistics' dependence on it into
/// account. On the CPU, 32-bit tensors take this crate's kernels; every other device or number type takes Burn's own
/// operation.
///
/// # Panics
/// If `x` has no channels, or there is not one scale and one shift a channel.
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    assert!(D >= 2, "batch_norm: an input [B, C, ...] is needed, found {D} dimensions");
    let (channels, [scales], [shifts]) = (x.dims()[1], gamma.dims(), beta.dims());
    assert!(
        channels == scales && channels == shifts,
        "batch_norm: found {scales} scales and {shifts} shifts for {channels} channels"
    );
    if !is_served(&x) || !is_served(&gamma) || !is_served(&beta) {
        let result = module::batch_norm_train(x, gamma, beta, epsilon);
        return Normalized { output: result.output, mean: result.mean, variance: result.variance };
    }
    let (output, mean, variance) =
        Dispatch::normalize(x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch(), epsilon);
    Normalized {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// A backend with a fused [`batch_norm`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait NormBackend: Backend {
    /// Output, mean and biased variance.
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// [`NormBackend`] with its gradients, on a backend that does not record.
pub(crate) trait NormKernels: NormBackend {
    /// Gradients of `x`, `gamma` and `beta`.
    fn gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        epsilon: f64,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

impl NormBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, gamma, beta] = [x, gamma, beta].map(Numbers::of);
        let fill = |channel: usize, output: ChannelOutput<'_>| {
            normalize_channel(planes, &x, channel, [gamma[channel], beta[channel]], epsilon, output)
        };
        // SAFETY: `normalize_channel` writes every plane.
        let (output, statistics) = unsafe { planes.filled_by_channel(fill) };
        let (mean, variance): (Vec<f32>, Vec<f32>) = statistics.into_iter().unzip();
        (tensor(output, shape), tensor(mean, [planes.channels]), tensor(variance, [planes.channels]))
    }
}

impl NormKernels for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: [FloatTensor<Self>; 2],
        epsilon: f64,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, gamma, gradient] = [x, gamma, output_gradient].map(Numbers::of);
        let [mean, variance] = statistics.map(Numbers::of);
        let fill = |channel: usize, output: ChannelOutput<'_>| {
            let inverse_deviation = (f64::from(variance[channel]) + epsilon).sqrt().recip();
            let statistics = [f64::from(mean[channel]), inverse_deviation];
            channel_gradient(planes, [&x, &gradient], channel, gamma[channel], statistics, output)
        };
        // SAFETY: `channel_gradient` writes every plane.
        let (input_gradient, sums) = unsafe { planes.filled_by_channel(fill) };
        let (gamma, beta): (Vec<f32>, Vec<f32>) = sums.into_iter().unzip();
        [tensor(input_gradient, shape), tensor(gamma, [planes.channels]), tensor(beta, [planes.channels])]
    }
}

impl<B: NormKernels, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node()]);
        let [pixels, scale, shift] = [&x, &gamma, &beta].map(|tensor| tensor.primitive().clone());
        let (output, mean, variance) = B::normalize(pixels, scale, shift, epsilon);
        let statistics = [mean, variance];
        let [mean, variance] = statistics.clone().map(Self::from_inner);
        let output = match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [prep.checkpoint(&x), prep.checkpoint(&gamma)];
                prep.finish(SavedNorm { nodes, statistics, epsilon }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, mean, variance)
    }
}

/// The backward step; its parents are `x`, `gamma` and `beta`.
#[derive(Debug)]
struct NormStep;

/// What the backward step needs from the forward one.
#[derive(Clone, Debug)]
struct SavedNorm<T> {
    /// Of `x` and `gamma`.
    nodes: [NodeId; 2],
    /// Mean and variance.
    statistics: [T; 2],
    epsilon: f64,
}

impl<B: NormKernels> Backward<B, 3> for NormStep {
    type State = SavedNorm<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let SavedNorm { nodes, statistics, epsilon } = ops.state;
        let [x, gamma] = nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let gradients = B::gradients(x, gamma, statistics, epsilon, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

vectorized! {
    /// Normalises a channel, scales and shifts it by `affine`, and returns its mean and biased variance.
    ///
    /// The variance is summed from centred values: the difference of the mean square and the squared mean would lose
    /// its digits.
    fn normalize_channel(
        planes: Planes,
        x: &[f32],
        channel: usize,
        affine: [f32; 2],
        epsilon: f64,
        output: ChannelOutput<'_>,
    ) -> (f32, f32) {
        let mut output = output;
        let count = planes.per_channel() as f64;
        let mut sum = Lanes::new();
        planes.channel(x, channel).for_each(|plane| sum.add([plane], |[x]| x));
        let mean = (sum.sum() / count) as f32;
        let mut squares = Lanes::new();
        planes.channel(x, channel).for_each(|plane| squares.add([plane], |[x]| (x - mean) * (x - mean)));
        let variance = squares.sum() / count;
        let [gamma, beta] = affine;
        let scale = (f64::from(gamma) / (variance + epsilon).sqrt()) as f32;
        for (image, x) in planes.channel(x, channel).enumerate() {
            for (output, &x) in output.plane(image).iter_mut().zip(x) {
                output.write((x - mean) * scale + beta);
            }
        }
        (mean, variance as f32)
    }
}

vectorized! {
    /// Writes a channel's input gradient, `gamma / σ (g - mean(g) - x̂ mean(g x̂))`, and returns those of `gamma` and
    /// `beta`. `sources` are the input and the output's gradient, `statistics` the mean and `1 / σ`.
    fn channel_gradient(
        planes: Planes,
        sources: [&[f32]; 2],
        channel: usize,
        gamma: f32,
        statistics: [f64; 2],
        output: ChannelOutput<'_>,
    ) -> (f32, f32) {
        let mut output = output;
        let count = planes.per_channel() as f64;
        let [mean, inverse_deviation] = statistics;
        let mean = mean as f32;
        let rows = || planes.channel(sources[0], channel).zip(planes.channel(sources[1], channel));
        let (mut plain, mut centred) = (Lanes::new(), Lanes::new());
        for (x, gradient) in rows() {
            plain.add([gradient], |[gradient]| gradient);
            centred.add([x, gradient], |[x, gradient]| gradient * (x - mean));
        }
        let (beta_gradient, gamma_gradient) = (plain.sum(), centred.sum() * inverse_deviation);
        let scale = f64::from(gamma) * inverse_deviation;
        let slope = (-scale * inverse_deviation * gamma_gradient / count) as f32;
        let shift = (-scale * beta_gradient / count) as f32;
        let scale = scale as f32;
        for (image, (x, gradient)) in rows().enumerate() {
            for ((output, &x), &gradient) in output.plane(image).iter_mut().zip(x).zip(gradient) {
                output.write(scale * gradient + slope * (x - mean) + shift);
            }
        }
        (gamma_gradient as f32, beta_gradient as f32)
    }
}

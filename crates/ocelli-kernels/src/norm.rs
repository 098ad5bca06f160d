//! Batch normalisation (Ioffe and Szegedy, 2015, algorithm 1) in one visit to every channel.

use std::mem::MaybeUninit;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::module::{self, BatchNormTrainOutput};

use crate::backend::{Numbers, is_served};
use crate::lanes::{sum, sum_of_squares};
use crate::memory::tensor;
use crate::planes::{ChannelOutput, Planes};
use crate::vector::vectorized;

/// Planes smaller than this are not worth a visit each; Burn's operation takes them.
const SMALLEST_PLANE: usize = 4;

/// Normalises `x` `[B, C, ...]` by the mean and biased variance of each channel over the batch, then scales by `gamma`
/// `[C]` and shifts by `beta` `[C]`; returns the mean and biased variance too, both `[C]`.
///
/// `epsilon` is added to the variance under the root. Gradients flow to `x`, through the statistics as well, and to
/// `gamma` and `beta`; the returned statistics carry none. Takes the place of [`module::batch_norm_train`], which serves
/// everything but 32-bit tensors on the CPU.
///
/// # Panics
/// If `gamma` or `beta` has not one value a channel.
pub fn batch_norm_train<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> BatchNormTrainOutput<D> {
    if !serves(&x, [&gamma, &beta]) {
        return module::batch_norm_train(x, gamma, beta, epsilon);
    }
    check("batch_norm_train", x.dims()[1], [("gamma", &gamma), ("beta", &beta)]);
    let (output, mean, variance) =
        Dispatch::normalize_batch(x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch(), epsilon);
    BatchNormTrainOutput {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// Whether our kernels serve the call.
fn serves<const D: usize, const N: usize>(x: &Tensor<D>, parameters: [&Tensor<1>; N]) -> bool {
    let plane: usize = x.dims().iter().skip(2).product();
    D >= 2
        && x.shape().num_elements() > 0
        && plane >= SMALLEST_PLANE
        && is_served(x)
        && parameters.into_iter().all(is_served)
}

fn check<const N: usize>(what: &str, channels: usize, parameters: [(&str, &Tensor<1>); N]) {
    for (name, parameter) in parameters {
        let [len] = parameter.dims();
        assert!(len == channels, "{what}: {name} has {len} values for {channels} channels");
    }
}

/// A backend with a fused batch normalisation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait NormBackend: Backend {
    /// Output, mean and biased variance.
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of `x`, `gamma` and `beta`.
    fn normalize_batch_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
        output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl NormBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let (x, gamma, beta) = (Numbers::of(x), Numbers::of(gamma), Numbers::of(beta));
        let visit = |channel: usize, mut output: ChannelOutput<'_>| {
            let (mean, variance) = statistics(planes, &x, channel);
            let scale = f64::from(gamma[channel]) / (variance + epsilon).sqrt();
            for image in 0..planes.batch {
                let pixels = planes.of_channel(&x, image, channel);
                scale_and_shift(pixels, mean as f32, scale as f32, beta[channel], output.plane(image));
            }
            (mean as f32, variance as f32)
        };
        // SAFETY: every plane of the channel is written.
        let (output, statistics) = unsafe { planes.filled_by_channel(visit) };
        let (mean, variance): (Vec<_>, Vec<_>) = statistics.into_iter().unzip();
        let [mean, variance] = [mean, variance].map(|values| tensor(values, [planes.channels]));
        (tensor(output, shape), mean, variance)
    }

    #[allow(unsafe_code)] // the output is not zeroed first
    fn normalize_batch_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
        output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, gamma, mean, variance, gradient] =
            [x, gamma, mean, variance, output_gradient].map(Numbers::of);
        let count = (planes.batch * planes.plane) as f64;
        let visit = |channel: usize, mut output: ChannelOutput<'_>| {
            let inverse_deviation = 1.0 / (f64::from(variance[channel]) + epsilon).sqrt();
            // Sums of the gradient, and of the gradient times the centred input.
            let mut sums = [0.0_f64; 2];
            for image in 0..planes.batch {
                let [x, gradient] = [&x, &gradient].map(|values| planes.of_channel(values, image, channel));
                let plane = gradient_sums(x, gradient, mean[channel]);
                sums.iter_mut().zip(plane).for_each(|(sum, plane)| *sum += f64::from(plane));
            }
            let scale = f64::from(gamma[channel]) * inverse_deviation;
            let slope = -scale * inverse_deviation * inverse_deviation * sums[1] / count;
            let line = [scale, slope, -scale * sums[0] / count].map(|value| value as f32);
            for image in 0..planes.batch {
                let [x, gradient] = [&x, &gradient].map(|values| planes.of_channel(values, image, channel));
                combine(x, gradient, mean[channel], line, output.plane(image));
            }
            ((sums[1] * inverse_deviation) as f32, sums[0] as f32)
        };
        // SAFETY: every plane of the channel is written.
        let (input_gradient, sums) = unsafe { planes.filled_by_channel(visit) };
        let (gamma, beta): (Vec<_>, Vec<_>) = sums.into_iter().unzip();
        let [gamma, beta] = [gamma, beta].map(|values| tensor(values, [planes.channels]));
        (tensor(input_gradient, shape), gamma, beta)
    }
}

/// Mean and biased variance of a channel. The variance is summed from centred values: the difference of the mean square
/// and the squared mean would lose its digits.
fn statistics(planes: Planes, x: &[f32], channel: usize) -> (f64, f64) {
    let count = (planes.batch * planes.plane) as f64;
    let pixels = || (0..planes.batch).map(|image| planes.of_channel(x, image, channel));
    let mean = pixels().map(|plane| f64::from(sum(plane))).sum::<f64>() / count;
    let squares = pixels().map(|plane| f64::from(sum_of_squares(plane, mean as f32))).sum::<f64>();
    (mean, squares / count)
}

impl<B: NormBackend, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node()]);
        let [pixels, scale, shift] = [&x, &gamma, &beta].map(|tensor| tensor.primitive().clone());
        let (output, mean, variance) = B::normalize_batch(pixels, scale, shift, epsilon);
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

    fn normalize_batch_gradient(
        _x: FloatTensor<Self>,
        _gamma: FloatTensor<Self>,
        _mean: FloatTensor<Self>,
        _variance: FloatTensor<Self>,
        _epsilon: f64,
        _output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are computed on the backend below, not differentiated again")
    }
}

/// The backward step of [`batch_norm_train`].
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

impl<B: NormBackend> Backward<B, 3> for NormStep {
    type State = SavedNorm<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let SavedNorm { nodes, statistics: [mean, variance], epsilon } = ops.state;
        let [x, gamma] = nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let (x, gamma, beta) =
            B::normalize_batch_gradient(x, gamma, mean, variance, epsilon, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip([x, gamma, beta]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

vectorized! {
    /// `(x - mean) scale + shift`
    fn scale_and_shift(x: &[f32], mean: f32, scale: f32, shift: f32, output: &mut [MaybeUninit<f32>]) {
        for (output, &x) in output.iter_mut().zip(x) {
            output.write((x - mean) * scale + shift);
        }
    }
}

vectorized! {
    /// Sums of the gradient, and of the gradient times `x - mean`.
    fn gradient_sums(x: &[f32], gradient: &[f32], mean: f32) -> [f32; 2] {
        const LANES: usize = 64;
        let mut lanes = [[0.0_f32; LANES]; 2];
        for (x, gradient) in x.chunks(LANES).zip(gradient.chunks(LANES)) {
            let [plain, centred] = &mut lanes;
            for (((&x, &gradient), plain), centred) in x.iter().zip(gradient).zip(plain).zip(centred) {
                *plain += gradient;
                *centred += gradient * (x - mean);
            }
        }
        lanes.map(|lanes| lanes.iter().sum())
    }
}

vectorized! {
    /// `scale gradient + slope (x - mean) + shift`, for `[scale, slope, shift]`.
    fn combine(x: &[f32], gradient: &[f32], mean: f32, line: [f32; 3], output: &mut [MaybeUninit<f32>]) {
        let [scale, slope, shift] = line;
        for ((output, &x), &gradient) in output.iter_mut().zip(x).zip(gradient) {
            output.write(scale * gradient + slope * (x - mean) + shift);
        }
    }
}

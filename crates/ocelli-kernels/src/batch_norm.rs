//! Batch normalisation with the statistics of the batch, and its gradients.
//!
//! Statistics are accumulated around the mean, in two passes, so that a large mean costs no precision.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use crate::channels::{Planes, sum, sum2};
use crate::memory::tensor;
use crate::serves;

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

/// Normalises `x` `[B, C, ...]` by the mean and biased variance of each channel over the batch, then scales and shifts
/// by `gamma` and `beta` `[C]` (Ioffe and Szegedy 2015, algorithm 1). Gradients take the statistics' dependence on the
/// input into account.
///
/// On the CPU, 32-bit tensors take this crate's kernels; every other device or number type takes Burn's own operation.
///
/// # Panics
/// If there is not one scale and one shift a channel.
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    assert!(D >= 2, "batch_norm: an input [B, C, ...] is needed, found {D} dimensions");
    let [channels, scales, shifts] = [x.dims()[1], gamma.dims()[0], beta.dims()[0]];
    assert!(
        channels == scales && channels == shifts,
        "batch_norm: one scale and one shift a channel are needed"
    );
    if !serves(&x) || !serves(&gamma) || !serves(&beta) {
        let result = burn::tensor::module::batch_norm_train(x, gamma, beta, epsilon);
        return Normalized { output: result.output, mean: result.mean, variance: result.variance };
    }
    let moments = Dispatch::channel_moments(x.clone().without_autodiff().into_dispatch());
    let [x, gamma, beta] = [x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch()];
    let output = Dispatch::normalize_batch(x, gamma, beta, moments.clone(), epsilon);
    let moments = Tensor::<2>::from_dispatch(moments);
    let row = |i: usize| moments.clone().slice([i..i + 1, 0..channels]).reshape([channels]);
    Normalized { output: Tensor::from_dispatch(output), mean: row(0), variance: row(1) }
}

/// A backend that normalises.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait NormBackend: Backend {
    /// Mean and biased variance of the channels, `[2, C]`.
    fn channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `x` normalised by `moments` `[2, C]`, which depend on it.
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

/// The same with gradients, outside any recording.
pub(crate) trait NormKernels: NormBackend {
    /// Gradients of `gamma` and `beta`, `[2, C]`.
    fn affine_gradient(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// Gradient of `x`, given those of `gamma` and `beta`.
    fn input_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        affine_gradient: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// Row 0 or 1 of a `[2, C]` array.
    fn row(both: FloatTensor<Self>, row: usize) -> FloatTensor<Self>;
}

/// Means and inverse standard deviations.
fn scales(moments: &[f32], epsilon: f64) -> (&[f32], Vec<f32>) {
    let (means, variances) = moments.split_at(moments.len() / 2);
    let inverse = |v: &f32| (f64::from(*v) + epsilon).sqrt().recip() as f32;
    (means, variances.iter().map(inverse).collect())
}

impl NormBackend for Flex {
    fn channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = x.to_contiguous();
        let planes = Planes::of(&x.shape());
        let values: &[f32] = x.storage();
        let n = planes.per_channel() as f64;
        let means = planes.sum(|_, i| sum(planes.plane(values, i), |v| v));
        let means: Vec<f32> = means.iter().map(|v| (v / n) as f32).collect();
        let spread = planes.sum(|c, i| {
            let mean = means[c];
            sum(planes.plane(values, i), |v| (v - mean) * (v - mean))
        });
        let variances = spread.iter().map(|v| (v / n) as f32);
        let both = means.iter().copied().chain(variances).collect();
        tensor(both, Shape::new([2, planes.channels]))
    }

    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [x, gamma, beta, moments] = [x, gamma, beta, moments].map(|t| t.to_contiguous());
        let shape = x.shape();
        let (gamma, beta): (&[f32], &[f32]) = (gamma.storage(), beta.storage());
        let (means, inverses) = scales(moments.storage(), epsilon);
        let values = Planes::of(&shape).map(x.storage(), |c, source, target| {
            let (mean, scale, shift) = (means[c], gamma[c] * inverses[c], beta[c]);
            for (y, x) in target.iter_mut().zip(source) {
                *y = (x - mean) * scale + shift;
            }
        });
        tensor(values, shape)
    }
}

impl NormKernels for Flex {
    fn affine_gradient(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [x, moments, g] = [x, moments, output_gradient].map(|t| t.to_contiguous());
        let planes = Planes::of(&x.shape());
        let (x, g): (&[f32], &[f32]) = (x.storage(), g.storage());
        let (means, inverses) = scales(moments.storage(), epsilon);
        let gamma = planes.sum(|c, i| {
            let mean = means[c];
            sum2(planes.plane(x, i), planes.plane(g, i), |x, g| (x - mean) * g)
        });
        let beta = planes.sum(|_, i| sum(planes.plane(g, i), |g| g));
        let gamma = gamma.iter().zip(&inverses).map(|(sum, inverse)| (sum * f64::from(*inverse)) as f32);
        tensor(gamma.chain(beta.iter().map(|v| *v as f32)).collect(), Shape::new([2, planes.channels]))
    }

    fn input_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        affine_gradient: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [x, gamma, moments] = [x, gamma, moments].map(|t| t.to_contiguous());
        let [affine, g] = [affine_gradient, output_gradient].map(|t| t.to_contiguous());
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let gamma: &[f32] = gamma.storage();
        let (means, inverses) = scales(moments.storage(), epsilon);
        let affine: &[f32] = affine.storage();
        let (to_gamma, to_beta) = affine.split_at(planes.channels);
        let n = planes.per_channel() as f32;
        let values = planes.map2(x.storage(), g.storage(), |c, x, g, target| {
            // gamma / sigma (g - mean(g) - x̂ mean(g x̂))
            let scale = gamma[c] * inverses[c];
            let (mean, mean_gradient) = (means[c], to_beta[c] / n);
            let slope = inverses[c] * to_gamma[c] / n;
            for ((dx, x), g) in target.iter_mut().zip(x).zip(g) {
                *dx = scale * (g - mean_gradient - (x - mean) * slope);
            }
        });
        tensor(values, shape)
    }

    fn row(both: FloatTensor<Self>, row: usize) -> FloatTensor<Self> {
        let both = both.to_contiguous();
        let values: &[f32] = both.storage();
        let channels = values.len() / 2;
        tensor(values[row * channels..(row + 1) * channels].to_vec(), Shape::new([channels]))
    }
}

impl<B: NormKernels, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(B::channel_moments(x.primitive().clone()))
    }

    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node()]);
        let [input, scale, shift] = [&x, &gamma, &beta].map(|t| t.primitive().clone());
        let moments = moments.primitive().clone();
        let output = B::normalize_batch(input, scale, shift, moments.clone(), epsilon);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (x, gamma) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                prep.finish(SavedNorm { x, gamma, moments, epsilon }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step: parents are the input, the scale and the shift.
#[derive(Debug)]
struct NormStep;

/// What the backward step needs from the forward one.
#[derive(Clone, Debug)]
struct SavedNorm<T> {
    x: NodeId,
    gamma: NodeId,
    moments: T,
    epsilon: f64,
}

impl<B: NormKernels> Backward<B, 3> for NormStep {
    type State = SavedNorm<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let SavedNorm { x, gamma, moments, epsilon } = ops.state;
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
        let gamma: FloatTensor<B> = checkpointer.retrieve_node_output(gamma);
        let affine = B::affine_gradient(x.clone(), moments.clone(), g.clone(), epsilon);
        let [to_x, to_gamma, to_beta] = ops.parents;
        if let Some(node) = to_gamma {
            grads.register::<B>(node.id, B::row(affine.clone(), 0));
        }
        if let Some(node) = to_beta {
            grads.register::<B>(node.id, B::row(affine.clone(), 1));
        }
        if let Some(node) = to_x {
            grads.register::<B>(node.id, B::input_gradient(x, gamma, moments, affine, g, epsilon));
        }
    }
}

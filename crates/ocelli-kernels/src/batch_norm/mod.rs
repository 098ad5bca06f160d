//! Batch normalisation in one visit to every channel, with what often follows it.
//!
//! `channels` works on planes, `columns` where a plane has few numbers or one: there whole rows of several channels
//! pass by at once.

mod backend;
mod channels;
mod columns;

use burn::backend::Dispatch;
use burn::tensor::{Tensor, activation, module};

use crate::backend::is_served;
use backend::{NormBackend, Statistics, Then};

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

/// What becomes of a normalised batch before it is written.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // it lives for one call
pub enum NormTail<const D: usize> {
    /// Nothing.
    Plain,
    /// Its positive part.
    Relu,
    /// PReLU with these slopes, `[C]`: see [`prelu`](crate::prelu).
    Prelu(Tensor<1>),
    /// A tensor of the same shape is added; then its positive part is taken, as at the end of a residual unit.
    AddRelu(Tensor<D>),
}

impl<const D: usize> NormTail<D> {
    fn check(&self, x: &Tensor<D>) {
        match self {
            Self::Plain | Self::Relu => {}
            Self::Prelu(slopes) => {
                let ([slopes], channels) = (slopes.dims(), x.dims()[1]);
                assert!(slopes == channels, "batch_norm: found {slopes} slopes for {channels} channels");
            }
            Self::AddRelu(shortcut) => {
                let shapes = [x.dims(), shortcut.dims()];
                assert!(shapes[0] == shapes[1], "batch_norm: a sum of {:?} and {:?}", shapes[0], shapes[1]);
            }
        }
    }

    fn is_served(&self) -> bool {
        match self {
            Self::Plain | Self::Relu => true,
            Self::Prelu(slopes) => is_served(slopes),
            Self::AddRelu(shortcut) => is_served(shortcut),
        }
    }

    /// What follows, by the framework's own operations.
    fn framework(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Plain => x,
            Self::Relu => activation::relu(x),
            Self::Prelu(slopes) => activation::prelu(x, slopes),
            Self::AddRelu(shortcut) => activation::relu(x + shortcut),
        }
    }
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
    batch_norm_with(x, gamma, beta, epsilon, NormTail::Plain)
}

/// [`batch_norm`] and what follows it, in the same visit. The backward step needs no memory for the tail: it asks the
/// input again on which side of zero a number came to lie, or the output, which whatever comes next keeps anyway.
/// Gradients flow to the tail's tensor as well.
///
/// # Panics
/// As [`batch_norm`], if a tensor that is added has another shape, or there is not one slope a channel.
pub fn batch_norm_with<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    tail: NormTail<D>,
) -> Normalized<D> {
    check(&x, [&gamma, &beta]);
    tail.check(&x);
    if !is_served(&x) || !is_served(&gamma) || !is_served(&beta) || !tail.is_served() {
        let result = module::batch_norm_train(x, gamma, beta, epsilon);
        let output = tail.framework(result.output);
        return Normalized { output, mean: result.mean, variance: result.variance };
    }
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    let x = x.into_dispatch();
    let (output, mean, variance) = match tail {
        NormTail::Plain => Dispatch::normalize(x, gamma, beta, false, epsilon),
        NormTail::Relu => Dispatch::normalize(x, gamma, beta, true, epsilon),
        NormTail::Prelu(slopes) => {
            Dispatch::normalize_then(x, gamma, beta, slopes.into_dispatch(), Then::Prelu, epsilon)
        }
        NormTail::AddRelu(shortcut) => {
            Dispatch::normalize_then(x, gamma, beta, shortcut.into_dispatch(), Then::AddRelu, epsilon)
        }
    };
    Normalized {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// Normalises `x` `[B, C, ...]` by a given mean and variance of each channel, both `[C]`, then scales by `gamma` `[C]` and
/// shifts by `beta` `[C]`: batch normalisation outside training. Gradients flow to `x`, `gamma` and `beta`.
///
/// # Panics
/// As [`batch_norm`].
pub fn batch_norm_by<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    [mean, variance]: [Tensor<1>; 2],
    epsilon: f64,
) -> Tensor<D> {
    check(&x, [&gamma, &beta]);
    check(&x, [&mean, &variance]);
    let vectors = [gamma, beta, mean, variance];
    let constant = |vector: &Tensor<1>| !vector.is_require_grad() && !vector.is_autodiff();
    if !is_served(&x) || !vectors.iter().all(is_served) || !vectors[2..].iter().all(constant) {
        let [gamma, beta, mean, variance] = vectors;
        return module::batch_norm(x, gamma, beta, mean, variance, epsilon);
    }
    let [gamma, beta, mean, variance] = vectors.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::normalize_by(x.into_dispatch(), gamma, beta, mean, variance, epsilon))
}

fn check<const D: usize>(x: &Tensor<D>, vectors: [&Tensor<1>; 2]) {
    assert!(D >= 2, "batch_norm: an input [B, C, ...] is needed, found {D} dimensions");
    let (channels, [[scales], [shifts]]) = (x.dims()[1], vectors.map(Tensor::dims));
    assert!(
        channels == scales && channels == shifts,
        "batch_norm: found {scales} scales and {shifts} shifts for {channels} channels"
    );
}

/// The factor of a channel's centred numbers. Forward and backward step must agree on it to the last bit.
fn factor(gamma: f32, variance: f32, epsilon: f64) -> f32 {
    (f64::from(gamma) / (f64::from(variance) + epsilon).sqrt()) as f32
}

/// The numbers by which a channel is normalised.
#[derive(Clone, Copy, Debug)]
struct Channel {
    mean: f32,
    /// [`factor`].
    factor: f32,
    beta: f32,
    /// Of what is below zero; read where a tail has slopes.
    slope: f32,
}

impl Channel {
    #[inline(always)]
    fn normalize(self, x: f32) -> f32 {
        (x - self.mean) * self.factor + self.beta
    }
}

/// What stands between an output's gradient and that of the normalised numbers.
#[derive(Clone, Copy)]
enum Gate<'a> {
    /// Nothing.
    Open,
    /// The sign of the normalised number.
    Normalized,
    /// The sign of the normalised number, which lets a slope's part pass where it is not positive.
    Bent,
    /// The sign of the output.
    Output(&'a [f32]),
}

/// What follows the normalisation of numbers, as [`NormTail`].
#[derive(Clone, Copy)]
enum Tail<'a> {
    Plain,
    Relu,
    Prelu,
    AddRelu(&'a [f32]),
}

/// How a channel's input gradient follows from that of its output: `factor · g + slope · (x - mean) + shift`.
#[derive(Clone, Copy)]
struct Slopes {
    factor: f32,
    slope: f32,
    shift: f32,
}

/// The share of a slope's gradient that one number has.
#[inline(always)]
fn bent(channel: Channel, x: f32, gradient: f32) -> f32 {
    let value = channel.normalize(x);
    if value > 0.0 { 0.0 } else { value * gradient }
}

/// The gradients of a channel's scale and shift, and how its input gradient follows. `plain` is the sum of the output's
/// gradients, `centred` that of their products with centred numbers; `count` numbers have formed the statistics.
fn backward_of(
    sums: [f64; 2],
    gamma: f32,
    variance: f32,
    epsilon: f64,
    statistics: Statistics,
    count: f64,
) -> ([f32; 2], Slopes) {
    let [plain, centred] = sums;
    let inverse_deviation = (f64::from(variance) + epsilon).sqrt().recip();
    let gamma_gradient = centred * inverse_deviation;
    let scale = f64::from(gamma) * inverse_deviation;
    let (slope, shift) = match statistics {
        Statistics::OfBatch => (-scale * inverse_deviation * gamma_gradient / count, -scale * plain / count),
        Statistics::Given => (0.0, 0.0),
    };
    let slopes = Slopes { factor: scale as f32, slope: slope as f32, shift: shift as f32 };
    ([gamma_gradient as f32, plain as f32], slopes)
}

/// Writes normalised numbers and what follows them. `channel` gives the numbers of every place.
#[inline(always)]
fn write_tail(
    x: &[f32],
    channel: impl Fn(usize) -> Channel,
    tail: Tail<'_>,
    output: &mut [std::mem::MaybeUninit<f32>],
) {
    let value = |i: usize, x: f32| channel(i).normalize(x);
    // A comparison and not `max`, which would lose a NaN.
    let positive = |value: f32| if value < 0.0 { 0.0 } else { value };
    match tail {
        Tail::Plain => {
            for (i, (output, &x)) in output.iter_mut().zip(x).enumerate() {
                output.write(value(i, x));
            }
        }
        Tail::Relu => {
            for (i, (output, &x)) in output.iter_mut().zip(x).enumerate() {
                output.write(positive(value(i, x)));
            }
        }
        Tail::Prelu => {
            for (i, (output, &x)) in output.iter_mut().zip(x).enumerate() {
                let value = value(i, x);
                output.write(if value > 0.0 { value } else { channel(i).slope * value });
            }
        }
        Tail::AddRelu(shortcut) => {
            for (i, ((output, &x), &shortcut)) in output.iter_mut().zip(x).zip(shortcut).enumerate() {
                output.write(positive(value(i, x) + shortcut));
            }
        }
    }
}

/// The gradients that pass the gate, in `passed` unless all do.
#[inline(always)]
fn pass_gate<'a>(
    gate: Gate<'_>,
    x: &[f32],
    gradient: &'a [f32],
    channel: impl Fn(usize) -> Channel,
    passed: &'a mut [f32],
) -> &'a [f32] {
    match gate {
        Gate::Open => return gradient,
        Gate::Normalized => {
            for (i, ((passed, &x), &gradient)) in passed.iter_mut().zip(x).zip(gradient).enumerate() {
                *passed = if channel(i).normalize(x) <= 0.0 { 0.0 } else { gradient };
            }
        }
        Gate::Bent => {
            for (i, ((passed, &x), &gradient)) in passed.iter_mut().zip(x).zip(gradient).enumerate() {
                let channel = channel(i);
                *passed = if channel.normalize(x) > 0.0 { gradient } else { channel.slope * gradient };
            }
        }
        Gate::Output(output) => {
            for ((passed, &output), &gradient) in passed.iter_mut().zip(output).zip(gradient) {
                *passed = if output <= 0.0 { 0.0 } else { gradient };
            }
        }
    }
    &passed[..gradient.len()]
}

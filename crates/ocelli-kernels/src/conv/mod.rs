//! Two-dimensional convolution with its gradients.

mod backend;
mod correlate;
mod dense;
mod depthwise;
mod filters;
mod gather;
mod geometry;
mod plan;
mod slab;

use burn::tensor::{Tensor, module};
use thiserror::Error;

use crate::backend::is_served;
pub(crate) use geometry::Geometry;
pub(crate) use slab::even_parts;

/// How a filter is moved over a picture. `[height, width]` order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Pixels between neighbouring output positions; at least 1.
    pub stride: [usize; 2],
    /// Zero pixels added on both sides of each axis.
    pub padding: [usize; 2],
    /// Pixels between neighbouring filter taps; at least 1.
    pub dilation: [usize; 2],
    /// Channel groups that are convolved separately; divides the input and the output channels.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

impl From<ConvOptions> for burn::backend::ops::ConvOptions<2> {
    fn from(options: ConvOptions) -> Self {
        Self::new(options.stride, options.padding, options.dilation, options.groups)
    }
}

/// Why an input, a weight and options do not make a convolution.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConvError {
    /// A stride, a dilation or the group count is zero.
    #[error("stride, dilation and groups must be at least 1, got {options:?}")]
    ZeroOption {
        /// The options as given.
        options: ConvOptions,
    },
    /// The kernel has no taps.
    #[error("the kernel of a weight of shape {weight:?} is empty; both its sides must be at least 1")]
    EmptyKernel {
        /// Shape of the weight.
        weight: [usize; 4],
    },
    /// There is nothing to convolve, or nothing to convolve it with.
    #[error("an input of shape {x:?} and a weight of shape {weight:?}: both need channels")]
    NoChannels {
        /// Shape of the input.
        x: [usize; 4],
        /// Shape of the weight.
        weight: [usize; 4],
    },
    /// There is not one number for each channel.
    #[error("{what} with {got} values, expected {expected}")]
    Values {
        /// Of what.
        what: &'static str,
        /// Numbers given.
        got: usize,
        /// Numbers needed.
        expected: usize,
    },
    /// The weight was made for another number of input channels.
    #[error("the input has {got} channels, the weight expects {expected} (in {groups} groups)")]
    InputChannels {
        /// Channels of the input.
        got: usize,
        /// Channels the weight asks for.
        expected: usize,
        /// Channel groups.
        groups: usize,
    },
    /// The output channels cannot be shared out evenly.
    #[error("{channels} output channels do not divide into {groups} groups")]
    OutputChannels {
        /// Output channels of the weight.
        channels: usize,
        /// Channel groups.
        groups: usize,
    },
    /// No output position exists.
    #[error("the dilated kernel spans {reach} pixels of {axis} but the padded input has only {padded}")]
    KernelTooLarge {
        /// `height` or `width`.
        axis: &'static str,
        /// Pixels the dilated kernel spans.
        reach: usize,
        /// Pixels of the padded input.
        padded: usize,
    },
    /// The bias has not one value an output channel.
    #[error("the bias has {got} values for {expected} output channels")]
    Bias {
        /// Values in the bias.
        got: usize,
        /// Output channels.
        expected: usize,
    },
}

/// Convolves pictures `[B, C, H, W]` with filters `[O, C / groups, kh, kw]` (cross-correlation, as in every network
/// framework) and adds a bias `[O]`; the result is `[B, O, H', W']` with
/// `H' = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1`, rounded down, and `W'` alike.
///
/// On the CPU, 32-bit tensors take this crate's kernels; every other device or number type takes Burn's own
/// operation. Gradients flow to whichever of the three arguments track them. The result is the same for any number of
/// threads.
///
/// # Panics
/// If the shapes do not fit together; the message is a [`ConvError`].
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions) -> Tensor<4> {
    if let Err(error) = check(x.dims(), weight.dims(), bias.as_ref().map(Tensor::dims), options) {
        panic!("conv2d: {error}");
    }
    let served = is_served(&x) && is_served(&weight) && bias.as_ref().is_none_or(is_served);
    if served {
        backend::dispatch(x, weight, bias, options)
    } else {
        module::conv2d(x, weight, bias, burn::backend::ops::ConvOptions::from(options))
    }
}

fn check(
    x: [usize; 4],
    weight: [usize; 4],
    bias: Option<[usize; 1]>,
    options: ConvOptions,
) -> Result<(), ConvError> {
    let geometry = geometry::Geometry::new(x, weight, options)?;
    match bias {
        Some([got]) if got != geometry.out_channels => {
            Err(ConvError::Bias { got, expected: geometry.out_channels })
        }
        _ => Ok(()),
    }
}

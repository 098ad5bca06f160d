//! How convolutions are asked for, and why some cannot be.

use thiserror::Error;

use super::geometry::{AXES, raised};

/// How a filter is moved over an input with `N` spatial axes, in the order of the tensor's axes: `[height, width]` for
/// pictures, `[depth, height, width]` for volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const N: usize = 2> {
    /// Pixels between neighbouring output positions; at least 1.
    pub stride: [usize; N],
    /// Zero pixels added on both sides of each axis.
    pub padding: [usize; N],
    /// Pixels between neighbouring filter taps; at least 1.
    pub dilation: [usize; N],
    /// Channel groups that are convolved separately; divides the input and the output channels.
    pub groups: usize,
}

impl<const N: usize> Default for ConvOptions<N> {
    fn default() -> Self {
        Self { stride: [1; N], padding: [0; N], dilation: [1; N], groups: 1 }
    }
}

impl<const N: usize> From<ConvOptions<N>> for burn::backend::ops::ConvOptions<N> {
    fn from(options: ConvOptions<N>) -> Self {
        Self::new(options.stride, options.padding, options.dilation, options.groups)
    }
}

impl<const N: usize> ConvOptions<N> {
    /// The same over three axes, of which the first have one pixel.
    pub(crate) fn raised(self) -> ConvOptions<AXES> {
        ConvOptions {
            stride: raised(&self.stride, 1),
            padding: raised(&self.padding, 0),
            dilation: raised(&self.dilation, 1),
            groups: self.groups,
        }
    }
}

/// How a transposed convolution spreads an input with `N` spatial axes, in the order of the tensor's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposeOptions<const N: usize = 2> {
    /// Output pixels between those that neighbouring input pixels are spread around; at least 1.
    pub stride: [usize; N],
    /// Pixels cut off on both sides of each axis.
    pub padding: [usize; N],
    /// Pixels more at the end of each axis; less than the stride or the dilation.
    pub output_padding: [usize; N],
    /// Pixels between neighbouring filter taps; at least 1.
    pub dilation: [usize; N],
    /// Channel groups that are convolved separately; divides the input and the output channels.
    pub groups: usize,
}

impl<const N: usize> Default for TransposeOptions<N> {
    fn default() -> Self {
        let ConvOptions { stride, padding, dilation, groups } = ConvOptions::default();
        Self { stride, padding, output_padding: [0; N], dilation, groups }
    }
}

impl<const N: usize> From<TransposeOptions<N>> for burn::backend::ops::ConvTransposeOptions<N> {
    fn from(options: TransposeOptions<N>) -> Self {
        let TransposeOptions { stride, padding, output_padding, dilation, groups } = options;
        Self::new(stride, padding, output_padding, dilation, groups)
    }
}

impl<const N: usize> TransposeOptions<N> {
    /// The same over three axes, of which the first have one pixel.
    pub(super) fn raised(self) -> TransposeOptions<AXES> {
        TransposeOptions {
            stride: raised(&self.stride, 1),
            padding: raised(&self.padding, 0),
            output_padding: raised(&self.output_padding, 0),
            dilation: raised(&self.dilation, 1),
            groups: self.groups,
        }
    }
}

/// Why an input, a weight and options do not make a convolution.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConvError {
    /// A stride, a dilation or the group count is zero.
    #[error("stride, dilation and groups must be at least 1, got {options:?}")]
    ZeroOption {
        /// The options over depth, height and width.
        options: ConvOptions<3>,
    },
    /// The kernel has no taps.
    #[error("the kernel of a weight of shape {weight:?} is empty; all its sides must be at least 1")]
    EmptyKernel {
        /// Shape of the weight.
        weight: Vec<usize>,
    },
    /// There is nothing to convolve, or nothing to convolve it with.
    #[error("an input of shape {x:?} and a weight of shape {weight:?}: both need channels")]
    NoChannels {
        /// Shape of the input.
        x: Vec<usize>,
        /// Shape of the weight.
        weight: Vec<usize>,
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
    /// The channels of the weight cannot be shared out evenly.
    #[error("{channels} output channels do not divide into {groups} groups")]
    OutputChannels {
        /// First dimension of the weight: output channels, or a transposed convolution's input channels.
        channels: usize,
        /// Channel groups.
        groups: usize,
    },
    /// No output position exists.
    #[error("the dilated kernel spans {reach} pixels of {axis} but the padded input has only {padded}")]
    KernelTooLarge {
        /// `depth`, `height`, `width`, or the `length` of a sequence.
        axis: &'static str,
        /// Pixels the dilated kernel spans.
        reach: usize,
        /// Pixels of the padded input.
        padded: usize,
    },
    /// A transposed convolution cuts off all that it makes.
    #[error("no output is left of {full} pixels of {axis} with {padding} cut off on both sides")]
    NoOutput {
        /// `depth`, `height`, `width`, or the `length` of a sequence.
        axis: &'static str,
        /// Pixels cut off.
        padding: usize,
        /// Pixels before the cut.
        full: usize,
    },
    /// The output of a transposed convolution would end in more pixels than a step has.
    #[error("the output padding of {axis} must be below the stride or the dilation, got {options:?}")]
    OutputPadding {
        /// `depth`, `height`, `width`, or the `length` of a sequence.
        axis: &'static str,
        /// The options over depth, height and width.
        options: TransposeOptions<3>,
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

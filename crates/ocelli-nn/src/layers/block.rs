//! Convolutions and linear layers with what stands around them, which fused passes run as one.
//!
//! A block borrows layers and says in which order they are applied. In a pass that fuses ([`Pass::fused`]) it folds the
//! normalisations into the weights, packs these, and keeps the result in the convolution until one of the parameters
//! changes; in every other pass, or while gradients are recorded, it runs the layers one after the other.

use burn::tensor::Tensor;
use ocelli_kernels::activation::{gelu, gelu_tanh, hard_swish, leaky_relu, relu, silu};
use ocelli_kernels::{Activation, Chain, ConvOptions, ConvParts, Joint, PackedConv};

use super::activation::Prelu;
use super::conv::Conv2d;
use super::dropout::Dropout;
use super::linear::Linear;
use super::norm::BatchNorm;
use super::prepared::{Form, values};
use crate::pass::Pass;
use crate::store::Param;

/// What a block applies to the result of its convolution.
#[derive(Clone, Copy, Debug, Default)]
pub enum BlockActivation<'a> {
    /// Nothing.
    #[default]
    Identity,
    /// `max(0, x)`.
    Relu,
    /// `min(max(0, x), 6)`.
    Relu6,
    /// `x` above zero, else times a learned slope.
    Prelu(&'a Prelu),
    /// `x` above zero, else times this slope.
    Leaky(f32),
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x min(max(0, x + 3), 6) / 6`.
    HardSwish,
    /// `x` times the standard normal distribution at `x`.
    Gelu,
    /// [`BlockActivation::Gelu`] in its approximation by a hyperbolic tangent.
    GeluTanh,
    /// `x sigmoid(1.702 x)`, the approximation of GELU that CLIP was trained with.
    QuickGelu,
}

impl BlockActivation<'_> {
    pub(super) fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Prelu(prelu) => prelu.forward(x),
            Self::Leaky(slope) => leaky_relu(x, f64::from(slope)),
            Self::Silu => silu(x),
            Self::HardSwish => hard_swish(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::QuickGelu => Chain::of(x.clone()).mul_scalar(1.702).sigmoid().mul(x).run(),
        }
    }

    /// Its learned slopes.
    pub(super) fn slopes(&self) -> Option<&Param> {
        match self {
            Self::Prelu(prelu) => Some(&prelu.weight),
            _ => None,
        }
    }

    /// What the packed convolution applies; slopes that are learned are left out.
    pub(super) fn kind(self) -> Activation {
        match self {
            Self::Identity => Activation::Identity,
            Self::Relu => Activation::Relu,
            Self::Relu6 => Activation::Clamp { low: 0.0, high: 6.0 },
            Self::Prelu(_) => Activation::Prelu(Vec::new()),
            Self::Leaky(slope) => Activation::Leaky(slope),
            Self::Silu => Activation::Silu,
            Self::HardSwish => Activation::HardSwish,
            Self::Gelu => Activation::Gelu,
            Self::GeluTanh => Activation::GeluTanh,
            Self::QuickGelu => Activation::QuickGelu,
        }
    }

    /// What the packed convolution applies.
    pub(super) fn packed(self) -> Activation {
        match self {
            Self::Prelu(prelu) => Activation::Prelu(values(&prelu.weight)),
            other => other.kind(),
        }
    }
}

/// Normalisation, convolution, normalisation, activation and a shortcut; all but the convolution may be missing.
#[derive(Clone, Debug)]
pub struct ConvBlock<'a> {
    before: Option<&'a BatchNorm>,
    conv: &'a Conv2d,
    after: Option<&'a BatchNorm>,
    activation: BlockActivation<'a>,
    shortcut: Option<(Tensor<4>, Joint)>,
}

impl<'a> ConvBlock<'a> {
    /// A convolution with nothing around it.
    pub fn new(conv: &'a Conv2d) -> Self {
        Self { before: None, conv, after: None, activation: BlockActivation::Identity, shortcut: None }
    }

    /// With a normalisation of the input.
    #[must_use]
    pub fn before(mut self, norm: &'a BatchNorm) -> Self {
        self.before = Some(norm);
        self
    }

    /// With a normalisation of the output.
    #[must_use]
    pub fn after(mut self, norm: &'a BatchNorm) -> Self {
        self.after = Some(norm);
        self
    }

    /// With an activation, after the normalisation.
    #[must_use]
    pub fn activation(mut self, activation: BlockActivation<'a>) -> Self {
        self.activation = activation;
        self
    }

    /// With a shortcut `[B, out, H', W']` that joins before or after the activation.
    #[must_use]
    pub fn shortcut(mut self, shortcut: Tensor<4>, joint: Joint) -> Self {
        self.shortcut = Some((shortcut, joint));
        self
    }

    /// `[B, C, H, W]` to `[B, out, H', W']`, as [`Conv2d::forward`].
    pub fn forward(self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        match self.fused(&x, pass) {
            Some(packed) => packed.forward(x, self.shortcut),
            None => self.one_by_one(x, pass),
        }
    }

    fn one_by_one(self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let normalized = |norm: Option<&BatchNorm>, x| match norm {
            Some(norm) => norm.forward(x, pass),
            None => x,
        };
        let x = self.conv.forward(normalized(self.before, x));
        match (self.after, self.activation, self.shortcut) {
            (Some(norm), BlockActivation::Relu, None) => norm.forward_relu(x, pass),
            (Some(norm), BlockActivation::Prelu(prelu), None) => norm.forward_prelu(x, prelu, pass),
            (Some(norm), BlockActivation::Relu, Some((shortcut, Joint::BeforeActivation))) => {
                norm.forward_add_relu(x, shortcut, pass)
            }
            (after, activation, None) => activation.forward(normalized(after, x)),
            (after, activation, Some((shortcut, Joint::BeforeActivation))) => {
                activation.forward(normalized(after, x) + shortcut)
            }
            (after, activation, Some((shortcut, Joint::AfterActivation))) => {
                activation.forward(normalized(after, x)) + shortcut
            }
        }
    }

    /// What runs in place of the layers, where the pass fuses and nothing is recorded.
    fn fused(&self, x: &Tensor<4>, pass: &Pass) -> Option<PackedConv> {
        let precision = pass.fusion()?;
        let serves = |x: &Tensor<4>| PackedConv::serves(x);
        if !serves(x) || !self.shortcut.as_ref().is_none_or(|(shortcut, _)| serves(shortcut)) {
            return None;
        }
        let Self { before, conv, after, activation, .. } = self;
        let norms = [before, after].into_iter().flat_map(|norm| norm.iter().flat_map(|norm| norm.params()));
        let others: Vec<&Param> = conv.bias.iter().chain(activation.slopes()).chain(norms).collect();
        let &[output, input, height, width] = conv.weight.entry().shape() else { return None };
        let form = Form {
            shape: [output, input, height, width],
            norms: [before.is_some(), after.is_some()],
            activation: activation.kind(),
            precision,
        };
        conv.prepared.get(&conv.weight, &others, form, pass, |form, weight| ConvParts {
            before: before.map(BatchNorm::affine),
            bias: conv.bias.as_ref().map(values),
            after: after.map(BatchNorm::affine),
            activation: activation.packed(),
            precision,
            ..ConvParts::new(weight, form.shape, conv.options)
        })
    }
}

/// Normalisation, dropout, a linear layer and normalisation, from a map to a vector; all but the linear layer may be
/// missing.
#[derive(Clone, Copy, Debug)]
pub struct LinearBlock<'a> {
    before: Option<&'a BatchNorm>,
    dropout: Option<&'a Dropout>,
    linear: &'a Linear,
    after: Option<&'a BatchNorm>,
}

impl<'a> LinearBlock<'a> {
    /// A linear layer with nothing around it.
    pub fn new(linear: &'a Linear) -> Self {
        Self { before: None, dropout: None, linear, after: None }
    }

    /// With a normalisation of the map's channels.
    #[must_use]
    pub fn before(mut self, norm: &'a BatchNorm) -> Self {
        self.before = Some(norm);
        self
    }

    /// With dropout of what the linear layer reads.
    #[must_use]
    pub fn dropout(mut self, dropout: &'a Dropout) -> Self {
        self.dropout = Some(dropout);
        self
    }

    /// With a normalisation of the output.
    #[must_use]
    pub fn after(mut self, norm: &'a BatchNorm) -> Self {
        self.after = Some(norm);
        self
    }

    /// Maps `[B, C, H, W]` to `[B, out]`; the linear layer reads them channel by channel.
    pub fn forward(self, map: Tensor<4>, pass: &Pass) -> Tensor<2> {
        if let Some(packed) = self.fused(&map, pass) {
            return packed.forward(map, None).flatten(1, 3);
        }
        let x = match self.before {
            Some(norm) => norm.forward(map, pass),
            None => map,
        };
        let x = match self.dropout {
            Some(dropout) => dropout.forward(x, pass),
            None => x,
        };
        let y = self.linear.forward(x.flatten(1, 3));
        match self.after {
            Some(norm) => norm.forward(y, pass),
            None => y,
        }
    }

    /// To a convolution the linear layer is a kernel as large as the map.
    fn fused(&self, map: &Tensor<4>, pass: &Pass) -> Option<PackedConv> {
        let precision = pass.fusion()?;
        let [_, channels, height, width] = map.dims();
        let Self { before, linear, after, .. } = *self;
        let &[output, input] = linear.weight.entry().shape() else { return None };
        if !PackedConv::serves(map) || input != channels * height * width {
            return None;
        }
        let norms = [before, after].into_iter().flatten().flat_map(BatchNorm::params);
        let others: Vec<&Param> = linear.bias.iter().chain(norms).collect();
        let form = Form {
            shape: [output, channels, height, width],
            norms: [before.is_some(), after.is_some()],
            activation: Activation::Identity,
            precision,
        };
        linear.prepared.get(&linear.weight, &others, form, pass, |form, weight| ConvParts {
            before: before.map(BatchNorm::affine),
            bias: linear.bias.as_ref().map(values),
            after: after.map(BatchNorm::affine),
            precision,
            ..ConvParts::new(weight, form.shape, ConvOptions::default())
        })
    }
}

//! Convolutions and linear layers with what stands around them, which fused passes run as one.
//!
//! A block borrows layers and says in which order they are applied. In a pass that fuses ([`Pass::fused`]) it folds the
//! normalisations into the weights, packs these, and keeps the result in the convolution until one of the parameters
//! changes; in every other pass, or while gradients are recorded, it runs the layers one after the other.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use burn::tensor::activation::{hard_sigmoid, leaky_relu, relu, silu};
use ocelli_kernels::{Activation, ConvOptions, ConvParts, Joint, PackedConv, Precision};

use super::activation::Prelu;
use super::conv::Conv2d;
use super::dropout::Dropout;
use super::linear::Linear;
use super::norm::BatchNorm;
use crate::pass::Pass;
use crate::store::{Entry, Param};

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
}

impl BlockActivation<'_> {
    fn forward(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Prelu(prelu) => prelu.forward(x),
            Self::Leaky(slope) => leaky_relu(x, f64::from(slope)),
            Self::Silu => silu(x),
            Self::HardSwish => x.clone() * hard_sigmoid(x, 1.0 / 6.0, 0.5),
        }
    }

    /// What the packed convolution applies; slopes that are learned are left out.
    fn kind(self) -> Activation {
        match self {
            Self::Identity => Activation::Identity,
            Self::Relu => Activation::Relu,
            Self::Relu6 => Activation::Clamp { low: 0.0, high: 6.0 },
            Self::Prelu(_) => Activation::Prelu(Vec::new()),
            Self::Leaky(slope) => Activation::Leaky(slope),
            Self::Silu => Activation::Silu,
            Self::HardSwish => Activation::HardSwish,
        }
    }

    /// What the packed convolution applies.
    fn packed(self) -> Activation {
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
        let x = normalized(self.after, x);
        match self.shortcut {
            None => self.activation.forward(x),
            Some((shortcut, Joint::BeforeActivation)) => self.activation.forward(x + shortcut),
            Some((shortcut, Joint::AfterActivation)) => self.activation.forward(x) + shortcut,
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
        let slope = match activation {
            BlockActivation::Prelu(prelu) => Some(&prelu.weight),
            _ => None,
        };
        let norms = [before, after].into_iter().flat_map(|norm| norm.iter().flat_map(|norm| norm.params()));
        let params: Vec<&Param> =
            [&conv.weight].into_iter().chain(&conv.bias).chain(slope).chain(norms).collect();
        let &[output, input, height, width] = conv.weight.entry().shape() else { return None };
        let form = Form {
            shape: [output, input, height, width],
            norms: [before.is_some(), after.is_some()],
            activation: activation.kind(),
            precision,
        };
        conv.prepared.get(&params, form, |form| ConvParts {
            before: before.map(BatchNorm::affine),
            bias: conv.bias.as_ref().map(values),
            after: after.map(BatchNorm::affine),
            activation: activation.packed(),
            precision,
            ..ConvParts::new(values(&conv.weight), form.shape, conv.options)
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
        let params: Vec<&Param> = [&linear.weight].into_iter().chain(&linear.bias).chain(norms).collect();
        let form = Form {
            shape: [output, channels, height, width],
            norms: [before.is_some(), after.is_some()],
            activation: Activation::Identity,
            precision,
        };
        linear.prepared.get(&params, form, |form| ConvParts {
            before: before.map(BatchNorm::affine),
            bias: linear.bias.as_ref().map(values),
            after: after.map(BatchNorm::affine),
            precision,
            ..ConvParts::new(values(&linear.weight), form.shape, ConvOptions::default())
        })
    }
}

/// The numbers of a parameter.
fn values(param: &Param) -> Vec<f32> {
    crate::tensor::values(param.entry().plain())
}

/// What fused passes run in place of a layer, kept until a parameter that went into it changes. Clones of a layer share
/// it, as they share the parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    form: Form,
    /// The parameters that went into it, as they were.
    made_of: Vec<(Arc<Entry>, u64)>,
    packed: PackedConv,
}

/// How the parameters of a block are put together.
#[derive(Debug, PartialEq)]
struct Form {
    /// Of the filters.
    shape: [usize; 4],
    /// Whether there is one before, and after.
    norms: [bool; 2],
    /// Without learned slopes.
    activation: Activation,
    precision: Precision,
}

impl Prepared {
    /// What was kept, if it is made in this form of these parameters as they are now, or else of `parts`. `None` while a
    /// parameter's gradient is recorded.
    fn get(
        &self,
        params: &[&Param],
        form: Form,
        parts: impl FnOnce(&Form) -> ConvParts,
    ) -> Option<PackedConv> {
        if params.iter().any(|param| param.is_tracked()) {
            return None;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(params, &form)) {
            return Some(kept.packed.clone());
        }
        // Versions are read before the values: a change between the two is noticed the next time.
        let made_of = params.iter().map(|param| (param.entry().clone(), param.entry().version())).collect();
        let packed =
            PackedConv::new(parts(&form)).unwrap_or_else(|error| panic!("cannot fuse a layer: {error}"));
        *kept = Some(Kept { form, made_of, packed: packed.clone() });
        Some(packed)
    }
}

impl Kept {
    fn is_of(&self, params: &[&Param], form: &Form) -> bool {
        let same = |((entry, version), param): (&(Arc<Entry>, u64), &&Param)| {
            Arc::ptr_eq(entry, param.entry()) && *version == entry.version()
        };
        self.form == *form && self.made_of.len() == params.len() && self.made_of.iter().zip(params).all(same)
    }
}

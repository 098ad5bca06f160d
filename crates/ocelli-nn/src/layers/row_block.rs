//! Linear layers over rows with what follows them, which fused passes run as one.

use burn::tensor::Tensor;
use ocelli_kernels::{ConvOptions, ConvParts, Joint, PackedConv};

use super::block::BlockActivation;
use super::linear::Linear;
use super::prepared::{Form, Prepared, values};
use crate::pass::Pass;
use crate::store::Param;

/// A linear layer over the last dimension, an activation, and what is added to its result; all but the linear layer may be
/// missing.
///
/// In a pass that fuses, its weights are packed once and kept until they change, and what follows the product is done in
/// registers or in the first cache.
#[derive(Clone, Debug)]
pub struct RowBlock<'a, const D: usize> {
    linear: &'a Linear,
    activation: BlockActivation<'a>,
    shortcut: Option<Tensor<D>>,
}

impl<'a, const D: usize> RowBlock<'a, D> {
    /// A linear layer with nothing around it.
    pub fn new(linear: &'a Linear) -> Self {
        Self { linear, activation: BlockActivation::Identity, shortcut: None }
    }

    /// With an activation; learned slopes belong to the elements of a row.
    #[must_use]
    pub fn activation(mut self, activation: BlockActivation<'a>) -> Self {
        self.activation = activation;
        self
    }

    /// With a shortcut `[..., out]` that is added after the activation.
    #[must_use]
    pub fn shortcut(mut self, shortcut: Tensor<D>) -> Self {
        self.shortcut = Some(shortcut);
        self
    }

    /// `[..., in]` to `[..., out]`.
    pub fn forward(self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        let Self { linear, activation, shortcut } = self;
        let rows = Rows { weight: &linear.weight, bias: linear.bias.as_ref(), activation };
        match rows.fused(&linear.prepared, [Some(&x), shortcut.as_ref()], pass) {
            Some(packed) => packed.forward_rows(x, shortcut.map(|s| (s, Joint::AfterActivation))),
            None => {
                let y = linear.forward(x);
                let shape = y.dims();
                let y = match activation {
                    BlockActivation::Identity => y,
                    _ => {
                        let columns = shape.last().copied().unwrap_or(1);
                        let rows = shape.iter().product::<usize>() / columns.max(1);
                        activation.forward::<2>(y.reshape([rows, columns])).reshape(shape)
                    }
                };
                match shortcut {
                    Some(shortcut) => y + shortcut,
                    None => y,
                }
            }
        }
    }
}

/// The parameters of a linear layer over rows.
pub(super) struct Rows<'a> {
    /// `[out, in]`.
    pub(super) weight: &'a Param,
    pub(super) bias: Option<&'a Param>,
    pub(super) activation: BlockActivation<'a>,
}

impl Rows<'_> {
    /// What runs in place of the layer, where the pass fuses and nothing is recorded.
    pub(super) fn fused<const D: usize>(
        &self,
        prepared: &Prepared,
        operands: [Option<&Tensor<D>>; 2],
        pass: &Pass,
    ) -> Option<PackedConv> {
        let precision = pass.fusion()?;
        let &[output, input] = self.weight.entry().shape() else { return None };
        if !operands.into_iter().flatten().all(PackedConv::serves) {
            return None;
        }
        let form = Form {
            shape: [output, input, 1, 1],
            norms: [false; 2],
            activation: self.activation.kind(),
            precision,
        };
        let others: Vec<&Param> = self.bias.into_iter().chain(self.activation.slopes()).collect();
        prepared.get(self.weight, &others, form, pass, |form, weight| ConvParts {
            bias: self.bias.map(values),
            activation: self.activation.packed(),
            precision,
            ..ConvParts::new(weight, form.shape, ConvOptions::default())
        })
    }
}

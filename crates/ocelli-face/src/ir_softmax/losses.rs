//! The three losses, whose targets are class centres in place of learned weights (sections 3 and 4 of the paper).

use burn::tensor::{Int, Tensor};

use crate::recognition::margin::{
    AdditiveMargin, CosineRule, Cosines, Margin, MarginRule, MultiplicativeMargin, Scale,
};

/// A loss of the softmax family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variant {
    /// Softmax on plain inner products.
    Softmax,
    /// SphereFace: an angle multiplied by `margin`, times the norm of the feature.
    ASoftmax {
        /// The factor of the angle, at least 1.
        margin: u32,
        /// Weight of the plain cosine in the blend.
        lam: f64,
    },
    /// AM-Softmax: a cosine lowered by `margin`, times `scale`.
    AmSoftmax {
        /// The margin, a cosine.
        margin: f64,
        /// Scale of the logits.
        scale: f64,
    },
}

impl Variant {
    /// How logits come from cosines. Products are not clamped; norms count as at least 1e-12.
    pub fn rule(&self) -> MarginRule {
        let cosines = CosineRule { clamped: false, ..CosineRule::FLOORED };
        match *self {
            Self::Softmax => {
                MarginRule { cosines: CosineRule::PRODUCT, ..MarginRule::new(Margin::None, 1.0) }
            }
            Self::ASoftmax { margin: m, lam: lambda } => {
                let margin = Margin::Multiplicative(MultiplicativeMargin { m, lambda });
                MarginRule { cosines, margin, emphasis: None, scale: Scale::EmbeddingNorm }
            }
            Self::AmSoftmax { margin, scale } => {
                let margin = Margin::Additive(AdditiveMargin::new(margin));
                MarginRule { cosines, ..MarginRule::new(margin, scale) }
            }
        }
    }

    /// Logits of `features [B, D]` with `labels [B]` against a target for each class, the rows of `targets [C, D]`, with
    /// the cosines they are made of: `[B, C]`.
    ///
    /// Centres are constants, so no gradient flows into them; learned weights make the baselines.
    pub fn logits(
        &self,
        features: Tensor<2>,
        targets: Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> (Tensor<2>, Cosines) {
        let rule = self.rule();
        let cosines = rule.cosines.with_rows(features.clone(), targets, labels);
        (rule.logits(&features, &cosines), cosines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::ops::cross_entropy;
    use ocelli_nn::tensor::{from_values, integers, values};

    const VARIANTS: [Variant; 3] = [
        Variant::Softmax,
        Variant::ASoftmax { margin: 4, lam: 0.0 },
        Variant::AmSoftmax { margin: 0.35, scale: 30.0 },
    ];

    #[test]
    fn one_class_is_no_task() {
        let device = ocelli_nn::device("cpu").unwrap();
        for variant in VARIANTS {
            let x = from_values(vec![1.0, -2.0, 0.5, 3.0], [2, 2], &device).autodiff().require_grad();
            let centers = from_values(vec![0.5, 0.25], [1, 2], &device);
            let labels = integers(&[0, 0], &device);
            let loss = cross_entropy(variant.logits(x.clone(), centers, labels.clone()).0, labels);
            assert_eq!(values(loss.clone()), [0.0], "{variant:?}");
            assert_eq!(values(x.grad(&loss.backward()).unwrap()), [0.0; 4], "{variant:?}");
        }
    }

    #[test]
    fn features_on_and_opposite_their_centre_have_finite_gradients() {
        let device = ocelli_nn::device("cpu").unwrap();
        for variant in VARIANTS {
            let x = from_values(vec![2.0, 0.0, -2.0, 0.0, 0.0, 0.0], [3, 2], &device);
            let x = x.autodiff().require_grad();
            let centers = from_values(vec![1.0, 0.0, 0.0, 0.0], [2, 2], &device);
            let labels = integers(&[0, 0, 1], &device);
            let loss = cross_entropy(variant.logits(x.clone(), centers, labels.clone()).0, labels);
            let gradient = values(x.grad(&loss.backward()).unwrap());
            assert!(gradient.iter().all(|v| v.is_finite()), "{variant:?}: {gradient:?}");
        }
    }
}

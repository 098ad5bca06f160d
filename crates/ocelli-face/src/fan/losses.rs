//! The losses of both stages (paper, sections 3.1 and 3.2), each a scalar `[1]`.

use burn::tensor::Tensor;
use ocelli_nn::ops::softmax;
use ocelli_nn::ops::{normalize_rows, softplus};
use serde::{Deserialize, Serialize};

/// Confusion of the non-identity path: squared distance of the posterior `softmax(logits) [B, N]` to the uniform one, the
/// mean over the batch. It is smallest when the map tells nothing about who is shown.
pub fn confusion(logits: Tensor<2>) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    let distance = softmax(logits, 1).sub_scalar(1.0 / classes as f64).square();
    distance.sum().div_scalar(rows as f64)
}

/// Mean squared difference between the identity maps of a picture at low and at high resolution, of any one shape; no
/// gradient flows to `high`.
pub fn pair<const D: usize>(low: Tensor<D>, high: Tensor<D>) -> Tensor<1> {
    (low - high.detach()).square().mean()
}

/// The discriminator's loss on its logits `[n]` for real and `[m]` for generated samples (non-saturating logistic).
pub fn discriminator(real: Tensor<1>, fake: Tensor<1>) -> Tensor<1> {
    softplus(real.neg()).mean() + softplus(fake).mean()
}

/// The loss of what wants to pass for real, on the discriminator's logits `[m]`.
pub fn generator(fake: Tensor<1>) -> Tensor<1> {
    softplus(fake.neg()).mean()
}

/// Squared distance between the unit embeddings `[B, D]` of a generated face and of the true one, the mean over the
/// batch; no gradient flows to `truth`.
pub fn identity(generated: Tensor<2>, truth: Tensor<2>) -> Tensor<1> {
    let [rows, _] = generated.dims();
    let difference = normalize_rows(generated) - normalize_rows(truth).detach();
    difference.square().sum().div_scalar(rows as f64)
}

/// How pixels are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelLoss {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    #[default]
    L2,
}

impl PixelLoss {
    /// The difference of pictures `[B, 3, H, W]`.
    pub fn apply(self, generated: Tensor<4>, truth: Tensor<4>) -> Tensor<1> {
        let difference = generated - truth;
        match self {
            Self::L1 => difference.abs().mean(),
            Self::L2 => difference.square().mean(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, scalar, values};

    fn device() -> burn::tensor::Device {
        ocelli_nn::device("cpu").unwrap()
    }

    #[test]
    fn the_uniform_posterior_is_the_least_confusing_to_reach() {
        let same = from_values(vec![3.0; 8], [2, 4], &device());
        assert!(scalar(confusion(same)) < 1e-12);
        // All on one class: (1 - 1/4)² + 3 / 16.
        let sure = from_values(vec![1e4, 0.0, 0.0, 0.0], [1, 4], &device()).autodiff().require_grad();
        let loss = confusion(sure.clone());
        assert!((scalar(loss.clone()) - 0.75).abs() < 1e-6);
        let gradient = values(sure.grad(&loss.backward()).unwrap());
        assert!(gradient.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn adversaries_stay_finite() {
        let logits =
            || from_values(vec![-1e4, -1.0, 0.0, 1.0, 1e4], [5], &device()).autodiff().require_grad();
        let (real, fake) = (logits(), logits());
        let loss = discriminator(real.clone(), fake.clone());
        assert!((scalar(loss.clone()) - 2.0 * (1e4 + 0.313_26 + 2f32.ln() + 1.313_26) / 5.0).abs() < 1e-2);
        let tape = loss.backward();
        let want = [0.0, 0.268_94, 0.5, 0.731_06, 1.0];
        for (got, want) in values(fake.grad(&tape).unwrap()).iter().zip(want) {
            assert!((got - want / 5.0).abs() < 1e-5, "{got} {want}");
        }
        assert!((scalar(generator(from_values(vec![0.0], [1], &device()))) - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn equal_embeddings_and_maps_cost_nothing() {
        let e = || from_values(vec![3.0, 4.0, -1.0, 0.5], [2, 2], &device());
        assert!(scalar(identity(e(), e().mul_scalar(2.0))) < 1e-12, "length does not count");
        assert!((scalar(identity(e(), e().neg())) - 4.0).abs() < 1e-5, "opposite directions are 2 apart");
        let map = || from_values(vec![1.0; 8], [1, 2, 2, 2], &device());
        assert_eq!(scalar(pair(map(), map())), 0.0);
    }

    #[test]
    fn targets_get_no_gradient() {
        let leaf = || from_values(vec![1.0, 2.0], [1, 2, 1, 1], &device()).autodiff().require_grad();
        let (low, high) = (leaf(), leaf());
        let tape = pair(low.clone().mul_scalar(2.0), high.clone()).backward();
        assert!(low.grad(&tape).is_some());
        assert!(high.grad(&tape).is_none_or(|g| values(g).iter().all(|v| *v == 0.0)));
    }
}

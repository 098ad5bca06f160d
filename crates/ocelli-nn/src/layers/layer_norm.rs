//! Layer normalisation.

use burn::tensor::Tensor;

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// Normalisation of each vector by its own mean and biased variance (`torch.nn.LayerNorm` over the last dimension):
/// `weight [C]`, `bias [C]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Param,
    bias: Param,
    epsilon: f64,
}

impl LayerNorm {
    /// Over vectors of `channels` elements at `path`: epsilon 1e-5, scale 1 and shift 0 to be learned.
    pub fn new(path: &Path, channels: usize) -> Self {
        Self {
            weight: path.param("weight", &[channels], Init::Ones, Role::Norm),
            bias: path.param("bias", &[channels], Init::Zeros, Role::Norm),
            epsilon: 1e-5,
        }
    }

    /// Added to the variance under the root.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// `[..., C]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ocelli_kernels::layer_norm(x, 1, Some([self.weight.value(), self.bias.value()]), self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn vectors_are_normalised_each_by_itself() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let norm = LayerNorm::new(&store.root(), 3).epsilon(0.5);
        store.find("weight").unwrap().set(from_values(vec![1.0, 2.0, 1.0], [3], &device));
        store.find("bias").unwrap().set(from_values(vec![0.0, 0.0, 7.0], [3], &device));
        let x = from_values(vec![1.0, 2.0, 6.0, 4.0, 4.0, 4.0], [1, 2, 3], &device);
        // Mean 3, biased variance 14 / 3.
        let deviation = (14f32 / 3.0 + 0.5).sqrt();
        let want = [-2.0 / deviation, -2.0 / deviation, 3.0 / deviation + 7.0, 0.0, 0.0, 7.0];
        for (got, want) in values(norm.forward(x)).iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
    }

    #[test]
    fn gradients_are_those_of_the_definition() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let norm = LayerNorm::new(&store.root(), 4);
        let x = from_values(vec![0.3, -1.0, 2.0, 0.7], [1, 4], &device).autodiff().require_grad();
        let weights = from_values(vec![1.0, -2.0, 0.5, 3.0], [1, 4], &device);
        let y = (norm.forward(x.clone()) * weights.clone()).sum();
        let got = values(x.grad(&y.backward()).unwrap());
        let z = x.clone() - x.clone().mean_dim(1);
        let variance = z.clone().square().mean_dim(1).add_scalar(1e-5);
        let y = (z / variance.sqrt() * weights).sum();
        let want = values(x.grad(&y.backward()).unwrap());
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?} {want:?}");
    }
}

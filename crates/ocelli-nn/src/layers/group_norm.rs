//! Group and instance normalisation.

use burn::tensor::Tensor;

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// Normalisation of each run of channels by its own mean and biased variance, sample by sample (`torch.nn.GroupNorm`):
/// `weight [C]`, `bias [C]`.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    affine: Option<(Param, Param)>,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// Over `channels` channels in `groups` runs at `path`: epsilon 1e-5, scale 1 and shift 0 to be learned.
    pub fn new(path: &Path, groups: usize, channels: usize) -> Self {
        let weight = path.param("weight", &[channels], Init::Ones, Role::Norm);
        let bias = path.param("bias", &[channels], Init::Zeros, Role::Norm);
        Self { affine: Some((weight, bias)), groups, epsilon: 1e-5 }
    }

    /// Every channel by itself, with nothing to be learned (`torch.nn.InstanceNorm1d`, `2d`, `3d`).
    pub fn instance(channels: usize) -> Self {
        Self { affine: None, groups: channels, epsilon: 1e-5 }
    }

    /// Every channel by itself, scale 1 and shift 0 to be learned at `path` (`InstanceNorm` with `affine`).
    pub fn affine_instance(path: &Path, channels: usize) -> Self {
        Self::new(path, channels, channels)
    }

    /// Added to the variance under the root.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// `[B, C, ...]` to the same shape.
    ///
    /// # Panics
    /// When the groups do not divide the channels.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let affine = self.affine.as_ref().map(|(weight, bias)| [weight.value(), bias.value()]);
        ocelli_kernels::group_norm(x, self.groups, affine, self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn groups_are_normalised_each_by_itself() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let norm = GroupNorm::new(&store.root(), 2, 4).epsilon(0.5);
        store.find("weight").unwrap().set(from_values(vec![1.0, 2.0, 1.0, 1.0], [4], &device));
        store.find("bias").unwrap().set(from_values(vec![0.0, 0.0, 7.0, 0.0], [4], &device));
        let x = from_values(vec![1.0, 5.0, 3.0, 3.0], [1, 4, 1], &device);
        // Mean 3, biased variance 4; and no variance at all.
        let deviation = 4.5f32.sqrt();
        let want = [-2.0 / deviation, 4.0 / deviation, 7.0, 0.0];
        for (got, want) in values(norm.forward(x.clone())).iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        // A channel of one number is its own mean.
        assert_eq!(values(GroupNorm::instance(4).forward(x)), [0.0; 4]);
    }
}

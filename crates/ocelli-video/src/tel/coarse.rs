//! The coarse stream: contexts of growing reach.

use burn::tensor::Tensor;
use ocelli_nn::Path;
use ocelli_nn::layers::{Conv1d, Conv1dConfig};
use ocelli_nn::ops::activation::relu;

use super::mask::Mask;

/// Residual convolutions over time whose dilation doubles from level to level; what each level gives is kept.
#[derive(Clone, Debug)]
pub struct CoarseStream {
    /// A dilated convolution and the pointwise one behind it, for each level.
    levels: Vec<(Conv1d, Conv1d)>,
}

impl CoarseStream {
    /// `levels` levels on features of `dim` elements at `path`: `dilated.<l>` and `pointwise.<l>`.
    ///
    /// # Panics
    /// When there are so many levels that a dilation does not fit a word.
    pub fn new(path: &Path, dim: usize, levels: usize) -> Self {
        let (dilated, pointwise) = (path.at("dilated"), path.at("pointwise"));
        // All dilated ones come first in the state dict.
        let wide = (0..levels).map(|level| {
            let dilation = 1 << level;
            Conv1dConfig::new(dim, dim, 3).dilation(dilation).padding(dilation).build(&dilated.at(level))
        });
        let wide: Vec<Conv1d> = wide.collect();
        let narrow = (0..levels).map(|level| Conv1dConfig::new(dim, dim, 1).build(&pointwise.at(level)));
        Self { levels: wide.into_iter().zip(narrow).collect() }
    }

    /// Features `[B, T, D]` to the contexts of every level, `[B, T, L, D]`:
    /// h₀ = x m, h_l = (h_{l-1} + Conv1x1(ReLU(Conv3(h_{l-1})))) m.
    ///
    /// Beyond both ends there are zeros, and padded segments become zeros again after every level: nothing seeps in
    /// from where no segment is.
    pub fn forward(&self, x: Tensor<3>, mask: &Mask) -> Tensor<4> {
        let keep = mask.over_time();
        let mut h = x.swap_dims(1, 2) * keep.clone();
        let contexts = self.levels.iter().map(|(dilated, pointwise)| {
            let change = pointwise.forward(relu(dilated.forward(h.clone())));
            h = (h.clone() + change) * keep.clone();
            h.clone().swap_dims(1, 2)
        });
        Tensor::stack(contexts.collect(), 2)
    }
}

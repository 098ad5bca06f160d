//! Which segments of a batch are real.

use burn::tensor::{Device, Tensor};
use ocelli_nn::tensor::{from_values, values};

/// Clips of a batch have different numbers of segments and are padded to the longest: 1 for a real segment, 0 for
/// padding, `[B, T]`. The values are kept on the host too, where losses count with them.
#[derive(Clone, Debug)]
pub struct Mask {
    tensor: Tensor<2>,
    host: Vec<bool>,
}

impl Mask {
    /// From a tensor `[B, T]`; what is not 0 is real.
    pub fn new(tensor: Tensor<2>) -> Self {
        let tensor = tensor.without_autodiff();
        let host = values(tensor.clone()).iter().map(|&v| v != 0.0).collect();
        Self { tensor, host }
    }

    /// Of clips of these lengths, padded to the longest.
    pub fn of_lengths(lengths: &[usize], device: &Device) -> Self {
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let host: Vec<bool> = lengths.iter().flat_map(|&l| (0..longest).map(move |t| t < l)).collect();
        let floats = host.iter().map(|&real| f32::from(u8::from(real))).collect();
        Self { tensor: from_values(floats, [lengths.len(), longest], device), host }
    }

    /// Clips and segments, padding included.
    pub fn dims(&self) -> [usize; 2] {
        self.tensor.dims()
    }

    /// Whether segment `t` of clip `b` is real.
    pub fn is_real(&self, b: usize, t: usize) -> bool {
        self.host[b * self.dims()[1] + t]
    }

    /// Real segments of each clip.
    pub fn lengths(&self) -> Vec<usize> {
        let [clips, segments] = self.dims();
        let clip = |b: usize| (0..segments).filter(|&t| self.is_real(b, t)).count();
        (0..clips).map(clip).collect()
    }

    /// `[B, T, 1]`, beside features.
    pub fn beside(&self) -> Tensor<3> {
        self.tensor.clone().unsqueeze_dim(2)
    }

    /// `[B, 1, T]`, beside features with time last.
    pub fn over_time(&self) -> Tensor<3> {
        self.tensor.clone().unsqueeze_dim(1)
    }
}

//! Dropout.

use burn::tensor::Tensor;
use ocelli_kernels::dropout;

use crate::pass::Pass;

/// Sets each element to 0 with probability `p` in training and scales the rest by `1 / (1 - p)` (`torch.nn.Dropout`).
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Share that is dropped, from 0 up to but not including 1.
    pub p: f64,
}

impl Dropout {
    /// Any shape to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        match pass.kept_by_dropout(x.shape().num_elements(), self.p) {
            Some(kept) => dropout(x, &kept, 1.0 / (1.0 - self.p)),
            None => x,
        }
    }
}

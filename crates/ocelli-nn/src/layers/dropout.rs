//! Dropout.

use burn::tensor::Tensor;

use crate::pass::Pass;
use crate::tensor::from_values;

/// Sets each element to 0 with probability `p` in training and scales the rest by `1 / (1 - p)` (`torch.nn.Dropout`).
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Share that is dropped, from 0 up to but not including 1.
    pub p: f64,
}

impl Dropout {
    /// Any shape to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        match pass.dropout_mask(x.shape().num_elements(), self.p) {
            Some(mask) => {
                let mask = from_values(mask, x.dims(), &x.device().without_autodiff());
                x * mask
            }
            None => x,
        }
    }
}

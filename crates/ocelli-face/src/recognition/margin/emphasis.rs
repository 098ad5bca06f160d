//! Hard negatives made harder.

use burn::tensor::{Bool, Tensor};

/// Hard negatives become `slope · c + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emphasis {
    /// The factor, through which gradients flow.
    pub slope: f64,
    /// The constant.
    pub shift: f64,
}

impl Emphasis {
    /// MV-Softmax (Wang et al. 2020, equation 8) with the re-weighting `w = t + 1`: `w c + w - 1`.
    pub fn mv_softmax(w: f64) -> Self {
        Self { slope: w, shift: w - 1.0 }
    }

    /// Applies it to the cosines `c [B, C]` where `hard [B, C]`; the others stay as they are.
    pub fn apply(&self, c: Tensor<2>, hard: Tensor<2, Bool>) -> Tensor<2> {
        let raised = c.clone().mul_scalar(self.slope).add_scalar(self.shift);
        c.mask_where(hard, raised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, values};

    #[test]
    fn hard_negatives_alone_are_raised_and_may_pass_one() {
        let device = ocelli_nn::device("cpu").unwrap();
        let c = from_values(vec![0.95, 0.25], [1, 2], &device).autodiff().require_grad();
        let hard = from_values(vec![1.0, 0.0], [1, 2], &device).greater_elem(0.5);
        let raised = Emphasis::mv_softmax(1.25).apply(c.clone(), hard);
        let got = values(raised.clone());
        assert!((got[0] - (1.25 * 0.95 + 0.25)).abs() < 1e-6);
        assert_eq!(got[1], 0.25);
        assert_eq!(values(c.grad(&raised.sum().backward()).unwrap()), [1.25, 1.0]);
    }
}

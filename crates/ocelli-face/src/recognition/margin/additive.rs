//! Margins subtracted from the cosine.

use burn::tensor::Tensor;

use super::{Margined, Reach};

/// The additive margin of AM-Softmax (Wang et al. 2018, equation 4) and CosFace (Wang et al. 2018, equation 4):
/// `cos(theta) - m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdditiveMargin {
    /// The margin, a cosine.
    pub m: f64,
    /// Which true classes it holds for.
    pub reach: Reach,
}

impl AdditiveMargin {
    /// For all true classes, as published.
    pub fn new(m: f64) -> Self {
        Self { m, reach: Reach::EVERYWHERE }
    }

    /// Applies the margin to the cosines `g [B, 1]` of the true classes.
    pub fn apply(&self, g: Tensor<2>) -> Margined {
        let shifted = g.clone().sub_scalar(self.m);
        Margined { logit: self.reach.apply(g, shifted.clone()), shifted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, values};

    #[test]
    fn out_of_reach_the_cosine_stays() {
        let device = ocelli_nn::device("cpu").unwrap();
        let g = from_values(vec![0.75, 0.25, 0.0, -0.5], [4, 1], &device);
        let apply = |reach| values(AdditiveMargin { m: 0.25, reach }.apply(g.clone()).logit);
        assert_eq!(apply(Reach::EVERYWHERE), [0.5, 0.0, -0.25, -0.75]);
        assert_eq!(apply(Reach::EASY), [0.5, 0.0, 0.0, -0.5]);
        assert_eq!(apply(Reach::above(0.25)), [0.5, 0.25, 0.0, -0.5]);
    }
}

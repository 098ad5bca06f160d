//! Which true classes a margin holds for.

use burn::tensor::Tensor;

/// A margin holds for true classes whose cosine is strictly above `above`; the cosines of the others are lowered by
/// `otherwise` instead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Smallest cosine, not included.
    pub above: f64,
    /// What is subtracted from the cosines of the others.
    pub otherwise: f64,
}

impl Reach {
    /// All true classes.
    pub const EVERYWHERE: Self = Self { above: f64::NEG_INFINITY, otherwise: 0.0 };

    /// True classes less than a right angle away, the others as they are: the "easy margin".
    pub const EASY: Self = Self { above: 0.0, otherwise: 0.0 };

    /// True classes with a cosine above `cosine`, the others as they are.
    pub fn above(cosine: f64) -> Self {
        Self { above: cosine, otherwise: 0.0 }
    }

    /// Easy or everywhere, as the switch of most published code says.
    pub fn easy_if(easy_margin: bool) -> Self {
        if easy_margin { Self::EASY } else { Self::EVERYWHERE }
    }

    /// `margined [B, 1]` within reach of the cosines `g [B, 1]`, else `g - otherwise`.
    pub fn apply(self, g: Tensor<2>, margined: Tensor<2>) -> Tensor<2> {
        if self.above == f64::NEG_INFINITY {
            return margined;
        }
        let beyond = g.clone().lower_equal_elem(self.above);
        margined.mask_where(beyond, if self.otherwise == 0.0 { g } else { g.sub_scalar(self.otherwise) })
    }
}

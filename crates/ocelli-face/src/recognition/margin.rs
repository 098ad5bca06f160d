//! What all margin heads share: cosines to class prototypes, and the logit of the true class.

use burn::tensor::{Bool, Int, Tensor};
use ocelli_nn::ops::{normalize_columns, normalize_rows, one_hot};

/// A head that turns embeddings into class logits for training.
pub trait Head: std::fmt::Debug {
    /// Logits of `embeddings [B, D]` against all classes, given the `labels [B]`.
    ///
    /// A head with a state updates it when `training` is set.
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput;
}

/// What a head gives.
#[derive(Clone, Debug)]
pub struct HeadOutput {
    /// Logits with the margin, for the loss: `[B, C]`.
    pub logits: Tensor<2>,
    /// Plain scaled cosines, for reading off accuracies: `[B, C]`, detached.
    pub origin_logits: Tensor<2>,
    /// Further numbers worth logging.
    pub numbers: Vec<(&'static str, f64)>,
}

/// Cosines between embeddings and prototypes, with the true class marked.
#[derive(Clone, Debug)]
pub struct Cosines {
    /// `[B, C]`, from -1 to 1.
    pub all: Tensor<2>,
    /// Those of the true classes, `[B, 1]`.
    pub positive: Tensor<2>,
    /// True at the label's column, `[B, C]`.
    pub label_mask: Tensor<2, Bool>,
}

impl Cosines {
    /// Of `embeddings [B, D]` and column prototypes `kernel [D, C]`, both normalised without an epsilon and the
    /// product clamped. A zero embedding gives NaN.
    pub fn new(embeddings: Tensor<2>, kernel: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        let [_, classes] = kernel.dims();
        let all = normalize_rows(embeddings).matmul(normalize_columns(kernel)).clamp(-1.0, 1.0);
        let positive = all.clone().gather(1, labels.clone().unsqueeze_dim(1));
        let label_mask = one_hot(labels, classes).greater_elem(0.5);
        Self { all, positive, label_mask }
    }

    /// `negatives` with the label's column replaced by `positive [B, 1]`, both times `s`: `[B, C]`.
    pub fn compose(&self, negatives: Tensor<2>, positive: Tensor<2>, s: f64) -> Tensor<2> {
        let shape = negatives.dims();
        negatives.mask_where(self.label_mask.clone(), positive.expand(shape)).mul_scalar(s)
    }

    /// The plain cosines times `s`, detached.
    pub fn origin_logits(&self, s: f64) -> Tensor<2> {
        self.all.clone().detach().mul_scalar(s)
    }
}

/// The additive angular margin of ArcFace (Deng et al. 2019, equation 3).
#[derive(Clone, Copy, Debug)]
pub struct AngularMargin {
    /// The margin in radians.
    pub m: f64,
}

/// The true class under an angular margin.
#[derive(Clone, Debug)]
pub struct Margined {
    /// cos(theta + m), whatever theta: `[B, 1]`.
    pub shifted: Tensor<2>,
    /// The logit: `shifted`, continued monotonically where theta + m passes pi. `[B, 1]`.
    pub logit: Tensor<2>,
}

/// Below this the root of `1 - g²` is held up: its derivative is infinite at 0.
const SMALLEST_RADICAND: f64 = 1e-12;

impl AngularMargin {
    /// Applies the margin to the cosines `g [B, 1]` of the true classes.
    pub fn apply(&self, g: Tensor<2>) -> Margined {
        let sine = g.clone().square().neg().add_scalar(1.0).clamp_min(SMALLEST_RADICAND).sqrt();
        let shifted = g.clone().mul_scalar(self.m.cos()).sub(sine.mul_scalar(self.m.sin()));
        let pi = std::f64::consts::PI;
        let beyond = g.clone().lower_equal_elem((pi - self.m).cos());
        let continued = g.sub_scalar(self.m * (pi - self.m).sin());
        Margined { logit: shifted.clone().mask_where(beyond, continued), shifted }
    }
}

//! Cosines between embeddings and prototypes.

use burn::tensor::{Bool, Int, Tensor};
use ocelli_nn::ops::activation::clamp;
use ocelli_nn::ops::{Chain, l2_normalize, label_mask, normalize_columns, normalize_rows, replace_in_rows};

/// What vectors are divided by before the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// Their norm, without an epsilon: a zero vector gives NaN.
    Strict,
    /// Their norm, at least 1e-12: a zero vector stays zero.
    Floored,
    /// Nothing.
    None,
}

/// How cosines are formed, which is where published heads differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CosineRule {
    /// Of the embeddings.
    pub embeddings: Normalization,
    /// Of the prototypes.
    pub prototypes: Normalization,
    /// Whether products are held within -1 and 1, where rounding may carry them past. Gradients end there.
    pub clamped: bool,
}

impl CosineRule {
    /// Both normalised without an epsilon, clamped.
    pub const STRICT: Self =
        Self { embeddings: Normalization::Strict, prototypes: Normalization::Strict, clamped: true };

    /// Both normalised with a floor of 1e-12, clamped.
    pub const FLOORED: Self =
        Self { embeddings: Normalization::Floored, prototypes: Normalization::Floored, clamped: true };

    /// Plain inner products.
    pub const PRODUCT: Self =
        Self { embeddings: Normalization::None, prototypes: Normalization::None, clamped: false };

    /// Of `embeddings [B, D]` and prototypes that are the columns of `kernel [D, C]`; `labels [B]`.
    pub fn with_columns(self, embeddings: Tensor<2>, kernel: Tensor<2>, labels: Tensor<1, Int>) -> Cosines {
        let kernel = match self.prototypes {
            Normalization::Strict => normalize_columns(kernel),
            Normalization::Floored => l2_normalize(kernel, 0),
            Normalization::None => kernel,
        };
        self.product(embeddings, kernel, labels)
    }

    /// Of `embeddings [B, D]` and prototypes that are the rows of `centers [C, D]`; `labels [B]`.
    pub fn with_rows(self, embeddings: Tensor<2>, centers: Tensor<2>, labels: Tensor<1, Int>) -> Cosines {
        let centers = rows(centers, self.prototypes);
        self.product(embeddings, centers.transpose(), labels)
    }

    fn product(self, embeddings: Tensor<2>, kernel: Tensor<2>, labels: Tensor<1, Int>) -> Cosines {
        let all = rows(embeddings, self.embeddings).matmul(kernel);
        let all = if self.clamped { clamp(all, -1.0, 1.0) } else { all };
        Cosines::from_values(all, labels)
    }
}

fn rows(x: Tensor<2>, normalization: Normalization) -> Tensor<2> {
    match normalization {
        Normalization::Strict => normalize_rows(x),
        Normalization::Floored => l2_normalize(x, 1),
        Normalization::None => x,
    }
}

/// Cosines between embeddings and prototypes, with the true class marked.
#[derive(Clone, Debug)]
pub struct Cosines {
    /// `[B, C]`, from -1 to 1.
    pub all: Tensor<2>,
    /// Those of the true classes, `[B, 1]`.
    pub positive: Tensor<2>,
    /// The true classes, `[B]`.
    pub labels: Tensor<1, Int>,
}

impl Cosines {
    /// Of `embeddings [B, D]` and column prototypes `kernel [D, C]`, both normalised without an epsilon and the
    /// product clamped. A zero embedding gives NaN.
    pub fn new(embeddings: Tensor<2>, kernel: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        CosineRule::STRICT.with_columns(embeddings, kernel, labels)
    }

    /// Of cosines `all [B, C]` that are there already; `labels [B]`.
    pub fn from_values(all: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        let positive = all.clone().gather(1, labels.clone().unsqueeze_dim(1));
        Self { all, positive, labels }
    }

    /// Negatives above the row's `gate [B, 1]`, strictly: `[B, C]`, false at the labels. No gradient flows through it.
    pub fn above(&self, gate: &Tensor<2>) -> Tensor<2, Bool> {
        let gate = gate.clone().detach().expand(self.all.dims());
        let above = self.all.clone().detach().greater(gate);
        let [_, classes] = self.all.dims();
        above.bool_and(label_mask(self.labels.clone(), classes).bool_not())
    }

    /// `negatives` with the label's column replaced by `positive [B, 1]`: `[B, C]`.
    pub fn replace(&self, negatives: Tensor<2>, positive: Tensor<2>) -> Tensor<2> {
        replace_in_rows(negatives, self.labels.clone(), positive)
    }

    /// `negatives` with the label's column replaced by `positive [B, 1]`, both times `s`: `[B, C]`.
    pub fn compose(&self, negatives: Tensor<2>, positive: Tensor<2>, s: f64) -> Tensor<2> {
        Chain::of(self.replace(negatives, positive)).mul_scalar(s).run()
    }

    /// The plain cosines times `s`, detached.
    pub fn origin_logits(&self, s: f64) -> Tensor<2> {
        Chain::of(self.all.clone().detach()).mul_scalar(s).run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, integers, values};

    #[test]
    fn columns_and_rows_are_the_same_prototypes() {
        let device = ocelli_nn::device("cpu").unwrap();
        let x = from_values(vec![1.0, 2.0, -3.0, 0.5], [2, 2], &device);
        let kernel = from_values(vec![2.0, 0.0, 1.0, 0.0, 3.0, -1.0], [2, 3], &device);
        let labels = integers(&[2, 0], &device);
        for rule in [CosineRule::STRICT, CosineRule::FLOORED, CosineRule::PRODUCT] {
            let columns = rule.with_columns(x.clone(), kernel.clone(), labels.clone());
            let rows = rule.with_rows(x.clone(), kernel.clone().transpose(), labels.clone());
            let (a, b) = (values(columns.all), values(rows.all));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
            assert_eq!(values(columns.positive), [a[2], a[3]]);
        }
    }

    #[test]
    fn floored_zeros_have_finite_cosines_and_gradients() {
        let device = ocelli_nn::device("cpu").unwrap();
        let x = from_values(vec![0.0, 0.0], [1, 2], &device).autodiff().require_grad();
        let kernel = from_values(vec![0.0, 1.0, 0.0, 1.0], [2, 2], &device);
        let cosines = CosineRule::FLOORED.with_columns(x.clone(), kernel, integers(&[1], &device));
        assert_eq!(values(cosines.all.clone()), [0.0, 0.0]);
        let gradient = x.grad(&cosines.all.sum().backward()).unwrap();
        assert!(values(gradient).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn the_gate_is_strict_and_spares_the_label() {
        let device = ocelli_nn::device("cpu").unwrap();
        let all = from_values(vec![0.9, 0.5, 0.6], [1, 3], &device);
        let cosines = Cosines::from_values(all, integers(&[0], &device));
        let hard = cosines.above(&from_values(vec![0.5], [1, 1], &device));
        assert_eq!(values(hard.float()), [0.0, 0.0, 1.0]);
    }
}

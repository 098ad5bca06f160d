//! Operations without weights that several methods share.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Rows divided by their Euclidean norm, without an epsilon: a zero row becomes NaN. `[B, D]` to `[B, D]`.
pub fn normalize_rows(x: Tensor<2>) -> Tensor<2> {
    let norm = x.clone().square().sum_dim(1).sqrt();
    x / norm
}

/// Rows divided by their Euclidean norm, but by no less than 1e-12 (`torch.nn.functional.normalize`): a zero row stays
/// zero, with a gradient that is finite. `[B, D]` to `[B, D]`.
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    // Held up before the root, whose slope at 0 is infinite.
    let norm = x.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
    x / norm
}

/// Columns divided by their Euclidean norm, without an epsilon. `[D, C]` to `[D, C]`.
pub fn normalize_columns(x: Tensor<2>) -> Tensor<2> {
    let norm = x.clone().square().sum_dim(0).sqrt();
    x / norm
}

/// Mean softmax cross entropy of `logits [B, C]` against `labels [B]`, as a tensor `[1]`.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let log_probabilities = log_softmax(logits, 1);
    log_probabilities.gather(1, labels.unsqueeze_dim(1)).mean().neg()
}

/// 1 in each row at the label's column, else 0: labels `[B]` to `[B, classes]`.
pub fn one_hot(labels: Tensor<1, Int>, classes: usize) -> Tensor<2> {
    let [b] = labels.dims();
    let device = labels.device();
    let columns = Tensor::<1, Int>::arange(0..classes as i64, &device).unsqueeze_dim::<2>(0);
    columns.expand([b, classes]).equal(labels.unsqueeze_dim::<2>(1).expand([b, classes])).float()
}

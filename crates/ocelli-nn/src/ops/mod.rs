//! Operations without weights that several methods share.

mod grid_sample;
mod resize;

pub use grid_sample::{SampleMode, SampleOptions, SamplePadding, affine_grid, grid_sample};
pub use resize::{ResizeMode, ResizeTo, interpolate};

use burn::tensor::{Bool, Int, Tensor};
use ocelli_kernels::CrossEntropy;
pub use ocelli_kernels::{Chain, activation, log_softmax, replace_in_rows, softmax};

/// Rows divided by their Euclidean norm, without an epsilon: a zero row becomes NaN. `[B, D]` to `[B, D]`.
pub fn normalize_rows(x: Tensor<2>) -> Tensor<2> {
    ocelli_kernels::l2_normalize(x, 1, 0.0)
}

/// Columns divided by their Euclidean norm, without an epsilon. `[D, C]` to `[D, C]`.
pub fn normalize_columns(x: Tensor<2>) -> Tensor<2> {
    ocelli_kernels::l2_normalize(x, 0, 0.0)
}

/// Divided by the Euclidean norm along `dim`, which counts as at least 1e-12 (`torch.nn.functional.normalize`): a zero
/// row stays zero, with finite gradients. Any shape to the same.
pub fn l2_normalize<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    ocelli_kernels::l2_normalize(x, dim, 1e-12)
}

/// Euclidean norm along `dim`, which becomes 1; at least 1e-12.
pub fn l2_norm<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    // Held up under the root, whose derivative is infinite at 0.
    x.square().sum_dim(dim).clamp_min(1e-24).sqrt()
}

/// Mean softmax cross entropy of `logits [B, C]` against `labels [B]`, as a tensor `[1]`.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    ocelli_kernels::cross_entropy(logits, labels, &CrossEntropy::default())
}

/// 1 in each row at the label's column, else 0: labels `[B]` to `[B, classes]`.
pub fn one_hot(labels: Tensor<1, Int>, classes: usize) -> Tensor<2> {
    label_mask(labels, classes).float()
}

/// True in each row at the label's column: labels `[B]` to `[B, classes]`.
pub fn label_mask(labels: Tensor<1, Int>, classes: usize) -> Tensor<2, Bool> {
    let [b] = labels.dims();
    let device = labels.device();
    let columns = Tensor::<1, Int>::arange(0..classes as i64, &device).unsqueeze_dim::<2>(0);
    columns.expand([b, classes]).equal(labels.unsqueeze_dim::<2>(1).expand([b, classes]))
}

/// ln(1 + eˣ) with its slope, for any x without overflow: any shape to the same.
pub fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softplus(x, 1.0)
}

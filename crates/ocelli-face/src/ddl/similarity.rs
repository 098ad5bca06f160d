//! The similarities that distributions are made of: of pairs of one person, and of each face's hardest stranger.

use burn::tensor::{Int, Tensor};
use ocelli_nn::ops::l2_normalize;
use ocelli_nn::tensor::values;

/// Cosines of the pairs `first [b, D]`, `second [b, D]` of one person each that are strictly above 0, in their order:
/// `[kept]`, perhaps empty.
pub fn positive_similarities(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
    let [pairs, _] = first.dims();
    let all = (l2_normalize(first, 1) * l2_normalize(second, 1)).sum_dim(1).reshape([pairs]);
    let kept: Vec<i64> = values(all.clone().without_autodiff())
        .iter()
        .enumerate()
        .filter_map(|(i, &s)| (s > 0.0).then_some(i as i64))
        .collect();
    if kept.len() == pairs {
        return all;
    }
    let device = all.device().without_autodiff();
    let kept: Tensor<1, Int> = ocelli_nn::tensor::integers(&kept, &device);
    all.select(0, kept)
}

/// For each of `x [b, D]`, embeddings of b different people, the largest cosine with one that comes later in the batch:
/// `[b]`.
///
/// Each pair counts once. Nothing is below 0, as in the released code: where all are negative, and in the last row, the
/// value is 0 and has no gradient.
pub fn hard_negatives(x: Tensor<2>) -> Tensor<1> {
    let [b, _] = x.dims();
    let unit = l2_normalize(x, 1);
    let cosines = unit.clone().matmul(unit.transpose());
    let device = cosines.device().without_autodiff();
    let row = Tensor::<1, Int>::arange(0..b as i64, &device);
    let later =
        row.clone().unsqueeze_dim::<2>(1).expand([b, b]).lower(row.unsqueeze_dim::<2>(0).expand([b, b]));
    cosines.mask_fill(later.bool_not(), 0.0).max_dim(1).reshape([b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::from_values;

    fn rows<const N: usize>(rows: [[f32; 2]; N]) -> Tensor<2> {
        let device = ocelli_nn::device("cpu").unwrap();
        from_values(rows.concat(), [N, 2], &device).autodiff().require_grad()
    }

    #[test]
    fn pairs_that_point_apart_are_left_out() {
        let first = rows([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]);
        let second = rows([[3.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
        let kept = positive_similarities(first.clone(), second);
        assert_eq!(kept.dims(), [2]);
        let kept_values = values(kept.clone());
        assert!((kept_values[0] - 1.0).abs() < 1e-6 && (kept_values[1] - 0.5f32.sqrt()).abs() < 1e-6);
        let gradient = values(first.grad(&kept.sum().backward()).unwrap());
        assert_eq!(gradient[2..6], [0.0; 4]);
        assert_eq!(positive_similarities(rows([[1.0, 0.0]]), rows([[-1.0, 0.0]])).dims(), [0]);
    }

    #[test]
    fn each_pair_counts_once_and_nothing_is_below_zero() {
        let x = rows([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [0.0, 1.0]]);
        let s = hard_negatives(x.clone());
        let found = values(s.clone());
        for (got, want) in found.iter().zip([0.6, 0.8, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{found:?}");
        }
        let gradient = values(x.grad(&s.sum().backward()).unwrap());
        assert_eq!(gradient[4..6], [0.0; 2], "the third is similar to nobody");
        assert!(gradient.iter().all(|g| g.is_finite()));
        assert_eq!(values(hard_negatives(rows([[1.0, 2.0]]))), [0.0], "alone");
        assert!(values(hard_negatives(rows([[0.0, 0.0], [0.0, 0.0]]))).iter().all(|&s| s == 0.0));
    }
}

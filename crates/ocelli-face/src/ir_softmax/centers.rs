//! The two ways of keeping centres at the means of their classes.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

/// Moves `centers [C, D]` towards the `features [B, D]` of a batch with `labels [B]`, the rule of centre loss (Wen et al.
/// 2016, equation 4): `c_j + alpha Σ (f_i - c_j) / (1 + n_j)` over the `n_j` pictures of class j. Classes that are
/// absent from the batch stay.
pub fn running(centers: Tensor<2>, features: Tensor<2>, labels: Tensor<1, Int>, alpha: f64) -> Tensor<2> {
    let [batch, _] = features.dims();
    let own = labels.clone().unsqueeze_dim::<2>(1).expand([batch, batch]);
    let count = own.clone().equal(own.transpose()).float().sum_dim(1);
    let offset = features.detach() - centers.clone().select(0, labels.clone());
    let step = offset.mul_scalar(alpha) / count.add_scalar(1.0);
    centers.select_assign(0, labels, step, IndexingUpdateOp::Add)
}

/// Means over all pictures, taken batch by batch.
#[derive(Clone, Debug)]
pub struct ClassMeans {
    sums: Tensor<2>,
    counts: Tensor<2>,
}

impl ClassMeans {
    /// No pictures yet; for centres like these, `[C, D]`.
    pub fn like(centers: &Tensor<2>) -> Self {
        let [classes, _] = centers.dims();
        Self { sums: centers.zeros_like(), counts: Tensor::zeros([classes, 1], &centers.device()) }
    }

    /// Adds `features [B, D]` of pictures with `labels [B]`.
    pub fn add(&mut self, features: Tensor<2>, labels: Tensor<1, Int>) {
        let [batch, _] = features.dims();
        let ones = Tensor::ones([batch, 1], &features.device());
        self.sums =
            self.sums.clone().select_assign(0, labels.clone(), features.detach(), IndexingUpdateOp::Add);
        self.counts = self.counts.clone().select_assign(0, labels, ones, IndexingUpdateOp::Add);
    }

    /// The means, `[C, D]`; a class without pictures keeps its place in `old`.
    pub fn means(self, old: Tensor<2>) -> Tensor<2> {
        let absent = self.counts.clone().lower_elem(0.5).expand(old.dims());
        (self.sums / self.counts.clamp_min(1.0)).mask_where(absent, old)
    }
}

/// The recomputing rule at once: means of `features [N, D]` with `labels [N]`, `old [C, D]` for classes without any.
pub fn recompute(old: Tensor<2>, features: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
    let mut means = ClassMeans::like(&old);
    means.add(features, labels);
    means.means(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, integers, values};

    fn example() -> (Tensor<2>, Tensor<2>, Tensor<1, Int>) {
        let device = ocelli_nn::device("cpu").unwrap();
        let centers = from_values(vec![1.0, 1.0, -5.0, 7.0, 0.0, 0.0], [3, 2], &device);
        let features = from_values(vec![2.0, 4.0, 3.0, 0.0, 8.0, 8.0], [3, 2], &device);
        (centers, features, integers(&[0, 0, 2], &device))
    }

    #[test]
    fn running_centres_keep_a_share_of_their_place() {
        let (centers, features, labels) = example();
        let moved = values(running(centers, features, labels, 1.0));
        // Two pictures: a third of the way is kept; one: a half; none: all.
        let want = [(1.0 + 2.0 + 3.0) / 3.0, (1.0 + 4.0 + 0.0) / 3.0, -5.0, 7.0, 4.0, 4.0];
        assert!(moved.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{moved:?}");
    }

    #[test]
    fn alpha_zero_stays() {
        let (centers, features, labels) = example();
        assert_eq!(values(running(centers.clone(), features, labels, 0.0)), values(centers));
    }

    #[test]
    fn means_are_the_same_batch_by_batch() {
        let (centers, features, labels) = example();
        let want = vec![2.5, 2.0, -5.0, 7.0, 8.0, 8.0];
        assert_eq!(values(recompute(centers.clone(), features.clone(), labels.clone())), want);
        let mut means = ClassMeans::like(&centers);
        for i in 0..3 {
            means.add(features.clone().narrow(0, i, 1), labels.clone().narrow(0, i, 1));
        }
        assert_eq!(values(means.means(centers)), want);
    }
}

//! The distribution distillation loss: hard faces learn the similarity distributions of easy ones.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::histogram::{Histogram, divergence};
use super::similarity::{hard_negatives, positive_similarities};

/// Weights of the three terms, and how distributions are formed; those of the released configuration by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DdlConfig {
    /// Weight of the divergence of positive similarities (lambda 1 of the paper).
    pub pos_kl_weight: f64,
    /// Weight of the divergence of negative similarities (lambda 2).
    pub neg_kl_weight: f64,
    /// Weight of the order of positives above negatives (lambda 3).
    pub order_loss_weight: f64,
    /// The histograms.
    pub histogram: Histogram,
    /// Added to both distributions of a divergence.
    pub eps: f64,
}

impl Default for DdlConfig {
    fn default() -> Self {
        Self {
            pos_kl_weight: 0.1,
            neg_kl_weight: 0.02,
            order_loss_weight: 0.5,
            histogram: Histogram::default(),
            eps: 1e-9,
        }
    }
}

impl DdlConfig {
    /// All three weights times a factor.
    #[must_use]
    pub fn weighted(self, factor: f64) -> Self {
        Self {
            pos_kl_weight: factor * self.pos_kl_weight,
            neg_kl_weight: factor * self.neg_kl_weight,
            order_loss_weight: factor * self.order_loss_weight,
            ..self
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        for (key, weight) in [
            ("pos_kl_weight", self.pos_kl_weight),
            ("neg_kl_weight", self.neg_kl_weight),
            ("order_loss_weight", self.order_loss_weight),
        ] {
            if !weight.is_finite() || weight < 0.0 {
                return Err(format!("{key}: {weight} is below 0"));
            }
        }
        if !self.eps.is_finite() || self.eps <= 0.0 {
            return Err(format!("eps: {} is not above 0", self.eps));
        }
        self.histogram.validate().map_err(|reason| format!("histogram.{reason}"))
    }
}

/// The embeddings of one branch, `[b, D]` each, of one network in one step.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Faces of b different people.
    pub neg: Tensor<2>,
    /// Faces of b people …
    pub first: Tensor<2>,
    /// … and other faces of the same.
    pub second: Tensor<2>,
}

/// The similarities of one branch and their distributions.
#[derive(Clone, Debug)]
pub struct Distributions {
    /// Similarities of pairs that are above 0, `[kept]`.
    pub positives: Tensor<1>,
    /// Similarity of each face to its hardest stranger, `[b]`.
    pub negatives: Tensor<1>,
    /// Distribution of the positives, `[nodes]`; none when all pairs point apart.
    pub positive: Option<Tensor<1>>,
    /// Distribution of the negatives, `[nodes]`.
    pub negative: Tensor<1>,
}

/// The loss and its terms.
#[derive(Clone, Debug)]
pub struct DdlOutput {
    /// The weighted sum, `[1]`.
    pub loss: Tensor<1>,
    /// Divergences of the students' positives from the teacher's, summed, `[1]`.
    pub pos_kl: Tensor<1>,
    /// Divergences of the students' negatives, summed, `[1]`.
    pub neg_kl: Tensor<1>,
    /// Mean negatives less mean positives over all pairs of branches, summed, `[1]`.
    pub order: Tensor<1>,
    /// Branch by branch.
    pub branches: Vec<Distributions>,
}

/// Equations 1 to 5 of the paper over any number of branches; the first is the teacher. With one branch only the order
/// is left.
///
/// A branch whose pairs all point apart has no positive distribution; the terms that would need it are left out.
///
/// # Panics
/// Without a branch.
pub fn ddl_loss(branches: &[Branch], config: &DdlConfig) -> DdlOutput {
    let branches: Vec<Distributions> =
        branches.iter().map(|branch| Distributions::new(branch, &config.histogram)).collect();
    let (teacher, students) = branches.split_first().expect("a teacher at least");
    let zero = Tensor::<1>::zeros([1], &teacher.negatives.device().without_autodiff());
    let mut pos_kl = zero.clone();
    let mut neg_kl = zero.clone();
    for student in students {
        if let (Some(p), Some(q)) = (&teacher.positive, &student.positive) {
            pos_kl = pos_kl + divergence(p.clone(), q.clone(), config.eps);
        }
        neg_kl = neg_kl + divergence(teacher.negative.clone(), student.negative.clone(), config.eps);
    }
    let order = order(&branches, zero);
    let loss = pos_kl.clone().mul_scalar(config.pos_kl_weight)
        + neg_kl.clone().mul_scalar(config.neg_kl_weight)
        + order.clone().mul_scalar(config.order_loss_weight);
    DdlOutput { loss, pos_kl, neg_kl, order, branches }
}

/// The sum over all pairs (a, c) of branches of E(negatives of a) - E(positives of c), from its two sums; pairs whose c
/// has no positives are left out.
fn order(branches: &[Distributions], zero: Tensor<1>) -> Tensor<1> {
    let present: Vec<_> = branches.iter().filter(|branch| branch.positive.is_some()).collect();
    let negatives = branches.iter().map(|branch| branch.negatives.clone().mean());
    let positives = present.iter().map(|branch| branch.positives.clone().mean());
    let [negatives, positives] =
        [negatives.fold(zero.clone(), |a, b| a + b), positives.fold(zero, |a, b| a + b)];
    negatives.mul_scalar(present.len() as f64) - positives.mul_scalar(branches.len() as f64)
}

impl Distributions {
    fn new(branch: &Branch, histogram: &Histogram) -> Self {
        let positives = positive_similarities(branch.first.clone(), branch.second.clone());
        let negatives = hard_negatives(branch.neg.clone());
        let [kept] = positives.dims();
        Self {
            positive: (kept > 0).then(|| histogram.of(positives.clone())),
            negative: histogram.of(negatives.clone()),
            positives,
            negatives,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, scalar, values};

    /// A branch of four people at these angles; the second faces are turned by `turn`.
    fn branch(angles: [f32; 4], turn: f32) -> (Tensor<2>, Branch) {
        let device = ocelli_nn::device("cpu").unwrap();
        let at = |turn: f32| {
            let rows = angles.iter().flat_map(|a| [(a + turn).cos(), (a + turn).sin()]).collect();
            from_values::<2>(rows, [4, 2], &device)
        };
        let leaf = at(0.0).autodiff().require_grad();
        (leaf.clone(), Branch { neg: leaf.clone(), first: leaf, second: at(turn) })
    }

    #[test]
    fn equal_branches_differ_in_nothing() {
        let (_, one) = branch([0.0, 0.4, 1.0, 2.0], 0.3);
        let output = ddl_loss(&[one.clone(), one], &DdlConfig::default());
        assert!(scalar(output.pos_kl).abs() < 1e-6 && scalar(output.neg_kl).abs() < 1e-6);
        let [mean, positive] =
            [&output.branches[0].negatives, &output.branches[0].positives].map(|s| scalar(s.clone().mean()));
        assert!((scalar(output.order) - 4.0 * (mean - positive)).abs() < 1e-5);
    }

    #[test]
    fn teacher_and_student_both_learn() {
        let (easy, teacher) = branch([0.0, 0.4, 1.0, 2.0], 0.1);
        let (hard, student) = branch([0.0, 0.2, 0.5, 0.9], 0.9);
        let config = DdlConfig { order_loss_weight: 0.0, ..DdlConfig::default() };
        let output = ddl_loss(&[teacher, student], &config);
        assert!(scalar(output.pos_kl.clone()) > 0.1);
        let gradients = output.loss.backward();
        for leaf in [easy, hard] {
            let gradient = values(leaf.grad(&gradients).unwrap());
            assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|&g| g != 0.0));
        }
    }

    #[test]
    fn a_branch_whose_pairs_point_apart_is_no_nan() {
        for place in 0..3 {
            let (_, fine) = branch([0.0, 0.4, 1.0, 2.0], 0.1);
            let (leaf, apart) = branch([0.0, 0.4, 1.0, 2.0], 3.0);
            let branches = [vec![fine.clone(), apart.clone()], vec![apart.clone(), fine], vec![apart]];
            let output = ddl_loss(&branches[place], &DdlConfig::default());
            let loss = scalar(output.loss.clone());
            assert!(loss.is_finite(), "{loss}");
            assert_eq!(scalar(output.pos_kl), 0.0);
            let gradient = leaf.grad(&output.loss.backward()).unwrap();
            assert!(values(gradient).iter().all(|g| g.is_finite()));
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = DdlConfig::default();
        for (config, key) in [
            (DdlConfig { pos_kl_weight: -1.0, ..good }, "pos_kl_weight: "),
            (DdlConfig { order_loss_weight: f64::NAN, ..good }, "order_loss_weight: "),
            (DdlConfig { eps: 0.0, ..good }, "eps: "),
            (
                DdlConfig { histogram: Histogram { sigma: 0.0, ..good.histogram }, ..good },
                "histogram.sigma: ",
            ),
        ] {
            assert!(config.validate().unwrap_err().starts_with(key), "{key}");
        }
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(good.weighted(4.0).order_loss_weight, 2.0);
    }
}

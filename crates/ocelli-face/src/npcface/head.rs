//! The negative-positive cooperation head.

use burn::tensor::{Int, Tensor};
use ocelli_nn::tensor::values;
use ocelli_nn::{Param, Path};
use serde::{Deserialize, Serialize};

use crate::recognition::baselines::{check_angle, check_scale};
use crate::recognition::margin::{
    AngularMargin, CosineRule, Emphasis, Head, HeadOutput, Reach, shift_angle, unit_prototypes,
};

/// Settings of the head; those of the released configuration by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NpcConfig {
    /// Scale of the logits.
    pub s: f64,
    /// Margin in radians of the gate: negatives above cos(theta + m) are hard.
    pub m: f64,
    /// Margin of a sample without hard negatives, in radians.
    pub m0: f64,
    /// How much a mean cosine of 1 over the hard negatives adds to it.
    pub m1: f64,
    /// What the cosine of a hard negative is multiplied by.
    pub t: f64,
    /// What is added to it.
    pub a: f64,
}

impl Default for NpcConfig {
    fn default() -> Self {
        Self { s: 32.0, m: 0.35, m0: 0.4, m1: 0.2, t: 1.1, a: 0.2 }
    }
}

impl NpcConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let right = std::f64::consts::FRAC_PI_2;
        check_scale(self.s)?;
        check_angle(self.m)?;
        if !(0.0..right).contains(&self.m0) {
            return Err(format!("m0: {} radians is outside 0 to pi/2", self.m0));
        }
        // The mean cosine of hard negatives lies between -1 and 1.
        let bound = self.m0.min(right - self.m0);
        if !(0.0..=bound).contains(&self.m1) {
            return Err(format!(
                "m1: {} is outside 0 to {bound:.4}, where margins stay within 0 and pi/2",
                self.m1
            ));
        }
        if !self.t.is_finite() || self.t <= 0.0 {
            return Err(format!("t: {} is not above 0", self.t));
        }
        match self.a.is_finite() {
            true => Ok(()),
            false => Err(format!("a: {} is no number", self.a)),
        }
    }
}

/// The NPCFace head: prototypes `kernel [D, C]`.
#[derive(Clone, Debug)]
pub struct NpcHead {
    kernel: Param,
    config: NpcConfig,
}

/// Logits and what led to them.
#[derive(Clone, Debug)]
pub struct NpcOutput {
    /// Logits with margins and raised negatives, `[B, C]`.
    pub logits: Tensor<2>,
    /// Plain scaled cosines, `[B, C]`, detached.
    pub origin_logits: Tensor<2>,
    /// The margin of each sample in radians, `[B]`, detached.
    pub margin: Tensor<1>,
    /// Hard negatives of each sample, `[B]`.
    pub hard_count: Tensor<1>,
}

impl NpcHead {
    /// A head from `embedding` dimensions to `classes` at `path`, on unit prototypes.
    pub fn new(path: &Path, embedding: usize, classes: usize, config: NpcConfig) -> Self {
        Self { kernel: unit_prototypes(path, "kernel", embedding, classes), config }
    }

    /// Logits of `x [B, D]` with `labels [B]`, step by step as in the released code.
    pub fn cooperate(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> NpcOutput {
        let NpcConfig { s, m, m0, m1, t, a } = self.config;
        let cosines = CosineRule::FLOORED.with_columns(x, self.kernel.value(), labels);
        let g = cosines.positive.clone();

        // Hard negatives lie above cos(theta + m). Neither this comparison nor what is made of it passes gradients on.
        let gate = AngularMargin::new(m).apply(g.clone().detach()).shifted;
        let hard = cosines.above(&gate);
        let hard_count = hard.clone().float().sum_dim(1);
        let hard_sum = cosines.all.clone().detach().mask_fill(hard.clone().bool_not(), 0.0).sum_dim(1);
        let hardness = hard_sum / hard_count.clone().clamp_min(1.0);
        let margin = hardness.mul_scalar(m1).add_scalar(m0);

        let shifted = shift_angle(g.clone(), margin.clone());
        let positive = Reach::EASY.apply(g, shifted);
        let negatives = Emphasis { slope: t, shift: a }.apply(cosines.all.clone(), hard);
        NpcOutput {
            logits: cosines.compose(negatives, positive, s),
            origin_logits: cosines.origin_logits(s),
            margin: margin.squeeze_dim(1),
            hard_count: hard_count.squeeze_dim(1),
        }
    }
}

impl Head for NpcHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, _: bool) -> HeadOutput {
        let output = self.cooperate(embeddings, labels);
        let any = output.hard_count.greater_elem(0.5).float().mean();
        // One trip to the host for both.
        let numbers = values(Tensor::cat(vec![output.margin.mean(), any], 0));
        let numbers = ["margin", "hard_share"].into_iter().zip(numbers.into_iter().map(f64::from)).collect();
        HeadOutput { logits: output.logits, origin_logits: output.origin_logits, numbers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::Store;
    use ocelli_nn::ops::cross_entropy;
    use ocelli_nn::tensor::{from_values, integers};

    /// The head on prototypes given as rows.
    fn head(rows: &[[f32; 2]]) -> (Store, NpcHead) {
        let device = ocelli_nn::device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let head = NpcHead::new(&store.root(), 2, rows.len(), NpcConfig::default());
        let columns = from_values(rows.concat(), [rows.len(), 2], &device).transpose();
        head.kernel.set(columns);
        (store, head)
    }

    fn angle(theta: f64) -> [f32; 2] {
        [theta.cos() as f32, theta.sin() as f32]
    }

    #[test]
    fn margins_grow_with_the_mean_of_the_hard_negatives_alone() {
        let (store, head) = head(&[angle(0.0), angle(0.3), angle(2.0)]);
        let x = from_values(angle(0.1).to_vec(), [1, 2], store.device());
        let output = head.cooperate(x, integers(&[0], store.device()));
        // The second class is 0.2 away, nearer than 0.1 + 0.35; the third is easy.
        let margin = 0.4 + 0.2 * 0.2f64.cos();
        let logits = values(output.logits);
        let want = [(0.1 + margin).cos(), 1.1 * 0.2f64.cos() + 0.2, 1.9f64.cos()];
        for (got, want) in logits.iter().zip(want) {
            assert!((f64::from(*got) - 32.0 * want).abs() < 1e-4, "{logits:?}");
        }
        assert!(logits[1] > 32.0, "a raised negative is not clamped");
        assert_eq!(values(output.hard_count), [1.0]);
        assert!((f64::from(values(output.margin)[0]) - margin).abs() < 1e-6);
    }

    #[test]
    fn without_hard_negatives_the_margin_is_m0() {
        let (store, head) = head(&[angle(0.0), angle(3.0)]);
        let x = from_values(angle(0.1).to_vec(), [1, 2], store.device());
        let output = head.cooperate(x, integers(&[0], store.device()));
        assert_eq!(values(output.hard_count), [0.0]);
        assert_eq!(values(output.margin), [0.4]);
    }

    #[test]
    fn true_classes_behind_a_right_angle_get_no_margin() {
        let (store, head) = head(&[angle(2.0), angle(2.2), angle(2.6)]);
        let x = from_values(angle(0.0).to_vec(), [1, 2], store.device());
        let output = head.cooperate(x, integers(&[0], store.device()));
        assert!((f64::from(values(output.logits)[0]) - 32.0 * 2f64.cos()).abs() < 1e-4);
        // cos(2.2) is negative and hard all the same: it lies above cos(2.0 + 0.35), and lowers the margin.
        assert_eq!(values(output.hard_count), [1.0]);
        let margin = 0.4 + 0.2 * 2.2f64.cos();
        assert!((f64::from(values(output.margin)[0]) - margin).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_finite_on_the_prototype_itself() {
        let (store, head) = head(&[angle(0.0), angle(3.0)]);
        let x = from_values(vec![2.0, 0.0, 0.0, 0.0], [2, 2], store.device()).autodiff().require_grad();
        store.track();
        let labels = integers(&[0, 1], store.device());
        let output = head.cooperate(x.clone(), labels.clone());
        let mut tape = cross_entropy(output.logits, labels).backward();
        assert!(values(x.grad_remove(&mut tape).unwrap()).iter().all(|v| v.is_finite()));
        for (entry, gradient) in store.collect(&mut tape).iter() {
            assert!(values(gradient.clone()).iter().all(|v| v.is_finite()), "{}", entry.name());
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let published = NpcConfig::default();
        let wrong = [
            ("s", NpcConfig { s: 0.0, ..published }),
            ("m", NpcConfig { m: -0.1, ..published }),
            ("m0", NpcConfig { m0: 1.6, ..published }),
            ("m1", NpcConfig { m1: 0.5, ..published }),
            ("t", NpcConfig { t: f64::NAN, ..published }),
            ("a", NpcConfig { a: f64::INFINITY, ..published }),
        ];
        for (key, config) in wrong {
            let reason = config.validate().unwrap_err();
            assert!(reason.starts_with(&format!("{key}: ")), "{reason}");
        }
        assert_eq!(published.validate(), Ok(()));
    }
}

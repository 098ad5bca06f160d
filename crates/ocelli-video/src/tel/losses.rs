//! Learning when from what: labels of whole clips, and what two modalities agree on.

use burn::tensor::Tensor;
use ocelli_nn::ops::activation::sigmoid;
use ocelli_nn::ops::log_softmax;
use ocelli_nn::ops::softplus;
use ocelli_nn::tensor::{from_values, values};
use serde::{Deserialize, Serialize};

use super::mask::Mask;
use super::network::TelOutput;

/// The losses' settings; a recipe's section `loss`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// One in how many segments is pooled to score a clip.
    pub topk_r: usize,
    /// From which probability a modality says yes.
    pub hi: f64,
    /// Up to which probability it says no.
    pub lo: f64,
    /// Weight of the consensus.
    pub w_consensus: f64,
    /// Epochs without the consensus: what untrained modalities agree on is noise.
    pub warmup_epochs: usize,
    /// Weight of the mutual loss.
    pub w_mutual: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { topk_r: 8, hi: 0.6, lo: 0.4, w_consensus: 1.0, warmup_epochs: 3, w_mutual: 0.5 }
    }
}

impl LossConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        if self.topk_r == 0 {
            return Err("topk_r: must be at least 1".to_owned());
        }
        for (key, probability) in [("hi", self.hi), ("lo", self.lo)] {
            if !(0.0..=1.0).contains(&probability) {
                return Err(format!("{key}: {probability} is outside 0 to 1"));
            }
        }
        if self.lo >= self.hi {
            return Err(format!("lo: {} is not below hi = {}", self.lo, self.hi));
        }
        for (key, weight) in [("w_consensus", self.w_consensus), ("w_mutual", self.w_mutual)] {
            if !weight.is_finite() || weight < 0.0 {
                return Err(format!("{key}: {weight} is below 0"));
            }
        }
        Ok(())
    }
}

/// Scores of whole clips: for each class the mean of the k largest logits among the n real segments, with
/// k = max(1, floor(n / r)). `cas [B, T, C]` to `[B, C]`. Equal logits are taken in the order of time; a clip without
/// segments scores 0.
///
/// # Panics
/// When `r` is 0.
pub fn pool(cas: Tensor<3>, mask: &Mask, r: usize) -> Tensor<2> {
    let [clips, segments, classes] = cas.dims();
    let logits = values(cas.clone());
    let mut weights = vec![0.0; logits.len()];
    for (b, length) in mask.lengths().into_iter().enumerate() {
        let k = (length / r).max(1);
        let mut real: Vec<usize> = (0..segments).filter(|&t| mask.is_real(b, t)).collect();
        for class in 0..classes {
            let at = |t: usize| (b * segments + t) * classes + class;
            real.sort_by(|&x, &y| logits[at(y)].total_cmp(&logits[at(x)]).then(x.cmp(&y)));
            real.iter().take(k).for_each(|&t| weights[at(t)] = (k as f32).recip());
        }
    }
    let weights = from_values(weights, [clips, segments, classes], &cas.device().without_autodiff());
    (cas * weights).sum_dim(1).squeeze_dim(1)
}

/// Multiple-instance learning: pooled scores `[B, C]`, and their mean binary cross entropy with labels `[B, C]` of 0
/// and 1, a scalar.
pub fn mil(cas: Tensor<3>, mask: &Mask, labels: Tensor<2>, r: usize) -> (Tensor<2>, Tensor<1>) {
    let pooled = pool(cas, mask, r);
    let loss = cross_entropy(pooled.clone(), labels).mean();
    (pooled, loss)
}

/// Binary cross entropy of each logit with its target, by element.
fn cross_entropy<const D: usize>(logits: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    let (shape, n) = (logits.dims(), logits.shape().num_elements());
    softplus(logits.clone().reshape([n])).reshape(shape) - logits * targets
}

/// What both modalities agree on, without a gradient.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// 1 for yes, 0 for no, -1 for an open question: `[B, T, C]`.
    pub targets: Tensor<3>,
    /// Targets that are no open question.
    kept: usize,
}

/// For classes that the clip shows a segment has one where both modalities have at least `hi`, none where both have at
/// most `lo`, else it is an open question; classes that the clip does not show are in no segment. Padded segments are
/// open. Logits `[B, T, C]` each, labels `[B, C]`.
pub fn agreement(
    cas_v: &Tensor<3>,
    cas_s: &Tensor<3>,
    mask: &Mask,
    labels: &Tensor<2>,
    [hi, lo]: [f64; 2],
) -> Agreement {
    let [clips, segments, classes] = cas_v.dims();
    let probabilities = |cas: &Tensor<3>| values(sigmoid(cas.clone().without_autodiff()));
    let (p_v, p_s, labels) = (probabilities(cas_v), probabilities(cas_s), values(labels.clone()));
    // Compared in the precision of the probabilities.
    let (hi, lo) = (hi as f32, lo as f32);
    let mut targets = Vec::with_capacity(p_v.len());
    for b in 0..clips {
        for t in 0..segments {
            for class in 0..classes {
                let at = (b * segments + t) * classes + class;
                targets.push(if !mask.is_real(b, t) {
                    -1.0
                } else if labels[b * classes + class] == 0.0 || (p_v[at] <= lo && p_s[at] <= lo) {
                    0.0
                } else if p_v[at] >= hi && p_s[at] >= hi {
                    1.0
                } else {
                    -1.0
                });
            }
        }
    }
    let kept = targets.iter().filter(|t| **t >= 0.0).count();
    let device = cas_v.device().without_autodiff();
    Agreement { targets: from_values(targets, [clips, segments, classes], &device), kept }
}

impl Agreement {
    /// Cross entropy of both modalities with what they agree on, each the mean over all targets that are no open
    /// question; 0 if there is none.
    pub fn loss(&self, cas_v: Tensor<3>, cas_s: Tensor<3>) -> Tensor<1> {
        let kept = self.targets.clone().greater_equal_elem(0.0).float();
        let targets = self.targets.clone().clamp_min(0.0);
        let each = cross_entropy(cas_v, targets.clone()) + cross_entropy(cas_s, targets);
        (each * kept).sum().div_scalar(self.kept.max(1) as f64)
    }
}

/// Beside it, nothing that is padded weighs anything in a softmax; finite, so that a difference of two is a number.
const PADDED: f64 = -1e9;

/// Both modalities should find a class at the same time: half the sum of both Kullback-Leibler divergences between their
/// softmaxes over time, each with the other held fixed, the mean over all classes that the clips show; 0 if there is none.
/// Logits `[B, T, C]`, labels `[B, C]`.
pub fn mutual(cas_v: Tensor<3>, cas_s: Tensor<3>, mask: &Mask, labels: Tensor<2>) -> Tensor<1> {
    let pairs = values(labels.clone()).iter().filter(|l| **l != 0.0).count();
    let real = mask.beside();
    let padding = real.clone().sub_scalar(1.0).mul_scalar(-PADDED);
    let over_time = |cas: Tensor<3>| log_softmax(cas * real.clone() + padding.clone(), 1);
    let (log_v, log_s) = (over_time(cas_v), over_time(cas_s));
    let shown = labels.not_equal_elem(0.0).float().unsqueeze_dim::<3>(1) * real.clone();
    let divergence = |fixed: &Tensor<3>, moved: &Tensor<3>| {
        let fixed = fixed.clone().detach();
        (fixed.clone().exp() * (fixed - moved.clone()) * shown.clone()).sum()
    };
    (divergence(&log_s, &log_v) + divergence(&log_v, &log_s)).div_scalar(2.0 * pairs.max(1) as f64)
}

/// All losses of a batch.
#[derive(Clone, Debug)]
pub struct Losses {
    /// L_v: of both class activation sequences of what is seen.
    pub mil_v: Tensor<1>,
    /// L_s: of both of what is said.
    pub mil_s: Tensor<1>,
    /// L_f: of the mean of both modalities.
    pub mil_f: Tensor<1>,
    /// L_con.
    pub consensus: Tensor<1>,
    /// L_mut.
    pub mutual: Tensor<1>,
    /// L_v + L_s + L_f + w_con L_con + w_mut L_mut.
    pub total: Tensor<1>,
}

impl LossConfig {
    /// The losses of what a network gave for clips with labels `[B, C]`.
    ///
    /// # Panics
    /// When [`LossConfig::validate`] would refuse the settings.
    pub fn losses(&self, output: &TelOutput, mask: &Mask, labels: &Tensor<2>) -> Losses {
        let mil = |cas: &Tensor<3>| mil(cas.clone(), mask, labels.clone(), self.topk_r).1;
        let (v, s) = (&output.video, &output.text);
        let mil_v = mil(&v.cas) + mil(&v.cas_coarse);
        let mil_s = mil(&s.cas) + mil(&s.cas_coarse);
        let mil_f = mil(&(v.cas.clone() + s.cas.clone()).div_scalar(2.0));
        let agreed = agreement(&v.cas, &s.cas, mask, labels, [self.hi, self.lo]);
        let consensus = agreed.loss(v.cas.clone(), s.cas.clone());
        let mutual = mutual(v.cas.clone(), s.cas.clone(), mask, labels.clone());
        let total = mil_v.clone()
            + mil_s.clone()
            + mil_f.clone()
            + consensus.clone().mul_scalar(self.w_consensus)
            + mutual.clone().mul_scalar(self.w_mutual);
        Losses { mil_v, mil_s, mil_f, consensus, mutual, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use ocelli_nn::tensor::scalar;

    fn device() -> Device {
        ocelli_nn::device("cpu").unwrap()
    }

    fn mask(rows: &[&[f32]]) -> Mask {
        Mask::new(from_values(rows.concat(), [rows.len(), rows[0].len()], &device()))
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!(LossConfig::default().validate(), Ok(()));
        let refused = |config: LossConfig| config.validate().unwrap_err();
        assert!(refused(LossConfig { topk_r: 0, ..LossConfig::default() }).starts_with("topk_r:"));
        assert_eq!(refused(LossConfig { lo: 0.7, ..LossConfig::default() }), "lo: 0.7 is not below hi = 0.6");
        assert!(refused(LossConfig { w_mutual: f64::NAN, ..LossConfig::default() }).starts_with("w_mutual:"));
    }

    #[test]
    fn padded_segments_are_not_pooled() {
        let cas = from_values(vec![1.0, 5.0, 3.0, 9.0, 2.0, 2.0, 2.0, 8.0], [2, 4, 1], &device());
        let pooled = pool(cas, &mask(&[&[1.0, 1.0, 1.0, 0.0], &[0.0; 4]]), 1);
        assert_eq!(values(pooled), [3.0, 0.0], "three real segments, and none");
    }

    #[test]
    fn the_largest_are_as_many_as_the_length_allows() {
        let cas = || from_values((0..10).map(|t| t as f32).collect(), [1, 10, 1], &device());
        let pooled = |r| scalar(pool(cas(), &mask(&[&[1.0; 10]]), r));
        assert_eq!([1, 3, 4, 8, 99].map(pooled), [4.5, 8.0, 8.5, 9.0, 9.0]);
    }

    #[test]
    fn consensus_is_where_both_are_sure() {
        let cas = |rows: [f32; 6]| from_values(rows.to_vec(), [1, 3, 2], &device());
        let (v, s) = (cas([2.0, 2.0, 2.0, 0.0, -2.0, 2.0]), cas([2.0, 2.0, -2.0, 0.0, -2.0, 2.0]));
        let labels = from_values(vec![1.0, 0.0], [1, 2], &device());
        let agreed = agreement(&v, &s, &mask(&[&[1.0, 1.0, 1.0]]), &labels, [0.6, 0.4]);
        assert_eq!(values(agreed.targets), [1.0, 0.0, -1.0, 0.0, 0.0, 0.0]);
        let padded = agreement(&v, &s, &mask(&[&[0.0, 1.0, 0.0]]), &labels, [0.6, 0.4]);
        assert_eq!(values(padded.targets), [-1.0, -1.0, -1.0, 0.0, -1.0, -1.0]);
    }

    #[test]
    fn nothing_agreed_and_nothing_shown_costs_nothing() {
        let cas = || from_values(vec![3.0, -3.0], [1, 2, 1], &device()).autodiff().require_grad();
        let (v, s) = (cas(), cas().neg());
        let real = mask(&[&[1.0, 1.0]]);
        let shown = from_values(vec![1.0], [1, 1], &device());
        let agreed = agreement(&v, &s, &real, &shown, [0.6, 0.4]);
        assert_eq!(scalar(agreed.loss(v.clone(), s.clone())), 0.0);
        assert!(scalar(mutual(v.clone(), s.clone(), &real, shown)) > 1.0);
        let nothing = mutual(v.clone(), s, &real, from_values(vec![0.0], [1, 1], &device()));
        assert_eq!(scalar(nothing.clone()), 0.0);
        let gradient = v.grad(&nothing.backward()).map(values).unwrap_or_default();
        assert!(gradient.iter().all(|g| *g == 0.0));
    }

    #[test]
    fn equal_modalities_do_not_diverge() {
        let cas = || from_values(vec![0.3, -1.0, 7.0, 99.0], [1, 4, 1], &device());
        let real = mask(&[&[1.0, 1.0, 1.0, 0.0]]);
        let shown = from_values(vec![1.0], [1, 1], &device());
        assert!(scalar(mutual(cas(), cas(), &real, shown.clone())).abs() < 1e-6);
        // A softmax knows no constant, and padding does not count.
        let other = from_values(vec![1.3, 0.0, 8.0, -99.0], [1, 4, 1], &device());
        assert!(scalar(mutual(cas(), other, &real, shown)).abs() < 1e-5);
    }
}

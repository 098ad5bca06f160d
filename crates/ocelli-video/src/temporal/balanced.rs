//! Losses for targets of which few are positive: a log loss whose two classes weigh alike, and a regression on cells that
//! are sampled evenly from bands of overlap.
//!
//! Thresholds compare in single precision: a stored 0.6 is not above 0.6.

use burn::tensor::Tensor;
use ocelli_nn::tensor::from_values;
use serde::{Deserialize, Serialize};

/// How the two classes of a log loss are weighed. Of `n` cells `n+` are positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Balance {
    /// From the ratio r = n / n+, where no positive counts as one: r / 2, and r / (2 (r - 1)). The released code divides
    /// zero by zero when all cells are positive; here the weight of the negatives, of which there are none, is not used.
    Ratio,
    /// The same with the ratio kept between these.
    ClampedRatio {
        /// The least.
        low: f64,
        /// The largest.
        high: f64,
    },
    /// n / (2 n+) and n / (2 n-), where a class without cells counts as one cell.
    Counts,
}

impl Balance {
    /// Weights of positive and negative cells.
    pub fn weights(self, cells: usize, positives: usize) -> [f64; 2] {
        let n = cells as f64;
        let of_ratio = |ratio: f64| [0.5 * ratio, 0.5 * ratio / (ratio - 1.0)];
        match self {
            Self::Ratio => of_ratio(n / positives.max(1) as f64),
            Self::ClampedRatio { low, high } => of_ratio((n / positives.max(1) as f64).max(low).min(high)),
            Self::Counts => [positives, cells - positives].map(|class| n / (2.0 * class.max(1) as f64)),
        }
    }
}

/// Which cells of a map take part in a log loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A positive cell.
    Positive,
    /// A negative cell.
    Negative,
    /// A cell that does not count.
    Ignored,
}

impl Label {
    /// Positive where `target` is above `threshold`.
    pub fn of(target: f32, threshold: f64) -> Self {
        if target > threshold as f32 { Self::Positive } else { Self::Negative }
    }
}

/// The terms of a log loss: what each cell's log likelihood counts.
///
/// The shares of the classes are those of all labels given, so a loss over a batch may be computed in parts: the parts
/// add up.
#[derive(Clone, Debug, PartialEq)]
pub struct CellWeights {
    /// Of log(p + eps): above 0 at positive cells.
    positive: Vec<f32>,
    /// Of log(1 - p + eps): above 0 at negative cells.
    negative: Vec<f32>,
}

impl CellWeights {
    /// Weights whose sum of terms is the mean over the cells that count.
    pub fn new(labels: &[Label], balance: Balance) -> Self {
        let count = |wanted: Label| labels.iter().filter(|l| **l == wanted).count();
        let positives = count(Label::Positive);
        let cells = positives + count(Label::Negative);
        let weights = balance.weights(cells, positives).map(|w| (w / cells.max(1) as f64) as f32);
        let of = |label: Label, weight: f32| {
            labels.iter().map(|l| if *l == label { weight } else { 0.0 }).collect()
        };
        Self { positive: of(Label::Positive, weights[0]), negative: of(Label::Negative, weights[1]) }
    }

    /// The weights of some of the cells.
    ///
    /// # Panics
    /// When there are fewer cells.
    #[must_use]
    pub fn part(&self, cells: std::ops::Range<usize>) -> Self {
        Self { positive: self.positive[cells.clone()].to_vec(), negative: self.negative[cells].to_vec() }
    }

    /// The weighed negative log likelihood of probabilities `p [n]`, summed: a tensor `[1]`.
    ///
    /// # Panics
    /// When there are not as many probabilities as cells.
    pub fn loss(&self, p: Tensor<1>, eps: f64) -> Tensor<1> {
        let device = p.device().without_autodiff();
        let constant = |w: &[f32]| from_values::<1>(w.to_vec(), [w.len()], &device);
        let positive = constant(&self.positive) * p.clone().add_scalar(eps).log();
        let negative = constant(&self.negative) * p.neg().add_scalar(1.0).add_scalar(eps).log();
        (positive + negative).sum().neg()
    }
}

/// Mean over the cells that count of the weighed negative log likelihood,
/// `-(w+ [positive] log(p + eps) + w- [negative] log(1 - p + eps))`, for probabilities `p [n]`, as a tensor `[1]`. Zero when
/// no cell counts.
///
/// # Panics
/// When there are not as many labels as probabilities.
pub fn balanced_log_loss(p: Tensor<1>, labels: &[Label], balance: Balance, eps: f64) -> Tensor<1> {
    assert_eq!(p.dims()[0], labels.len(), "a label for each probability");
    CellWeights::new(labels, balance).loss(p, eps)
}

/// Sampling of cells by their overlap with an annotation: all of a high band, and of the other two at random about as many
/// as of the high one, so that no band outweighs it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bands {
    /// The high band is above this.
    pub high: f64,
    /// The low band is up to this, the middle one between.
    pub low: f64,
    /// Cells of the middle band for one of the high band.
    pub ratio_mid: f64,
    /// Cells of the low band for one of the high band.
    pub ratio_low: f64,
}

/// Which bands the cells of a map are in.
#[derive(Clone, Debug, PartialEq)]
pub struct Banded {
    /// 1 in the high band, else 0.
    pub high: Vec<f32>,
    /// Cells sampled from the middle band.
    pub mid: Vec<f32>,
    /// Cells sampled from the low band.
    pub low: Vec<f32>,
}

impl Bands {
    /// Cells of the bands, those of the middle and low one kept where `u` is above 1 minus the share to be kept. `valid`
    /// tells whether a cell counts; the shares are of all cells given. With `empty_is_one` a band without cells counts as
    /// one of one cell.
    ///
    /// # Panics
    /// When the lists differ in length.
    pub fn sample(
        &self,
        overlap: &[f32],
        valid: impl Fn(usize) -> bool,
        [u_mid, u_low]: [&[f32]; 2],
        empty_is_one: bool,
    ) -> Banded {
        assert!(u_mid.len() == overlap.len() && u_low.len() == overlap.len(), "draws for each cell");
        let (above, below) = (self.high as f32, self.low as f32);
        let cells = || overlap.iter().enumerate();
        let mask = |inside: &dyn Fn(f32) -> bool| -> Vec<bool> {
            cells().map(|(cell, &v)| inside(v) && valid(cell)).collect()
        };
        let [high, mid, low] =
            [mask(&|v| v > above), mask(&|v| v > below && v <= above), mask(&|v| v <= below)];
        let count = |mask: &[bool]| {
            let n = mask.iter().filter(|m| **m).count();
            if empty_is_one { n.max(1) } else { n }
        };
        let all = count(&high) as f32;
        let kept = |mask: &[bool], u: &[f32], ratio: f64| -> Vec<f32> {
            // Of a band without cells nothing is kept, whatever the share.
            let share = (ratio as f32 * all / count(mask).max(1) as f32).min(1.0);
            let keep = |(inside, u): (&bool, &f32)| f32::from(u8::from(*inside && *u > 1.0 - share));
            mask.iter().zip(u).map(keep).collect()
        };
        Banded {
            mid: kept(&mid, u_mid, self.ratio_mid),
            low: kept(&low, u_low, self.ratio_low),
            high: high.into_iter().map(|h| f32::from(u8::from(h))).collect(),
        }
    }
}

impl Default for Bands {
    fn default() -> Self {
        Self { high: 0.7, low: 0.3, ratio_mid: 1.0, ratio_low: 1.0 }
    }
}

impl Banded {
    /// The weight of each cell: 1 where it is in a sample.
    pub fn weights(&self) -> Vec<f32> {
        self.high.iter().zip(&self.mid).zip(&self.low).map(|((h, m), l)| h + m + l).collect()
    }
}

/// Sum of the smooth L1 distances (Huber's at 1) of `p [n]` and `target`, each times its weight, as a tensor `[1]`.
///
/// # Panics
/// When the lists differ in length.
pub fn weighted_smooth_l1(p: Tensor<1>, target: &[f32], weights: &[f32]) -> Tensor<1> {
    let [n] = p.dims();
    assert!(target.len() == n && weights.len() == n, "target and weight for each prediction");
    let device = p.device().without_autodiff();
    let constant = |values: &[f32]| from_values::<1>(values.to_vec(), [n], &device);
    // Below 1 half the square, above it what continues that with slope 1: m (d - m / 2), m = min(d, 1).
    let distance = (p - constant(target)).abs();
    let m = distance.clone().clamp_max(1.0);
    (m.clone() * (distance - m.mul_scalar(0.5)) * constant(weights)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::device;
    use ocelli_nn::tensor::{scalar, values};

    fn vector(values: &[f32]) -> Tensor<1> {
        from_values(values.to_vec(), [values.len()], &device("cpu").unwrap())
    }

    #[test]
    fn both_classes_weigh_alike() {
        use Label::{Ignored, Negative, Positive};
        let p = vector(&[0.9, 0.2, 0.4, 0.5]);
        let labels = [Positive, Negative, Negative, Ignored];
        let want = -(1.5 * 0.9_f64.ln() + 0.75 * (0.8_f64.ln() + 0.6_f64.ln())) / 3.0;
        for balance in [Balance::Ratio, Balance::Counts] {
            let loss = scalar(balanced_log_loss(p.clone(), &labels, balance, 0.0));
            assert!((f64::from(loss) - want).abs() < 1e-6, "{balance:?}: {loss}");
        }
    }

    #[test]
    fn parts_of_a_batch_add_up() {
        let labels: Vec<Label> = (0..6).map(|i| Label::of(i as f32 / 6.0, 0.5)).collect();
        let p = [0.9, 0.2, 0.4, 0.5, 0.3, 0.6];
        let weights = CellWeights::new(&labels, Balance::Ratio);
        let part = |r: std::ops::Range<usize>| scalar(weights.part(r.clone()).loss(vector(&p[r]), 1e-6));
        let whole = scalar(balanced_log_loss(vector(&p), &labels, Balance::Ratio, 1e-6));
        assert!((part(0..2) + part(2..6) - whole).abs() < 1e-6);
    }

    #[test]
    fn one_class_alone_is_finite() {
        let p = vector(&[0.9, 0.2]);
        for labels in [[Label::Positive; 2], [Label::Negative; 2], [Label::Ignored; 2]] {
            for balance in [Balance::Ratio, Balance::Counts, Balance::ClampedRatio { low: 1.05, high: 21.0 }]
            {
                let loss = scalar(balanced_log_loss(p.clone(), &labels, balance, 1e-6));
                assert!(loss.is_finite() && loss >= 0.0, "{labels:?}, {balance:?}: {loss}");
            }
        }
        assert_eq!(Balance::Ratio.weights(4, 0), [2.0, 0.5 * 4.0 / 3.0]);
        assert_eq!(Balance::Counts.weights(4, 0), [2.0, 0.5]);
        assert_eq!(Balance::ClampedRatio { low: 1.05, high: 21.0 }.weights(100, 1), [10.5, 0.525]);
    }

    #[test]
    fn a_stored_threshold_is_not_above_itself() {
        assert_eq!(Label::of(0.6, 0.6), Label::Negative);
        assert_eq!(Label::of(0.600_001, 0.6), Label::Positive);
    }

    #[test]
    fn bands_are_sampled_to_the_size_of_the_high_one() {
        let bands = Bands { high: 0.6, low: 0.2, ratio_mid: 1.0, ratio_low: 2.0 };
        let overlap = [0.9, 0.6, 0.5, 0.3, 0.25, 0.2, 0.1, 0.0, 0.0];
        let u = [0.0, 0.80, 0.7, 0.76, 0.1, 0.51, 0.5, 0.9, 0.99];
        // One high; four in the middle, a quarter kept; of the low, without the last, two thirds.
        let banded = bands.sample(&overlap, |cell| cell < 8, [&u, &u], false);
        assert_eq!(banded.high, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(banded.mid, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(banded.low, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(banded.weights().iter().sum::<f32>(), 6.0);
        let none = bands.sample(&overlap[1..], |_| true, [&u[1..], &u[1..]], false);
        assert_eq!(none.weights().iter().sum::<f32>(), 0.0, "nothing high, nothing kept");
        let one = bands.sample(&overlap[1..], |_| true, [&u[1..], &u[1..]], true);
        assert_eq!(one.mid.iter().sum::<f32>(), 2.0, "an empty high band counts as one cell");
    }

    #[test]
    fn smooth_l1_is_huber_at_one() {
        let p = vector(&[0.5, 3.0, -2.0, 1.0]).autodiff().require_grad();
        let loss = weighted_smooth_l1(p.clone(), &[0.0, 0.0, 0.0, 1.0], &[1.0, 2.0, 0.0, 5.0]);
        assert_eq!(scalar(loss.clone()), 0.125 + 2.0 * 2.5);
        let gradient = p.grad(&loss.backward()).unwrap();
        assert_eq!(values(gradient), [0.5, 2.0, 0.0, 0.0]);
    }
}

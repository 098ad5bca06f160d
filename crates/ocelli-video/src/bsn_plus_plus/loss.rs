//! The losses of BSN++: boundaries forward and backward in time, and the overlaps of proposals.

use burn::tensor::Tensor;
use ocelli_nn::tensor::from_values;
use serde::{Deserialize, Serialize};

use super::sampling::ScaleBalance;
use super::targets::Targets;
use crate::temporal::balanced::{Balance, Bands, Label, balanced_log_loss, weighted_smooth_l1};

/// Added to probabilities under the logarithm.
pub(super) const EPSILON: f64 = 1e-6;
/// A snippet is positive above this.
pub(super) const BOUNDARY: f64 = 0.5;
/// A proposal is positive above this overlap.
const FITTING: f64 = 0.9;
/// What the ratio of all to positive proposals is kept between.
const RATIO: Balance = Balance::ClampedRatio { low: 1.05, high: 21.0 };

/// The balanced log loss of boundary probabilities `[B, T]` against targets, statistics over the whole batch.
pub fn boundary_loss(p: Tensor<2>, target: &[f32], threshold: f64, epsilon: f64) -> Tensor<1> {
    let labels: Vec<Label> = target.iter().map(|&t| Label::of(t, threshold)).collect();
    balanced_log_loss(p.flatten(0, 1), &labels, Balance::Counts, epsilon)
}

/// Start and end probabilities `[B, T]` of a pass and its feature `[B, C, T]`.
#[derive(Clone, Debug)]
pub struct PassOutput {
    /// Of starts.
    pub start: Tensor<2>,
    /// Of ends.
    pub end: Tensor<2>,
    /// What they rest on.
    pub feature: Tensor<3>,
}

impl PassOutput {
    /// The same on the other direction of time, in which a start is an end.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { start: self.end.flip([1]), end: self.start.flip([1]), feature: self.feature.flip([2]) }
    }
}

/// The terms of the boundary loss.
#[derive(Clone, Debug)]
pub struct BoundaryTerms {
    /// Of the forward pass.
    pub forward: Tensor<1>,
    /// Of the pass over reversed time.
    pub backward: Tensor<1>,
    /// Mean square difference of their features.
    pub consistency: Tensor<1>,
    /// Their sum, the last one weighed.
    pub total: Tensor<1>,
}

/// L_CBG: both passes against the targets `start` and `end [B, T]`, and the agreement of their features. `backward` is as
/// the network gives it, on reversed time.
pub fn boundary_terms(
    forward: PassOutput,
    backward: PassOutput,
    [start, end]: [&[f32]; 2],
    consistency: f64,
) -> BoundaryTerms {
    let backward = backward.reversed();
    let difference = (forward.feature.clone() - backward.feature.clone()).square().mean();
    let both = |pass: PassOutput| {
        boundary_loss(pass.start, start, BOUNDARY, EPSILON) + boundary_loss(pass.end, end, BOUNDARY, EPSILON)
    };
    let (forward, backward) = (both(forward), both(backward));
    let total = forward.clone() + backward.clone() + difference.clone().mul_scalar(consistency);
    BoundaryTerms { forward, backward, consistency: difference, total }
}

/// What the regression loss of a map is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// The weights of the sampled cells.
    #[default]
    Sampled,
    /// The number of all cells, as in the public re-implementation: very small values.
    All,
}

/// The settings of the proposal loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProposalLoss {
    /// Weight of the regression.
    pub reg_weight: f64,
    /// Whether positive cells are re-balanced by their length.
    pub scale: bool,
    /// What the regression is divided by.
    pub normalize: Normalize,
    /// Shares of lengths below this are lifted.
    pub lam: f64,
}

impl Default for ProposalLoss {
    fn default() -> Self {
        Self { reg_weight: 10.0, scale: true, normalize: Normalize::Sampled, lam: 0.15 }
    }
}

/// The terms of the proposal loss, summed over maps.
#[derive(Clone, Debug)]
pub struct ProposalTerms {
    /// Regression, not yet weighed.
    pub reg: Tensor<1>,
    /// Classification.
    pub cls: Tensor<1>,
    /// The weighed sum.
    pub total: Tensor<1>,
}

impl ProposalLoss {
    /// L_PRB of maps `[B, 2, T, T]` against overlaps `[B, T, T]`, each map with the uniform draws of its own that decide
    /// which cells of the middle and of the low band are sampled, `[B, T, T]` each.
    ///
    /// # Panics
    /// When there is no map, or shapes differ.
    pub fn terms(&self, iou: &[f32], maps: &[&Tensor<4>], draws: &[[&[f32]; 2]]) -> ProposalTerms {
        assert!(!maps.is_empty() && maps.len() == draws.len(), "draws for each map");
        let [b, _, _, cells] = maps[0].dims();
        let valid = |place: usize| place % cells >= place / cells % cells;
        let high = self.high_weights(iou, cells);
        let terms = maps.iter().zip(draws).map(|(map, draws)| {
            let channel = |c: usize| (*map).clone().narrow(1, c, 1).reshape([b * cells * cells]);
            let weights = sampled(iou, &high, valid, *draws);
            let divisor = match self.normalize {
                Normalize::Sampled => weights.iter().map(|&w| f64::from(w)).sum::<f64>().max(1.0),
                Normalize::All => weights.len() as f64,
            };
            let reg = weighted_smooth_l1(channel(0), iou, &weights).div_scalar(divisor);
            (reg, classification(channel(1), iou, valid))
        });
        let add = |(a, b): (Tensor<1>, Tensor<1>), (c, d): (Tensor<1>, Tensor<1>)| (a + c, b + d);
        let zero = || from_values::<1>(vec![0.0], [1], &maps[0].device().without_autodiff());
        let (reg, cls) = terms.reduce(add).unwrap_or_else(|| (zero(), zero()));
        ProposalTerms { total: reg.clone().mul_scalar(self.reg_weight) + cls.clone(), reg, cls }
    }

    /// The weight of every cell of the high band.
    fn high_weights(&self, iou: &[f32], cells: usize) -> Vec<f32> {
        let high: Vec<bool> = iou.iter().map(|&v| v > Bands::default().high as f32).collect();
        match self.scale {
            true => {
                let balance = ScaleBalance { lambda: self.lam, ..ScaleBalance::default() };
                balance.weigh(&high, cells).weight
            }
            false => high.into_iter().map(|h| f32::from(u8::from(h))).collect(),
        }
    }
}

/// Weights of all cells: those of the high band as given, sampled ones of the others 1. Proposals that meet no instance are
/// in no band.
fn sampled(iou: &[f32], high: &[f32], valid: impl Fn(usize) -> bool, draws: [&[f32]; 2]) -> Vec<f32> {
    let met = |place: usize| valid(place) && iou[place] > 0.0;
    let banded = Bands::default().sample(iou, met, draws, true);
    high.iter().zip(&banded.mid).zip(&banded.low).map(|((h, m), l)| h + m + l).collect()
}

/// The balanced log loss over valid proposals.
fn classification(p: Tensor<1>, iou: &[f32], valid: impl Fn(usize) -> bool) -> Tensor<1> {
    let label = |(place, &v)| if valid(place) { Label::of(v, FITTING) } else { Label::Ignored };
    let labels: Vec<Label> = iou.iter().enumerate().map(label).collect();
    balanced_log_loss(p, &labels, RATIO, EPSILON)
}

/// The loss of a batch: L_CBG + beta L_PRB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of the agreement of both passes.
    pub consistency: f64,
    /// Weight of the proposal loss: 1 as in BMN; the public re-implementation has 10.
    pub beta: f64,
    /// The proposal loss.
    pub proposals: ProposalLoss,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { consistency: 1.0, beta: 1.0, proposals: ProposalLoss::default() }
    }
}

/// The terms of a batch's loss.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Of the boundaries.
    pub boundaries: BoundaryTerms,
    /// Of the proposals.
    pub proposals: ProposalTerms,
    /// The sum that is trained.
    pub total: Tensor<1>,
}

impl LossConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let ProposalLoss { reg_weight, lam, .. } = self.proposals;
        let weights = [("consistency", self.consistency), ("beta", self.beta)];
        let more = [("proposals.reg_weight", reg_weight), ("proposals.lam", lam)];
        match weights.into_iter().chain(more).find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            Some((key, value)) => Err(format!("{key}: {value} is below 0")),
            None => Ok(()),
        }
    }

    /// Of both passes, the maps of the forward one, and the draws of each map.
    pub fn terms(
        &self,
        [forward, backward]: [PassOutput; 2],
        maps: &[&Tensor<4>],
        targets: &Targets,
        draws: &[[&[f32]; 2]],
    ) -> Terms {
        let boundaries = boundary_terms(forward, backward, [&targets.start, &targets.end], self.consistency);
        let proposals = self.proposals.terms(&targets.iou, maps, draws);
        let total = boundaries.total.clone() + proposals.total.clone().mul_scalar(self.beta);
        Terms { boundaries, proposals, total }
    }
}

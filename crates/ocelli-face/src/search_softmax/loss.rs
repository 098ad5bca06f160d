//! The unified loss `-ln(h(a, p) p)` (equation 9) in log space, with one factor or with one a bin of probability.
//!
//! Linear space, as in the released code, gives an infinite loss below `p = 1e-38` and loses all digits of
//! `a p + 1 - a` where `p` is near 1. Here the true class's logit is shifted instead, which is the same loss.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::ops::log_softmax;

use super::modulating::{Factor, FactorError};

/// Where the factor of a sample comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Factors {
    /// The same for all samples.
    Global(Factor),
    /// By the bin of the sample's probability: the first whose upper edge it does not exceed.
    Local {
        /// The upper edges, rising.
        edges: Vec<f64>,
        /// One factor a bin.
        factors: Vec<Factor>,
    },
}

/// A loss with what led to it.
#[derive(Clone, Debug)]
pub struct Modulated {
    /// Mean of `-ln p_m`, `[1]`.
    pub loss: Tensor<1>,
    /// Softmax probability of the true class, `[B]`, detached.
    pub p: Tensor<1>,
    /// The same with the margin, `[B]`, detached.
    pub p_margin: Tensor<1>,
}

impl Factors {
    /// Factors by bin from the agent's `actions`; bin `j` reaches from `edges[j]` to `edges[j + 1]`.
    ///
    /// # Errors
    /// [`FactorError`] when there are not one action a bin, the edges do not rise, or an action is no number.
    pub fn local(actions: &[f64], edges: &[f64], scale: f64) -> Result<Self, FactorError> {
        if actions.is_empty() || edges.len() != actions.len() + 1 {
            return Err(FactorError::Bins { actions: actions.len(), edges: edges.len() });
        }
        if !edges.is_sorted_by(|a, b| a < b) {
            return Err(FactorError::Edges);
        }
        let factors: Result<Vec<Factor>, _> =
            actions.iter().map(|&action| Factor::of_action(action, scale)).collect();
        Ok(Self::Local { edges: edges[1..].to_vec(), factors: factors? })
    }

    /// `logits [B, K]`, scaled already, with the true class's shifted so that cross entropy trains with the margin.
    ///
    /// For factors at or below 0 cross entropy of the result is the loss; see [`Factor::offset`] for others. No gradient
    /// flows through the choice of a bin.
    pub fn shift(&self, logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let shifts = match self {
            Self::Global(factor) => constant(&labels, factor.shift()),
            Self::Local { .. } => self.by_bin(&log_probability(&logits, &labels), Factor::shift),
        };
        shifted(logits, labels, shifts)
    }

    /// Loss and probabilities of `logits [B, K]`, scaled already, against `labels [B]`.
    pub fn modulate(&self, logits: Tensor<2>, labels: Tensor<1, Int>) -> Modulated {
        let log_p = log_probability(&logits, &labels);
        let (shifts, offsets) = match self {
            Self::Global(factor) => (constant(&labels, factor.shift()), constant(&labels, factor.offset())),
            Self::Local { .. } => (self.by_bin(&log_p, Factor::shift), self.by_bin(&log_p, Factor::offset)),
        };
        let logits = shifted(logits, labels.clone(), shifts);
        let log_p_margin = log_probability(&logits, &labels) - offsets.clone();
        let loss = cross_entropy(logits, labels) + offsets.mean();
        let rows = log_p.dims()[0];
        let flat = |x: Tensor<2>| x.exp().reshape([rows]);
        Modulated { loss, p: flat(log_p), p_margin: flat(log_p_margin) }
    }

    /// What `of` says of each sample's factor, `[B, 1]`. Beyond the last edge there is none.
    fn by_bin(&self, log_p: &Tensor<2>, of: fn(Factor) -> f64) -> Tensor<2> {
        let Self::Local { edges, factors } = self else { return log_p.zeros_like() };
        let p = log_p.clone().exp();
        let above = factors.iter().skip(1).chain([&Factor::NONE]);
        let first = p.full_like(of(factors[0]));
        edges
            .iter()
            .zip(above)
            .fold(first, |values, (&edge, &next)| values.mask_fill(p.clone().greater_elem(edge), of(next)))
    }
}

/// `value` for every sample, `[B, 1]`.
fn constant(labels: &Tensor<1, Int>, value: f64) -> Tensor<2> {
    Tensor::full([labels.dims()[0], 1], value, &labels.device().without_autodiff())
}

/// Log-probability of the true class, `[B, 1]`, detached.
fn log_probability(logits: &Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
    log_softmax(logits.clone().without_autodiff(), 1).gather(1, labels.clone().unsqueeze_dim(1))
}

/// `logits` with `shifts [B, 1]` added in the labels' columns.
fn shifted(logits: Tensor<2>, labels: Tensor<1, Int>, shifts: Tensor<2>) -> Tensor<2> {
    logits.scatter(1, labels.unsqueeze_dim(1), shifts, IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, integers, scalar, values};

    fn modulate(factors: &Factors, logits: &[f32], classes: usize, labels: &[i64]) -> (f32, Vec<f32>) {
        let device = ocelli_nn::device("cpu").unwrap();
        let logits = from_values(logits.to_vec(), [labels.len(), classes], &device);
        let modulated = factors.modulate(logits, integers(labels, &device));
        (scalar(modulated.loss), values(modulated.p_margin))
    }

    #[test]
    fn extreme_logits_have_finite_losses_and_gradients() {
        let device = ocelli_nn::device("cpu").unwrap();
        let factors = Factors::Global(Factor::new(-1e4).unwrap());
        let logits = from_values(vec![150.0, -150.0, -150.0, 150.0], [2, 2], &device);
        let logits = logits.autodiff().require_grad();
        let modulated = factors.modulate(logits.clone(), integers(&[0, 0], &device));
        let gradients = modulated.loss.backward();
        let g = values(logits.grad(&gradients).unwrap());
        assert!((scalar(modulated.loss) - 0.5 * (300.0 + 10_001f32.ln())).abs() < 1e-3);
        assert_eq!(g.iter().map(|v| (v * 1e3).round()).collect::<Vec<_>>(), [0.0, 0.0, -500.0, 500.0]);
    }

    #[test]
    fn bins_are_closed_above_and_end_at_the_last_edge() {
        let edges = [0.0, 0.5, 0.75];
        let factors = Factors::local(&[-1.0, -3.0], &edges, 1.0).unwrap();
        let ratio = |odds: f32| modulate(&factors, &[odds.ln(), 0.0], 2, &[0]).1[0];
        // Odds 1, 2 and 9 are probabilities 1/2, 2/3 and 9/10.
        assert!((ratio(1.0) - 1.0 / 3.0).abs() < 1e-6);
        assert!((ratio(2.0) - 1.0 / 3.0).abs() < 1e-6);
        assert!((ratio(9.0) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn actions_above_zero_follow_the_released_rule() {
        let factors = Factors::Global(Factor::of_action(0.5, 8.0).unwrap());
        let (loss, p) = modulate(&factors, &[0.0, 0.0], 2, &[0]);
        assert!((p[0] - 0.5 / (4.0 * 0.5 + 1.0)).abs() < 1e-6);
        assert!((loss + p[0].ln()).abs() < 1e-6);
    }

    #[test]
    fn shifted_logits_train_the_same_loss() {
        let device = ocelli_nn::device("cpu").unwrap();
        let logits = from_values(vec![1.0, 2.0, 0.5, -1.0, 0.0, 3.0], [2, 3], &device);
        let labels = integers(&[1, 0], &device);
        for factors in [
            Factors::Global(Factor::new(-50.0).unwrap()),
            Factors::local(&[-0.1, -0.2], &[0.0, 0.5, 1.0], 100.0).unwrap(),
        ] {
            let whole = scalar(factors.modulate(logits.clone(), labels.clone()).loss);
            let shifted = factors.shift(logits.clone(), labels.clone());
            assert!((whole - scalar(cross_entropy(shifted, labels.clone()))).abs() < 1e-6);
        }
    }

    #[test]
    fn bins_that_do_not_fit_are_refused() {
        assert!(matches!(Factors::local(&[-1.0], &[0.0, 0.5, 1.0], 1.0), Err(FactorError::Bins { .. })));
        assert!(matches!(Factors::local(&[], &[0.0], 1.0), Err(FactorError::Bins { .. })));
        assert_eq!(Factors::local(&[-1.0, -1.0], &[0.0, 0.5, 0.5], 1.0), Err(FactorError::Edges));
    }
}

//! Soft histograms of similarities, and the divergence of two.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Where and how softly similarities are counted; the published values by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Histogram {
    /// Number of nodes.
    pub nodes: usize,
    /// The first node.
    pub node_start: f64,
    /// Distance of the nodes.
    pub node_step: f64,
    /// Standard deviation of a similarity's bell around itself.
    pub sigma: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { nodes: 1000, node_start: 0.0, node_step: 0.001, sigma: 0.1 }
    }
}

impl Histogram {
    /// The distribution of `similarities [n]` over the nodes, `[nodes]`: at node t the sum of exp(-((s - t) / sigma)² / 2),
    /// all divided by their sum. Smooth in the similarities. Of none it is NaN.
    pub fn of(&self, similarities: Tensor<1>) -> Tensor<1> {
        let [n] = similarities.dims();
        let device = similarities.device().without_autodiff();
        let node = |r: usize| (self.node_start + r as f64 * self.node_step) as f32;
        let nodes = ocelli_nn::tensor::from_values::<2>(
            (0..self.nodes).map(node).collect(),
            [1, self.nodes],
            &device,
        );
        let shape = [n, self.nodes];
        let distance = similarities.unsqueeze_dim::<2>(1).expand(shape) - nodes.expand(shape);
        let bells = distance.square().mul_scalar(-0.5 / (self.sigma * self.sigma)).exp();
        let counts = bells.sum_dim(0).reshape([self.nodes]);
        counts.clone() / counts.sum()
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that makes no histogram.
    pub fn validate(&self) -> Result<(), String> {
        if self.nodes < 2 {
            return Err(format!("nodes: {} make no distribution", self.nodes));
        }
        for (key, value) in [("node_step", self.node_step), ("sigma", self.sigma)] {
            if !value.is_finite() || value <= 0.0 {
                return Err(format!("{key}: {value} is not above 0"));
            }
        }
        match self.node_start.is_finite() {
            true => Ok(()),
            false => Err(format!("node_start: {} is no number", self.node_start)),
        }
    }
}

/// Kullback-Leibler divergence of the student `q` from the teacher `p`, both `[nodes]`, with `eps` added to both: `[1]`.
/// Gradients flow into both.
pub fn divergence(p: Tensor<1>, q: Tensor<1>, eps: f64) -> Tensor<1> {
    let (p, q) = (p.add_scalar(eps), q.add_scalar(eps));
    (p.clone() * (p.log() - q.log())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, scalar, values};

    fn distribution(similarities: &[f32]) -> Tensor<1> {
        let device = ocelli_nn::device("cpu").unwrap();
        Histogram::default().of(from_values(similarities.to_vec(), [similarities.len()], &device))
    }

    #[test]
    fn a_distribution_sums_to_one_and_peaks_at_its_similarity() {
        let found = values(distribution(&[0.3]));
        assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let peak = (0..1000).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
        assert_eq!(peak, 300);
        // Neither number nor order of the similarities matters.
        let twice = values(distribution(&[0.3, 0.3]));
        assert!(found.iter().zip(&twice).all(|(a, b)| (a - b).abs() < 1e-8));
    }

    #[test]
    fn the_divergence_is_zero_between_equals_and_grows_with_distance() {
        let of = |a: &[f32], b: &[f32]| scalar(divergence(distribution(a), distribution(b), 1e-9));
        assert!(of(&[0.2, 0.7], &[0.7, 0.2]).abs() < 1e-6);
        assert!(of(&[0.5], &[0.6]) > 0.01);
        assert!(of(&[0.5], &[0.8]) > of(&[0.5], &[0.6]));
        // Extremes far from all others stay numbers.
        assert!(of(&[1.0], &[0.0]).is_finite());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = [
            Histogram { nodes: 1, ..Histogram::default() },
            Histogram { node_step: 0.0, ..Histogram::default() },
            Histogram { sigma: f64::NAN, ..Histogram::default() },
            Histogram { node_start: f64::INFINITY, ..Histogram::default() },
        ];
        for (histogram, key) in wrong.iter().zip(["nodes", "node_step", "sigma", "node_start"]) {
            assert!(histogram.validate().unwrap_err().starts_with(key));
        }
        assert_eq!(Histogram::default().validate(), Ok(()));
    }
}

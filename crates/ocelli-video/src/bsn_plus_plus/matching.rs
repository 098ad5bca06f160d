//! The boundary-matching weights: which snippets the features of a proposal are read from.

use burn::tensor::Tensor;
use ocelli_nn::{Init, Param, Path, Role};
use serde::{Deserialize, Serialize};

use crate::temporal::sampler::{ProposalSampler, compact_places};

/// How proposals are sampled (section 3.3 of the paper; Lin et al., BMN, 2019, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// Bins along a proposal.
    pub n_bins: usize,
    /// Points whose mean a bin is.
    pub per_bin: usize,
    /// How far beyond either end a proposal is looked at, in its own lengths.
    pub ratio: f64,
}

impl Default for Matching {
    fn default() -> Self {
        Self { n_bins: 32, per_bin: 3, ratio: 0.5 }
    }
}

impl Matching {
    /// What bin `n` of proposal (`s`, `e`), `s <= e`, reads of `cells` snippets: snippets with their weights, some of them
    /// perhaps more than once.
    ///
    /// The points lie evenly from `s - ratio c` to `e + 1 + ratio c`, both included, `c = e - s + 2`. A point at p reads snippet
    /// floor(p) with 1 - frac(p) and the next with frac(p), where they exist. As in the released sampler, p in (-1, 0)
    /// counts as snippet 0, and a point at -1 exactly, which occurs, as none: in double precision, as computed here.
    pub fn bin(&self, [s, e]: [usize; 2], n: usize, cells: usize) -> Vec<(usize, f32)> {
        let (low, high) = (s as f64, (e + 1) as f64);
        let beyond = (high - low + 1.0) * self.ratio;
        let (first, last) = (low - beyond, high + beyond);
        let spacing = (last - first) / (self.n_bins * self.per_bin).saturating_sub(1).max(1) as f64;
        let share = 1.0 / self.per_bin.max(1) as f64;
        let points = (0..self.per_bin).map(|k| first + spacing * (n * self.per_bin + k) as f64);
        points.flat_map(|p| neighbours(p, cells)).map(|(t, weight)| (t, (weight * share) as f32)).collect()
    }

    /// The sampler of all proposals of a sequence of `cells` snippets, and of a place that is none.
    pub fn sampler(&self, cells: usize) -> ProposalSampler {
        ProposalSampler::new(cells, self.n_bins, compact_places(cells), |s, e, n| self.bin([s, e], n, cells))
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that cannot be sampled with.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value) in [("n_bins", self.n_bins), ("per_bin", self.per_bin)] {
            if value == 0 {
                return Err(format!("{key}: 0 is not above 0"));
            }
        }
        match self.ratio.is_finite() && self.ratio >= 0.0 {
            true => Ok(()),
            false => Err(format!("ratio: {} is below 0", self.ratio)),
        }
    }
}

/// The snippets beside point `p`, with their weights.
fn neighbours(p: f64, cells: usize) -> impl Iterator<Item = (usize, f64)> {
    let at = |snippet: f64, weight: f64| {
        let exists = snippet >= 0.0 && snippet < cells as f64 && weight > 0.0;
        exists.then_some((snippet as usize, weight))
    };
    let (left, part) = match p > -1.0 && p < 0.0 {
        true => (0.0, 0.0),
        false => (p.floor(), p - p.floor()),
    };
    [at(left, 1.0 - part), at(left + 1.0, part)].into_iter().flatten()
}

/// The boundary-matching layer with the convolution over its bins, kernel and stride `(n_bins, 1, 1)`: `weight [out, in,
/// n_bins, 1, 1]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct BoundaryMatching {
    weight: Param,
    bias: Param,
    sampler: ProposalSampler,
}

impl BoundaryMatching {
    /// From `input` to `output` channels on sequences of `cells` snippets, the convolution at `path`.
    pub fn new(path: &Path, [input, output]: [usize; 2], cells: usize, matching: Matching) -> Self {
        let shape = [output, input, matching.n_bins, 1, 1];
        Self {
            weight: path.param("weight", &shape, Init::FanInUniform, Role::Kernel),
            bias: path.param("bias", &[output], Init::Zeros, Role::Bias),
            sampler: matching.sampler(cells),
        }
    }

    /// `[B, C, T]` to `[B, out, T, T]`; places that are no proposals have the bias.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<4> {
        let weight = self.weight.value::<5>();
        let [output, input, bins, ..] = weight.dims();
        let rows = self.sampler.convolve(x.swap_dims(1, 2), weight.reshape([output, input, bins]));
        self.sampler.to_maps(rows + self.bias.value::<1>().unsqueeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_shared_between_neighbours() {
        let of = |p: f64| neighbours(p, 4).collect::<Vec<_>>();
        assert_eq!(of(1.25), [(1, 0.75), (2, 0.25)]);
        assert_eq!(of(2.0), [(2, 1.0)]);
        assert_eq!(of(-0.5), [(0, 1.0)]);
        assert_eq!(of(-1.0), []);
        assert_eq!(of(3.75), [(3, 0.25)]);
        assert_eq!(of(4.0), []);
    }

    #[test]
    fn bins_cover_the_proposal_and_its_surroundings() {
        // From 2 - 1.5 to 4 + 1.5 in steps of 1.
        let matching = Matching { n_bins: 3, per_bin: 2, ratio: 0.5 };
        assert_eq!(matching.bin([2, 3], 0, 5), [(0, 0.25), (1, 0.25), (1, 0.25), (2, 0.25)]);
        assert_eq!(matching.bin([2, 3], 2, 5), [(4, 0.25)]);
        assert!(Matching { per_bin: 0, ..matching }.validate().is_err());
        assert!(Matching { ratio: f64::NAN, ..matching }.validate().is_err());
    }
}

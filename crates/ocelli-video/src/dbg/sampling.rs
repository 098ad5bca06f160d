//! Where the features of a proposal are sampled (section 3.2 of the paper: proposal feature generation).

use serde::{Deserialize, Serialize};

use crate::temporal::sampler::{Place, ProposalSampler};

/// Points sampled in the three regions of a proposal; the published numbers by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regions {
    /// Around its start.
    pub start_num: usize,
    /// Inside it.
    pub center_num: usize,
    /// Around its end.
    pub end_num: usize,
}

impl Default for Regions {
    fn default() -> Self {
        Self { start_num: 8, center_num: 16, end_num: 8 }
    }
}

/// The regions at start and end reach a fifth of the proposal's length to either side.
const REACH: f64 = 5.0;

impl Regions {
    /// Points of all regions.
    pub fn samples(self) -> usize {
        self.start_num + self.center_num + self.end_num
    }

    /// Where point `n` of proposal (i, j) lies, in cells: those around the start first, then those inside, then those
    /// around the end.
    pub fn position(self, i: usize, j: usize, n: usize) -> f64 {
        let (start, end) = (i as f64, j as f64);
        let reach = (end - start + 1.0) / REACH;
        let spread = |from: f64, to: f64, k: usize, count: usize| {
            from + k as f64 * (to - from) / count.saturating_sub(1).max(1) as f64
        };
        let inner = n.wrapping_sub(self.start_num);
        if n < self.start_num {
            spread(start - reach, start + reach, n, self.start_num)
        } else if inner < self.center_num {
            spread(start, end, inner, self.center_num)
        } else {
            spread(end - reach, end + reach, inner - self.center_num, self.end_num)
        }
    }

    /// The sampler of these regions: each point is interpolated linearly between its two cells; cells beyond either end
    /// of the sequence are those at the end.
    pub fn sampler(self, cells: usize, places: Vec<Place>) -> ProposalSampler {
        let last = cells.saturating_sub(1) as f64;
        ProposalSampler::new(cells, self.samples(), places, |i, j, n| {
            let position = self.position(i, j, n);
            let left = position.floor();
            // The weights are those of the unclamped cells, so that what lies outside repeats the border.
            let cell = |at: f64| at.clamp(0.0, last) as usize;
            vec![(cell(left), (left + 1.0 - position) as f32), (cell(left + 1.0), (position - left) as f32)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::sampler::map_places;

    #[test]
    fn regions_reach_a_fifth_to_either_side() {
        let regions = Regions { start_num: 3, center_num: 4, end_num: 2 };
        let positions: Vec<f64> = (0..9).map(|n| regions.position(10, 19, n)).collect();
        assert_eq!(positions, [8.0, 10.0, 12.0, 10.0, 13.0, 16.0, 19.0, 17.0, 21.0]);
        let one = Regions { start_num: 1, center_num: 1, end_num: 1 };
        assert_eq!([0, 1, 2].map(|n| one.position(10, 19, n)), [8.0, 10.0, 17.0]);
    }

    #[test]
    fn borders_repeat() {
        let sampler = Regions::default().sampler(4, map_places(4));
        for place in 0..16 {
            for n in 0..32 {
                let total: f32 = sampler.weights(place, n).map(|(_, w)| w).sum();
                let want = if place / 4 <= place % 4 { 1.0 } else { 0.0 };
                assert!((total - want).abs() < 1e-6, "place {place}, sample {n}: {total}");
            }
        }
        // Proposal (0, 3) begins 0.8 cells before the first.
        assert_eq!(sampler.weights(3, 0).map(|(cell, _)| cell).collect::<Vec<_>>(), [0]);
    }
}

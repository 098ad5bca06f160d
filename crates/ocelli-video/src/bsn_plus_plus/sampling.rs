//! Scale-balanced re-sampling: which share of the positive cells each range of lengths is to have.

use serde::{Deserialize, Serialize};

/// The settings (section 3.4 of the paper).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScaleBalance {
    /// Where one range of lengths, as shares of the video, ends and the next begins.
    pub edges: Vec<f64>,
    /// Shares below this are lifted.
    #[serde(alias = "lam")]
    pub lambda: f64,
}

impl Default for ScaleBalance {
    fn default() -> Self {
        Self { edges: vec![0.3, 0.7], lambda: 0.15 }
    }
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebalanced {
    /// The share of the positive cells that is in each range.
    pub share: Vec<f64>,
    /// The share that each range is to have.
    pub wanted: Vec<f64>,
    /// Of each positive cell, wanted over found share of its range; 0 elsewhere.
    pub weight: Vec<f32>,
}

impl ScaleBalance {
    /// Shares and weights of the positive cells of any number of maps `[cells, cells]`, one after the other.
    ///
    /// A share r up to lambda becomes lambda exp(r / lambda - 1), which meets r at lambda with slope 1; an empty range stays
    /// empty. The weight is how often re-sampling draws a cell on average, 1 over all positive cells. Without positive
    /// cells all is 0.
    pub fn weigh(&self, positive: &[bool], cells: usize) -> Rebalanced {
        let range = |place: usize| {
            let (s, e) = (place / cells % cells, place % cells);
            let length = (e + 1).saturating_sub(s) as f64 / cells as f64;
            (e >= s).then(|| self.edges.iter().filter(|edge| length > **edge).count())
        };
        let ranges: Vec<Option<usize>> =
            positive.iter().enumerate().map(|(place, &p)| range(place).filter(|_| p)).collect();
        let mut counts = vec![0usize; self.edges.len() + 1];
        ranges.iter().flatten().for_each(|&range| counts[range] += 1);
        let all = counts.iter().sum::<usize>().max(1) as f64;
        let share: Vec<f64> = counts.iter().map(|&n| n as f64 / all).collect();
        let lifted: Vec<f64> = share.iter().map(|&r| self.lifted(r)).collect();
        let sum: f64 = lifted.iter().sum();
        let wanted: Vec<f64> = lifted.iter().map(|r| if sum > 0.0 { r / sum } else { 0.0 }).collect();
        let weight = |range: &Option<usize>| range.map_or(0.0, |i| (wanted[i] / share[i]) as f32);
        Rebalanced { weight: ranges.iter().map(weight).collect(), share, wanted }
    }

    fn lifted(&self, share: f64) -> f64 {
        match share > 0.0 && share <= self.lambda {
            true => self.lambda * (share / self.lambda - 1.0).exp(),
            false => share,
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that cannot be sampled with.
    pub fn validate(&self) -> Result<(), String> {
        if !self.edges.is_sorted_by(|a, b| a < b) {
            return Err(format!("edges: {:?} do not rise", self.edges));
        }
        match self.lambda.is_finite() && self.lambda >= 0.0 {
            true => Ok(()),
            false => Err(format!("lambda: {} is below 0", self.lambda)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rare_lengths_are_lifted() {
        let balance = ScaleBalance::default();
        // Of ten cells: row 0 has lengths 0.1 to 1.0, row 1 one less.
        let mut positive = vec![false; 100];
        positive[0] = true;
        (13..17).for_each(|place| positive[place] = true);
        positive[10] = true;
        let got = balance.weigh(&positive, 10);
        assert_eq!(got.share, [0.4, 0.6, 0.0]);
        assert_eq!(got.wanted, [0.4, 0.6, 0.0]);
        assert_eq!(got.weight.iter().sum::<f32>(), 5.0, "the cell below the diagonal is none");
        let rare = ScaleBalance { lambda: 0.5, ..balance.clone() }.weigh(&positive, 10);
        assert!(rare.wanted[0] > 0.4 && rare.wanted[2] == 0.0);
        let nothing = balance.weigh(&[false; 100], 10);
        assert!(nothing.weight.iter().all(|w| *w == 0.0) && nothing.wanted == [0.0; 3]);
    }

    proptest! {
        /// The mean weight of the positive cells is 1.
        #[test]
        fn weights_are_one_on_average(cells in 1..15_usize, seed in prop::collection::vec(0.0..1.0_f64, 225)) {
            let square = cells * cells;
            let positive: Vec<bool> = (0..square).map(|p| p % cells >= p / cells && seed[p] > 0.6).collect();
            let got = ScaleBalance::default().weigh(&positive, cells);
            let count = positive.iter().filter(|p| **p).count() as f32;
            prop_assert!((got.weight.iter().sum::<f32>() - count).abs() < 1e-3 * count.max(1.0));
        }
    }

    #[test]
    fn settings_are_checked() {
        assert!(ScaleBalance::default().validate().is_ok());
        let falling = ScaleBalance { edges: vec![0.7, 0.3], ..ScaleBalance::default() };
        assert_eq!(falling.validate().unwrap_err(), "edges: [0.7, 0.3] do not rise");
        assert!(ScaleBalance { lambda: f64::NAN, ..ScaleBalance::default() }.validate().is_err());
    }
}

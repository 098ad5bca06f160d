//! Untrimmed videos as sequences of features: actions between background, with cues of where they begin and end, and
//! cues that deceive.
//!
//! A clip is what a localizer sees of a video: a feature vector for each of its cells, and the actions as fractions of its
//! duration. What makes localizing hard is in it: cues of boundaries also fire where no action begins or ends, and all is
//! under noise. Sample `index` is a pure function of the fields and the index.
//!
//! ```
//! use ocelli_world::clips::ActionClips;
//!
//! let clip = ActionClips::default().clip(0);
//! assert_eq!(clip.features.len(), clip.cells * clip.channels);
//! assert!(!clip.actions.is_empty());
//! ```
//!
//! [`labelled`] gives each clip's actions a class. [`emotion`] has clips that show emotions in what is seen and in what is said; [`render`] plays their scripts as small
//! films with subtitles.

pub mod emotion;
pub mod labelled;
pub mod render;

pub mod progress;

use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::lookalikes::normals;

/// An untrimmed video.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Features, a row a cell: `[cells, channels]`.
    pub features: Vec<f32>,
    /// Number of cells.
    pub cells: usize,
    /// Features of a cell.
    pub channels: usize,
    /// The actions as fractions of the video, in order of time, none overlapping another.
    pub actions: Vec<[f64; 2]>,
}

impl Clip {
    /// Adds `height` times a Gaussian bell around cell position `centre` (in cells) to a channel.
    pub fn add_bump(&mut self, channel: usize, centre: f64, deviation: f64, height: f32) {
        for (cell, row) in self.features.chunks_exact_mut(self.channels).enumerate() {
            let distance = (cell as f64 + 0.5 - centre) / deviation;
            row[channel] += height * (-0.5 * distance * distance).exp() as f32;
        }
    }

    /// Adds to a channel, in each cell, `height` times the share of the cell that lies in an action.
    pub fn add_content(&mut self, channel: usize, height: f32) {
        let (cells, channels) = (self.cells as f64, self.channels);
        for (cell, row) in self.features.chunks_exact_mut(channels).enumerate() {
            let inside = |[start, end]: &[f64; 2]| {
                (end * cells).min(cell as f64 + 1.0) - (start * cells).max(cell as f64)
            };
            let share: f64 = self.actions.iter().map(|a| inside(a).max(0.0)).sum();
            row[channel] += height * share as f32;
        }
    }
}

/// Lays segments of these lengths (fractions) one after the other, with the rest of the time spread at random between them.
/// Lengths that do not fit are shrunk together to nine tenths of the time.
pub fn lay_out(lengths: &[f64], g: &mut Generator) -> Vec<[f64; 2]> {
    const FULL: f64 = 0.9;
    let total: f64 = lengths.iter().sum();
    let scale = if total > FULL { FULL / total } else { 1.0 };
    let mut gaps: Vec<f64> = (0..=lengths.len()).map(|_| -(1.0 - g.random::<f64>()).ln()).collect();
    let free = 1.0 - total * scale;
    let sum: f64 = gaps.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    gaps.iter_mut().for_each(|gap| *gap *= free / sum);
    let mut at = 0.0;
    let place = |(length, gap): (&f64, &f64)| {
        let start = at + gap;
        at = start + length * scale;
        [start, at.min(1.0)]
    };
    lengths.iter().zip(&gaps).map(place).collect()
}

/// Clips with two streams of features. In both some channels are raised inside actions; in the first, one channel has a bump
/// at every start and one at every end, and both have as many bumps again where nothing begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActionClips {
    /// Fixes all.
    pub seed: u64,
    /// Cells of a clip.
    pub cells: usize,
    /// Features of a cell; the first half is the first stream. At least 12.
    pub channels: usize,
    /// Most actions of a clip; there is at least one.
    pub most_actions: usize,
    /// Shortest and longest action, as fractions of the clip.
    pub lengths: [f64; 2],
    /// How much actions raise the four channels of the first stream and the two of the second.
    pub content: [f32; 2],
    /// Height of the bumps at boundaries, whose standard deviation is one cell.
    pub bump: f32,
    /// Bumps of each kind that deceive.
    pub distractors: usize,
    /// Standard deviation of the noise.
    pub noise: f32,
}

impl Default for ActionClips {
    fn default() -> Self {
        Self {
            seed: 0,
            cells: 16,
            channels: 16,
            most_actions: 3,
            lengths: [0.08, 0.4],
            content: [1.0, 0.8],
            bump: 1.5,
            distractors: 2,
            noise: 0.9,
        }
    }
}

/// Channels of the first stream that actions raise; the two after them have the bumps at starts and at ends.
const FIRST: usize = 4;
/// Channels of the second stream that actions raise.
const SECOND: usize = 2;

impl ActionClips {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that makes no clips.
    pub fn validate(&self) -> Result<(), String> {
        if self.cells == 0 || self.cells > 10_000 {
            return Err(format!("cells: {} is outside 1 to 10000", self.cells));
        }
        if self.channels < 2 * (FIRST + 2) || !self.channels.is_multiple_of(2) {
            return Err(format!("channels: {} is no even number from {} on", self.channels, 2 * (FIRST + 2)));
        }
        if self.most_actions == 0 {
            return Err("most_actions: must be at least 1".to_owned());
        }
        let [least, most] = self.lengths;
        if !(least > 0.0 && least <= most && most <= 1.0) {
            return Err(format!("lengths: {least} to {most} is no range above 0 and up to 1"));
        }
        Ok(())
    }

    /// Clip `index`.
    ///
    /// # Panics
    /// When the settings make no clips; see [`ActionClips::validate`].
    pub fn clip(&self, index: u64) -> Clip {
        let g = &mut stream(self.seed, "clips.actions", index);
        let count = 1 + g.random_range(0..self.most_actions);
        let [least, most] = self.lengths;
        let lengths: Vec<f64> = (0..count).map(|_| least + (most - least) * g.random::<f64>()).collect();
        let actions = lay_out(&lengths, g);
        let noise = normals(self.cells * self.channels, g).map(|n| self.noise * n).collect();
        let mut clip = Clip { features: noise, cells: self.cells, channels: self.channels, actions };
        (0..FIRST).for_each(|channel| clip.add_content(channel, self.content[0]));
        let second = self.channels / 2;
        (second..second + SECOND).for_each(|channel| clip.add_content(channel, self.content[1]));
        for (end, channel) in [FIRST, FIRST + 1].into_iter().enumerate() {
            let cues: Vec<f64> = clip.actions.iter().map(|action| action[end]).collect();
            let deceiving: Vec<f64> = (0..self.distractors).map(|_| g.random::<f64>()).collect();
            for centre in cues.into_iter().chain(deceiving) {
                clip.add_bump(channel, centre * self.cells as f64, 1.0, self.bump);
            }
        }
        clip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_depends_on_its_index_alone() {
        let world = ActionClips::default();
        assert_eq!(world.clip(3), world.clip(3));
        assert_ne!(world.clip(3), world.clip(4));
        assert_ne!(world.clip(3), ActionClips { seed: 1, ..world }.clip(3));
    }

    #[test]
    fn actions_do_not_overlap() {
        let world = ActionClips::default();
        let mut counts = [0; 4];
        for index in 0..200 {
            let actions = world.clip(index).actions;
            counts[actions.len()] += 1;
            assert!(actions.iter().all(|[start, end]| *start >= 0.0 && end <= &1.0 && end - start > 0.05));
            assert!(actions.windows(2).all(|pair| pair[0][1] <= pair[1][0]));
        }
        assert!(counts[0] == 0 && counts[1..].iter().all(|n| *n > 40), "{counts:?}");
    }

    #[test]
    fn cues_stand_where_actions_are() {
        let quiet =
            ActionClips { noise: 0.0, distractors: 0, cells: 100, most_actions: 1, ..ActionClips::default() };
        let clip = quiet.clip(0);
        let column = |channel: usize| -> Vec<f32> {
            clip.features.iter().skip(channel).step_by(clip.channels).copied().collect()
        };
        let highest = |channel: usize| {
            let values = column(channel);
            (0..100).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap() as f64 / 100.0
        };
        let [start, end] = clip.actions[0];
        assert!((highest(4) - start).abs() < 0.02 && (highest(5) - end).abs() < 0.02);
        for (channel, height) in [(0, 1.0), (3, 1.0), (8, 0.8), (9, 0.8), (7, 0.0), (15, 0.0)] {
            let sum: f32 = column(channel).iter().sum();
            let want = height * 100.0 * (end - start) as f32;
            assert!((sum - want).abs() < 1e-3, "channel {channel}: {sum}, expected {want}");
        }
    }

    #[test]
    fn too_long_actions_are_shrunk() {
        let laid = lay_out(&[0.8, 0.7], &mut stream(0, "", 0));
        assert!(laid[0][1] <= laid[1][0] && laid[1][1] <= 1.0);
        assert!((laid[0][1] - laid[0][0] - 0.48).abs() < 1e-9);
        assert!(lay_out(&[], &mut stream(0, "", 0)).is_empty());
    }

    #[test]
    fn impossible_settings_are_named() {
        let wrong = ActionClips { channels: 10, ..ActionClips::default() }.validate().unwrap_err();
        assert!(wrong.starts_with("channels: 10"), "{wrong}");
        assert!(ActionClips { lengths: [0.5, 0.2], ..ActionClips::default() }.validate().is_err());
        assert!(ActionClips::default().validate().is_ok());
    }
}

//! Actions whose beginning has many false friends and whose end shows in nothing but that their progress stops: the
//! smallest world in which boundaries need context on both sides.
//!
//! Every snippet is noise. Inside an action one direction, its class's, is constant, and another rises from its start to its
//! end. A third fires at every start, and at distracting times as well. Most actions are short: the logarithm of their length
//! is uniform.

use ocelli_method::random::stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Clip;
use crate::axes::orthonormal;
use crate::lookalikes::normals;

/// A world of videos; video number `index` is a pure function of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgressWorld {
    /// Fixes all.
    pub seed: u64,
    /// Which encoder described the videos: others see the same through other directions and other noise.
    pub encoder: u64,
    /// Snippets of a video.
    pub snippets: usize,
    /// Numbers that describe a snippet.
    pub channels: usize,
    /// Classes of actions.
    pub classes: usize,
    /// Most actions of a video.
    pub most: usize,
    /// Shortest and longest action, as shares of the video.
    pub length: [f64; 2],
    /// Shortest and longest gap before an action.
    pub gap: [f64; 2],
    /// Height of the class's direction.
    pub content: f32,
    /// Height of the progress at the end of an action.
    pub progress: f32,
    /// Height of what fires at starts.
    pub cue: f32,
    /// How often it fires elsewhere.
    pub distractors: usize,
    /// Standard deviation of the noise in each direction.
    pub noise: f32,
}

impl Default for ProgressWorld {
    fn default() -> Self {
        Self {
            seed: 0,
            encoder: 0,
            snippets: 24,
            channels: 16,
            classes: 1,
            most: 3,
            length: [0.06, 0.6],
            gap: [0.06, 0.3],
            content: 2.0,
            progress: 1.2,
            cue: 2.0,
            distractors: 2,
            noise: 1.0,
        }
    }
}

/// A video with the classes of its actions.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressClip {
    /// The video; at least one action.
    pub clip: Clip,
    /// The class of each action.
    pub classes: Vec<usize>,
}

/// An action with its class.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Action {
    start: f64,
    end: f64,
    class: usize,
}

/// Directions beside those of the classes: progress and cue.
const SHARED: usize = 2;

impl ProgressWorld {
    /// Video number `index`.
    ///
    /// # Panics
    /// When there are fewer channels than directions, no class, or no room for an action.
    pub fn clip(&self, index: u64) -> ProgressClip {
        assert!(self.classes > 0 && self.channels >= self.classes + SHARED, "channels for every direction");
        assert!(self.gap[1] < 1.0, "room for an action");
        let actions = self.actions(index);
        let axes = &mut stream(self.seed, "clips.progress.axes", self.encoder);
        let axes = orthonormal(self.channels, self.classes + SHARED, axes);
        let (shared, classes) = axes.split_at(SHARED);
        let noise = &mut stream(self.seed ^ self.encoder.rotate_left(32), "clips.progress.noise", index);
        let mut features: Vec<f32> =
            normals(self.snippets * self.channels, noise).map(|v| self.noise * v).collect();
        let cues = self.cues(index, &actions);
        for (k, snippet) in features.chunks_exact_mut(self.channels).enumerate() {
            let time = k as f64 / self.snippets as f64;
            let mut add = |axis: &[f32], height: f32| {
                snippet.iter_mut().zip(axis).for_each(|(value, a)| *value += height * a);
            };
            for a in actions.iter().filter(|a| a.start <= time && time <= a.end) {
                add(&classes[a.class], self.content);
                let progress = (time - a.start) / (a.end - a.start).max(f64::MIN_POSITIVE);
                add(&shared[0], self.progress * progress as f32);
            }
            let fired = |cue: &f64| (-0.5 * ((time - cue) * self.snippets as f64).powi(2)).exp();
            add(&shared[1], self.cue * cues.iter().map(fired).sum::<f64>() as f32);
        }
        let classes = actions.iter().map(|a| a.class).collect();
        let actions = actions.iter().map(|a| [a.start, a.end]).collect();
        let (cells, channels) = (self.snippets, self.channels);
        ProgressClip { clip: Clip { features, cells, channels, actions }, classes }
    }

    /// The actions of a video: the same for every encoder.
    fn actions(&self, index: u64) -> Vec<Action> {
        let g = &mut stream(self.seed, "clips.progress.actions", index);
        let between = |[low, high]: [f64; 2], u: f64| low + (high - low) * u;
        let [shortest, longest] = self.length.map(f64::ln);
        let (mut actions, mut time): (Vec<Action>, f64) = (Vec::new(), 0.0);
        for _ in 0..g.random_range(1..=self.most.max(1)) {
            let start = time + between(self.gap, g.random());
            time = start + between([shortest, longest], g.random()).exp();
            let class = g.random_range(0..self.classes);
            // The first that reaches beyond the end is the last; the very first is cut.
            if time <= 1.0 || actions.is_empty() {
                actions.push(Action { start, end: time.min(1.0), class });
            } else {
                break;
            }
        }
        actions
    }

    /// When the start direction fires: at all starts, and at times that mean nothing.
    fn cues(&self, index: u64, actions: &[Action]) -> Vec<f64> {
        let g = &mut stream(self.seed, "clips.progress.distractors", index);
        let distractors: Vec<f64> = (0..self.distractors).map(|_| g.random()).collect();
        actions.iter().map(|a| a.start).chain(distractors).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_ordered_apart_and_inside() {
        let world = ProgressWorld { classes: 3, ..ProgressWorld::default() };
        let mut short = 0;
        for index in 0..200 {
            let actions = world.actions(index);
            assert!((1..=3).contains(&actions.len()));
            assert!(actions[0].start >= 0.06 && actions.iter().all(|a| a.end <= 1.0 && a.class < 3));
            assert!(actions.windows(2).all(|w| w[0].end + 0.06 <= w[1].start + 1e-12));
            short += actions.iter().filter(|a| a.end - a.start < 0.2).count();
        }
        let all: usize = (0..200).map(|i| world.actions(i).len()).sum();
        assert!(2 * short > all, "{short} of {all} are short");
    }

    #[test]
    fn encoders_see_the_same_actions_through_other_features() {
        let world = ProgressWorld::default();
        let other = ProgressWorld { encoder: 1, ..world };
        let (a, b) = (world.clip(5), other.clip(5));
        assert_eq!(a.clip.actions, b.clip.actions);
        assert_ne!(a.clip.features, b.clip.features);
        assert_eq!(a, world.clip(5));
        assert_ne!(a.clip.features, world.clip(6).clip.features);
    }

    #[test]
    fn without_noise_energy_lies_in_actions_and_cues() {
        let world = ProgressWorld { noise: 0.0, distractors: 0, cue: 0.0, ..ProgressWorld::default() };
        let clip = world.clip(0).clip;
        for (k, snippet) in clip.features.chunks(16).enumerate() {
            let time = k as f64 / 24.0;
            let inside = clip.actions.iter().find(|[start, end]| *start <= time && time <= *end);
            let energy: f32 = snippet.iter().map(|v| v * v).sum();
            let want = inside.map_or(0.0, |[s, e]| 4.0 + (1.2 * (time - s) / (e - s)).powi(2));
            assert!((f64::from(energy) - want).abs() < 1e-3, "snippet {k}: {energy}, not {want}");
        }
    }
}

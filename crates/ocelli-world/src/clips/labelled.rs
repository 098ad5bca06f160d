//! Clips whose actions have a class: each class shows in the features in its own way.

use ocelli_method::random::stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{ActionClips, Clip};
use crate::lookalikes::normals;

/// Clips of [`ActionClips`], all actions of a clip being of one class. Inside them the features hold the prototype of the
/// class too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelledClips {
    /// The clips.
    pub clips: ActionClips,
    /// Number of classes.
    pub classes: usize,
    /// Height of the prototypes, whose elements are normal.
    pub prototype: f32,
}

impl Default for LabelledClips {
    fn default() -> Self {
        Self { clips: ActionClips::default(), classes: 4, prototype: 0.5 }
    }
}

impl LabelledClips {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that makes no clips.
    pub fn validate(&self) -> Result<(), String> {
        self.clips.validate().map_err(|e| format!("clips.{e}"))?;
        match self.classes {
            1..=10_000 => Ok(()),
            classes => Err(format!("classes: {classes} is outside 1 to 10000")),
        }
    }

    /// Clip `index` and the class of its actions, from 0.
    ///
    /// # Panics
    /// When the settings make no clips; see [`LabelledClips::validate`].
    pub fn clip(&self, index: u64) -> (Clip, usize) {
        let mut clip = self.clips.clip(index);
        let class = stream(self.clips.seed, "clips.class", index).random_range(0..self.classes);
        let g = &mut stream(self.clips.seed, "clips.prototype", class as u64);
        let prototype: Vec<f32> = normals(clip.channels, g).collect();
        (0..).zip(prototype).for_each(|(channel, height)| clip.add_content(channel, self.prototype * height));
        (clip, class)
    }

    /// The name of a class.
    pub fn label(class: usize) -> String {
        format!("class-{class}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a class adds to the first channel, for each clip that is wholly inside.
    fn added(world: &LabelledClips, index: u64) -> f32 {
        let ((clip, _), plain) = (world.clip(index), world.clips.clip(index));
        assert_eq!(clip.actions, plain.actions);
        let sum = |c: &Clip| c.features.iter().step_by(c.channels).sum::<f32>();
        let inside: f64 = clip.actions.iter().map(|[start, end]| end - start).sum();
        (sum(&clip) - sum(&plain)) / inside as f32
    }

    #[test]
    fn clips_of_a_class_hold_its_prototype() {
        let world = LabelledClips { classes: 2, ..LabelledClips::default() };
        let of = |class: usize| (0..40).filter(|&i| world.clip(i).1 == class).collect::<Vec<u64>>();
        let both = [of(0), of(1)];
        for clips in &both {
            assert!(clips.len() > 10);
            assert!(clips.iter().all(|&i| (added(&world, i) - added(&world, clips[0])).abs() < 1e-2));
        }
        assert!((added(&world, both[0][0]) - added(&world, both[1][0])).abs() > 0.1);
        assert_eq!(world.clip(3), world.clip(3));
        assert!(LabelledClips { classes: 0, ..world }.validate().is_err());
    }
}

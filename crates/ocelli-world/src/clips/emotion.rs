//! Clips that show emotions in two modalities, with distractors in each.
//!
//! A clip is a row of segments, one for each line of its subtitles. Each of its emotions has a window, in which it is
//! seen and heard, and a distractor in each modality: a stretch elsewhere with something that goes along with the
//! emotion in all clips but is no sign of it. Labels of whole clips cannot tell a window from a distractor. That what is
//! seen and what is said agree in the window alone can.

use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::lookalikes::normals;

/// A world of clips; clip `index` is a pure function of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmotionClips {
    /// Fixes scripts, prototypes and noise.
    pub seed: u64,
    /// Number of emotions there are.
    pub classes: usize,
    /// Segments of a clip.
    pub segments: usize,
    /// Emotions that each clip shows, at most `classes`.
    pub emotions: usize,
    /// Least and most segments of a window.
    pub window: [usize; 2],
    /// Segments of a distractor; 0 for none.
    pub distractor: usize,
    /// Elements of a video feature.
    pub video_dims: usize,
    /// Elements of a text feature.
    pub text_dims: usize,
    /// Standard deviation of a feature around its prototypes, which have 1 themselves.
    pub noise: f32,
}

impl Default for EmotionClips {
    fn default() -> Self {
        Self {
            seed: 0,
            classes: 6,
            segments: 16,
            emotions: 2,
            window: [2, 5],
            distractor: 4,
            video_dims: 24,
            text_dims: 24,
            noise: 0.7,
        }
    }
}

/// Consecutive segments with something of a class in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The emotion.
    pub class: usize,
    /// Its first segment.
    pub first: usize,
    /// Its last segment.
    pub last: usize,
}

impl Stretch {
    /// Whether it holds a segment.
    pub fn holds(&self, segment: usize) -> bool {
        (self.first..=self.last).contains(&segment)
    }
}

/// What happens in a clip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Script {
    /// Where each emotion is shown, in both modalities.
    pub windows: Vec<Stretch>,
    /// What only looks like it.
    pub seen: Vec<Stretch>,
    /// What only sounds like it.
    pub heard: Vec<Stretch>,
}

/// A clip as features.
#[derive(Clone, Debug, PartialEq)]
pub struct EmotionClip {
    /// What happens in it.
    pub script: Script,
    /// A row for each segment, `[T, video_dims]`.
    pub video: Vec<f32>,
    /// Likewise, `[T, text_dims]`.
    pub text: Vec<f32>,
}

impl EmotionClips {
    /// The script of a clip.
    pub fn script(&self, index: u64) -> Script {
        let g = &mut stream(self.seed, "clips.emotion.script", index);
        let mut classes: Vec<usize> = (0..self.classes).collect();
        classes.shuffle(g);
        classes.truncate(self.emotions);
        let [least, most] = self.window;
        let mut script = Script::default();
        for class in classes {
            let length = g.random_range(least..=most.max(least));
            script.windows.extend(self.stretch(class, length, g));
            script.seen.extend(self.stretch(class, self.distractor, g));
            script.heard.extend(self.stretch(class, self.distractor, g));
        }
        script
    }

    /// So many segments at a place of their own; none in a clip without segments.
    fn stretch(&self, class: usize, length: usize, g: &mut Generator) -> Option<Stretch> {
        let length = length.min(self.segments);
        let first = g.random_range(0..=self.segments - length);
        (length > 0).then(|| Stretch { class, first, last: first + length - 1 })
    }

    /// A clip as features: in each segment noise, and the prototype of whatever is there.
    pub fn clip(&self, index: u64) -> EmotionClip {
        let script = self.script(index);
        let video = self.play(index, "video", self.video_dims, [&script.windows, &script.seen]);
        let text = self.play(index, "text", self.text_dims, [&script.windows, &script.heard]);
        EmotionClip { script, video, text }
    }

    fn play(&self, index: u64, modality: &str, dims: usize, parts: [&Vec<Stretch>; 2]) -> Vec<f32> {
        let noise = &mut stream(self.seed, &format!("clips.emotion.noise.{modality}"), index);
        let mut rows: Vec<f32> = normals(self.segments * dims, noise).map(|v| self.noise * v).collect();
        for (stretches, kind) in parts.into_iter().zip(["window", "distractor"]) {
            for stretch in stretches {
                let name = format!("clips.emotion.{kind}.{modality}");
                let prototype = &mut stream(self.seed, &name, stretch.class as u64);
                let prototype: Vec<f32> = normals(dims, prototype).collect();
                for row in rows[stretch.first * dims..(stretch.last + 1) * dims].chunks_exact_mut(dims) {
                    row.iter_mut().zip(&prototype).for_each(|(v, p)| *v += p);
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_keep_to_their_settings() {
        let world = EmotionClips::default();
        for index in 0..200 {
            let script = world.script(index);
            let Script { windows, seen, heard } = &script;
            assert_eq!((windows.len(), seen.len(), heard.len()), (2, 2, 2));
            assert_ne!(windows[0].class, windows[1].class);
            assert!(windows.iter().all(|w| (1..=4).contains(&(w.last - w.first)) && w.last < 16));
            assert!(seen.iter().chain(heard).all(|d| d.last - d.first == 3 && d.last < 16));
            assert_eq!(script, world.script(index));
        }
        assert!((0..50).any(|i| world.script(i).seen != world.script(i).heard));
        let plain = EmotionClips { distractor: 0, ..world };
        assert_eq!((plain.script(3).seen.len(), plain.script(3).heard.len()), (0, 0));
    }

    #[test]
    fn features_are_the_prototypes_of_what_is_there() {
        let world = EmotionClips { noise: 0.0, text_dims: 10, ..EmotionClips::default() };
        let norm = |row: &[f32]| row.iter().map(|v| v * v).sum::<f32>();
        for index in 0..20 {
            let EmotionClip { script, video, text } = world.clip(index);
            assert_eq!((video.len(), text.len()), (16 * 24, 16 * 10));
            for segment in 0..16 {
                let here = |stretches: &[Stretch]| stretches.iter().any(|s| s.holds(segment));
                let (window, seen, heard) = (here(&script.windows), here(&script.seen), here(&script.heard));
                assert_eq!(norm(&video[segment * 24..][..24]) > 0.0, window || seen);
                assert_eq!(norm(&text[segment * 10..][..10]) > 0.0, window || heard);
            }
        }
    }

    #[test]
    fn clips_differ_by_seed_and_index() {
        let world = EmotionClips::default();
        assert_eq!(world.clip(5), world.clip(5));
        assert_ne!(world.clip(5).video, world.clip(6).video);
        assert_ne!(world.clip(5).video, EmotionClips { seed: 1, ..world }.clip(5).video);
    }

    #[test]
    fn a_window_longer_than_the_clip_fills_it() {
        let world = EmotionClips { segments: 3, window: [9, 9], ..EmotionClips::default() };
        assert!(world.script(0).windows.iter().all(|w| (w.first, w.last) == (0, 2)));
        let empty = EmotionClips { segments: 0, ..EmotionClips::default() };
        assert_eq!(empty.script(0), Script::default());
    }
}

//! Clips of files: features, subtitles and splits brought together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::annotations::movie_emotions::{EMOTIONS, EmotionalClip, Windows, read_test, read_train};
use ocelli_data::annotations::subtitles::{self, SubtitleLine};
use ocelli_data::vectors::npz;
use ocelli_metrics::segment::Segment;
use ocelli_train::trainer::TaskError;
use ocelli_world::clips::emotion::EmotionClips;

use super::clips::Clip;
use super::network::TelShape;

/// Clips that can be used, and why others cannot.
#[derive(Clone, Debug, Default)]
pub struct Clips {
    /// The clips.
    pub clips: Vec<Clip>,
    /// What was left out and why, a line each.
    pub left_out: Vec<String>,
    /// What else is to be told.
    pub remarks: Vec<String>,
}

impl Clips {
    /// Clips of the built-in world.
    pub fn drawn(world: &EmotionClips, indices: std::ops::Range<u64>) -> Self {
        Self { clips: indices.map(|i| Clip::of_world(world, i)).collect(), ..Self::default() }
    }

    /// Reads the clips of a training split, whose emotions are known as a whole; `folder` has a feature file for each,
    /// `<movie>.<clip>.npz` or `<movie>/<clip>.npz`.
    ///
    /// # Errors
    /// When the split cannot be read.
    pub fn train(split: &Path, folder: &Path, shape: &TelShape) -> Result<Self, TaskError> {
        let split = read_train(split)?;
        let mut clips = Self::of_unknown(split.unknown);
        for clip in &split.clips {
            let labels = clip.emotions.iter().map(|e| e.emotion).collect();
            clips.add(clip, folder, shape, |read| Clip { labels, ..read });
        }
        Ok(clips)
    }

    /// Reads the clips of a test split, whose emotions are localized.
    ///
    /// # Errors
    /// As [`Clips::train`].
    pub fn test(split: &Path, folder: &Path, windows: Windows, shape: &TelShape) -> Result<Self, TaskError> {
        let split = read_test(split)?;
        let mut clips = Self::of_unknown(split.unknown);
        for clip in &split.clips {
            let labels = clip.emotions.iter().map(|e| e.emotion).collect();
            let windows = clip.windows(windows).into_iter();
            let truth = windows.map(|(class, window)| (class, Segment::from(window))).collect();
            clips.add(clip, folder, shape, |read| Clip { labels, truth, ..read });
        }
        Ok(clips)
    }

    /// Reads all feature files of a folder, each with its subtitles beside it under the same name (`.srt`, `.vtt` or
    /// `.json`).
    ///
    /// # Errors
    /// When the folder cannot be read, or has no feature file.
    pub fn beside_subtitles(folder: &Path, shape: &TelShape) -> Result<Self, TaskError> {
        let told = |e: std::io::Error| format!("{}: {e}", folder.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(told)? {
            let path = entry.map_err(told)?.path();
            if path.extension().is_some_and(|e| e == "npz") {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(format!("{}: there is no .npz file of features in it", folder.display()).into());
        }
        files.sort_unstable();
        let mut clips = Self::default();
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let subtitles =
                ["srt", "vtt", "json"].map(|e| file.with_extension(e)).into_iter().find(|f| f.is_file());
            let read = match subtitles {
                Some(path) => subtitles::read(path).map_err(|e| e.to_string()),
                None => Err("no subtitles lie beside it".to_owned()),
            };
            clips.push(&name, read.and_then(|lines| clip(&name, &file, &lines, shape)));
        }
        Ok(clips)
    }

    fn of_unknown(unknown: BTreeMap<String, usize>) -> Self {
        let remark = |(name, times): (String, usize)| {
            format!("`{}` is no emotion; left out {times} times", name.trim())
        };
        Self { remarks: unknown.into_iter().map(remark).collect(), ..Self::default() }
    }

    fn add<E>(
        &mut self,
        of: &EmotionalClip<E>,
        folder: &Path,
        shape: &TelShape,
        labelled: impl FnOnce(Clip) -> Clip,
    ) {
        let name = of.name();
        let places =
            [folder.join(format!("{name}.npz")), folder.join(&of.movie).join(format!("{}.npz", of.clip))];
        let read = match places.into_iter().find(|place: &PathBuf| place.is_file()) {
            Some(file) => clip(&name, &file, &of.lines, shape),
            None => Err("it has no features".to_owned()),
        };
        // Labels are looked at with the rest.
        let read = read.map(labelled).and_then(|clip| clip.check(shape).map(|()| clip));
        self.push(&name, read);
    }

    fn push(&mut self, name: &str, clip: Result<Clip, String>) {
        match clip {
            Ok(clip) => self.clips.push(clip),
            Err(reason) => self.left_out.push(format!("{name}: {reason}")),
        }
    }
}

/// A clip with the features of a file.
fn clip(name: &str, file: &Path, lines: &[SubtitleLine], shape: &TelShape) -> Result<Clip, String> {
    let arrays = npz::read(file).map_err(|e| e.to_string())?;
    let rows = |name: &str| -> Result<Vec<f32>, String> {
        let array = arrays.iter().find(|(n, _)| n == name).map(|(_, array)| array);
        let array = array.ok_or_else(|| format!("{}: there is no array `{name}`", file.display()))?;
        match array.shape() {
            [segments, _] if *segments == lines.len() => Ok(array.to_f32()),
            [segments, _] => Err(format!("{segments} rows of `{name}` for {} subtitles", lines.len())),
            other => Err(format!("`{name}` has shape {other:?}; a row for each subtitle is expected")),
        }
    };
    let clip = Clip {
        name: name.to_owned(),
        video: rows("video")?,
        text: rows("text")?,
        times: lines.iter().map(|l| Segment::new(l.start, l.end)).collect(),
        ..Clip::default()
    };
    clip.check(shape).map(|()| clip)
}

/// Names of the classes of a network: the data set's emotions where there are as many, else numbers.
pub fn class_names(classes: usize) -> Vec<String> {
    match classes == EMOTIONS.len() {
        true => EMOTIONS.map(str::to_owned).to_vec(),
        false => (0..classes).map(|class| format!("emotion-{class}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_data::annotations::movie_emotions::{Counted, Localized, write_test, write_train};
    use ocelli_method::Array;

    const SHAPE: TelShape = TelShape { d_video: 3, d_text: 2, dim: 4, levels: 1, heads: 1, classes: 18 };

    fn features(path: &Path, segments: usize, value: f32) {
        let rows = |dims: usize| Array::f32([segments, dims], vec![value; segments * dims]).unwrap();
        npz::write(path, &[("video", &rows(3)), ("text", &rows(2))]).unwrap();
    }

    fn lines(n: usize) -> Vec<SubtitleLine> {
        let line = |i: usize| SubtitleLine { start: i as f64, end: i as f64 + 0.5, text: "so".to_owned() };
        (0..n).map(line).collect()
    }

    fn clip_of<E>(name: &str, emotions: Vec<E>) -> EmotionalClip<E> {
        EmotionalClip { movie: "tt1".to_owned(), clip: name.to_owned(), lines: lines(3), emotions }
    }

    #[test]
    fn clips_of_a_split_find_their_features() {
        let folder = tempfile::tempdir().unwrap();
        let (at, split) = (folder.path(), folder.path().join("split.json"));
        features(&at.join("tt1.a.npz"), 3, 1.0);
        std::fs::create_dir(at.join("tt1")).unwrap();
        features(&at.join("tt1/b.npz"), 3, 2.0);
        features(&at.join("tt1.short.npz"), 2, 1.0);
        features(&at.join("tt1.nan.npz"), 3, f32::NAN);
        let names = ["a", "b", "short", "nan", "absent"];
        let shown = |name| clip_of(name, vec![Localized { emotion: 4, segments: vec![0, 2] }]);
        write_test(&split, &names.map(shown)).unwrap();
        let clips = Clips::test(&split, at, Windows::Whole, &SHAPE).unwrap();
        let found: Vec<_> =
            clips.clips.iter().map(|c| (c.name.as_str(), c.video[0], c.labels.clone())).collect();
        assert_eq!(found, [("tt1.a", 1.0, vec![4]), ("tt1.b", 2.0, vec![4])]);
        assert_eq!(clips.clips[0].truth, [(4, Segment::new(0.0, 2.5))]);
        let runs = Clips::test(&split, at, Windows::Runs, &SHAPE).unwrap();
        assert_eq!(runs.clips[0].truth.len(), 2);
        assert_eq!(clips.left_out[0], "tt1.short: 2 rows of `video` for 3 subtitles");
        assert_eq!(clips.left_out[1], "tt1.nan: element 0 of `video` is NaN in segment 0");
        assert_eq!(clips.left_out[2], "tt1.absent: it has no features");
        let counted = |name| clip_of(name, vec![Counted { emotion: 4, count: 2 }]);
        write_train(&split, &names.map(counted)).unwrap();
        let clips = Clips::train(&split, at, &SHAPE).unwrap();
        assert_eq!((clips.clips.len(), clips.left_out.len()), (2, 3));
    }

    #[test]
    fn features_may_have_their_subtitles_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert!(Clips::beside_subtitles(at, &SHAPE).unwrap_err().to_string().contains("no .npz file"));
        features(&at.join("a.npz"), 3, 1.0);
        features(&at.join("b.npz"), 3, 1.0);
        subtitles::write(at.join("a.vtt"), &lines(3)).unwrap();
        let clips = Clips::beside_subtitles(at, &SHAPE).unwrap();
        assert_eq!((clips.clips[0].name.as_str(), clips.clips[0].times[2]), ("a", Segment::new(2.0, 2.5)));
        assert_eq!(clips.left_out, ["b: no subtitles lie beside it"]);
    }
}

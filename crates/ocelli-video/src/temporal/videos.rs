//! The videos that a localizer is trained, measured or run on: features of a fixed length, and actions where they are
//! known.

use ocelli_data::DataError;
use ocelli_data::annotations::activitynet::VideoAnnotation;
use ocelli_data::dataset::{BadItem, Scan};
use ocelli_metrics::segment::Segment;
use ocelli_world::clips::{ActionClips, Clip};
use serde::{Deserialize, Serialize};

use super::features::{Sequence, Snippets};
use super::files::{Files, Listed};
use super::targets::normalized;

/// A video as a localizer sees it, or a window of a longer one.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// Its name, without the `v_` of file names. The windows of a video share it and follow each other.
    pub name: String,
    /// The duration of the whole video in seconds; 1 where none is known, so that results are fractions.
    pub duration: f64,
    /// Where in the video the features begin and end, in seconds.
    pub window: Segment,
    /// Features `[C, T]`.
    pub features: Vec<f32>,
    /// The actions of the whole video in seconds as annotated, cut to it.
    pub truth: Vec<Segment>,
    /// Those in the window as fractions of it, cut to it.
    pub actions: Vec<Segment>,
}

/// How features of another length are brought to the network's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rescale {
    /// Resampled linearly, both ends staying; features of the right length stay as they are.
    #[default]
    Linear,
    /// Averaged over the time of each cell, as the released features were made; needs frames and seconds of each video.
    Pooled,
    /// Not at all: the sequence is cut into windows of the network's length, each beginning in the middle of the one before,
    /// as for THUMOS14. What is left of the last window is zero.
    Windows,
}

/// Frames from one snippet to the next, and points averaged in a cell, of the released features.
const STRIDE: f64 = 16.0;
const SAMPLES: usize = 3;

/// Where videos are looked for, and what the network wants of them.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The files.
    pub files: Files<'a>,
    /// How lengths are brought to that of the network.
    pub rescale: Rescale,
    /// Features of a cell, and cells, that the network wants.
    pub size: [usize; 2],
}

/// Videos that were found, and what was found about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Videos {
    /// Those that can be used, by name.
    pub videos: Vec<Video>,
    /// Those that cannot, with the reason.
    pub bad: Vec<BadItem>,
    /// What was mended in those that can, such as an action that ends behind the video's end.
    pub remarks: Vec<String>,
}

impl Videos {
    /// Reads the videos of a source: with annotations those that are annotated, else all that have features.
    ///
    /// # Errors
    /// When a file or folder as a whole cannot be read, or no video is left. What is wrong with one video is in
    /// [`Videos::bad`].
    pub fn read(source: &Source<'_>) -> Result<Self, DataError> {
        let (each, bad) = source.files.each(|listed| windows(listed, source))?;
        let mut found = Self { bad, ..Self::default() };
        for (name, (windows, remarks)) in each {
            found.remarks.extend(remarks.into_iter().map(|remark| format!("{name}: {remark}")));
            found.videos.extend(windows);
        }
        Ok(found)
    }

    /// Fails when more than a share of the videos cannot be used.
    ///
    /// # Errors
    /// [`DataError::TooManyBad`].
    pub fn check(&self, max_bad_share: f64) -> Result<(), DataError> {
        let good = (0..self.videos.len()).collect();
        Scan { good, bad: self.bad.clone() }.check(max_bad_share)
    }

    /// Clips of a world, as videos of 100 seconds.
    pub fn drawn(world: &ActionClips, indices: std::ops::Range<u64>) -> Self {
        const SECONDS: f64 = 100.0;
        let video = |index: u64| {
            let Clip { features, channels, actions, .. } = world.clip(index);
            let features = (0..channels).flat_map(|c| features[c..].iter().step_by(channels)).copied();
            let truth = actions.iter().map(|[start, end]| Segment::new(start * SECONDS, end * SECONDS));
            Video::whole(format!("clip{index:06}"), SECONDS, features.collect(), truth.collect())
        };
        Self { videos: indices.map(video).collect(), ..Self::default() }
    }
}

impl Video {
    /// A whole video of `duration` seconds: features `[C, T]`, and actions in seconds.
    pub fn whole(name: impl Into<String>, duration: f64, features: Vec<f32>, truth: Vec<Segment>) -> Self {
        let (window, actions) = (Segment::new(0.0, duration), normalized(&truth, duration));
        Self { name: name.into(), duration, window, features, truth, actions }
    }
}

/// Reads a video, as a whole or as its windows; what was mended is told.
fn windows(listed: &Listed<'_>, source: &Source<'_>) -> Result<(Vec<Video>, Vec<String>), String> {
    let sequence = listed.sequence()?;
    let (file, info) = (listed.file, listed.info);
    let [channels, cells] = source.size;
    if sequence.channels() != channels {
        let found = sequence.channels();
        return Err(format!("{file}: rows of {found} numbers, the network wants {channels}"));
    }
    let mut remarks = Vec::new();
    if sequence.rows() == 1 {
        remarks.push("a single row of features stands for the whole video".to_owned());
    }
    let duration = listed.duration()?;
    let truth = match (listed.annotation, duration) {
        (Some(annotation), Some(seconds)) => actions(annotation, seconds, &mut remarks),
        (Some(annotation), None) if !annotation.segments.is_empty() => {
            return Err("the video is annotated without its duration".to_owned());
        }
        _ => Vec::new(),
    };
    let duration = duration.unwrap_or(1.0);
    let whole = Segment::new(0.0, duration);
    let parts: Vec<(Segment, Sequence)> = match source.rescale {
        Rescale::Linear => vec![(whole, sequence.resized(cells))],
        Rescale::Pooled => {
            let info =
                info.ok_or("pooling wants its frames and seconds, and video_info.csv has no such video")?;
            let at = Snippets { frames: info.frames as f64, seconds: info.seconds, stride: STRIDE };
            vec![(whole, sequence.pooled(cells, SAMPLES, at).map_err(|e| format!("{file}: {e}"))?)]
        }
        Rescale::Windows => {
            let row = duration / sequence.rows() as f64;
            let part = |start: usize| {
                let from = start as f64 * row;
                (Segment::new(from, from + cells as f64 * row), sequence.window(start, cells))
            };
            window_starts(sequence.rows(), cells).map(part).collect()
        }
    };
    let video = |(window, sequence): (Segment, Sequence)| Video {
        name: listed.name.to_owned(),
        duration,
        window,
        features: sequence.channels_first(),
        actions: inside(&truth, window),
        truth: truth.clone(),
    };
    Ok((parts.into_iter().map(video).collect(), remarks))
}

/// Where windows of `length` rows begin, each in the middle of the one before, until the last row is in one.
fn window_starts(rows: usize, length: usize) -> impl Iterator<Item = usize> {
    let step = (length / 2).max(1);
    let more = rows.saturating_sub(length).div_ceil(step);
    (0..=more).map(move |k| k * step)
}

/// Segments as fractions of a window, cut to it; those outside are left out.
fn inside(segments: &[Segment], window: Segment) -> Vec<Segment> {
    let moved = segments.iter().map(|s| Segment::new(s.start - window.start, s.end - window.start));
    let cut = normalized(&moved.collect::<Vec<_>>(), window.length());
    cut.into_iter().filter(|s| s.length() > 0.0).collect()
}

/// The actions of a video, cut to it; those that are nowhere are left out.
fn actions(annotation: &VideoAnnotation, seconds: f64, remarks: &mut Vec<String>) -> Vec<Segment> {
    let mut kept = Vec::new();
    for (index, labelled) in annotation.segments.iter().enumerate() {
        let [start, end] = labelled.segment;
        let cut = Segment::new(start.max(0.0), end.min(seconds));
        if cut.length().is_nan() || cut.length() <= 0.0 {
            remarks.push(format!(
                "annotation {index}, {start} to {end}, holds no time of the video and is left out"
            ));
            continue;
        }
        // The last digits of durations differ between files.
        if end > seconds + 0.1 || start < -0.1 {
            remarks.push(format!(
                "annotation {index}, {start} to {end}, is cut to the video of {seconds} seconds"
            ));
        }
        kept.push(cut);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn folder(files: &[(&str, String)], truth: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("features")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join("features").join(name), text).unwrap();
        }
        std::fs::write(folder.path().join("truth.json"), truth).unwrap();
        folder
    }

    fn read(folder: &Path, subset: Option<&str>, with_truth: bool) -> Result<Videos, DataError> {
        let (features, truth) = (folder.join("features"), folder.join("truth.json"));
        let files = Files { features: &features, truth: with_truth.then_some(&truth), info: None, subset };
        Videos::read(&Source { files, rescale: Rescale::Linear, size: [2, 4] })
    }

    const TRUTH: &str = r#"{
        "v_good": {"duration": 10, "subset": "training", "annotations": [
            {"segment": [1, 3], "label": "a"}, {"segment": [8, 12], "label": "b"}, {"segment": [11, 12], "label": "b"}]},
        "v_one": {"duration": 5, "subset": "training", "annotations": []},
        "v_nan": {"duration": 5, "subset": "training", "annotations": []},
        "v_empty": {"duration": 5, "subset": "training", "annotations": []},
        "v_wide": {"duration": 5, "subset": "training", "annotations": []},
        "v_absent": {"duration": 5, "subset": "training", "annotations": []},
        "v_still": {"duration": 0, "subset": "training", "annotations": []},
        "v_other": {"duration": 5, "subset": "validation", "annotations": []}
    }"#;

    fn files() -> Vec<(&'static str, String)> {
        let table = |rows: &str| format!("f0,f1\n{rows}");
        vec![
            ("v_good.csv", table("0,1\n1,1\n2,1\n3,1\n")),
            ("v_one.csv", table("5,6\n")),
            ("v_nan.csv", table("1,2\n1,NaN\n")),
            ("v_empty.csv", table("")),
            ("v_wide.csv", table("1,2,3\n")),
            ("v_still.csv", table("1,2\n")),
            ("v_other.csv", table("1,2\n1,2\n")),
        ]
    }

    #[test]
    fn what_is_wrong_with_a_video_is_named() {
        let folder = folder(&files(), TRUTH);
        let found = read(folder.path(), Some("training"), true).unwrap();
        let names: Vec<&str> = found.videos.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["good", "one"]);
        let good = &found.videos[0];
        assert_eq!(good.features, [0.0, 1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(good.truth, [Segment::new(1.0, 3.0), Segment::new(8.0, 10.0)]);
        assert_eq!(good.actions[1], Segment::new(0.8, 1.0));
        assert_eq!(found.videos[1].features, [5.0, 5.0, 5.0, 5.0, 6.0, 6.0, 6.0, 6.0]);
        let said =
            |list: &[String], text: &str| assert!(list.iter().any(|l| l.contains(text)), "{text}: {list:?}");
        said(&found.remarks, "good: annotation 1, 8 to 12, is cut to the video of 10 seconds");
        said(&found.remarks, "good: annotation 2, 11 to 12, holds no time of the video");
        said(&found.remarks, "one: a single row");
        let bad: Vec<String> = found.bad.iter().map(|b| format!("{}: {}", b.name, b.reason)).collect();
        assert_eq!(bad.len(), 5);
        said(&bad, "absent: the video is annotated but has no features");
        said(&bad, "the table is empty");
        said(&bad, "row 1, column 1 (from 0) of the features is NaN");
        said(&bad, "rows of 3 numbers, the network wants 2");
        said(&bad, "still: a duration of 0 seconds");
        assert!(found.check(0.9).is_ok());
        assert!(found.check(0.5).unwrap_err().to_string().starts_with("5 of 7 items"));
    }

    #[test]
    fn subsets_and_plain_folders() {
        let folder = folder(&files(), TRUTH);
        assert_eq!(read(folder.path(), Some("validation"), true).unwrap().videos.len(), 1);
        let message = read(folder.path(), Some("testing"), true).unwrap_err().to_string();
        assert!(message.contains("no video of the subset `testing`"), "{message}");
        let all = read(folder.path(), None, false).unwrap();
        assert_eq!((all.videos.len(), all.bad.len()), (4, 3));
        assert!(all.videos.iter().all(|v| v.duration == 1.0 && v.truth.is_empty()));
    }

    #[test]
    fn long_videos_are_cut_into_windows() {
        let starts = |rows: usize| window_starts(rows, 4).collect::<Vec<_>>();
        assert_eq!(
            [starts(1), starts(4), starts(5), starts(6), starts(7)],
            [vec![0], vec![0], vec![0, 2], vec![0, 2], vec![0, 2, 4]]
        );
        let rows: String = (0..6).map(|r| format!("{r},1\n")).collect();
        let truth = r#"{"v_a": {"duration": 12, "annotations": [{"segment": [2, 6], "label": "x"}]}}"#;
        let folder = folder(&[("v_a.csv", rows)], truth);
        let (features, truth) = (folder.path().join("features"), folder.path().join("truth.json"));
        let files = Files { features: &features, truth: Some(&truth), info: None, subset: None };
        let found = Videos::read(&Source { files, rescale: Rescale::Windows, size: [2, 4] }).unwrap();
        let windows: Vec<Segment> = found.videos.iter().map(|v| v.window).collect();
        assert_eq!(windows, [Segment::new(0.0, 8.0), Segment::new(4.0, 12.0)]);
        assert_eq!(found.videos[1].features, [2.0, 3.0, 4.0, 5.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(found.videos[0].actions, [Segment::new(0.25, 0.75)]);
        assert_eq!(found.videos[1].actions, [Segment::new(0.0, 0.25)]);
        assert_eq!(found.videos[1].truth, [Segment::new(2.0, 6.0)]);
    }

    #[test]
    fn drawn_videos_are_those_of_the_world() {
        let world = ActionClips::default();
        let drawn = Videos::drawn(&world, 3..5);
        let clip = world.clip(4);
        assert_eq!(
            drawn.videos[1].features[..16],
            clip.features.iter().step_by(16).copied().collect::<Vec<_>>()[..]
        );
        assert!((drawn.videos[1].truth[0].end - 100.0 * clip.actions[0][1]).abs() < 1e-9);
    }
}

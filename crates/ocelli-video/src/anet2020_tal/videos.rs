//! Videos with their classes, and the class scores of videos.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_data::DataError;
use ocelli_data::annotations::activitynet::VideoClasses;
use ocelli_data::annotations::thumos::AMBIGUOUS;
use ocelli_data::dataset::{BadItem, Scan};
use ocelli_train::trainer::TaskError;
use ocelli_world::clips::labelled::LabelledClips;

use super::classifier::VideoClassifier;
use crate::temporal::features::Sequence;
use crate::temporal::files::{Files, Listed};

/// A video and what it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledVideo {
    /// Its name.
    pub name: String,
    /// Its features, of any length.
    pub sequence: Sequence,
    /// The labels of its actions, each once, in order.
    pub labels: Vec<String>,
}

/// Videos that can be used, and why others cannot.
#[derive(Clone, Debug, Default)]
pub struct LabelledVideos {
    /// The videos.
    pub videos: Vec<LabelledVideo>,
    /// What was left out.
    pub bad: Vec<BadItem>,
}

impl LabelledVideos {
    /// Reads annotated videos with features. `classes` are those that may occur; none for any.
    ///
    /// # Errors
    /// When a file or folder as a whole cannot be read, or no video is left.
    pub fn read(files: &Files<'_>, classes: Option<&[String]>) -> Result<Self, DataError> {
        let (each, bad) = files.each(|listed| {
            let labels = labels(listed)?;
            if let Some(unknown) = labels.iter().find(|l| classes.is_some_and(|known| !known.contains(l))) {
                return Err(format!("its label `{unknown}` is none of those that were trained on"));
            }
            Ok((listed.sequence()?, labels))
        })?;
        let video = |(name, (sequence, labels))| LabelledVideo { name, sequence, labels };
        Ok(Self { videos: each.into_iter().map(video).collect(), bad })
    }

    /// Clips of a world.
    pub fn drawn(world: &LabelledClips, indices: std::ops::Range<u64>) -> Self {
        let video = |index: u64| {
            let (clip, class) = world.clip(index);
            let sequence = Sequence::new(clip.features, [clip.cells, clip.channels]);
            LabelledVideo {
                name: format!("clip{index:06}"),
                sequence: sequence.expect("a clip has cells and channels of finite numbers"),
                labels: vec![LabelledClips::label(class)],
            }
        };
        Self { videos: indices.map(video).collect(), bad: Vec::new() }
    }

    /// Leaves out videos whose snippets have other features than `channels`.
    #[must_use]
    pub fn of_size(self, channels: usize) -> Self {
        let mut kept = Self { videos: Vec::new(), bad: self.bad };
        for (index, video) in self.videos.into_iter().enumerate() {
            match video.sequence.channels() {
                found if found == channels => kept.videos.push(video),
                found => {
                    let reason = format!("rows of {found} numbers, others have {channels}");
                    kept.bad.push(BadItem { index, name: video.name, reason });
                }
            }
        }
        kept
    }

    /// The number of features that most videos have; 0 without videos.
    pub fn usual_channels(&self) -> usize {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        self.videos.iter().for_each(|v| *counts.entry(v.sequence.channels()).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(channels, _)| channels)
    }

    /// Fails when more than a share of the videos cannot be used.
    ///
    /// # Errors
    /// [`DataError::TooManyBad`].
    pub fn check(&self, max_bad_share: f64) -> Result<(), DataError> {
        Scan { good: (0..self.videos.len()).collect(), bad: self.bad.clone() }.check(max_bad_share)
    }

    /// All labels that occur, in alphabetical order.
    pub fn classes(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.videos.iter().flat_map(|video| &video.labels).collect();
        all.into_iter().cloned().collect()
    }
}

/// The labels of a video.
fn labels(listed: &Listed<'_>) -> Result<Vec<String>, String> {
    let segments = listed.annotation.map_or(&[][..], |annotation| &annotation.segments);
    let named = segments.iter().filter_map(|s| listed.labels.get(s.label as usize));
    let labels: BTreeSet<&String> = named.filter(|label| *label != AMBIGUOUS).collect();
    match labels.is_empty() {
        true => Err("no action of it is annotated, so it has no class".to_owned()),
        false => Ok(labels.into_iter().cloned().collect()),
    }
}

/// Class scores of the videos of a folder, and why others have none.
///
/// # Errors
/// When files as a whole cannot be read, or no video can be used.
pub fn classify(
    classifier: &VideoClassifier,
    files: &Files<'_>,
) -> Result<(VideoClasses, Vec<BadItem>), TaskError> {
    let (each, mut bad) = files.each(|listed| listed.sequence())?;
    let mut classes = VideoClasses { labels: classifier.passport().labels.clone(), videos: Vec::new() };
    for (index, (name, sequence)) in each.into_iter().enumerate() {
        match classifier.scores(&sequence) {
            Ok(scores) => classes.videos.push((name, scores)),
            Err(reason) => bad.push(BadItem { index, name, reason }),
        }
    }
    Scan { good: (0..classes.videos.len()).collect(), bad: bad.clone() }.check(1.0)?;
    Ok((classes, bad))
}

/// The weighted mean of the class scores of several classifiers, `Σ w p / Σ w` by video and label over the classifiers that
/// know the video; a label that one does not have has score 0 there.
pub(super) fn mean_classes(classifiers: &[VideoClasses], weights: &[f64]) -> VideoClasses {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut labels: Vec<String> = Vec::new();
    for label in classifiers.iter().flat_map(|c| &c.labels) {
        numbers.entry(label).or_insert_with(|| {
            labels.push(label.clone());
            labels.len() - 1
        });
    }
    let mut videos: BTreeMap<&str, (Vec<f64>, f64)> = BTreeMap::new();
    for (classifier, &weight) in classifiers.iter().zip(weights) {
        for (video, scores) in &classifier.videos {
            let name = ocelli_data::annotations::features::plain_name(video);
            let (sums, total) = videos.entry(name).or_insert_with(|| (vec![0.0; labels.len()], 0.0));
            *total += weight;
            for (label, score) in classifier.labels.iter().zip(scores) {
                sums[numbers[label.as_str()]] += weight * score;
            }
        }
    }
    let mean = |(name, (sums, total)): (&str, (Vec<f64>, f64))| {
        (total > 0.0).then(|| (name.to_owned(), sums.into_iter().map(|sum| sum / total).collect()))
    };
    let videos = videos.into_iter().filter_map(mean).collect();
    VideoClasses { labels, videos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifiers_are_averaged_by_label() {
        let classes = |labels: [&str; 2], videos: &[(&str, [f64; 2])]| VideoClasses {
            labels: labels.map(str::to_owned).to_vec(),
            videos: videos.iter().map(|(name, row)| ((*name).to_owned(), row.to_vec())).collect(),
        };
        let (a, b) = (
            classes(["x", "y"], &[("v_1", [0.5, 0.5])]),
            classes(["y", "z"], &[("1", [1.0, 0.0]), ("2", [0.0, 1.0])]),
        );
        let mean = mean_classes(&[a, b], &[1.0, 3.0]);
        assert_eq!(mean.labels, ["x", "y", "z"]);
        assert_eq!(mean.videos[0], ("1".to_owned(), vec![0.125, 0.875, 0.0]));
        assert_eq!(mean.videos[1], ("2".to_owned(), vec![0.0, 0.0, 1.0]));
    }

    #[test]
    fn videos_of_other_features_are_left_out() {
        let mut drawn = LabelledVideos::drawn(&LabelledClips::default(), 0..3);
        drawn.videos[1].sequence = Sequence::new(vec![0.0; 3], [1, 3]).unwrap();
        let usual = drawn.usual_channels();
        let kept = drawn.of_size(usual);
        assert_eq!((kept.videos.len(), kept.bad.len()), (2, 1));
        assert_eq!(kept.bad[0].reason, "rows of 3 numbers, others have 16");
        assert!(kept.check(0.1).is_err() && kept.check(0.4).is_ok());
        assert!(kept.classes().is_sorted() && !kept.classes().is_empty());
    }
}

//! What the protocols of temporal detection and of proposals share: annotated videos, and predictions for them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use ocelli_data::annotations::activitynet::{
    Annotations, Predicted, Results, VideoAnnotation, read_names, read_video_info,
};
use ocelli_data::annotations::{movie_emotions, thumos};
use ocelli_metrics::segment::Segment;

use crate::{Inputs, Result, ScoreError, Setting};

pub(super) const TRUTH: &str = "ActivityNet JSON (`database`, or videos at the top) and the CSV table of videos where subsets stand there; \
     or THUMOS14's folder of `<class>_val.txt` files";

pub(super) const TRUTH_OR_SPLIT: &str = "ActivityNet JSON (`database`, or videos at the top) and the CSV table of videos where subsets stand there; \
     THUMOS14's folder of `<class>_val.txt` files; or for tel the split test.json";

pub(super) const SUBSET: Setting =
    Setting { name: "subset", default: "validation", summary: "the subset to score, or `all`" };

pub(super) const BLOCKED: Setting = Setting {
    name: "blocked",
    default: "",
    summary: "a JSON file that lists videos to leave out, such as those removed from the web; empty: none",
};

pub(super) const THRESHOLDS: Setting = Setting {
    name: "thresholds",
    default: "",
    summary: "temporal overlaps between 0 and 1; empty: those of the variant",
};

pub(super) const WINDOWS: Setting = Setting {
    name: "windows",
    default: "whole",
    summary: "variant tel: whether an emotion's segments are one window, `whole`, or one for each run, `runs`",
};

/// The variant whose files are those of emotions.
pub(super) const EMOTIONS: &str = "tel";

/// What files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Actions of ActivityNet or THUMOS14.
    Actions,
    /// Emotions of movie clips.
    Emotions,
}

impl Format {
    fn of(inputs: &Inputs) -> Self {
        if inputs.variant() == EMOTIONS { Self::Emotions } else { Self::Actions }
    }
}

fn windows(value: &str) -> Result<movie_emotions::Windows> {
    match value {
        "whole" => Ok(movie_emotions::Windows::Whole),
        "runs" => Ok(movie_emotions::Windows::Runs),
        _ => Err(ScoreError::Setting {
            key: WINDOWS.name.into(),
            value: value.into(),
            reason: "expected `whole` or `runs`".into(),
        }),
    }
}

/// The videos of the chosen subset.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) annotations: Annotations,
    numbers: HashMap<String, usize>,
    blocked: HashSet<String>,
}

impl Truth {
    /// Reads the truth files by the settings [`SUBSET`] and [`BLOCKED`].
    pub(super) fn read(inputs: &Inputs) -> Result<Self> {
        let is_table = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let (tables, files): (Vec<PathBuf>, Vec<PathBuf>) = inputs.truth.iter().cloned().partition(is_table);
        let Some(first) = files.first() else {
            return Err(ScoreError::Files(
                "the truth has no annotations: give a JSON file or THUMOS14's folder".into(),
            ));
        };
        let mut annotations = match Format::of(inputs) {
            Format::Actions => thumos::read_either(&files)?,
            Format::Emotions => {
                let [split] = files.as_slice() else {
                    return Err(ScoreError::Files("the truth of variant tel is one split, test.json".into()));
                };
                let convention = inputs.setting::<String>(WINDOWS.name)?;
                movie_emotions::as_annotations(&movie_emotions::read_test(split)?, windows(&convention)?)
            }
        };
        for table in tables {
            let subsets: HashMap<String, String> =
                read_video_info(table)?.into_iter().map(|row| (row.video, row.subset)).collect();
            for video in &mut annotations.videos {
                video.subset = subsets.get(&video.name).cloned().or(video.subset.take());
            }
        }
        let blocked: String = inputs.setting(BLOCKED.name)?;
        let blocked = if blocked.is_empty() { Vec::new() } else { read_names(blocked)? };
        let blocked: HashSet<String> = blocked.into_iter().collect();
        select(&mut annotations, inputs.setting::<String>(SUBSET.name)?.as_str(), first)?;
        annotations.videos.retain(|v| !blocked.contains(short(&v.name)) && !blocked.contains(&v.name));
        let numbers = annotations.videos.iter().enumerate().map(|(i, v)| (v.name.clone(), i)).collect();
        Ok(Self { annotations, numbers, blocked })
    }

    /// The video of this name; annotations may say `v_` before it where results do not, and the reverse.
    fn find(&self, name: &str) -> Option<usize> {
        let number = |name: &str| self.numbers.get(name).copied();
        number(name).or_else(|| number(&format!("v_{name}"))).or_else(|| number(short(name)))
    }

    pub(super) fn videos(&self) -> &[VideoAnnotation] {
        &self.annotations.videos
    }

    /// The truth as a results file, each segment with score 1.
    pub(super) fn as_results(&self, with_labels: bool) -> Results {
        let mut results = Results { labels: self.annotations.labels.clone(), ..Results::default() };
        for video in self.videos() {
            let certain =
                video.segments.iter().filter(|s| self.annotations.label(s.label) != thumos::AMBIGUOUS);
            let predicted = certain.map(|s| Predicted {
                segment: s.segment,
                score: 1.0,
                label: with_labels.then_some(s.label),
            });
            results.push(short(&video.name), predicted);
        }
        results
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix("v_").unwrap_or(name)
}

/// Keeps the videos of a subset; all of them where none says which it is of.
fn select(annotations: &mut Annotations, subset: &str, path: &Path) -> Result<()> {
    let mut there: Vec<&str> = annotations.videos.iter().filter_map(|v| v.subset.as_deref()).collect();
    if subset == "all" || there.is_empty() {
        return Ok(());
    }
    if !there.contains(&subset) {
        there.sort_unstable();
        there.dedup();
        let reason =
            format!("no video of subset `{subset}`; there are: {} (--set subset=…)", there.join(", "));
        return Err(ScoreError::content(path, reason));
    }
    annotations.videos.retain(|v| v.subset.as_deref() == Some(subset));
    Ok(())
}

/// The predictions for one video.
#[derive(Debug)]
pub(super) struct PredictedVideo<'a> {
    pub(super) name: &'a str,
    /// The file, for errors.
    pub(super) path: &'a Path,
    /// The video of the truth, if it is one.
    pub(super) truth: Option<usize>,
    pub(super) predictions: &'a [Predicted],
    /// What the labels of the predictions mean.
    pub(super) labels: &'a [String],
}

/// Prediction files; several are the shards of one.
#[derive(Debug)]
pub(super) struct PredictionFiles(Vec<(PathBuf, Results)>);

impl PredictionFiles {
    /// Reads ActivityNet results, THUMOS14's lines from files that end in `.txt`, and for the variant [`EMOTIONS`] lists of
    /// emotions by clip.
    pub(super) fn read(inputs: &Inputs) -> Result<Self> {
        if inputs.pred.is_empty() {
            return Err(ScoreError::Files("no --pred file is given".into()));
        }
        let read = |path: &PathBuf| {
            let is_text = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
            let results = match Format::of(inputs) {
                Format::Emotions => movie_emotions::read_predictions(path)?,
                Format::Actions if is_text => thumos::read_detections(path)?,
                Format::Actions => Results::read(path)?,
            };
            Ok((path.clone(), results))
        };
        Ok(Self(inputs.pred.iter().map(read).collect::<Result<_>>()?))
    }

    /// The videos in the order of the files, without the blocked ones.
    ///
    /// # Errors
    /// A video that occurs twice.
    pub(super) fn videos(&self, truth: &Truth) -> Result<Vec<PredictedVideo<'_>>> {
        let mut seen: HashMap<String, &Path> = HashMap::new();
        let mut videos = Vec::new();
        for (path, results) in &self.0 {
            for video in results.videos.iter().filter(|v| !truth.blocked.contains(short(&v.name))) {
                let number = truth.find(&video.name);
                let name = number.map_or(video.name.as_str(), |n| truth.videos()[n].name.as_str());
                if let Some(first) = seen.insert(name.to_owned(), path) {
                    let reason =
                        format!("video `{}` has predictions in {} already", video.name, first.display());
                    return Err(ScoreError::content(path, reason));
                }
                let (predictions, labels) = (results.of(video), results.labels.as_slice());
                videos.push(PredictedVideo { name: &video.name, path, truth: number, predictions, labels });
            }
        }
        Ok(videos)
    }
}

/// What is to be said of predictions that end before they start: the tools let them be, and they overlap nothing.
pub(super) fn backwards(videos: &[PredictedVideo<'_>], what: &str) -> Option<String> {
    let count = videos.iter().flat_map(|v| v.predictions).filter(|p| p.segment[1] < p.segment[0]).count();
    (count > 0).then(|| format!("{} with an end before the start, overlapping nothing", counted(count, what)))
}

/// `n things`, or one.
pub(super) fn counted(n: usize, singular: &str) -> String {
    if n == 1 { format!("1 {singular}") } else { format!("{n} {singular}s") }
}

pub(super) fn segment(bounds: [f64; 2]) -> Segment {
    bounds.into()
}

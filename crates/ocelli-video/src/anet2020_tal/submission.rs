//! Ensembles and labels over files of results, as they are submitted.

use std::collections::BTreeMap;

use ocelli_data::annotations::activitynet::{Predicted, Results, VideoClasses, VideoResults};
use ocelli_data::annotations::features::plain_name;
use ocelli_metrics::segment::{ScoredSegment, Segment};
use thiserror::Error;

use super::ensemble::{EnsembleError, check, pooled};
use super::label::Labelling;
use super::videos::mean_classes;
use crate::temporal::suppress::{Nms, Taken};

/// Durations in seconds by the plain names of videos.
pub type Durations = BTreeMap<String, f64>;

/// Results that were made of others.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// The results, videos by their plain names.
    pub results: Results,
    /// What was wrong with videos or segments, a line each.
    pub remarks: Vec<String>,
    /// Videos that were left out.
    pub skipped: usize,
}

/// Why files cannot be put together.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SubmissionError {
    /// The weights do not fit, or there is no file.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// A setting out of range.
    #[error("{0}")]
    Setting(String),
    /// No video is left.
    #[error("all {count} videos are left out; the first is {first}")]
    Nothing {
        /// Videos there were.
        count: usize,
        /// The first of them, and why.
        first: String,
    },
}

/// A segment of a result with its label.
type Labelled<'a> = (ScoredSegment, Option<&'a str>);

/// Merges lists of results, each with its weight: for every video scores over the best of their list, weighted
/// ([`pooled`]), the segments of each label suppressed together, at most `keep` kept. Segments without labels are together.
///
/// A threshold that grows with length is meant for fractions of the video, so it wants durations; a video without one is
/// left out.
///
/// # Errors
/// [`SubmissionError`].
pub fn merge(
    lists: &[Results],
    weights: &[f64],
    (nms, keep): (&Nms, usize),
    durations: Option<&Durations>,
) -> Result<Made, SubmissionError> {
    check(lists.len(), weights)?;
    nms.validate().map_err(SubmissionError::Setting)?;
    if nms.depends_on_lengths() && durations.is_none() {
        let text =
            "the threshold grows with the share of a video that a segment covers: durations are needed";
        return Err(SubmissionError::Setting(text.to_owned()));
    }
    let mut made = Made::default();
    let mut videos: BTreeMap<&str, Vec<Vec<Labelled<'_>>>> = BTreeMap::new();
    for (index, results) in lists.iter().enumerate() {
        for video in &results.videos {
            let own = videos.entry(plain_name(&video.name)).or_insert_with(|| vec![Vec::new(); lists.len()]);
            own[index].extend(made.forward(results, video));
        }
    }
    let count = videos.len();
    for (name, own) in videos {
        let duration = durations.and_then(|all| all.get(name)).copied();
        if nms.depends_on_lengths() && duration.is_none() {
            made.leave_out(name, "no duration is told");
            continue;
        }
        let there = own.iter().filter(|list| !list.is_empty()).count();
        if there < lists.len() {
            made.remarks.push(format!("{name}: {there} of {} lists have segments", lists.len()));
        }
        let mut merged = of_video(&own, weights, nms, duration.unwrap_or(1.0))?;
        merged.truncate(keep);
        made.push(name, merged);
    }
    made.checked(count)
}

/// The merged segments of a video by falling score.
fn of_video<'a>(
    lists: &[Vec<Labelled<'a>>],
    weights: &[f64],
    nms: &Nms,
    duration: f64,
) -> Result<Vec<Labelled<'a>>, EnsembleError> {
    let segments = |list: &Vec<Labelled<'a>>| list.iter().map(|(scored, _)| *scored).collect();
    let scored = pooled(&lists.iter().map(segments).collect::<Vec<_>>(), weights)?;
    let labels = lists.iter().flatten().map(|(_, label)| *label);
    let mut by_label: BTreeMap<Option<&str>, Vec<ScoredSegment>> = BTreeMap::new();
    scored
        .into_iter()
        .zip(labels)
        .for_each(|(scored, label)| by_label.entry(label).or_default().push(scored));
    let mut merged = Vec::new();
    for (label, scored) in by_label {
        let share = |p: &ScoredSegment| {
            let Segment { start, end } = p.segment;
            ScoredSegment { segment: Segment::new(start / duration, end / duration), ..*p }
        };
        let taken = nms.run(&scored.iter().map(share).collect::<Vec<_>>());
        // Segments as they were given, in seconds.
        let given = |t: Taken| ScoredSegment { segment: scored[t.index].segment, score: t.scored.score };
        merged.extend(taken.into_iter().map(|t| (given(t), label)));
    }
    merged.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    Ok(merged)
}

/// Puts labels on proposals: each is copied for the best classes of its video ([`Labelling::name`]), whose scores are the
/// weighted mean over the files. Labels that proposals have already play no part. Where the video's duration is told, segments
/// are cut to it. A video without class scores is left out.
///
/// # Errors
/// [`SubmissionError`].
pub fn label(
    proposals: &Results,
    classes: &[VideoClasses],
    weights: &[f64],
    labelling: &Labelling,
    durations: Option<&Durations>,
) -> Result<Made, SubmissionError> {
    check(classes.len(), weights)?;
    labelling.validate().map_err(SubmissionError::Setting)?;
    let VideoClasses { labels, videos } = mean_classes(classes, weights);
    let scores: BTreeMap<String, Vec<f64>> = videos.into_iter().collect();
    let mut made = Made::default();
    for video in &proposals.videos {
        let name = plain_name(&video.name);
        let Some(own) = scores.get(name) else {
            made.leave_out(name, "there are no class scores of it");
            continue;
        };
        let cut = |segment: Segment| match durations.and_then(|all| all.get(name)) {
            Some(&end) => Segment::new(segment.start.clamp(0.0, end), segment.end.clamp(0.0, end)),
            None => segment,
        };
        let segments: Vec<ScoredSegment> = made
            .forward(proposals, video)
            .into_iter()
            .map(|(p, _)| ScoredSegment { segment: cut(p.segment), ..p })
            .collect();
        // A root of what is below 0 is no number.
        if labelling.powers[0] != 1.0 && segments.iter().any(|p| p.score < 0.0) {
            made.leave_out(name, "a score is below 0, which cannot be raised to a power");
            continue;
        }
        let named = labelling.name(segments, own);
        made.push(name, named.into_iter().map(|n| (n.scored, Some(labels[n.class].as_str()))));
    }
    made.checked(proposals.videos.len())
}

impl Made {
    /// The segments of a video that do not end before they start; the others are told.
    fn forward<'a>(&mut self, results: &'a Results, video: &VideoResults) -> Vec<Labelled<'a>> {
        let all = results.of(video);
        let upright = all.iter().filter(|p| p.segment[0] <= p.segment[1]);
        let labelled = |p: &Predicted| {
            let label = p.label.and_then(|l| results.labels.get(l as usize)).map(String::as_str);
            (ScoredSegment { segment: p.segment.into(), score: p.score }, label)
        };
        let kept: Vec<Labelled<'_>> = upright.map(labelled).collect();
        if kept.len() < all.len() {
            let bad = all.len() - kept.len();
            self.remarks.push(format!("{}: left out {bad} segments that end before they start", video.name));
        }
        kept
    }

    fn leave_out(&mut self, video: &str, reason: &str) {
        self.skipped += 1;
        self.remarks.push(format!("left out {video}: {reason}"));
    }

    fn push<'a>(&mut self, video: &str, segments: impl IntoIterator<Item = Labelled<'a>>) {
        let labels = &mut self.results.labels;
        let mut number = |label: &str| {
            labels.iter().position(|l| l == label).unwrap_or_else(|| {
                labels.push(label.to_owned());
                labels.len() - 1
            }) as u32
        };
        let predicted: Vec<Predicted> = segments
            .into_iter()
            .map(|(ScoredSegment { segment, score }, label)| Predicted {
                segment: [segment.start, segment.end],
                score,
                label: label.map(&mut number),
            })
            .collect();
        self.results.push(video, predicted);
    }

    /// Fails when all of `count` videos were left out.
    fn checked(self, count: usize) -> Result<Self, SubmissionError> {
        match self.results.videos.is_empty() {
            true => {
                let first = self.remarks.iter().find_map(|remark| remark.strip_prefix("left out "));
                let first = first.unwrap_or("that no list names a video").to_owned();
                Err(SubmissionError::Nothing { count, first })
            }
            false => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::suppress::{Decay, SoftNms};

    const SOFT: SoftNms = SoftNms {
        decay: Decay::Gaussian,
        sigma: 0.4,
        threshold: 0.5,
        slope: 0.4,
        keep: 100,
        min_score: 0.0,
        drop_last: false,
    };
    const FLAT: Nms = Nms::Soft(SoftNms { slope: 0.0, ..SOFT });

    /// Start, end, score.
    type Row = (f64, f64, f64);

    fn results(videos: &[(&str, &[Row])]) -> Results {
        let mut results = Results::default();
        for (name, segments) in videos {
            let predicted = segments.iter().map(|&(start, end, score)| Predicted {
                segment: [start, end],
                score,
                label: None,
            });
            results.push(*name, predicted.collect::<Vec<_>>());
        }
        results
    }

    fn rows(made: &Made, video: &str) -> Vec<Row> {
        let found = made.results.videos.iter().find(|v| v.name == video).unwrap();
        made.results.of(found).iter().map(|p| (p.segment[0], p.segment[1], p.score)).collect()
    }

    #[test]
    fn lists_are_weighted_and_suppressed_together() {
        let a = results(&[("v_x", &[(0.0, 10.0, 0.5), (20.0, 30.0, 0.25)]), ("y", &[(0.0, 1.0, 1.0)])]);
        let b = results(&[("x", &[(0.0, 10.0, 8.0), (50.0, 40.0, 9.0)])]);
        let made = merge(&[a.clone(), b.clone()], &[1.0, 0.5], (&FLAT, 100), None).unwrap();
        // The same segment again falls by exp(-1 / 0.4).
        let want = [(0.0, 10.0, 1.0), (20.0, 30.0, 0.5), (0.0, 10.0, 0.5 * (-2.5_f64).exp())];
        assert_eq!(rows(&made, "x"), want);
        let remarks = ["x: left out 1 segments that end before they start", "y: 1 of 2 lists have segments"];
        assert_eq!(made.remarks, remarks);
        let hard = Nms::Hard { threshold: 0.5, keep: 100 };
        let made = merge(&[a, b], &[1.0, 0.5], (&hard, 1), None).unwrap();
        assert_eq!(rows(&made, "x"), [(0.0, 10.0, 1.0)]);
    }

    #[test]
    fn thresholds_that_grow_want_durations() {
        let lists = [results(&[("x", &[(0.0, 9.0, 1.0), (0.0, 7.0, 0.5)]), ("y", &[(0.0, 1.0, 1.0)])])];
        let soft = (&Nms::Soft(SOFT), 100);
        let message = merge(&lists, &[1.0], soft, None).unwrap_err().to_string();
        assert!(message.contains("durations are needed"), "{message}");
        let durations = Durations::from([("x".to_owned(), 10.0)]);
        let made = merge(&lists, &[1.0], soft, Some(&durations)).unwrap();
        // tIoU 0.78 is below 0.5 + 0.4 * 0.9, and would be above it of a longer video.
        assert_eq!(rows(&made, "x")[1], (0.0, 7.0, 0.5));
        assert_eq!((made.skipped, made.remarks[0].as_str()), (1, "left out y: no duration is told"));
        let long = Durations::from([("x".to_owned(), 100.0)]);
        assert!(rows(&merge(&lists, &[1.0], soft, Some(&long)).unwrap(), "x")[1].2 < 0.5);
        let nothing = merge(&lists, &[1.0], soft, Some(&Durations::new())).unwrap_err().to_string();
        assert_eq!(nothing, "all 2 videos are left out; the first is x: no duration is told");
    }

    #[test]
    fn labels_are_suppressed_apart() {
        let mut list = results(&[("x", &[(0.0, 9.0, 1.0), (0.0, 9.0, 0.5)])]);
        list.labels = vec!["a".to_owned(), "b".to_owned()];
        (0..).zip(&mut list.predictions).for_each(|(label, p)| p.label = Some(label));
        let made = merge(&[list], &[1.0], (&FLAT, 100), None).unwrap();
        assert_eq!(
            made.results.predictions.iter().map(|p| (p.score, p.label)).collect::<Vec<_>>(),
            [(1.0, Some(0)), (0.5, Some(1))]
        );
    }

    #[test]
    fn proposals_get_the_best_labels_of_their_video() {
        let list = results(&[("v_x", &[(1.0, 12.0, 0.5)]), ("z", &[(0.0, 1.0, 1.0)])]);
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let classes = VideoClasses { labels, videos: vec![("x".to_owned(), vec![0.25, 0.0, 0.75])] };
        let durations = Durations::from([("x".to_owned(), 10.0)]);
        let labelling = Labelling::default();
        let classes = [classes];
        let made = label(&list, &classes, &[1.0], &labelling, Some(&durations)).unwrap();
        assert_eq!(rows(&made, "x"), [(1.0, 10.0, 0.375), (1.0, 10.0, 0.125)]);
        assert_eq!(made.results.labels, ["c", "a"]);
        assert_eq!(
            (made.skipped, made.remarks[0].as_str()),
            (1, "left out z: there are no class scores of it")
        );
        let wrong = label(&list, &classes, &[1.0, 2.0], &labelling, None).unwrap_err().to_string();
        assert_eq!(wrong, "2 weights for 1 models");
        let other =
            label(&results(&[("z", &[])]), &classes, &[1.0], &labelling, None).unwrap_err().to_string();
        assert!(other.contains("z: there are no class scores"), "{other}");
    }
}

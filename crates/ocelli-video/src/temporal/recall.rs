//! How many instances proposals find: over all of them, and apart by length.

use ocelli_metrics::MetricError;
use ocelli_metrics::proposals::{ProposalRecords, RecallCurve, VideoProposals};
use ocelli_metrics::segment::{ScoredSegment, Segment, linspace};

/// A video's instances and what was proposed for it, both as fractions of the video or both in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The annotated segments.
    pub truth: Vec<Segment>,
    /// The proposals, in any order.
    pub proposals: Vec<ScoredSegment>,
    /// The video's duration in their unit.
    pub duration: f64,
}

/// The thresholds of ActivityNet, 0.5 to 0.95.
pub fn activitynet_thresholds() -> Vec<f64> {
    linspace(0.5, 0.95, 10)
}

/// Average recall against the average number of proposals, up to `limit` of them. Videos without instances do not count.
///
/// # Errors
/// Scores or bounds that are no numbers; no instance or no proposal at all.
pub fn curve(videos: &[Proposed], thresholds: &[f64], limit: f64) -> Result<RecallCurve, MetricError> {
    let mut records = ProposalRecords::new(thresholds)?;
    for video in videos.iter().filter(|v| !v.truth.is_empty()) {
        records.videos.push(VideoProposals::new(&video.truth, &video.proposals, thresholds)?);
    }
    records.curve(Some(limit))
}

/// Recall of the instances of a range of lengths.
#[derive(Clone, Debug, PartialEq)]
pub struct LengthRecall {
    /// Longer than this share of the video.
    pub above: f64,
    /// Up to this share.
    pub up_to: f64,
    /// Number of instances.
    pub instances: usize,
    /// For each number of proposals the share of the instances that as many of the video's best find, mean over
    /// thresholds; 0 without instances.
    pub recall: Vec<f64>,
}

/// Recall by length: instances are sorted into the ranges between `edges` by their share of the video, and looked for among
/// the `counts[k]` best proposals of their video (equal scores in their order).
pub fn by_length<'a>(
    videos: impl IntoIterator<Item = &'a Proposed>,
    edges: &[f64],
    counts: &[usize],
    thresholds: &[f64],
) -> Vec<LengthRecall> {
    let bounds: Vec<f64> = [0.0].iter().chain(edges).chain(&[1.0]).copied().collect();
    let empty =
        |w: &[f64]| LengthRecall { above: w[0], up_to: w[1], instances: 0, recall: vec![0.0; counts.len()] };
    let mut ranges: Vec<LengthRecall> = bounds.windows(2).map(empty).collect();
    for video in videos {
        let mut proposals = video.proposals.clone();
        proposals.sort_by(|a, b| (b.score + 0.0).total_cmp(&(a.score + 0.0)));
        for instance in &video.truth {
            let length = instance.length() / video.duration;
            let range = edges.iter().filter(|edge| length > **edge).count();
            ranges[range].instances += 1;
            for (found, &count) in ranges[range].recall.iter_mut().zip(counts) {
                let best = proposals.iter().take(count).map(|p| p.segment.tiou(*instance));
                let best = best.fold(0.0, f64::max);
                let reached = thresholds.iter().filter(|t| best >= **t).count();
                *found += reached as f64 / thresholds.len().max(1) as f64;
            }
        }
    }
    for range in &mut ranges {
        let instances = range.instances.max(1) as f64;
        range.recall.iter_mut().for_each(|found| *found /= instances);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(truth: &[[f64; 2]], proposals: &[[f64; 3]]) -> Proposed {
        let scored =
            |&[start, end, score]: &[f64; 3]| ScoredSegment { segment: Segment::new(start, end), score };
        let truth = truth.iter().map(|&s| Segment::from(s)).collect();
        Proposed { truth, proposals: proposals.iter().map(scored).collect(), duration: 10.0 }
    }

    #[test]
    fn instances_are_told_apart_by_length() {
        let videos = [
            video(&[[0.0, 1.0], [2.0, 9.0]], &[[2.0, 9.0, 0.5], [0.0, 1.0, 0.9]]),
            video(&[[5.0, 6.0]], &[[0.0, 1.0, 0.9]]),
        ];
        let ranges = by_length(&videos, &[0.3], &[1, 2], &[0.5, 1.0]);
        assert_eq!((ranges[0].instances, ranges[1].instances), (2, 1));
        assert_eq!(ranges[0].recall, [0.5, 0.5]);
        assert_eq!(ranges[1].recall, [0.0, 1.0]);
        assert_eq!((ranges[1].above, ranges[1].up_to), (0.3, 1.0));
        assert_eq!(by_length(&[], &[0.3], &[1], &[0.5])[0].recall, [0.0]);
    }

    #[test]
    fn videos_without_instances_do_not_count() {
        let videos = [video(&[[0.0, 1.0]], &[[0.0, 1.0, 0.9]]), video(&[], &[[0.0, 1.0, 0.9]])];
        let curve = curve(&videos, &[0.5], 1.0).unwrap();
        assert_eq!(curve.average_recall[99], 1.0);
        assert!(super::curve(&videos[1..], &[0.5], 1.0).is_err());
    }
}

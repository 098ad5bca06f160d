//! Temporal proposals: average recall against the average number of proposals (AR@AN), and the area under that curve.
//!
//! The ActivityNet toolkit does not cut every video's list at the same length. It cuts all lists by the same *share*, so
//! that the average number of proposals a video is what is asked for: a video with many proposals keeps many.
//!
//! A [`VideoProposals`] holds, for each segment of the truth and each threshold, the rank of the first proposal that
//! finds it. That is all the curve needs of a video, whatever the shares come to; so videos can be recorded apart,
//! merged, and drawn again.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | PROP-1 | shares times counts are truncated in double precision, so 100 × 0.29 proposals are 28 | strict | `counts_are_truncated_in_double_precision` |
//! | PROP-2 | a video without proposals counts with its truth and retrieves nothing | strict | `videos_without_proposals_count` |
//! | PROP-3 | proposals of videos without truth lower the share that the others keep | strict, [`ProposalRecords::outside`] | `proposals_elsewhere_lower_the_share` |
//! | PROP-4 | the area starts at the first of a hundred points, so perfect proposals stay below 100 | strict | `a_perfect_area_is_99` |
//! | PROP-5 | equal scores come in no certain order | corrected: in the order given | `equal_scores_keep_their_order` |
//! | PROP-6 | a share that leaves no proposal divides by zero | corrected: an error | `nothing_left_is_an_error` |

use crate::segment::{ScoredSegment, Segment, check_finite, check_thresholds, falling};
use crate::{Result, check};
use serde::Serialize;

/// Points of the curve.
const POINTS: usize = 100;
/// The rank of a segment that no proposal finds.
const MISSED: u32 = u32::MAX;

/// What the curve needs of one video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VideoProposals {
    proposals: usize,
    truths: usize,
    /// For each segment of the truth and each threshold the rank, from 0, of the first proposal that finds it.
    first_hits: Vec<u32>,
}

impl VideoProposals {
    /// Ranks the proposals by falling score and looks up the first that reaches each threshold, for each segment.
    ///
    /// # Errors
    /// [`crate::MetricError::NotFinite`] for a score or bound; thresholds outside [0, 1]; no truth.
    pub fn new(truth: &[Segment], proposals: &[ScoredSegment], thresholds: &[f64]) -> Result<Self> {
        check_thresholds(thresholds)?;
        check::at_least("segments of the truth", truth.len(), 1)?;
        check_finite("truth", truth.iter().copied())?;
        check_finite("proposals", proposals.iter().map(|p| p.segment))?;
        check::finite("scores", &proposals.iter().map(|p| p.score).collect::<Vec<_>>())?;
        let order = falling(proposals.iter().map(|p| p.score));
        let mut first_hits = vec![MISSED; truth.len() * thresholds.len()];
        for (segment, hits) in truth.iter().zip(first_hits.chunks_exact_mut(thresholds.len())) {
            let mut best = f64::NEG_INFINITY;
            for (rank, &p) in (0u32..).zip(&order) {
                let tiou = segment.tiou(proposals[p].segment);
                if tiou > best {
                    best = tiou;
                    let found = |(hit, t): &(&mut u32, &f64)| **hit == MISSED && tiou >= **t;
                    hits.iter_mut().zip(thresholds).filter(found).for_each(|(hit, _)| *hit = rank);
                }
            }
        }
        Ok(Self { proposals: proposals.len(), truths: truth.len(), first_hits })
    }

    /// Number of its proposals.
    pub fn proposals(&self) -> usize {
        self.proposals
    }

    /// Number of its segments in the truth.
    pub fn truths(&self) -> usize {
        self.truths
    }

    /// Segments that no proposal finds at the threshold with this index.
    pub fn missed(&self, threshold: usize) -> usize {
        let each = (self.first_hits.len() / self.truths).max(1);
        self.first_hits.chunks_exact(each).filter(|hits| hits.get(threshold) == Some(&MISSED)).count()
    }
}

/// The videos of a test set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProposalRecords {
    thresholds: Vec<f64>,
    /// The videos that have truth, in order.
    pub videos: Vec<VideoProposals>,
    /// Number of proposals of other videos.
    pub outside: usize,
}

/// Average recall against the average number of proposals.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecallCurve {
    /// Recall at each threshold, a hundred points each.
    pub recall: Vec<Vec<f64>>,
    /// Their mean over thresholds.
    pub average_recall: Vec<f64>,
    /// Average number of proposals a video at each point.
    pub proposals_per_video: Vec<f64>,
    /// Area under average recall, in per cent of the width.
    pub auc: f64,
}

impl ProposalRecords {
    /// No videos yet.
    ///
    /// # Errors
    /// No thresholds, or one outside [0, 1].
    pub fn new(thresholds: &[f64]) -> Result<Self> {
        check_thresholds(thresholds)?;
        Ok(Self { thresholds: thresholds.to_vec(), videos: Vec::new(), outside: 0 })
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Adds the videos of another part of the test set.
    ///
    /// # Errors
    /// When its thresholds are others.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.thresholds != other.thresholds {
            let found = format!("{:?}", other.thresholds);
            return Err(check::setting("thresholds of a part", found, "those of the other parts"));
        }
        self.videos.extend(other.videos);
        self.outside += other.outside;
        Ok(())
    }

    /// The curve over all videos, up to `limit` proposals a video on average; without a limit, up to their number.
    ///
    /// # Errors
    /// When there is no video, no proposal, or a share that leaves none.
    pub fn curve(&self, limit: Option<f64>) -> Result<RecallCurve> {
        self.curve_of(self.videos.iter(), limit)
    }

    /// The curve over the videos with these indices, each counted as often as it is named.
    ///
    /// # Errors
    /// As [`Self::curve`].
    ///
    /// # Panics
    /// When there is no such video.
    pub fn curve_of_sample(&self, sample: &[usize], limit: Option<f64>) -> Result<RecallCurve> {
        self.curve_of(sample.iter().map(|&i| &self.videos[i]), limit)
    }

    fn curve_of<'a>(
        &self,
        videos: impl Iterator<Item = &'a VideoProposals> + Clone,
        limit: Option<f64>,
    ) -> Result<RecallCurve> {
        let count = videos.clone().count();
        check::at_least("videos with truth", count, 1)?;
        let offered = videos.clone().map(|v| v.proposals).sum::<usize>() + self.outside;
        check::at_least("proposals", offered, 1)?;
        let (count, offered) = (count as f64, offered as f64);
        let limit = limit.unwrap_or(offered / count);
        if !(limit > 0.0 && limit.is_finite()) {
            return Err(check::setting("average number of proposals", limit, "a number above 0"));
        }
        // The products below are the toolkit's, in its order: their rounding decides what is truncated.
        let ratio = limit * count / offered;
        let kept = |v: &VideoProposals| truncated(v.proposals, ratio);
        let total = videos.clone().map(kept).sum::<usize>() as f64;
        if total == 0.0 {
            let wanted = "more: truncated, the lists of all videos are empty";
            return Err(check::setting("average number of proposals", limit, wanted));
        }
        let shares: Vec<f64> = (1..=POINTS).map(|j| j as f64 / 100.0 * (limit * count / total)).collect();
        let positives = videos.clone().map(|v| v.truths).sum::<usize>() as f64;
        let found = self.found(videos.map(|v| (v, kept(v))), &shares);
        let recall: Vec<Vec<f64>> =
            found.iter().map(|row| row.iter().map(|&n| n as f64 / positives).collect()).collect();
        Ok(RecallCurve::new(recall, shares.iter().map(|s| s * (total / count)).collect()))
    }

    /// How many segments are found at each threshold and point.
    fn found<'a>(
        &self,
        videos: impl Iterator<Item = (&'a VideoProposals, usize)>,
        shares: &[f64],
    ) -> Vec<Vec<u64>> {
        let mut found = vec![vec![0u64; shares.len()]; self.thresholds.len()];
        let mut seen = vec![0; shares.len()];
        for (video, kept) in videos.filter(|(_, kept)| *kept > 0) {
            seen.iter_mut().zip(shares).for_each(|(n, &share)| *n = truncated(kept, share));
            for hits in video.first_hits.chunks_exact(self.thresholds.len()) {
                for (&hit, row) in hits.iter().zip(&mut found).filter(|(hit, _)| **hit != MISSED) {
                    // From the first point whose list is long enough.
                    if let Some(n) = row.get_mut(seen.partition_point(|&n| n <= hit as usize)) {
                        *n += 1;
                    }
                }
            }
        }
        for row in &mut found {
            let mut sum = 0;
            row.iter_mut().for_each(|n| {
                sum += *n;
                *n = sum;
            });
        }
        found
    }
}

/// `share` of `count`, rounded down, at most all.
fn truncated(count: usize, share: f64) -> usize {
    ((count as f64 * share) as usize).min(count)
}

impl RecallCurve {
    fn new(recall: Vec<Vec<f64>>, proposals_per_video: Vec<f64>) -> Self {
        let mean = |j: usize| recall.iter().map(|row| row[j]).sum::<f64>() / recall.len() as f64;
        let average_recall: Vec<f64> = (0..proposals_per_video.len()).map(mean).collect();
        let area: f64 = proposals_per_video
            .windows(2)
            .zip(average_recall.windows(2))
            .map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0)
            .sum();
        let auc = 100.0 * area / proposals_per_video.last().copied().unwrap_or(f64::NAN);
        Self { recall, average_recall, proposals_per_video, auc }
    }

    /// Average recall at the point (of 100, from 1) that stands for `number` proposals a video under `limit`, if a point
    /// does.
    pub fn at(&self, number: f64, limit: f64) -> Option<f64> {
        let point = (number / limit * POINTS as f64).round();
        let exact = (point * limit / POINTS as f64 - number).abs() < 1e-9 * number;
        (exact && (1.0..=POINTS as f64).contains(&point)).then(|| self.average_recall[point as usize - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(start: f64, end: f64, score: f64) -> ScoredSegment {
        ScoredSegment { segment: Segment::new(start, end), score }
    }

    /// A video of one segment that its `hit`th proposal of `count` finds, the others not.
    fn video(count: usize, hit: usize) -> VideoProposals {
        let proposal =
            |i| if i == hit { scored(0.0, 1.0, -(i as f64)) } else { scored(5.0, 6.0, -(i as f64)) };
        let proposals: Vec<_> = (0..count).map(proposal).collect();
        VideoProposals::new(&[Segment::new(0.0, 1.0)], &proposals, &[0.5]).unwrap()
    }

    fn records(videos: Vec<VideoProposals>) -> ProposalRecords {
        ProposalRecords { videos, ..ProposalRecords::new(&[0.5]).unwrap() }
    }

    #[test]
    fn counts_are_truncated_in_double_precision() {
        // One video, 100 proposals: point j keeps int(100 * (j / 100)), which is 28 at j = 29.
        let recall = |hit| records(vec![video(100, hit)]).curve(Some(100.0)).unwrap().average_recall;
        let first = |hit| recall(hit).iter().position(|r| *r == 1.0).unwrap() + 1;
        assert_eq!([first(0), first(27), first(28), first(99)], [1, 28, 30, 100]);
    }

    #[test]
    fn videos_without_proposals_count() {
        let set =
            records(vec![video(10, 0), VideoProposals::new(&[Segment::new(0.0, 1.0)], &[], &[0.5]).unwrap()]);
        let curve = set.curve(None).unwrap();
        assert_eq!(curve.average_recall[99], 0.5);
        assert_eq!(curve.proposals_per_video[99], 5.0);
        assert_eq!((set.videos[1].missed(0), set.videos[0].missed(0)), (1, 0));
    }

    #[test]
    fn proposals_elsewhere_lower_the_share() {
        let mut set = records(vec![video(10, 9)]);
        assert_eq!(set.curve(Some(10.0)).unwrap().average_recall[99], 1.0);
        set.outside = 10;
        // 10 of 20 proposals: the video keeps 5 of its 10.
        assert_eq!(set.curve(Some(10.0)).unwrap().average_recall[99], 0.0);
    }

    #[test]
    fn a_perfect_area_is_99() {
        let curve = records(vec![video(100, 0)]).curve(Some(100.0)).unwrap();
        assert!((curve.auc - 99.0).abs() < 1e-12);
        assert_eq!(
            (curve.at(5.0, 100.0), curve.at(0.5, 100.0), curve.at(200.0, 100.0)),
            (Some(1.0), None, None)
        );
    }

    #[test]
    fn equal_scores_keep_their_order() {
        let truth = [Segment::new(0.0, 1.0)];
        let hit_at =
            |proposals: &[ScoredSegment]| VideoProposals::new(&truth, proposals, &[0.5]).unwrap().first_hits;
        assert_eq!(hit_at(&[scored(0.0, 1.0, 0.5), scored(5.0, 6.0, 0.5)]), [0]);
        assert_eq!(hit_at(&[scored(5.0, 6.0, 0.5), scored(0.0, 1.0, 0.5), scored(0.0, 1.0, 0.5)]), [1]);
    }

    #[test]
    fn nothing_left_is_an_error() {
        let message = |set: &ProposalRecords, limit| set.curve(limit).unwrap_err().to_string();
        let set = records(vec![video(3, 0), video(3, 0)]);
        assert!(message(&set, Some(0.1)).contains("the lists of all videos are empty"));
        assert!(message(&set, Some(-1.0)).contains("above 0"));
        assert!(message(&set, Some(f64::NAN)).contains("above 0"));
        assert_eq!(message(&records(vec![]), None), "videos with truth is empty; give at least 1");
        let none = VideoProposals::new(&[Segment::new(0.0, 1.0)], &[], &[0.5]).unwrap();
        assert_eq!(message(&records(vec![none]), None), "proposals is empty; give at least 1");
    }

    #[test]
    fn a_value_at_the_threshold_is_a_hit() {
        let half =
            VideoProposals::new(&[Segment::new(0.0, 4.0)], &[scored(0.0, 2.0, 1.0)], &[0.5, 0.51]).unwrap();
        assert_eq!(half.first_hits, [0, MISSED]);
    }

    #[test]
    fn refuses_bad_input() {
        let truth = [Segment::new(0.0, 1.0)];
        assert!(VideoProposals::new(&[], &[], &[0.5]).is_err());
        assert!(VideoProposals::new(&truth, &[], &[]).is_err());
        assert!(VideoProposals::new(&truth, &[], &[1.5]).is_err());
        assert!(VideoProposals::new(&truth, &[scored(0.0, f64::NAN, 1.0)], &[0.5]).is_err());
        assert!(VideoProposals::new(&truth, &[scored(0.0, 1.0, f64::NAN)], &[0.5]).is_err());
        assert!(records(vec![]).merge(ProposalRecords::new(&[0.6]).unwrap()).is_err());
    }

    proptest! {
        /// Parts merged in either grouping give exactly the single pass, and so does a sample that names all.
        #[test]
        fn merged_parts_are_the_single_pass(
            hits in prop::collection::vec((1usize..40, 0usize..40), 3..12),
            cuts in (0usize..12, 0usize..12),
            limit in prop::option::of(1.0f64..60.0),
            outside in 0usize..9,
        ) {
            let all: Vec<_> = hits.iter().map(|&(count, hit)| video(count, hit)).collect();
            let mut cuts = [cuts.0.min(all.len()), cuts.1.min(all.len())];
            cuts.sort_unstable();
            let whole = ProposalRecords { outside, ..records(all.clone()) };
            let part = |range: std::ops::Range<usize>| records(all[range].to_vec());
            let (mut left, mut right) = (part(0..cuts[0]), part(cuts[0]..cuts[1]));
            right.merge(ProposalRecords { outside, ..part(cuts[1]..all.len()) }).unwrap();
            left.merge(right).unwrap();
            prop_assert_eq!(&left, &whole);
            let sample: Vec<usize> = (0..all.len()).collect();
            prop_assert_eq!(left.curve(limit), whole.curve_of_sample(&sample, limit));
        }
    }
}

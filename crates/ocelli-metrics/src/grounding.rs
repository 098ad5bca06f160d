//! Temporal grounding: which stretch of a video does a sentence describe? R@n, IoU=m and mIoU.
//!
//! R@n,IoU=m is the share of queries of which some of the first n predictions overlaps the truth by m; mIoU is the mean
//! overlap of the first prediction. Both in per cent.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | TSG-1 | evaluators differ on an overlap equal to m: most count it (≥), some do not (>) | strict, [`GroundingVariant`] | `at_the_threshold_the_variants_differ` |
//! | TSG-2 | where fewer than n are predicted, all are looked at | strict | `short_lists_are_looked_at_whole` |
//! | TSG-3 | two segments without length overlap 0/0 | corrected: 0 | `two_empty_segments_do_not_overlap` |

use crate::named::named_variants;
use crate::segment::{Segment, check_finite, check_thresholds};
use crate::{Result, check};
use serde::Serialize;

/// Whether an overlap equal to the threshold is a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroundingVariant {
    /// It is.
    #[default]
    Ge,
    /// It is not.
    Gt,
}

named_variants!(GroundingVariant, "grounding variant", { Ge => "ge", Gt => "gt" });

impl GroundingVariant {
    fn hits(self, overlap: f64, threshold: f64) -> bool {
        match self {
            Self::Ge => overlap >= threshold,
            Self::Gt => overlap > threshold,
        }
    }
}

/// The n and m of R@n,IoU=m.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroundingOptions {
    /// What counts as a hit.
    pub variant: GroundingVariant,
    /// How many predictions are looked at, from 1.
    pub ns: Vec<usize>,
    /// Overlaps, in [0, 1].
    pub thresholds: Vec<f64>,
}

impl Default for GroundingOptions {
    /// n = 1, 5; m = 0.3, 0.5, 0.7; hits by ≥.
    fn default() -> Self {
        Self { variant: GroundingVariant::Ge, ns: vec![1, 5], thresholds: vec![0.3, 0.5, 0.7] }
    }
}

/// What the metrics need of one query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroundedQuery {
    /// Overlap of the first prediction.
    pub first: f64,
    /// For each n the best overlap among the first n predictions.
    pub best: Vec<f64>,
}

/// The queries of a test set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroundingRecords {
    options: GroundingOptions,
    /// The queries, in order.
    pub queries: Vec<GroundedQuery>,
}

/// The metrics, in per cent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroundingSummary {
    /// For each n the recall at each threshold.
    pub recall: Vec<Vec<f64>>,
    /// Mean overlap of the first prediction.
    pub mean_iou: f64,
}

/// The overlap of each prediction with the truth.
pub fn overlaps(truth: Segment, predictions: &[Segment]) -> Vec<f64> {
    predictions.iter().map(|p| truth.tiou(*p)).collect()
}

impl GroundingRecords {
    /// No queries yet.
    ///
    /// # Errors
    /// No n or m, an n of 0, an m outside [0, 1].
    pub fn new(options: GroundingOptions) -> Result<Self> {
        check::at_least("ns", options.ns.len(), 1)?;
        check::ranks("n", &options.ns)?;
        check_thresholds(&options.thresholds)?;
        Ok(Self { options, queries: Vec::new() })
    }

    /// The n and m.
    pub fn options(&self) -> &GroundingOptions {
        &self.options
    }

    /// Adds a query with its predictions, the surest first. Without predictions its overlap is 0.
    ///
    /// # Errors
    /// [`crate::MetricError::NotFinite`].
    pub fn add(&mut self, truth: Segment, predictions: &[Segment]) -> Result<()> {
        check_finite("truth", [truth].into_iter())?;
        check_finite("predictions", predictions.iter().copied())?;
        let overlaps = overlaps(truth, predictions);
        let best = |n: &usize| overlaps.iter().take(*n).copied().fold(0.0, f64::max);
        let first = overlaps.first().copied().unwrap_or(0.0);
        self.queries.push(GroundedQuery { first, best: self.options.ns.iter().map(best).collect() });
        Ok(())
    }

    /// Adds the queries of another part of the test set.
    ///
    /// # Errors
    /// When its options are others.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.options != other.options {
            let found = format!("{:?}", other.options);
            return Err(check::setting("options of a part", found, "those of the other parts"));
        }
        self.queries.extend(other.queries);
        Ok(())
    }

    /// The metrics over all queries.
    ///
    /// # Errors
    /// When there is none.
    pub fn summary(&self) -> Result<GroundingSummary> {
        self.summary_of(self.queries.iter())
    }

    /// The metrics over the queries with these indices, each counted as often as it is named.
    ///
    /// # Errors
    /// When there is none.
    ///
    /// # Panics
    /// When there is no such query.
    pub fn summary_of_sample(&self, sample: &[usize]) -> Result<GroundingSummary> {
        self.summary_of(sample.iter().map(|&i| &self.queries[i]))
    }

    fn summary_of<'a>(
        &self,
        queries: impl Iterator<Item = &'a GroundedQuery> + Clone,
    ) -> Result<GroundingSummary> {
        let GroundingOptions { variant, ns, thresholds } = &self.options;
        let count = queries.clone().count();
        check::at_least("queries", count, 1)?;
        let share = |n: usize, threshold: f64| {
            let hits = queries.clone().filter(|q| variant.hits(q.best[n], threshold)).count();
            100.0 * hits as f64 / count as f64
        };
        let recall = (0..ns.len()).map(|n| thresholds.iter().map(|&t| share(n, t)).collect()).collect();
        let mean_iou = 100.0 * (queries.map(|q| q.first).sum::<f64>() / count as f64);
        Ok(GroundingSummary { recall, mean_iou })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(variant: GroundingVariant, queries: &[&[[f64; 2]]]) -> GroundingRecords {
        let options = GroundingOptions { variant, ns: vec![1, 2], thresholds: vec![0.5, 0.7] };
        let mut records = GroundingRecords::new(options).unwrap();
        for predictions in queries {
            let predictions: Vec<Segment> = predictions.iter().map(|&p| p.into()).collect();
            records.add(Segment::new(0.0, 10.0), &predictions).unwrap();
        }
        records
    }

    #[test]
    fn recall_and_mean_overlap() {
        let set = records(GroundingVariant::Ge, &[&[[0.0, 6.0], [0.0, 8.0]], &[[50.0, 60.0], [0.0, 10.0]]]);
        let summary = set.summary().unwrap();
        assert_eq!(summary.recall, [[50.0, 0.0], [100.0, 100.0]]);
        assert_eq!(summary.mean_iou, 30.0);
        assert_eq!(set.summary_of_sample(&[1, 1]).unwrap().recall[0], [0.0, 0.0]);
    }

    #[test]
    fn at_the_threshold_the_variants_differ() {
        let recall = |variant| records(variant, &[&[[0.0, 5.0]]]).summary().unwrap().recall[0][0];
        assert_eq!((recall(GroundingVariant::Ge), recall(GroundingVariant::Gt)), (100.0, 0.0));
    }

    #[test]
    fn short_lists_are_looked_at_whole() {
        let summary = records(GroundingVariant::Ge, &[&[[0.0, 10.0]], &[]]).summary().unwrap();
        assert_eq!((summary.recall[1][0], summary.mean_iou), (50.0, 50.0));
    }

    #[test]
    fn two_empty_segments_do_not_overlap() {
        assert_eq!(overlaps(Segment::new(3.0, 3.0), &[Segment::new(3.0, 3.0)]), [0.0]);
    }

    #[test]
    fn refuses_bad_input() {
        let options = GroundingOptions::default();
        assert!(GroundingRecords::new(GroundingOptions { ns: vec![], ..options.clone() }).is_err());
        assert!(GroundingRecords::new(GroundingOptions { ns: vec![0], ..options.clone() }).is_err());
        assert!(
            GroundingRecords::new(GroundingOptions { thresholds: vec![2.0], ..options.clone() }).is_err()
        );
        let mut set = GroundingRecords::new(options.clone()).unwrap();
        assert_eq!(set.summary().unwrap_err().to_string(), "queries is empty; give at least 1");
        assert!(set.add(Segment::new(0.0, f64::NAN), &[]).is_err());
        assert!(set.add(Segment::new(0.0, 1.0), &[Segment::new(f64::NAN, 1.0)]).is_err());
        let other = GroundingOptions { variant: GroundingVariant::Gt, ..options };
        assert!(set.merge(GroundingRecords::new(other).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn merged_parts_are_the_single_pass(ends in prop::collection::vec(0.0f64..20.0, 1..12), cuts in (0usize..12, 0usize..12)) {
            let queries: Vec<[[f64; 2]; 1]> = ends.iter().map(|&end| [[0.0, end]]).collect();
            let queries: Vec<&[[f64; 2]]> = queries.iter().map(|q| &q[..]).collect();
            let mut cuts = [cuts.0.min(ends.len()), cuts.1.min(ends.len())];
            cuts.sort_unstable();
            let part = |range: std::ops::Range<usize>| records(GroundingVariant::Ge, &queries[range]);
            let (mut left, mut right) = (part(0..cuts[0]), part(cuts[0]..cuts[1]));
            right.merge(part(cuts[1]..ends.len())).unwrap();
            left.merge(right).unwrap();
            let whole = records(GroundingVariant::Ge, &queries);
            prop_assert_eq!(left.summary().unwrap(), whole.summary().unwrap());
            prop_assert_eq!(left, whole);
        }
    }
}

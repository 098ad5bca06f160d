//! Segments of time and how much they overlap.

use crate::{MetricError, Result};
use serde::Serialize;

/// A stretch of time, in seconds or any other unit.
///
/// One that ends before it starts is allowed, for files hold such; it overlaps nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Segment {
    /// Where it begins.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
}

/// A segment and how sure its prediction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ScoredSegment {
    /// The segment.
    pub segment: Segment,
    /// Larger is surer.
    pub score: f64,
}

impl Segment {
    /// From `start` to `end`.
    pub fn new(start: f64, end: f64) -> Self {
        Self { start, end }
    }

    /// Its duration, negative when it ends before it starts.
    pub fn length(self) -> f64 {
        self.end - self.start
    }

    /// Temporal intersection over union, in [0, 1].
    ///
    /// Two segments without length have no union and get 0, where the official tools divide zero by zero.
    pub fn tiou(self, other: Self) -> f64 {
        let intersection = (self.end.min(other.end) - self.start.max(other.start)).max(0.0);
        let union = self.length() + other.length() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}

impl From<[f64; 2]> for Segment {
    fn from([start, end]: [f64; 2]) -> Self {
        Self { start, end }
    }
}

/// `count` values from `start` to `stop`, both included, with NumPy's `linspace` arithmetic: thresholds such as
/// 0.8999999999999999, which decide whether a segment at the border is a hit.
pub fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / count.saturating_sub(1).max(1) as f64;
    let value = |i| if i > 0 && i + 1 == count { stop } else { i as f64 * step + start };
    (0..count).map(value).collect()
}

/// No NaN, no infinity among the bounds.
pub(crate) fn check_finite(name: &'static str, segments: impl Iterator<Item = Segment>) -> Result<()> {
    for (index, segment) in segments.enumerate() {
        if let Some(value) = [segment.start, segment.end].into_iter().find(|v| !v.is_finite()) {
            return Err(MetricError::NotFinite { name, index, value });
        }
    }
    Ok(())
}

/// Indices of the scores from the largest to the smallest, equal ones in their order.
pub(crate) fn falling(scores: impl Iterator<Item = f64>) -> Vec<usize> {
    // Adding 0 makes the two zeros one.
    let scores: Vec<f64> = scores.map(|s| s + 0.0).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// At least one threshold, all of them numbers in [0, 1].
pub(crate) fn check_thresholds(thresholds: &[f64]) -> Result<()> {
    crate::check::at_least("tIoU thresholds", thresholds.len(), 1)?;
    match thresholds.iter().find(|t| !(0.0..=1.0).contains(*t)) {
        None => Ok(()),
        Some(t) => Err(crate::check::setting("tIoU threshold", t, "an overlap between 0 and 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_a_share_of_the_union() {
        let tiou = |a: [f64; 2], b: [f64; 2]| Segment::from(a).tiou(b.into());
        assert_eq!(tiou([0.0, 4.0], [2.0, 6.0]), 2.0 / 6.0);
        assert_eq!(tiou([0.0, 4.0], [4.0, 6.0]), 0.0);
        assert_eq!(tiou([0.0, 4.0], [1.0, 2.0]), 0.25);
        assert_eq!(tiou([3.0, 3.0], [3.0, 3.0]), 0.0);
        assert_eq!(tiou([5.0, 2.0], [0.0, 9.0]), 0.0);
        assert_eq!(tiou([5.0, 2.0], [2.0, 5.0]), 0.0);
    }

    #[test]
    fn linspace_is_numpys() {
        let activitynet = linspace(0.5, 0.95, 10);
        assert_eq!(activitynet[8], 0.8999999999999999);
        assert_eq!((activitynet[0], activitynet[9], activitynet.len()), (0.5, 0.95, 10));
        assert_eq!(linspace(0.3, 0.7, 5)[3], 0.6);
        assert_eq!(linspace(0.5, 1.0, 1), [0.5]);
        assert!(linspace(0.0, 1.0, 0).is_empty());
    }

    #[test]
    fn equal_scores_keep_their_order() {
        assert_eq!(falling([0.0, 1.0, -0.0, 1.0].into_iter()), [1, 3, 0, 2]);
    }
}

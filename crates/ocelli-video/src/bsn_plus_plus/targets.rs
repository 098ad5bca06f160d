//! What the network is to say of a video: boundaries of its snippets, overlaps of its proposals.

use ocelli_metrics::segment::Segment;

use crate::temporal::targets::{around, coverage, iou_map, normalized};

/// Width of the region around a boundary, in snippets.
const REGION: f64 = 3.0;

/// The targets of a video of T snippets, or of a batch of videos one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets {
    /// How much of each snippet a region around a start covers, `[B, T]` in [0, 1].
    pub start: Vec<f32>,
    /// Likewise of an end.
    pub end: Vec<f32>,
    /// tIoU of each proposal with the instance it fits best, `[B, T, T]`; 0 below the diagonal.
    pub iou: Vec<f32>,
}

impl Targets {
    /// Of instances given as fractions of the covered duration; what lies beyond it is cut.
    ///
    /// Snippets are centred on multiples of 1 / T.
    pub fn new(cells: usize, instances: &[Segment]) -> Self {
        let instances = normalized(instances, 1.0);
        let width = REGION / cells as f64;
        let of = |point: fn(&Segment) -> f64| {
            let regions: Vec<Segment> = instances.iter().map(|s| around(point(s), width)).collect();
            coverage(cells, -0.5, &regions)
        };
        Self { start: of(|s| s.start), end: of(|s| s.end), iou: iou_map(cells, &instances) }
    }

    /// Targets of several videos, one after the other.
    pub fn batch<'a>(videos: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut batch = Self::default();
        for video in videos {
            batch.start.extend(&video.start);
            batch.end.extend(&video.end);
            batch.iou.extend(&video.iou);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_three_snippets_lie_around_boundaries() {
        let targets = Targets::new(8, &[Segment::new(0.25, 0.75), Segment::new(0.5, 3.0)]);
        // Starts at snippets 2 and 4, ends at 6 and, cut, at 8.
        assert_eq!(targets.start, [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(targets.end, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(targets.iou[2 * 8 + 5], 1.0);
        let nothing = Targets::new(8, &[]);
        assert!(nothing.start.iter().chain(&nothing.end).chain(&nothing.iou).all(|v| *v == 0.0));
        assert_eq!(Targets::batch([&targets, &nothing]).iou.len(), 128);
    }
}

//! Targets: how much of each cell an annotated region covers, and how well each proposal fits an annotation.

use ocelli_metrics::segment::Segment;

/// Annotations as fractions of a video of this duration, cut to it: seconds to [0, 1].
pub fn normalized(segments: &[Segment], duration: f64) -> Vec<Segment> {
    let fraction = |seconds: f64| (seconds / duration).clamp(0.0, 1.0);
    segments.iter().map(|s| Segment::new(fraction(s.start), fraction(s.end))).collect()
}

/// The region of this width around a point.
pub fn around(point: f64, width: f64) -> Segment {
    Segment::new(point - width / 2.0, point + width / 2.0)
}

/// Of each of `cells` cells the share that a region covers, the largest over all regions; 0 without any.
///
/// Cell k is `[(k + shift) / cells, (k + 1 + shift) / cells]`: cells begin at the video's start with a `shift` of 0, and are
/// centred on multiples of their length with -0.5.
pub fn coverage(cells: usize, shift: f64, regions: &[Segment]) -> Vec<f32> {
    let each = cells as f64;
    let share = |k: usize| {
        let cell = Segment::new((k as f64 + shift) / each, (k as f64 + shift + 1.0) / each);
        let covered = |r: &Segment| (cell.end.min(r.end) - cell.start.max(r.start)).max(0.0) / cell.length();
        regions.iter().map(covered).fold(0.0, f64::max) as f32
    };
    (0..cells).map(share).collect()
}

/// The tIoU of each proposal with the annotation it fits best, `[cells, cells]` row-major; 0 below the diagonal, and
/// everywhere without annotations.
pub fn iou_map(cells: usize, annotations: &[Segment]) -> Vec<f32> {
    let mut map = vec![0.0; cells * cells];
    for (i, row) in map.chunks_exact_mut(cells.max(1)).enumerate() {
        for (j, best) in row.iter_mut().enumerate().skip(i) {
            let proposal = proposal(i, j, cells);
            *best = annotations.iter().map(|a| a.tiou(proposal)).fold(0.0, f64::max) as f32;
        }
    }
    map
}

/// The segment of proposal (i, j) as fractions of the video: `[i / cells, (j + 1) / cells]`.
pub fn proposal(i: usize, j: usize, cells: usize) -> Segment {
    Segment::new(i as f64 / cells as f64, (j + 1) as f64 / cells as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f32], want: &[f32]) {
        assert!(
            got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6),
            "{got:?}"
        );
    }

    #[test]
    fn cells_are_covered_by_shares() {
        let action = [Segment::new(0.3, 0.6)];
        close(&coverage(4, 0.0, &action), &[0.0, 0.8, 0.4, 0.0]);
        // Centred cells: [-1/8, 1/8], [1/8, 3/8], [3/8, 5/8], [5/8, 7/8].
        close(&coverage(4, -0.5, &action), &[0.0, 0.3, 0.9, 0.0]);
        close(&coverage(4, 0.0, &[around(0.25, 0.5), around(0.25, 0.1)]), &[1.0, 1.0, 0.0, 0.0]);
        close(&coverage(3, 0.0, &[]), &[0.0; 3]);
        assert!(coverage(0, 0.0, &action).is_empty());
    }

    #[test]
    fn maps_hold_the_best_fit() {
        close(&iou_map(2, &[Segment::new(0.0, 0.5)]), &[1.0, 0.5, 0.0, 0.0]);
        close(&iou_map(2, &[Segment::new(0.0, 0.5), Segment::new(0.5, 1.0)]), &[1.0, 0.5, 0.0, 1.0]);
        close(&iou_map(2, &[]), &[0.0; 4]);
        assert!(iou_map(0, &[]).is_empty());
    }

    #[test]
    fn annotations_are_cut_to_the_video() {
        let cut = normalized(&[Segment::new(-1.0, 5.0), Segment::new(8.0, 12.0)], 10.0);
        assert_eq!(cut, [Segment::new(0.0, 0.5), Segment::new(0.8, 1.0)]);
    }
}

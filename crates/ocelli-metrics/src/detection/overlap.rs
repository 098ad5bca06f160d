//! How much two boxes overlap.

/// Intersection over union of two boxes `[x, y, width, height]` without any pixel added; intersection over the area of
/// `found` if the other is a crowd (COCO). In the order of operations of pycocotools' `bbIou`.
pub fn box_iou(found: &[f64; 4], truth: &[f64; 4], crowd: bool) -> f64 {
    let side = |axis: usize| {
        let end = (found[axis + 2] + found[axis]).min(truth[axis + 2] + truth[axis]);
        end - found[axis].max(truth[axis])
    };
    let (width, height) = (side(0), side(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let common = width * height;
    let area = found[2] * found[3];
    let union = if crowd { area } else { area + truth[2] * truth[3] - common };
    common / union
}

/// Intersection over union of two boxes `[x1, y1, x2, y2]` whose last pixels belong to them, as VOC, ImageNet VID and WIDER
/// FACE count; 0 for boxes that share no pixel.
pub fn inclusive_iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |axis: usize| a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis]) + 1.0;
    let (width, height) = (side(0), side(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let common = width * height;
    common / (inclusive_area(a) + inclusive_area(b) - common)
}

/// The area of a box `[x1, y1, x2, y2]` whose last pixel belongs to it.
pub fn inclusive_area(corners: &[f64; 4]) -> f64 {
    (corners[2] - corners[0] + 1.0) * (corners[3] - corners[1] + 1.0)
}

/// The area that two boxes `[x1, y1, x2, y2]` without any pixel added share.
pub fn intersection(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    side(0) * side(1)
}

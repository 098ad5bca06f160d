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

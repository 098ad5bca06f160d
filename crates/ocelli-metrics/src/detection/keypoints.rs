//! Object keypoint similarity (OKS): the overlap of poses.

use crate::{Result, check};

/// COCO's standard deviations of the 17 keypoints of a person, relative to the object's scale: nose, eyes, ears,
/// shoulders, elbows, wrists, hips, knees, ankles.
pub const COCO_PERSON_SIGMAS: [f64; 17] = [
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089,
];

/// Keypoints of an object of the truth.
#[derive(Clone, Copy, Debug)]
pub struct PointObject<'a> {
    /// `[x, y, visibility]` of each point; only points with a visibility above 0 count.
    pub points: &'a [[f64; 3]],
    /// `[x, y, width, height]`; where no point is visible, points found within twice the box count as right.
    pub bbox: [f64; 4],
    /// Its area in pixels.
    pub area: f64,
}

/// The mean over the visible points of `exp(-d^2 / (2 s^2 k^2))` with the distance `d` between the points found and
/// true, the object's area `s^2`, and `k` twice the point's sigma (<https://cocodataset.org/#keypoints-eval>).
///
/// # Errors
/// When the numbers of points differ from that of the sigmas, or there is none.
pub fn object_keypoint_similarity(
    found: &[[f64; 3]],
    truth: &PointObject<'_>,
    sigmas: &[f64],
) -> Result<f64> {
    check::at_least("sigmas", sigmas.len(), 1)?;
    check::same_length("keypoints of the truth", truth.points.len(), "sigmas", sigmas.len())?;
    check::same_length("keypoints found", found.len(), "sigmas", sigmas.len())?;
    Ok(similarity(found, truth, sigmas))
}

/// The same for inputs of one length.
pub(super) fn similarity(found: &[[f64; 3]], truth: &PointObject<'_>, sigmas: &[f64]) -> f64 {
    let [x, y, width, height] = truth.bbox;
    let any_visible = truth.points.iter().any(|p| p[2] > 0.0);
    let (mut sum, mut count) = (0.0, 0);
    for ((point, target), sigma) in found.iter().zip(truth.points).zip(sigmas) {
        let [dx, dy] = match any_visible {
            true if target[2] > 0.0 => [point[0] - target[0], point[1] - target[1]],
            true => continue,
            false => {
                let beyond = |p: f64, from: f64, to: f64| (from - p).max(0.0) + (p - to).max(0.0);
                [beyond(point[0], x - width, x + width * 2.0), beyond(point[1], y - height, y + height * 2.0)]
            }
        };
        let variance = (sigma * 2.0) * (sigma * 2.0);
        let error = (dx * dx + dy * dy) / variance / (truth.area + f64::EPSILON) / 2.0;
        sum += (-error).exp();
        count += 1;
    }
    sum / f64::from(count)
}

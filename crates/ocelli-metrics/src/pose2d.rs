//! Joints in the picture: the percentage of correct keypoints (PCK, PCKh).
//!
//! A joint is correct when its distance to the truth, divided by the size of the person, is at most the threshold.
//!
//! | variant | size of a person | joints that count |
//! |---|---|---|
//! | [`mpii`](Pose2dVariant::Mpii) (PCKh) | 0.6 × diagonal of the head box | those labelled |
//! | [`lsp`](Pose2dVariant::Lsp) (PCK) | diagonal of the torso box | all |
//!
//! The record of a person is its row of divided distances; merging parts of a set is listing their records.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | PCK-1 | a distance exactly at the threshold is correct | strict | `the_threshold_itself_is_correct` |
//! | PCK-2 | PCKh divides by 0.6 of the head box's diagonal, PCK by the whole torso box's | strict | `sizes_of_the_variants` |
//! | PCK-3 | pelvis and thorax (6 and 7) are in the table but not in the mean | strict, [`EXCLUDED`] | `the_mean_weighs_by_labelled_joints` |
//! | PCK-4 | the mean weighs each joint by how often it is labelled | strict | `the_mean_weighs_by_labelled_joints` |
//! | PCK-5 | `mean_at_0.1` is read at index 11 of 0, 0.01 … 0.5, hence at 0.11 | strict, [`MPII_FINE_THRESHOLD`] | `mean_at_a_tenth_is_read_at_eleven_hundredths` |
//! | PCK-6 | a joint that is never labelled is 0/0 and makes the mean NaN | its own value is NaN; corrected: it drops out of the mean | `a_joint_never_labelled` |
//! | PCK-7 | a group, such as the elbows, is the plain mean of left and right, not weighed | strict | `groups_are_plain_means` |

use crate::named::named_variants;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// How large a person is; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pose2dVariant {
    /// PCKh on MPII Human Pose.
    #[default]
    Mpii,
    /// PCK on Leeds Sports Pose.
    Lsp,
}

named_variants!(Pose2dVariant, "pose variant", { Mpii => "mpii", Lsp => "lsp" });

/// Part of the head box's diagonal that PCKh divides by.
pub const SC_BIAS: f64 = 0.6;

/// Joints left out of the mean: pelvis and thorax in the order of MPII.
pub const EXCLUDED: &[usize] = &[6, 7];

/// Where MPII's evaluator reads what it calls the mean at 0.1.
pub const MPII_FINE_THRESHOLD: f64 = 11.0 * 0.01;

/// Joints in MPII's order.
pub const MPII_JOINTS: [&str; 16] = [
    "right ankle",
    "right knee",
    "right hip",
    "left hip",
    "left knee",
    "left ankle",
    "pelvis",
    "thorax",
    "upper neck",
    "head top",
    "right wrist",
    "right elbow",
    "right shoulder",
    "left shoulder",
    "left elbow",
    "left wrist",
];

/// The rows of MPII's result table: name and joints.
pub const MPII_GROUPS: &[(&str, &[usize])] = &[
    ("head", &[9]),
    ("shoulder", &[12, 13]),
    ("elbow", &[11, 14]),
    ("wrist", &[10, 15]),
    ("hip", &[2, 3]),
    ("knee", &[1, 4]),
    ("ankle", &[0, 5]),
];

/// Two corners of a box, in pixels.
pub type Corners = [[f64; 2]; 2];

/// Distance of each joint to the truth, as a share of the person's size; `None` for a joint that does not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JointErrors(pub Vec<Option<f64>>);

/// Percentages of correct keypoints at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PckReport {
    /// Percentage over all joints that count and are not excluded; NaN without any.
    pub mean: f64,
    /// Percentage for each joint; NaN where it never counts.
    pub per_joint: Vec<f64>,
    /// How often each joint counts.
    pub counts: Vec<usize>,
}

impl Pose2dVariant {
    /// The size of a person from the variant's box; `sc_bias` is the part of the head box's diagonal, usually
    /// [`SC_BIAS`]. Fails on a box without extent.
    pub fn size(self, corners: Corners, sc_bias: f64) -> Result<f64> {
        let [[x1, y1], [x2, y2]] = corners;
        let diagonal = (x2 - x1).hypot(y2 - y1);
        let size = match self {
            Self::Mpii => diagonal * sc_bias,
            Self::Lsp => diagonal,
        };
        if size > 0.0 && size.is_finite() {
            return Ok(size);
        }
        Err(check::setting("size of a person", size, "a box with an extent"))
    }

    /// Whether a joint counts that is not labelled.
    pub fn counts_unlabelled(self) -> bool {
        self == Self::Lsp
    }
}

impl JointErrors {
    /// Of one person: predicted and true joints in pixels, whether each counts, and the person's size.
    pub fn new(predicted: &[[f64; 2]], truth: &[[f64; 2]], counts: &[bool], size: f64) -> Result<Self> {
        check::same_length("predicted joints", predicted.len(), "joints", truth.len())?;
        check::same_length("counted joints", counts.len(), "joints", truth.len())?;
        check::finite("predicted joints", predicted.as_flattened())?;
        let error = |j: usize| {
            let [dx, dy] = [predicted[j][0] - truth[j][0], predicted[j][1] - truth[j][1]];
            counts[j].then(|| dx.hypot(dy) / size)
        };
        let errors = Self((0..truth.len()).map(error).collect());
        match errors.0.iter().position(|e| e.is_some_and(f64::is_nan)) {
            Some(index) => Err(MetricError::NotFinite { name: "true joints", index, value: f64::NAN }),
            None => Ok(errors),
        }
    }
}

/// Percentages of joints whose error is at most `threshold`. `excluded` joints are left out of the mean.
///
/// Fails without people, and when they differ in their number of joints.
pub fn pck<'a>(
    people: impl IntoIterator<Item = &'a JointErrors>,
    threshold: f64,
    excluded: &[usize],
) -> Result<PckReport> {
    let mut tally: Option<Vec<(usize, usize)>> = None;
    for JointErrors(errors) in people {
        let tally = tally.get_or_insert_with(|| vec![(0, 0); errors.len()]);
        check::same_length("a person's joints", errors.len(), "the first person's", tally.len())?;
        for (joint, error) in tally.iter_mut().zip(errors) {
            let Some(error) = error else { continue };
            joint.0 += usize::from(*error <= threshold);
            joint.1 += 1;
        }
    }
    let tally = tally.ok_or(MetricError::Empty { name: "people", wanted: 1 })?;
    let in_mean = || tally.iter().enumerate().filter(|(j, _)| !excluded.contains(j)).map(|(_, t)| *t);
    let (hits, total) = in_mean().fold((0, 0), |(hits, total), t| (hits + t.0, total + t.1));
    let percent = |hits: usize, total: usize| 100.0 * hits as f64 / total as f64;
    Ok(PckReport {
        mean: percent(hits, total),
        per_joint: tally.iter().map(|t| percent(t.0, t.1)).collect(),
        counts: tally.iter().map(|t| t.1).collect(),
    })
}

impl PckReport {
    /// Plain mean of the joints of a group; NaN when one of them never counts or is not there.
    pub fn group(&self, joints: &[usize]) -> f64 {
        let value = |j: &usize| self.per_joint.get(*j).copied().unwrap_or(f64::NAN);
        joints.iter().map(value).sum::<f64>() / joints.len() as f64
    }
}

/// The curve of the mean PCK over the thresholds 0, 0.01 … 0.5.
pub fn curve(people: &[&JointErrors], excluded: &[usize]) -> Result<Vec<(f64, f64)>> {
    let thresholds = (0..=50).map(|i| f64::from(i) * 0.01);
    thresholds.map(|t| Ok((t, pck(people.iter().copied(), t, excluded)?.mean))).collect()
}

/// Area under that curve by trapezoids, with the thresholds scaled to 0 … 1; in percent.
pub fn area(curve: &[(f64, f64)]) -> f64 {
    let span = curve.last().map_or(0.0, |p| p.0) - curve.first().map_or(0.0, |p| p.0);
    curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum::<f64>() / span
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(errors: &[f64]) -> JointErrors {
        JointErrors(errors.iter().map(|e| (*e >= 0.0).then_some(*e)).collect())
    }

    #[test]
    fn the_threshold_itself_is_correct() {
        let found = JointErrors::new(&[[3.0, 4.0]], &[[0.0, 0.0]], &[true], 10.0).unwrap();
        assert_eq!(pck([&found], 0.5, &[]).unwrap().mean, 100.0);
        assert_eq!(pck([&found], 0.499, &[]).unwrap().mean, 0.0);
    }

    #[test]
    fn sizes_of_the_variants() {
        let corners = [[10.0, 10.0], [40.0, 50.0]];
        assert_eq!(Pose2dVariant::Mpii.size(corners, SC_BIAS).unwrap(), 30.0);
        assert_eq!(Pose2dVariant::Lsp.size(corners, SC_BIAS).unwrap(), 50.0);
        assert!(Pose2dVariant::Lsp.size([[1.0, 1.0]; 2], SC_BIAS).is_err());
    }

    #[test]
    fn the_mean_weighs_by_labelled_joints() {
        // Joint 0 is labelled twice and found twice, joint 1 once and missed, joint 2 is excluded.
        let people = [person(&[0.1, 0.9, 0.9]), person(&[0.1, -1.0, 0.9])];
        let found = pck(&people, 0.5, &[2]).unwrap();
        assert!((found.mean - 200.0 / 3.0).abs() < 1e-12);
        assert_eq!((found.per_joint, found.counts), (vec![100.0, 0.0, 0.0], vec![2, 1, 2]));
    }

    #[test]
    fn mean_at_a_tenth_is_read_at_eleven_hundredths() {
        let people = [person(&[0.105])];
        assert_eq!(pck(&people, MPII_FINE_THRESHOLD, &[]).unwrap().mean, 100.0);
        assert_eq!(pck(&people, 0.1, &[]).unwrap().mean, 0.0);
    }

    #[test]
    fn a_joint_never_labelled() {
        let found = pck(&[person(&[0.1, -1.0])], 0.5, &[]).unwrap();
        assert!(found.per_joint[1].is_nan());
        assert_eq!(found.mean, 100.0);
        assert!(pck(&[person(&[-1.0])], 0.5, &[]).unwrap().mean.is_nan());
    }

    #[test]
    fn groups_are_plain_means() {
        let people = [person(&[0.1, 0.9]), person(&[0.1, -1.0]), person(&[0.1, -1.0])];
        let found = pck(&people, 0.5, &[]).unwrap();
        assert_eq!((found.mean, found.group(&[0, 1])), (75.0, 50.0));
        assert!(found.group(&[0, 9]).is_nan());
    }

    #[test]
    fn shards_listed_one_after_the_other_are_the_single_pass() {
        let people: Vec<JointErrors> =
            (0..40).map(|i| person(&[f64::from(i * 7 % 10) / 10.0, f64::from(i % 3) - 1.0])).collect();
        let whole = pck(&people, 0.5, &[]).unwrap();
        let (a, b) = people.split_at(13);
        assert_eq!(pck(a.iter().chain(b), 0.5, &[]).unwrap(), whole);
    }

    #[test]
    fn area_of_a_step() {
        // Correct from 0.25 on: one trapezoid is half, the rest is whole.
        let error = person(&[0.25]);
        let found = area(&curve(&[&error], &[]).unwrap());
        assert!((found - 51.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn refuses_bad_input() {
        assert!(JointErrors::new(&[[0.0; 2]], &[], &[], 1.0).is_err());
        assert!(JointErrors::new(&[[0.0; 2]], &[[0.0; 2]], &[], 1.0).is_err());
        assert!(JointErrors::new(&[[f64::NAN, 0.0]], &[[0.0; 2]], &[true], 1.0).is_err());
        assert!(JointErrors::new(&[[0.0; 2]], &[[f64::NAN, 0.0]], &[true], 1.0).is_err());
        assert!(pck([], 0.5, &[]).is_err());
        assert!(pck(&[person(&[0.1]), person(&[0.1, 0.2])], 0.5, &[]).is_err());
    }
}

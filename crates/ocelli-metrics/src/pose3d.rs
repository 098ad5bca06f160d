//! Joints in space: mean per-joint position error and its aligned forms, percentage of correct keypoints, area under it.
//!
//! | metric | before the distances are taken, the prediction is |
//! |---|---|
//! | MPJPE | moved so that the roots coincide |
//! | N-MPJPE | then scaled by ⟨pred, truth⟩ / ⟨pred, pred⟩, one factor a pose |
//! | P-MPJPE | moved, turned and scaled as a whole to fit best (Procrustes), without reflection |
//!
//! PCK is the percentage of joints within 150 mm, AUC its mean over the 31 thresholds 0, 5 … 150 mm, both with roots
//! aligned. Positions come in metres; errors are in millimetres. The record of a pose is a [`PoseErrors`]; merging parts
//! of a set is listing their records.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | MPJPE-1 | an error exactly at the PCK threshold is wrong | strict | `the_threshold_itself_is_wrong` |
//! | MPJPE-2 | the first of the AUC's thresholds is 0 and contributes 0, so even a perfect AUC is 30/31 | strict | `a_perfect_auc_lacks_its_first_threshold` |
//! | MPJPE-3 | the root counts as a joint, although it is always right after alignment | strict | `the_root_counts` |
//! | MPJPE-4 | Procrustes without reflection: a mirrored pose does not fit | strict | `a_mirrored_pose_does_not_fit` |
//! | MPJPE-5 | a pose predicted as a single point has no scale: 0/0 | corrected: scale 1 for N-MPJPE, 0 for P-MPJPE, so that it costs a finite error | `a_pose_of_one_point` |

use crate::{Result, check};
use serde::Serialize;

/// A position in space, in metres.
pub type Point = [f64; 3];

/// Errors of one pose, in millimetres.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoseErrors {
    /// Mean over joints with roots aligned.
    pub mpjpe: f64,
    /// Mean over joints after Procrustes.
    pub p_mpjpe: f64,
    /// Mean over joints after scaling.
    pub n_mpjpe: f64,
    /// Of each joint with roots aligned.
    pub joints: Vec<f64>,
}

/// Means over poses, in millimetres; percentages of joints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pose3dReport {
    /// Mean per-joint position error.
    pub mpjpe: f64,
    /// The same after Procrustes.
    pub p_mpjpe: f64,
    /// The same after scaling.
    pub n_mpjpe: f64,
    /// Percentage of joints nearer than the threshold.
    pub pck: f64,
    /// Mean of that percentage over the [`auc_thresholds`].
    pub auc: f64,
    /// MPJPE of each joint.
    pub per_joint: Vec<f64>,
}

/// The usual threshold of PCK, in millimetres.
pub const PCK_MM: f64 = 150.0;

/// The 31 thresholds of the AUC: 0, 5 … 150 mm.
pub fn auc_thresholds() -> [f64; 31] {
    std::array::from_fn(|i| 5.0 * i as f64)
}

impl PoseErrors {
    /// Of one pose: predicted and true joints in metres, and the index of the root (the hip).
    pub fn new(predicted: &[Point], truth: &[Point], root: usize) -> Result<Self> {
        check::same_length("predicted joints", predicted.len(), "joints", truth.len())?;
        check::finite("predicted joints", predicted.as_flattened())?;
        check::finite("true joints", truth.as_flattened())?;
        if root >= truth.len() {
            return Err(check::setting("root", root, &format!("a joint below {}", truth.len())));
        }
        let (predicted, truth) = (moved(predicted, predicted[root]), moved(truth, truth[root]));
        let joints: Vec<f64> = distances(&predicted, &truth).collect();
        let scale = match dot(&predicted, &predicted) {
            0.0 => 1.0,
            squares => dot(&predicted, &truth) / squares,
        };
        let scaled: Vec<Point> = predicted.iter().map(|p| p.map(|v| v * scale)).collect();
        Ok(Self {
            mpjpe: mean(joints.iter().copied()),
            p_mpjpe: mean(distances(&procrustes(&predicted, &truth), &truth)),
            n_mpjpe: mean(distances(&scaled, &truth)),
            joints,
        })
    }
}

/// Means over poses; `pck_mm` is the threshold of PCK, usually [`PCK_MM`].
///
/// Fails without poses, and when they differ in their number of joints.
pub fn report<'a>(poses: impl IntoIterator<Item = &'a PoseErrors>, pck_mm: f64) -> Result<Pose3dReport> {
    let poses: Vec<&PoseErrors> = poses.into_iter().collect();
    check::at_least("poses", poses.len(), 1)?;
    let width = poses[0].joints.len();
    for pose in &poses {
        check::same_length("a pose's joints", pose.joints.len(), "the first pose's", width)?;
    }
    let errors = || poses.iter().flat_map(|p| &p.joints);
    let percent = |t: f64| 100.0 * errors().filter(|e| **e < t).count() as f64 / (poses.len() * width) as f64;
    Ok(Pose3dReport {
        mpjpe: mean(poses.iter().map(|p| p.mpjpe)),
        p_mpjpe: mean(poses.iter().map(|p| p.p_mpjpe)),
        n_mpjpe: mean(poses.iter().map(|p| p.n_mpjpe)),
        pck: percent(pck_mm),
        auc: mean(auc_thresholds().into_iter().map(percent)),
        per_joint: (0..width).map(|j| mean(poses.iter().map(|p| p.joints[j]))).collect(),
    })
}

/// The points turned by a rotation, scaled and moved so that they come nearest to `truth` in the sum of squares.
///
/// Horn's closed form: the best rotation is the unit quaternion of the largest eigenvalue of a symmetric 4 × 4 matrix
/// made of the correlations ("Closed-form solution of absolute orientation using unit quaternions", 1987). Quaternions
/// know no reflections, so none has to be undone.
pub fn procrustes(points: &[Point], truth: &[Point]) -> Vec<Point> {
    let (from, to) = (center(points), center(truth));
    let (p, t) = (moved(points, from), moved(truth, to));
    let mut s = [[0.0; 3]; 3];
    for (p, t) in p.iter().zip(&t) {
        (0..3).for_each(|i| (0..3).for_each(|j| s[i][j] += p[i] * t[j]));
    }
    let rotation = rotation(largest_eigenvector([
        [s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]],
        [s[1][2] - s[2][1], s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]],
        [s[2][0] - s[0][2], s[0][1] + s[1][0], s[1][1] - s[0][0] - s[2][2], s[1][2] + s[2][1]],
        [s[0][1] - s[1][0], s[2][0] + s[0][2], s[1][2] + s[2][1], s[2][2] - s[0][0] - s[1][1]],
    ]));
    let turned: Vec<Point> =
        p.iter().map(|p| rotation.map(|row| row[0] * p[0] + row[1] * p[1] + row[2] * p[2])).collect();
    let squares = dot(&p, &p);
    let scale = if squares == 0.0 { 0.0 } else { dot(&turned, &t) / squares };
    turned.iter().map(|q| [0, 1, 2].map(|i| scale * q[i] + to[i])).collect()
}

/// The rotation matrix of a unit quaternion (w, x, y, z).
fn rotation([w, x, y, z]: [f64; 4]) -> [[f64; 3]; 3] {
    [
        [w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
}

/// The unit eigenvector of the largest eigenvalue of a symmetric matrix, by cyclic Jacobi rotations.
fn largest_eigenvector(mut a: [[f64; 4]; 4]) -> [f64; 4] {
    let mut v: [[f64; 4]; 4] = std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    // Convergence is quadratic: five or six sweeps reach the last bit, the rest is a safeguard.
    for _ in 0..30 {
        for p in 0..3 {
            for q in p + 1..4 {
                if a[p][q] != 0.0 {
                    jacobi(&mut a, &mut v, p, q);
                }
            }
        }
    }
    let best = (1..4).fold(0, |best, i| if a[i][i] > a[best][best] { i } else { best });
    let column = v.map(|row| row[best]);
    let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
    column.map(|x| x / norm)
}

/// Turns rows and columns p and q so that a[p][q] vanishes, and collects the turn in the columns of v.
fn jacobi(a: &mut [[f64; 4]; 4], v: &mut [[f64; 4]; 4], p: usize, q: usize) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = tan * cos;
    for row in a.iter_mut().chain(v) {
        (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
    }
    let (above, below) = a.split_at_mut(q);
    for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    }
    (a[p][q], a[q][p]) = (0.0, 0.0);
}

fn center(points: &[Point]) -> Point {
    [0, 1, 2].map(|i| mean(points.iter().map(|p| p[i])))
}

fn moved(points: &[Point], by: Point) -> Vec<Point> {
    points.iter().map(|p| [0, 1, 2].map(|i| p[i] - by[i])).collect()
}

fn dot(a: &[Point], b: &[Point]) -> f64 {
    a.as_flattened().iter().zip(b.as_flattened()).map(|(x, y)| x * y).sum()
}

/// In millimetres.
fn distances<'a>(a: &'a [Point], b: &'a [Point]) -> impl Iterator<Item = f64> + 'a {
    a.iter().zip(b).map(|(a, b)| 1000.0 * (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POSE: [Point; 5] =
        [[0.0, 0.0, 0.0], [0.3, 0.1, -0.2], [0.1, 0.7, 0.2], [-0.4, 0.2, 0.5], [0.2, -0.6, 0.1]];

    fn errors(predicted: &[Point]) -> PoseErrors {
        PoseErrors::new(predicted, &POSE, 0).unwrap()
    }

    #[test]
    fn the_threshold_itself_is_wrong() {
        let mut predicted = POSE;
        predicted[1][0] += 0.5;
        let found = errors(&predicted);
        let error = found.joints[1];
        assert!((error - 500.0).abs() < 1e-9);
        assert_eq!(report([&found], error).unwrap().pck, 80.0);
        assert_eq!(report([&found], error + 1.0).unwrap().pck, 100.0);
    }

    #[test]
    fn a_perfect_auc_lacks_its_first_threshold() {
        let found = report([&errors(&POSE)], PCK_MM).unwrap();
        assert_eq!((found.mpjpe, found.pck), (0.0, 100.0));
        assert!((found.auc - 100.0 * 30.0 / 31.0).abs() < 1e-12 && found.p_mpjpe < 1e-9);
    }

    #[test]
    fn the_root_counts() {
        let far: Vec<Point> = POSE.iter().enumerate().map(|(j, p)| p.map(|v| v + 9.0 * j as f64)).collect();
        assert_eq!(report([&errors(&far)], PCK_MM).unwrap().pck, 20.0);
    }

    #[test]
    fn a_mirrored_pose_does_not_fit() {
        let mirrored = POSE.map(|[x, y, z]| [-x, y, z]);
        assert!(errors(&mirrored).p_mpjpe > 50.0);
        let turned = POSE.map(|[x, y, z]| [-x, -y, z]);
        assert!(errors(&turned).p_mpjpe < 1e-9);
    }

    #[test]
    fn a_pose_of_one_point() {
        let found = errors(&[[0.4; 3]; 5]);
        assert_eq!(found.n_mpjpe, found.mpjpe);
        assert!(found.p_mpjpe.is_finite() && found.p_mpjpe > 0.0);
    }

    #[test]
    fn one_factor_undoes_the_scale() {
        let found = errors(&POSE.map(|p| p.map(|v| 0.8 * v)));
        assert!(found.mpjpe > 50.0 && found.n_mpjpe < 1e-9);
    }

    #[test]
    fn shards_listed_one_after_the_other_are_the_single_pass() {
        let poses: Vec<PoseErrors> =
            (0..9).map(|i| errors(&POSE.map(|[x, y, z]| [x + 0.02 * f64::from(i), y * y, z]))).collect();
        let (a, b) = poses.split_at(4);
        assert_eq!(report(a.iter().chain(b), 90.0).unwrap(), report(&poses, 90.0).unwrap());
    }

    proptest! {
        /// A similarity is undone, whatever it is.
        #[test]
        fn procrustes_undoes_similarities(q in prop::array::uniform4(-1.0..1.0f64), scale in 0.1..5.0f64, shift in -3.0..3.0f64) {
            let norm = q.iter().map(|v| v * v).sum::<f64>().sqrt();
            prop_assume!(norm > 1e-3);
            let turn = rotation(q.map(|v| v / norm));
            let moved: Vec<Point> = POSE
                .iter()
                .map(|p| turn.map(|row| scale * (row[0] * p[0] + row[1] * p[1] + row[2] * p[2]) + shift))
                .collect();
            prop_assert!(errors(&moved).p_mpjpe < 1e-6);
        }
    }

    #[test]
    fn refuses_bad_input() {
        assert!(PoseErrors::new(&POSE[..4], &POSE, 0).is_err());
        assert!(PoseErrors::new(&POSE, &POSE, 5).is_err());
        assert!(PoseErrors::new(&[[f64::NAN; 3]; 5], &POSE, 0).is_err());
        assert!(PoseErrors::new(&POSE, &[[f64::INFINITY; 3]; 5], 0).is_err());
        assert!(report([], PCK_MM).is_err());
        let short = PoseErrors::new(&POSE[..2], &POSE[..2], 0).unwrap();
        assert!(report([&errors(&POSE), &short], PCK_MM).is_err());
    }
}

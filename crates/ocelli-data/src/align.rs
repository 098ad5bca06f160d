//! Five-point face alignment, as every face-recognition network since ArcFace expects its pictures.
//!
//! A similarity transform (turn, scale, shift) takes the eyes, the nose tip and the corners of the mouth to their
//! standard places in a 112 x 112 picture; the picture is warped bilinearly.
//!
//! ```
//! use ocelli_data::align::{align_face, template};
//! use ocelli_data::image::RgbImage;
//!
//! let photo = RgbImage::new(300, 300);
//! let landmarks = template(112).map(|[x, y]| [2.0 * x + 30.0, 2.0 * y + 10.0]);
//! let face = align_face(&photo, &landmarks, 112)?;
//! assert_eq!(face.dimensions(), (112, 112));
//! # Ok::<(), ocelli_data::DataError>(())
//! ```

use ::image::{Rgb, RgbImage};

use crate::error::DataError;

/// A point `[x, y]` in pixels, `(0, 0)` the centre of the upper left one.
pub type Point = [f32; 2];

/// Left eye, right eye, nose tip, left and right corner of the mouth, as seen by the viewer.
pub type FivePoints = [Point; 5];

/// Where ArcFace's training pictures of 112 x 112 pixels have the five points.
const ARCFACE: FivePoints =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// The standard places of the five points in an aligned picture of `size` x `size` pixels.
pub fn template(size: u32) -> FivePoints {
    let scale = size as f32 / 112.0;
    ARCFACE.map(|point| point.map(|v| v * scale))
}

/// A turn, a scale and a shift: `(x, y)` goes to `(a x - b y + c, b x + a y + d)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Scale times cosine of the turn.
    pub a: f64,
    /// Scale times sine of the turn.
    pub b: f64,
    /// Shift to the right.
    pub c: f64,
    /// Shift downwards.
    pub d: f64,
}

impl Similarity {
    /// The similarity that takes `from` to `to` with the least sum of squared distances.
    ///
    /// This is the optimum of Umeyama (1991, eqs. 40 to 42) with his treatment of reflections: a mirror image is
    /// answered by the best proper turn, never by a reflection. In the plane it has a closed form, without a singular
    /// value decomposition.
    ///
    /// # Errors
    /// [`DataError::Alignment`] when there are fewer than two points, the numbers of points differ, a coordinate is
    /// not finite, all points of one side coincide, or no turn is better than any other (mirrored sets).
    pub fn fit(from: &[Point], to: &[Point]) -> Result<Self, DataError> {
        let fail = |reason: String| Err(DataError::Alignment { reason });
        if from.len() < 2 || from.len() != to.len() {
            return fail(format!(
                "two or more points wanted on both sides, found {} and {}",
                from.len(),
                to.len()
            ));
        }
        if from.iter().chain(to).flatten().any(|v| !v.is_finite()) {
            return fail("a coordinate is not a finite number".into());
        }
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut along, mut across, mut from_spread, mut to_spread) = (0.0, 0.0, 0.0, 0.0);
        for (p, q) in from.iter().zip(to) {
            let [x, y] = [0, 1].map(|i| f64::from(p[i]) - from_mean[i]);
            let [u, v] = [0, 1].map(|i| f64::from(q[i]) - to_mean[i]);
            along += x * u + y * v;
            across += x * v - y * u;
            from_spread += x * x + y * y;
            to_spread += u * u + v * v;
        }
        let least = f64::from(f32::EPSILON).powi(2);
        let size = |mean: [f64; 2]| mean[0].powi(2) + mean[1].powi(2);
        if from_spread <= least * size(from_mean) || to_spread <= least * size(to_mean) {
            return fail("all points coincide".into());
        }
        if along.hypot(across) <= 1e-9 * (from_spread * to_spread).sqrt() {
            return fail("the points are mirrored: no turn brings them nearer".into());
        }
        let (a, b) = (along / from_spread, across / from_spread);
        let c = to_mean[0] - (a * from_mean[0] - b * from_mean[1]);
        let d = to_mean[1] - (b * from_mean[0] + a * from_mean[1]);
        Ok(Self { a, b, c, d })
    }

    /// Where a point goes.
    pub fn apply(&self, point: Point) -> Point {
        let [x, y] = point.map(f64::from);
        [(self.a * x - self.b * y + self.c) as f32, (self.b * x + self.a * y + self.d) as f32]
    }

    /// Enlargement.
    pub fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// The way back.
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, c: -(a * self.c - b * self.d), d: -(b * self.c + a * self.d) }
    }

    /// Root mean squared distance between where `from` goes and `to`, in pixels of the target.
    pub fn residual(&self, from: &[Point], to: &[Point]) -> f64 {
        let squares: f64 = from
            .iter()
            .zip(to)
            .map(|(p, q)| {
                let [x, y] = self.apply(*p);
                f64::from(x - q[0]).powi(2) + f64::from(y - q[1]).powi(2)
            })
            .sum();
        (squares / from.len().max(1) as f64).sqrt()
    }
}

fn mean(points: &[Point]) -> [f64; 2] {
    [0, 1].map(|i| points.iter().map(|p| f64::from(p[i])).sum::<f64>() / points.len() as f64)
}

/// The picture under a similarity, `width` x `height` pixels, bilinear; what comes from outside is black.
///
/// As in OpenCV's `warpAffine` with a constant border, pixels at the border are mixed with black, and a strong
/// reduction is not smoothed: that is what recognition networks were trained on.
pub fn warp(picture: &RgbImage, transform: &Similarity, width: u32, height: u32) -> RgbImage {
    let back = transform.inverse();
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        bilinear(picture, back.a * x - back.b * y + back.c, back.b * x + back.a * y + back.d)
    })
}

fn bilinear(picture: &RgbImage, x: f64, y: f64) -> Rgb<u8> {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = ((x - left) as f32, (y - top) as f32);
    let mut sum = [0f32; 3];
    for (dx, dy, weight) in [
        (0.0, 0.0, (1.0 - fx) * (1.0 - fy)),
        (1.0, 0.0, fx * (1.0 - fy)),
        (0.0, 1.0, (1.0 - fx) * fy),
        (1.0, 1.0, fx * fy),
    ] {
        let (x, y) = (left + dx, top + dy);
        // Comparing as numbers keeps far and undefined positions out.
        if x >= 0.0 && y >= 0.0 && x < f64::from(picture.width()) && y < f64::from(picture.height()) {
            let pixel = picture.get_pixel(x as u32, y as u32).0;
            for (total, value) in sum.iter_mut().zip(pixel) {
                *total += weight * f32::from(value);
            }
        }
    }
    Rgb(sum.map(|v| v.round().clamp(0.0, 255.0) as u8))
}

/// Cuts out a face, aligned by its five points, as a picture of `size` x `size` pixels.
///
/// # Errors
/// See [`Similarity::fit`]; [`DataError::Alignment`] when `size` is 0 or the picture has no pixels.
pub fn align_face(picture: &RgbImage, landmarks: &FivePoints, size: u32) -> Result<RgbImage, DataError> {
    if size == 0 || picture.width() == 0 || picture.height() == 0 {
        let reason = format!("{size} x {size} pixels of {} x {}", picture.width(), picture.height());
        return Err(DataError::Alignment { reason });
    }
    let transform = Similarity::fit(landmarks, &template(size))?;
    Ok(warp(picture, &transform, size, size))
}

/// The five points among the 68 of iBUG 300-W (also dlib's): means of the six points of each eye, nose tip (31 from 1),
/// outer corners of the mouth (49, 55).
pub fn from_68(points: &[Point; 68]) -> FivePoints {
    let centre = |range: std::ops::Range<usize>| mean(&points[range]).map(|v| v as f32);
    [centre(36..42), centre(42..48), points[30], points[48], points[54]]
}

/// The five points among the 98 of WFLW: pupils (97, 98 from 1), nose tip (55), outer corners of the mouth (77, 83).
pub fn from_98(points: &[Point; 98]) -> FivePoints {
    [points[96], points[97], points[54], points[76], points[82]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(p: Point, q: Point, tolerance: f32) -> bool {
        (p[0] - q[0]).abs() <= tolerance && (p[1] - q[1]).abs() <= tolerance
    }

    #[test]
    fn noisy_points_give_the_least_squares_transform() {
        let landmarks: FivePoints =
            [[120.0, 95.0], [171.0, 102.0], [141.0, 130.0], [118.0, 150.0], [160.0, 157.0]];
        let fitted = Similarity::fit(&landmarks, &template(112)).unwrap();
        let best = fitted.residual(&landmarks, &template(112));
        // No neighbour is better: the definition of the optimum.
        for (da, db) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)] {
            let centre = mean(&landmarks);
            let (a, b) = (fitted.a + da, fitted.b + db);
            let to = mean(&template(112));
            let c = to[0] - (a * centre[0] - b * centre[1]);
            let d = to[1] - (b * centre[0] + a * centre[1]);
            assert!(Similarity { a, b, c, d }.residual(&landmarks, &template(112)) > best);
        }
        for (dc, dd) in [(0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)] {
            let shifted = Similarity { c: fitted.c + dc, d: fitted.d + dd, ..fitted };
            assert!(shifted.residual(&landmarks, &template(112)) > best);
        }
    }

    proptest! {
        #[test]
        fn an_exact_similarity_is_found(
            angle in -3.1f64..3.1, scale in 0.05f64..20.0, c in -500.0f64..500.0, d in -500.0f64..500.0,
        ) {
            let truth = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), c, d };
            let from = template(112);
            let to = from.map(|p| truth.apply(p));
            let found = Similarity::fit(&from, &to).unwrap();
            prop_assert!((found.scale() - scale).abs() < 1e-4 * scale.max(1.0));
            prop_assert!(found.residual(&from, &to) < 1e-3 * scale.max(1.0));
            for p in from {
                prop_assert!(close(found.inverse().apply(found.apply(p)), p, 1e-2));
            }
        }
    }

    #[test]
    fn a_mirrored_set_is_never_answered_by_a_reflection() {
        let mirrored = template(112).map(|[x, y]| [112.0 - x, y]);
        let transform = Similarity::fit(&mirrored, &template(112)).unwrap();
        // The determinant a^2 + b^2 of a proper turn is positive by construction; the fit is poor instead.
        assert!(transform.residual(&mirrored, &template(112)) > 5.0);
        // Points on a square, mirrored: every turn is as bad.
        let square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        let swapped = [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
        assert!(Similarity::fit(&square, &swapped).is_err());
    }

    #[test]
    fn senseless_points_are_errors() {
        let good = template(112);
        let mut infinite = good;
        infinite[2][0] = f32::NAN;
        for bad in [[[5.0, 5.0]; 5], [[1e6, 1e6]; 5], infinite] {
            assert!(matches!(Similarity::fit(&bad, &good), Err(DataError::Alignment { .. })));
        }
        assert!(Similarity::fit(&good[..1], &good[..1]).is_err());
        assert!(Similarity::fit(&good, &good[..4]).is_err());
        assert!(align_face(&RgbImage::new(4, 4), &good, 0).is_err());
        assert!(align_face(&RgbImage::new(0, 4), &good, 112).is_err());
    }

    #[test]
    fn warping_moves_pixels_and_is_black_outside() {
        let picture = RgbImage::from_fn(6, 5, |x, y| Rgb([(40 * x) as u8, (50 * y) as u8, 200]));
        let identity = Similarity { a: 1.0, b: 0.0, c: 0.0, d: 0.0 };
        assert_eq!(warp(&picture, &identity, 6, 5), picture);
        let half = warp(&picture, &Similarity { c: 0.5, ..identity }, 6, 5);
        assert_eq!(half.get_pixel(2, 1).0, [60, 50, 200]);
        assert_eq!(half.get_pixel(0, 1).0, [0, 25, 100], "half black");
        let away = warp(&picture, &Similarity { c: 1e9, ..identity }, 3, 3);
        assert!(away.iter().all(|v| *v == 0));
    }

    #[test]
    fn an_aligned_face_has_its_points_in_place() {
        let mut photo = RgbImage::new(400, 300);
        let landmarks: FivePoints =
            template(112).map(|p| Similarity { a: 1.5, b: 0.4, c: 90.0, d: 30.0 }.apply(p));
        for [x, y] in landmarks {
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1), (-1, 0), (0, -1), (-1, -1)] {
                photo.put_pixel(
                    (x.round() as i32 + dx) as u32,
                    (y.round() as i32 + dy) as u32,
                    Rgb([255; 3]),
                );
            }
        }
        for size in [56, 112, 224] {
            let face = align_face(&photo, &landmarks, size).unwrap();
            for [x, y] in template(size) {
                assert!(face.get_pixel(x.round() as u32, y.round() as u32).0[0] > 100, "{size}: {x} {y}");
            }
        }
    }

    #[test]
    fn denser_landmarks_are_reduced_to_five() {
        let points: [Point; 68] = std::array::from_fn(|i| [i as f32, 2.0 * i as f32]);
        assert_eq!(from_68(&points), [[38.5, 77.0], [44.5, 89.0], [30.0, 60.0], [48.0, 96.0], [54.0, 108.0]]);
        let points: [Point; 98] = std::array::from_fn(|i| [i as f32, 0.0]);
        assert_eq!(from_98(&points).map(|p| p[0]), [96.0, 97.0, 54.0, 76.0, 82.0]);
    }
}

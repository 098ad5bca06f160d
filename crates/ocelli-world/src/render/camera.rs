//! The camera: an upright similarity from camera axes to the picture.

use super::geometry::Vec3;

/// An orthographic camera: scale, in-plane rotation and shift.
///
/// A point `(x, y, z)` in camera axes lands at `origin + (a x + b y, b x - a y)` with `a = scale·cos`,
/// `b = scale·sin` of the camera's own roll; its depth is `-scale·z`, in pixels, growing away from the viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    a: f32,
    b: f32,
    /// Length of `(a, b)`.
    scale: f32,
    origin: [f32; 2],
}

impl Camera {
    fn new(a: f32, b: f32, origin: [f32; 2]) -> Camera {
        Camera { a, b, scale: a.hypot(b), origin }
    }

    /// A level camera showing one unit as `pixels_per_unit`, with the axes' origin at `origin` (x, y in pixels).
    pub fn level(pixels_per_unit: f32, origin: [f32; 2]) -> Camera {
        Camera::new(pixels_per_unit, 0.0, origin)
    }

    /// The camera that brings `points` closest to `targets` (x, y in pixels) in the least-squares sense.
    ///
    /// This is the similarity that recognition pipelines warp a photograph with, applied before the picture is
    /// taken, so nothing is resampled. `None` where the points coincide.
    pub fn fit(points: &[Vec3], targets: &[[f32; 2]]) -> Option<Camera> {
        let n = points.len().min(targets.len()) as f32;
        let pairs = || points.iter().zip(targets);
        let (mut px, mut py, mut tx, mut ty) = (0.0, 0.0, 0.0, 0.0);
        for (p, t) in pairs() {
            (px, py, tx, ty) = (px + p.x / n, py + p.y / n, tx + t[0] / n, ty + t[1] / n);
        }
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for (p, t) in pairs() {
            let (x, y, u, v) = (p.x - px, p.y - py, t[0] - tx, t[1] - ty);
            along += x * u - y * v;
            across += y * u + x * v;
            spread += x * x + y * y;
        }
        if spread.is_nan() || spread <= 1e-9 {
            return None;
        }
        let (a, b) = (along / spread, across / spread);
        Some(Camera::new(a, b, [tx - a * px - b * py, ty - b * px + a * py]))
    }

    /// The same camera zoomed by `factor` about `centre` (pixels), then shifted by `shift` (pixels).
    pub fn adjusted(self, factor: f32, centre: [f32; 2], shift: [f32; 2]) -> Camera {
        let move_axis = |i: usize| (self.origin[i] - centre[i]) * factor + centre[i] + shift[i];
        Camera::new(self.a * factor, self.b * factor, [move_axis(0), move_axis(1)])
    }

    /// Pixels per unit.
    pub fn pixels_per_unit(&self) -> f32 {
        self.scale
    }

    /// Projects a point in camera axes: x and y in picture pixels, then depth in pixels.
    pub fn project(&self, p: Vec3) -> [f32; 3] {
        [
            self.origin[0] + self.a * p.x + self.b * p.y,
            self.origin[1] + self.b * p.x - self.a * p.y,
            -self.scale * p.z,
        ]
    }

    /// The camera-axes x and y seen at a picture position (pixels).
    pub fn unproject(&self, at: [f32; 2]) -> [f32; 2] {
        let s2 = self.a * self.a + self.b * self.b;
        let (u, v) = (at[0] - self.origin[0], at[1] - self.origin[1]);
        [(self.a * u + self.b * v) / s2, (self.b * u - self.a * v) / s2]
    }

    /// Turns a direction from camera axes into the picture's axes: x right, y up, z towards the viewer.
    pub fn direction(&self, v: Vec3) -> Vec3 {
        let (cos, sin) = (self.a / self.scale, self.b / self.scale);
        Vec3 { x: cos * v.x + sin * v.y, y: cos * v.y - sin * v.x, z: v.z }
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::vec3;
    use super::*;

    #[test]
    fn fit_recovers_a_similarity() {
        let truth = Camera::new(50.0, 12.0, [31.0, 44.0]);
        let points = [vec3(-0.3, 0.1, 0.0), vec3(0.4, 0.0, 0.5), vec3(0.1, -0.6, 1.0)];
        let targets = points.map(|p| [truth.project(p)[0], truth.project(p)[1]]);
        let found = Camera::fit(&points, &targets).unwrap();
        assert!((found.a - truth.a).abs() < 1e-3 && (found.b - truth.b).abs() < 1e-3, "{found:?}");
        for (p, t) in points.iter().zip(targets) {
            let q = found.project(*p);
            assert!((q[0] - t[0]).abs() < 1e-3 && (q[1] - t[1]).abs() < 1e-3);
            let back = found.unproject(t);
            assert!((back[0] - p.x).abs() < 1e-4 && (back[1] - p.y).abs() < 1e-4);
        }
        assert!(Camera::fit(&[points[0]; 3], &targets).is_none());
    }
}

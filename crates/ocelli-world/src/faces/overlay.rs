//! What is in front of the head: glasses that turn with it, and objects held before the camera.

use super::anatomy::Anatomy;
use super::shot::{Eyewear, Obstacle, Occlusion};
use crate::render::camera::Camera;
use crate::render::geometry::{Rgb, Rotation, Vec3, coverage, lerp, mix, scale, smoothstep, vec3};
use crate::render::light::{Lighting, Material};

/// What an overlay does to a pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub(super) colour: Rgb,
    pub(super) alpha: f32,
    /// Depth in pixels.
    pub(super) depth: f32,
    pub(super) normal: Vec3,
}

/// Glasses: two lenses in a plane before the eyes, and two temples beside the head.
pub(super) struct Glasses {
    rotation: Rotation,
    camera: Camera,
    dark: bool,
    colour: Rgb,
    centre: [f32; 2],
    half: [f32; 2],
    plane: f32,
    side: f32,
    pixel: f32,
}

impl Glasses {
    pub(super) fn new(
        a: &Anatomy,
        occlusion: &Occlusion,
        rotation: Rotation,
        camera: Camera,
    ) -> Option<Glasses> {
        if occlusion.eyewear == Eyewear::None {
            return None;
        }
        let bridge = a.surface(0.0, a.eyes.y + 0.02).z;
        let dark = occlusion.eyewear == Eyewear::Sunglasses;
        Some(Glasses {
            rotation,
            camera,
            dark,
            colour: scale(occlusion.colour, 0.3),
            centre: [a.eyes.x + 0.01, a.eyes.y - 0.03],
            half: if dark { [0.255, 0.19] } else { [0.235, 0.165] },
            plane: bridge.max(a.surface(a.eyes.x, a.brows.y).z) + 0.05,
            side: a.row_at(a.eyes.y).width + 0.03,
            pixel: 1.0 / camera.pixels_per_unit(),
        })
    }

    /// Calls `visit` with the layers of the glasses at a picture position.
    pub(super) fn layers(&self, at: [f32; 2], mut visit: impl FnMut(Layer)) {
        let [x, y] = self.camera.unproject(at);
        if let Some((p, z)) = self.hit(vec3(0.0, 0.0, 1.0), self.plane, x, y) {
            self.emit(self.front(p), z, vec3(0.0, 0.0, 1.0), &mut visit);
        }
        for sign in [-1.0, 1.0] {
            let outward = vec3(sign, 0.0, 0.0);
            if let Some((p, z)) = self.hit(outward, self.side, x, y) {
                self.emit(self.temple(p), z, outward, &mut visit);
            }
        }
    }

    fn emit(&self, (colour, alpha): (Rgb, f32), z: f32, outward: Vec3, visit: &mut impl FnMut(Layer)) {
        if alpha > 0.0 {
            let depth = -z * self.camera.pixels_per_unit();
            let normal = self.camera.direction(self.rotation.apply(outward));
            visit(Layer { colour, alpha, depth, normal });
        }
    }

    /// Where the view through `(x, y)` meets the plane at distance `offset` along `axis`: the point in head axes
    /// and its camera z. Planes seen edge-on or from behind are not met.
    fn hit(&self, axis: Vec3, offset: f32, x: f32, y: f32) -> Option<(Vec3, f32)> {
        let facing = self.rotation.apply(axis);
        if facing.z < 0.03 {
            return None;
        }
        let z = (offset - facing.x * x - facing.y * y) / facing.z;
        Some((self.rotation.invert(vec3(x, y, z)), z))
    }

    fn front(&self, p: Vec3) -> (Rgb, f32) {
        let (u, v) = (p.x.abs() - self.centre[0], p.y - self.centre[1]);
        if u.abs() > self.half[0] + 0.1 + self.centre[0] || v.abs() > self.half[1] + 0.1 {
            return ([0.0; 3], 0.0);
        }
        // A rounded rectangle, wider above.
        let round = 0.10;
        let (qx, qy) = (u.abs() - self.half[0] * (1.0 + 0.3 * v) + round, v.abs() - self.half[1] + round);
        let lens = qx.max(0.0).hypot(qy.max(0.0)) + qx.max(qy).min(0.0) - round;
        let frame = coverage(lens.abs() - 0.017, self.pixel);
        let between = p.x.abs() < self.centre[0] - self.half[0] + 0.02;
        let bridge = if between { coverage((v - 0.05).abs() - 0.014, self.pixel) } else { 0.0 };
        let hinge = if u > self.half[0] { coverage((v - 0.08).abs() - 0.014, self.pixel) } else { 0.0 };
        let hinge = if p.x.abs() < self.side { hinge } else { 0.0 };
        let rim = frame.max(bridge).max(hinge);
        let glass = if self.dark { 0.94 } else { 0.06 } * coverage(lens, self.pixel);
        let reflection = if self.dark { lerp(0.01, 0.06, smoothstep(-0.2, 0.2, v)) } else { 0.8 };
        (mix([reflection; 3], self.colour, rim), rim.max(glass))
    }

    fn temple(&self, p: Vec3) -> (Rgb, f32) {
        if p.z > self.plane || p.z < -0.12 {
            return ([0.0; 3], 0.0);
        }
        let height = self.centre[1] + 0.08;
        (self.colour, coverage((p.y - height).abs() - if self.dark { 0.024 } else { 0.014 }, self.pixel))
    }
}

/// Paints an obstacle at a place of the picture (shares of its side): its light and how much it covers.
pub(super) fn obstacle(o: &Obstacle, at: [f32; 2], pixel: f32, lighting: &Lighting) -> Option<(Rgb, f32)> {
    match *o {
        Obstacle::Rectangle { centre, size, colour } => {
            let d =
                (0..2).map(|i| (at[i] - centre[i]).abs() - 0.5 * size[i]).fold(f32::NEG_INFINITY, f32::max);
            let alpha = coverage(d, pixel);
            let matt = Material { albedo: colour, gloss: 0.0, polish: 4 };
            (alpha > 0.0).then(|| (lighting.shade(&matt, vec3(0.0, 0.0, 1.0), 1.0), alpha))
        }
        Obstacle::Hand { centre, size, angle, colour } => {
            hand(centre, size, angle, at, pixel).map(|(normal, alpha)| {
                let skin = Material { albedo: colour, gloss: 0.04, polish: 4 };
                (lighting.shade(&skin, normal, 0.85), alpha)
            })
        }
    }
}

/// Bones of a hand, as capsules in palm widths: both ends and the radius. The fingers point up.
const HAND: [([f32; 2], [f32; 2], f32); 8] = [
    ([-0.36, -0.35], [-0.44, -1.10], 0.12),
    ([-0.12, -0.40], [-0.14, -1.28], 0.125),
    ([0.12, -0.40], [0.16, -1.22], 0.12),
    ([0.35, -0.30], [0.44, -0.95], 0.105),
    ([-0.40, 0.25], [-0.82, -0.35], 0.13),
    ([-0.24, -0.15], [-0.20, 0.45], 0.28),
    ([0.22, -0.12], [0.18, 0.45], 0.28),
    ([0.0, 0.5], [0.0, 1.6], 0.30),
];

/// Normal and coverage of a hand at a place.
fn hand(centre: [f32; 2], size: f32, angle: f32, at: [f32; 2], pixel: f32) -> Option<(Vec3, f32)> {
    let size = size.max(1e-3);
    let (sin, cos) = angle.to_radians().sin_cos();
    let (dx, dy) = ((at[0] - centre[0]) / size, (at[1] - centre[1]) / size);
    let p = [dx * cos + dy * sin, dy * cos - dx * sin];
    let mut nearest = (f32::INFINITY, [0.0; 2], 1.0);
    for (a, b, radius) in HAND {
        let (ab, ap) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
        let t = ((ap[0] * ab[0] + ap[1] * ab[1]) / (ab[0] * ab[0] + ab[1] * ab[1])).clamp(0.0, 1.0);
        let away = [ap[0] - ab[0] * t, ap[1] - ab[1] * t];
        let d = away[0].hypot(away[1]) - radius;
        if d < nearest.0 {
            nearest = (d, away, radius);
        }
    }
    let (d, away, radius) = nearest;
    let alpha = coverage(d, pixel / size);
    if alpha <= 0.0 {
        return None;
    }
    let (nx, ny) = (away[0] / radius, away[1] / radius);
    let (nx, ny) = (nx * cos - ny * sin, nx * sin + ny * cos);
    let nz = (1.0 - nx * nx - ny * ny).max(0.04).sqrt();
    Some((vec3(nx, -ny, nz).unit(), alpha))
}

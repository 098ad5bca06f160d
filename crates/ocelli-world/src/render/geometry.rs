//! Vectors, rotations and the few scalar functions that shading is made of.

use std::ops::{Add, Mul, Neg, Sub};

/// A vector of three, right-handed: x right, y up, z towards the viewer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vec3 {
    /// To the right.
    pub x: f32,
    /// Up.
    pub y: f32,
    /// Towards the viewer.
    pub z: f32,
}

/// Shorthand for a [`Vec3`].
#[inline]
pub const fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    /// Inner product.
    #[inline]
    pub fn dot(self, other: Vec3) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    /// Cross product, right-handed.
    #[inline]
    pub fn cross(self, other: Vec3) -> Vec3 {
        vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )
    }

    /// Euclidean length.
    #[inline]
    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The vector at length one; a vector without a direction becomes `(0, 0, 1)`.
    #[inline]
    pub fn unit(self) -> Vec3 {
        let length = self.length();
        if length > 1e-12 { self * (1.0 / length) } else { vec3(0.0, 0.0, 1.0) }
    }
}

impl Add for Vec3 {
    type Output = Vec3;
    #[inline]
    fn add(self, o: Vec3) -> Vec3 {
        vec3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for Vec3 {
    type Output = Vec3;
    #[inline]
    fn sub(self, o: Vec3) -> Vec3 {
        vec3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Vec3;
    #[inline]
    fn mul(self, k: f32) -> Vec3 {
        vec3(self.x * k, self.y * k, self.z * k)
    }
}

impl Neg for Vec3 {
    type Output = Vec3;
    #[inline]
    fn neg(self) -> Vec3 {
        vec3(-self.x, -self.y, -self.z)
    }
}

/// A rotation, stored as the rows of its matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    rows: [Vec3; 3],
}

impl Rotation {
    /// The rotation of a head that turns by `yaw` (positive: towards the right of the picture), then nods by
    /// `pitch` (positive: upwards), then tilts by `roll` (positive: clockwise in the picture); degrees.
    pub fn from_degrees(yaw: f32, pitch: f32, roll: f32) -> Rotation {
        let (sy, cy) = yaw.to_radians().sin_cos();
        let (sp, cp) = pitch.to_radians().sin_cos();
        let (sr, cr) = (-roll).to_radians().sin_cos();
        // Yaw is innermost: a turned head nods about the camera's horizontal axis.
        let turned = [vec3(cy, 0.0, sy), vec3(0.0, 1.0, 0.0), vec3(-sy, 0.0, cy)];
        let nodded = [turned[0], turned[1] * cp + turned[2] * sp, turned[2] * cp - turned[1] * sp];
        Rotation { rows: [nodded[0] * cr - nodded[1] * sr, nodded[0] * sr + nodded[1] * cr, nodded[2]] }
    }

    /// Rotates a vector.
    #[inline]
    pub fn apply(&self, v: Vec3) -> Vec3 {
        vec3(self.rows[0].dot(v), self.rows[1].dot(v), self.rows[2].dot(v))
    }

    /// Rotates a vector back.
    #[inline]
    pub fn invert(&self, v: Vec3) -> Vec3 {
        self.rows[0] * v.x + self.rows[1] * v.y + self.rows[2] * v.z
    }
}

/// A colour as three linear intensities: red, green, blue.
pub type Rgb = [f32; 3];

/// `a` at `t = 0`, `b` at `t = 1`.
#[inline]
pub fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Mixes two colours.
#[inline]
pub fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [lerp(a[0], b[0], t), lerp(a[1], b[1], t), lerp(a[2], b[2], t)]
}

/// Scales a colour.
#[inline]
pub fn scale(a: Rgb, k: f32) -> Rgb {
    [a[0] * k, a[1] * k, a[2] * k]
}

/// Adds two lights.
#[inline]
pub fn add(a: Rgb, b: Rgb) -> Rgb {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// `v`, or 0 where it is negative or not a number: one instruction, unlike `max`.
#[inline]
pub fn positive(v: f32) -> f32 {
    if v > 0.0 { v } else { 0.0 }
}

/// Rises smoothly from 0 at `low` to 1 at `high`.
#[inline]
pub fn smoothstep(low: f32, high: f32, v: f32) -> f32 {
    // With constant edges the reciprocal is computed by the compiler.
    let t = ((v - low) * (1.0 / (high - low))).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The share of a pixel inside a shape, from the signed distance `d` to its edge (negative inside) and the
/// pixel's width, in the same unit.
#[inline]
pub fn coverage(d: f32, pixel: f32) -> f32 {
    (0.5 - d / pixel).clamp(0.0, 1.0)
}

/// A smooth bump of height 1 at squared radius 0, exactly 0 from squared radius 1 on: `(1 - r²)³`.
///
/// It stands in for a Gaussian of standard deviation about 0.37, without the exponential and without a tail.
#[inline]
pub fn bump(r2: f32) -> f32 {
    let t = positive(1.0 - r2);
    t * t * t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_turn_the_way_they_say() {
        let nose = vec3(0.0, 0.0, 1.0);
        assert!(Rotation::from_degrees(30.0, 0.0, 0.0).apply(nose).x > 0.4);
        assert!(Rotation::from_degrees(0.0, 30.0, 0.0).apply(nose).y > 0.4);
        let right_ear = vec3(1.0, 0.0, 0.0);
        assert!(Rotation::from_degrees(0.0, 0.0, 30.0).apply(right_ear).y < -0.4);
    }

    #[test]
    fn rotations_keep_lengths_and_invert() {
        let r = Rotation::from_degrees(50.0, -20.0, 10.0);
        let v = vec3(0.3, -0.4, 1.2);
        assert!((r.apply(v).length() - v.length()).abs() < 1e-5);
        assert!((r.invert(r.apply(v)) - v).length() < 1e-5);
        let (x, y) = (r.apply(vec3(1.0, 0.0, 0.0)), r.apply(vec3(0.0, 1.0, 0.0)));
        assert!((x.cross(y) - r.apply(vec3(0.0, 0.0, 1.0))).length() < 1e-5, "not a proper rotation");
    }
}

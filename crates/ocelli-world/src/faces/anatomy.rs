//! The shape of a head: a closed-form surface from a person's traits and an expression.
//!
//! Head axes: x to the viewer's right at frontal pose, y up, z forward; the origin lies between the ears at the
//! height of the eyes; one unit is about 10 cm. Horizontal sections are egg-shaped (`Row`); the features of the
//! face are bumps added forwards. Since the surface is closed form, a landmark is a point *on* it, not an estimate.

use super::identity::Identity;
use super::shot::Expression;
use crate::render::geometry::{Vec3, bump, lerp, smoothstep, vec3};

/// A horizontal section of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) y: f32,
    /// Half width.
    pub(super) width: f32,
    /// Foremost z, without features.
    pub(super) front: f32,
    /// Hindmost z.
    pub(super) back: f32,
}

impl Row {
    /// z of the widest point.
    pub(super) fn middle(&self) -> f32 {
        lerp(self.back, self.front, 0.47)
    }
}

/// Eyes; `x` and widths are of the right one in the picture, the other is its mirror image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eyes {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) half_width: f32,
    pub(super) upper: f32,
    pub(super) lower: f32,
    pub(super) tilt: f32,
    pub(super) iris: f32,
    pub(super) gaze: [f32; 2],
}

impl Eyes {
    /// Heights of the lower and the upper lid at `t`, from -1 (inner corner) to 1 (outer corner).
    pub(super) fn lids(&self, t: f32) -> (f32, f32) {
        let arc = (1.0 - t * t).max(0.0);
        let base = self.y + self.tilt * t;
        (base - self.lower * arc, base + self.upper * arc * (1.0 - 0.18 * t))
    }
}

/// Brows, mirrored like the eyes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brows {
    pub(super) inner: f32,
    pub(super) outer: f32,
    pub(super) y: f32,
    pub(super) arch: f32,
    pub(super) slope: f32,
    pub(super) thickness: f32,
}

impl Brows {
    /// Height of the middle line and half thickness at `t`, from 0 (inner end) to 1 (outer end).
    pub(super) fn line(&self, t: f32) -> (f32, f32) {
        // The highest point lies in the outer half.
        let rise = t * t * (1.0 - t) * 6.75;
        let taper = (1.0 - 0.65 * t) * smoothstep(-0.15, 0.2, t);
        (self.y + self.slope * t + self.arch * rise, self.thickness * taper)
    }
}

/// The nose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nose {
    pub(super) top: f32,
    pub(super) tip: f32,
    pub(super) base: f32,
    pub(super) half_width: f32,
    bridge: f32,
    height: f32,
    roundness: f32,
    skew: f32,
}

impl Nose {
    /// Sideways position of the ridge at height `y`.
    pub(super) fn ridge_x(&self, y: f32) -> f32 {
        self.skew * ((self.top - y) / (self.top - self.tip)).clamp(0.0, 1.0)
    }

    /// Half width of the visible nose at height `y`.
    pub(super) fn half_width_at(&self, y: f32) -> f32 {
        let t = ((self.top - y) / (self.top - self.base)).clamp(0.0, 1.0);
        lerp(0.5 * self.half_width, self.half_width, t * t)
    }

    fn relief(&self, x: f32, y: f32) -> f32 {
        if y > self.top + 0.1 || y < self.base - 0.12 || x.abs() > 0.4 {
            return 0.0;
        }
        let x = x - self.ridge_x(y);
        let along = (self.top - y) / (self.top - self.tip);
        let rise = if along <= 1.0 {
            let t = along.max(0.0);
            smoothstep(-0.25, 0.3, along) * self.bridge + (self.height - self.bridge) * t * (0.55 + 0.45 * t)
        } else {
            // Below the tip the nose ends within the columella.
            let t = ((y - self.base + 0.03) / (self.tip - self.base + 0.03)).clamp(0.0, 1.0);
            self.height * t.sqrt()
        };
        let width = self.half_width * lerp(0.75, 1.0, along.clamp(0.0, 1.0));
        let ridge = rise * bump(x * x / (width * width * 1.6));
        let (tx, ty) = (x / (0.12 * self.roundness), (y - self.tip) / (0.13 * self.roundness));
        let wing = (x.abs() - 0.72 * self.half_width) / (0.45 * self.half_width);
        let wing_y = (y - self.base - 0.055) / 0.085;
        ridge + 0.05 * self.roundness * bump(tx * tx + ty * ty) + 0.085 * bump(wing * wing + wing_y * wing_y)
    }
}

/// The mouth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mouth {
    pub(super) y: f32,
    pub(super) half_width: f32,
    pub(super) upper: f32,
    pub(super) lower: f32,
    pub(super) corner_lift: f32,
    pub(super) open: f32,
}

/// Edges of the lips at one place, from top to bottom.
#[derive(Clone, Copy, Debug)]
pub(super) struct LipEdges {
    pub(super) top: f32,
    pub(super) inner_top: f32,
    pub(super) inner_bottom: f32,
    pub(super) bottom: f32,
}

impl Mouth {
    /// Edges of the lips at `t`, from -1 to 1 between the corners.
    pub(super) fn edges(&self, t: f32) -> LipEdges {
        let t2 = t * t;
        let arc = (1.0 - t2).max(0.0);
        let middle = self.y + self.corner_lift * t2;
        let dip = 1.0 - 0.28 * bump(t2 / 0.09);
        let inner_top = middle + 0.03 * self.open * arc;
        let inner_bottom = middle - 0.24 * self.open * arc;
        LipEdges {
            top: inner_top + self.upper * (1.0 - t.abs().min(1.0).powi(2)) * dip,
            inner_top,
            inner_bottom,
            bottom: inner_bottom - self.lower * arc,
        }
    }
}

/// A bump of the surface, mirrored on both sides of the face.
#[derive(Clone, Copy, Debug)]
struct Swelling {
    centre: [f32; 2],
    /// Inverse radii.
    inverse: [f32; 2],
    height: f32,
}

/// One head with one expression.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    pub(super) rows: Vec<Row>,
    pub(super) eyes: Eyes,
    pub(super) brows: Brows,
    pub(super) nose: Nose,
    pub(super) mouth: Mouth,
    pub(super) chin: f32,
    pub(super) ear_size: f32,
    pub(super) ear_flare: f32,
    pub(super) neck: f32,
    swellings: Vec<Swelling>,
    power: f32,
}

/// Rows of the head's mesh.
pub(super) const ROWS: usize = 42;

impl Anatomy {
    pub(super) fn new(identity: &Identity, expression: &Expression) -> Anatomy {
        let t = &super::looks::held(identity).traits;
        let e = expression;
        let male = 0.5 * t.masculinity;
        let smile = e.smile.clamp(-1.0, 1.0);
        let open = e.mouth_open.clamp(0.0, 1.0);
        let closure = 1.0 - e.eye_closure.clamp(0.0, 1.0);
        let squint = 1.0 - 0.25 * smile.max(0.0);

        let eye_y = 0.02 * t.eye_height;
        let eyes = Eyes {
            x: 0.325 * (1.0 + 0.062 * t.eye_spacing),
            y: eye_y,
            half_width: 0.152 * (1.0 + 0.07 * t.eye_width),
            upper: 0.070 * (1.0 + 0.17 * t.eye_openness - 0.07 * male).max(0.35) * closure * squint,
            lower: 0.042 * (1.0 + 0.10 * t.eye_openness).max(0.4) * (0.15 + 0.85 * closure) * squint,
            tilt: 0.006 + 0.017 * t.eye_tilt,
            iris: 0.064,
            gaze: e.gaze.map(|g| g.clamp(-1.0, 1.0)),
        };
        let raise = e.brow_raise.clamp(-1.0, 1.0);
        let brows = Brows {
            inner: 0.115 * (1.0 + 0.12 * t.eye_spacing).max(0.5) - 0.015 * (-raise).max(0.0),
            outer: 0.50 + 0.025 * t.brow_length + 0.02 * t.eye_spacing,
            y: eye_y + 0.165 + 0.026 * t.brow_height - 0.02 * male + 0.06 * raise,
            arch: 0.035 + 0.020 * t.brow_arch - 0.008 * male,
            slope: 0.010 + 0.020 * t.brow_slope + 0.03 * (-raise).max(0.0),
            thickness: (0.030 + 0.009 * t.brow_thickness + 0.006 * male).max(0.008),
        };
        let nose_tip = eye_y - 0.375 - 0.036 * t.nose_length;
        let nose = Nose {
            top: eye_y + 0.10,
            tip: nose_tip,
            base: nose_tip - 0.085,
            half_width: (0.165 * (1.0 + 0.13 * t.nose_width + 0.03 * male)).max(0.08),
            bridge: (0.075 + 0.028 * t.nose_bridge).max(0.01),
            height: (0.195 + 0.030 * t.nose_projection + 0.01 * male).max(0.10),
            roundness: (1.0 + 0.15 * t.nose_tip).max(0.5),
            skew: 0.008 * t.nose_skew,
        };
        let mouth = Mouth {
            y: nose.base - 0.255 - 0.022 * t.mouth_height + 0.01 * smile,
            half_width: (0.262 * (1.0 + 0.085 * t.mouth_width)) * (1.0 + 0.16 * smile - 0.10 * open),
            upper: (0.050 * (1.0 + 0.26 * t.upper_lip - 0.10 * t.age - 0.08 * male)).max(0.015)
                * (1.0 - 0.2 * smile.max(0.0)),
            lower: (0.070 * (1.0 + 0.22 * t.lower_lip - 0.08 * t.age)).max(0.02)
                * (1.0 - 0.15 * smile.max(0.0)),
            corner_lift: 0.010 * t.mouth_curve + 0.075 * smile,
            open,
        };
        let drop = 0.19 * open;
        let chin = mouth.y - 0.44 - 0.035 * t.chin_length - 0.03 * male - drop;
        let mut anatomy = Anatomy {
            rows: Vec::new(),
            eyes,
            brows,
            nose,
            mouth,
            chin,
            ear_size: (1.0 + 0.09 * t.ear_size).max(0.6),
            ear_flare: (0.32 + 0.13 * t.ear_flare).clamp(0.02, 0.9),
            neck: (0.43 + 0.02 * t.masculinity + 0.01 * t.cheek_fullness).clamp(0.33, 0.55),
            swellings: Vec::with_capacity(14),
            power: (2.25 + 0.12 * t.flatness).clamp(1.9, 2.8),
        };
        anatomy.rows = anatomy.sections(identity);
        anatomy.swellings = anatomy.features(identity, smile);
        anatomy
    }

    /// The outline: knots of the silhouette, then rows interpolated through them.
    fn sections(&self, identity: &Identity) -> Vec<Row> {
        let t = &super::looks::held(identity).traits;
        let male = 0.5 * t.masculinity;
        let (chin, mouth) = (self.chin, self.mouth.y);
        let tall = 1.0 + 0.035 * t.head_height;
        let deep = 1.0 + 0.04 * t.head_depth;
        let skull = 0.745 * (1.0 + 0.035 * t.head_width);
        let zygoma =
            0.705 * (1.0 + 0.035 * t.head_width + 0.028 * t.cheekbone_width + 0.012 * t.cheek_fullness);
        let jaw =
            0.575 * (1.0 + 0.03 * t.head_width + 0.055 * t.jaw_width + 0.02 * t.cheek_fullness + 0.03 * male);
        let square = 1.0 + 0.05 * t.jaw_squareness + 0.03 * male;
        let chin_width = 0.29 * (1.0 + 0.13 * t.chin_width + 0.05 * male) * square;
        let face = 0.865 - 0.012 * t.flatness;
        let chin_front = 0.825 + 0.03 * t.chin_projection;
        let knots = [
            (1.24 * tall, 0.0, -0.12, -0.12),
            (1.19 * tall, 0.33 * skull / 0.745, 0.24, -0.48 * deep),
            (1.00 * tall, 0.60 * skull / 0.745, 0.56, -0.80 * deep),
            (0.72 * tall, 0.71 * skull / 0.745, 0.78, -0.96 * deep),
            (0.40, skull, 0.87, -1.02 * deep),
            (0.14, 0.5 * (skull + zygoma) + 0.01, 0.875, -deep),
            (-0.14, zygoma, face, -0.93 * deep),
            (-0.38, lerp(zygoma, jaw, 0.22), face, -0.80 * deep),
            (lerp(-0.38, mouth, 0.8), lerp(zygoma, jaw, 0.75), face + 0.005, -0.55),
            (lerp(mouth, chin, 0.36), jaw * 0.885 * square.min(1.12), face - 0.02, -0.18),
            (lerp(mouth, chin, 0.72), lerp(jaw, chin_width, 0.66) * square, chin_front, 0.16),
            (lerp(mouth, chin, 0.94), 0.70 * chin_width * square, chin_front - 0.05, 0.40),
            (chin, 0.0, 0.62, 0.62),
        ];
        (0..ROWS).map(|i| section(&knots, i as f32 / (ROWS - 1) as f32)).collect()
    }

    fn features(&self, identity: &Identity, smile: f32) -> Vec<Swelling> {
        let t = &super::looks::held(identity).traits;
        let (e, m) = (&self.eyes, &self.mouth);
        let mut list = Vec::with_capacity(14);
        let mut add = |x: f32, y: f32, rx: f32, ry: f32, height: f32| {
            list.push(Swelling { centre: [x, y], inverse: [1.0 / rx, 1.0 / ry], height });
        };
        let old = t.age.max(0.0);
        let happy = smile.max(0.0);
        add(0.26, e.y + 0.17, 0.34, 0.15, 0.035 + 0.016 * t.brow_ridge + 0.012 * t.masculinity);
        add(0.0, 0.58, 0.6, 0.4, 0.03);
        add(e.x - 0.01, e.y + 0.01, 0.26, 0.19, -0.105 - 0.02 * t.eye_depth);
        add(e.x, e.y, 0.16, 0.12, 0.05);
        add(0.45, -0.23 + 0.05 * happy, 0.30, 0.25, 0.06 + 0.022 * t.cheekbone_width + 0.05 * happy);
        add(0.44, -0.5, 0.27, 0.3, -0.015 + 0.04 * t.cheek_fullness - 0.015 * old);
        add(0.0, m.y + 0.02, 0.42, 0.33, 0.075);
        add(0.10, m.y + 0.5 * m.upper, 0.26, m.upper + 0.045, 0.020 + 0.006 * t.upper_lip);
        let lower = m.edges(0.0).inner_bottom;
        add(0.06, lower - 0.5 * m.lower, 0.24, m.lower + 0.04, 0.026 + 0.007 * t.lower_lip);
        add(0.0, lower - m.lower - 0.07, 0.22, 0.07, -0.035);
        add(0.0, self.chin + 0.17, 0.24, 0.18, 0.07 + 0.03 * t.chin_projection);
        add(0.62, 0.25, 0.25, 0.25, -0.02);
        add(m.half_width + 0.03, m.y + m.corner_lift, 0.10, 0.09, -0.02 - 0.02 * happy);
        list
    }

    /// The section at height `y`, as the mesh has it.
    pub(super) fn row_at(&self, y: f32) -> Row {
        let after = self.rows.partition_point(|r| r.y > y).clamp(1, self.rows.len() - 1);
        let (a, b) = (&self.rows[after - 1], &self.rows[after]);
        mix_rows(a, b, ((a.y - y) / (a.y - b.y).max(1e-6)).clamp(0.0, 1.0))
    }

    /// How much of the section's depth remains at a share `s` of its half width: 1 in the middle, 0 at the side.
    pub(super) fn section_depth(&self, s: f32) -> f32 {
        (1.0 - s.abs().min(1.0).powf(self.power)).max(0.0).sqrt()
    }

    /// z of the features' relief at a place of the face, before fading towards the side.
    pub(super) fn relief(&self, x: f32, y: f32) -> f32 {
        let side = x.abs();
        let mut z = self.nose.relief(x, y);
        for s in &self.swellings {
            let (u, v) = ((side - s.centre[0]) * s.inverse[0], (y - s.centre[1]) * s.inverse[1]);
            let r2 = u * u + v * v;
            if r2 < 1.0 {
                z += s.height * bump(r2);
            }
        }
        z
    }

    /// A point on the front half of a section, at a share `s` of its half width whose depth is `d`.
    pub(super) fn front_of(&self, row: &Row, s: f32, d: f32) -> Vec3 {
        let x = row.width * s;
        // Relief fades out towards the sides, where "forwards" would lie along the surface.
        let fade = smoothstep(0.0, 0.45, d);
        vec3(x, row.y, row.middle() + (row.front - row.middle()) * d + self.relief(x, row.y) * fade)
    }

    /// The point of the face's surface at `(x, y)`; places beyond the outline are moved onto it.
    pub(super) fn surface(&self, x: f32, y: f32) -> Vec3 {
        let row = self.row_at(y.clamp(self.chin, self.rows[0].y));
        let s = (x / row.width.max(1e-4)).clamp(-1.0, 1.0);
        self.front_of(&row, s, self.section_depth(s))
    }
}

type Knot = (f32, f32, f32, f32);

/// Catmull–Rom through the knots at `t` in `[0, 1]`, with rows denser over the face than over the skull.
fn section(knots: &[Knot], t: f32) -> Row {
    let u = t * (knots.len() - 1) as f32;
    let i = (u as usize).min(knots.len() - 2);
    let f = u - i as f32;
    let at = |k: usize| knots[k.min(knots.len() - 1)];
    let (p0, p1, p2, p3) = (at(i.saturating_sub(1)), at(i), at(i + 1), at(i + 2));
    let spline = |a: f32, b: f32, c: f32, d: f32| {
        b + 0.5 * f * (c - a + f * (2.0 * a - 5.0 * b + 4.0 * c - d + f * (3.0 * (b - c) + d - a)))
    };
    Row {
        y: lerp(p1.0, p2.0, f),
        width: spline(p0.1, p1.1, p2.1, p3.1).max(0.0),
        front: spline(p0.2, p1.2, p2.2, p3.2),
        back: spline(p0.3, p1.3, p2.3, p3.3),
    }
}

fn mix_rows(a: &Row, b: &Row, t: f32) -> Row {
    Row {
        y: lerp(a.y, b.y, t),
        width: lerp(a.width, b.width, t),
        front: lerp(a.front, b.front, t),
        back: lerp(a.back, b.back, t),
    }
}

//! Painting: what each point of the subject is made of.

use super::anatomy::Anatomy;
use super::hair::scalp;
use super::head::{Object, hat_edge, mask_inside};
use super::looks::Looks;
use super::part::Part;
use super::shot::{Covering, Occlusion};
use crate::render::geometry::{Rgb, Vec3, bump, coverage, mix, scale, smoothstep};
use crate::render::light::Material;
use crate::render::noise::value;

/// A painted point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) albedo: Rgb,
    pub(super) gloss: f32,
    pub(super) polish: u32,
    pub(super) part: Part,
    /// Share of the surroundings that the point sees.
    pub(super) openness: f32,
}

impl Paint {
    pub(super) fn new(albedo: Rgb, part: Part) -> Paint {
        Paint { albedo, gloss: 0.0, polish: 4, part, openness: 1.0 }
    }

    /// Lays a colour over the point; it becomes `part` where the colour covers half of it.
    pub(super) fn cover(&mut self, colour: Rgb, alpha: f32, part: Part) {
        self.tint(colour, alpha);
        if alpha > 0.5 {
            self.part = part;
        }
    }

    /// Lays a colour over the point without changing what it is.
    pub(super) fn tint(&mut self, colour: Rgb, alpha: f32) {
        self.albedo = mix(self.albedo, colour, alpha);
    }

    /// Darkens the point.
    pub(super) fn darken(&mut self, amount: f32) {
        self.albedo = scale(self.albedo, 1.0 - amount);
    }

    pub(super) fn material(&self) -> Material {
        Material { albedo: self.albedo, gloss: self.gloss, polish: self.polish }
    }
}

/// A place of the face, mirrored on both sides, that sees little of the surroundings.
#[derive(Clone, Copy, Debug)]
struct Hollow {
    centre: [f32; 2],
    /// Inverse radii.
    inverse: [f32; 2],
    depth: f32,
}

fn hollows(a: &Anatomy) -> [Hollow; 6] {
    let hollow = |x: f32, y: f32, rx: f32, ry: f32, depth: f32| Hollow {
        centre: [x, y],
        inverse: [1.0 / rx, 1.0 / ry],
        depth,
    };
    let n = &a.nose;
    [
        hollow(a.eyes.x - 0.10, a.eyes.y + 0.03, 0.20, 0.14, 0.34),
        hollow(a.eyes.x + 0.05, a.eyes.y + 0.02, 0.24, 0.14, 0.14),
        hollow(n.half_width + 0.005, n.base + 0.05, 0.06, 0.09, 0.40),
        hollow(0.0, n.base - 0.035, n.half_width, 0.07, 0.45),
        hollow(0.0, a.mouth.edges(0.0).bottom - 0.03, 0.24, 0.06, 0.30),
        hollow(a.mouth.half_width + 0.02, a.mouth.y + a.mouth.corner_lift, 0.07, 0.07, 0.22),
    ]
}

/// Paints one person under one expression.
pub(super) struct Painter<'a> {
    pub(super) anatomy: &'a Anatomy,
    pub(super) looks: &'a Looks,
    pub(super) occlusion: &'a Occlusion,
    /// Width of a pixel in head units, for antialiasing.
    pub(super) pixel: f32,
    hollows: [Hollow; 6],
}

impl<'a> Painter<'a> {
    /// A painter for pixels `pixel` head units wide.
    pub(super) fn new(
        anatomy: &'a Anatomy,
        looks: &'a Looks,
        occlusion: &'a Occlusion,
        pixel: f32,
    ) -> Painter<'a> {
        Painter { anatomy, looks, occlusion, pixel, hollows: hollows(anatomy) }
    }

    /// The paint of an object at a place in head axes.
    pub(super) fn paint(&self, object: Object, p: Vec3) -> Paint {
        match object {
            Object::Head => self.head(p),
            Object::Ear => self.ear(p),
            Object::Curtain => self.hair(p),
            Object::CurtainInside => {
                let mut paint = self.hair(p);
                paint.openness *= 0.35;
                paint
            }
            Object::Neck => self.neck(p),
            Object::Torso => self.clothes(p),
            Object::Scarf => self.knitted(p),
        }
    }

    fn head(&self, p: Vec3) -> Paint {
        if self.occlusion.hat {
            let cover = coverage(hat_edge(p.z) - p.y, self.pixel);
            if cover > 0.5 {
                return self.knitted(p);
            }
        }
        let grown = scalp(&self.looks.growth, self.looks.marks, p);
        let cover = coverage(-grown, self.pixel + 0.03);
        if cover >= 1.0 {
            return self.hair(p);
        }
        let mut paint = self.skin(p);
        if p.z > 0.25 {
            self.face(p, &mut paint);
        }
        // Hair shades the skin beside it.
        paint.openness *= 1.0 - 0.25 * smoothstep(-0.10, 0.0, grown);
        if cover > 0.0 {
            paint.cover(self.hair(p).albedo, cover, Part::Hair);
        }
        if self.occlusion.covering == Covering::Mask {
            self.mask(p, &mut paint);
        }
        paint
    }

    fn skin(&self, p: Vec3) -> Paint {
        let l = self.looks;
        let blotch = value(p.x * 5.0 + 2.0 * p.z, p.y * 5.0, l.marks);
        let mut paint = Paint::new(scale(l.skin, 1.0 + 0.045 * blotch), Part::Skin);
        paint.gloss = 0.055;
        paint
    }

    /// Everything in the face, from broad to fine.
    fn face(&self, p: Vec3, paint: &mut Paint) {
        self.shade_hollows(p, paint);
        self.complexion(p, paint);
        self.facial_hair(p, paint);
        self.nose(p, paint);
        self.mouth(p, paint);
        self.eye(p, paint);
        self.brow(p, paint);
    }

    /// Openness of the places that see little of the surroundings.
    fn shade_hollows(&self, p: Vec3, paint: &mut Paint) {
        let side = p.x.abs();
        for hollow in &self.hollows {
            let (u, v) =
                ((side - hollow.centre[0]) * hollow.inverse[0], (p.y - hollow.centre[1]) * hollow.inverse[1]);
            paint.openness -= hollow.depth * bump(u * u + v * v);
        }
        let chin = self.anatomy.chin;
        if p.y < chin + 0.10 {
            paint.openness -= 0.35 * smoothstep(chin + 0.10, chin - 0.02, p.y);
        }
    }

    /// Flush, freckles, moles and lines.
    fn complexion(&self, p: Vec3, paint: &mut Paint) {
        let (a, l, side) = (self.anatomy, self.looks, p.x.abs());
        let (u, v) = ((side - 0.43) * (1.0 / 0.34), (p.y + 0.30) * (1.0 / 0.28));
        let (nu, nv) = (p.x * (1.0 / 0.16), (p.y - a.nose.tip) * (1.0 / 0.16));
        let flush = bump(u * u + v * v) + 0.8 * bump(nu * nu + nv * nv);
        paint.tint(l.flush, (l.ruddiness * flush).min(0.9));
        if l.freckles > 0.0 && p.y < 0.12 && p.y > -0.6 {
            self.freckles(p, paint);
        }
        for mole in &l.moles {
            let (dx, dy) = (p.x - mole.at[0], p.y - mole.at[1]);
            let reach = mole.radius + self.pixel;
            if dx * dx + dy * dy < reach * reach {
                let d = (dx * dx + dy * dy).sqrt() - mole.radius;
                paint.tint([0.06, 0.03, 0.02], 0.8 * coverage(d, self.pixel + 0.008));
            }
        }
        // Laughter lines from the wings of the nose past the corners of the mouth.
        let (top, bottom) = (a.nose.base + 0.05, a.mouth.y - 0.04);
        if p.y < top && p.y > bottom {
            let t = (top - p.y) / (top - bottom);
            let x = a.nose.half_width + 0.03 + (a.mouth.half_width + 0.05 - a.nose.half_width) * t;
            let depth =
                l.lines * (0.30 + 2.5 * a.mouth.corner_lift.max(0.0)) * (4.0 * t * (1.0 - t)).min(1.0);
            let d = (side - x) / 0.045;
            paint.darken((depth * bump(d * d)).min(0.6));
        }
        if p.y > 0.30 && p.y < 0.62 && l.lines > 0.3 {
            let wave = (p.y * 52.0 + 1.2 * value(p.x * 3.0, 0.0, l.marks)).sin().max(0.0);
            let fade = bump((side / 0.5).powi(2)) * bump(((p.y - 0.46) / 0.17).powi(2));
            paint.darken(0.5 * (l.lines - 0.3) * wave * wave * fade);
        }
    }

    fn freckles(&self, p: Vec3, paint: &mut Paint) {
        let l = self.looks;
        let spot = value(p.x * 34.0, p.y * 34.0, l.marks ^ 0xF4EC);
        let region = bump((p.x / 0.75).powi(2) + ((p.y + 0.2) / 0.36).powi(2));
        let strength = l.freckles * region * smoothstep(0.25, 0.6, spot);
        paint.tint([l.skin[0] * 0.55, l.skin[1] * 0.38, l.skin[2] * 0.30], strength);
    }

    fn facial_hair(&self, p: Vec3, paint: &mut Paint) {
        let (a, l, side) = (self.anatomy, self.looks, p.x.abs());
        if (l.beard <= 0.0 && l.moustache <= 0.0) || p.y > -0.05 {
            return;
        }
        let m = &a.mouth;
        let edges = m.edges((p.x / m.half_width).clamp(-1.0, 1.0));
        let middle = 0.5 * (edges.top + edges.bottom);
        let lips = ((p.x / (m.half_width + 0.035)).powi(2)
            + ((p.y - middle) / (0.5 * (edges.top - edges.bottom) + 0.045)).powi(2))
        .sqrt();
        let clear = smoothstep(0.92, 1.12, lips);
        let texture = 0.85 + 0.15 * value(p.x * 40.0, p.y * 18.0, l.marks ^ 0xBEA2);
        let upper = m.y + 0.05 + (-0.22 - m.y - 0.05) * smoothstep(0.30, 0.62, side);
        let jaw = smoothstep(-0.02, 0.10, upper - p.y) * smoothstep(0.25, 0.36, p.z) * l.beard;
        let over = smoothstep(m.half_width + 0.06, m.half_width - 0.04, side)
            * smoothstep(a.nose.base - 0.01, a.nose.base - 0.07, p.y)
            * smoothstep(m.y - 0.12, m.y - 0.03, p.y)
            * l.moustache;
        // A thin beard is a shadow on the skin before it is hair.
        let grown = jaw.max(over);
        let alpha = (grown * (1.5 - 0.5 * grown) * clear * texture).clamp(0.0, 1.0);
        paint.tint(mix(l.hair, l.brow, 0.4), 0.9 * alpha);
        paint.gloss *= 1.0 - 0.8 * alpha;
    }

    fn ear(&self, p: Vec3) -> Paint {
        let mut paint = self.skin(p);
        paint.part = Part::Ear;
        paint.tint(self.looks.flush, 0.25);
        let (v, w) =
            ((p.y + 0.08) / (0.17 * self.anatomy.ear_size), (p.z + 0.10) / (0.10 * self.anatomy.ear_size));
        paint.openness = 0.9 - 0.5 * bump(v * v + w * w);
        if self.occlusion.hat && p.y > hat_edge(p.z) {
            return self.knitted(p);
        }
        paint
    }

    fn neck(&self, p: Vec3) -> Paint {
        let mut paint = self.skin(p);
        paint.part = Part::Neck;
        // The chin's shadow.
        let below = (self.anatomy.chin - p.y).max(0.0);
        paint.openness = 0.5 + 0.45 * smoothstep(0.0, 0.6, below);
        if p.y < -1.38 - 0.25 * p.z {
            return self.clothes(p);
        }
        paint
    }

    pub(super) fn hair(&self, p: Vec3) -> Paint {
        let l = self.looks;
        // Strands run down from the crown, so they differ around it.
        let around = diamond_angle(p.x, p.z + 0.3);
        let along = (p.y - 0.5 * p.z) * (1.5 + 5.0 * l.growth.curl);
        let strands =
            value(around * 11.0, along, l.marks ^ 1) + value(around * 31.0, along * 1.6, l.marks ^ 2);
        let tone = 1.0 + 0.24 * strands;
        let mut paint = Paint::new(scale(l.hair, tone), Part::Hair);
        paint.gloss = 0.035 * tone;
        paint.openness = 0.72 + 0.28 * smoothstep(-0.6, 0.9, p.y);
        paint
    }

    fn clothes(&self, p: Vec3) -> Paint {
        // A garment belongs to the picture, not to the person: its colour comes with the accessories'.
        let c = self.occlusion.colour;
        let colour = [0.25 * c[2] + 0.06, 0.35 * c[0] + 0.06, 0.5 * c[1] + 0.08];
        let folds = value(p.x * 4.0, p.y * 2.0, 9);
        Paint::new(scale(colour, 1.0 + 0.15 * folds), Part::Clothes)
    }

    fn knitted(&self, p: Vec3) -> Paint {
        let ribs =
            0.85 + 0.15 * ((p.x * 55.0).sin() * (p.z * 55.0).cos()) + 0.1 * value(p.x * 3.0, p.y * 6.0, 77);
        Paint::new(scale(self.occlusion.colour, ribs), Part::Occluder)
    }

    fn mask(&self, p: Vec3, paint: &mut Paint) {
        let inside = mask_inside(self.anatomy, p);
        let cloth = mix(self.occlusion.colour, [0.62, 0.70, 0.74], 0.6);
        let pleats = 0.93 + 0.07 * (p.y * 38.0).sin();
        let mut alpha = coverage(-inside, self.pixel);
        // Straps run from the mask's corners to the ear.
        let strap = |from: f32| ((p.y - from - 0.35 * (0.35 - p.z)).abs() - 0.012, p.z < 0.40 && p.z > -0.15);
        for (d, there) in [strap(-0.28), strap(-0.78)] {
            if there {
                alpha = alpha.max(coverage(d, self.pixel));
            }
        }
        paint.cover(scale(cloth, pleats), alpha, Part::Occluder);
        paint.openness += (1.0 - paint.openness) * alpha;
        paint.gloss *= 1.0 - alpha;
    }
}

/// The direction of `(x, z)` seen from above, as a number that grows around the circle like an angle in radians, but
/// without trigonometry; the seam lies at the back.
fn diamond_angle(x: f32, z: f32) -> f32 {
    let quarter = x / (x.abs() + z.abs() + 1e-6);
    let turn = if z >= 0.0 { quarter } else { 2.0_f32.copysign(x) - quarter };
    turn * std::f32::consts::FRAC_PI_2
}

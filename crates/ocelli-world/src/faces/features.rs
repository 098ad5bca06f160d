//! Painting of the features: eyes, brows, nose, lips.

use super::paint::{Paint, Painter};
use super::part::Part;
use crate::render::geometry::{Vec3, coverage, lerp, mix, scale, smoothstep};
use crate::render::noise::value;

impl Painter<'_> {
    pub(super) fn eye(&self, p: Vec3, paint: &mut Paint) {
        let e = &self.anatomy.eyes;
        let (side, left) = (p.x.abs(), p.x < 0.0);
        let (t, dy) = ((side - e.x) / e.half_width, p.y - e.y);
        if !(-1.25..=1.35).contains(&t) || dy.abs() > 0.24 {
            return;
        }
        let (low, high) = e.lids(t.clamp(-1.0, 1.0));
        // Distance to the lids, shortened where they run steeply into the corners.
        let steep = 1.0 / (1.0 + 0.5 * t * t);
        let corner = (t.abs() - 1.0) * e.half_width;
        let outside = ((p.y - high).max(low - p.y) * steep).max(corner);
        self.lids(p, t, high, low, outside, paint);
        let open = coverage(outside, self.pixel);
        if open <= 0.0 {
            return;
        }
        let (ball, gloss) = self.eyeball(p, side, left, high);
        paint.cover(ball, open, if left { Part::LeftEye } else { Part::RightEye });
        paint.openness = lerp(paint.openness, 0.95, open);
        if open > 0.5 {
            paint.gloss = gloss;
            paint.polish = 6;
        }
    }

    /// Colour and gloss of the eyeball.
    fn eyeball(&self, p: Vec3, side: f32, left: bool, high: f32) -> ([f32; 3], f32) {
        let (e, l) = (&self.anatomy.eyes, self.looks);
        // Both eyes look the same way, so the mirrored one looks towards the other side of its own axes.
        let look = if left { -e.gaze[0] } else { e.gaze[0] };
        let (cx, cy) = (e.x + 0.065 * look, e.y + 0.012 + 0.03 * e.gaze[1]);
        let r = (side - cx).hypot(p.y - cy);
        // The upper lid shades the ball.
        let shade = 0.62 + 0.38 * smoothstep(0.0, 0.05, high - p.y);
        let mut colour = l.sclera;
        let iris_edge = coverage(r - e.iris, self.pixel + 0.006);
        let ring = smoothstep(0.55 * e.iris, e.iris, r);
        let spokes = 1.0 + 0.15 * value((side - cx) * 60.0, (p.y - cy) * 60.0, l.marks);
        colour = mix(colour, scale(l.iris, (1.25 - 0.75 * ring) * spokes), iris_edge);
        colour = mix(colour, [0.006; 3], coverage(r - 0.43 * e.iris, self.pixel + 0.004));
        let glint = (p.x - (if left { -cx } else { cx }) + 0.022).hypot(p.y - cy - 0.024) - 0.013;
        colour = mix(scale(colour, shade), [1.1; 3], 0.85 * coverage(glint, self.pixel));
        (colour, 0.12)
    }

    /// Lashes, crease and the shadow under the eye.
    fn lids(&self, p: Vec3, t: f32, high: f32, low: f32, outside: f32, paint: &mut Paint) {
        let l = self.looks;
        let fade = smoothstep(1.25, 0.95, t.abs());
        let dark = mix(l.brow, [0.01; 3], 0.5);
        let thickness = 0.008 + 0.016 * l.lashes * smoothstep(-1.0, 0.8, t);
        let lash = coverage((p.y - high - 0.35 * thickness).abs() - thickness, self.pixel + 0.008);
        paint.tint(dark, lash * fade * (0.45 + 0.5 * l.lashes));
        let lower = coverage((p.y - low).abs() - 0.004, self.pixel + 0.010);
        paint.tint(dark, 0.35 * lower * fade * smoothstep(-0.8, 0.6, t));
        if outside > 0.0 && p.y > high {
            let crease = coverage((p.y - high - 0.042).abs() - 0.005, self.pixel + 0.016);
            paint.darken(0.38 * crease * fade);
        } else if outside > 0.0 && p.y < low {
            let bag = coverage((p.y - low + 0.075 - 0.02 * t * t).abs() - 0.006, self.pixel + 0.03);
            paint.darken(0.30 * bag * fade * l.lines);
        }
    }

    pub(super) fn brow(&self, p: Vec3, paint: &mut Paint) {
        let (b, l) = (&self.anatomy.brows, self.looks);
        let t = (p.x.abs() - b.inner) / (b.outer - b.inner);
        if !(-0.2..=1.1).contains(&t) || (p.y - b.y).abs() > 0.3 {
            return;
        }
        let (middle, half) = b.line(t.clamp(0.0, 1.0));
        let across = (p.y - middle).abs() - half;
        let along = (t - 1.0).max(-t) * (b.outer - b.inner);
        let hairs = 0.008 * value(p.x * 55.0 + p.y * 30.0, p.y * 25.0, l.marks ^ 0xB0);
        let alpha = coverage(across.max(along) + hairs, self.pixel + 0.016);
        let part = if p.x < 0.0 { Part::LeftBrow } else { Part::RightBrow };
        paint.cover(l.brow, 0.92 * alpha, part);
        paint.gloss *= 1.0 - alpha;
    }

    pub(super) fn nose(&self, p: Vec3, paint: &mut Paint) {
        let n = &self.anatomy.nose;
        if p.y > n.top || p.y < n.base - 0.05 {
            return;
        }
        let x = (p.x - n.ridge_x(p.y)).abs();
        let width = n.half_width_at(p.y);
        // The lower end is round, between the wings.
        let end = (n.base - 0.03 + 0.05 * (x / width).powi(2)) - p.y;
        if (x - width).max(end) < 0.0 {
            paint.part = Part::Nose;
            paint.gloss *= 1.0 + 0.7 * smoothstep(0.08, 0.0, x);
        }
        let (u, v) =
            ((x - 0.44 * n.half_width) / (0.27 * n.half_width), (p.y - n.base + 0.004 - 0.12 * x) / 0.022);
        let r = (u * u + v * v).sqrt();
        paint.tint(scale(self.looks.flush, 0.10), 0.9 * smoothstep(1.25, 0.75, r));
    }

    pub(super) fn mouth(&self, p: Vec3, paint: &mut Paint) {
        let (m, l) = (&self.anatomy.mouth, self.looks);
        let t = p.x / m.half_width;
        if t.abs() > 1.12 || (p.y - m.y).abs() > 0.5 {
            return;
        }
        let edges = m.edges(t.clamp(-1.0, 1.0));
        let beyond = (t.abs() - 1.0) * m.half_width;
        let soft = self.pixel + 0.012;
        let between = |top: f32, bottom: f32| (p.y - top).max(bottom - p.y).max(beyond);
        let upper = coverage(between(edges.top, edges.inner_top), soft);
        let lower = coverage(between(edges.inner_bottom, edges.bottom), soft);
        let texture = 1.0 + 0.10 * value(p.x * 45.0, p.y * 6.0, l.marks ^ 0x11);
        paint.cover(scale(l.lips, 0.80 * texture), upper, Part::UpperLip);
        paint.cover(scale(l.lips, texture), lower, Part::LowerLip);
        if upper.max(lower) > 0.5 {
            paint.gloss = 0.10;
            paint.openness = paint.openness.max(0.85);
        }
        let gape = edges.inner_top - edges.inner_bottom;
        let inside = coverage(between(edges.inner_top, edges.inner_bottom), self.pixel);
        if gape > 0.004 && inside > 0.0 {
            let colour = self.inner_mouth(p, edges.inner_top, edges.inner_bottom);
            // A gap thinner than a pixel still shows in part.
            paint.cover(colour, inside * (gape / self.pixel).min(1.0), Part::InnerMouth);
            paint.openness = lerp(paint.openness, 0.55, inside);
        }
        let line = coverage((p.y - edges.inner_top).abs().max(beyond) - 0.006, self.pixel + 0.010);
        paint.tint(scale(l.lips, 0.18), 0.75 * line * smoothstep(1.1, 0.9, t.abs()));
    }

    /// Teeth above, tongue below, dark between.
    fn inner_mouth(&self, p: Vec3, top: f32, bottom: f32) -> [f32; 3] {
        let soft = self.pixel + 0.01;
        let teeth = coverage(top - p.y - 0.075, soft) * smoothstep(0.22, 0.17, p.x.abs());
        let gaps = 0.9 + 0.1 * (p.x * 90.0).cos();
        let tongue = coverage(p.y - bottom - 0.06 + 0.8 * p.x * p.x, soft + 0.02);
        let dark = mix([0.03, 0.008, 0.008], [0.35, 0.10, 0.09], tongue);
        mix(dark, scale([0.70, 0.66, 0.58], gaps), teeth)
    }
}

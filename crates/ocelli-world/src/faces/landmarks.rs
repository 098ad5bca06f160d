//! Where the landmarks lie on the head.

use super::anatomy::Anatomy;
use crate::render::geometry::{Vec3, lerp, vec3};

/// Number of landmarks in the iBUG scheme.
pub const LANDMARK_COUNT: usize = 68;

/// The 68 landmarks in head axes, in iBUG order: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47, lips 48–67; each
/// group runs from the picture's left to its right at frontal pose (eyes and lips clockwise from their left corner).
///
/// They are fixed points of the head: at large yaw the far side of the jaw is hidden, not moved to the silhouette.
pub(super) fn landmarks(a: &Anatomy) -> [Vec3; LANDMARK_COUNT] {
    let mut points = [vec3(0.0, 0.0, 0.0); LANDMARK_COUNT];
    jaw(a, &mut points[0..17]);
    brows(a, &mut points[17..27]);
    nose(a, &mut points[27..36]);
    eyes(a, &mut points[36..48]);
    lips(a, &mut points[48..68]);
    points
}

/// The five points of alignment from the 68: both eyes' centres, tip of the nose, corners of the mouth.
pub(super) fn five_points(l: &[Vec3; LANDMARK_COUNT]) -> [Vec3; 5] {
    let centre =
        |first: usize| l[first..first + 6].iter().fold(vec3(0.0, 0.0, 0.0), |s, p| s + *p) * (1.0 / 6.0);
    [centre(36), centre(42), l[30], l[48], l[54]]
}

fn jaw(a: &Anatomy, out: &mut [Vec3]) {
    // From the height of the eyes down the side to the chin: the share of the half width at which the outline is
    // seen from the front shrinks from the ear to the chin.
    let top = a.eyes.y - 0.03;
    for (i, point) in out.iter_mut().enumerate() {
        let u = (i as f32 - 8.0) / 8.0;
        let down = 1.0 - u.abs();
        let y = lerp(top, a.chin + 0.03, (down * std::f32::consts::FRAC_PI_2).sin().powf(1.15));
        let row = a.row_at(y);
        let s = u.signum() * (u.abs() * 2.2).min(1.0) * 0.985;
        *point = a.front_of(&row, s, a.section_depth(s));
    }
}

fn brows(a: &Anatomy, out: &mut [Vec3]) {
    let b = &a.brows;
    for (i, point) in out.iter_mut().enumerate() {
        let (side, t) = if i < 5 { (-1.0, 1.0 - i as f32 / 4.0) } else { (1.0, (i as f32 - 5.0) / 4.0) };
        let t = 0.04 + 0.92 * t;
        // Annotators click the upper edge of the brow's middle and the tips.
        let (y, half) = b.line(t);
        *point = a.surface(side * lerp(b.inner, b.outer, t), y + 0.4 * half);
    }
}

fn nose(a: &Anatomy, out: &mut [Vec3]) {
    let n = &a.nose;
    for (i, point) in out.iter_mut().take(4).enumerate() {
        let y = lerp(n.top - 0.08, n.tip, i as f32 / 3.0);
        *point = a.surface(n.ridge_x(y), y);
    }
    for (i, point) in out.iter_mut().skip(4).enumerate() {
        let u = (i as f32 - 2.0) / 2.0;
        let y = n.base + 0.03 * u * u - 0.012;
        *point = a.surface(n.ridge_x(y) + 0.8 * u * n.half_width, y);
    }
}

fn eyes(a: &Anatomy, out: &mut [Vec3]) {
    let e = &a.eyes;
    // (t, upper lid?) for one eye from its outer corner round; t runs from the inner to the outer corner.
    let point = |side: f32, t: f32, upper: bool| {
        let (low, high) = e.lids(t);
        a.surface(side * (e.x + e.half_width * t), if upper { high } else { low })
    };
    let third = 1.0 / 3.0;
    for (i, (t, upper)) in
        [(1.0, true), (third, true), (-third, true), (-1.0, true), (-third, false), (third, false)]
            .into_iter()
            .enumerate()
    {
        out[i] = point(-1.0, t, upper);
    }
    for (i, (t, upper)) in
        [(-1.0, true), (-third, true), (third, true), (1.0, true), (third, false), (-third, false)]
            .into_iter()
            .enumerate()
    {
        out[6 + i] = point(1.0, t, upper);
    }
}

fn lips(a: &Anatomy, out: &mut [Vec3]) {
    let m = &a.mouth;
    let at = |t: f32, y: f32| a.surface(m.half_width * t, y);
    for (i, t) in [-1.0, -0.62, -0.24, 0.0, 0.24, 0.62, 1.0].into_iter().enumerate() {
        out[i] = at(t, m.edges(t).top);
    }
    for (i, t) in [0.62, 0.26, 0.0, -0.26, -0.62].into_iter().enumerate() {
        out[7 + i] = at(t, m.edges(t).bottom);
    }
    for (i, t) in [-0.86, -0.35, 0.0, 0.35, 0.86].into_iter().enumerate() {
        out[12 + i] = at(t, m.edges(t).inner_top);
    }
    for (i, t) in [0.35, 0.0, -0.35].into_iter().enumerate() {
        out[17 + i] = at(t, m.edges(t).inner_bottom);
    }
}

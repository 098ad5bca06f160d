//! Where hair grows and what hangs down.

use super::anatomy::Anatomy;
use super::looks::Hair;
use crate::render::geometry::{Vec3, bump, lerp, smoothstep, vec3};
use crate::render::mesh::Grid;
use crate::render::noise::value;

/// Signed distance (about) from the hairline at a place of the undressed head: positive where hair grows.
pub(super) fn scalp(hair: &Hair, marks: u32, p: Vec3) -> f32 {
    if p.z > 0.45 && p.y < 0.15 {
        return -0.13; // the face: the nearest hair is at least this far away
    }
    let side = p.x.abs();
    // Over the forehead: a line that rises at the temples, lower where a fringe falls.
    let corner = (side - 0.40) * (1.0 / 0.26);
    let open = hair.line + hair.recession * bump(corner * corner) * 1.6 - 0.10 * smoothstep(0.50, 0.68, side);
    let line = if hair.fringe > 0.0 && p.y < open + 0.25 {
        let locks = 0.03 * value(p.x * 11.0, 0.0, marks);
        let fall = 0.33 + 0.10 * hair.parting.abs() + 0.16 * hair.parting * p.x + locks;
        lerp(open, fall.min(open), hair.fringe)
    } else {
        open
    };
    let over_forehead = p.y - line;
    // At the side: in front of the ear down to the sideburn, behind it down to the nape.
    let front = 0.31 + 0.38 * (p.y - 0.2).clamp(-0.35, 0.6) - 0.5 * hair.recession.min(0.2);
    let low = lerp(-0.16, -0.62, smoothstep(0.0, -0.45, p.z));
    let at_side = (front - p.z).min(p.y - low);
    let distance = over_forehead.max(at_side);
    // The edge is ragged; far from it that makes no difference.
    if distance.abs() < 0.2 {
        distance + 0.014 * value(p.x * 30.0, p.z * 30.0 + p.y * 9.0, marks)
    } else {
        distance
    }
}

/// How far hair lifts the surface at a place of the undressed head, outwards.
pub(super) fn lift(hair: &Hair, marks: u32, p: Vec3) -> f32 {
    let grown = smoothstep(-0.01, 0.16, scalp(hair, marks, p));
    if grown == 0.0 {
        return 0.0;
    }
    let curls =
        if hair.curl > 0.0 { hair.curl * 0.05 * value(p.x * 9.0 + p.z * 5.0, p.y * 9.0, marks) } else { 0.0 };
    let crown = 0.6 + 0.4 * smoothstep(0.1, 0.9, p.y);
    let parted = 0.35 * hair.parting.clamp(-1.0, 1.0) * (p.x / 0.7) * smoothstep(0.5, 1.0, p.y);
    (hair.volume * crown * (1.0 + parted) + curls).max(0.01) * grown
}

const COLUMNS: usize = 21;
const ROWS: usize = 13;

/// Long hair: a curtain from one temple round the back to the other, open to the front.
pub(super) fn curtain(a: &Anatomy, hair: &Hair, marks: u32) -> Option<Grid> {
    let bottom = hair.length?;
    let top = 0.62;
    let (mut width, mut back) = (0.0f32, 0.0f32);
    for row in &a.rows {
        width = width.max(row.width);
        back = back.min(row.back);
    }
    Some(Grid::from_fn(ROWS, COLUMNS, false, |r, c| {
        let t = r as f32 / (ROWS - 1) as f32;
        let y = lerp(top, bottom, t);
        // Clockwise seen from above, so that columns run to the right as seen from outside.
        let angle = lerp(72.0, 288.0, c as f32 / (COLUMNS - 1) as f32).to_radians();
        let row = a.row_at(y.max(0.1));
        let hang = smoothstep(0.3, -0.4, y);
        let wave = hair.curl * 0.045 * (9.0 * y + 2.0 * angle).sin()
            + 0.025 * value(angle * 6.0, y * 1.5, marks ^ 0x5F) * (0.3 + hang);
        let out = 0.92 * hair.volume + wave;
        let w = lerp(row.width, width, hang) * (1.0 - 0.10 * smoothstep(-0.5, -1.4, y)) + out;
        let depth = lerp(-row.back, -back * 0.86, hang) + out - 0.1;
        let (sin, cos) = angle.sin_cos();
        // Locks in front of the ears come forward.
        let forward = if cos > 0.0 { 0.75 } else { depth };
        vec3(w * sin, y, -0.1 + forward * cos)
    }))
}

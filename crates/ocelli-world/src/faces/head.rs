//! Builds the scene: head, ears, hair, neck, clothes, and what is worn as geometry.

use super::anatomy::{Anatomy, ROWS};
use super::hair::{curtain, lift};
use super::looks::Looks;
use super::shot::{Covering, Occlusion};
use crate::render::camera::Camera;
use crate::render::geometry::{Rotation, Vec3, lerp, smoothstep, vec3};
use crate::render::mesh::{Grid, Scene};

/// Objects of a face scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Object {
    Head = 0,
    Ear = 1,
    Curtain = 2,
    CurtainInside = 3,
    Neck = 4,
    Torso = 5,
    Scarf = 6,
}

impl Object {
    pub(super) fn from_tag(tag: u8) -> Object {
        match tag {
            0 => Object::Head,
            1 => Object::Ear,
            2 => Object::Curtain,
            3 => Object::CurtainInside,
            4 => Object::Neck,
            5 => Object::Torso,
            _ => Object::Scarf,
        }
    }
}

/// Columns of the head's mesh over the front and over the back.
const FRONT: usize = 28;
const BACK: usize = 10;

/// The lower edge of a hat at depth `z`.
pub(super) fn hat_edge(z: f32) -> f32 {
    0.34 + 0.12 * z
}

/// Signed distance (about) inside a surgical mask's outline; positive inside.
pub(super) fn mask_inside(a: &Anatomy, p: Vec3) -> f32 {
    let side = p.x.abs();
    let upper = lerp(a.nose.top, a.nose.tip, 0.55) - 0.22 * smoothstep(0.05, 0.6, side);
    let back = lerp(0.30, 0.50, smoothstep(-0.5, -0.9, p.y));
    (upper - p.y).min(p.z - back).min(p.y - a.chin - 0.02)
}

/// Rotations of the parts of a body: the torso follows the head only partly.
pub(super) struct Attitude {
    pub(super) head: Rotation,
    pub(super) torso: Rotation,
}

/// Fills `scene` with one person under one pose.
pub(super) fn fill_scene(
    scene: &mut Scene,
    a: &Anatomy,
    looks: &Looks,
    occlusion: &Occlusion,
    attitude: &Attitude,
    camera: &Camera,
) {
    scene.clear();
    let head = &attitude.head;
    head_grid(a, looks, occlusion).add_to(scene, head, camera, Object::Head as u8);
    if let Some(grid) = curtain(a, &looks.growth, looks.marks) {
        grid.add_to(scene, head, camera, Object::Curtain as u8);
        grid.reversed().add_to(scene, head, camera, Object::CurtainInside as u8);
    } else {
        // Long hair covers the ears.
        for side in [-1.0, 1.0] {
            ear(a, side).add_to(scene, head, camera, Object::Ear as u8);
        }
    }
    let still = Rotation::from_degrees(0.0, 0.0, 0.0);
    neck(a, attitude).add_to(scene, &still, camera, Object::Neck as u8);
    torso().add_to(scene, &attitude.torso, camera, Object::Torso as u8);
    if occlusion.covering == Covering::Scarf {
        scarf(a, attitude).add_to(scene, &still, camera, Object::Scarf as u8);
    }
}

/// The head: closed around, columns from the left profile over the face to the right, then round the back.
fn head_grid(a: &Anatomy, looks: &Looks, occlusion: &Occlusion) -> Grid {
    let columns: Vec<(f32, f32)> = (0..FRONT + BACK)
        .map(|c| {
            if c <= FRONT {
                // Denser in the middle, where the nose is.
                let u = 2.0 * c as f32 / FRONT as f32 - 1.0;
                let s = (u.signum() * u.abs().powf(1.25) * std::f32::consts::FRAC_PI_2).sin();
                (s, a.section_depth(s))
            } else {
                let angle = std::f32::consts::PI * (c - FRONT) as f32 / BACK as f32;
                (angle.cos(), -angle.sin())
            }
        })
        .collect();
    let axis = |y: f32| vec3(0.0, y.min(0.35), -0.1);
    let mut rest = Vec::with_capacity(ROWS * columns.len());
    let mut grid = Grid::from_fn(ROWS, columns.len(), true, |r, c| {
        let row = &a.rows[r];
        let (s, depth) = columns[c];
        let bare = if depth >= 0.0 {
            a.front_of(row, s, depth)
        } else {
            vec3(row.width * s, row.y, row.middle() + (row.middle() - row.back) * depth)
        };
        rest.push(bare);
        let outward = (bare - axis(bare.y)).unit();
        let mut point = bare + outward * lift(&looks.growth, looks.marks, bare);
        if occlusion.hat {
            let under = smoothstep(-0.02, 0.04, bare.y - hat_edge(bare.z));
            point = point + (bare + outward * 0.11 - point) * under;
        }
        if occlusion.covering == Covering::Mask {
            let inside = smoothstep(-0.03, 0.10, mask_inside(a, bare));
            let dome = a.surface(0.0, a.nose.tip).z
                - 0.03
                - 0.75 * bare.x * bare.x
                - 0.55 * (bare.y - a.nose.tip - 0.05).powi(2);
            point.z += (0.03 + (dome - bare.z).max(0.0)) * inside;
        }
        point
    });
    grid.rest = Some(rest);
    grid
}

fn ear(a: &Anatomy, side: f32) -> Grid {
    let row = a.row_at(-0.08);
    let (ry, rz, rx) = (0.27 * a.ear_size, 0.15 * a.ear_size, 0.055);
    let centre = vec3(row.width - 0.03 + 0.12 * a.ear_flare, a.eyes.y - 0.10, row.middle() - 0.02);
    let (sin, cos) = a.ear_flare.sin_cos();
    Grid::from_fn(9, 12, true, |r, c| {
        let polar = std::f32::consts::PI * r as f32 / 8.0;
        // Mirroring turns the winding round, so the left ear is walked the other way.
        let around = side * std::f32::consts::TAU * c as f32 / 12.0;
        // Lobes are narrower than the upper ear; the back edge stands out from the head.
        let narrow = if polar.cos() < 0.0 { 1.0 + 0.35 * polar.cos() } else { 1.0 };
        let (x, z) = (rx * polar.sin() * around.sin(), rz * narrow * polar.sin() * around.cos());
        let p = vec3(cos * x - sin * z, ry * polar.cos(), sin * x + cos * z);
        let lean = vec3(0.0, 0.0, -0.15 * p.y);
        let p = centre + p + lean;
        vec3(side * p.x, p.y, p.z)
    })
}

/// Points of the neck in camera axes: its upper end turns with the head, its lower with the torso.
fn neck(a: &Anatomy, attitude: &Attitude) -> Grid {
    const NECK_ROWS: usize = 7;
    let mut rest = Vec::with_capacity(NECK_ROWS * 20);
    let mut grid = Grid::from_fn(NECK_ROWS, 20, true, |r, c| {
        let t = r as f32 / (NECK_ROWS - 1) as f32;
        let p = around(
            c,
            20,
            a.neck * (1.06 - 0.2 * t * (1.0 - t)),
            a.neck * 0.98,
            vec3(0.0, lerp(-0.45, -1.75, t), -0.16 - 0.08 * t),
        );
        rest.push(p);
        bend(p, t, attitude)
    });
    grid.rest = Some(rest);
    grid
}

fn bend(p: Vec3, t: f32, attitude: &Attitude) -> Vec3 {
    let t = smoothstep(0.05, 0.95, t);
    attitude.head.apply(p) * (1.0 - t) + attitude.torso.apply(p) * t
}

/// Point `c` of `n` around an upright ellipse; columns run to the right as seen from outside.
fn around(c: usize, n: usize, width: f32, depth: f32, centre: Vec3) -> Vec3 {
    let (sin, cos) = (std::f32::consts::TAU * c as f32 / n as f32).sin_cos();
    centre + vec3(width * sin, 0.0, depth * cos)
}

fn torso() -> Grid {
    const SECTIONS: [(f32, f32, f32); 7] = [
        (-1.40, 0.40, 0.36),
        (-1.50, 0.58, 0.44),
        (-1.60, 0.95, 0.48),
        (-1.72, 1.35, 0.52),
        (-1.95, 1.62, 0.58),
        (-2.5, 1.75, 0.66),
        (-4.0, 1.75, 0.66),
    ];
    Grid::from_fn(SECTIONS.len(), 24, true, |r, c| {
        let (y, width, depth) = SECTIONS[r];
        around(c, 24, width, depth, vec3(0.0, y, -0.25))
    })
}

fn scarf(a: &Anatomy, attitude: &Attitude) -> Grid {
    const SCARF_ROWS: usize = 12;
    let top = a.mouth.y + 0.17;
    let front = a.surface(0.0, a.mouth.y).z + 0.16;
    let mut rest = Vec::with_capacity(SCARF_ROWS * 28);
    let mut grid = Grid::from_fn(SCARF_ROWS, 28, true, |r, c| {
        let t = r as f32 / (SCARF_ROWS - 1) as f32;
        let swell = 0.05 * (t * 15.0).sin() - 0.10 * (1.0 - 4.0 * t).max(0.0).powi(2) * 0.5;
        let width = a.row_at(a.mouth.y).width + 0.13 + swell;
        let depth = lerp(0.5 * (front + 0.72), 0.75, t) + swell;
        // Higher behind than in front.
        let p = around(
            c,
            28,
            width,
            depth,
            vec3(0.0, lerp(top, -1.65, t), front - lerp(0.5 * (front + 0.72), 0.85, t)),
        );
        let p = vec3(p.x, p.y + 0.10 * (0.3 - p.z) * (1.0 - t), p.z);
        rest.push(p);
        bend(p, t, attitude)
    });
    grid.rest = Some(rest);
    grid
}

//! Triangle meshes on grids, and the scene that holds them.

use super::camera::Camera;
use super::geometry::{Rotation, Vec3};

/// A corner of a triangle.
#[derive(Clone, Copy, Debug)]
pub struct Vertex {
    /// Position in the object's own axes; painting is done in these.
    pub local: Vec3,
    /// Unit normal in camera axes.
    pub normal: Vec3,
}

/// A triangle and the object it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Triangle {
    /// Indices of its vertices.
    pub corners: [u32; 3],
    /// The caller's tag for what it is.
    pub object: u8,
}

/// Everything that is to be drawn.
#[derive(Debug, Default)]
pub struct Scene {
    /// All vertices.
    pub vertices: Vec<Vertex>,
    /// x, y and depth of each vertex in picture pixels (apart, since visibility needs nothing else).
    pub screen: Vec<[f32; 3]>,
    /// All triangles.
    pub triangles: Vec<Triangle>,
}

impl Scene {
    /// Empties the scene, keeping its memory.
    pub fn clear(&mut self) {
        self.vertices.clear();
        self.screen.clear();
        self.triangles.clear();
    }
}

/// A grid of points, row after row: seen from outside, rows run downwards and columns to the right.
#[derive(Debug)]
pub struct Grid {
    /// Points, row-major.
    pub points: Vec<Vec3>,
    /// Points a row.
    pub columns: usize,
    /// Whether the last column continues into the first.
    pub closed: bool,
    /// Positions to paint by, where they are not the points themselves (a surface that was bent or dressed).
    pub rest: Option<Vec<Vec3>>,
}

impl Grid {
    /// A grid of `rows × columns` points, each from `point(row, column)`.
    pub fn from_fn(
        rows: usize,
        columns: usize,
        closed: bool,
        mut point: impl FnMut(usize, usize) -> Vec3,
    ) -> Grid {
        let mut points = Vec::with_capacity(rows * columns);
        for r in 0..rows {
            for c in 0..columns {
                points.push(point(r, c));
            }
        }
        Grid { points, columns, closed, rest: None }
    }

    /// The same surface seen from the inside.
    pub fn reversed(&self) -> Grid {
        let flip =
            |points: &[Vec3]| points.chunks(self.columns).flat_map(|r| r.iter().rev().copied()).collect();
        Grid {
            points: flip(&self.points),
            columns: self.columns,
            closed: self.closed,
            rest: self.rest.as_deref().map(flip),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.points.len() / self.columns
    }

    /// The outward normal at a grid point, from its neighbours.
    fn normal(&self, row: usize, column: usize) -> Vec3 {
        let n = self.columns;
        let (left, right) = if self.closed {
            (if column == 0 { n - 1 } else { column - 1 }, if column + 1 == n { 0 } else { column + 1 })
        } else {
            (column.saturating_sub(1), (column + 1).min(n - 1))
        };
        let (up, down) = (row.saturating_sub(1), (row + 1).min(self.rows() - 1));
        let at = |r: usize, c: usize| self.points[r * n + c];
        let mut across = at(row, right) - at(row, left);
        if across.dot(across) < 1e-10 {
            // At a pole the row is one point: use the neighbouring row.
            let inner = if row == 0 { down } else { up };
            across = at(inner, right) - at(inner, left);
        }
        across.cross(at(up, column) - at(down, column)).unit()
    }

    /// Adds the grid to a scene as `object`, turned by `rotation` and seen by `camera`.
    pub fn add_to(&self, scene: &mut Scene, rotation: &Rotation, camera: &Camera, object: u8) {
        let base = scene.vertices.len() as u32;
        let (rows, n) = (self.rows(), self.columns);
        let rest = self.rest.as_deref().unwrap_or(&self.points);
        scene.vertices.reserve(rows * n);
        scene.screen.reserve(rows * n);
        scene.triangles.reserve(2 * rows * n);
        for row in 0..rows {
            for column in 0..n {
                let i = row * n + column;
                let normal = camera.direction(rotation.apply(self.normal(row, column)));
                let screen = camera.project(rotation.apply(self.points[i]));
                scene.vertices.push(Vertex { local: rest[i], normal });
                scene.screen.push(screen);
            }
        }
        let quads = if self.closed { n } else { n - 1 };
        for row in 0..rows - 1 {
            for column in 0..quads {
                let next = if column + 1 == n { 0 } else { column + 1 };
                let [a, b] = [row * n + column, row * n + next].map(|i| base + i as u32);
                let [c, d] = [a + n as u32, b + n as u32];
                scene.triangles.push(Triangle { corners: [a, c, b], object });
                scene.triangles.push(Triangle { corners: [b, c, d], object });
            }
        }
    }
}

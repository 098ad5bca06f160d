//! The visibility buffer: which triangle is nearest at each sample.

use super::geometry::Vec3;
use super::mesh::Scene;

/// Samples a pixel, along each axis.
pub const SAMPLES: usize = 2;

const EMPTY: u32 = u32::MAX;

/// Nearest triangle and its depth at 2×2 samples a pixel.
#[derive(Debug)]
pub struct Visibility {
    width: usize,
    height: usize,
    triangle: Vec<u32>,
    depth: Vec<f32>,
}

/// What is seen of one object in one pixel.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// The object's tag.
    pub object: u8,
    /// Share of the pixel covered, in `(0, 1]`.
    pub share: f32,
    /// Position in the object's own axes.
    pub local: Vec3,
    /// Unit normal in the picture's axes (x right, y up, z towards the viewer).
    pub normal: Vec3,
    /// Depth in pixels, growing away from the viewer.
    pub depth: f32,
}

/// Tolerance for samples on a shared edge, in pixels squared.
const EDGE: f32 = -1e-4;

impl Visibility {
    /// Rasterises a scene for a picture of `width × height` pixels.
    ///
    /// Only triangles that face the camera are kept. Vertices that are not finite hide their triangles.
    pub fn of(scene: &Scene, width: usize, height: usize) -> Visibility {
        let samples = width * height * SAMPLES * SAMPLES;
        let mut buffer =
            Visibility { width, height, triangle: vec![EMPTY; samples], depth: vec![f32::INFINITY; samples] };
        for index in 0..scene.triangles.len() {
            buffer.draw(scene, index);
        }
        buffer
    }

    fn draw(&mut self, scene: &Scene, index: usize) {
        let k = SAMPLES as f32;
        let [a, b, c] = scene.triangles[index].corners.map(|i| {
            let [x, y, z] = scene.screen[i as usize];
            // Sample (i, j) lies at ((i + 0.5) / k, (j + 0.5) / k) pixels.
            [x * k - 0.5, y * k - 0.5, z]
        });
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        // Counter-clockwise seen from outside is negative with y down; the comparison is false for NaN too.
        if !(area < -1e-6) || !area.is_finite() {
            return;
        }
        let (columns, rows) = (self.width * SAMPLES, self.height * SAMPLES);
        let range = |axis: usize, end: usize| {
            let low = a[axis].min(b[axis]).min(c[axis]).max(0.0);
            let high = a[axis].max(b[axis]).max(c[axis]).min(end as f32 - 1.0);
            if low <= high { ceil(low)..high as usize + 1 } else { 0..0 }
        };
        let (xs, ys) = (range(0, columns), range(1, rows));
        if xs.is_empty() || ys.is_empty() {
            return;
        }
        let inverse = 1.0 / area;
        // Barycentric weights of a, b are linear in x and y; c's is the rest.
        let (ax, ay) = ((b[1] - c[1]) * inverse, (c[0] - b[0]) * inverse);
        let (bx, by) = ((c[1] - a[1]) * inverse, (a[0] - c[0]) * inverse);
        let (x0, y0) = (xs.start as f32, ys.start as f32);
        let mut row_a = ax * (x0 - c[0]) + ay * (y0 - c[1]);
        let mut row_b = bx * (x0 - c[0]) + by * (y0 - c[1]);
        for y in ys {
            let (mut wa, mut wb) = (row_a, row_b);
            let start = y * columns;
            let mut entered = false;
            for x in xs.clone() {
                let wc = 1.0 - wa - wb;
                if wa >= EDGE && wb >= EDGE && wc >= EDGE {
                    let depth = wa * a[2] + wb * b[2] + wc * c[2];
                    if depth < self.depth[start + x] {
                        self.depth[start + x] = depth;
                        self.triangle[start + x] = index as u32;
                    }
                    entered = true;
                } else if entered {
                    break; // triangles are convex
                }
                wa += ax;
                wb += bx;
            }
            row_a += ay;
            row_b += by;
        }
    }

    /// The farthest visible depth within half a pixel or so of a picture position, in pixels: infinite where the
    /// background shows, `None` outside the picture.
    ///
    /// Looking around makes a depth test robust at silhouettes.
    pub fn farthest_depth_near(&self, at: [f32; 2]) -> Option<f32> {
        let (columns, rows) = (self.width * SAMPLES, self.height * SAMPLES);
        let k = SAMPLES as f32;
        let (x, y) = ((at[0] * k).floor(), (at[1] * k).floor());
        if !(x >= 0.0 && y >= 0.0 && x < columns as f32 && y < rows as f32) {
            return None;
        }
        let (x, y) = (x as usize, y as usize);
        let mut farthest = f32::NEG_INFINITY;
        for row in y.saturating_sub(1)..=(y + 1).min(rows - 1) {
            for column in x.saturating_sub(1)..=(x + 1).min(columns - 1) {
                farthest = farthest.max(self.depth[row * columns + column]);
            }
        }
        Some(farthest)
    }

    /// Calls `visit` for each object seen in pixel `(x, y)` and returns the share that no object covers.
    pub fn fragments(&self, scene: &Scene, x: usize, y: usize, mut visit: impl FnMut(Fragment)) -> f32 {
        let columns = self.width * SAMPLES;
        let corner = y * SAMPLES * columns + x * SAMPLES;
        let mut seen = [corner, corner + 1, corner + columns, corner + columns + 1].map(|i| self.triangle[i]);
        let first = seen[0];
        if seen == [first; 4] {
            // Most pixels show one triangle or none.
            if first == EMPTY {
                return 1.0;
            }
            visit(fragment(scene, first as usize, [x as f32 + 0.5, y as f32 + 0.5], 1.0));
            return 0.0;
        }
        let quarter = 1.0 / (SAMPLES * SAMPLES) as f32;
        let mut covered = 0.0;
        for i in 0..seen.len() {
            let triangle = seen[i];
            if triangle == EMPTY {
                continue;
            }
            let object = scene.triangles[triangle as usize].object;
            let mut share = 0.0;
            for other in &mut seen[i..] {
                if *other != EMPTY && scene.triangles[*other as usize].object == object {
                    share += quarter;
                    *other = EMPTY;
                }
            }
            covered += share;
            visit(fragment(scene, triangle as usize, [x as f32 + 0.5, y as f32 + 0.5], share));
        }
        1.0 - covered
    }
}

/// Smallest whole number not below `v`, for `v` not below zero.
fn ceil(v: f32) -> usize {
    let whole = v as usize;
    whole + usize::from((whole as f32) < v)
}

/// Interpolates a triangle at a picture position, held inside the triangle.
fn fragment(scene: &Scene, index: usize, at: [f32; 2], share: f32) -> Fragment {
    let triangle = &scene.triangles[index];
    let [a, b, c] = triangle.corners.map(|i| &scene.vertices[i as usize]);
    let [sa, sb, sc] = triangle.corners.map(|i| scene.screen[i as usize]);
    let (ax, ay) = (sa[0] - sc[0], sa[1] - sc[1]);
    let (bx, by) = (sb[0] - sc[0], sb[1] - sc[1]);
    let (px, py) = (at[0] - sc[0], at[1] - sc[1]);
    let inverse = 1.0 / (ax * by - ay * bx);
    let wa = ((px * by - py * bx) * inverse).max(0.0);
    let wb = ((ax * py - ay * px) * inverse).max(0.0);
    let wc = (1.0 - wa - wb).max(0.0);
    let total = 1.0 / (wa + wb + wc);
    let (wa, wb, wc) = (wa * total, wb * total, wc * total);
    Fragment {
        object: triangle.object,
        share,
        local: a.local * wa + b.local * wb + c.local * wc,
        normal: (a.normal * wa + b.normal * wb + c.normal * wc).unit(),
        depth: sa[2] * wa + sb[2] * wb + sc[2] * wc,
    }
}

//! The visibility buffer: which triangle is nearest at each sample.

use super::geometry::{Vec3, positive};
use super::mesh::Scene;

/// Samples a pixel, along each axis.
pub const SAMPLES: usize = 2;

const EMPTY: u32 = u32::MAX;

/// Nearest triangle and its depth at 2×2 samples a pixel.
#[derive(Debug, Default)]
pub struct Visibility {
    width: usize,
    height: usize,
    samples: Vec<Sample>,
}

/// The nearest triangle at a sample, and its depth.
#[derive(Clone, Copy, Debug)]
struct Sample {
    depth: f32,
    triangle: u32,
}

const NOTHING: Sample = Sample { depth: f32::INFINITY, triangle: EMPTY };

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

/// A barycentric weight: linear in x and y, zero on one edge.
struct Plane {
    dx: f32,
    dy: f32,
    through: [f32; 2],
    /// Where the weight reaches its tolerance, per unit of height: `-1 / dx`.
    run: f32,
}

/// Weights down to this count as inside, so that no sample falls between two triangles.
const EDGE: f32 = -1e-4;

impl Plane {
    fn new(dx: f32, dy: f32, through: [f32; 3]) -> Plane {
        Plane { dx, dy, through: [through[0], through[1]], run: -1.0 / dx }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        self.dx * (x - self.through[0]) + self.dy * (y - self.through[1])
    }

    /// The part of `from..=to` in row `y` where the weight is not below [`EDGE`].
    fn clip(&self, y: f32, from: f32, to: f32) -> (f32, f32) {
        let level = self.dy * (y - self.through[1]) - EDGE;
        if self.dx.abs() < 1e-9 {
            return if level >= 0.0 { (from, to) } else { (1.0, 0.0) };
        }
        let crossing = level * self.run + self.through[0];
        if self.dx > 0.0 { (from.max(crossing), to) } else { (from, to.min(crossing)) }
    }
}

impl Visibility {
    /// Rasterises a scene for a picture of `width × height` pixels.
    ///
    /// Only triangles that face the camera are kept. Vertices that are not finite hide their triangles.
    pub fn render(&mut self, scene: &Scene, width: usize, height: usize) {
        let samples = width * height * SAMPLES * SAMPLES;
        (self.width, self.height) = (width, height);
        self.samples.clear();
        self.samples.resize(samples, NOTHING);
        for index in 0..scene.triangles.len() {
            self.draw(scene, index);
        }
    }

    fn draw(&mut self, scene: &Scene, index: usize) {
        let k = SAMPLES as f32;
        let [a, b, c] = scene.triangles[index].corners.map(|i| {
            let [x, y, z] = scene.screen[i as usize];
            // Sample (i, j) lies at ((i + 0.5) / k, (j + 0.5) / k) pixels.
            [x * k - 0.5, y * k - 0.5, z]
        });
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        // Counter-clockwise seen from outside is negative with y down.
        if !area.is_finite() || area >= -1e-6 {
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
        // Barycentric weights are linear in x and y.
        let weights = [
            Plane::new((b[1] - c[1]) * inverse, (c[0] - b[0]) * inverse, c),
            Plane::new((c[1] - a[1]) * inverse, (a[0] - c[0]) * inverse, a),
            Plane::new((a[1] - b[1]) * inverse, (b[0] - a[0]) * inverse, b),
        ];
        let slope = weights[0].dx * a[2] + weights[1].dx * b[2] + weights[2].dx * c[2];
        for y in ys {
            let at = y as f32;
            let (mut from, mut to) = (xs.start as f32, (xs.end - 1) as f32);
            for weight in &weights {
                (from, to) = weight.clip(at, from, to);
            }
            if from > to {
                continue;
            }
            let from = ceil(from);
            let x = from as f32;
            let mut depth =
                weights[0].at(x, at) * a[2] + weights[1].at(x, at) * b[2] + weights[2].at(x, at) * c[2];
            let row = y * columns;
            for sample in &mut self.samples[row + from..row + to as usize + 1] {
                if depth < sample.depth {
                    *sample = Sample { depth, triangle: index as u32 };
                }
                depth += slope;
            }
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
                farthest = farthest.max(self.samples[row * columns + column].depth);
            }
        }
        Some(farthest)
    }

    /// Calls `visit` for each object seen in pixel `(x, y)` and returns the share that no object covers.
    pub fn fragments(&self, scene: &Scene, x: usize, y: usize, mut visit: impl FnMut(Fragment)) -> f32 {
        let columns = self.width * SAMPLES;
        let corner = y * SAMPLES * columns + x * SAMPLES;
        let mut seen =
            [corner, corner + 1, corner + columns, corner + columns + 1].map(|i| self.samples[i].triangle);
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
    let wa = positive((px * by - py * bx) * inverse);
    let wb = positive((ax * py - ay * px) * inverse);
    let wc = positive(1.0 - wa - wb);
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

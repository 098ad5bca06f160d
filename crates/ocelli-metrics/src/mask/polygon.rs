//! Polygons to run lengths by COCO's boundary walk.

use super::{Combine, Rle, pixels, refused};
use crate::{Result, check};

/// Coordinates may lie this far outside of the picture; the time a boundary takes grows with its length.
pub const LARGEST_COORDINATE: f64 = 1e6;

/// Points to a pixel along the boundary.
const SCALE: f64 = 5.0;

impl Rle {
    /// The pixels of a polygon `x0, y0, x1, y1, …`, which is closed by itself.
    ///
    /// # Errors
    /// [`crate::MetricError::Setting`] for no point, or a coordinate beyond [`LARGEST_COORDINATE`].
    pub fn from_polygon(size: [u32; 2], xy: &[f64]) -> Result<Self> {
        let [height, width] = size;
        let all = pixels(height, width)?;
        if xy.len() < 2 {
            return Err(refused("a polygon without points", "at least one point"));
        }
        if let Some(far) = xy.iter().find(|v| v.is_nan() || v.abs() > LARGEST_COORDINATE) {
            return Err(refused(format!("the coordinate {far}"), "coordinates between -1000000 and 1000000"));
        }
        let corners: Vec<[i32; 2]> = xy.chunks_exact(2).map(|p| [fine(p[0]), fine(p[1])]).collect();
        let mut crossings = Vec::new();
        let mut last: Option<[i32; 2]> = None;
        for (i, &from) in corners.iter().enumerate() {
            walk(from, corners[(i + 1) % corners.len()], |point| {
                if let Some(before) = last.replace(point) {
                    crossings.extend(crossing(before, point, size));
                }
            });
        }
        crossings.push(all);
        crossings.sort_unstable();
        Ok(Self { height, width, counts: runs(&crossings) })
    }

    /// The pixels of a box `[x, y, width, height]`, rasterised as the polygon of its corners.
    ///
    /// # Errors
    /// As [`Self::from_polygon`].
    pub fn from_box(size: [u32; 2], [x, y, width, height]: [f64; 4]) -> Result<Self> {
        let (right, bottom) = (x + width, y + height);
        Self::from_polygon(size, &[x, y, x, bottom, right, bottom, right, y])
    }
}

/// The pixels of an object that several polygons make up.
///
/// # Errors
/// As [`Rle::from_polygon`], and for no polygon, and for boxes (see quirk MASK-3) among polygons.
pub fn union_of_polygons(size: [u32; 2], polygons: &[Vec<f64>]) -> Result<Rle> {
    check::at_least("polygons", polygons.len(), 1)?;
    let as_boxes = polygons[0].len() == 4;
    let part = |polygon: &Vec<f64>| match <[f64; 4]>::try_from(polygon.as_slice()) {
        Ok(corner_and_size) if as_boxes => Rle::from_box(size, corner_and_size),
        _ if as_boxes => {
            Err(refused(format!("{} numbers after a box of 4", polygon.len()), "4 numbers a box"))
        }
        _ => Rle::from_polygon(size, polygon),
    };
    if !as_boxes && polygons[0].len() < 4 {
        return Err(refused(format!("a polygon of {} numbers", polygons[0].len()), "at least 6 numbers"));
    }
    let parts = polygons.iter().map(part).collect::<Result<Vec<Rle>>>()?;
    Rle::merged(&parts, Combine::Union)
}

/// A coordinate on the fine grid.
fn fine(coordinate: f64) -> i32 {
    (SCALE * coordinate + 0.5) as i32
}

/// Visits the fine points of an edge, both ends included, in its own direction. The points between are interpolated
/// from the end with the smaller coordinate on the longer axis, so that an edge has the same points both ways.
fn walk(from: [i32; 2], to: [i32; 2], mut visit: impl FnMut([i32; 2])) {
    let (dx, dy) = ((to[0] - from[0]).abs(), (to[1] - from[1]).abs());
    let long = usize::from(dx < dy);
    let flipped = from[long] > to[long];
    let (start, end) = if flipped { (to, from) } else { (from, to) };
    let steps = dx.max(dy);
    let short = 1 - long;
    let slope = f64::from(end[short] - start[short]) / f64::from(steps);
    for step in 0..=steps {
        let t = if flipped { steps - step } else { step };
        let mut point = [0; 2];
        point[long] = start[long] + t;
        point[short] = (f64::from(start[short]) + slope * f64::from(t) + 0.5) as i32;
        visit(point);
    }
}

/// Where the boundary crosses the centre of a pixel column between two neighbouring fine points, as a pixel's position.
fn crossing(before: [i32; 2], point: [i32; 2], [height, width]: [u32; 2]) -> Option<u32> {
    if point[0] == before[0] {
        return None;
    }
    let x = if point[0] < before[0] { point[0] } else { point[0] - 1 };
    let x = (f64::from(x) + 0.5) / SCALE - 0.5;
    if x.floor() != x || x < 0.0 || x > f64::from(width - 1) {
        return None;
    }
    let y = (f64::from(point[1].min(before[1])) + 0.5) / SCALE - 0.5;
    let y = y.clamp(0.0, f64::from(height)).ceil();
    Some(x as u32 * height + y as u32)
}

/// Run lengths between sorted positions; an empty run joins its neighbours.
fn runs(positions: &[u32]) -> Vec<u32> {
    let mut steps = positions.iter().scan(0, |before, &position| {
        let step = position - *before;
        *before = position;
        Some(step)
    });
    let mut runs: Vec<u32> = steps.next().into_iter().collect();
    while let Some(step) = steps.next() {
        if step > 0 {
            runs.push(step);
        } else if let (Some(joined), Some(last)) = (steps.next(), runs.last_mut()) {
            *last += joined;
        }
    }
    runs
}

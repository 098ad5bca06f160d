//! Which taps of a kernel meet pixels, and which only padding: the results of a plan in regions that have the same taps.
//!
//! Near the border of a small picture much of a kernel lies on padding: of the products of a 3x3 kernel a picture of 7x7
//! pixels has 18 % there, one of 4x4 pixels 31 %. Inside a region all results read the same taps, each a fixed way from
//! the region's first pixel, so these products need not be formed, and no padding has to be written down.

use std::ops::Range;

use super::geometry::AXES;
use super::plan::{Axis, Plan};

/// Neighbouring results along an axis that the same taps reach.
#[derive(Clone, Debug)]
struct Run {
    results: Range<usize>,
    /// Source pixel of the first tap for the first result of the axis; the taps' other pixels are counted from it.
    origin: isize,
    /// Index of the tap in the plan's order, and its pixel's distance.
    taps: Vec<(usize, usize)>,
}

fn runs(axis: &Axis) -> Vec<Run> {
    let pixel = |tap: usize, result: usize| {
        let tap = &axis.taps[tap];
        axis.origins[tap.phase] + ((result + tap.shift) * axis.source_step) as isize
    };
    let inside = |tap: usize, result: usize| (0..axis.source_len as isize).contains(&pixel(tap, result));
    let mut runs: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for result in 0..axis.count {
        // Pixels ascend or descend with the taps, so those inside are neighbours.
        let count = (0..axis.taps.len()).filter(|&tap| inside(tap, result)).count();
        let first = (0..axis.taps.len()).find(|&tap| inside(tap, result)).unwrap_or(0);
        let taps = first..first + count;
        match runs.last_mut() {
            Some((results, known)) if *known == taps => results.end += 1,
            _ => runs.push((result..result + 1, taps)),
        }
    }
    runs.into_iter()
        .map(|(results, taps)| {
            let origin = taps.clone().map(|tap| pixel(tap, 0)).min().unwrap_or(0);
            let taps = taps.map(|tap| (tap, (pixel(tap, 0) - origin) as usize)).collect();
            Run { results, origin, taps }
        })
        .collect()
}

/// A box of results that the same taps reach.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    results: [Range<usize>; AXES],
    origins: [isize; AXES],
    /// Index of every tap in the plan's order, and how far its pixel lies from that of the region's first tap.
    pub(crate) taps: Vec<(usize, usize)>,
}

impl Region {
    /// The regions of a plan; together they have all results.
    pub(crate) fn all(plan: &Plan) -> Vec<Self> {
        let [_, height, width] = plan.axes.each_ref().map(|axis| axis.source_len);
        let [_, kernel_rows, kernel_cols] = plan.axes.each_ref().map(|axis| axis.taps.len());
        let [planes, rows, cols] = plan.axes.each_ref().map(runs);
        let mut regions = Vec::with_capacity(planes.len() * rows.len() * cols.len());
        for plane in &planes {
            for row in &rows {
                for col in &cols {
                    let mut taps = Vec::with_capacity(plane.taps.len() * row.taps.len() * col.taps.len());
                    for (z, depth) in &plane.taps {
                        for (y, down) in &row.taps {
                            let index = (z * kernel_rows + y) * kernel_cols;
                            let pixel = (depth * height + down) * width;
                            taps.extend(col.taps.iter().map(|(x, right)| (index + x, pixel + right)));
                        }
                    }
                    let runs = [plane, row, col];
                    regions.push(Self {
                        results: runs.map(|run| run.results.clone()),
                        origins: runs.map(|run| run.origin),
                        taps,
                    });
                }
            }
        }
        regions
    }

    /// Products of one source and one target channel with one picture.
    pub(crate) fn products(&self) -> usize {
        self.results.iter().map(ExactSizeIterator::len).product::<usize>() * self.taps.len()
    }

    /// Calls `visit` with every result of the region inside a box, and the pixel of its first tap in a source plane.
    pub(crate) fn for_each(
        &self,
        plan: &Plan,
        within: &[Range<usize>; AXES],
        mut visit: impl FnMut([usize; AXES], usize),
    ) {
        let step = plan.axes[2].source_step;
        self.for_each_row(plan, within, |[plane, row, col], pixel, count| {
            (0..count).for_each(|index| visit([plane, row, col + index], pixel + index * step));
        });
    }

    /// Calls `visit` with the first result of every row of the region inside a box, the pixel of its first tap in a source
    /// plane, and the number of results in the row, whose pixels are a source step apart.
    pub(crate) fn for_each_row(
        &self,
        plan: &Plan,
        within: &[Range<usize>; AXES],
        mut visit: impl FnMut([usize; AXES], usize, usize),
    ) {
        let part = |axis: usize| {
            let (results, within) = (&self.results[axis], &within[axis]);
            results.start.max(within.start)..results.end.min(within.end)
        };
        let [planes, rows, cols] = std::array::from_fn(part);
        let pixel = |axis: usize, result: usize| {
            // Where a region has no taps, there is no pixel either.
            let pixel = self.origins[axis] + (result * plan.axes[axis].source_step) as isize;
            if self.taps.is_empty() { 0 } else { pixel as usize }
        };
        let [_, height, width] = plan.axes.each_ref().map(|axis| axis.source_len);
        for plane in planes.filter(|_| !cols.is_empty()) {
            for row in rows.clone() {
                let line = (pixel(0, plane) * height + pixel(1, row)) * width;
                visit([plane, row, cols.start], line + pixel(2, cols.start), cols.len());
            }
        }
    }
}

/// Products of one source and one target channel with one picture that meet pixels.
pub(crate) fn products(regions: &[Region]) -> usize {
    regions.iter().map(Region::products).sum()
}

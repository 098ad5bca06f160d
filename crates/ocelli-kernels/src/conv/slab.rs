//! The slab: the pixels that a tile of results reads, with padding as zeros and strides undone (see [`super::plan`]).

use std::ops::Range;

use super::geometry::AXES;
use super::plan::{Axis, Plan};
use crate::tile::{Offsets, UNIT, WIDTH};

/// A box of results in one picture, or several whole pictures side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) images: Range<usize>,
    /// Depth, height, width.
    pub(crate) axes: [Range<usize>; AXES],
}

impl Tile {
    /// All results of one picture.
    pub(crate) fn image(plan: &Plan, image: usize) -> Self {
        Self { images: image..image + 1, axes: plan.axes.each_ref().map(|axis| 0..axis.count) }
    }

    /// Results along every axis.
    pub(crate) fn size(&self) -> [usize; AXES] {
        self.axes.each_ref().map(ExactSizeIterator::len)
    }

    /// Its positions in a plane of results, which lie without gaps.
    pub(crate) fn positions(&self, plan: &Plan) -> Range<usize> {
        let start = plan.position(self.axes.each_ref().map(|range| range.start));
        start..start + self.size().iter().product::<usize>()
    }

    /// The most results along every axis, and the most pictures, of any of `tiles`.
    pub(crate) fn largest(tiles: &[Self]) -> ([usize; AXES], usize) {
        let size = |axis: usize| tiles.iter().map(|tile| tile.axes[axis].len()).max().unwrap_or(0);
        (std::array::from_fn(size), tiles.iter().map(|tile| tile.images.len()).max().unwrap_or(0))
    }
}

/// Cuts `0..total` into `count` ranges whose lengths differ by at most one.
pub(crate) fn even_parts(total: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).map(move |part| part * total / count..(part + 1) * total / count)
}

/// Cuts the results of a plan into tiles of about `target` positions or fewer: whole pictures, else runs of planes of
/// a picture, else of rows of a plane, and very long rows into pieces. The cut depends on the shape and `target` alone.
pub(crate) fn tiles(plan: &Plan, target: usize) -> Vec<Tile> {
    let [planes, rows, cols] = plan.axes.each_ref().map(|axis| axis.count);
    if plan.batch == 0 || plan.count() == 0 {
        return Vec::new();
    }
    if plan.count() <= target {
        return pieces(plan.batch, plan.count(), target)
            .map(|images| Tile { images, axes: [0..planes, 0..rows, 0..cols] })
            .collect();
    }
    // A tile has many of one axis, of which each lies in all of the axes after it and in one of those before it.
    let whole = |len: usize| vec![0..len];
    let single = |len: usize| (0..len).map(|at| at..at + 1).collect::<Vec<_>>();
    let many = |len: usize, size: usize| pieces(len, size, target).collect::<Vec<_>>();
    let cuts = if rows * cols <= target {
        [many(planes, rows * cols), whole(rows), whole(cols)]
    } else if cols <= 2 * target {
        [single(planes), many(rows, cols), whole(cols)]
    } else {
        [single(planes), single(rows), many(cols, 1)]
    };
    let mut tiles = Vec::with_capacity(plan.batch * cuts.iter().map(Vec::len).product::<usize>());
    for image in 0..plan.batch {
        for plane in &cuts[0] {
            for row in &cuts[1] {
                let boxes = cuts[2].iter().map(|col| [plane, row, col].map(Clone::clone));
                tiles.extend(boxes.map(|axes| Tile { images: image..image + 1, axes }));
            }
        }
    }
    tiles
}

/// Cuts `0..total` into pieces of as many as fill whole vectors best, each being `size` positions, together at most
/// `target`.
fn pieces(total: usize, size: usize, target: usize) -> impl Iterator<Item = Range<usize>> {
    let unused = |count: usize| (count * size).next_multiple_of(UNIT) - count * size;
    let most = (target / size).clamp(1, total);
    // The unused share of lanes, compared without division; of equals the largest.
    let best = (1..=most).rev().min_by(|&a, &b| (unused(a) * b).cmp(&(unused(b) * a))).unwrap_or(1);
    let count = total.div_ceil(best);
    (0..count).map(move |piece| piece * best..(piece * best + best).min(total))
}

/// How a slab lies in memory: `[images, channels, phases of depth, height and width, planes, rows, cols]`.
#[derive(Clone, Debug)]
pub(crate) struct SlabShape {
    /// Horizontal phases.
    phases: usize,
    /// Numbers between neighbouring pictures, channels, phases, planes and rows.
    pub(crate) image: usize,
    channel: usize,
    phase: usize,
    pub(crate) plane: usize,
    pub(crate) pitch: usize,
}

impl SlabShape {
    /// The slab of tiles of at most `size` results, of `channels` channels.
    pub(crate) fn new(plan: &Plan, channels: usize, size: [usize; AXES]) -> Self {
        let [depth, vertical, horizontal] = &plan.axes;
        let pitch = horizontal.slab_len(size[2]);
        let plane = vertical.slab_len(size[1]) * pitch;
        let phase = depth.slab_len(size[0]) * plane;
        let channel = plan.axes.iter().map(|axis| axis.origins.len()).product::<usize>() * phase;
        let phases = horizontal.origins.len();
        Self { phases, image: channels * channel, channel, phase, plane, pitch }
    }

    /// The source of a pointwise plan, which needs no slab.
    pub(crate) fn in_place(plan: &Plan) -> Self {
        let [_, vertical, horizontal] = plan.axes.each_ref().map(|axis| axis.source_len);
        let channel = plan.source_plane();
        Self {
            phases: 1,
            image: plan.source_image(),
            channel,
            phase: channel,
            plane: vertical * horizontal,
            pitch: horizontal,
        }
    }

    /// Numbers of a slab of so many pictures, with room for a panel that starts at its last number.
    pub(crate) fn len(&self, images: usize) -> usize {
        images * self.image + WIDTH
    }

    /// The number of a tile's position `[plane, row, col]` in a picture of the slab.
    pub(crate) fn position(&self, image: usize, [plane, row, col]: [usize; AXES]) -> usize {
        image * self.image + plane * self.plane + row * self.pitch + col
    }

    /// Where every tap of the first `channels` reads, relative to a position: the inner dimension in the filters' order.
    pub(crate) fn offsets(&self, plan: &Plan, channels: usize) -> Offsets {
        let [depth, vertical, horizontal] = &plan.axes;
        let mut offsets = Offsets::default();
        for channel in 0..channels {
            for plane in &depth.taps {
                for row in &vertical.taps {
                    for col in &horizontal.taps {
                        let phase = plane.phase * vertical.origins.len() + row.phase;
                        let phase = phase * self.phases + col.phase;
                        let pixel = plane.shift * self.plane + row.shift * self.pitch + col.shift;
                        offsets.push(channel * self.channel + phase * self.phase + pixel);
                    }
                }
            }
        }
        offsets
    }

    /// How the slab of a tile is filled.
    pub(crate) fn filling(&self, plan: &Plan, tile: &Tile) -> Filling {
        Filling(std::array::from_fn(|axis| {
            let (axis, results) = (&plan.axes[axis], &tile.axes[axis]);
            let start = (results.start * axis.source_step) as isize;
            let len = axis.slab_len(results.len());
            axis.origins.iter().map(|origin| Inside::new(axis, origin + start, len)).collect()
        }))
    }

    /// Copies channels `channels` (absolute) of pictures of `source` to the slab of a tile. Padding is left as it is: the
    /// same places of every channel, zero from the start.
    pub(crate) fn fill(
        &self,
        plan: &Plan,
        Filling([planes, rows, cols]): &Filling,
        source: &[f32],
        (images, channels): (Range<usize>, Range<usize>),
        slab: &mut [f32],
    ) {
        let [_, height, width] = plan.axes.each_ref().map(|axis| axis.source_len);
        for (image, slab) in images.zip(slab.chunks_exact_mut(self.image)) {
            let mut phases = slab.chunks_exact_mut(self.phase);
            for channel in channels.clone() {
                let at = image * plan.source_image() + channel * plan.source_plane();
                let pixels = &source[at..at + plan.source_plane()];
                for (planes, rows, cols) in planes
                    .iter()
                    .flat_map(|planes| rows.iter().map(move |rows| (planes, rows)))
                    .flat_map(|(planes, rows)| cols.iter().map(move |cols| (planes, rows, cols)))
                {
                    let Some(phase) = phases.next() else { return };
                    for (plane, source_plane) in planes.places() {
                        let (slab, first) = (&mut phase[plane * self.plane..], source_plane * height);
                        for (row, source_row) in rows.places() {
                            let line = &pixels[(first + source_row) * width..][..width];
                            cols.copy(line, &mut slab[row * self.pitch..][..self.pitch]);
                        }
                    }
                }
            }
        }
    }
}

/// How a slab is filled: what lies inside the source, for every phase of depth, height and width.
pub(crate) struct Filling([Vec<Inside>; AXES]);

/// Which slab pixels of an axis and a phase are inside the source: every `step`-th source pixel from `first` on.
#[derive(Clone, Debug)]
struct Inside {
    /// The slab pixels; all others are padding.
    pixels: Range<usize>,
    first: usize,
    step: usize,
}

impl Inside {
    /// For a slab of `len` pixels whose first is `origin` of the source.
    fn new(axis: &Axis, origin: isize, len: usize) -> Self {
        let step = axis.source_step;
        let start = origin.min(0).unsigned_abs().div_ceil(step).min(len);
        let first = (origin + (start * step) as isize) as usize;
        let count = axis.source_len.saturating_sub(first).div_ceil(step).min(len - start);
        // Without pixels, `first` may lie anywhere.
        Self { pixels: start..start + count, first: if count == 0 { 0 } else { first }, step }
    }

    /// Slab pixels with their source pixels.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pixels.clone().zip((self.first..).step_by(self.step))
    }

    /// Copies a line of the source to a line of the slab.
    fn copy(&self, source: &[f32], target: &mut [f32]) {
        let (target, source) = (&mut target[self.pixels.clone()], &source[self.first..]);
        if self.step == 1 {
            target.copy_from_slice(&source[..target.len()]);
        } else {
            for (value, from) in target.iter_mut().zip(source.iter().step_by(self.step)) {
                *value = *from;
            }
        }
    }
}

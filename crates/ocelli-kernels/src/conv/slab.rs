//! The slab: the pixels that a tile of results reads, with padding as zeros and strides undone (see [`super::plan`]).

use std::ops::Range;

use super::plan::{Axis, Plan};
use crate::tile::{Offsets, UNIT, WIDTH};

/// A run of result rows in one picture, or several whole pictures side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) images: Range<usize>,
    pub(crate) rows: Range<usize>,
}

/// Cuts `0..total` into `count` ranges whose lengths differ by at most one.
pub(crate) fn even_parts(total: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).map(move |part| part * total / count..(part + 1) * total / count)
}

/// Cuts the results of a plan into tiles of at most `target` positions, if a row is no longer. The cut depends on the
/// shape alone, never on the threads.
pub(crate) fn tiles(plan: &Plan, target: usize) -> Vec<Tile> {
    let (height, width) = (plan.axes[0].count, plan.axes[1].count);
    let plane = plan.count();
    if plan.batch == 0 || plane == 0 {
        return Vec::new();
    }
    if plane <= target {
        return pieces(plan.batch, plane, target).map(|images| Tile { images, rows: 0..height }).collect();
    }
    (0..plan.batch)
        .flat_map(|image| {
            pieces(height, width, target).map(move |rows| Tile { images: image..image + 1, rows })
        })
        .collect()
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

/// How a slab lies in memory: `[images, channels, vertical phases, horizontal phases, rows, cols]`.
#[derive(Clone, Debug)]
pub(crate) struct SlabShape {
    /// How rows are filled, for every horizontal phase.
    lines: Vec<Line>,
    /// Numbers between neighbouring pictures, channels, phases and rows.
    pub(crate) image: usize,
    channel: usize,
    phase: usize,
    pub(crate) pitch: usize,
}

impl SlabShape {
    /// The slab of tiles of at most `rows` result rows, of `channels` channels.
    pub(crate) fn new(plan: &Plan, channels: usize, rows: usize) -> Self {
        let [vertical, horizontal] = &plan.axes;
        let pitch = horizontal.slab_len(horizontal.count);
        let phase = vertical.slab_len(rows) * pitch;
        let channel = vertical.origins.len() * horizontal.origins.len() * phase;
        Self {
            lines: horizontal.origins.iter().map(|&origin| Line::new(horizontal, origin, pitch)).collect(),
            image: channels * channel,
            channel,
            phase,
            pitch,
        }
    }

    /// The source of a pointwise plan, which needs no slab.
    pub(crate) fn in_place(plan: &Plan) -> Self {
        Self {
            lines: vec![Line::new(&plan.axes[1], 0, plan.axes[1].source_len)],
            image: plan.source_image(),
            channel: plan.source_plane(),
            phase: plan.source_plane(),
            pitch: plan.axes[1].source_len,
        }
    }

    /// Numbers of a slab of so many pictures, with room for a panel that starts at its last number.
    pub(crate) fn len(&self, images: usize) -> usize {
        images * self.image + WIDTH
    }

    /// Where every tap of the first `channels` reads, relative to a position: the inner dimension in the filters' order.
    pub(crate) fn offsets(&self, plan: &Plan, channels: usize) -> Offsets {
        let mut offsets = Offsets::default();
        for channel in 0..channels {
            for row in &plan.axes[0].taps {
                for col in &plan.axes[1].taps {
                    let phase = row.phase * self.lines.len() + col.phase;
                    let pixel = row.shift * self.pitch + col.shift;
                    offsets.push(channel * self.channel + phase * self.phase + pixel);
                }
            }
        }
        offsets
    }

    /// Copies channels `channels` (absolute) of `source` to the slab of `tile`. Padding is left as it is: the same
    /// places of every channel, zero from the start.
    pub(crate) fn fill(
        &self,
        plan: &Plan,
        source: &[f32],
        tile: &Tile,
        channels: Range<usize>,
        slab: &mut [f32],
    ) {
        let [vertical, horizontal] = &plan.axes;
        let rows = vertical.slab_len(tile.rows.len());
        for (image, slab) in tile.images.clone().zip(slab.chunks_exact_mut(self.image)) {
            let mut planes = slab.chunks_exact_mut(self.phase);
            for channel in channels.clone() {
                let at = image * plan.source_image() + channel * plan.source_plane();
                let pixels = &source[at..at + plan.source_plane()];
                for row_origin in &vertical.origins {
                    let first = row_origin + (tile.rows.start * vertical.source_step) as isize;
                    for line in &self.lines {
                        let Some(plane) = planes.next() else { return };
                        for (row, target) in plane.chunks_exact_mut(self.pitch).take(rows).enumerate() {
                            let row = first + (row * vertical.source_step) as isize;
                            if let Some(row) =
                                usize::try_from(row).ok().filter(|&row| row < vertical.source_len)
                            {
                                line.copy(&pixels[row * horizontal.source_len..], target);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How every slab row of a horizontal phase is filled: with every `step`-th pixel from `first`.
#[derive(Clone, Debug)]
struct Line {
    /// Where they go; the rest of the row is padding.
    pixels: Range<usize>,
    first: usize,
    step: usize,
}

impl Line {
    fn new(axis: &Axis, origin: isize, len: usize) -> Self {
        let step = axis.source_step;
        let start = origin.min(0).unsigned_abs().div_ceil(step).min(len);
        let first = (origin + (start * step) as isize) as usize;
        let count = axis.source_len.saturating_sub(first).div_ceil(step).min(len - start);
        // Without pixels, `first` may lie anywhere.
        Self { pixels: start..start + count, first: if count == 0 { 0 } else { first }, step }
    }

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

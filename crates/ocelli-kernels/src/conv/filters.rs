//! The gradient of the filters: how every tap's pixels go along with the output gradient, summed over all positions.
//!
//! Here the positions are the inner dimension of the product. A vector holds the gradients of sixteen output channels at
//! one position, so the output gradient is transposed first; the pixels are read as scalars where they lie in the
//! slab.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::plan::Plan;
use super::slab::{Filling, SlabShape, Tile, even_parts, tiles};
use crate::memory::with_scratch;
use crate::tile::{HEIGHT, Offsets, Product, Sums, UNIT, WIDTH, Walk};
use ocelli_simd::lanes::transpose;

/// Jobs wanted, for many threads to share.
const JOBS: usize = 16;
/// A tile's slab and its transposed gradients have about this many numbers each, a quarter of a core's second-level
/// cache.
const TILE: usize = 64 * 1024;

/// Gradient `[O, C / groups, ...]` of the filters, from `x` `[B, C, ...]` and the output's `[B, O, ...]`.
///
/// The batch is cut into slices whose sums are added in order. Slices and channel blocks depend on the shape alone, so
/// the result does not depend on the threads.
pub(crate) fn weight_gradient(geometry: &Geometry, x: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let plan = Plan::forward(geometry);
    let lanes = geometry.group_out().next_multiple_of(UNIT);
    let whole = plan.axes.each_ref().map(|axis| axis.count);
    let pixels = SlabShape::new(&plan, plan.source_channels, whole).image / plan.count().max(1);
    let tiles = tiles(&plan, (TILE / pixels.max(lanes)).max(WIDTH));
    if tiles.is_empty() {
        return vec![0.0; geometry.out_channels * geometry.depth()];
    }
    let slices = slice_count(geometry, tiles.len());
    let groups = geometry.options.groups;
    let block_count = JOBS.div_ceil(slices * groups).clamp(1, geometry.group_in());
    let slices: Vec<_> = even_parts(tiles.len(), slices).collect();
    let blocks: Vec<_> = even_parts(geometry.group_in(), block_count).collect();
    let gradients = Gradients::new(geometry, &plan, output_gradient, blocks.len() > 1);
    let job = |index: usize| {
        let (rest, block) = (index / blocks.len(), &blocks[index % blocks.len()]);
        let (slice, group) = (rest / groups, rest % groups);
        Block { plan: &plan, x, gradients: &gradients, group, channels: block.clone() }
            .sum(&tiles[slices[slice].clone()])
    };
    let sums: Vec<_> = (0..slices.len() * groups * blocks.len()).into_par_iter().map(job).collect();
    assemble(geometry, &blocks, &sums)
}

/// Adds the sums of all slices, ordered `[slices, groups, blocks]`, to the gradient of all filters.
fn assemble(geometry: &Geometry, blocks: &[Range<usize>], sums: &[Vec<Sums>]) -> Vec<f32> {
    let (depth, area) = (geometry.depth(), geometry.kernel_area());
    let mut gradient = vec![0.0; geometry.out_channels * depth];
    // Sixteen filters of one group at a time share the vectors they were summed in.
    let groups = gradient.chunks_exact_mut(geometry.group_out() * depth).enumerate();
    let chunks: Vec<_> = groups
        .flat_map(|(group, filters)| {
            filters.chunks_mut(UNIT * depth).enumerate().map(move |(unit, filters)| (group, unit, filters))
        })
        .collect();
    chunks.into_par_iter().for_each(|(group, unit, filters)| {
        for slice in sums.chunks_exact(geometry.options.groups * blocks.len()) {
            for (block, sums) in blocks.iter().zip(&slice[group * blocks.len()..]) {
                add_unit(sums, unit, block.start * area..block.end * area, depth, filters);
            }
        }
    });
    gradient
}

/// How many batch slices to sum apart: enough for many threads, few enough that adding their sums costs little.
fn slice_count(geometry: &Geometry, tiles: usize) -> usize {
    let weights = geometry.out_channels * geometry.depth();
    let pixels = geometry.in_channels * geometry.in_plane() + geometry.out_channels * geometry.out_plane();
    (geometry.batch * pixels / (4 * weights)).clamp(1, JOBS).min(tiles)
}

/// Adds the sums of filters `unit * 16..` over the taps `taps` to their rows of `depth` taps.
fn add_unit(sums: &[Sums], unit: usize, taps: Range<usize>, depth: usize, filters: &mut [f32]) {
    let lines = taps.len().div_ceil(HEIGHT) * HEIGHT;
    let (wide, lane) = (unit * UNIT / WIDTH, unit * UNIT % WIDTH);
    let sums = &sums.as_flattened()[wide * lines..];
    for (tap, sums) in taps.zip(sums) {
        for (filter, sum) in filters.chunks_exact_mut(depth).zip(&sums[lane..]) {
            filter[tap] += sum;
        }
    }
}

/// The output gradient with channels innermost: `[groups, positions, lanes]`, lanes past a group's channels unused.
struct Gradients<'a> {
    geometry: &'a Geometry,
    plan: &'a Plan,
    values: &'a [f32],
    lanes: usize,
    /// The transpose of the whole batch, where several jobs need the same tile.
    transposed: Option<Vec<f32>>,
}

impl<'a> Gradients<'a> {
    fn new(geometry: &'a Geometry, plan: &'a Plan, values: &'a [f32], shared: bool) -> Self {
        let lanes = geometry.group_out().next_multiple_of(UNIT);
        let mut gradients = Self { geometry, plan, values, lanes, transposed: None };
        if shared {
            let image = geometry.out_plane() * lanes;
            let mut all = vec![0.0; geometry.options.groups * geometry.batch * image];
            all.par_chunks_exact_mut(image).enumerate().for_each(|(index, target)| {
                let (group, image) = (index / geometry.batch, index % geometry.batch);
                gradients.transpose(group, image, 0..geometry.out_plane(), target);
            });
            gradients.transposed = Some(all);
        }
        gradients
    }

    fn transpose(&self, group: usize, image: usize, positions: Range<usize>, target: &mut [f32]) {
        let (plane, channels) = (self.geometry.out_plane(), self.geometry.group_out());
        let first = (image * self.geometry.out_channels + group * channels) * plane;
        transpose(
            &self.values[first + positions.start..],
            plane,
            [channels, positions.len()],
            target,
            self.lanes,
        );
    }

    /// The transposed gradients of a tile, made in `space` unless they are there already.
    fn of_tile<'t>(&'t self, group: usize, tile: &Tile, space: &'t mut [f32]) -> &'t [f32] {
        let plane = self.geometry.out_plane();
        let positions = tile.positions(self.plan);
        if let Some(all) = &self.transposed {
            let first = (group * self.geometry.batch + tile.images.start) * plane + positions.start;
            return &all[first * self.lanes..];
        }
        for (image, target) in tile.images.clone().zip(space.chunks_mut(positions.len() * self.lanes)) {
            self.transpose(group, image, positions.clone(), target);
        }
        space
    }
}

/// The gradient of some input channels' taps in all filters of a group.
struct Block<'a> {
    plan: &'a Plan,
    x: &'a [f32],
    gradients: &'a Gradients<'a>,
    group: usize,
    /// Within the group.
    channels: Range<usize>,
}

impl Block<'_> {
    /// Sums over the positions of `tiles`: for every 48 filters, the taps in groups of eight.
    fn sum(&self, tiles: &[Tile]) -> Vec<Sums> {
        let lanes = self.gradients.lanes;
        let (size, images) = Tile::largest(tiles);
        let slab_shape = SlabShape::new(self.plan, self.channels.len(), size);
        let taps = slab_shape.offsets(self.plan, self.channels.len());
        let lines = taps.values().len().div_ceil(HEIGHT);
        let mut sums = vec![[[0.0; WIDTH]; HEIGHT]; lanes.div_ceil(WIDTH) * lines];
        let first = self.group * self.plan.source_channels;
        let channels = first + self.channels.start..first + self.channels.end;
        let mut positions = Offsets::default();
        let space = if self.gradients.transposed.is_some() {
            0
        } else {
            images * size.iter().product::<usize>() * lanes
        };
        let slab_len = slab_shape.len(images);
        with_scratch(slab_len + space, |scratch| {
            let (slab, space) = scratch.split_at_mut(slab_len);
            let mut filling: Option<(&Tile, Filling)> = None;
            for tile in tiles {
                // Padding lies at the same places as long as the positions are the same.
                if filling.as_ref().is_none_or(|(known, _)| known.axes != tile.axes) {
                    slab.fill(0.0);
                    filling = Some((tile, slab_shape.filling(self.plan, tile)));
                }
                if let Some((_, filling)) = &filling {
                    let part = (tile.images.clone(), channels.clone());
                    slab_shape.fill(self.plan, filling, self.x, part, slab);
                }
                positions.clear();
                let [planes, rows, width] = tile.size();
                for row in 0..tile.images.len() * planes * rows {
                    let position = [row / rows % planes, row % rows, 0];
                    let start = slab_shape.position(row / rows / planes, position);
                    positions.extend(start..start + width);
                }
                let gradients = self.gradients.of_tile(self.group, tile, space);
                for (wide, sums) in sums.chunks_exact_mut(lines).enumerate() {
                    let units = (lanes - wide * WIDTH).min(WIDTH) / UNIT;
                    for (taps, sums) in taps.values().chunks(HEIGHT).zip(sums) {
                        let starts = taps.iter().map(|&tap| tap as usize);
                        let vectors = &gradients[wide * WIDTH..];
                        let walk = Walk::ScalarsAt { stride: lanes, offsets: &positions };
                        Product::new(vectors, units, slab, starts, walk).apply(sums, true);
                    }
                }
            }
        });
        sums
    }
}

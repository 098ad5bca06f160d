//! The gradient of the filters: how every tap's pixels go along with the output gradient, summed over all positions.
//!
//! Here the positions are the inner dimension of the product. A vector holds the gradients of sixteen output channels at
//! one position, so the output gradient is transposed first. The pixels are scalars: of eight input channels under the
//! same tap, read where they lie without the padding; or, of few channels, under eight taps, read from a slab.

use std::ops::Range;

use super::border::{self, Region};
use super::geometry::Geometry;
use super::plan::Plan;
use super::slab::{Filling, SlabShape, Tile, even_parts, tiles};
use crate::jobs;
use crate::memory::with_scratch;
use crate::tile::{HEIGHT, Offsets, Product, Steps, Sums, UNIT, WIDTH, Walk};
use ocelli_simd::lanes::transpose;

/// Jobs wanted, for many threads to share.
const JOBS: usize = 16;
/// A tile's slab and its transposed gradients have about this many numbers each, a quarter of a core's second-level
/// cache.
const TILE: usize = 64 * 1024;
/// Most positions of a tile whose pixels are read where they lie: those of eight channels should stay in a core's
/// first-level cache.
const POSITIONS: usize = 640;
/// Rows of sums turned at a time.
const ROWS: usize = 512;

/// Gradient `[O, C / groups, ...]` of the filters, from `x` `[B, C, ...]` and the output's `[B, O, ...]`.
///
/// The batch is cut into slices whose sums are added in order. Slices and channel blocks depend on the shape alone, so
/// the result does not depend on the threads.
pub(crate) fn weight_gradient(geometry: &Geometry, x: &[f32], output_gradient: &[f32]) -> Vec<f32> {
    let plan = &Plan::forward(geometry);
    let regions = &Region::all(plan);
    let order = Order::best(plan, regions);
    let lanes = geometry.group_out().next_multiple_of(UNIT);
    let target = match order {
        Order::Channels => (TILE / lanes).min(POSITIONS),
        Order::Taps => {
            let whole = plan.axes.each_ref().map(|axis| axis.count);
            let pixels = SlabShape::new(plan, plan.source_channels, whole).image / plan.count().max(1);
            TILE / pixels.max(lanes)
        }
    };
    let tiles = tiles(plan, target.max(WIDTH));
    if tiles.is_empty() {
        return vec![0.0; geometry.out_channels * geometry.depth()];
    }
    let slices = slice_count(geometry, tiles.len());
    let groups = geometry.options.groups;
    let unit = order.channels();
    let units = geometry.group_in().div_ceil(unit);
    let slices: Vec<_> = even_parts(tiles.len(), slices).collect();
    let blocks: Vec<_> = even_parts(units, JOBS.div_ceil(slices.len() * groups).clamp(1, units))
        .map(|part| part.start * unit..(part.end * unit).min(geometry.group_in()))
        .collect();
    let gradients = Gradients::new(geometry, plan, output_gradient, blocks.len() > 1);
    let job = |index: usize| {
        let (rest, block) = (index / blocks.len(), &blocks[index % blocks.len()]);
        let (slice, group) = (rest / groups, rest % groups);
        let tiles = &tiles[slices[slice].clone()];
        let block = Block { plan, regions, x, gradients: &gradients, group, channels: block.clone() };
        match order {
            Order::Channels => block.sum_in_place(tiles),
            Order::Taps => block.sum_over_slab(tiles),
        }
    };
    let sums: Vec<_> = jobs::map(slices.len() * groups * blocks.len(), job);
    assemble(geometry, order, &blocks, &sums)
}

/// What the eight lines of a register tile are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Eight channels under one tap.
    Channels,
    /// Eight neighbours among the taps of all channels.
    Taps,
}

impl Order {
    /// The order that leaves fewer lines unused and forms fewer products with padding.
    fn best(plan: &Plan, regions: &[Region]) -> Self {
        let in_place = plan.source_channels.next_multiple_of(HEIGHT) * border::products(regions);
        let over_slab = plan.depth().next_multiple_of(HEIGHT) * plan.count();
        if in_place <= over_slab + over_slab / 8 { Self::Channels } else { Self::Taps }
    }

    /// Channels that lines have in common.
    fn channels(self) -> usize {
        if self == Self::Channels { HEIGHT } else { 1 }
    }

    /// The line, counted through all tiles, of a channel's tap.
    fn line(self, channel: usize, tap: usize, taps: usize) -> usize {
        match self {
            Self::Channels => (channel / HEIGHT * taps + tap) * HEIGHT + channel % HEIGHT,
            Self::Taps => channel * taps + tap,
        }
    }

    /// Tiles of the lines of so many channels.
    fn tiles(self, channels: usize, taps: usize) -> usize {
        match self {
            Self::Channels => channels.div_ceil(HEIGHT) * taps,
            Self::Taps => (channels * taps).div_ceil(HEIGHT),
        }
    }
}

/// Adds the sums of all slices, ordered `[slices, groups, blocks]`, to the gradient of all filters.
fn assemble(geometry: &Geometry, order: Order, blocks: &[Range<usize>], sums: &[Vec<Sums>]) -> Vec<f32> {
    let (depth, area) = (geometry.depth(), geometry.kernel_area());
    let mut gradient = vec![0.0; geometry.out_channels * depth];
    // Sixteen filters of one group at a time share the vectors they were summed in.
    let groups = gradient.chunks_exact_mut(geometry.group_out() * depth).enumerate();
    let chunks = groups.flat_map(|(group, filters)| {
        filters.chunks_mut(UNIT * depth).enumerate().map(move |(unit, filters)| (group, unit, filters))
    });
    let stride = geometry.options.groups * blocks.len();
    jobs::each(chunks, |(group, unit, filters)| {
        let count = filters.len() / depth;
        for (index, block) in blocks.iter().enumerate() {
            let slices = sums.iter().skip(group * blocks.len() + index).step_by(stride);
            let tiles = order.tiles(block.len(), area);
            let lines = (0..block.len() * area).map(|row| order.line(row / area, row % area, area));
            let mut rows = [[0.0_f32; UNIT]; ROWS];
            for first in (0..block.len() * area).step_by(ROWS) {
                let some = (block.len() * area - first).min(ROWS);
                let lines = lines.clone().skip(first).take(some);
                add_rows(slices.clone(), (unit, tiles), lines, &mut rows);
                let target = &mut filters[block.start * area + first..];
                transpose(rows.as_flattened(), UNIT, [some, count], target, depth);
            }
        }
    });
    gradient
}

/// Sets `rows` to the sums over all slices of vector `unit` of some lines; every sum has `tiles` tiles for 48 filters.
fn add_rows<'a>(
    slices: impl Iterator<Item = &'a Vec<Sums>>,
    (unit, tiles): (usize, usize),
    lines: impl Iterator<Item = usize> + Clone,
    rows: &mut [[f32; UNIT]],
) {
    let (wide, lane) = (unit * UNIT / WIDTH, unit * UNIT % WIDTH);
    for (index, sums) in slices.enumerate() {
        let sums = &sums[wide * tiles..(wide + 1) * tiles].as_flattened();
        for (row, line) in rows.iter_mut().zip(lines.clone()) {
            let sums = &sums[line][lane..lane + UNIT];
            if index == 0 {
                row.copy_from_slice(sums);
            } else {
                row.iter_mut().zip(sums).for_each(|(row, sum)| *row += sum);
            }
        }
    }
}

/// How many batch slices to sum apart: enough for many threads, few enough that adding their sums costs little.
fn slice_count(geometry: &Geometry, tiles: usize) -> usize {
    let weights = geometry.out_channels * geometry.depth();
    let pixels = geometry.in_channels * geometry.in_plane() + geometry.out_channels * geometry.out_plane();
    (geometry.batch * pixels / (4 * weights)).clamp(1, JOBS).min(tiles)
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
            jobs::each(all.chunks_exact_mut(image).enumerate(), |(index, target)| {
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
    regions: &'a [Region],
    x: &'a [f32],
    gradients: &'a Gradients<'a>,
    group: usize,
    /// Within the group.
    channels: Range<usize>,
}

impl Block<'_> {
    /// Sums over the positions of `tiles`: for every 48 filters and eight channels, their taps one by one.
    fn sum_in_place(&self, tiles: &[Tile]) -> Vec<Sums> {
        let (plan, lanes) = (self.plan, self.gradients.lanes);
        let lines = Order::Channels.tiles(self.channels.len(), plan.taps());
        let mut sums = vec![[[0.0; WIDTH]; HEIGHT]; lanes.div_ceil(WIDTH) * lines];
        let mut taps = vec![Steps::default(); plan.taps()];
        let first = self.group * plan.source_channels;
        with_scratch(self.space(tiles), |space| {
            let mut known: Option<&Tile> = None;
            for tile in tiles {
                // The steps are the same as long as the positions are.
                let same = |known: &Tile| known.axes == tile.axes && known.images.len() == tile.images.len();
                if !known.is_some_and(same) {
                    self.steps(tile, &mut taps);
                    known = Some(tile);
                }
                let gradients = self.gradients.of_tile(self.group, tile, space);
                for (wide, sums) in sums.chunks_exact_mut(lines).enumerate() {
                    let units = (lanes - wide * WIDTH).min(WIDTH) / UNIT;
                    let mut sums = sums.iter_mut();
                    for channel in self.channels.clone().step_by(HEIGHT) {
                        let channels = channel..(channel + HEIGHT).min(self.channels.end);
                        let start = tile.images.start * plan.source_image();
                        let starts = channels.map(|channel| start + (first + channel) * plan.source_plane());
                        for (steps, sums) in taps.iter().zip(&mut sums) {
                            if steps.len() > 0 {
                                let vectors = &gradients[wide * WIDTH..];
                                Product::new(vectors, units, self.x, starts.clone(), Walk::At(steps))
                                    .apply(sums, true);
                            }
                        }
                    }
                }
            }
        });
        sums
    }

    /// The steps of every tap: its positions in a tile that meet pixels, which it reads in the first channel.
    fn steps(&self, tile: &Tile, taps: &mut [Steps]) {
        let (plan, lanes) = (self.plan, self.gradients.lanes);
        taps.iter_mut().for_each(Steps::clear);
        let (first, by) = (tile.positions(plan), [lanes, plan.axes[2].source_step]);
        for image in 0..tile.images.len() {
            for region in self.regions {
                region.for_each_row(plan, &tile.axes, |result, pixel, count| {
                    let position = plan.position(result) - first.start + image * first.len();
                    for &(tap, way) in &region.taps {
                        let pixel = image * plan.source_image() + pixel + way;
                        taps[tap].extend([position * lanes, pixel], by, count);
                    }
                });
            }
        }
    }

    /// Numbers that the transposed gradients of a tile need, unless they are there already.
    fn space(&self, tiles: &[Tile]) -> usize {
        let (size, images) = Tile::largest(tiles);
        match self.gradients.transposed {
            Some(_) => 0,
            None => images * size.iter().product::<usize>() * self.gradients.lanes,
        }
    }

    /// Sums over the positions of `tiles`: for every 48 filters, the taps in groups of eight.
    fn sum_over_slab(&self, tiles: &[Tile]) -> Vec<Sums> {
        let lanes = self.gradients.lanes;
        let (size, images) = Tile::largest(tiles);
        let slab_shape = SlabShape::new(self.plan, self.channels.len(), size);
        let taps = slab_shape.offsets(self.plan, self.channels.len());
        let lines = Order::Taps.tiles(self.channels.len(), self.plan.taps());
        let mut sums = vec![[[0.0; WIDTH]; HEIGHT]; lanes.div_ceil(WIDTH) * lines];
        let first = self.group * self.plan.source_channels;
        let channels = first + self.channels.start..first + self.channels.end;
        let mut positions = Offsets::default();
        let space = self.space(tiles);
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

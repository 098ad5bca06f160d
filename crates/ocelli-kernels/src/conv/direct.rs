//! The forward pass of a plan with filters in the lanes of the register tiles and pixels as their scalars.
//!
//! A tile sums up to 48 filters at eight positions. Pixels are read where they lie in the source, whatever the stride, and
//! taps that meet padding are left out (see [`super::border`]). The filters have to be packed first, and every tile
//! turned as it is stored; what is saved is weighed against that by [`pays`].

use std::ops::Range;

use super::border::{self, Region};
use super::pack::{Packed, blocks};
use super::plan::Plan;
use super::slab::{Tile, even_parts, tiles};
use crate::jobs;
use crate::memory::{OutputRun, SharedOutput, with_scratch};
use crate::tile::{HEIGHT, Product, Steps, Sums, UNIT, WIDTH, Walk, turn};

/// Steps of the inner dimension taken at a time: their filters, 48 lanes each, should stay in a core's caches.
const DEPTH: usize = 1152;
/// Most positions of a tile: their pixels should stay in a core's second-level cache.
const POSITIONS: usize = 400;
/// Jobs wanted for each thread, so that none waits long for the last.
const JOBS_PER_THREAD: usize = 4;

/// The numbers of a correlation: `source` `[B, C, ...]`, packed filters, `bias` `[O]`.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) source: &'a [f32],
    pub(crate) filters: &'a Packed,
    pub(crate) bias: Option<&'a [f32]>,
}

/// Processor cycles that a step of eight positions takes with all filters of a group.
fn step_cycles(channels: usize) -> usize {
    blocks(channels).map(|block| (HEIGHT * block.len().div_ceil(UNIT)).max(HEIGHT + 1)).sum()
}

/// Whether this way is faster than over gathered columns, in processor cycles. `transposes` says that the other way
/// would have to turn the filters too.
pub(crate) fn pays(plan: &Plan, transposes: bool) -> bool {
    if plan.is_pointwise() {
        return false;
    }
    let positions = plan.batch * plan.count();
    let weights = plan.target_channels * plan.depth();
    let inner = plan.batch * border::products(&Region::all(plan)) * plan.source_channels;
    let direct = inner * step_cycles(plan.target_channels) / HEIGHT
        + weights
        + positions * plan.target_channels * 3 / 2;
    let steps = positions * plan.depth();
    let gathered = steps * plan.target_channels * 3 / WIDTH * 21 / 20
        + steps * 30 / WIDTH
        + if transposes { 2 * weights } else { 0 };
    direct < gathered
}

/// Stores the results of `plan` at their places in `output`; those of other plans are left alone.
pub(crate) fn correlate(plan: &Plan, operands: Operands<'_>, output: SharedOutput<'_>) {
    // Every result is summed in the same order however the work is cut, so the cut may follow the threads.
    let threads = rayon::current_num_threads();
    let share = (plan.batch * plan.count()).div_ceil(JOBS_PER_THREAD * threads);
    let tiles = tiles(plan, share.clamp(2 * WIDTH, POSITIONS));
    let taps = plan.taps().max(1);
    let channels = (DEPTH / taps).clamp(1, plan.source_channels.max(1));
    let regions: Vec<_> = Region::all(plan)
        .into_iter()
        .map(|region| {
            let steps = [channels, plan.source_channels % channels].map(|some| steps(plan, &region, some));
            (region, steps)
        })
        .collect();
    // With few positions the filters are shared out too.
    let count = blocks(plan.target_channels).len();
    let splits = (2 * threads).div_ceil((tiles.len() * plan.groups).max(1)).clamp(1, count.max(1));
    let shares: Vec<_> = even_parts(count, splits).collect();
    jobs::run(tiles.len() * plan.groups * shares.len(), |job| {
        let (rest, share) = (job / shares.len(), &shares[job % shares.len()]);
        let job = Job {
            plan,
            operands,
            regions: &regions,
            channels,
            tile: &tiles[rest / plan.groups],
            group: rest % plan.groups,
        };
        job.run(share.clone(), output);
    });
}

/// What the taps of a region read in the first `channels` source channels, with lanes of one number: vectors are scaled
/// by a block's lanes, for all numbers of vectors that the plan's blocks have.
fn steps(plan: &Plan, region: &Region, channels: usize) -> [Steps; WIDTH / UNIT] {
    let mut all: [Steps; WIDTH / UNIT] = Default::default();
    for units in blocks(plan.target_channels).map(|block| block.len().div_ceil(UNIT)) {
        let steps = &mut all[units - 1];
        if steps.len() > 0 {
            continue;
        }
        for channel in 0..channels {
            for &(tap, pixel) in &region.taps {
                let step = channel * plan.taps() + tap;
                steps.push(step * units * UNIT, channel * plan.source_plane() + pixel);
            }
        }
    }
    all
}

/// All results of some filters of one group in one tile.
struct Job<'a> {
    plan: &'a Plan,
    operands: Operands<'a>,
    /// Regions, and the steps of a full block of source channels and of the last block, for one to three vectors.
    regions: &'a [(Region, [[Steps; WIDTH / UNIT]; 2])],
    /// Source channels taken at a time.
    channels: usize,
    tile: &'a Tile,
    group: usize,
}

impl Job<'_> {
    fn run(&self, filters: Range<usize>, output: SharedOutput<'_>) {
        let plan = self.plan;
        let places = self.places();
        with_scratch(places.len() * HEIGHT * WIDTH, |sums| {
            let sums = sums.as_chunks_mut::<WIDTH>().0.as_chunks_mut::<HEIGHT>().0;
            for block in blocks(plan.target_channels).skip(filters.start).take(filters.len()) {
                for first in (0..plan.source_channels.max(1)).step_by(self.channels) {
                    for (places, sums) in places.iter().zip(sums.iter_mut()) {
                        self.multiply(places, &block, first, sums);
                    }
                }
                for (places, sums) in places.iter().zip(sums.iter()) {
                    self.store(places, &block, sums, output);
                }
            }
        });
    }

    /// Cuts the tile's positions into eights that the same taps reach.
    fn places(&self) -> Vec<Places> {
        let plan = self.plan;
        let mut all = Vec::with_capacity(self.tile.images.len() * plan.count() / HEIGHT + self.regions.len());
        for (index, (region, _)) in self.regions.iter().enumerate() {
            let mut places = Places::new(index);
            for image in self.tile.images.clone() {
                region.for_each(plan, &self.tile.axes, |result, pixel| {
                    if places.count == HEIGHT {
                        all.push(std::mem::replace(&mut places, Places::new(index)));
                    }
                    let target = image * plan.groups * plan.target_channels * plan.target_plane()
                        + plan.target(result);
                    places.push(image * plan.source_image() + pixel, target);
                });
            }
            if places.count > 0 {
                all.push(places);
            }
        }
        all
    }

    /// Adds the products of a block of filters, from source channel `first` on, and the pixels that they read.
    fn multiply(&self, places: &Places, block: &Range<usize>, first: usize, sums: &mut Sums) {
        let plan = self.plan;
        let full = first + self.channels <= plan.source_channels;
        let units = block.len().div_ceil(UNIT);
        let steps = &self.regions[places.region].1[usize::from(!full)][units - 1];
        let offset = (self.group * plan.source_channels + first) * plan.source_plane();
        // Without steps nothing is read.
        let offset = if steps.len() == 0 { 0 } else { offset };
        let starts = places.sources[..places.count].iter().map(|source| offset + source);
        let vectors = self.operands.filters.block(self.group, block, first * plan.taps());
        Product::new(vectors, units, self.operands.source, starts, Walk::At(steps)).apply(sums, first > 0);
    }

    /// Moves the sums of a block of filters to the output.
    #[allow(unsafe_code)] // the jobs' targets interleave
    fn store(&self, places: &Places, block: &Range<usize>, sums: &Sums, output: SharedOutput<'_>) {
        let plan = self.plan;
        let mut turned = [[0.0; HEIGHT]; WIDTH];
        turn(sums, block.len().div_ceil(UNIT), &mut turned);
        let channel = self.group * plan.target_channels + block.start;
        if let Some(bias) = self.operands.bias {
            for (sums, bias) in turned.iter_mut().zip(&bias[channel..channel + block.len()]) {
                sums.iter_mut().for_each(|sum| *sum += bias);
            }
        }
        // SAFETY: every result of a plan belongs to one position, filter and picture, and plans that share an output have
        // targets of different residues; this job alone has these.
        unsafe {
            output.scatter(
                channel * plan.target_plane(),
                plan.target_plane(),
                &places.targets[..places.runs],
                &turned[..block.len()],
            );
        }
    }
}

/// Up to eight positions that the same taps reach.
#[derive(Clone)]
struct Places {
    region: usize,
    count: usize,
    /// The pixel of the first tap, in the first channel.
    sources: [usize; HEIGHT],
    /// Runs of neighbours in the output: its first line, its length, its first number in the first channel.
    targets: [OutputRun; HEIGHT],
    runs: usize,
}

impl Places {
    fn new(region: usize) -> Self {
        Self { region, count: 0, sources: [0; HEIGHT], targets: [OutputRun::default(); HEIGHT], runs: 0 }
    }

    fn push(&mut self, source: usize, target: usize) {
        self.sources[self.count] = source;
        match self.targets[..self.runs].last_mut() {
            Some(run) if run.target + run.len == target => run.len += 1,
            _ => {
                self.targets[self.runs] = OutputRun { from: self.count, len: 1, target };
                self.runs += 1;
            }
        }
        self.count += 1;
    }
}

//! The forward pass of a plan as products of filters and columns, over register tiles.

use std::ops::Range;

use super::gather::{self, Moves};
use super::geometry::AXES;
use super::plan::Plan;
use super::slab::{Filling, SlabShape, Tile, even_parts, tiles};
use crate::jobs;
use crate::memory::{SharedOutput, with_scratch};
use crate::tile::{HEIGHT, Offsets, Product, Sums, UNIT, WIDTH, Walk};
use ocelli_simd::vectorized;

/// Steps of the inner dimension gathered at a time.
const DEPTH: usize = 400;
/// Most positions of a tile: with [`DEPTH`] it bounds the gathered columns, which should stay in a core's second-level
/// cache, and says how often the filters are read again.
const POSITIONS: usize = 400;
/// Jobs wanted for each thread, so that none waits long for the last.
const JOBS_PER_THREAD: usize = 4;

/// The numbers of a correlation: `source` `[B, C, ..]`, `filters` `[O, depth]`, `bias` `[O]`.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) source: &'a [f32],
    pub(crate) filters: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
}

/// Stores the results of `plan` at their places in `output`; those of other plans are left alone.
pub(crate) fn correlate(plan: &Plan, operands: Operands<'_>, output: SharedOutput<'_>) {
    // Every result is summed in the same order however the work is cut, so the cut may follow the threads.
    let threads = rayon::current_num_threads();
    let share = (plan.batch * plan.count()).div_ceil(JOBS_PER_THREAD * threads);
    let tiles = tiles(plan, share.clamp(2 * WIDTH, POSITIONS));
    let (size, _) = Tile::largest(&tiles);
    let channels = (DEPTH / plan.taps().max(1)).clamp(1, plan.source_channels.max(1));
    let slab = match plan.is_pointwise() {
        true => SlabShape::in_place(plan),
        false => SlabShape::new(plan, channels, size),
    };
    let taps = [channels, plan.source_channels % channels].map(|channels| slab.offsets(plan, channels));
    let gathers = gathering_pays(plan, size, slab.pitch);
    // With few positions the filters are shared out too.
    let blocks = plan.target_channels.div_ceil(HEIGHT);
    let splits = threads.div_ceil((tiles.len() * plan.groups).max(1)).min(blocks.div_ceil(2));
    let shares: Vec<_> = even_parts(blocks, splits.max(1)).collect();
    let jobs = tiles.len() * plan.groups * shares.len();
    jobs::run(jobs, |job| {
        let (rest, share) = (job / shares.len(), &shares[job % shares.len()]);
        let filters = share.start * HEIGHT..(share.end * HEIGHT).min(plan.target_channels);
        let job = Job {
            plan,
            operands,
            slab: &slab,
            channels,
            taps: &taps,
            gathers,
            tile: &tiles[rest / plan.groups],
            group: rest % plan.groups,
            filters,
        };
        job.run(output);
    });
}

/// Whether to gather columns before multiplying, so that every lane is a result, or to read vectors where they lie in
/// the slab and waste the lanes between and after its rows.
///
/// In processor cycles for a step of 48 results: gathering takes about four a copy, and a few; the product takes three a
/// filter, and reading across cache lines a thirtieth more.
fn gathering_pays(plan: &Plan, size: [usize; AXES], pitch: usize) -> bool {
    let [_, rows, width] = size.map(|len| len.max(1));
    let product = 3 * plan.target_channels;
    let gathering = 4 * (WIDTH / width + 3) + 15;
    let lanes = ((rows - 1) * pitch + width).next_multiple_of(UNIT);
    let wasting = product * (lanes - rows * width) / (rows * width) + product / 30;
    gathering < wasting
}

/// All results of some filters of one group in one tile.
struct Job<'a> {
    plan: &'a Plan,
    operands: Operands<'a>,
    slab: &'a SlabShape,
    /// Source channels taken at a time.
    channels: usize,
    /// Where the taps of a full block of channels read, and those of the last block.
    taps: &'a [Offsets; 2],
    gathers: bool,
    tile: &'a Tile,
    group: usize,
    /// Within the group.
    filters: Range<usize>,
}

impl Job<'_> {
    fn run(&self, output: SharedOutput<'_>) {
        let plan = self.plan;
        let panels = self.panels();
        let slab_len = if plan.is_pointwise() { 0 } else { self.slab.len(self.tile.images.len()) };
        let panel_len = gather::panel_len(self.taps[0].values().len());
        // Sums that wait for further channels need a place each; others are stored at once.
        let waiting = plan.source_channels > self.channels;
        let blocks = self.filters.len().div_ceil(HEIGHT);
        let sums_len = if waiting { panels.len() * blocks } else { 1 } * HEIGHT * WIDTH;
        with_scratch(slab_len + panels.len() * panel_len + sums_len, |scratch| {
            let (slab, rest) = scratch.split_at_mut(slab_len);
            let (columns, sums) = rest.split_at_mut(panels.len() * panel_len);
            let sums = sums.as_chunks_mut::<WIDTH>().0.as_chunks_mut::<HEIGHT>().0;
            slab.fill(0.0);
            let filling = self.slab.filling(plan, self.tile);
            for first in (0..plan.source_channels.max(1)).step_by(self.channels) {
                let channels = first..(first + self.channels).min(plan.source_channels);
                let taps = &self.taps[usize::from(channels.len() < self.channels)];
                let last = channels.end == plan.source_channels;
                let slab = self.pixels(channels, &filling, slab);
                for (panel, columns) in panels.iter().zip(columns.chunks_exact_mut(panel_len)) {
                    if self.gathers(panel, taps, slab) {
                        panel.moves.gather(slab, taps, columns);
                    }
                }
                for block in 0..blocks {
                    for (index, (panel, columns)) in
                        panels.iter().zip(columns.chunks_exact(panel_len)).enumerate()
                    {
                        let sums = &mut sums[if waiting { block * panels.len() + index } else { 0 }];
                        let filters = self.filters.start + block * HEIGHT;
                        let filters = filters..(filters + HEIGHT).min(self.filters.end);
                        self.multiply(panel, filters.clone(), first, (slab, columns, taps), sums);
                        if last {
                            self.store(panel, filters, sums, output);
                        }
                    }
                }
            }
        });
    }

    /// The pixels of some channels of the group that the tile reads, copied to `slab` unless they can stay in place.
    fn pixels<'s>(&'s self, channels: Range<usize>, filling: &Filling, slab: &'s mut [f32]) -> &'s [f32] {
        let (plan, source) = (self.plan, self.operands.source);
        let first = self.group * plan.source_channels;
        let channels = first + channels.start..first + channels.end;
        if plan.is_pointwise() {
            let first = self.tile.images.start * plan.source_image() + channels.start * plan.source_plane();
            let start = self.tile.axes.each_ref().map(|range| range.start);
            return &source[first + self.slab.position(0, start)..];
        }
        self.slab.fill(plan, filling, source, (self.tile.images.clone(), channels), slab);
        slab
    }

    /// Cuts the tile's positions: side by side through all pictures if they are gathered, else as the slab has them,
    /// plane by plane.
    fn panels(&self) -> Vec<Panel> {
        let [planes, rows, width] = self.tile.size();
        let all_planes = self.tile.images.len() * planes;
        let cut = |planes: Range<usize>, line: usize| {
            let count = planes.len() * rows * line - (line - width);
            (0..count)
                .step_by(WIDTH)
                .map(move |first| Panel::new(self, planes.start, first..(first + WIDTH).min(count), line))
        };
        if self.gathers {
            cut(0..all_planes, width).collect()
        } else {
            (0..all_planes).flat_map(|plane| cut(plane..plane + 1, self.slab.pitch)).collect()
        }
    }

    /// Whether a panel's columns must be gathered: always, or because its last vectors would reach past the source.
    fn gathers(&self, panel: &Panel, taps: &Offsets, slab: &[f32]) -> bool {
        self.gathers || panel.first + taps.bound() + panel.units() * UNIT > slab.len() + 1
    }

    /// Adds the products of up to eight filters' taps, from channel `first` on, and the pixels they read.
    fn multiply(
        &self,
        panel: &Panel,
        filters: Range<usize>,
        first: usize,
        (slab, columns, taps): (&[f32], &[f32], &Offsets),
        sums: &mut Sums,
    ) {
        let plan = self.plan;
        let line = |filter| (self.group * plan.target_channels + filter) * plan.depth() + first * plan.taps();
        let (vectors, walk) = match self.gathers(panel, taps, slab) {
            true => (columns, Walk::Strided { stride: WIDTH, depth: taps.values().len() }),
            false => (&slab[panel.first..], Walk::VectorsAt(taps)),
        };
        Product::new(vectors, panel.units(), self.operands.filters, filters.map(line), walk)
            .apply(sums, first > 0);
    }

    /// Moves the sums of up to eight filters to the output.
    fn store(&self, panel: &Panel, filters: Range<usize>, sums: &Sums, output: SharedOutput<'_>) {
        let plan = self.plan;
        let first = self.group * plan.target_channels;
        let channels = first + filters.start..first + filters.end;
        let mut biases = [0.0; HEIGHT];
        if let Some(bias) = self.operands.bias {
            biases.iter_mut().zip(&bias[channels.clone()]).for_each(|(to, from)| *to = *from);
        }
        store_runs(
            plan,
            &panel.runs[..panel.count],
            (self.tile.images.start, channels),
            sums,
            biases,
            output,
        );
    }
}

vectorized! {
    /// Writes runs of the sums of some channels, each plus its bias; the runs' pictures are counted from the first given.
    fn store_runs(
        plan: &Plan,
        runs: &[Run],
        place: (usize, Range<usize>),
        sums: &Sums,
        biases: [f32; HEIGHT],
        output: SharedOutput<'_>,
    ) {
        let (step, plane) = (plan.axes[2].target_step, plan.target_plane());
        let (first, channels) = place;
        for ((channel, sums), bias) in channels.zip(sums).zip(biases) {
            for run in runs {
                let image = (first + run.image) * plan.groups * plan.target_channels;
                // SAFETY: every result of a plan belongs to one position, filter and picture, and plans that share an
                // output have targets of different residues; this job alone has these.
                let target = unsafe { output.strided((image + channel) * plane + run.target, run.len, step) };
                target.write(&sums[run.lane..run.lane + run.len], bias);
            }
        }
    }
}

/// Neighbouring positions of a panel.
#[derive(Clone, Copy, Default)]
struct Run {
    /// First lane in the panel.
    lane: usize,
    len: usize,
    /// First number in the slab.
    source: usize,
    /// Picture, relative to the tile's first.
    image: usize,
    /// First number in a target plane.
    target: usize,
}

/// Up to [`WIDTH`] lanes of a tile, and what is in them.
struct Panel {
    runs: [Run; WIDTH],
    /// Runs in use.
    count: usize,
    lanes: usize,
    /// First number in the slab.
    first: usize,
    moves: Moves,
}

impl Panel {
    /// The lanes `lanes` of the rows of the tile's planes from `first_plane` on, counted through all pictures; each row is
    /// `line` lanes of which the last may be unused. Runs end where either the slab or the target jumps.
    fn new(job: &Job<'_>, first_plane: usize, lanes: Range<usize>, line: usize) -> Self {
        let (plan, tile) = (job.plan, job.tile);
        let [planes, rows, width] = tile.size();
        let [_, vertical, horizontal] = &plan.axes;
        let per_plane = rows * line;
        let whole_rows = job.slab.pitch == width
            && horizontal.target_step == 1
            && vertical.target_step == 1
            && plan.target_size[2] == width;
        let mut runs = [Run::default(); WIDTH];
        let mut count = 0;
        let mut at = lanes.start;
        while at < lanes.end {
            let (plane, within) = (first_plane + at / per_plane, at % per_plane);
            let (row, col) = (within / line, within % line);
            if col >= width {
                at += line - col;
                continue;
            }
            let end = if whole_rows { per_plane - within } else { width - col };
            let (image, position) = (plane / planes, [plane % planes, row, col]);
            runs[count] = Run {
                lane: at - lanes.start,
                len: end.min(lanes.end - at),
                source: job.slab.position(image, position),
                image,
                target: plan.target(std::array::from_fn(|axis| tile.axes[axis].start + position[axis])),
            };
            at += runs[count].len;
            count += 1;
        }
        let moves = Moves::new(runs[..count].iter().map(|run| (run.source, run.lane, run.len)));
        let first = job.slab.position(first_plane / planes, [first_plane % planes, 0, 0]) + lanes.start;
        Self { runs, count, lanes: lanes.len(), first, moves }
    }

    /// Vectors in use.
    fn units(&self) -> usize {
        self.lanes.div_ceil(UNIT)
    }
}

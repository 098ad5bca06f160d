//! Fused convolution over many channels: bands of pixels for the threads, tiles of registers in them.

use std::ops::Range;

use burn_flex::FlexTensor;

use super::finish::{Ending, Finish, Shortcut};
use super::pack::{Block, Dense, Packed};
use super::plan::{Plan, Segment};
use super::slab::{self, Treatment};
use super::tile::{Begin, MOST_UNITS, Operands, compute, most_pixels};
use super::vector::UNIT;
use super::{Activation, Input, Joint, amx, late, lying};
use crate::conv::{Geometry, even_parts};
use crate::jobs;
use crate::memory::{SharedOutput, filled_aligned, with_scratch};

/// Pixels whose results are computed together: whole tiles of every width.
const CHUNK: usize = 48;

/// Output `[B, H', W', O]`; `shortcut` is of the same shape.
pub(super) fn run(
    packed: &Packed,
    dense: &Dense,
    geometry: &Geometry<2>,
    input: &Input,
    shortcut: Option<(&[f32], Joint)>,
) -> FlexTensor {
    let plain = !dense.pairs && packed.before.is_none() && packed.options.padding == [0, 0];
    let plan = Plan::new(geometry, dense, plain && input.is_by_pixel());
    let treatment = Treatment { map: packed.before.as_ref(), pairs: dense.pairs };
    let slab_len = if plan.is_shared { geometry.batch * plan.picture_rows() * plan.pitch } else { 0 };
    with_scratch(slab_len, |slab| {
        if plan.is_shared {
            slab::fill_shared(&plan, input, treatment, slab);
        }
        walk(&Call { packed, dense, plan, input, slab, treatment, shortcut })
    })
}

/// Output `[B, H', W', O]` of all jobs of a call.
#[allow(unsafe_code)] // the output is not zeroed first
pub(super) fn walk(call: &Call<'_>) -> FlexTensor {
    let plan = &call.plan;
    // SAFETY: the jobs are all blocks of filters in all bands, and a job writes every result of its own.
    unsafe {
        filled_aligned(lying(plan.geometry.out_shape()), |output| {
            jobs::run(plan.bands * plan.splits, |job| call.job(job, output));
        })
    }
}

/// What all jobs of a convolution share.
pub(super) struct Call<'a> {
    pub(super) packed: &'a Packed,
    pub(super) dense: &'a Dense,
    pub(super) plan: Plan<'a>,
    pub(super) input: &'a Input,
    /// All pictures, where they are shared.
    pub(super) slab: &'a [f32],
    pub(super) treatment: Treatment<'a>,
    pub(super) shortcut: Option<(&'a [f32], Joint)>,
}

/// What the tiles of a job share.
struct Band<'a> {
    words: &'a [f32],
    /// Where the pixels of every result start.
    starts: Vec<usize>,
    /// How they become rows of tiles, if the processor multiplies tiles.
    tiles: Option<(amx::Kind, amx::Rows)>,
    /// First result among all pixels of the output.
    first: usize,
}

impl Call<'_> {
    /// Some blocks of filters in one band.
    fn job(&self, job: usize, output: SharedOutput<'_>) {
        let plan = &self.plan;
        let [band, part] = plan.place(job);
        let rows = plan.band(band);
        let width = plan.geometry.out_size[1];
        if rows.is_empty() || width == 0 {
            return;
        }
        let blocks = even_parts(self.dense.blocks.len(), plan.splits).nth(part).unwrap_or(0..0);
        let segments = plan.segments(rows.clone());
        let own_slab = !plan.in_place && !plan.is_shared;
        let slab_len = if own_slab { slab::len(plan, &segments) } else { 0 };
        let line_len = if own_slab { slab::line_len(plan, self.treatment) } else { 0 };
        let waits = plan.pieces.iter().any(|pieces| pieces.len() > 1);
        let sums_len = if waits { rows.len() * width * MOST_UNITS * UNIT } else { 0 };
        with_scratch(slab_len + line_len + sums_len, |scratch| {
            let (slab, rest) = scratch.split_at_mut(slab_len);
            let (line, sums) = rest.split_at_mut(line_len);
            let starts = plan.starts(&segments);
            let tiles = self.dense.tiles.map(|kind| (kind, amx::Rows::new(&starts)));
            let words = self.words(&segments, (slab, line));
            let band = Band { words, starts, tiles, first: rows.start * width };
            let results = rows.len() * width;
            // Few filters stay at hand while all results of a pixel are computed, one after the other in memory.
            let each = if plan.few_filters && band.tiles.is_none() { CHUNK } else { results };
            for first in (0..results).step_by(each) {
                let chunk = first..(first + each).min(results);
                for block in &self.dense.blocks[blocks.clone()] {
                    self.block(block, &band, chunk.clone(), (sums, output));
                }
            }
        });
    }

    /// The words that the tiles of a job read.
    fn words<'w>(&'w self, segments: &[Segment], (slab, line): (&'w mut [f32], &'w mut [f32])) -> &'w [f32] {
        if self.plan.is_shared {
            return self.slab;
        }
        if self.plan.in_place {
            return &self.input.values()[self.input.first..];
        }
        slab::fill(&self.plan, self.input, self.treatment, segments, (slab, line));
        slab
    }

    /// Some results of a block of filters in a band; all of them where the processor multiplies tiles.
    fn block(
        &self,
        block: &Block,
        band: &Band<'_>,
        chunk: Range<usize>,
        (sums, output): (&mut [f32], SharedOutput<'_>),
    ) {
        let (plan, width) = (&self.plan, block.units * UNIT);
        let pieces = &plan.pieces[block.group];
        if let Some((kind, rows)) = &band.tiles {
            let work = amx::Work { words: band.words, starts: &band.starts, rows, pieces, block };
            return amx::block(*kind, &work, |operands, begin, sums, first| {
                self.finish(block, (operands, begin, sums), band.first + first, output);
            });
        }
        let results = chunk.len();
        let tiles = results.div_ceil(most_pixels(block.units));
        let (each, longer) = (results / tiles, results % tiles);
        for (index, (before, runs)) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let mut first = chunk.start;
            for tile in 0..tiles {
                let tile = first..first + each + usize::from(tile < longer);
                first = tile.end;
                let next = if plan.is_one_run() { tile.len() * plan.pixel } else { 0 };
                let operands = Operands {
                    words: band.words,
                    starts: &band.starts[tile.clone()],
                    runs,
                    filters: &block.filters[before * width..],
                    units: block.units,
                    next,
                    pairs: self.dense.pairs,
                };
                let begin = if index == 0 { Begin::Bias(&block.bias) } else { Begin::Sums };
                let waiting = match pieces.len() {
                    1 => &mut [][..],
                    _ => &mut sums[tile.start * width..tile.end * width],
                };
                match last {
                    true => self.finish(block, (&operands, begin, waiting), band.first + tile.start, output),
                    false => compute(&operands, begin, waiting, None),
                }
            }
        }
    }

    /// The last products of a tile, and what follows them.
    #[allow(unsafe_code)] // the blocks of filters interleave in the output
    fn finish(
        &self,
        block: &Block,
        (operands, begin, sums): (&Operands<'_>, Begin<'_>, &mut [f32]),
        first: usize,
        output: SharedOutput<'_>,
    ) {
        let channels = self.plan.geometry.out_channels;
        let first = first * channels + block.first;
        // SAFETY: this block of filters and these pixels belong to this job alone.
        let mut output = unsafe { output.rows(first, [operands.starts.len(), block.channels], channels) };
        let late = self.packed.activation.late();
        let shortcut = self.shortcut.map(|(values, joint)| Shortcut {
            values: &values[first..],
            before: joint == Joint::BeforeActivation,
        });
        let finish = self.packed.activation.finish(&block.slopes);
        let in_tile = shortcut.filter(|shortcut| shortcut.before || late.is_none());
        let ending = Ending::new(&finish, in_tile, &mut output, block.units * UNIT);
        compute(operands, begin, sums, Some(&ending));
        if let Some(apply) = late {
            // SAFETY: the tile wrote all rows.
            unsafe { late::apply(apply, &mut output, shortcut.filter(|shortcut| !shortcut.before)) };
        }
    }
}

impl Activation {
    /// What tiles do for it; what [`Activation::late`] gives is applied to what they have written.
    pub(super) fn finish<'a>(&self, slopes: &'a [f32]) -> Finish<'a> {
        match *self {
            Self::Identity | Self::Silu | Self::Gelu | Self::GeluTanh | Self::QuickGelu => Finish::Keep,
            Self::Relu => Finish::Relu,
            Self::Clamp { low, high } => Finish::Clamp { low, high },
            Self::Leaky(_) | Self::Prelu(_) => Finish::Slopes(slopes),
            Self::HardSwish => Finish::HardSwish,
        }
    }
}

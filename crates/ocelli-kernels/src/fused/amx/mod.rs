//! Dense products in bfloat16 on the tiles of AMX (Sapphire Rapids and later): eight registers of sixteen rows of 64 bytes.
//!
//! `TDPBF16PS` multiplies 16 pixels of 32 numbers each by as many rows of 16 output channels, 8192 products in one
//! instruction. Two tiles of pixels and two of filters meet in four of sums, so that every tile that is loaded is used
//! twice. The filters lie as they do for AVX-512 BF16, pairs of numbers by channel: sixteen rows of a vector are a tile.
//! Pixels are read where they lie, too, in bands or slabs (`rows`), and the depth is cut into steps of equal length
//! (`steps`), so that no tile ever needs to be filled up: a row of a tile is a configured length, not a copy.
//!
//! The loops run over the trait [`Tiles`], of which there are two: the processor's (`processor`) and an emulation of the
//! instructions by their definition (`registers`), which gives the same bits anywhere.
//!
//! # What was run where
//!
//! Not run on a processor with AMX: its detection beyond the refusal elsewhere, and its speed. Run on others: all loops, on
//! the emulation, against the definition of the convolution; and the processor's own machine code, instruction by
//! instruction, with a signal handler that decodes each tile instruction as the manual has it and emulates it (`trapped`),
//! which gave the emulation's bits. The first use on a processor with AMX multiplies tiles whose product is known, and goes
//! without AMX should it come out different.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod processor;
mod registers;
mod rows;
mod steps;
#[cfg(test)]
mod tests;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod trapped;

use std::sync::Arc;

use self::registers::Emulated;
pub(super) use self::rows::Rows;
use self::steps::{Pass, Step, passes};
use super::pack::{Block, Kernels, Packed};
use super::tile::{Begin, Operands, Run, most_pixels};
use super::vector::UNIT;
use super::{ConvParts, PackedConv};
use crate::conv::ConvError;
use crate::memory::with_scratch;

/// Rows of a tile, and words of a row.
const SIDE: usize = 16;
/// Bytes of a word: a number of sums, a pair of numbers in bfloat16 of pixels and filters.
const WORD: usize = size_of::<f32>();
/// Most rows of two tiles.
const PAIR: usize = 2 * SIDE;
/// Words of a step below which a tile is so empty that vectors do as well.
const LEAST_WORDS: usize = 4;

/// Who has the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The processor, which was asked before.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Processor,
    /// The emulation.
    Emulated,
}

/// Whether the processor has tiles and this process may use them.
pub(super) fn is_available() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    {
        processor::is_available()
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    {
        false
    }
}

/// The tiles to multiply pairs on, where words lie side by side in runs of `run`, if there are any and they pay.
pub(super) fn kind_for(run: usize) -> Option<Kind> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if run >= LEAST_WORDS && is_available() {
        return Some(Kind::Processor);
    }
    let _ = run;
    None
}

impl PackedConv {
    /// A convolution whose pairs of numbers are multiplied on emulated AMX tiles, slow but the same to the bit as on a
    /// processor that has them: for tests. What is not multiplied in
    /// pairs stays what it is.
    ///
    /// # Errors
    /// As [`PackedConv::new`].
    pub fn emulating_tiles(parts: ConvParts) -> Result<Self, ConvError> {
        Self::on_tiles(parts, Kind::Emulated)
    }

    /// A convolution on tiles wherever they can be used at all.
    fn on_tiles(parts: ConvParts, kind: Kind) -> Result<Self, ConvError> {
        let mut packed = Packed::new(parts)?;
        if let Kernels::Dense(dense) = &mut packed.kernels {
            let multiplies = dense.words > 0 && dense.blocks.iter().all(|block| !block.filters.is_empty());
            dense.tiles = (dense.pairs && multiplies).then_some(kind);
        }
        Ok(Self(Arc::new(packed)))
    }
}

/// Eight tile registers: sums are 0 to 3, pixels 4 and 5, filters 6 and 7.
#[allow(unsafe_code)] // tiles are loaded and stored through pointers
trait Tiles {
    /// Sets the extents of all tiles; what they hold is lost.
    fn configure(&mut self, config: &Config);

    /// `down` tiles of pixels times `across` tiles of filters, added to where the sums begin, and stored.
    ///
    /// # Safety
    /// The tiles were configured for the product's rows and the words of its steps, and all rows that its pointers, pitches
    /// and steps lead to can be read or written.
    unsafe fn multiply(&mut self, down: usize, across: usize, product: &Product);
}

/// What a product reads and writes, as the processor's loop finds it: pitches and steps are in bytes. A second tile of sums
/// or filters lies 64 bytes after the first.
#[derive(Debug)]
#[repr(C)]
struct Product {
    /// The first word of each tile of pixels.
    pixels: [*const f32; 2],
    pixel_pitch: [usize; 2],
    filters: *const f32,
    filter_pitch: usize,
    steps: *const Step,
    steps_end: *const Step,
    /// Where the sums of each tile of pixels begin; with a pitch of zero all rows begin alike.
    begin: [*const f32; 2],
    begin_pitch: usize,
    /// Where they go.
    sums: [*mut f32; 2],
    sums_pitch: usize,
}

/// The extents of all tiles, as `LDTILECFG` reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
struct Config([u8; 64]);

impl Config {
    /// Tiles of pixels of so many rows, in steps of so many words.
    fn new(rows: [usize; 2], words: usize) -> Self {
        debug_assert!(rows.into_iter().chain([words]).all(|extent| (1..=SIDE).contains(&extent)));
        let mut bytes = [0; 64];
        bytes[0] = 1; // palette
        let sums = [rows[0], rows[0], rows[1], rows[1]].map(|rows| (rows, SIDE));
        let pixels = rows.map(|rows| (rows, words));
        for (tile, (rows, words)) in sums.into_iter().chain(pixels).chain([(words, SIDE); 2]).enumerate() {
            bytes[16 + 2 * tile] = (words * WORD) as u8; // at most 64; the upper byte stays zero
            bytes[48 + tile] = rows as u8;
        }
        Self(bytes)
    }
}

/// A block of filters and the pixels that it meets.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    /// Pairs of numbers in bfloat16, by pixel and channel.
    pub(super) words: &'a [f32],
    /// Where the pixels of every result start.
    pub(super) starts: &'a [usize],
    /// The rows that they become.
    pub(super) rows: &'a Rows,
    /// What every result reads, in pieces, with the words of filters before each.
    pub(super) pieces: &'a [(usize, Vec<Run>)],
    pub(super) block: &'a Block,
}

/// Computes all sums of a block of filters. `finish` is given some of them at a time, as many as a register tile may have,
/// with the number of the first result: what begins from there and has nothing to add.
pub(super) fn block(
    kind: Kind,
    work: &Work<'_>,
    finish: impl FnMut(&Operands<'_>, Begin<'_>, &mut [f32], usize),
) {
    match kind {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        #[allow(unsafe_code)] // only the processors that have tiles may be asked
        // SAFETY: the kind is chosen after asking the processor.
        Kind::Processor => multiply_all(&mut unsafe { processor::Processor::new() }, work, finish),
        Kind::Emulated => multiply_all(&mut Emulated::new(), work, finish),
    }
}

/// [`block`] on these tiles.
fn multiply_all<T: Tiles>(
    tiles: &mut T,
    work: &Work<'_>,
    mut finish: impl FnMut(&Operands<'_>, Begin<'_>, &mut [f32], usize),
) {
    let (units, lanes) = (work.block.units, work.block.units * UNIT);
    let (rows, passes) = (work.rows, passes(work.pieces, lanes));
    // Nothing else writes the results.
    assert!(!passes.is_empty(), "a product of nothing");
    check(work, &passes);
    // Sums wait for later passes side by side, or all pairs of tiles use the same place.
    let waits = passes.len() > 1;
    let room = if waits { rows.count } else { PAIR } * lanes;
    with_scratch(room + SIDE, |memory| {
        // Rows of tiles are cache lines.
        let before = memory.as_ptr().align_offset(64).min(SIDE);
        let sums = &mut memory[before..][..room];
        for (index, pass) in passes.iter().enumerate() {
            for pair in rows.tiles.chunks(2) {
                let first = pair[0].row;
                let count = pair.iter().map(|tile| tile.rows).sum::<usize>();
                let place = if waits { first } else { 0 };
                let sums = &mut sums[place * lanes..][..count * lanes];
                let begin = if index == 0 { Begin::Bias(&work.block.bias) } else { Begin::Sums };
                multiply_pair(tiles, work, pass, pair, (begin, sums));
                if index + 1 < passes.len() {
                    continue;
                }
                for (row, results) in rows.results(first..first + count, most_pixels(units)) {
                    let sums = &mut sums[(row - first) * lanes..][..results.len() * lanes];
                    finish(&ended(work, &work.starts[results.clone()]), Begin::Sums, sums, results.start);
                }
            }
        }
    });
}

/// Operands that add nothing to the sums of some pixels.
fn ended<'a>(work: &Work<'a>, starts: &'a [usize]) -> Operands<'a> {
    let &Work { words, block, .. } = work;
    Operands { words, starts, runs: &[], filters: &[], units: block.units, pairs: true, next: 0 }
}

/// Checks what all products of a block read.
fn check(work: &Work<'_>, passes: &[Pass]) {
    let lanes = work.block.units * UNIT;
    assert!(work.block.bias.len() >= lanes, "no bias for every lane");
    for pass in passes {
        assert!(work.rows.last + pass.reach <= work.words.len(), "words reach past their slice");
        assert!(pass.depth * lanes <= work.block.filters.len(), "filters are missing");
    }
}

/// One pass over one or two tiles of pixels and all channels of the block.
#[allow(unsafe_code)] // tiles are loaded and stored through pointers
fn multiply_pair<T: Tiles>(
    tiles: &mut T,
    work: &Work<'_>,
    pass: &Pass,
    pair: &[rows::Tile],
    (begin, sums): (Begin<'_>, &mut [f32]),
) {
    let (units, lanes) = (work.block.units, work.block.units * UNIT);
    let second = pair.last().unwrap_or(&pair[0]);
    tiles.configure(&Config::new([pair[0].rows, second.rows], pass.words));
    assert!(sums.len() == (second.row + second.rows - pair[0].row) * lanes, "no room for the sums");
    let pixels = [&pair[0], second].map(|tile| work.words.as_ptr().wrapping_add(tile.start));
    let places = [0, second.row - pair[0].row].map(|row| row * lanes);
    let sums = sums.as_mut_ptr();
    let (starts, begin_pitch) = match begin {
        Begin::Bias(bias) => ([bias.as_ptr(); 2], 0),
        Begin::Sums => (places.map(|place| sums.cast_const().wrapping_add(place)), lanes * WORD),
    };
    let steps = pass.steps.as_ptr_range();
    for unit in (0..units).step_by(2) {
        let lane = unit * UNIT;
        let product = Product {
            pixels,
            pixel_pitch: [pair[0].pitch, second.pitch].map(|pitch| pitch * WORD),
            filters: work.block.filters.as_ptr().wrapping_add(lane),
            filter_pitch: lanes * WORD,
            steps: steps.start,
            steps_end: steps.end,
            begin: starts.map(|start| start.wrapping_add(lane)),
            begin_pitch,
            sums: places.map(|place| sums.wrapping_add(place + lane)),
            sums_pitch: lanes * WORD,
        };
        // SAFETY: the tiles were configured for this pair and pass just now. The last row of pixels starts no later than the
        // last result, and `check` has seen that the steps stay inside words and filters from there; sums have `lanes`
        // numbers for each row, which were asserted, and so have beginnings, or one row for all.
        unsafe { tiles.multiply(pair.len(), (units - unit).min(2), &product) };
    }
}

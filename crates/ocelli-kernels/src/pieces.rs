//! Long rows of numbers, piece by piece.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use crate::memory::filled;

/// Numbers of a piece, whatever the number of threads.
pub(crate) const PIECE: usize = 16 * 1024;

/// The pieces of a row of `len` numbers.
pub(crate) fn pieces(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PIECE).map(move |start| start..(start + PIECE).min(len))
}

/// `len` numbers that `fill` writes piece by piece.
///
/// # Safety
/// `fill`, called with a piece and its memory, must write every number.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) unsafe fn filled_in_pieces(
    len: usize,
    fill: impl Fn(Range<usize>, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    // SAFETY: the contract is the same.
    unsafe { filled_in_runs(len, 1, fill) }
}

/// `len` numbers, each made of `size` others, that `fill` writes piece by piece.
///
/// # Safety
/// `fill`, called with a piece and its memory, must write every number.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) unsafe fn filled_in_runs(
    len: usize,
    size: usize,
    fill: impl Fn(Range<usize>, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let step = PIECE.div_ceil(size.max(1));
    let work = |output: crate::memory::SharedOutput<'_>| {
        let run = |piece: Range<usize>| {
            // SAFETY: the pieces do not overlap.
            let memory = unsafe { output.strided(piece.start, piece.len(), 1) }.memory();
            fill(piece, memory);
        };
        let piece = |index: usize| index * step..(index * step + step).min(len);
        match len.div_ceil(step) {
            1 => run(0..len),
            jobs => (0..jobs).into_par_iter().map(piece).for_each(run),
        }
    };
    // SAFETY: the pieces are all of the output, and `fill` writes them by contract.
    unsafe { filled(len, work) }
}

//! Long rows of numbers, piece by piece.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::jobs;
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
    unsafe { filled_in_runs(len, [1, 1], fill) }
}

/// `count` rows of `sizes[1]` numbers, each made of `sizes[0]` others, that `fill` writes a run of rows at a time.
///
/// # Safety
/// `fill`, called with a range of rows and their memory, must write every number.
#[allow(unsafe_code)] // the output is not zeroed first
pub(crate) unsafe fn filled_in_runs(
    count: usize,
    sizes: [usize; 2],
    fill: impl Fn(Range<usize>, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let step = PIECE.div_ceil(sizes[0].max(sizes[1]).max(1));
    let width = sizes[1];
    let work = |output: crate::memory::SharedOutput<'_>| {
        let run = |rows: Range<usize>| {
            // SAFETY: the runs do not overlap.
            let memory = unsafe { output.strided(rows.start * width, rows.len() * width, 1) }.memory();
            fill(rows, memory);
        };
        let piece = |index: usize| index * step..(index * step + step).min(count);
        match count.div_ceil(step) {
            1 => run(0..count),
            jobs => jobs::run(jobs, |index| run(piece(index))),
        }
    };
    // SAFETY: the runs are all of the output, and `fill` writes them by contract.
    unsafe { filled(count * width, work) }
}

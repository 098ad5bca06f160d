//! Transposition of small squares, from which packing is made.
#![allow(unsafe_code)] // vector loads and stores through pointers, and calls that need the processor's features

use ocelli_simd::{Level, level};

use crate::prefetch;

/// Rows and columns of a square.
pub(super) const SQUARE: usize = 8;
/// Numbers between what is turned and what is asked for: the rows are too many streams for the processor to follow.
const AHEAD: usize = 64;

/// Writes `[rows, columns]` numbers, rows `pitch` apart and at least [`SQUARE`] columns, as columns `width` apart. The target
/// has room for a multiple of [`SQUARE`] rows; those that do not exist get the numbers of the last one.
pub(super) fn turn(
    source: &[f32],
    pitch: usize,
    [rows, columns]: [usize; 2],
    target: &mut [f32],
    width: usize,
) {
    if rows == 0 {
        return;
    }
    assert!(
        columns >= SQUARE && (rows - 1) * pitch + columns <= source.len(),
        "rows reach past their source"
    );
    let room = (columns - 1) * width + rows.next_multiple_of(SQUARE);
    assert!(room <= target.len(), "columns reach past their target");
    // SAFETY: both memories have just been measured.
    unsafe {
        let squares = Squares { source: source.as_ptr(), pitch, target: target.as_mut_ptr(), width };
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx2 => x86::turn(&squares, [rows, columns]),
            Level::Base => squares.each([rows, columns], plain),
        }
    }
}

/// Where squares are read and written.
struct Squares {
    source: *const f32,
    pitch: usize,
    target: *mut f32,
    width: usize,
}

impl Squares {
    /// Calls `square` with eight rows and eight columns in turn.
    ///
    /// # Safety
    /// The memory has room for `[rows, columns]` as [`turn`] says.
    #[inline(always)]
    unsafe fn each(
        &self,
        [rows, columns]: [usize; 2],
        square: unsafe fn([*const f32; SQUARE], [*mut f32; SQUARE]),
    ) {
        for row in (0..rows).step_by(SQUARE) {
            for column in (0..columns).step_by(SQUARE) {
                // The last square begins early rather than end late.
                let column = column.min(columns - SQUARE);
                let (mut from, mut to) = ([self.source; SQUARE], [self.target; SQUARE]);
                // Further along the rows, or where the next ones begin.
                let (ahead, after) = match column + AHEAD < columns {
                    true => (row, column + AHEAD),
                    false => (row + SQUARE, column + AHEAD - columns),
                };
                for i in 0..SQUARE {
                    if column % prefetch::LINE < SQUARE {
                        prefetch::read(self.source.wrapping_add((ahead + i) * self.pitch + after));
                    }
                    from[i] = self.source.wrapping_add((row + i).min(rows - 1) * self.pitch + column);
                    to[i] = self.target.wrapping_add((column + i) * self.width + row);
                }
                // SAFETY: inside the memory, by contract.
                unsafe { square(from, to) };
            }
        }
    }
}

/// # Safety
/// Eight numbers can be read from each source and written to each target.
unsafe fn plain(from: [*const f32; SQUARE], to: [*mut f32; SQUARE]) {
    for (i, from) in from.into_iter().enumerate() {
        for (j, to) in to.into_iter().enumerate() {
            // SAFETY: by contract.
            unsafe { *to.add(i) = *from.add(j) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps,
        _mm256_unpacklo_ps,
    };

    use super::{SQUARE, Squares};

    /// # Safety
    /// As for [`Squares::each`], and the processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn turn(squares: &Squares, shape: [usize; 2]) {
        // SAFETY: passed on.
        unsafe { squares.each(shape, square) }
    }

    /// # Safety
    /// As for [`super::plain`], and the processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn square(from: [*const f32; SQUARE], to: [*mut f32; SQUARE]) {
        // SAFETY: by contract.
        unsafe {
            let mut rows = [_mm256_loadu_ps(from[0]); SQUARE];
            for i in 1..SQUARE {
                rows[i] = _mm256_loadu_ps(from[i]);
            }
            // Pairs of rows, then fours of them, each half of a vector for itself; then the halves change places.
            let mut pairs = rows;
            for i in 0..SQUARE / 2 {
                pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            let mut fours = pairs;
            for i in 0..2 {
                for half in 0..2 {
                    let (a, b) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
                    fours[4 * i + 2 * half] = _mm256_shuffle_ps::<0x44>(a, b);
                    fours[4 * i + 2 * half + 1] = _mm256_shuffle_ps::<0xEE>(a, b);
                }
            }
            for i in 0..SQUARE / 2 {
                let (a, b) = (fours[i], fours[i + SQUARE / 2]);
                _mm256_storeu_ps(to[i], _mm256_permute2f128_ps::<0x20>(a, b));
                _mm256_storeu_ps(to[i + SQUARE / 2], _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }
}

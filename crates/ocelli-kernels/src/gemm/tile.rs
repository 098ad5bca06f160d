//! The two loops in which a product spends its time, written once for every kind of vector register.
//!
//! A *tile* holds up to 8 x 3 vectors of sums in registers; at every step along the inner dimension it loads up to three
//! vectors of a row of the right factor and up to eight scalars of the left one, and adds all their products. The order
//! of the additions to a sum is that of the inner dimension, so that it makes no difference how a product is cut into tiles.
//! *Dots* are inner products of up to four rows with up to four others, for factors of which only a few rows exist.
#![allow(unsafe_code)] // operands and targets are given by pointers, and the functions need the processor's features
#![allow(clippy::needless_range_loop)] // counts that are seen to be constant keep all sums in registers

use ocelli_simd::{Level, level};

use super::vector::{Portable, Vector};
use crate::prefetch;

/// Vectors side by side in a tile.
pub(super) const UNITS: usize = 3;
/// Rows of either factor in a block of dots.
pub(super) const DOTS: usize = 4;

/// What sums start from.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// Nothing.
    Zero,
    /// What is in the target.
    Target,
    /// A row that all lines share.
    Row(*const f32),
}

/// The operands of a tile.
pub(super) struct Tile {
    /// Steps along the inner dimension.
    pub(super) depth: usize,
    /// The first scalar; lines lie `line` apart and steps 1, or lines 1 and steps `step`.
    pub(super) left: *const f32,
    pub(super) line: usize,
    pub(super) step: usize,
    /// The first vector; steps lie `stride` apart.
    pub(super) right: *const f32,
    pub(super) stride: usize,
    /// Numbers of the last vector that take part.
    pub(super) lanes: usize,
    /// The first sum; lines lie `pitch` apart.
    pub(super) target: *mut f32,
    pub(super) pitch: usize,
    pub(super) start: Start,
}

/// Inner products of rows, `left_pitch` apart, with rows `right_pitch` apart.
pub(super) struct Dots {
    pub(super) depth: usize,
    pub(super) left: *const f32,
    pub(super) left_pitch: usize,
    pub(super) right: *const f32,
    pub(super) right_pitch: usize,
}

/// Sums of dots, by the rows of the left and the right factor.
pub(super) type DotSums = [[f32; DOTS]; DOTS];

type TileFn = unsafe fn(&Tile);
type DotsFn = unsafe fn(&Dots, &mut DotSums);

/// The loops compiled for a kind of processor.
pub(super) struct Kernels {
    /// Numbers of a vector.
    pub(super) lanes: usize,
    /// By lines and vectors, less one: steps of the scalars are neighbours.
    by_line: &'static [[TileFn; UNITS]],
    /// Lines of the scalars are neighbours.
    by_step: &'static [[TileFn; UNITS]],
    dots: [[DotsFn; DOTS]; DOTS],
}

impl Kernels {
    /// Those for this processor.
    pub(super) fn get() -> &'static Self {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &avx2::KERNELS,
            Level::Base => &base::KERNELS,
        }
    }

    /// Lines of a tile.
    pub(super) fn height(&self) -> usize {
        self.by_line.len()
    }

    /// Numbers in a line of a tile.
    pub(super) fn width(&self) -> usize {
        UNITS * self.lanes
    }

    /// Runs a tile of 1 to [`Kernels::height`] lines and 1 to [`UNITS`] vectors.
    ///
    /// # Safety
    /// What the tile names must lie in memory that may be read, and its target in memory that may be written; the last
    /// vector of the right factor and of the target is touched in its first `lanes` numbers alone.
    #[inline]
    pub(super) unsafe fn run(&self, tile: &Tile, lines: usize, units: usize) {
        debug_assert!(tile.line == 1 || tile.step == 1 || tile.depth <= 1);
        let tiles = if tile.step == 1 { self.by_line } else { self.by_step };
        // SAFETY: passed on.
        unsafe { tiles[lines - 1][units - 1](tile) }
    }

    /// Runs dots of 1 to [`DOTS`] rows of either factor.
    ///
    /// # Safety
    /// All the rows must lie in memory that may be read.
    #[inline]
    pub(super) unsafe fn dots(&self, dots: &Dots, [lines, rows]: [usize; 2], sums: &mut DotSums) {
        // SAFETY: passed on.
        unsafe { self.dots[lines - 1][rows - 1](dots, sums) }
    }
}

/// # Safety
/// As for [`Kernels::run`], and the caller is compiled for the vector's features.
#[inline(always)]
unsafe fn tile<V: Vector, const LINES: usize, const UNITS: usize, const BY_LINE: bool>(tile: &Tile) {
    // SAFETY: passed on.
    unsafe {
        let mask = V::mask(tile.lanes);
        let mut sums = [[V::splat(0.0); UNITS]; LINES];
        let start = match tile.start {
            Start::Zero => None,
            Start::Target => Some((tile.target.cast_const(), tile.pitch)),
            Start::Row(row) => Some((row, 0)),
        };
        if let Some((start, pitch)) = start {
            for line in 0..LINES {
                sums[line] = load::<V, UNITS>(start.add(line * pitch), mask);
            }
        }
        let mut starts = [tile.left; LINES];
        for line in 0..LINES {
            starts[line] = tile.left.add(line * tile.line);
        }
        let (mut right, mut left) = (tile.right, tile.left);
        for k in 0..tile.depth {
            let vectors = load::<V, UNITS>(right, mask);
            for line in 0..LINES {
                let scalar = V::splat(if BY_LINE { *starts[line].add(k) } else { *left.add(line) });
                for unit in 0..UNITS {
                    sums[line][unit] = sums[line][unit].plus_product(vectors[unit], scalar);
                }
            }
            right = right.wrapping_add(tile.stride);
            if !BY_LINE {
                left = left.wrapping_add(tile.step);
            }
        }
        for line in 0..LINES {
            let target = tile.target.add(line * tile.pitch);
            for unit in 0..UNITS - 1 {
                sums[line][unit].store(target.add(unit * V::LANES));
            }
            sums[line][UNITS - 1].store_masked(target.add((UNITS - 1) * V::LANES), mask);
        }
    }
}

/// Neighbouring vectors, of the last one the lanes of `mask`.
#[inline(always)]
unsafe fn load<V: Vector, const UNITS: usize>(from: *const f32, mask: V::Mask) -> [V; UNITS] {
    // SAFETY: passed on.
    unsafe {
        let mut vectors = [V::splat(0.0); UNITS];
        for unit in 0..UNITS - 1 {
            vectors[unit] = V::load(from.add(unit * V::LANES));
        }
        vectors[UNITS - 1] = V::load_masked(from.add((UNITS - 1) * V::LANES), mask);
        vectors
    }
}

/// # Safety
/// As for [`Kernels::dots`], and the caller is compiled for the vector's features.
#[inline(always)]
unsafe fn dots<V: Vector, const LINES: usize, const ROWS: usize>(dots: &Dots, sums: &mut DotSums) {
    // SAFETY: passed on.
    unsafe {
        let mut vectors = [[V::splat(0.0); ROWS]; LINES];
        let whole = dots.depth / V::LANES * V::LANES;
        for k in (0..whole).step_by(V::LANES) {
            add_dots(dots, k, |from| V::load(from), &mut vectors);
        }
        if whole < dots.depth {
            let mask = V::mask(dots.depth - whole);
            add_dots(dots, whole, |from| V::load_masked(from, mask), &mut vectors);
        }
        for line in 0..LINES {
            for row in 0..ROWS {
                sums[line][row] = vectors[line][row].sum();
            }
        }
    }
}

/// The products of the vectors at step `k`. Rows that meet few others are as fast as they come from memory: the next ones
/// are asked for.
///
/// # Safety
/// As for [`dots`].
#[inline(always)]
unsafe fn add_dots<V: Vector, const LINES: usize, const ROWS: usize>(
    dots: &Dots,
    k: usize,
    load: impl Fn(*const f32) -> V,
    vectors: &mut [[V; ROWS]; LINES],
) {
    // SAFETY: passed on.
    unsafe {
        let (left, right) = (dots.left.add(k), dots.right.add(k));
        let (next_left, next_right) =
            (left.wrapping_add(LINES * dots.left_pitch), right.wrapping_add(ROWS * dots.right_pitch));
        let mut rows = [V::splat(0.0); ROWS];
        for row in 0..ROWS {
            rows[row] = load(right.add(row * dots.right_pitch));
            if LINES <= 2 {
                prefetch::soon(next_right.wrapping_add(row * dots.right_pitch));
            }
        }
        for line in 0..LINES {
            let scalars = load(left.add(line * dots.left_pitch));
            if ROWS <= 2 {
                prefetch::soon(next_left.wrapping_add(line * dots.left_pitch));
            }
            for row in 0..ROWS {
                vectors[line][row] = vectors[line][row].plus_product(scalars, rows[row]);
            }
        }
    }
}

/// The loops compiled for a vector and its features, for tiles of up to as many lines as are listed.
macro_rules! compiled {
    ($name:ident, $vector:ty, [$($feature:meta)?], [$($lines:literal)*]) => {
        mod $name {
            use super::{Dots, DotSums, Kernels, Tile};

            /// # Safety
            /// As for [`super::tile`].
            $(#[$feature])?
            unsafe fn tile<const LINES: usize, const UNITS: usize, const BY_LINE: bool>(tile: &Tile) {
                // SAFETY: passed on.
                unsafe { super::tile::<$vector, LINES, UNITS, BY_LINE>(tile) }
            }

            /// # Safety
            /// As for [`super::dots`].
            $(#[$feature])?
            unsafe fn dots<const LINES: usize, const ROWS: usize>(dots: &Dots, sums: &mut DotSums) {
                // SAFETY: passed on.
                unsafe { super::dots::<$vector, LINES, ROWS>(dots, sums) }
            }

            pub(super) static KERNELS: Kernels = Kernels {
                lanes: <$vector as super::Vector>::LANES,
                by_line: &[$([tile::<$lines, 1, true>, tile::<$lines, 2, true>, tile::<$lines, 3, true>]),*],
                by_step: &[$([tile::<$lines, 1, false>, tile::<$lines, 2, false>, tile::<$lines, 3, false>]),*],
                dots: [
                    [dots::<1, 1>, dots::<1, 2>, dots::<1, 3>, dots::<1, 4>],
                    [dots::<2, 1>, dots::<2, 2>, dots::<2, 3>, dots::<2, 4>],
                    [dots::<3, 1>, dots::<3, 2>, dots::<3, 3>, dots::<3, 4>],
                    [dots::<4, 1>, dots::<4, 2>, dots::<4, 3>, dots::<4, 4>],
                ],
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled!(avx512, std::arch::x86_64::__m512, [target_feature(enable = "avx512f")], [1 2 3 4 5 6 7 8]);
#[cfg(target_arch = "x86_64")]
compiled!(avx2, std::arch::x86_64::__m256, [target_feature(enable = "avx2,fma")], [1 2 3 4]);
compiled!(base, super::Portable, [], [1 2 3 4]);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    fn all() -> Vec<&'static Kernels> {
        let mut all = vec![&base::KERNELS];
        #[cfg(target_arch = "x86_64")]
        {
            if level() != Level::Base {
                all.push(&avx2::KERNELS);
            }
            if level() == Level::Avx512 {
                all.push(&avx512::KERNELS);
            }
        }
        all
    }

    /// A tile against its definition; memory that is not the tile's must stay as it was.
    fn check_tile(kernels: &Kernels, [lines, columns, depth]: [usize; 3], by_line: bool, start: usize) {
        let units = columns.div_ceil(kernels.lanes);
        let (pitch, stride) = (columns + 3, columns + 2);
        let left = numbers(lines * depth + 8, 1);
        // Exactly as long as may be read.
        let right = numbers((depth.max(1) - 1) * stride + columns, 2);
        let row = numbers(columns, 3);
        let mut target = numbers(lines * pitch, 4);
        let before = target.clone();
        let (line, step) = if by_line { (depth, 1) } else { (1, lines) };
        let tile = Tile {
            depth,
            left: left.as_ptr(),
            line,
            step,
            right: right.as_ptr(),
            stride,
            lanes: columns - (units - 1) * kernels.lanes,
            target: target.as_mut_ptr(),
            pitch,
            start: [Start::Zero, Start::Target, Start::Row(row.as_ptr())][start],
        };
        // SAFETY: the operands are as long as the tile reaches.
        unsafe { kernels.run(&tile, lines, units) };
        for (index, (got, before)) in target.iter().zip(&before).enumerate() {
            let (i, j) = (index / pitch, index % pitch);
            if j >= columns {
                assert_eq!(got, before);
                continue;
            }
            let first = [0.0, f64::from(*before), f64::from(row[j])][start];
            let terms =
                (0..depth).map(|k| f64::from(left[i * line + k * step]) * f64::from(right[k * stride + j]));
            let want = first + terms.sum::<f64>();
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, not {want}");
        }
    }

    proptest! {
        #[test]
        fn tiles_match_the_definition(
            lines in 1..=8_usize,
            columns in 1..=48_usize,
            depth in 0..40_usize,
            by_line: bool,
            start in 0..3_usize,
        ) {
            for kernels in all() {
                let lines = lines.min(kernels.height());
                let columns = columns.min(kernels.width());
                check_tile(kernels, [lines, columns, depth], by_line && depth > 0, start);
            }
        }

        #[test]
        fn dots_match_the_definition(lines in 1..=4_usize, rows in 1..=4_usize, depth in 1..70_usize) {
            let (left, right) = (numbers(lines * depth, 1), numbers(rows * depth, 2));
            for kernels in all() {
                let dots = Dots {
                    depth,
                    left: left.as_ptr(),
                    left_pitch: depth,
                    right: right.as_ptr(),
                    right_pitch: depth,
                };
                let mut sums = [[0.0; DOTS]; DOTS];
                // SAFETY: the rows lie one after the other.
                unsafe { kernels.dots(&dots, [lines, rows], &mut sums) };
                for line in 0..lines {
                    for row in 0..rows {
                        let terms = (0..depth)
                            .map(|k| f64::from(left[line * depth + k]) * f64::from(right[row * depth + k]));
                        prop_assert!((f64::from(sums[line][row]) - terms.sum::<f64>()).abs() < 1e-5);
                    }
                }
            }
        }
    }
}

//! The register tile of fused convolutions: up to eight pixels times up to four vectors of filters, from the first product
//! to the finished number.
//!
//! Vectors lie along the output channels, so that filters are read as they were packed, a pixel is one number for all
//! lanes, and whatever follows the sum (bias, slope, shortcut) is a vector too.
#![allow(unsafe_code)] // vector loads and stores through pointers, and calls that need the processor's features

use ocelli_simd::{Level, level};

use super::finish::{Ending, end};
use super::vector::{Portable, UNIT, Vector};
#[cfg(target_arch = "x86_64")]
use super::vector_x86::{Avx2, Avx512};
use crate::prefetch;

/// Most vectors of filters in a tile.
pub(super) const MOST_UNITS: usize = 4;
/// Most pixels in a tile.
pub(super) const MOST_PIXELS: usize = 8;

/// Most pixels of a tile with so many vectors: 24 of the 32 registers of AVX-512 hold sums.
pub(super) fn most_pixels(units: usize) -> usize {
    if units == MOST_UNITS { 6 } else { MOST_PIXELS }
}

/// Neighbouring words that every pixel of a tile reads, from its start on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) offset: usize,
    pub(super) len: usize,
}

/// The operands of a tile.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    /// Numbers, or pairs of numbers in bfloat16, by pixel and channel.
    pub(super) words: &'a [f32],
    /// Where each pixel's runs start.
    pub(super) starts: &'a [usize],
    pub(super) runs: &'a [Run],
    /// `units` vectors for every word of the runs.
    pub(super) filters: &'a [f32],
    pub(super) units: usize,
    /// Words of the next tile, which are asked for meanwhile, where they follow those of this one.
    pub(super) next: usize,
    /// Whether words are pairs.
    pub(super) pairs: bool,
}

/// Where the sums of a tile begin.
#[derive(Clone, Copy)]
pub(super) enum Begin<'a> {
    /// A number for each lane.
    Bias(&'a [f32]),
    /// Where an earlier tile left them.
    Sums,
}

/// A tile whose accesses were checked.
struct Tile<'a, 'o> {
    operands: &'a Operands<'a>,
    begin: *const f32,
    /// Numbers between the pixels' beginnings.
    begin_pitch: usize,
    sums: *mut f32,
    ending: Option<&'a Ending<'a, 'o>>,
}

/// Computes a tile. `sums` holds a number for each lane of each pixel where sums come from there, or go there for want of an
/// `ending`, which must be made for as many lanes as the tile has.
///
/// # Panics
/// If an operand reaches past its slice; the tiles rely on it.
pub(super) fn compute(
    operands: &Operands<'_>,
    begin: Begin<'_>,
    sums: &mut [f32],
    ending: Option<&Ending<'_, '_>>,
) {
    let &Operands { words, starts, runs, filters, units, .. } = operands;
    let (pixels, lanes) = (starts.len(), units * UNIT);
    assert!((1..=MOST_UNITS).contains(&units) && (1..=most_pixels(units)).contains(&pixels), "tile size");
    let (mut reach, mut depth) = (0, 0);
    for run in runs {
        reach = reach.max(run.offset + run.len);
        depth += run.len;
    }
    let last = starts.iter().max().copied().unwrap_or(0);
    assert!(last + reach <= words.len(), "words reach past their slice");
    assert!(depth * lanes <= filters.len(), "filters are missing");
    let waits = matches!(begin, Begin::Sums) || ending.is_none();
    assert!(!waits || pixels * lanes <= sums.len(), "no room for the sums");
    assert!(ending.is_none_or(|ending| ending.pixels() == pixels), "an output for each pixel");
    let sums = sums.as_mut_ptr();
    let (begin, begin_pitch) = match begin {
        Begin::Bias(bias) => {
            assert!(bias.len() >= lanes, "no bias for every lane");
            (bias.as_ptr(), 0)
        }
        Begin::Sums => (sums.cast_const(), lanes),
    };
    run(&Tile { operands, begin, begin_pitch, sums, ending });
}

/// Whether the processor multiplies pairs of numbers in bfloat16.
pub(super) fn multiplies_pairs() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        level() == Level::Avx512 && std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

fn run(tile: &Tile<'_, '_>) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if tile.operands.pairs && multiplies_pairs() => {
            // SAFETY: the processor has AVX-512 and its bfloat16; `compute` checked every access.
            unsafe { x86::avx512_pairs(tile) }
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has AVX-512; `compute` checked every access.
        Level::Avx512 => unsafe { x86::avx512(tile) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has AVX2 and FMA; `compute` checked every access.
        Level::Avx2 => unsafe { x86::avx2(tile) },
        // SAFETY: plain Rust needs no features; `compute` checked every access.
        Level::Base => unsafe { portable(tile) },
    }
}

/// How a word's products are added.
trait Step<V> {
    /// # Safety
    /// The processor has the features of `V` and of the step.
    unsafe fn add(sum: V, filter: V, pixel: V) -> V;
}

/// Words are numbers.
struct Numbers;

impl<V: Vector> Step<V> for Numbers {
    #[inline(always)]
    unsafe fn add(sum: V, filter: V, pixel: V) -> V {
        // SAFETY: by contract.
        unsafe { sum.add_product(filter, pixel) }
    }
}

/// Words are pairs of numbers in bfloat16.
struct Pairs;

impl<V: Vector> Step<V> for Pairs {
    #[inline(always)]
    unsafe fn add(sum: V, filter: V, pixel: V) -> V {
        // SAFETY: by contract.
        unsafe { sum.add_pairs(filter, pixel) }
    }
}

/// # Safety
/// Every access of the tile was checked.
unsafe fn portable(tile: &Tile<'_, '_>) {
    for unit in 0..tile.operands.units {
        for pixel in 0..tile.operands.starts.len() {
            // SAFETY: by contract; unit and pixel are the tile's own.
            unsafe {
                match tile.operands.pairs {
                    true => part::<Portable, Pairs, 1, 1>(tile, unit, pixel),
                    false => part::<Portable, Numbers, 1, 1>(tile, unit, pixel),
                }
            }
        }
    }
}

/// `U` vectors from number `unit` on, times `P` pixels from number `pixel` on.
///
/// # Safety
/// The processor has the features of `V` and `S`, the tile has these vectors and pixels, and all its accesses were checked.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over registers, which the compiler unrolls whole
unsafe fn part<V: Vector, S: Step<V>, const U: usize, const P: usize>(
    tile: &Tile<'_, '_>,
    unit: usize,
    pixel: usize,
) {
    let &Operands { words, starts, runs, filters, units, next, .. } = tile.operands;
    if let Some(ending) = tile.ending {
        ending.prefetch::<U, P>(unit, pixel);
    }
    // SAFETY: by contract.
    unsafe {
        let mut sums = [[V::splat(0.0); U]; P];
        for p in 0..P {
            for u in 0..U {
                sums[p][u] = V::load(tile.begin.add((pixel + p) * tile.begin_pitch + (unit + u) * UNIT));
            }
        }
        let mut filters = filters.as_ptr().add(unit * UNIT);
        for run in runs {
            let mut pixels = [words.as_ptr(); P];
            for p in 0..P {
                pixels[p] = words.as_ptr().add(*starts.get_unchecked(pixel + p) + run.offset);
            }
            let mut k = 0;
            while k < run.len {
                if next > 0 {
                    let first = pixels[0].wrapping_add(next + k * P);
                    for p in 0..P {
                        prefetch::read(first.wrapping_add(p * UNIT));
                    }
                }
                // A cache line of every pixel.
                let end = (k + UNIT).min(run.len);
                while k < end {
                    let mut vectors = [V::splat(0.0); U];
                    for u in 0..U {
                        vectors[u] = V::load(filters.add(u * UNIT));
                    }
                    for p in 0..P {
                        let number = V::splat(*pixels[p].add(k));
                        for u in 0..U {
                            sums[p][u] = S::add(sums[p][u], vectors[u], number);
                        }
                    }
                    filters = filters.add(units * UNIT);
                    k += 1;
                }
            }
        }
        match tile.ending {
            None => {
                for p in 0..P {
                    for u in 0..U {
                        sums[p][u].store(tile.sums.add(((pixel + p) * units + unit + u) * UNIT));
                    }
                }
            }
            Some(ending) => end::<V, U, P>(ending, sums, unit, pixel),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m512bh, _mm512_castps_si512, _mm512_dpbf16_ps};

    use super::{Avx2, Avx512, MOST_UNITS, Numbers, Pairs, Step, Tile, part};

    /// [`Pairs`] by the instruction for it.
    struct Native;

    impl Step<Avx512> for Native {
        #[inline(always)]
        unsafe fn add(sum: Avx512, filter: Avx512, pixel: Avx512) -> Avx512 {
            // SAFETY: the processor has AVX-512 BF16 by contract; both types are 64 bytes of any value.
            unsafe {
                let [filter, pixel] = [filter.0, pixel.0].map(|word| {
                    std::mem::transmute::<std::arch::x86_64::__m512i, __m512bh>(_mm512_castps_si512(word))
                });
                Avx512(_mm512_dpbf16_ps(sum.0, filter, pixel))
            }
        }
    }

    /// The part that is a whole tile of `$units` vectors.
    macro_rules! whole {
        ($tile:ident, $step:ty, $units:literal) => {
            match $tile.operands.starts.len() {
                1 => part::<Avx512, $step, $units, 1>($tile, 0, 0),
                2 => part::<Avx512, $step, $units, 2>($tile, 0, 0),
                3 => part::<Avx512, $step, $units, 3>($tile, 0, 0),
                4 => part::<Avx512, $step, $units, 4>($tile, 0, 0),
                5 => part::<Avx512, $step, $units, 5>($tile, 0, 0),
                6 => part::<Avx512, $step, $units, 6>($tile, 0, 0),
                7 => part::<Avx512, $step, $units, 7>($tile, 0, 0),
                _ => part::<Avx512, $step, $units, 8>($tile, 0, 0),
            }
        };
    }

    /// The same for the most vectors, of which fewer pixels fit.
    macro_rules! widest {
        ($tile:ident, $step:ty) => {
            match $tile.operands.starts.len() {
                1 => part::<Avx512, $step, MOST_UNITS, 1>($tile, 0, 0),
                2 => part::<Avx512, $step, MOST_UNITS, 2>($tile, 0, 0),
                3 => part::<Avx512, $step, MOST_UNITS, 3>($tile, 0, 0),
                4 => part::<Avx512, $step, MOST_UNITS, 4>($tile, 0, 0),
                5 => part::<Avx512, $step, MOST_UNITS, 5>($tile, 0, 0),
                _ => part::<Avx512, $step, MOST_UNITS, 6>($tile, 0, 0),
            }
        };
    }

    macro_rules! tiles {
        ($tile:ident, $step:ty) => {
            // SAFETY: by contract, with as many vectors and pixels as the tile has.
            unsafe {
                match $tile.operands.units {
                    1 => whole!($tile, $step, 1),
                    2 => whole!($tile, $step, 2),
                    3 => whole!($tile, $step, 3),
                    _ => widest!($tile, $step),
                }
            }
        };
    }

    /// # Safety
    /// The processor has AVX-512; every access of the tile was checked.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,fma")]
    pub(super) unsafe fn avx512(tile: &Tile<'_, '_>) {
        if tile.operands.pairs {
            for unit in 0..tile.operands.units {
                for pixel in 0..tile.operands.starts.len() {
                    // SAFETY: by contract; unit and pixel are the tile's own.
                    unsafe { part::<Avx512, Pairs, 1, 1>(tile, unit, pixel) };
                }
            }
        } else {
            tiles!(tile, Numbers);
        }
    }

    /// # Safety
    /// The processor has AVX-512 and its bfloat16; the tile's words are pairs and every access was checked.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,fma")]
    pub(super) unsafe fn avx512_pairs(tile: &Tile<'_, '_>) {
        tiles!(tile, Native);
    }

    /// # Safety
    /// The processor has AVX2 and FMA; every access of the tile was checked.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(tile: &Tile<'_, '_>) {
        /// Pixels at a time: with two registers a vector, eight hold sums.
        const PIXELS: usize = 4;
        let pixels = tile.operands.starts.len();
        for unit in 0..tile.operands.units {
            // SAFETY: by contract; units and pixels are the tile's own.
            unsafe {
                let whole = if tile.operands.pairs { 0 } else { pixels / PIXELS * PIXELS };
                for pixel in (0..whole).step_by(PIXELS) {
                    part::<Avx2, Numbers, 1, PIXELS>(tile, unit, pixel);
                }
                for pixel in whole..pixels {
                    match tile.operands.pairs {
                        true => part::<Avx2, Pairs, 1, 1>(tile, unit, pixel),
                        false => part::<Avx2, Numbers, 1, 1>(tile, unit, pixel),
                    }
                }
            }
        }
    }
}

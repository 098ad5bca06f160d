//! The tile on AVX-512: 24 of the 32 vector registers hold sums.
#![allow(unsafe_code)] // vector loads and stores through pointers, and calls that need the processor's features

use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm256_storeu_ps, _mm512_castps512_ps256, _mm512_extractf32x8_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_permutex2var_ps, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setzero_ps, _mm512_shuffle_ps, _mm512_storeu_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

use super::{HEIGHT, Product, Sums, UNIT, WIDTH, Walk};

/// Stores `product` in `sums`, or adds it; the processor must have AVX-512F.
pub(super) fn apply(product: &Product<'_>, sums: &mut Sums, add: bool) {
    debug_assert!(std::arch::is_x86_feature_detected!("avx512f"));
    match product.units {
        1 => with_units::<1>(product, sums, add),
        2 => with_units::<2>(product, sums, add),
        _ => with_units::<{ WIDTH / UNIT }>(product, sums, add),
    }
}

fn with_units<const UNITS: usize>(product: &Product<'_>, sums: &mut Sums, add: bool) {
    // SAFETY: `apply` is only called where AVX-512F is present; `Product::new` checked every load.
    unsafe {
        match product.lines {
            1 => with_lines::<UNITS, 1>(product, sums, add),
            2 => with_lines::<UNITS, 2>(product, sums, add),
            3 => with_lines::<UNITS, 3>(product, sums, add),
            4 => with_lines::<UNITS, 4>(product, sums, add),
            5 => with_lines::<UNITS, 5>(product, sums, add),
            6 => with_lines::<UNITS, 6>(product, sums, add),
            7 => with_lines::<UNITS, 7>(product, sums, add),
            _ => with_lines::<UNITS, HEIGHT>(product, sums, add),
        }
    }
}

/// # Safety
/// The processor has AVX-512F, and `product` has `UNITS` units and `LINES` lines.
#[target_feature(enable = "avx512f")]
unsafe fn with_lines<const UNITS: usize, const LINES: usize>(
    product: &Product<'_>,
    sums: &mut Sums,
    add: bool,
) {
    // SAFETY: passed on. Offsets are asked for below the product's depth, which is their number.
    unsafe {
        match product.walk {
            Walk::Strided { stride, .. } => walk::<UNITS, LINES, 0>(product, sums, add, |k| (k * stride, k)),
            Walk::VectorsAt(offsets) => {
                // The vectors lie scattered, and those after them are likely needed next.
                let offsets = offsets.values.as_ptr();
                walk::<UNITS, LINES, WIDTH>(product, sums, add, |k| (*offsets.add(k) as usize, k));
            }
            Walk::ScalarsAt { stride, offsets } => {
                let offsets = offsets.values.as_ptr();
                walk::<UNITS, LINES, 0>(product, sums, add, |k| (k * stride, *offsets.add(k) as usize));
            }
            Walk::At(steps) => {
                let steps = steps.values.as_ptr();
                walk::<UNITS, LINES, 0>(product, sums, add, |k| {
                    let [vector, scalar] = *steps.add(k);
                    (vector as usize, scalar as usize)
                });
            }
        }
    }
}

/// Asks for the vectors `AHEAD` numbers after those loaded, unless it is 0.
///
/// # Safety
/// As [`with_lines`]; `step(k)` must be the vector and the scalar of the product's walk for `k` below its depth.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn walk<const UNITS: usize, const LINES: usize, const AHEAD: usize>(
    product: &Product<'_>,
    sums: &mut Sums,
    add: bool,
    step: impl Fn(usize) -> (usize, usize),
) {
    // SAFETY: `Product::new` checked that the vectors of every step and, for every line, the scalars lie inside their
    // slices; the sums have room for `UNITS` vectors in each of `LINES` lines.
    unsafe {
        let mut tile: [[__m512; UNITS]; LINES] = [[_mm512_setzero_ps(); UNITS]; LINES];
        for (line, sums) in tile.iter_mut().zip(sums.iter()).filter(|_| add) {
            for (unit, sum) in line.iter_mut().enumerate() {
                *sum = _mm512_loadu_ps(sums.as_ptr().add(unit * UNIT));
            }
        }
        let scalars: [*const f32; LINES] =
            std::array::from_fn(|line| product.scalars.as_ptr().add(product.starts[line]));
        for k in 0..product.depth() {
            let (vector, at) = step(k);
            let vectors = product.vectors.as_ptr().add(vector);
            let loaded: [__m512; UNITS] =
                std::array::from_fn(|unit| _mm512_loadu_ps(vectors.add(unit * UNIT)));
            if AHEAD > 0 {
                for unit in 0..UNITS {
                    _mm_prefetch::<_MM_HINT_T0>(vectors.wrapping_add(AHEAD + unit * UNIT).cast());
                }
            }
            for (line, scalars) in tile.iter_mut().zip(scalars) {
                let scalar = _mm512_set1_ps(*scalars.add(at));
                for (sum, vector) in line.iter_mut().zip(loaded) {
                    *sum = _mm512_fmadd_ps(vector, scalar, *sum);
                }
            }
        }
        for (line, sums) in tile.iter().zip(sums.iter_mut()) {
            for (unit, sum) in line.iter().enumerate() {
                _mm512_storeu_ps(sums.as_mut_ptr().add(unit * UNIT), *sum);
            }
        }
    }
}

/// Exchanges lines and lanes of the first `units` vectors; the processor must have AVX-512 F and DQ.
pub(super) fn turn(sums: &Sums, units: usize, turned: &mut [[f32; HEIGHT]; WIDTH]) {
    for (unit, turned) in turned.as_chunks_mut::<UNIT>().0.iter_mut().enumerate().take(units) {
        // SAFETY: `turn` is only called where AVX-512 is present; the unit is one of the sums' three.
        unsafe { turn_unit(sums, unit, turned) };
    }
}

/// # Safety
/// The processor has AVX-512 F and DQ, and `unit` is below three.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn turn_unit(sums: &Sums, unit: usize, turned: &mut [[f32; HEIGHT]; UNIT]) {
    // Of each half of the lines, turned in fours: lane 4 b + i of result j is line i's lane 4 b + j.
    let mut halves = [[_mm512_setzero_ps(); 4]; 2];
    for (half, lines) in halves.iter_mut().zip(sums.as_chunks::<4>().0) {
        // SAFETY: the unit's vector lies inside its line.
        let [a, b, c, d] =
            lines.each_ref().map(|line| unsafe { _mm512_loadu_ps(line.as_ptr().add(unit * UNIT)) });
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        *half = [
            _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd),
            _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd),
            _mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ];
    }
    // Fours of both halves side by side make two turned lines.
    let pairs = [
        _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
        _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
    ];
    for (j, (first, second)) in halves[0].into_iter().zip(halves[1]).enumerate() {
        for (block, pair) in pairs.into_iter().enumerate() {
            let lines = _mm512_permutex2var_ps(first, pair, second);
            // SAFETY: a turned line has eight numbers.
            unsafe {
                _mm256_storeu_ps(turned[8 * block + j].as_mut_ptr(), _mm512_castps512_ps256(lines));
                _mm256_storeu_ps(turned[8 * block + 4 + j].as_mut_ptr(), _mm512_extractf32x8_ps::<1>(lines));
            }
        }
    }
}

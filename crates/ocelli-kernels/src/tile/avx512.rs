//! The tile on AVX-512: 24 of the 32 vector registers hold sums.
#![allow(unsafe_code)] // vector loads and stores through pointers, and calls that need the processor's features

use std::arch::x86_64::{
    __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
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
            Walk::Strided { stride, .. } => walk::<UNITS, LINES>(product, sums, add, |k| k * stride, |k| k),
            Walk::VectorsAt(offsets) => {
                let offsets = offsets.values.as_ptr();
                walk::<UNITS, LINES>(product, sums, add, |k| *offsets.add(k) as usize, |k| k);
            }
            Walk::ScalarsAt { stride, offsets } => {
                let offsets = offsets.values.as_ptr();
                walk::<UNITS, LINES>(product, sums, add, |k| k * stride, |k| *offsets.add(k) as usize);
            }
        }
    }
}

/// # Safety
/// As [`with_lines`]; `vector(k)` and `scalar(k)` must be those of the product's walk for `k` below its depth.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn walk<const UNITS: usize, const LINES: usize>(
    product: &Product<'_>,
    sums: &mut Sums,
    add: bool,
    vector: impl Fn(usize) -> usize,
    scalar: impl Fn(usize) -> usize,
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
            let vectors = product.vectors.as_ptr().add(vector(k));
            let loaded: [__m512; UNITS] =
                std::array::from_fn(|unit| _mm512_loadu_ps(vectors.add(unit * UNIT)));
            let at = scalar(k);
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

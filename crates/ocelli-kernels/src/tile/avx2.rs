//! The tile on AVX2 with fused multiply-add: sixteen registers hold 4 x 16 sums at a time, so a tile is walked in
//! parts.
#![allow(unsafe_code)] // vector loads and stores through pointers, and calls that need the processor's features

use std::arch::x86_64::{
    __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::{Product, Sums, UNIT, Walk};

/// Lines walked at a time.
const LINES: usize = 4;
/// Numbers in a register.
const LANES: usize = UNIT / 2;

/// Stores `product` in `sums`, or adds it; the processor must have AVX2 and FMA.
pub(super) fn apply(product: &Product<'_>, sums: &mut Sums, add: bool) {
    debug_assert!(std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"));
    for unit in 0..product.units {
        for first in (0..product.lines).step_by(LINES) {
            // SAFETY: `apply` is only called where both features are present; unit and lines are the product's own.
            unsafe {
                match product.lines - first {
                    1 => walk::<1>(product, sums, add, [unit, first]),
                    2 => walk::<2>(product, sums, add, [unit, first]),
                    3 => walk::<3>(product, sums, add, [unit, first]),
                    _ => walk::<LINES>(product, sums, add, [unit, first]),
                }
            }
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA; `product` has more than `unit` units and at least `first + LINES` lines.
#[target_feature(enable = "avx2,fma")]
unsafe fn walk<const LINES: usize>(
    product: &Product<'_>,
    sums: &mut Sums,
    add: bool,
    [unit, first]: [usize; 2],
) {
    // SAFETY: `Product::new` checked that the vectors of every step and, for every line, the scalars lie inside their
    // slices; unit and lines exist by contract, and offsets are asked for below their number.
    unsafe {
        let sums = &mut sums[first..first + LINES];
        let mut tile: [[__m256; 2]; LINES] = [[_mm256_setzero_ps(); 2]; LINES];
        for (line, sums) in tile.iter_mut().zip(sums.iter()).filter(|_| add) {
            for (half, sum) in line.iter_mut().enumerate() {
                *sum = _mm256_loadu_ps(sums.as_ptr().add(unit * UNIT + half * LANES));
            }
        }
        let scalars: [*const f32; LINES] =
            std::array::from_fn(|line| product.scalars.as_ptr().add(product.starts[first + line]));
        for k in 0..product.depth() {
            let (vector, at) = match product.walk {
                Walk::Strided { stride, .. } => (k * stride, k),
                Walk::VectorsAt(offsets) => (*offsets.values.get_unchecked(k) as usize, k),
                Walk::ScalarsAt { stride, offsets } => {
                    (k * stride, *offsets.values.get_unchecked(k) as usize)
                }
                Walk::At(steps) => steps.values.get_unchecked(k).map(|offset| offset as usize).into(),
            };
            let vector = product.vectors.as_ptr().add(vector + unit * UNIT);
            let loaded = [_mm256_loadu_ps(vector), _mm256_loadu_ps(vector.add(LANES))];
            for (line, scalars) in tile.iter_mut().zip(scalars) {
                let scalar = _mm256_set1_ps(*scalars.add(at));
                for (sum, vector) in line.iter_mut().zip(loaded) {
                    *sum = _mm256_fmadd_ps(vector, scalar, *sum);
                }
            }
        }
        for (line, sums) in tile.iter().zip(sums.iter_mut()) {
            for (half, sum) in line.iter().enumerate() {
                _mm256_storeu_ps(sums.as_mut_ptr().add(unit * UNIT + half * LANES), *sum);
            }
        }
    }
}

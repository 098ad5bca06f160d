//! Inner products of a query with stored rows.

use half::f16;
use ocelli_simd::vectorized;

/// Sums kept side by side.
const LANES: usize = 32;

/// Rows to come are asked of memory this many rows ahead.
const AHEAD: usize = 6;

vectorized! {
    /// Writes `<query, row>` of each listed row `[rows, dim]` of single precision.
    pub(crate) fn dots_f32(query: &[f32], rows: &[f32], listed: &[u32], out: &mut [f32]) {
        each(query, rows, listed, out, |value| value);
    }
}

vectorized! {
    /// The same of half precision.
    pub(crate) fn dots_f16(query: &[f32], rows: &[f16], listed: &[u32], out: &mut [f32]) {
        each(query, rows, listed, out, half_to_single);
    }
}

vectorized! {
    /// The same of 8 bits, each row scaled by its own factor.
    pub(crate) fn dots_i8(query: &[f32], rows: &[i8], scales: &[f32], listed: &[u32], out: &mut [f32]) {
        each(query, rows, listed, out, f32::from);
        for (out, &row) in out.iter_mut().zip(listed) {
            *out *= scales[row as usize];
        }
    }
}

vectorized! {
    /// `<a, b>` as [`dots_f32`] sums it, bit by bit, so that a vector's distance to itself is 0. That is not the order of
    /// `ocelli_simd::lanes::dot`, whose products are rounded before they are added.
    pub(crate) fn row_f32(a: &[f32], b: &[f32]) -> f32 {
        dot(a, b, |value| value)
    }
}

#[inline(always)]
fn each<T: Copy>(query: &[f32], rows: &[T], listed: &[u32], out: &mut [f32], widen: impl Fn(T) -> f32) {
    let dim = query.len();
    let row = |row: u32| &rows[row as usize * dim..(row as usize + 1) * dim];
    listed.iter().take(AHEAD).for_each(|&first| prefetch(row(first)));
    for (i, (&listed_row, out)) in listed.iter().zip(out).enumerate() {
        if let Some(&coming) = listed.get(i + AHEAD) {
            prefetch(row(coming));
        }
        *out = dot(query, row(listed_row), &widen);
    }
}

#[inline(always)]
fn dot<T: Copy>(a: &[f32], b: &[T], widen: impl Fn(T) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b[..a.len() * LANES + a_rest.len()].as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] = a[lane].mul_add(widen(b[lane]), sums[lane]);
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum = a.mul_add(widen(*b), *sum);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Asks memory for a slice that is read soon.
#[allow(unsafe_code)] // a hint to the processor, which faults on no address
#[inline(always)]
fn prefetch<T>(slice: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..std::mem::size_of_val(slice).div_ceil(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching reads nothing; the instruction is part of the base set.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().cast::<i8>().wrapping_add(64 * line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slice;
}

/// The exact value of a finite half: its exponent field put in place and its bias of 15 raised to 127 by a product, which
/// serves subnormal numbers as well and needs no special instruction.
#[inline(always)]
fn half_to_single(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_finite_half_is_widened_exactly() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            if value.is_finite() {
                assert_eq!(half_to_single(value).to_bits(), value.to_f32().to_bits(), "{bits:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn products_with_stored_rows_equal_those_in_double_precision(
            dim in 1usize..150, values in prop::collection::vec(-1.0f32..1.0, 150 * 9), order: u8,
        ) {
            let (query, rows) = values.split_at(dim);
            let count = rows.len() / dim;
            let rows = &rows[..count * dim];
            let listed: Vec<u32> = (0..count).map(|i| ((i * 5 + usize::from(order)) % count) as u32).collect();
            let exact = |widened: &dyn Fn(usize) -> f64| -> Vec<f64> {
                let dot = |&row: &u32| (0..dim).map(|k| f64::from(query[k]) * widened(row as usize * dim + k)).sum();
                listed.iter().map(dot).collect()
            };
            let near = |found: &[f32], expected: Vec<f64>| {
                found.iter().zip(&expected).all(|(f, e)| (f64::from(*f) - e).abs() < 1e-5 * dim as f64)
            };
            let mut out = vec![0.0; count];
            dots_f32(query, rows, &listed, &mut out);
            prop_assert!(near(&out, exact(&|i| f64::from(rows[i]))));
            let halves: Vec<f16> = rows.iter().map(|v| f16::from_f32(*v)).collect();
            dots_f16(query, &halves, &listed, &mut out);
            prop_assert!(near(&out, exact(&|i| f64::from(halves[i].to_f32()))));
            let bytes: Vec<i8> = rows.iter().map(|v| (v * 127.0) as i8).collect();
            let scales: Vec<f32> = (0..count).map(|i| 0.01 + i as f32 * 1e-4).collect();
            dots_i8(query, &bytes, &scales, &listed, &mut out);
            prop_assert!(near(&out, exact(&|i| f64::from(bytes[i]) * f64::from(scales[i / dim]))));
        }
    }
}

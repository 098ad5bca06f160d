//! 16 points of two blocks a shuffle (`vpshufb`), summed in 16 bits; of elements with a byte each, eight points of two
//! elements a product (`vpmaddwd`).

use std::arch::x86_64::*;

use super::{Lookup, Points, RUN, STEP, UNIT};

/// Sums of 16 points, for even and odd bytes, of two blocks each: 256 blocks of 8-bit entries fit 16 bits.
type Sums = [__m256i; 2];

/// Codes of four blocks of 16 points, a block a half register; points come in the order of [`ORDER`].
#[allow(unsafe_code)] // reads through a pointer
#[target_feature(enable = "avx2")]
unsafe fn transposed(codes: *const u8) -> [__m256i; 2] {
    // Gathers the four bytes of a block within each group of four points.
    let by_block = _mm256_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7,
        11, 15,
    );
    // SAFETY: the caller vouches for 64 bytes.
    let load = |at: usize| unsafe { _mm256_loadu_si256(codes.add(at).cast()) };
    let (a, b) = (_mm256_shuffle_epi8(load(0), by_block), _mm256_shuffle_epi8(load(32), by_block));
    let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    [_mm256_permute4x64_epi64::<0b11_01_10_00>(low), _mm256_permute4x64_epi64::<0b11_01_10_00>(high)]
}

/// The point that each of the 16 bytes of [`transposed`] belongs to.
const ORDER: [usize; 16] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];

#[allow(unsafe_code)] // reads through a pointer
#[target_feature(enable = "avx2")]
unsafe fn add(sums: &mut Sums, codes: __m256i, table: *const i8) {
    // SAFETY: the caller vouches for two blocks of entries.
    let table = unsafe { _mm256_loadu_si256(table.cast()) };
    let values = _mm256_shuffle_epi8(table, codes);
    sums[0] = _mm256_add_epi16(sums[0], _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(values)));
    sums[1] = _mm256_add_epi16(sums[1], _mm256_srai_epi16::<8>(values));
}

/// Integer sums of the 32 points of a unit.
///
/// # Safety
/// The unit lies within the codes and the table has the layout's rows.
#[allow(unsafe_code)] // reads through pointers
#[target_feature(enable = "avx2")]
pub(super) unsafe fn sums(points: Points<'_>, unit: usize, lookup: Lookup<'_>) -> [i32; UNIT] {
    let layout = points.layout;
    let nibble = _mm256_set1_epi8(15);
    let low = |codes| _mm256_and_si256(codes, nibble);
    let high = |codes| _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
    let mut sums = [[_mm256_setzero_si256(); 2]; 2];
    // SAFETY: the caller vouches for the unit's bytes and the table's rows.
    unsafe {
        let codes = points.codes.as_ptr().add(unit * layout.unit_bytes());
        let table = lookup.table.as_ptr();
        for chunk in 0..layout.chunks {
            let rows = table.add(2 * chunk * RUN);
            for (half, sums) in sums.iter_mut().enumerate() {
                for (pair, codes) in transposed(codes.add((2 * chunk + half) * RUN)).into_iter().enumerate() {
                    add(sums, low(codes), rows.add(pair * 32));
                    add(sums, high(codes), rows.add(RUN + pair * 32));
                }
            }
        }
        if layout.half {
            let row = table.add(2 * layout.chunks * RUN);
            for (pair, codes) in transposed(codes.add(2 * layout.chunks * RUN)).into_iter().enumerate() {
                add(&mut sums[0], low(codes), row.add(pair * 32));
                add(&mut sums[1], high(codes), row.add(pair * 32));
            }
        }
        let mut out = [0; UNIT];
        for (half, sums) in sums.into_iter().enumerate() {
            for (odd, sums) in sums.into_iter().enumerate() {
                let mut lanes = [0i16; 16];
                _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sums);
                for (i, lane) in lanes.into_iter().enumerate() {
                    out[half * 16 + ORDER[2 * (i % 8) + odd]] += i32::from(lane);
                }
            }
        }
        out
    }
}

/// Integer sums of the 32 points of a unit of elements.
///
/// # Safety
/// The unit lies within the codes and the table has whole steps.
#[allow(unsafe_code)] // reads and writes through pointers
#[target_feature(enable = "avx2")]
pub(super) unsafe fn element_sums(points: Points<'_>, unit: usize, lookup: Lookup<'_>) -> [i32; UNIT] {
    /// Registers of eight points.
    const EIGHTS: usize = UNIT / 8;
    let layout = points.layout;
    let low = _mm256_set1_epi16(0xff);
    let mut sums = [_mm256_setzero_si256(); EIGHTS];
    let mut out = [0; UNIT];
    // SAFETY: the caller vouches for the unit's bytes and the table's steps; `out` takes four registers.
    unsafe {
        let codes = points.codes.as_ptr().add(unit * layout.unit_bytes());
        for step in 0..layout.steps {
            let four = lookup.table.as_ptr().add(step * STEP).cast::<[i8; STEP]>().read();
            // The query's elements 0 and 2, and 1 and 3, in 16 bits each.
            let pair = |a: i8, b: i8| {
                _mm256_set1_epi32(i32::from(b) << 16 | i32::from(i16::from(a).cast_unsigned()))
            };
            let (even, odd) = (pair(four[0], four[2]), pair(four[1], four[3]));
            for (eight, sum) in sums.iter_mut().enumerate() {
                let codes = _mm256_loadu_si256(codes.add(2 * step * RUN + 32 * eight).cast());
                let evens = _mm256_madd_epi16(_mm256_and_si256(codes, low), even);
                let odds = _mm256_madd_epi16(_mm256_srli_epi16::<8>(codes), odd);
                *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(evens, odds));
            }
        }
        for (eight, sum) in sums.into_iter().enumerate() {
            _mm256_storeu_si256(out.as_mut_ptr().add(8 * eight).cast(), sum);
        }
    }
    out
}

//! 16 points of four blocks a permutation (`vpermb`), four values a 32-bit sum (`vpdpbusd`); of elements with a byte each,
//! 16 points of four elements a sum.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{Hits, Lookup, Points, RUN, STEP, UNIT};

/// The codes in the low halves of bytes, with each byte's block: codes of block `j` are looked up in entries `16 j` to
/// `16 j + 15`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn low(codes: __m512i) -> __m512i {
    // (codes & 15) | offsets
    _mm512_ternarylogic_epi32::<0xEA>(codes, _mm512_set1_epi8(15), _mm512_set1_epi32(0x3020_1000))
}

/// The same of the high halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high(codes: __m512i) -> __m512i {
    low(_mm512_srli_epi16::<4>(codes))
}

/// Adds what the indices of four blocks find in their row of tables.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn add(sum: __m512i, index: __m512i, table: __m512i) -> __m512i {
    _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_permutexvar_epi8(index, table))
}

/// Integer sums of `U` units for `Q` queries, in two halves of 16 points each.
///
/// Written without closures: what these hold need not be compiled into a function that has the features.
///
/// # Safety
/// The units lie within the codes and the tables have the layout's rows.
#[inline]
#[allow(unsafe_code)] // reads through pointers
#[allow(clippy::needless_range_loop)] // counted loops over small arrays stay in registers
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
unsafe fn sums<const Q: usize, const U: usize>(
    points: Points<'_>,
    unit: usize,
    tables: [*const i8; Q],
) -> [[[__m512i; 2]; U]; Q] {
    let layout = points.layout;
    let bytes = layout.unit_bytes();
    let zero = _mm512_setzero_si512();
    let mut sums = [[[zero; 2]; U]; Q];
    // SAFETY: the caller vouches for `unit + U` units of codes and all rows of tables.
    unsafe {
        let codes = points.codes.as_ptr().add(unit * bytes);
        for chunk in 0..layout.chunks {
            // For each unit and half, the indices into the chunk's two rows of tables.
            let mut index = [[[zero; 2]; 2]; U];
            for u in 0..U {
                for half in 0..2 {
                    let codes = _mm512_loadu_si512(codes.add(u * bytes + (2 * chunk + half) * RUN).cast());
                    index[u][half] = [low(codes), high(codes)];
                }
            }
            for q in 0..Q {
                for row in 0..2 {
                    let table = _mm512_loadu_si512(tables[q].add((2 * chunk + row) * RUN).cast());
                    for u in 0..U {
                        for half in 0..2 {
                            sums[q][u][half] = add(sums[q][u][half], index[u][half][row], table);
                        }
                    }
                }
            }
        }
        if layout.half {
            let at = layout.chunks * 2 * RUN;
            for u in 0..U {
                let codes = _mm512_loadu_si512(codes.add(u * bytes + at).cast());
                let index = [low(codes), high(codes)];
                for q in 0..Q {
                    let table = _mm512_loadu_si512(tables[q].add(at).cast());
                    for half in 0..2 {
                        sums[q][u][half] = add(sums[q][u][half], index[half], table);
                    }
                }
            }
        }
    }
    sums
}

/// [`sums`] of elements with a byte each.
///
/// # Safety
/// As there.
#[inline]
#[allow(unsafe_code)] // reads through pointers
#[allow(clippy::needless_range_loop)] // counted loops over small arrays stay in registers
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
unsafe fn element_sums<const Q: usize, const U: usize>(
    points: Points<'_>,
    unit: usize,
    tables: [*const i8; Q],
) -> [[[__m512i; 2]; U]; Q] {
    let bytes = points.layout.unit_bytes();
    let mut sums = [[[_mm512_setzero_si512(); 2]; U]; Q];
    // SAFETY: the caller vouches for `unit + U` units of codes and a table of whole steps.
    unsafe {
        let codes = points.codes.as_ptr().add(unit * bytes);
        for step in 0..points.layout.steps {
            let mut elements = [[_mm512_setzero_si512(); 2]; U];
            for u in 0..U {
                for half in 0..2 {
                    let at = u * bytes + (2 * step + half) * RUN;
                    elements[u][half] = _mm512_loadu_si512(codes.add(at).cast());
                }
            }
            for q in 0..Q {
                let four = tables[q].add(step * STEP).cast::<i32>().read_unaligned();
                let four = _mm512_set1_epi32(four);
                for u in 0..U {
                    for half in 0..2 {
                        sums[q][u][half] = _mm512_dpbusd_epi32(sums[q][u][half], elements[u][half], four);
                    }
                }
            }
        }
    }
    sums
}

/// [`sums`] or [`element_sums`].
///
/// # Safety
/// As there.
#[inline]
#[allow(unsafe_code)] // calls of these
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
unsafe fn any_sums<const ELEMENTS: bool, const Q: usize, const U: usize>(
    points: Points<'_>,
    unit: usize,
    tables: [*const i8; Q],
) -> [[[__m512i; 2]; U]; Q] {
    // SAFETY: the caller vouches for the same.
    unsafe { if ELEMENTS { element_sums(points, unit, tables) } else { sums(points, unit, tables) } }
}

/// Adds the scores of a unit that reach the threshold to `hits`, which has room for them.
///
/// # Safety
/// `hits` has room for [`UNIT`] more, and the unit has points that count.
#[inline]
#[allow(unsafe_code)] // reads and writes through pointers
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn keep(points: Points<'_>, unit: usize, lookup: &Lookup<'_>, sums: [__m512i; 2], hits: &mut Hits) {
    let (scale, base) = (_mm512_set1_ps(lookup.scale), _mm512_set1_ps(lookup.base));
    let threshold = _mm512_set1_ps(lookup.threshold);
    for (half, sums) in sums.into_iter().enumerate() {
        let start = unit * UNIT + half * 16;
        let there = points.count.saturating_sub(start).min(16);
        let valid = ((1u32 << there) - 1) as __mmask16;
        let mut score = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, base);
        // SAFETY: only places below `count` are read, and no more than 32 places are written behind `len`.
        unsafe {
            if let Some(bias) = points.bias {
                // Of an empty half nothing is read: the pointer may lie behind the end.
                let bias = bias.as_ptr().wrapping_add(start);
                score = _mm512_add_ps(score, _mm512_maskz_loadu_ps(valid, bias));
            }
            let high = _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(valid, score, threshold);
            if high != 0 {
                let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
                let first = _mm512_set1_epi32((points.first + start as u32) as i32);
                let positions = _mm512_add_epi32(lanes, first);
                // Compressed in the register: storing through a mask is slow on some processors.
                let score = _mm512_maskz_compress_ps(high, score);
                let positions = _mm512_maskz_compress_epi32(high, positions);
                _mm512_storeu_ps(hits.scores.as_mut_ptr().add(hits.len), score);
                _mm512_storeu_si512(hits.positions.as_mut_ptr().add(hits.len).cast(), positions);
                hits.len += high.count_ones() as usize;
            }
        }
    }
}

/// See [`super::Kernel::scan`].
///
/// # Safety
/// The units lie within the codes and the table has the layout's rows.
#[allow(unsafe_code)] // calls of the functions above
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
pub(super) unsafe fn scan<const ELEMENTS: bool>(
    points: Points<'_>,
    units: Range<usize>,
    lookup: Lookup<'_>,
    hits: &mut Hits,
) -> usize {
    let mut unit = units.start;
    let tables = [lookup.table.as_ptr()];
    // SAFETY: the caller vouches for the units; room is asked for before each step, `ROOM` being two units.
    unsafe {
        while unit + 2 <= units.end && hits.has_room() {
            let [[first, second]] = any_sums::<ELEMENTS, 1, 2>(points, unit, tables);
            keep(points, unit, &lookup, first, hits);
            keep(points, unit + 1, &lookup, second, hits);
            unit += 2;
        }
        if unit + 1 == units.end && hits.has_room() {
            let [[only]] = any_sums::<ELEMENTS, 1, 1>(points, unit, tables);
            keep(points, unit, &lookup, only, hits);
            unit += 1;
        }
    }
    unit
}

/// See [`super::Kernel::scan_four`].
///
/// # Safety
/// The units lie within the codes and the tables have the layout's rows.
#[allow(unsafe_code)] // calls of the functions above
#[allow(clippy::needless_range_loop)] // as above
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
pub(super) unsafe fn scan_four<const ELEMENTS: bool>(
    points: Points<'_>,
    units: Range<usize>,
    lookups: &[Lookup<'_>; 4],
    hits: [&mut Hits; 4],
) -> usize {
    let [a, b, c, d] = lookups;
    let tables = [a.table.as_ptr(), b.table.as_ptr(), c.table.as_ptr(), d.table.as_ptr()];
    for unit in units.clone() {
        let [a, b, c, d] = &hits;
        if !(a.has_room() && b.has_room() && c.has_room() && d.has_room()) {
            return unit;
        }
        // SAFETY: the caller vouches for the units; there is room for two units.
        unsafe {
            let sums = any_sums::<ELEMENTS, 4, 1>(points, unit, tables);
            for q in 0..4 {
                keep(points, unit, &lookups[q], sums[q][0], hits[q]);
            }
        }
    }
    units.end
}

//! The definition, which every other kernel equals.

use ocelli_simd::vectorized;

use super::{BYTE_WORDS, Lookup, Points, RUN, STEP, UNIT, WORDS};

/// Integer sums of the 32 points of a unit.
pub(super) fn sums(points: Points<'_>, unit: usize, lookup: Lookup<'_>) -> [i32; UNIT] {
    let layout = points.layout;
    let codes = &points.codes[unit * layout.unit_bytes()..][..layout.unit_bytes()];
    let mut sums = [0; UNIT];
    let (chunks, half) = codes.split_at(layout.chunks * 2 * RUN);
    let (rows, half_row) = lookup.table.split_at(layout.chunks * 2 * RUN);
    for (chunk, tables) in chunks.chunks_exact(2 * RUN).zip(rows.chunks_exact(2 * RUN)) {
        let (low, high) = tables.split_at(RUN);
        for (four, sum) in chunk.chunks_exact(4).zip(&mut sums) {
            for (j, &codes) in four.iter().enumerate() {
                *sum += entry(low, j, codes & 15) + entry(high, j, codes >> 4);
            }
        }
    }
    let (first, second) = sums.split_at_mut(UNIT / 2);
    for ((four, first), second) in half.chunks_exact(4).zip(first).zip(second) {
        for (j, &codes) in four.iter().enumerate() {
            *first += entry(half_row, j, codes & 15);
            *second += entry(half_row, j, codes >> 4);
        }
    }
    sums
}

fn entry(row: &[i8], block: usize, code: u8) -> i32 {
    i32::from(row[block * WORDS + usize::from(code)])
}

/// Integer sums of a unit of codes of eight bits.
pub(super) fn byte_sums(points: Points<'_>, unit: usize, lookup: Lookup<'_>) -> [i32; UNIT] {
    let bytes = points.layout.unit_bytes();
    let mut sums = [0; UNIT];
    let blocks = points.codes[unit * bytes..(unit + 1) * bytes].as_chunks::<UNIT>().0;
    for (codes, table) in blocks.iter().zip(lookup.table.as_chunks::<BYTE_WORDS>().0) {
        for (sum, &code) in sums.iter_mut().zip(codes) {
            *sum += i32::from(table[usize::from(code)]);
        }
    }
    sums
}

/// Integer sums of a unit of elements.
pub(super) fn element_sums(points: Points<'_>, unit: usize, lookup: Lookup<'_>) -> [i32; UNIT] {
    let bytes = points.layout.unit_bytes();
    let mut sums = [0; UNIT];
    products(&points.codes[unit * bytes..(unit + 1) * bytes], lookup.table, &mut sums);
    sums
}

vectorized! {
    fn products(codes: &[u8], table: &[i8], sums: &mut [i32; UNIT]) {
        let steps = codes.as_chunks::<{ 2 * RUN }>().0;
        for (codes, four) in steps.iter().zip(table.as_chunks::<STEP>().0) {
            let four = four.map(i32::from);
            for (sum, elements) in sums.iter_mut().zip(codes.as_chunks::<STEP>().0) {
                for j in 0..STEP {
                    *sum += four[j] * i32::from(elements[j]);
                }
            }
        }
    }
}

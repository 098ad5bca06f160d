//! The definition, in plain Rust.

use super::{LANES, Lanes, Search};

/// See [`super::Instructions::nearer`].
pub(super) fn nearer(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    for (b, block) in blocks.chunks_exact(search.query.len()).enumerate() {
        let mut distances = [0u64; LANES];
        for (lanes, word) in block.iter().zip(search.query) {
            for (sum, lane) in distances.iter_mut().zip(lanes) {
                *sum += u64::from((lane ^ word).count_ones());
            }
        }
        let is_hit = |lane: usize| u32::from(distances[lane] < u64::from(search.limit)) << lane;
        search.emit(b, (0..LANES).map(is_hit).sum(), &distances, hits);
    }
}

/// See [`super::Instructions::nearer_of`].
///
/// Always inlined, so that a caller with the processor's population count gets it here.
#[inline(always)]
pub(super) fn nearer_of(query: &[u64], codes: &[u64], limit: u32, numbers: &[u32], hits: &mut Vec<u64>) {
    for &number in numbers {
        let code = &codes[number as usize * query.len()..][..query.len()];
        let distance = match (query, code) {
            ([query], [code]) => (query ^ code).count_ones(),
            _ => query.iter().zip(code).map(|(a, b)| (a ^ b).count_ones()).sum(),
        };
        if distance < limit {
            hits.push(u64::from(distance) << 32 | u64::from(number));
        }
    }
}

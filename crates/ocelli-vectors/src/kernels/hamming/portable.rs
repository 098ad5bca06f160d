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
pub(super) fn nearer_of(query: &[u64], blocks: &[u64], limit: u32, numbers: &[u32], hits: &mut Vec<u64>) {
    for &number in numbers {
        let (block, lane) = (number as usize / LANES, number as usize % LANES);
        let code = &blocks[block * LANES * query.len()..][..LANES * query.len()];
        let mut distance = 0;
        // Most candidates are far: the first words tell, and the others lie in further cache lines.
        for (lanes, word) in code.as_chunks::<LANES>().0.iter().zip(query) {
            distance += (lanes[lane] ^ word).count_ones();
            if distance >= limit {
                break;
            }
        }
        if distance < limit {
            hits.push(u64::from(distance) << 32 | u64::from(number));
        }
    }
}

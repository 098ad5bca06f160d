//! The search through all codes.
//!
//! Queries are taken in groups and codes in tiles: a tile stays in the processor's nearest cache while all queries of the
//! group are compared with it. A query keeps the distance that a code must beat, so that few hits leave the kernel.

use rayon::prelude::*;

use super::select::{Collect, Nearest, Within};
use super::{Codes, HammingError, Neighbours, Result};
use crate::kernels::hamming::{Instructions, LANES};

/// Words of codes in a tile: 16 KiB, half of the nearest cache.
const TILE: usize = 2048;

/// Queries in a group.
const GROUP: usize = 32;

/// Words of codes below which a search is not divided among threads.
const SHARE: usize = 1 << 16;

impl Codes {
    /// For each query the `k` nearest codes of this set, or all where there are fewer.
    ///
    /// Takes about a tenth of a nanosecond a query and 64 bits of a code on a processor with AVX-512, once there are enough
    /// queries that codes need not come from memory for each.
    pub fn nearest(&self, queries: &Codes, k: usize) -> Result<Neighbours> {
        check(self, queries, k)?;
        let all: Vec<usize> = (0..queries.len()).collect();
        let found = scan(self, queries, &all, &|_| Nearest::by_number(k.min(self.len()), self.bits()));
        Ok(Neighbours::from_keys(&found))
    }

    /// For each query all codes of this set that differ from it in at most `radius` bits.
    pub fn within(&self, queries: &Codes, radius: u32) -> Result<Neighbours> {
        self.same_bits("queries", queries)?;
        let all: Vec<usize> = (0..queries.len()).collect();
        Ok(Neighbours::from_keys(&scan(self, queries, &all, &|_| Within::by_number(radius))))
    }
}

/// Fails unless the `k` nearest codes can be asked for.
pub(super) fn check(database: &Codes, queries: &Codes, k: usize) -> Result<()> {
    if k == 0 {
        return Err(HammingError::Setting { key: "k", value: k, wanted: "at least 1".to_owned() });
    }
    database.same_bits("queries", queries)
}

/// The keys of what each of the queries `numbers` finds; `collector(i)` collects for `numbers[i]`.
pub(super) fn scan<C: Collect>(
    database: &Codes,
    queries: &Codes,
    numbers: &[usize],
    collector: &(impl Fn(usize) -> C + Sync),
) -> Vec<Vec<u64>> {
    if database.is_empty() {
        return vec![Vec::new(); numbers.len()];
    }
    let groups = numbers.len().div_ceil(GROUP);
    let parts = parts(database, groups);
    let of_group = |g: usize| {
        let range = g * GROUP..numbers.len().min((g + 1) * GROUP);
        let words: Vec<u64> = numbers[range.clone()].iter().flat_map(|q| queries.words_of(*q)).collect();
        let of_part = |part: usize| {
            let mut collectors: Vec<C> = range.clone().map(collector).collect();
            scan_part(database, &words, parts[part]..parts[part + 1], &mut collectors);
            collectors.into_iter().map(Collect::finish).collect::<Vec<_>>()
        };
        let mut found: Vec<Vec<Vec<u64>>> = (0..parts.len() - 1).into_par_iter().map(of_part).collect();
        if found.len() == 1 {
            return found.swap_remove(0);
        }
        let merged = |(i, q): (usize, usize)| {
            let mut collector = collector(q);
            found.iter().for_each(|part| collector.take(&part[i]));
            collector.finish()
        };
        range.clone().enumerate().map(merged).collect()
    };
    (0..groups).into_par_iter().flat_map_iter(of_group).collect()
}

/// Where the parts start, in blocks, that threads scan one each, and where the last ends. Groups of queries are divided
/// among threads first: for few of them the codes are.
fn parts(database: &Codes, groups: usize) -> Vec<usize> {
    let blocks = database.len().div_ceil(LANES);
    let idle = rayon::current_num_threads().div_ceil(groups.max(1));
    let parts = idle.min(database.blocks().len() / SHARE).max(1);
    (0..=parts).map(|part| blocks * part / parts).collect()
}

/// Compares the queries, `[collectors, words]`, with a range of blocks.
fn scan_part<C: Collect>(
    database: &Codes,
    queries: &[u64],
    range: std::ops::Range<usize>,
    collectors: &mut [C],
) {
    let (instructions, words, count) = (Instructions::detect(), database.words(), database.len() as u64);
    let blocks = &database.blocks()[range.start * database.block_len()..range.end * database.block_len()];
    let blocks_in_tile = (TILE / database.block_len()).max(1);
    let mut hits = Vec::new();
    for (t, tile) in blocks.chunks(blocks_in_tile * database.block_len()).enumerate() {
        let first = (range.start + t * blocks_in_tile) * LANES;
        for (query, collector) in queries.chunks_exact(words).zip(collectors.iter_mut()) {
            hits.clear();
            instructions.nearer(query, tile, collector.limit(), first as u32, &mut hits);
            // The lanes behind the last code are none.
            while hits.last().is_some_and(|key| u64::from(super::number(*key)) >= count) {
                hits.pop();
            }
            collector.take(&hits);
        }
    }
}

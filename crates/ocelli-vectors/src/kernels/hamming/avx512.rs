//! AVX-512 with VPOPCNTDQ: one instruction counts the bits of eight words.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_cmplt_epu64_mask, _mm512_loadu_si512, _mm512_min_epu32,
    _mm512_popcnt_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::{LANES, Lanes, Search};

/// Blocks whose distances are compared with the limit at once. Hits are rare; the least of four distances tells as much as
/// all of them.
const GROUP: usize = 4;

/// Words of a long code between two looks at whether the block is too far.
const STRIDE: usize = 4;

/// Whether the processor has it.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq")
}

/// See [`super::Instructions::nearer`].
#[allow(unsafe_code)] // calls that need the processor's features
pub(super) fn nearer(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    assert!(is_here());
    // SAFETY: the features that the functions need were just asked for.
    unsafe {
        match search.query.len() {
            1 => short::<1>(search, blocks, hits),
            2 => short::<2>(search, blocks, hits),
            3 => short::<3>(search, blocks, hits),
            4 => short::<4>(search, blocks, hits),
            _ => long(search, blocks, hits),
        }
    }
}

/// Codes of `WORDS` words.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn short<const WORDS: usize>(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    let query: [__m512i; WORDS] = std::array::from_fn(|w| all(search.query[w]));
    let limit = all(u64::from(search.limit));
    let distances = |block: &[Lanes; WORDS]| {
        let mut sum = differing(&block[0], query[0]);
        for w in 1..WORDS {
            sum = _mm512_add_epi64(sum, differing(&block[w], query[w]));
        }
        sum
    };
    let (groups, rest) = blocks.as_chunks::<WORDS>().0.as_chunks::<GROUP>();
    for (g, group) in groups.iter().enumerate() {
        let sums: [__m512i; GROUP] = std::array::from_fn(|b| distances(&group[b]));
        if _mm512_cmplt_epu64_mask(least(&sums), limit) != 0 {
            for (b, sum) in sums.into_iter().enumerate() {
                emit(search, g * GROUP + b, sum, limit, hits);
            }
        }
    }
    for (b, block) in rest.iter().enumerate() {
        emit(search, groups.len() * GROUP + b, distances(block), limit, hits);
    }
}

/// Codes of any number of words, block after block as they lie in memory, which is then fetched ahead.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn long(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    let limit = all(u64::from(search.limit));
    let words = search.query.len();
    let (query, query_end) = search.query.as_chunks::<STRIDE>();
    for (b, block) in blocks.chunks_exact(words).enumerate() {
        let (block, block_end) = block.as_chunks::<STRIDE>();
        let mut sum = _mm512_setzero_si512();
        let far = block.iter().zip(query).any(|(lanes, words)| {
            let of: [__m512i; STRIDE] = std::array::from_fn(|w| differing(&lanes[w], all(words[w])));
            let (a, b) = (_mm512_add_epi64(of[0], of[1]), _mm512_add_epi64(of[2], of[3]));
            sum = _mm512_add_epi64(sum, _mm512_add_epi64(a, b));
            _mm512_cmplt_epu64_mask(sum, limit) == 0
        });
        if far {
            continue;
        }
        for (lanes, &word) in block_end.iter().zip(query_end) {
            sum = _mm512_add_epi64(sum, differing(lanes, all(word)));
        }
        emit(search, b, sum, limit, hits);
    }
}

/// The least of four distances, which fit in the lower half of a lane.
#[target_feature(enable = "avx512f")]
fn least(sums: &[__m512i; GROUP]) -> __m512i {
    _mm512_min_epu32(_mm512_min_epu32(sums[0], sums[1]), _mm512_min_epu32(sums[2], sums[3]))
}

/// Appends the hits of one block.
#[target_feature(enable = "avx512f")]
fn emit(search: &Search<'_>, block: usize, sum: __m512i, limit: __m512i, hits: &mut Vec<u64>) {
    let mask = _mm512_cmplt_epu64_mask(sum, limit);
    if mask != 0 {
        search.emit(block, u32::from(mask), &lanes(sum), hits);
    }
}

/// How many bits of each lane differ from those of `word`.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn differing(lanes: &Lanes, word: __m512i) -> __m512i {
    _mm512_popcnt_epi64(_mm512_xor_si512(load(lanes), word))
}

#[target_feature(enable = "avx512f")]
fn all(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)] // a load through a pointer
fn load(lanes: &Lanes) -> __m512i {
    // SAFETY: `lanes` are 64 readable bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)] // a store through a pointer
fn lanes(vector: __m512i) -> Lanes {
    let mut lanes = [0; LANES];
    // SAFETY: `lanes` are 64 writable bytes, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), vector) };
    lanes
}

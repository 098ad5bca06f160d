//! AVX2: the bits of four are looked up in a table of sixteen, bytes are summed up last (Mula, Kurz and Lemire 2018).

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_castsi256_pd, _mm256_cmpgt_epi64,
    _mm256_loadu_si256, _mm256_movemask_pd, _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi64x,
    _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256,
    _mm256_xor_si256,
};

use super::{LANES, Lanes, Search, portable};

/// Words after which bytes are summed up: each adds 8 at most to a byte.
const WORDS_IN_BYTES: usize = 31;

/// Whether the processor has it.
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

/// See [`super::Instructions::nearer`].
#[allow(unsafe_code)] // a call that needs the processor's features
pub(super) fn nearer(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    assert!(is_here());
    // SAFETY: the features that the functions need were just asked for.
    unsafe {
        match search.query.len() {
            1 => blocks_of::<1>(search, blocks, hits),
            2 => blocks_of::<2>(search, blocks, hits),
            words if words <= WORDS_IN_BYTES => blocks_of::<0>(search, blocks, hits),
            _ => blocks_of_many(search, blocks, hits),
        }
    }
}

/// See [`super::Instructions::nearer_of`].
#[allow(unsafe_code)] // a call that needs the processor's features
pub(super) fn nearer_of(query: &[u64], codes: &[u64], limit: u32, numbers: &[u32], hits: &mut Vec<u64>) {
    #[target_feature(enable = "popcnt")]
    fn counted(query: &[u64], codes: &[u64], limit: u32, numbers: &[u32], hits: &mut Vec<u64>) {
        portable::nearer_of(query, codes, limit, numbers, hits);
    }
    assert!(is_here());
    // SAFETY: the feature was just asked for.
    unsafe { counted(query, codes, limit, numbers, hits) }
}

/// Codes of `WORDS` words, where that is 0 of up to [`WORDS_IN_BYTES`].
#[target_feature(enable = "avx2")]
fn blocks_of<const WORDS: usize>(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    let words = if WORDS == 0 { search.query.len() } else { WORDS };
    let (query, limit) = (&search.query[..words], i64::from(search.limit));
    for (b, block) in blocks.chunks_exact(words).enumerate() {
        let [low, high] = bytes(block, query).map(|bytes| _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
        emit(search, b, [low, high], limit, hits);
    }
}

/// Codes of more words than fit in sums of bytes.
#[target_feature(enable = "avx2")]
fn blocks_of_many(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    for (b, block) in blocks.chunks_exact(search.query.len()).enumerate() {
        let mut sums = [_mm256_setzero_si256(); 2];
        for (part, query) in block.chunks(WORDS_IN_BYTES).zip(search.query.chunks(WORDS_IN_BYTES)) {
            for (sum, bytes) in sums.iter_mut().zip(bytes(part, query)) {
                *sum = _mm256_add_epi64(*sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
            }
        }
        emit(search, b, sums, i64::from(search.limit), hits);
    }
}

/// For each byte of the lower and the upper four codes how many bits differ, over up to [`WORDS_IN_BYTES`] words.
#[target_feature(enable = "avx2")]
fn bytes(block: &[Lanes], query: &[u64]) -> [__m256i; 2] {
    let mut sums = [_mm256_setzero_si256(); 2];
    for (lanes, &word) in block.iter().zip(query) {
        let word = _mm256_set1_epi64x(word.cast_signed());
        for (sum, half) in sums.iter_mut().zip(load(lanes)) {
            *sum = _mm256_add_epi8(*sum, ones(_mm256_xor_si256(half, word)));
        }
    }
    sums
}

/// How many bits of each byte are set.
#[target_feature(enable = "avx2")]
fn ones(bytes: __m256i) -> __m256i {
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let four = _mm256_set1_epi8(0x0F);
    let low = _mm256_and_si256(bytes, four);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), four);
    _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high))
}

/// Appends the hits of one block.
#[target_feature(enable = "avx2")]
fn emit(search: &Search<'_>, block: usize, sums: [__m256i; 2], limit: i64, hits: &mut Vec<u64>) {
    let limit = _mm256_set1_epi64x(limit);
    let [low, high] = sums.map(|sum| _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(limit, sum))));
    let mask = (low | high << 4).cast_unsigned();
    if mask != 0 {
        search.emit(block, mask, &lanes(sums), hits);
    }
}

#[target_feature(enable = "avx2")]
#[allow(unsafe_code)] // loads through a pointer
fn load(lanes: &Lanes) -> [__m256i; 2] {
    let halves = lanes.as_ptr().cast::<__m256i>();
    // SAFETY: `lanes` are 64 readable bytes, two vectors, and the loads ask for no alignment.
    unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] }
}

#[target_feature(enable = "avx2")]
#[allow(unsafe_code)] // stores through a pointer
fn lanes(halves: [__m256i; 2]) -> Lanes {
    let mut lanes = [0; LANES];
    let to = lanes.as_mut_ptr().cast::<__m256i>();
    // SAFETY: `lanes` are 64 writable bytes, two vectors, and the stores ask for no alignment.
    unsafe {
        _mm256_storeu_si256(to, halves[0]);
        _mm256_storeu_si256(to.add(1), halves[1]);
    }
    lanes
}

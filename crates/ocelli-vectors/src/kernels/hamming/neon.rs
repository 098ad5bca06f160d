//! NEON: one instruction counts the bits of sixteen bytes.

use std::arch::aarch64::{
    uint64x2_t, vaddq_u64, vcntq_u8, vdupq_n_u64, veorq_u64, vld1q_u64, vpaddlq_u8, vpaddlq_u16, vpaddlq_u32,
    vreinterpretq_u8_u64, vst1q_u64,
};
use std::arch::is_aarch64_feature_detected;

use super::{LANES, Lanes, Search};

/// Vectors that hold a word of each code of a block.
const VECTORS: usize = LANES / 2;

/// Whether the processor has it.
pub(super) fn is_here() -> bool {
    is_aarch64_feature_detected!("neon")
}

/// See [`super::Instructions::nearer`].
#[allow(unsafe_code)] // a call that needs the processor's features
pub(super) fn nearer(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    assert!(is_here());
    // SAFETY: the feature that the function needs was just asked for.
    unsafe { counted(search, blocks, hits) }
}

#[target_feature(enable = "neon")]
fn counted(search: &Search<'_>, blocks: &[Lanes], hits: &mut Vec<u64>) {
    for (b, block) in blocks.chunks_exact(search.query.len()).enumerate() {
        let mut sums = [vdupq_n_u64(0); VECTORS];
        for (lanes, &word) in block.iter().zip(search.query) {
            let word = vdupq_n_u64(word);
            for (sum, pair) in sums.iter_mut().zip(load(lanes)) {
                *sum = vaddq_u64(*sum, ones(veorq_u64(pair, word)));
            }
        }
        let distances = lanes(sums);
        let is_hit = |lane: usize| u32::from(distances[lane] < u64::from(search.limit)) << lane;
        search.emit(b, (0..LANES).map(is_hit).sum(), &distances, hits);
    }
}

/// How many bits of each lane are set.
#[target_feature(enable = "neon")]
fn ones(pair: uint64x2_t) -> uint64x2_t {
    vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vcntq_u8(vreinterpretq_u8_u64(pair)))))
}

#[target_feature(enable = "neon")]
#[allow(unsafe_code)] // loads through a pointer
fn load(lanes: &Lanes) -> [uint64x2_t; VECTORS] {
    // SAFETY: vector `i` is lanes 2i and 2i + 1, of eight.
    std::array::from_fn(|i| unsafe { vld1q_u64(lanes.as_ptr().add(2 * i)) })
}

#[target_feature(enable = "neon")]
#[allow(unsafe_code)] // stores through a pointer
fn lanes(vectors: [uint64x2_t; VECTORS]) -> Lanes {
    let mut lanes = [0; LANES];
    for (i, vector) in vectors.into_iter().enumerate() {
        // SAFETY: vector `i` is lanes 2i and 2i + 1, of eight.
        unsafe { vst1q_u64(lanes.as_mut_ptr().add(2 * i), vector) };
    }
    lanes
}

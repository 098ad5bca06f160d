//! Squared distances in the published package's order of operations, so that tables whose entries are cut off, and what
//! they are multiplied by, are its own to the last bit.
//!
//! It takes codewords by threes: up to seven elements in four lanes, from eight on in eight with fused products. The last
//! codeword is left over, of 16 as of 256, and is compared by another function, which keeps its sums in another order.

use ocelli_simd::vectorized;

use crate::kernels::lut::{BYTE_WORDS, WORDS};

/// Sums of lanes, of all codewords.
type Lanes<const K: usize> = [[f32; K]; 8];

vectorized! {
    /// Negated distances of a query's blocks from all codewords; gives the largest distance.
    pub(super) fn distances(query: &[f32], words: &[[f32; WORDS]], ends: &[usize], scores: &mut [[f32; WORDS]]) -> f32 {
        of_blocks(query, words, ends, scores)
    }
}

vectorized! {
    /// The same of 256 codewords a block.
    pub(super) fn byte_distances(
        query: &[f32], words: &[[f32; BYTE_WORDS]], ends: &[usize], scores: &mut [[f32; BYTE_WORDS]]
    ) -> f32 {
        of_blocks(query, words, ends, scores)
    }
}

#[inline(always)]
fn of_blocks<const K: usize>(
    query: &[f32],
    words: &[[f32; K]],
    ends: &[usize],
    scores: &mut [[f32; K]],
) -> f32 {
    let mut largest = 0.0f32;
    let mut start = 0;
    for (&end, scores) in ends.iter().zip(scores) {
        let (query, words) = (&query[start..end], &words[start..end]);
        *scores = by_threes(query, words);
        scores[K - 1] = last(query, words);
        for score in scores {
            largest = largest.max(*score);
            *score = -*score;
        }
        start = end;
    }
    largest
}

#[inline(always)]
fn fused<const K: usize>(sums: &mut [f32; K], query: f32, words: &[f32; K]) {
    for (sum, word) in sums.iter_mut().zip(words) {
        *sum = (query - word).mul_add(query - word, *sum);
    }
}

#[inline(always)]
fn rounded<const K: usize>(sums: &mut [f32; K], query: f32, words: &[f32; K]) {
    for (sum, word) in sums.iter_mut().zip(words) {
        *sum += (query - word) * (query - word);
    }
}

#[inline(always)]
fn by_threes<const K: usize>(query: &[f32], words: &[[f32; K]]) -> [f32; K] {
    let dim = query.len();
    let mut sums: Lanes<K> = [[0.0; K]; 8];
    let mut done = 0;
    let mut of = [0.0; K];
    if dim >= 8 {
        while done + 8 <= dim {
            (0..8).for_each(|i| fused(&mut sums[i], query[done + i], &words[done + i]));
            done += 8;
        }
        let (low, high) = sums.split_at_mut(4);
        low.as_flattened_mut().iter_mut().zip(high.as_flattened()).for_each(|(low, high)| *low += high);
        if done + 4 <= dim {
            (0..4).for_each(|i| fused(&mut sums[i], query[done + i], &words[done + i]));
            done += 4;
        }
        if done + 2 <= dim {
            (0..2).for_each(|i| fused(&mut sums[i + 2], query[done + i], &words[done + i]));
            done += 2;
        }
        (0..K).for_each(|k| of[k] = (sums[0][k] + sums[2][k]) + (sums[1][k] + sums[3][k]));
    } else {
        if done + 4 <= dim {
            (0..4).for_each(|i| rounded(&mut sums[i], query[i], &words[i]));
            done = 4;
        }
        if done + 2 <= dim {
            (0..2).for_each(|i| rounded(&mut sums[i], query[done + i], &words[done + i]));
            done += 2;
        }
        (0..K).for_each(|k| of[k] = (sums[0][k] + sums[3][k]) + (sums[1][k] + sums[2][k]));
    }
    if done < dim {
        fused(&mut of, query[done], &words[done]);
    }
    of
}

#[inline(always)]
fn last<const K: usize>(query: &[f32], words: &[[f32; K]]) -> f32 {
    let dim = query.len();
    let word = |element: usize| [words[element][K - 1]];
    let mut sums: Lanes<1> = [[0.0]; 8];
    let mut done = 0;
    while done + 8 <= dim {
        (0..8).for_each(|i| rounded(&mut sums[i], query[done + i], &word(done + i)));
        done += 8;
    }
    (0..4).for_each(|i| sums[i][0] += sums[i + 4][0]);
    if done + 4 <= dim {
        (0..4).for_each(|i| rounded(&mut sums[i], query[done + i], &word(done + i)));
        done += 4;
    }
    if done + 2 <= dim {
        (0..2).for_each(|i| rounded(&mut sums[i + 2], query[done + i], &word(done + i)));
        done += 2;
    }
    if done < dim {
        fused(&mut sums[0], query[done], &word(done));
    }
    (sums[0][0] + sums[1][0]) + (sums[2][0] + sums[3][0])
}

//! Codebooks of 16 codewords a block, or of 256 in indexes taken over, laid out for tables and encoding; or the grids of
//! elements that have a byte each.

use ocelli_simd::vectorized;
use rayon::prelude::*;

use super::error::IndexError;
use super::grid::Grid;
use super::import_table;
use crate::kernels::blocks::nearest_words;
use crate::kernels::lut::{BYTE_WORDS, HALF, Layout, NOTHING, WORDS, quantize};
use crate::score_aware_quantization::Codebook;

/// The codewords of all blocks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Books {
    /// Where each block ends in a vector.
    pub(super) ends: Vec<usize>,
    /// `[dim, 16]`: the value of each codeword at each element. A block with fewer codewords repeats its first.
    pub(super) words: Vec<[f32; WORDS]>,
    /// Of codes of eight bits, `[dim, 256]` in the same way; the above are then none.
    pub(super) byte_words: Vec<[f32; BYTE_WORDS]>,
    /// Whether what follows the point is cut off when tables become whole numbers, instead of rounding them.
    pub(super) cut: bool,
    /// Of elements with a byte each, every one a block; there are then no codewords.
    pub(super) grid: Option<Grid>,
}

/// A query's table in eight bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// As the kernels want it.
    pub(super) entries: Vec<i8>,
    /// What a sum of entries is multiplied by to give a score.
    pub(super) scale: f32,
    /// What scores were multiplied by to give entries.
    pub(super) multiplier: f32,
    /// What is then added to it.
    pub(super) base: f32,
    scores: Vec<[f32; WORDS]>,
    byte_scores: Vec<[f32; BYTE_WORDS]>,
}

impl Books {
    /// Where blocks of `length` elements end; the last may be shorter.
    pub(super) fn ends(dim: usize, length: usize) -> Vec<usize> {
        (1..=dim.div_ceil(length)).map(|block| (block * length).min(dim)).collect()
    }

    pub(super) fn blocks(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn layout(&self) -> Layout {
        match (&self.grid, self.byte_words.is_empty()) {
            (Some(_), _) => Layout::of_elements(self.blocks()),
            (None, true) => Layout::new(self.blocks()),
            (None, false) => Layout::of_bytes(self.blocks()),
        }
    }

    /// k-means of each block by itself, from codewords of points spread evenly over the sample. `points [dim, N]` are in
    /// columns.
    pub(super) fn train(points: &[f32], count: usize, ends: Vec<usize>, iterations: usize) -> Self {
        let starts = std::iter::once(&0).chain(&ends);
        let blocks: Vec<(usize, usize)> = starts.copied().zip(ends.iter().copied()).collect();
        let train = |&(start, end): &(usize, usize)| {
            lloyd(&points[start * count..end * count], end - start, iterations)
        };
        let words = blocks.par_iter().flat_map_iter(train).collect();
        Self { ends, words, byte_words: Vec::new(), cut: false, grid: None }
    }

    /// Every element a block with a grid.
    pub(super) fn of_grid(grid: Grid) -> Self {
        let ends = (1..=grid.steps.len()).collect();
        Self { ends, words: Vec::new(), byte_words: Vec::new(), cut: false, grid: Some(grid) }
    }

    /// The same codewords for encoding by the definition, which takes any number of them.
    pub(super) fn of_bytes(&self) -> Result<Option<Codebook>, IndexError> {
        if self.byte_words.is_empty() {
            return Ok(None);
        }
        let starts = std::iter::once(&0).chain(&self.ends);
        let block = |(&start, &end): (&usize, &usize)| {
            let word = |k: usize| self.byte_words[start..end].iter().map(move |words| f64::from(words[k]));
            (end - start, (0..BYTE_WORDS).flat_map(word).collect())
        };
        Ok(Some(Codebook::new(starts.zip(&self.ends).map(block).collect())?))
    }

    /// Inner products of a query's blocks with all codewords, or negated squared distances, in eight bits (section 3.6).
    pub(super) fn table(&self, query: &[f32], distances: bool, table: &mut Table) {
        table.entries.resize(self.layout().table_bytes(), 0);
        if let Some(grid) = &self.grid {
            (table.scale, table.base) = grid.table(query, &mut table.entries);
            return;
        }
        let largest = match (self.byte_words.is_empty(), distances) {
            (true, distances) => {
                table.scores.resize(self.blocks(), [0.0; WORDS]);
                match distances {
                    true if self.cut => {
                        import_table::distances(query, &self.words, &self.ends, &mut table.scores)
                    }
                    true => negated_distances(query, &self.words, &self.ends, &mut table.scores),
                    false => products(query, &self.words, &self.ends, &mut table.scores),
                }
            }
            (false, distances) => {
                table.byte_scores.resize(self.blocks(), [0.0; BYTE_WORDS]);
                let scores = &mut table.byte_scores;
                match distances {
                    true if self.cut => {
                        import_table::byte_distances(query, &self.byte_words, &self.ends, scores)
                    }
                    true => scored(query, &self.byte_words, &self.ends, scores, negated_square),
                    false => scored(query, &self.byte_words, &self.ends, scores, product),
                }
            }
        };
        // The published package's guard against a table of zeros: the root of single precision's epsilon.
        let multiplier = 127.0 / largest.max(f32::EPSILON.sqrt());
        let scores = match self.byte_words.is_empty() {
            true => &table.scores,
            false => table.byte_scores.as_flattened().as_chunks().0,
        };
        let carry = match (self.cut, distances) {
            // These are the package's own numbers: what lies below a whole number does there, too.
            (true, true) => 0.0,
            (true, false) => NOTHING,
            (false, _) => HALF,
        };
        quantize(scores, multiplier, carry, &mut table.entries);
        (table.scale, table.multiplier) = (1.0 / multiplier, multiplier);
    }
}

vectorized! {
    fn products(query: &[f32], words: &[[f32; WORDS]], ends: &[usize], scores: &mut [[f32; WORDS]]) -> f32 {
        scored(query, words, ends, scores, product)
    }
}

vectorized! {
    fn negated_distances(query: &[f32], words: &[[f32; WORDS]], ends: &[usize], scores: &mut [[f32; WORDS]]) -> f32 {
        scored(query, words, ends, scores, negated_square)
    }
}

#[inline(always)]
fn product(sum: f32, query: f32, word: f32) -> f32 {
    query.mul_add(word, sum)
}

#[inline(always)]
fn negated_square(sum: f32, query: f32, word: f32) -> f32 {
    (query - word).mul_add(word - query, sum)
}

/// Sums of `term` over each block's elements; gives the largest magnitude.
#[inline(always)]
fn scored<const K: usize>(
    query: &[f32],
    words: &[[f32; K]],
    ends: &[usize],
    scores: &mut [[f32; K]],
    term: impl Fn(f32, f32, f32) -> f32,
) -> f32 {
    let mut largest = [0.0f32; K];
    let mut start = 0;
    for (&end, scores) in ends.iter().zip(scores) {
        let mut sums = [0.0f32; K];
        for (&query, words) in query[start..end].iter().zip(&words[start..end]) {
            for (sum, &word) in sums.iter_mut().zip(words) {
                *sum = term(*sum, query, word);
            }
        }
        for (largest, sum) in largest.iter_mut().zip(&sums) {
            *largest = largest.max(sum.abs());
        }
        *scores = sums;
        start = end;
    }
    largest.into_iter().fold(0.0, f32::max)
}

/// Lloyd iterations on one block, `points [dims, N]`; gives `[dims, 16]`. A codeword without points stays.
fn lloyd(points: &[f32], dims: usize, iterations: usize) -> Vec<[f32; WORDS]> {
    let count = points.len() / dims;
    let number = count.min(WORDS);
    let mut words: Vec<f32> = Vec::with_capacity(number * dims);
    for k in 0..number {
        let at = (2 * k + 1) * count / (2 * number);
        words.extend((0..dims).map(|d| points[d * count + at]));
    }
    let mut codes = vec![0u8; count];
    for _ in 0..iterations {
        nearest_words(points, dims, &words, &mut codes);
        let mut counts = [0u32; WORDS];
        codes.iter().for_each(|&code| counts[usize::from(code)] += 1);
        for d in 0..dims {
            let mut sums = [0.0f64; WORDS];
            for (&code, &value) in codes.iter().zip(&points[d * count..(d + 1) * count]) {
                sums[usize::from(code)] += f64::from(value);
            }
            for k in 0..number {
                if counts[k] > 0 {
                    words[k * dims + d] = (sums[k] / f64::from(counts[k])) as f32;
                }
            }
        }
    }
    let value = |d: usize, k: usize| words[if k < number { k } else { 0 } * dims + d];
    (0..dims).map(|d| std::array::from_fn(|k| value(d, k))).collect()
}

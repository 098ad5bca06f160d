//! Product codebooks: a vector is cut into blocks, each block replaced by one of few codewords (section 3.3).

use std::ops::Range;

use ocelli_method::random::stream;
use rand::seq::index::sample;
use rayon::prelude::*;

use super::encode::Encoder;
use super::loss::{Loss, Weights};
use super::normal::NormalEquations;
use super::{QuantizationError, Result, rows, same, smallest};
use crate::linear::{add_scaled, unit};

/// The codewords of all blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// Length and row-major codewords of each block.
    blocks: Vec<(usize, Vec<f64>)>,
}

impl Codebook {
    /// From the length and codewords `[K, length]` of each block, in order.
    ///
    /// # Errors
    /// [`QuantizationError`] when there is no block, or one without codewords.
    pub fn new(blocks: Vec<(usize, Vec<f64>)>) -> Result<Self> {
        if blocks.is_empty() {
            return Err(QuantizationError::setting("blocks", 0, "at least one"));
        }
        for (length, words) in &blocks {
            if rows("the codewords", words, *length)? == 0 {
                return Err(QuantizationError::setting("codewords", 0, "at least one a block"));
            }
        }
        Ok(Self { blocks })
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Length of a vector.
    pub fn dim(&self) -> usize {
        self.blocks.iter().map(|(length, _)| length).sum()
    }

    /// The codewords of each block, `[K, length]`.
    pub fn words(&self) -> impl Iterator<Item = &[f64]> {
        self.blocks.iter().map(|(_, words)| words.as_slice())
    }

    /// Where each block lies in a vector, and its codewords.
    pub fn ranges_and_words(&self) -> impl Iterator<Item = (Range<usize>, &[f64])> {
        let mut start = 0;
        self.blocks.iter().map(move |(length, words)| {
            let range = start..start + length;
            start = range.end;
            (range, words.as_slice())
        })
    }

    /// The nearest codeword of each block for vectors `x [N, dim]`: `[N, B]`.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn nearest(&self, x: &[f64]) -> Result<Vec<usize>> {
        rows("x", x, self.dim())?;
        let of = |x: &[f64]| {
            let block = |(range, words): (Range<usize>, &[f64])| nearest_word(&x[range], words);
            self.ranges_and_words().map(block).collect::<Vec<_>>()
        };
        Ok(x.par_chunks_exact(self.dim()).flat_map_iter(of).collect())
    }

    /// The vectors `[N, dim]` that codes `[N, B]` stand for.
    ///
    /// # Errors
    /// [`QuantizationError`] for codes that do not exist.
    pub fn decode(&self, codes: &[usize]) -> Result<Vec<f64>> {
        self.check_codes(codes, codes.len() / self.blocks())?;
        let mut decoded = Vec::with_capacity(codes.len() / self.blocks() * self.dim());
        for codes in codes.chunks_exact(self.blocks()) {
            for (&code, (length, words)) in codes.iter().zip(&self.blocks) {
                decoded.extend_from_slice(&words[code * length..(code + 1) * length]);
            }
        }
        Ok(decoded)
    }

    /// Moves all codewords at once to the minimum of the loss for vectors `x [N, dim]` with these codes: the normal
    /// equations `(sum B^T W B) C = sum h_par B^T x`. Codewords that no vector uses stay.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn update(&mut self, x: &[f64], weights: Weights<'_>, codes: &[usize]) -> Result<()> {
        let dim = self.dim();
        let count = rows("x", x, dim)?;
        weights.check(count)?;
        self.check_codes(codes, count)?;
        // Codewords lie block by block, so the unknowns of a vector rise.
        let starts: Vec<usize> = self
            .blocks
            .iter()
            .scan(0, |end, (_, words)| Some(std::mem::replace(end, *end + words.len())))
            .collect();
        let unknowns = |codes: &[usize]| {
            let blocks = self.blocks.iter().zip(&starts).zip(codes);
            let of = |((&(length, _), start), code): ((&(usize, _), &usize), &usize)| {
                start + code * length..start + (code + 1) * length
            };
            blocks.flat_map(of).collect::<Vec<usize>>()
        };
        let mut values: Vec<f64> = self.words().flatten().copied().collect();
        let used = codes.chunks_exact(self.blocks()).flat_map(unknowns);
        let mut equations = NormalEquations::new(values.len(), used);
        for (i, x) in x.chunks_exact(dim).enumerate() {
            let at = unknowns(&codes[i * self.blocks()..(i + 1) * self.blocks()]);
            let direction = unit(x).unwrap_or_else(|| vec![0.0; dim]);
            equations.add(at, x, &direction, (weights.parallel[i], weights.orthogonal[i]));
        }
        if !equations.solve(&mut values) {
            return Err(QuantizationError::Singular("the codebook"));
        }
        for ((_, words), start) in self.blocks.iter_mut().zip(starts) {
            let count = words.len();
            words.copy_from_slice(&values[start..start + count]);
        }
        Ok(())
    }
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn nearest_word(x: &[f64], words: &[f64]) -> usize {
    smallest(words.chunks_exact(x.len()).map(|word| squared_distance(x, word)))
}

/// Plain k-means of each block by itself: how the published package trains, and a good start for joint training.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// Lengths of the blocks.
    pub block_dims: Vec<usize>,
    /// Codewords a block.
    pub codewords: usize,
    /// Lloyd iterations.
    pub iterations: usize,
    /// Chooses the first codewords.
    pub seed: u64,
}

impl KMeans {
    /// Trains on vectors `x [N, sum of block_dims]`. The first codewords are those of random vectors.
    ///
    /// # Errors
    /// [`QuantizationError`] when there are fewer vectors than codewords, or the blocks do not fit.
    pub fn train(&self, x: &[f64]) -> Result<Codebook> {
        let dim: usize = self.block_dims.iter().sum();
        let count = rows("x", x, dim)?;
        if self.codewords == 0 || count < self.codewords || self.block_dims.contains(&0) {
            let wanted = format!("from 1 to the {count} vectors, for blocks of at least one element");
            return Err(QuantizationError::setting("codewords", self.codewords, wanted));
        }
        let mut generator = stream(self.seed, "k-means", 0);
        let chosen = sample(&mut generator, count, self.codewords).into_vec();
        let mut start = 0;
        let parts: Vec<Range<usize>> = self
            .block_dims
            .iter()
            .map(|length| {
                start += length;
                start - length..start
            })
            .collect();
        let blocks = parts.into_par_iter().map(|range| {
            let part: Vec<f64> = x.chunks_exact(dim).flat_map(|x| x[range.clone()].iter().copied()).collect();
            let length = range.len();
            let first = chosen.iter().flat_map(|&i| part[i * length..(i + 1) * length].iter().copied());
            (length, lloyd(&part, first.collect(), length, self.iterations))
        });
        Codebook::new(blocks.collect())
    }
}

/// Lloyd iterations; a codeword without points stays.
fn lloyd(points: &[f64], mut words: Vec<f64>, length: usize, iterations: usize) -> Vec<f64> {
    for _ in 0..iterations {
        let mut sums = vec![0.0; words.len()];
        let mut counts = vec![0usize; words.len() / length];
        for point in points.chunks_exact(length) {
            let word = nearest_word(point, &words);
            counts[word] += 1;
            add_scaled(&mut sums[word * length..(word + 1) * length], 1.0, point);
        }
        for (word, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            for k in word * length..(word + 1) * length {
                words[k] = sums[k] / *count as f64;
            }
        }
    }
    words
}

/// Joint training under the score-aware loss (section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JointTraining {
    /// Times that codes are chosen and codewords moved.
    pub iterations: usize,
    /// Rounds of coordinate descent at most.
    pub max_rounds: usize,
}

impl JointTraining {
    /// Trains `codebook` on vectors `x [N, dim]`; gives the codes `[N, B]` of the last choice and the mean loss after
    /// each choice and each move, which never rises.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn train(
        &self,
        codebook: &mut Codebook,
        x: &[f64],
        weights: Weights<'_>,
    ) -> Result<(Vec<usize>, Vec<f64>)> {
        let count = rows("x", x, codebook.dim())?;
        weights.check(count)?;
        same("h_par", weights.parallel.len(), count)?;
        let eta: Vec<f64> = weights.parallel.iter().zip(weights.orthogonal).map(|(p, o)| p / o).collect();
        let mut codes = codebook.nearest(x)?;
        let mut history = Vec::with_capacity(2 * self.iterations);
        let loss = |codebook: &Codebook, codes: &[usize]| {
            Ok::<f64, QuantizationError>(
                Loss::new(x, &codebook.decode(codes)?, codebook.dim(), weights)?.mean,
            )
        };
        for _ in 0..self.iterations {
            codes = Encoder { codebook, max_rounds: self.max_rounds }.improve(x, &eta, &codes)?;
            history.push(loss(codebook, &codes)?);
            codebook.update(x, weights, &codes)?;
            history.push(loss(codebook, &codes)?);
        }
        Ok((codes, history))
    }
}

//! Codes by coordinate descent (section 3.4): the published package's rules, codeword by codeword.

use super::codebook::Codebook;
use super::weights::{eta_exact, eta_limit};
use super::{QuantizationError, Result, rows, same};
use crate::linear::{dot, norm, unit};

/// How much more the error along a vector counts than the error across it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Eta {
    /// Plain nearest codewords, block by block.
    Nearest,
    /// From a score threshold, exactly.
    Exact(f64),
    /// From a score threshold, in the limit of many dimensions: the published package's.
    Limit(f64),
    /// This ratio for every vector.
    Fixed(f64),
}

impl Eta {
    /// The ratio for a vector of this length; `None` where nearest codewords are chosen: without weights, for zero
    /// vectors, and for vectors that cannot reach the threshold.
    ///
    /// # Errors
    /// [`QuantizationError::Setting`].
    pub fn of(self, length: f64, dim: usize) -> Result<Option<f64>> {
        let eta = match self {
            Self::Nearest => return Ok(None),
            Self::Exact(threshold) => eta_exact(length, threshold, dim)?,
            Self::Limit(threshold) => eta_limit(length, threshold, dim)?,
            Self::Fixed(eta) => eta,
        };
        Ok(Some(eta).filter(|eta| eta.is_finite() && length > 0.0))
    }
}

/// Chooses codes for vectors.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    /// The codewords.
    pub codebook: &'a Codebook,
    /// Rounds over the blocks at most; it ends with a round that changes nothing.
    pub max_rounds: usize,
}

/// Squared error and error along the direction for each block and codeword.
struct Costs {
    squared: Vec<Vec<f64>>,
    along: Vec<Vec<f64>>,
}

impl Encoder<'_> {
    /// Codes `[N, B]` for vectors `x [N, dim]`. With `residuals [N, dim]` these are what is encoded, while direction and
    /// length stay those of `x`.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn encode(&self, x: &[f64], residuals: Option<&[f64]>, eta: Eta) -> Result<Vec<usize>> {
        let dim = self.codebook.dim();
        rows("x", x, dim)?;
        let encoded = residuals.unwrap_or(x);
        same("the residuals", encoded.len(), x.len())?;
        rows("the residuals", encoded, dim)?;
        let mut codes = Vec::with_capacity(x.len() / dim * self.codebook.blocks());
        for (x, encoded) in x.chunks_exact(dim).zip(encoded.chunks_exact(dim)) {
            let eta = eta.of(norm(x), dim)?;
            codes.extend(self.encode_one(encoded, unit(x).as_deref(), eta, None));
        }
        Ok(codes)
    }

    /// Better codes than `start [N, B]` for vectors with a ratio each; where a ratio is no number, the start stays.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn improve(&self, x: &[f64], eta: &[f64], start: &[usize]) -> Result<Vec<usize>> {
        let (dim, blocks) = (self.codebook.dim(), self.codebook.blocks());
        let count = rows("x", x, dim)?;
        same("eta", eta.len(), count)?;
        self.codebook.check_codes(start, count)?;
        let one = |i: usize| {
            let x = &x[i * dim..(i + 1) * dim];
            let eta = Some(eta[i]).filter(|e| e.is_finite());
            self.encode_one(x, unit(x).as_deref(), eta, Some(&start[i * blocks..(i + 1) * blocks]))
        };
        Ok((0..count).flat_map(one).collect())
    }

    fn costs(&self, x: &[f64], direction: &[f64]) -> Costs {
        let mut costs = Costs { squared: Vec::new(), along: Vec::new() };
        for (range, words) in self.codebook.ranges_and_words() {
            let (x, u) = (&x[range.clone()], &direction[range.clone()]);
            let (mut squared, mut along) = (Vec::new(), Vec::new());
            for word in words.chunks_exact(range.len()) {
                let error: Vec<f64> = x.iter().zip(word).map(|(a, b)| a - b).collect();
                squared.push(dot(&error, &error));
                along.push(dot(&error, u));
            }
            costs.squared.push(squared);
            costs.along.push(along);
        }
        costs
    }

    fn encode_one(
        &self,
        x: &[f64],
        direction: Option<&[f64]>,
        eta: Option<f64>,
        start: Option<&[usize]>,
    ) -> Vec<usize> {
        let nothing = vec![0.0; x.len()];
        let costs = self.costs(x, direction.unwrap_or(&nothing));
        let nearest = || costs.squared.iter().map(|b| super::smallest(b.iter().copied())).collect();
        let mut codes: Vec<usize> = start.map_or_else(nearest, <[usize]>::to_vec);
        if let (Some(eta), Some(_)) = (eta, direction) {
            descend(&costs, eta, self.max_rounds, &mut codes);
        }
        codes
    }
}

/// Changes one block's code at a time for the better. Blocks are visited in falling order of their first squared error,
/// the same in every round; a change that lengthens the error along the direction is never made.
fn descend(costs: &Costs, eta: f64, max_rounds: usize, codes: &mut [usize]) {
    let first: Vec<f64> = codes.iter().zip(&costs.squared).map(|(&code, block)| block[code]).collect();
    let mut order: Vec<usize> = (0..codes.len()).collect();
    order.sort_by(|&a, &b| first[b].total_cmp(&first[a]).then(a.cmp(&b)));
    let mut total: f64 = codes.iter().zip(&costs.along).map(|(&code, block)| block[code]).sum();
    for _ in 0..max_rounds {
        let mut changed = false;
        for &block in &order {
            let (squared, along, current) = (&costs.squared[block], &costs.along[block], codes[block]);
            let mut best = (0.0, current, total);
            for code in (0..squared.len()).filter(|&code| code != current) {
                let moved = total - along[current] + along[code];
                let longer = moved * moved - total * total;
                if longer > 0.0 {
                    continue;
                }
                let cost = eta * longer + (squared[code] - squared[current] - longer);
                if cost < best.0 {
                    best = (cost, code, moved);
                }
            }
            if best.1 != current {
                (codes[block], total) = (best.1, best.2);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
}

impl Codebook {
    /// Fails unless there is a code of each block for each of `count` vectors.
    pub(super) fn check_codes(&self, codes: &[usize], count: usize) -> Result<()> {
        same("the codes", codes.len(), count * self.blocks())?;
        let sizes: Vec<usize> =
            self.ranges_and_words().map(|(range, words)| words.len() / range.len()).collect();
        let beyond = codes.iter().enumerate().find(|(i, code)| **code >= sizes[i % sizes.len()]);
        match beyond {
            Some((index, &code)) => Err(QuantizationError::OutOfRange {
                name: "the codes",
                index,
                value: code as i64,
                count: sizes[index % sizes.len()],
            }),
            None => Ok(()),
        }
    }
}

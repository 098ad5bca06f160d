//! All codewords moved together under the score-aware loss (section 3.3), for residuals that keep the directions of the
//! vectors they are left of.

use super::books::Books;
use super::error::IndexError;
use crate::kernels::blocks::Descent;
use crate::kernels::lut::WORDS;
use crate::score_aware_quantization::NormalEquations;

/// Unknowns that are solved for at most: half a gigabyte of equations.
const MOST_UNKNOWNS: usize = 8192;
/// Times that codes are chosen and codewords moved.
const TIMES: usize = 4;
/// Rounds of coordinate descent a time.
const ROUNDS: usize = 4;

/// What is trained on.
pub(super) struct Sample<'a> {
    /// What is coded, `[N, dim]`.
    pub(super) residuals: &'a [f32],
    /// Directions of the vectors, `[N, dim]`; zeros for zero vectors.
    pub(super) units: &'a [f32],
    /// For each vector, how much more the error along it counts; 1 where it counts alike.
    pub(super) etas: &'a [f32],
}

impl Books {
    /// Lowers the loss of codewords that k-means found: codes and codewords in turns, each the best for the other.
    pub(super) fn train_jointly(&mut self, sample: &Sample<'_>) -> Result<(), IndexError> {
        let dim = self.words.len();
        if dim * WORDS > MOST_UNKNOWNS {
            let wanted = format!("k-means above {} elements", MOST_UNKNOWNS / WORDS);
            return Err(IndexError::setting("training", "joint", wanted));
        }
        let blocks = self.blocks();
        let mut codes = vec![0u8; sample.etas.len() * blocks];
        let mut descent = Descent::new(blocks);
        for _ in 0..TIMES {
            let points = sample.residuals.chunks_exact(dim).zip(sample.units.chunks_exact(dim));
            for (((x, unit), &eta), codes) in points.zip(sample.etas).zip(codes.chunks_exact_mut(blocks)) {
                descent.encode(x, unit, eta, ROUNDS, &self.words, &self.ends, codes);
            }
            self.solve(sample, &codes)?;
        }
        Ok(())
    }

    /// The codewords with the least loss for these codes: `(sum B^T W B) C = sum B^T W r` with
    /// `W = I + (eta - 1) u u^T`. Codewords that none uses stay.
    fn solve(&mut self, sample: &Sample<'_>, codes: &[u8]) -> Result<(), IndexError> {
        let (dim, blocks) = (self.words.len(), self.blocks());
        // The unknown that each element of a point is.
        let unknowns = |codes: &[u8]| {
            let mut start = 0;
            let mut at = Vec::with_capacity(dim);
            for (&end, &code) in self.ends.iter().zip(codes) {
                at.extend((start..end).map(|d| d * WORDS + usize::from(code)));
                start = end;
            }
            at
        };
        let used = codes.chunks_exact(blocks).flat_map(unknowns);
        let mut equations = NormalEquations::new(dim * WORDS, used);
        let points = sample.residuals.chunks_exact(dim).zip(sample.units.chunks_exact(dim));
        for (((x, unit), &eta), codes) in points.zip(sample.etas).zip(codes.chunks_exact(blocks)) {
            equations.add(unknowns(codes), x, unit, (f64::from(eta), 1.0));
        }
        equations.steady(1e-9);
        let mut solved: Vec<f64> = self.words.as_flattened().iter().map(|value| f64::from(*value)).collect();
        if !equations.solve(&mut solved) {
            let wanted = "k-means: the equations of these vectors have no one solution";
            return Err(IndexError::setting("training", "joint", wanted));
        }
        for (words, solved) in self.words.iter_mut().zip(solved.as_chunks::<WORDS>().0) {
            *words = solved.map(|value| value as f32);
        }
        Ok(())
    }
}

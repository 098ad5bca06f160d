//! All codewords moved together under the score-aware loss (section 3.3), for residuals that keep the directions of the
//! vectors they are left of.

use super::books::Books;
use super::error::IndexError;
use crate::kernels::blocks::Descent;
use crate::kernels::lut::WORDS;
use crate::linear::solve_positive;

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
        let n = dim * WORDS;
        let (mut matrix, mut right) = (vec![0.0f64; n * n], vec![0.0f64; n]);
        // The unknown that each element of a point is.
        let mut at = vec![0; dim];
        let points = sample.residuals.chunks_exact(dim).zip(sample.units.chunks_exact(dim));
        for (((x, unit), &eta), codes) in points.zip(sample.etas).zip(codes.chunks_exact(blocks)) {
            let mut start = 0;
            for (&end, &code) in self.ends.iter().zip(codes) {
                (start..end).for_each(|d| at[d] = d * WORDS + usize::from(code));
                start = end;
            }
            let weight = f64::from(eta) - 1.0;
            let along: f64 = x.iter().zip(unit).map(|(x, u)| f64::from(*x) * f64::from(*u)).sum();
            for (d, &row) in at.iter().enumerate() {
                let unit_d = weight * f64::from(unit[d]);
                right[row] += f64::from(x[d]) + unit_d * along;
                let line = &mut matrix[row * n..(row + 1) * n];
                line[row] += 1.0;
                for (&column, &u) in at[..=d].iter().zip(unit) {
                    line[column] += unit_d * f64::from(u);
                }
            }
        }
        for unknown in 0..n {
            let diagonal = &mut matrix[unknown * n + unknown];
            if *diagonal == 0.0 {
                *diagonal = 1.0;
                right[unknown] = f64::from(self.words[unknown / WORDS][unknown % WORDS]);
            } else {
                // A weight below 1 can leave a codeword of few points without a minimum of its own.
                *diagonal += 1e-9;
            }
        }
        let solved = solve_positive(matrix, &right).ok_or_else(|| {
            IndexError::setting(
                "training",
                "joint",
                "k-means: the equations of these vectors have no one solution",
            )
        })?;
        for (words, solved) in self.words.iter_mut().zip(solved.as_chunks::<WORDS>().0) {
            *words = solved.map(|value| value as f32);
        }
        Ok(())
    }
}

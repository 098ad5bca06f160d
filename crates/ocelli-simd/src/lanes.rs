//! Loops over neighbouring numbers, written so that the compiler keeps them in vector registers.

use crate::vectorized;

/// Partial sums kept side by side: independent chains of additions, and a fixed order for the result.
const LANES: usize = 64;

/// A sum in the making, over any number of slices. The order of additions depends on their lengths alone.
///
/// Its methods are meant for functions that are [`vectorized`], into which they are compiled.
pub struct Lanes([f32; LANES]);

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

impl Lanes {
    /// Zero.
    #[inline(always)]
    pub fn new() -> Self {
        Self([0.0; LANES])
    }

    /// Adds the terms of slices of the same length, read in step.
    #[inline(always)]
    pub fn add<const N: usize>(&mut self, sources: [&[f32]; N], term: impl Fn([f32; N]) -> f32) {
        let len = sources[0].len();
        let chunks = sources.map(|source| source[..len].as_chunks::<LANES>());
        for block in 0..len / LANES {
            let blocks = chunks.map(|(blocks, _)| &blocks[block]);
            for (lane, sum) in self.0.iter_mut().enumerate() {
                *sum += term(blocks.map(|block| block[lane]));
            }
        }
        let rests = chunks.map(|(_, rest)| rest);
        for (lane, sum) in self.0.iter_mut().enumerate().take(len % LANES) {
            *sum += term(rests.map(|rest| rest[lane]));
        }
    }

    /// What has been added so far.
    #[inline(always)]
    pub fn sum(&self) -> f64 {
        // Folded in single precision, which vectorises, before the rest is summed in double.
        let mut folded = [0.0; LANES / 4];
        for quarter in self.0.chunks_exact(LANES / 4) {
            folded.iter_mut().zip(quarter).for_each(|(sum, value)| *sum += value);
        }
        folded.iter().map(|&lane| f64::from(lane)).sum()
    }
}

vectorized! {
    /// Sum of the products of `a` and `b`.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = Lanes::new();
        lanes.add([a, b], |[a, b]| a * b);
        lanes.sum() as f32
    }
}

vectorized! {
    /// Sum of all numbers of `slices`.
    pub fn sum(slices: &mut dyn Iterator<Item = &[f32]>) -> f32 {
        let mut lanes = Lanes::new();
        slices.for_each(|values| lanes.add([values], |[value]| value));
        lanes.sum() as f32
    }
}

vectorized! {
    /// `target[i] += Σ_k scales[k] * source[offsets[k] + i]` for all of `target`.
    pub fn add_scaled(target: &mut [f32], source: &[f32], offsets: &[usize], scales: &[f32]) {
        let (nines, rest) = offsets.as_chunks::<9>();
        let (nine_scales, rest_scales) = scales.as_chunks::<9>();
        for (offsets, scales) in nines.iter().zip(nine_scales) {
            add_some(target, source, offsets, scales);
        }
        let (threes, ones) = rest.as_chunks::<3>();
        let (three_scales, one_scales) = rest_scales.as_chunks::<3>();
        for (offsets, scales) in threes.iter().zip(three_scales) {
            add_some(target, source, offsets, scales);
        }
        for (&offset, &scale) in ones.iter().zip(one_scales) {
            add_some(target, source, &[offset], &[scale]);
        }
    }
}

/// A pass of [`add_scaled`] over `N` offsets at once.
#[inline(always)]
fn add_some<const N: usize>(target: &mut [f32], source: &[f32], offsets: &[usize; N], scales: &[f32; N]) {
    let len = target.len();
    let sources: [&[f32]; N] = offsets.map(|offset| &source[offset..offset + len]);
    for (i, value) in target.iter_mut().enumerate() {
        let mut sum = *value;
        for (source, scale) in sources.iter().zip(scales) {
            sum += source[i] * scale;
        }
        *value = sum;
    }
}

vectorized! {
    /// Writes a matrix of `[rows, cols]` numbers, rows `source_pitch` apart, as `[cols, rows]`, rows `target_pitch` apart.
    pub fn transpose(
        source: &[f32],
        source_pitch: usize,
        shape: [usize; 2],
        target: &mut [f32],
        target_pitch: usize,
    ) {
        /// Rows and columns turned at a time.
        const BLOCK: usize = 8;
        let [rows, cols] = shape;
        let whole = [rows / BLOCK * BLOCK, cols / BLOCK * BLOCK];
        for row in (0..whole[0]).step_by(BLOCK) {
            for col in (0..whole[1]).step_by(BLOCK) {
                let mut block = [[0.0; BLOCK]; BLOCK];
                for (i, line) in block.iter_mut().enumerate() {
                    line.copy_from_slice(&source[(row + i) * source_pitch + col..][..BLOCK]);
                }
                for j in 0..BLOCK {
                    let column: [f32; BLOCK] = std::array::from_fn(|i| block[i][j]);
                    target[(col + j) * target_pitch + row..][..BLOCK].copy_from_slice(&column);
                }
            }
        }
        for row in 0..rows {
            let first = if row < whole[0] { whole[1] } else { 0 };
            for col in first..cols {
                target[col * target_pitch + row] = source[row * source_pitch + col];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i * 31 % 17) as f32 - 8.0).collect()
    }

    // Small whole numbers: every order of summation gives the same.

    #[test]
    fn reductions_match_plain_sums() {
        for count in [0, 1, 63, 64, 65, 200] {
            let values = numbers(count);
            let halves = values.split_at(count / 3);
            assert_eq!(sum(&mut [halves.0, halves.1].into_iter()), values.iter().sum::<f32>());
            assert_eq!(dot(&values, &values), values.iter().map(|v| v * v).sum::<f32>());
        }
    }

    #[test]
    fn scaled_sums_match_plain_loops() {
        let source = numbers(100);
        for taps in [0, 1, 2, 3, 8, 9, 10, 25] {
            let offsets: Vec<usize> = (0..taps).map(|tap| tap * 2).collect();
            let scales = numbers(taps);
            let mut target = numbers(50);
            let expected: Vec<f32> = (0..50)
                .map(|i| target[i] + (0..taps).map(|tap| source[offsets[tap] + i] * scales[tap]).sum::<f32>())
                .collect();
            add_scaled(&mut target, &source, &offsets, &scales);
            assert_eq!(target, expected);
        }
    }

    #[test]
    fn transposes_whole_and_ragged_blocks() {
        for [rows, cols] in [[1, 1], [8, 8], [16, 24], [5, 40], [40, 5], [19, 21]] {
            let (source_pitch, target_pitch) = (cols + 3, rows + 2);
            let source = numbers(rows * source_pitch);
            let mut target = vec![99.0; cols * target_pitch];
            transpose(&source, source_pitch, [rows, cols], &mut target, target_pitch);
            for row in 0..rows {
                for col in 0..cols {
                    assert_eq!(target[col * target_pitch + row], source[row * source_pitch + col]);
                }
            }
            assert!(target.chunks(target_pitch).all(|line| line[rows..].iter().all(|&v| v == 99.0)));
        }
    }
}

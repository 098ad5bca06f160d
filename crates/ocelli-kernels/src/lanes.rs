//! Loops over neighbouring numbers, written so that the compiler keeps them in vector registers.

use crate::vector::vectorized;

/// Partial sums kept side by side: independent chains of additions, and a fixed order for the result.
const LANES: usize = 64;

vectorized! {
    /// Sum of `values`, in an order that depends on their number alone.
    pub(crate) fn sum(values: &[f32]) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest: f32 = chunks.remainder().iter().sum();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += value;
            }
        }
        lanes.iter().sum::<f32>() + rest
    }
}

vectorized! {
    /// Sum of the squared differences of `values` and `centre`, in an order that depends on their number alone.
    pub(crate) fn sum_of_squares(values: &[f32], centre: f32) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        for chunk in values.chunks(LANES) {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                let difference = value - centre;
                *lane += difference * difference;
            }
        }
        lanes.iter().sum()
    }
}

vectorized! {
    /// Sum of the products of `a` and `b`, in an order that depends on their number alone.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
        for (x, y) in a_chunks.zip(b_chunks) {
            for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
                *lane += x * y;
            }
        }
        lanes.iter().sum::<f32>() + rest
    }
}

vectorized! {
    /// `target[i] += Σ_k scales[k] * source[offsets[k] + i]` for all of `target`.
    pub(crate) fn add_scaled(target: &mut [f32], source: &[f32], offsets: &[usize], scales: &[f32]) {
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
    pub(crate) fn transpose(
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
            assert_eq!(sum(&values), values.iter().sum::<f32>());
            assert_eq!(
                sum_of_squares(&values, 2.0),
                values.iter().map(|v| (v - 2.0) * (v - 2.0)).sum::<f32>()
            );
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

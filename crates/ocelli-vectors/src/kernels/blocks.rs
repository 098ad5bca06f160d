//! Product quantization of many points at once: the nearest codewords of a block, and codes by coordinate descent.

use ocelli_simd::vectorized;

use super::lut::WORDS;

/// Points whose nearest codewords are looked for side by side.
const SIDE: usize = 32;

vectorized! {
    /// The nearest of up to 16 codewords `[words, dims]` (equals: the first) for points in columns, `points [dims, N]`.
    pub(crate) fn nearest_words(points: &[f32], dims: usize, words: &[f32], codes: &mut [u8]) {
        let count = codes.len();
        assert!(points.len() == dims * count && words.len().is_multiple_of(dims));
        let (whole, rest) = codes.as_chunks_mut::<SIDE>();
        let tail = whole.len() * SIDE;
        for (group, codes) in whole.iter_mut().enumerate() {
            let (mut best, mut at) = ([f32::INFINITY; SIDE], [0i32; SIDE]);
            for (index, word) in words.chunks_exact(dims).enumerate() {
                let mut distance = [0.0f32; SIDE];
                for (d, &word) in word.iter().enumerate() {
                    let column: &[f32; SIDE] = points[d * count + group * SIDE..].first_chunk().expect("whole");
                    for lane in 0..SIDE {
                        let difference = column[lane] - word;
                        distance[lane] = difference.mul_add(difference, distance[lane]);
                    }
                }
                for lane in 0..SIDE {
                    let nearer = distance[lane] < best[lane];
                    at[lane] = if nearer { index as i32 } else { at[lane] };
                    best[lane] = if nearer { distance[lane] } else { best[lane] };
                }
            }
            *codes = at.map(|at| at as u8);
        }
        for (i, code) in rest.iter_mut().enumerate() {
            let mut best = f32::INFINITY;
            for (index, word) in words.chunks_exact(dims).enumerate() {
                let mut distance = 0.0f32;
                for (d, &word) in word.iter().enumerate() {
                    let difference = points[d * count + tail + i] - word;
                    distance = difference.mul_add(difference, distance);
                }
                if distance < best {
                    (best, *code) = (distance, index as u8);
                }
            }
        }
    }
}

/// What coordinate descent needs for one point: per block, the squared residual of each codeword and its part along the
/// point's direction.
pub(crate) struct Descent {
    squared: Vec<[f32; WORDS]>,
    along: Vec<[f32; WORDS]>,
    order: Vec<u32>,
}

impl Descent {
    pub(crate) fn new(blocks: usize) -> Self {
        Self {
            squared: vec![[0.0; WORDS]; blocks],
            along: vec![[0.0; WORDS]; blocks],
            order: (0..blocks as u32).collect(),
        }
    }

    /// Codes of `x` (a vector or its residual) whose original direction is `unit`, by the rules of section 3.4.
    ///
    /// `words` holds the codewords of every block in columns, `[dim, 16]`; `ends` where each block ends in a vector.
    /// Codewords that a block does not have are infinitely far away.
    pub(crate) fn encode(
        &mut self,
        x: &[f32],
        unit: &[f32],
        eta: f32,
        rounds: usize,
        words: &[[f32; WORDS]],
        ends: &[usize],
        codes: &mut [u8],
    ) {
        descend(self, x, unit, eta, rounds, words, ends, codes);
    }
}

vectorized! {
    fn descend(
        state: &mut Descent, x: &[f32], unit: &[f32], eta: f32, rounds: usize, words: &[[f32; WORDS]], ends: &[usize],
        codes: &mut [u8],
    ) {
        let mut start = 0;
        let mut total = 0.0f32;
        for (block, &end) in ends.iter().enumerate() {
            let (mut squared, mut along) = ([0.0f32; WORDS], [0.0f32; WORDS]);
            for d in start..end {
                let (value, unit, words) = (x[d], unit[d], &words[d]);
                for k in 0..WORDS {
                    let residual = value - words[k];
                    squared[k] = residual.mul_add(residual, squared[k]);
                    along[k] = residual.mul_add(unit, along[k]);
                }
            }
            start = end;
            let code = first_smallest(&squared).1;
            codes[block] = code as u8;
            total += along[code];
            (state.squared[block], state.along[block]) = (squared, along);
        }
        let (squared, along) = (&state.squared, &state.along);
        let start = |block: u32| squared[block as usize][usize::from(codes[block as usize])];
        state.order.sort_unstable_by(|a, b| start(*b).total_cmp(&start(*a)).then(a.cmp(b)));
        for _ in 0..rounds {
            let mut changed = false;
            for &block in &state.order {
                let block = block as usize;
                let current = usize::from(codes[block]);
                let (squared, along) = (&squared[block], &along[block]);
                let (here, rest, before) = (squared[current], total - along[current], total * total);
                let mut cost = [0.0f32; WORDS];
                for k in 0..WORDS {
                    let new = rest + along[k];
                    let parallel = new.mul_add(new, -before);
                    let change = eta.mul_add(parallel, squared[k] - here - parallel);
                    cost[k] = if parallel > 0.0 { 0.0 } else { change };
                }
                // The current code costs nothing, up to rounding, and is not a change.
                cost[current] = 0.0;
                let (least, code) = first_smallest(&cost);
                if least < 0.0 {
                    total = rest + along[code];
                    codes[block] = code as u8;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }
}

/// The smallest value and the first place it stands at.
#[inline(always)]
fn first_smallest(values: &[f32; WORDS]) -> (f32, usize) {
    let mut folded = *values;
    let mut width = WORDS / 2;
    while width > 0 {
        for lane in 0..width {
            folded[lane] =
                if folded[lane + width] < folded[lane] { folded[lane + width] } else { folded[lane] };
        }
        width /= 2;
    }
    let least = folded[0];
    let mut equal = 0u32;
    for (lane, value) in values.iter().enumerate() {
        equal |= u32::from(*value == least) << lane;
    }
    (least, equal.trailing_zeros().min(WORDS as u32 - 1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score_aware_quantization::{Codebook, Encoder, Eta};
    use proptest::prelude::*;

    fn columns(points: &[f32], dims: usize) -> Vec<f32> {
        (0..dims).flat_map(|d| points.chunks_exact(dims).map(move |point| point[d])).collect()
    }

    proptest! {
        // Small whole numbers: distances are exact, and ties are common.
        #[test]
        fn the_nearest_codeword_is_the_first_of_the_nearest(
            dims in 1usize..5, count in 0usize..90, words in 1usize..=16, seed in prop::collection::vec(-3i8..4, 800),
        ) {
            let numbers: Vec<f32> = seed.iter().map(|v| f32::from(*v)).collect();
            let (points, words) = (&numbers[..dims * count], &numbers[400..400 + dims * words]);
            let mut codes = vec![0; count];
            nearest_words(&columns(points, dims), dims, words, &mut codes);
            let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            for (point, code) in points.chunks_exact(dims).zip(codes) {
                let all: Vec<f32> = words.chunks_exact(dims).map(|word| distance(point, word)).collect();
                let least = all.iter().copied().fold(f32::INFINITY, f32::min);
                prop_assert_eq!(usize::from(code), all.iter().position(|d| *d == least).unwrap());
            }
        }

        // Values that are multiples of 1/8 keep most sums exact; the definition decides the rest in double precision.
        #[test]
        fn descent_reaches_the_codes_of_the_definition(
            blocks in 1usize..7, values in prop::collection::vec(-16i8..17, 14 + 14 * 16), eta in 1.0f64..6.0,
        ) {
            let dim = 2 * blocks;
            let numbers: Vec<f64> = values.iter().map(|v| f64::from(*v) / 8.0).collect();
            let x = &numbers[..dim];
            prop_assume!(x.iter().any(|v| *v != 0.0));
            let books: Vec<(usize, Vec<f64>)> =
                (0..blocks).map(|b| (2, numbers[14 + b * 32..14 + (b + 1) * 32].to_vec())).collect();
            let codebook = Codebook::new(books.clone()).unwrap();
            let encoder = Encoder { codebook: &codebook, max_rounds: 10 };
            let expected = encoder.encode(x, None, Eta::Fixed(eta)).unwrap();
            let length = x.iter().map(|v| v * v).sum::<f64>().sqrt();
            let unit: Vec<f32> = x.iter().map(|v| (v / length) as f32).collect();
            let x: Vec<f32> = x.iter().map(|v| *v as f32).collect();
            let mut words = vec![[0.0f32; WORDS]; dim];
            for (d, words) in words.iter_mut().enumerate() {
                *words = std::array::from_fn(|k| books[d / 2].1[k * 2 + d % 2] as f32);
            }
            let ends: Vec<usize> = (1..=blocks).map(|b| 2 * b).collect();
            let mut codes = vec![0; blocks];
            Descent::new(blocks).encode(&x, &unit, eta as f32, 10, &words, &ends, &mut codes);
            let found: Vec<usize> = codes.iter().map(|c| usize::from(*c)).collect();
            // Rounding may decide a near tie otherwise, and the way then leads elsewhere: to codes of which, as of the
            // definition's, none can be changed for a smaller loss without a longer way along the vector.
            let parts = |codes: &[usize]| {
                let decoded = codebook.decode(codes).unwrap();
                let (mut along, mut squared) = (0.0, 0.0);
                for ((x, decoded), unit) in numbers[..dim].iter().zip(&decoded).zip(&unit) {
                    squared += (x - decoded) * (x - decoded);
                    along += (x - decoded) * f64::from(*unit);
                }
                (along * along, squared + (eta - 1.0) * along * along)
            };
            let (along, loss) = parts(&found);
            let better = (0..blocks * WORDS).find(|place| {
                let mut changed = found.clone();
                changed[place / WORDS] = place % WORDS;
                let (new_along, new_loss) = parts(&changed);
                new_along < along - 1e-4 && new_loss < loss - 1e-4
            });
            prop_assert!(found == expected || better.is_none(), "{found:?}, {expected:?}, better {better:?}");
        }
    }
}

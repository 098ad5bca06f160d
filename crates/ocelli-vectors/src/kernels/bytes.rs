//! Products of vectors with many rows in eight bits: rough, and a quarter of the memory and of the work.
//!
//! Four neighbouring elements of a row lie side by side, those of 16 rows in 64 bytes, so that one instruction
//! (`vpdpbusd`) adds 64 products to 16 sums.

use ocelli_simd::vectorized;

/// Rows that lie side by side.
const SIDE: usize = 16;
/// Elements of a row that one step takes.
const STEP: usize = 4;
/// Groups of rows whose sums are formed together.
const GROUPS: usize = 4;
/// Vectors whose products are formed together.
const TOGETHER: usize = 4;
/// What is added to a vector's element to make it unsigned.
const OFFSET: i32 = 128;

type Run = [i8; SIDE * STEP];
type Sums = [[i32; SIDE]; GROUPS];

/// Rows `[n, k]` in eight bits, each with its scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ByteColumns {
    /// `[groups, steps]`, whole fours of groups; what is not there is zero.
    runs: Vec<Run>,
    steps: usize,
    /// `[n]`: what a sum is multiplied by, and what the offset of a vector's elements adds to it.
    scales: Vec<(f32, i32)>,
}

/// A vector in eight bits, from 1 to 255, the elements behind its end zeros of weight.
struct Bytes {
    elements: Vec<[u8; STEP]>,
    scale: f32,
}

impl ByteColumns {
    pub(crate) fn new(rows: &[f32], k: usize) -> Self {
        let (count, steps) = (rows.len() / k, k.div_ceil(STEP));
        let mut runs = vec![[0i8; SIDE * STEP]; count.div_ceil(SIDE * GROUPS) * GROUPS * steps];
        let mut scales = Vec::with_capacity(count);
        for (i, row) in rows.chunks_exact(k).enumerate() {
            let (inverse, scale) = scale(row);
            let mut sum = 0;
            for (d, value) in row.iter().enumerate() {
                let byte = (value * inverse).round() as i8;
                sum += i32::from(byte);
                runs[i / SIDE * steps + d / STEP][i % SIDE * STEP + d % STEP] = byte;
            }
            scales.push((scale, OFFSET * sum));
        }
        Self { runs, steps, scales }
    }

    /// `[m, n]`: about the inner products of the rows with those of `a [m, k]`.
    pub(crate) fn times(&self, a: &[f32], k: usize, out: &mut [f32]) {
        let count = self.scales.len();
        assert_eq!((a.len() % k, out.len(), k.div_ceil(STEP)), (0, a.len() / k * count, self.steps));
        let vectors: Vec<Bytes> = a.chunks_exact(k).map(|a| self.bytes(a)).collect();
        let (fours, rest) = vectors.as_chunks::<TOGETHER>();
        let (of_fours, of_rest) = out.split_at_mut(fours.len() * TOGETHER * count);
        for (vectors, out) in fours.iter().zip(of_fours.chunks_exact_mut(TOGETHER * count)) {
            self.some(vectors, out);
        }
        for (vector, out) in rest.iter().zip(of_rest.chunks_exact_mut(count)) {
            self.some(std::array::from_ref(vector), out);
        }
    }

    fn bytes(&self, a: &[f32]) -> Bytes {
        let (inverse, scale) = scale(a);
        let mut elements = vec![[OFFSET as u8; STEP]; self.steps];
        quantize(a, inverse, elements.as_flattened_mut());
        Bytes { elements, scale }
    }

    fn some<const M: usize>(&self, vectors: &[Bytes; M], out: &mut [f32]) {
        let count = self.scales.len();
        let elements: [&[[u8; STEP]]; M] = std::array::from_fn(|m| vectors[m].elements.as_slice());
        let tiles = self.runs.chunks_exact(GROUPS * self.steps.max(1));
        for (tile, scales) in tiles.zip(self.scales.chunks(GROUPS * SIDE)).enumerate() {
            let (runs, scales) = scales;
            let all = sums(runs, elements);
            for (m, sums) in all.iter().enumerate() {
                let out = &mut out[m * count + tile * GROUPS * SIDE..][..scales.len()];
                finish(sums.as_flattened(), scales, vectors[m].scale, out);
            }
        }
    }
}

/// What elements are multiplied by to lie within 127 of zero, and the inverse.
fn scale(row: &[f32]) -> (f32, f32) {
    let largest = row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let inverse = 127.0 / largest;
    if inverse.is_finite() { (inverse, largest / 127.0) } else { (0.0, 0.0) }
}

vectorized! {
    fn quantize(a: &[f32], inverse: f32, elements: &mut [u8]) {
        for (element, value) in elements.iter_mut().zip(a) {
            // Halves go up: whole numbers from 1 to 255 after the offset.
            *element = (value * inverse + (OFFSET as f32 + 0.5)) as u8;
        }
    }
}

vectorized! {
    fn finish(sums: &[i32], scales: &[(f32, i32)], scale: f32, out: &mut [f32]) {
        for ((out, sum), (of_row, offset)) in out.iter_mut().zip(sums).zip(scales) {
            *out = (sum - offset) as f32 * (of_row * scale);
        }
    }
}

/// Sums of products of a tile's runs with vectors, the fastest way here; all ways give the same.
#[allow(unsafe_code)] // a call that needs the processor's features
fn sums<const M: usize>(runs: &[Run], vectors: [&[[u8; STEP]]; M]) -> [Sums; M] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vnni") {
        let steps = runs.len() / GROUPS;
        assert!(vectors.iter().all(|vector| vector.len() == steps));
        // SAFETY: the features are there, and lengths were just compared.
        return unsafe { avx512(runs, vectors) };
    }
    portable(runs, vectors)
}

fn portable<const M: usize>(runs: &[Run], vectors: [&[[u8; STEP]]; M]) -> [Sums; M] {
    let steps = runs.len() / GROUPS;
    vectors.map(|vector| {
        let mut sums = [[0; SIDE]; GROUPS];
        for (sums, runs) in sums.iter_mut().zip(runs.chunks_exact(steps)) {
            plain(runs, vector, sums);
        }
        sums
    })
}

vectorized! {
    fn plain(runs: &[Run], vector: &[[u8; STEP]], sums: &mut [i32; SIDE]) {
        for (run, elements) in runs.iter().zip(vector) {
            let wide = elements.map(i32::from);
            for (sum, bytes) in sums.iter_mut().zip(run.as_chunks::<STEP>().0) {
                for j in 0..STEP {
                    *sum += wide[j] * i32::from(bytes[j]);
                }
            }
        }
    }
}

/// # Safety
/// The processor has the features; there are [`GROUPS`] times as many runs as each vector has elements of [`STEP`].
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // reads and writes through pointers
#[allow(clippy::needless_range_loop)] // counted loops over small arrays stay in registers
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn avx512<const M: usize>(runs: &[Run], vectors: [&[[u8; STEP]]; M]) -> [Sums; M] {
    use std::arch::x86_64::*;
    let steps = runs.len() / GROUPS;
    let mut sums = [[_mm512_setzero_si512(); GROUPS]; M];
    let mut out = [[[0i32; SIDE]; GROUPS]; M];
    // SAFETY: `g * steps + step` is below the number of runs, `step` below the length of each vector, as the caller
    // vouches; a row of `out` is 64 bytes.
    unsafe {
        for step in 0..steps {
            let mut columns = [_mm512_setzero_si512(); GROUPS];
            for g in 0..GROUPS {
                columns[g] = _mm512_loadu_si512(runs.as_ptr().add(g * steps + step).cast());
            }
            for m in 0..M {
                let elements = vectors[m].as_ptr().add(step).cast::<i32>().read_unaligned();
                let elements = _mm512_set1_epi32(elements);
                for g in 0..GROUPS {
                    sums[m][g] = _mm512_dpbusd_epi32(sums[m][g], elements, columns[g]);
                }
            }
        }
        for m in 0..M {
            for g in 0..GROUPS {
                _mm512_storeu_si512(out[m][g].as_mut_ptr().cast(), sums[m][g]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn products_are_near_whatever_the_shape() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (5, 64, 8), (9, 130, 33), (4, 1012, 100)] {
            let (a, b) = (values(m * k, 0.37), values(n * k, 0.73));
            let mut out = vec![f32::NAN; m * n];
            ByteColumns::new(&b, k).times(&a, k, &mut out);
            for (i, a) in a.chunks_exact(k).enumerate() {
                for (j, b) in b.chunks_exact(k).enumerate() {
                    let exact: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    // Each element is off by half a step at most, a step being 1 / 127 of the largest.
                    assert!((out[i * n + j] - exact).abs() < 1.01 * k as f32 / 127.0, "{m} {n} {k}");
                }
            }
        }
    }

    #[test]
    fn all_ways_give_the_same_integers() {
        let byte = |i: usize| (i * 89 % 255) as i32 - 127;
        let steps = 9;
        let runs: Vec<Run> =
            (0..GROUPS * steps).map(|r| std::array::from_fn(|j| byte(r * 64 + j) as i8)).collect();
        let vectors: Vec<Vec<[u8; STEP]>> = (0..TOGETHER)
            .map(|m| (0..steps).map(|s| std::array::from_fn(|j| (m * 71 + s * 37 + j * 101) as u8)).collect())
            .collect();
        let four: [&[[u8; STEP]]; TOGETHER] = std::array::from_fn(|m| vectors[m].as_slice());
        assert_eq!(sums(&runs, four), portable(&runs, four));
        for m in 0..TOGETHER {
            assert_eq!(sums(&runs, [four[m]])[0], sums(&runs, four)[m]);
        }
    }

    #[test]
    fn zeros_and_extremes_are_no_trouble() {
        let rows = [0.0, 0.0, f32::MIN_POSITIVE / 4.0, 0.0, f32::MAX, -f32::MAX];
        let columns = ByteColumns::new(&rows, 2);
        let mut out = vec![f32::NAN; 6];
        columns.times(&[0.0, 0.0, 1.0, 0.5], 2, &mut out);
        assert_eq!(out[..4], [0.0; 4]);
        assert!(out.iter().all(|value| !value.is_nan()));
    }
}

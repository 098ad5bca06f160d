//! Elements in eight bits (scalar quantization): a number from 0 to 255 on a grid of its own for each element of a vector.

use ocelli_simd::vectorized;

/// The largest number on a grid.
const LAST: f32 = 255.0;

/// Where the grid of each element begins, and how far its points lie apart: `[dim]` both.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) lowest: Vec<f32>,
    pub(super) steps: Vec<f32>,
    /// One over the step; 0 for an element that is always the same.
    inverse: Vec<f32>,
}

impl Grid {
    /// Grids with these beginnings and steps.
    pub(super) fn new(lowest: Vec<f32>, steps: Vec<f32>) -> Self {
        let inverse = |step: &f32| Some(1.0 / step).filter(|inverse| inverse.is_finite()).unwrap_or(0.0);
        Self { inverse: steps.iter().map(inverse).collect(), lowest, steps }
    }

    /// Grids from the lowest to the highest value of each element of `points [N, dim]`.
    pub(super) fn train(points: &[f32], dim: usize) -> Self {
        let (mut lowest, mut highest) = (vec![f32::INFINITY; dim], vec![f32::NEG_INFINITY; dim]);
        points.chunks_exact(dim).for_each(|point| widen(point, &mut lowest, &mut highest));
        // Halved first: the difference of two finite numbers need not be one.
        let step = |(low, high): (&f32, &f32)| ((0.5 * high - 0.5 * low) / (0.5 * LAST)).max(0.0);
        let steps = lowest.iter().zip(&highest).map(step).collect();
        Self::new(lowest, steps)
    }

    /// The nearest point of each element's grid; what lies beyond its ends takes the last one.
    pub(super) fn encode(&self, x: &[f32], codes: &mut [u8]) {
        nearest(x, &self.lowest, &self.inverse, codes);
    }

    /// What codes stand for is added to `x`.
    pub(super) fn add(&self, codes: &[u8], x: &mut [f32]) {
        for (((x, &code), lowest), step) in x.iter_mut().zip(codes).zip(&self.lowest).zip(&self.steps) {
            *x += lowest + f32::from(code) * step;
        }
    }

    /// What a query's products with all codes are made of: the number from -127 to 127 that each element is multiplied by,
    /// behind the last zeros, and what sums are multiplied by and added to.
    pub(super) fn table(&self, query: &[f32], entries: &mut [i8]) -> (f32, f32) {
        let (largest, base) = look(query, &self.lowest, &self.steps);
        let multiplier = Some(127.0 / largest).filter(|multiplier| multiplier.is_finite()).unwrap_or(0.0);
        let (own, beyond) = entries.split_at_mut(query.len());
        quantize(query, &self.steps, multiplier, own);
        beyond.fill(0);
        (if multiplier > 0.0 { 1.0 / multiplier } else { 0.0 }, base)
    }
}

vectorized! {
    fn widen(point: &[f32], lowest: &mut [f32], highest: &mut [f32]) {
        for ((value, low), high) in point.iter().zip(lowest).zip(highest) {
            *low = low.min(*value);
            *high = high.max(*value);
        }
    }
}

vectorized! {
    fn nearest(x: &[f32], lowest: &[f32], inverse: &[f32], codes: &mut [u8]) {
        for (((x, lowest), inverse), code) in x.iter().zip(lowest).zip(inverse).zip(codes) {
            // Halves go up; the conversion cuts what follows the point.
            *code = ((x - lowest) * inverse + 0.5).clamp(0.0, LAST) as u8;
        }
    }
}

/// Numbers that are looked at side by side.
const LANES: usize = 16;

vectorized! {
    /// The largest magnitude of `query * steps`, and the sum of `query * lowest`.
    fn look(query: &[f32], lowest: &[f32], steps: &[f32]) -> (f32, f32) {
        let (mut largest, mut sums) = ([0.0f32; LANES], [0.0f32; LANES]);
        let terms = query.chunks(LANES).zip(lowest.chunks(LANES)).zip(steps.chunks(LANES));
        for ((query, lowest), steps) in terms {
            for lane in 0..query.len().min(LANES) {
                largest[lane] = largest[lane].max((query[lane] * steps[lane]).abs());
                sums[lane] = query[lane].mul_add(lowest[lane], sums[lane]);
            }
        }
        (largest.into_iter().fold(0.0, f32::max), sums.into_iter().sum())
    }
}

vectorized! {
    fn quantize(query: &[f32], steps: &[f32], multiplier: f32, entries: &mut [i8]) {
        for ((query, step), entry) in query.iter().zip(steps).zip(entries) {
            let value = (query * step * multiplier).clamp(-127.0, 127.0);
            *entry = (value + 0.5f32.copysign(value)) as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_on_the_grid_come_back(
            dim in 1usize..40, count in 1usize..30, values in prop::collection::vec(-50.0f32..50.0, 40 * 30),
        ) {
            let points = &values[..dim * count];
            let grid = Grid::train(points, dim);
            let mut codes = vec![0; dim];
            for point in points.chunks_exact(dim) {
                grid.encode(point, &mut codes);
                let mut back = vec![0.0; dim];
                grid.add(&codes, &mut back);
                for ((value, back), step) in point.iter().zip(&back).zip(&grid.steps) {
                    prop_assert!((value - back).abs() <= 0.5 * step + 1e-4, "{value} {back} {step}");
                }
            }
        }

        #[test]
        fn products_are_those_of_what_codes_stand_for(
            dim in 1usize..40, values in prop::collection::vec(-50.0f32..50.0, 40 * 12),
        ) {
            let (query, points) = values[..dim * 12].split_at(dim);
            let grid = Grid::train(points, dim);
            let mut entries = vec![1; dim.next_multiple_of(4)];
            let (scale, base) = grid.table(query, &mut entries);
            prop_assert!(entries[dim..].iter().all(|entry| *entry == 0));
            let largest = query.iter().zip(&grid.steps).fold(0.0f32, |m, (q, step)| m.max((q * step).abs()));
            let mut codes = vec![0; dim];
            for point in points.chunks_exact(dim) {
                grid.encode(point, &mut codes);
                let mut back = vec![0.0; dim];
                grid.add(&codes, &mut back);
                let exact: f32 = query.iter().zip(&back).map(|(q, x)| q * x).sum();
                let sum: i32 = entries.iter().zip(&codes).map(|(e, c)| i32::from(*e) * i32::from(*c)).sum();
                // Each entry is off by half a step at most.
                let bound = 0.5 * largest / 127.0 * 255.0 * dim as f32 + 0.05;
                prop_assert!((sum as f32 * scale + base - exact).abs() <= bound);
            }
        }
    }

    #[test]
    fn what_never_changes_and_what_lies_beyond_are_no_trouble() {
        let grid = Grid::train(&[3.0, 0.0, f32::MAX, 3.0, 1.0, -f32::MAX], 3);
        let mut codes = [9; 3];
        grid.encode(&[7.0, 5.0, f32::MAX], &mut codes);
        assert_eq!(codes, [0, 255, 255]);
        grid.encode(&[3.0, -5.0, -f32::MAX], &mut codes);
        assert_eq!(codes, [0, 0, 0]);
        assert!(grid.steps.iter().all(|step| step.is_finite()));
        let mut entries = [1; 4];
        assert_eq!(grid.table(&[0.0; 3], &mut entries).0, 0.0);
        assert_eq!(entries, [0; 4]);
    }
}

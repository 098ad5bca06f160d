//! One axis of a linear map between grids: every output is a weighted sum of neighbouring inputs.
//!
//! Averaging windows, interpolation and both of their gradients are such maps along each axis.

use std::ops::Range;

/// A banded matrix: output `o` is the sum over `k` of `weights(o)[k] * input[first(o) + k]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Band {
    inputs: usize,
    rows: Vec<Row>,
    weights: Vec<f32>,
    regular: Option<Regular>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    first: u32,
    /// Where its weights start, and how many it has.
    start: u32,
    count: u32,
}

/// Outputs that all have the same weights, their first inputs `stride` apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Regular {
    pub(crate) outputs: Range<usize>,
    pub(crate) stride: usize,
}

/// Largest distance of first inputs that is worth being told apart.
pub(crate) const MAX_STRIDE: usize = 4;

impl Band {
    /// From each output's first input and weights. Weights that would reach past the last input must not be given.
    pub(crate) fn new<W: AsRef<[f32]>>(inputs: usize, rows: impl IntoIterator<Item = (usize, W)>) -> Self {
        let (mut list, mut weights) = (Vec::new(), Vec::new());
        for (first, row) in rows {
            let row = row.as_ref();
            assert!(first + row.len() <= inputs, "a window reaches past its axis");
            list.push(Row { first: first as u32, start: weights.len() as u32, count: row.len() as u32 });
            weights.extend_from_slice(row);
        }
        let mut band = Self { inputs, rows: list, weights, regular: None };
        band.regular = band.find_regular();
        band
    }

    /// From each output's taps `(input, weight)`; taps of one input add up, and inputs between the taps weigh nothing.
    pub(crate) fn from_taps<T>(inputs: usize, outputs: impl IntoIterator<Item = T>) -> Self
    where
        T: IntoIterator<Item = (usize, f32)>,
    {
        let rows = outputs.into_iter().map(|taps| {
            let taps: Vec<(usize, f32)> = taps.into_iter().collect();
            let first = taps.iter().map(|&(input, _)| input).min().unwrap_or(0);
            let end = taps.iter().map(|&(input, _)| input + 1).max().unwrap_or(0);
            let mut weights = vec![0.0; end - first];
            taps.into_iter().for_each(|(input, weight)| weights[input - first] += weight);
            (first, weights)
        });
        Self::new(inputs, rows)
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.rows.len()
    }

    /// First input and weights of an output.
    #[inline(always)]
    pub(crate) fn row(&self, output: usize) -> (usize, &[f32]) {
        let Row { first, start, count } = self.rows[output];
        (first as usize, &self.weights[start as usize..(start + count) as usize])
    }

    pub(crate) fn regular(&self) -> Option<&Regular> {
        self.regular.as_ref()
    }

    /// Whether every output is the input of the same place.
    pub(crate) fn is_identity(&self) -> bool {
        self.inputs == self.outputs() && (0..self.inputs).all(|place| self.row(place) == (place, &[1.0]))
    }

    /// The weight of every input where there is one output and all of them weigh the same.
    pub(crate) fn whole(&self) -> Option<f32> {
        let weights = &self.weights;
        let weight = *weights.first()?;
        (self.rows.len() == 1 && weights.len() == self.inputs && weights.iter().all(|w| *w == weight))
            .then_some(weight)
    }

    /// The weight that each output takes its input by, where there is one input and no output without it.
    pub(crate) fn single_column(&self) -> Option<&[f32]> {
        (self.inputs == 1 && self.weights.len() == self.rows.len()).then_some(self.weights.as_slice())
    }

    /// The map of a grid of two axes as one of a single axis, where both take in all of theirs.
    pub(crate) fn joined(&self, inner: &Self) -> Option<Self> {
        let (inputs, weight) = (self.inputs * inner.inputs, self.whole()? * inner.whole()?);
        Some(Self::new(inputs, [(0, vec![weight; inputs])]))
    }

    /// The map from gradients of the outputs to gradients of the inputs.
    pub(crate) fn transposed(&self) -> Self {
        let mut taps = vec![Vec::new(); self.inputs];
        for output in 0..self.outputs() {
            let (first, weights) = self.row(output);
            for (input, &weight) in (first..).zip(weights) {
                taps[input].push((output, weight));
            }
        }
        Self::from_taps(self.outputs(), taps)
    }

    fn find_regular(&self) -> Option<Regular> {
        let longest = self.rows.iter().map(|row| row.count).max()?;
        let start = self.rows.iter().position(|row| row.count == longest)?;
        let (first, weights) = self.row(start);
        let stride = (self.rows.get(start + 1)?.first as usize).checked_sub(first)?;
        if stride == 0 || stride > MAX_STRIDE {
            return None;
        }
        let fits = |&output: &usize| self.row(output) == (first + (output - start) * stride, weights);
        let end = start + (start..self.outputs()).take_while(fits).count();
        Some(Regular { outputs: start..end, stride })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves() -> Band {
        Band::new(6, [(0, vec![1.0]), (0, vec![0.5, 0.5]), (2, vec![0.5, 0.5]), (4, vec![0.5, 0.5])])
    }

    #[test]
    fn outputs_of_equal_weights_are_found() {
        assert_eq!(halves().regular(), Some(&Regular { outputs: 1..4, stride: 2 }));
        assert_eq!(Band::new(3, [(0, [1.0])]).regular(), None);
    }

    #[test]
    fn transposing_twice_gives_the_same_map() {
        let band = halves();
        assert_eq!(band.transposed().row(0), (0, &[1.0, 0.5][..]));
        assert_eq!(band.transposed().transposed(), band);
    }

    #[test]
    fn taps_of_one_input_add_up() {
        let band = Band::from_taps(4, [vec![(0, 0.25), (0, 0.25), (2, 0.5)], vec![]]);
        assert_eq!((band.row(0), band.row(1)), ((0, &[0.5, 0.0, 0.5][..]), (0, &[][..])));
    }

    #[test]
    fn whole_axes_are_joined() {
        let (three, four) = (Band::new(3, [(0, [1.0; 3])]), Band::new(4, [(0, [0.5; 4])]));
        assert_eq!(three.joined(&four), Some(Band::new(12, [(0, [0.5; 12])])));
        assert_eq!(three.joined(&halves()), None);
    }
}

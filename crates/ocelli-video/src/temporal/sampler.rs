//! Features of proposals: a fixed linear sampling of a sequence, and the convolution over the samples fused with it.
//!
//! Of every proposal some N points of the sequence are sampled, each a weighted sum of a few cells. A convolution over the
//! N samples, with filters W `[O, C, N]`, gives the proposal's features:
//!
//! ```text
//! out[p, o] = Σ_n Σ_c W[o, c, n] Σ_t S[p, n, t] x[t, c]
//! ```
//!
//! Written down in this order the samples of all proposals fill hundreds of megabytes. But cells are few and proposals
//! many: [`ProposalSampler::convolve`] multiplies the filters with the *cells* first, Y = W x, a dense product of the size of
//! the sequence, and then sums for each proposal the rows of Y that its few weights name, a sparse product. The operations
//! are some thirty times fewer, and so is the memory; the result is the same up to rounding.

use burn::tensor::{Int, Tensor};
use ocelli_kernels::{SparseMatrix, sparse_product};
use ocelli_nn::tensor::integers;

/// A proposal (i, j), or a place that is none: its samples are zero.
pub type Place = Option<(usize, usize)>;

/// The proposals of a sequence of `cells` cells, row-major.
pub fn proposals(cells: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..cells).flat_map(move |i| (i..cells).map(move |j| (i, j)))
}

/// The places of a whole map `[cells, cells]`, row-major; those below the diagonal are no proposals.
pub fn map_places(cells: usize) -> Vec<Place> {
    (0..cells * cells).map(|at| (at / cells, at % cells)).map(|(i, j)| (i <= j).then_some((i, j))).collect()
}

/// The proposals, and one more place for all that are none.
pub fn compact_places(cells: usize) -> Vec<Place> {
    proposals(cells).map(Some).chain([None]).collect()
}

/// Which cells the samples of each place are made of, and how much of each.
#[derive(Clone, Debug)]
pub struct ProposalSampler {
    cells: usize,
    samples: usize,
    places: Vec<Place>,
    /// A row for each sample of each place; the columns are cells.
    expanded: SparseMatrix,
    /// A row for each place; the columns are pairs of cell and sample, samples varying faster.
    fused: SparseMatrix,
}

impl ProposalSampler {
    /// A sampler of `samples` points at each of `places` on a sequence of `cells` cells. `points(i, j, n)` lists the cells
    /// and weights of sample n of proposal (i, j).
    ///
    /// # Panics
    /// When a cell beyond the last is listed, or there are more weights than 32 bits count: both would be mistakes of
    /// the method that lists them.
    pub fn new(
        cells: usize,
        samples: usize,
        places: Vec<Place>,
        points: impl Fn(usize, usize, usize) -> Vec<(usize, f32)>,
    ) -> Self {
        let sample = |place: &Place, n: usize| place.map_or_else(Vec::new, |(i, j)| points(i, j, n));
        let rows = places.iter().flat_map(|place| (0..samples).map(|n| sample(place, n)));
        let expanded = SparseMatrix::from_rows(cells, rows);
        let row = |place: usize| {
            let expanded = &expanded;
            let of = move |n: usize| {
                let entries = expanded.as_ref().map(|m| m.row(place * samples + n).collect::<Vec<_>>());
                entries.unwrap_or_default().into_iter().map(move |(cell, w)| (cell * samples + n, w))
            };
            (0..samples).flat_map(of).collect::<Vec<_>>()
        };
        let fused = SparseMatrix::from_rows(cells * samples, (0..places.len()).map(row));
        let checked = |matrix: Result<SparseMatrix, _>| matrix.unwrap_or_else(|e| panic!("sampler: {e}"));
        Self { cells, samples, fused: checked(fused), expanded: checked(expanded), places }
    }

    /// Cells of the sequence.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Samples of a place.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The places, in the order of all results.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The cells and weights of sample `n` of place `place`, by rising cell.
    ///
    /// # Panics
    /// When there is no such place or sample.
    pub fn weights(&self, place: usize, n: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        assert!(n < self.samples, "sample {n} of {}", self.samples);
        self.expanded.row(place * self.samples + n)
    }

    /// The samples of all places of sequences `x` `[B, T, C]`: `[B, P, N, C]`.
    ///
    /// # Panics
    /// When the sequences are of another length.
    pub fn sample(&self, x: Tensor<3>) -> Tensor<4> {
        let [b, _, c] = x.dims();
        sparse_product(&self.expanded, x).reshape([b, self.places.len(), self.samples, c])
    }

    /// The convolution over all samples of each place, of sequences `x` `[B, T, C]` with filters `weight` `[O, C, N]`:
    /// `[B, P, O]`, without a bias.
    ///
    /// # Panics
    /// When the sequences are of another length, or the filters of other channels or samples.
    pub fn convolve(&self, x: Tensor<3>, weight: Tensor<3>) -> Tensor<3> {
        let ([b, t, c], [o, channels, n]) = (x.dims(), weight.dims());
        assert!(
            [t, c, n] == [self.cells, channels, self.samples],
            "filters [{o}, {channels}, {n}] on [{b}, {t}, {c}]"
        );
        let filters = weight.permute([1, 2, 0]).reshape([c, n * o]);
        let filtered = x.reshape([b * t, c]).matmul(filters);
        sparse_product(&self.fused, filtered.reshape([b, t * n, o]))
    }

    /// Rows of [`compact_places`], `[B, P, C]`, as maps `[B, C, T, T]`.
    ///
    /// # Panics
    /// When the sampler is not one of compact places.
    pub fn to_maps(&self, rows: Tensor<3>) -> Tensor<4> {
        let [b, p, c] = rows.dims();
        let t = self.cells;
        assert!(p == t * (t + 1) / 2 + 1, "maps are made of compact places, found {p} rows for {t} cells");
        let mut next = 0;
        let mut index = |place: Place| match place {
            Some(_) => {
                next += 1;
                next - 1
            }
            None => (p - 1) as i64,
        };
        let places: Vec<i64> = map_places(t).into_iter().map(&mut index).collect();
        let places: Tensor<1, Int> = integers(&places, &rows.device().without_autodiff());
        rows.select(1, places).swap_dims(1, 2).reshape([b, c, t, t])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, values};

    /// Sample n of (i, j): the cell n steps into it, and half of the next.
    fn sampler(places: Vec<Place>) -> ProposalSampler {
        ProposalSampler::new(4, 2, places, |i, j, n| {
            let cell = (i + n).min(j);
            vec![(cell, 1.0), ((cell + 1).min(3), 0.5)]
        })
    }

    fn tensor<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let n = shape.iter().product::<usize>();
        let device = ocelli_nn::device("cpu").unwrap();
        from_values((0..n).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect(), shape, &device)
    }

    #[test]
    fn samples_are_weighted_cells() {
        let sampler = sampler(map_places(4));
        let x = tensor([1, 4, 1]);
        let cells = values(x.clone());
        let samples = values(sampler.sample(x));
        // Place (1, 3) is row 7; its second sample is cell 2 and half of cell 3.
        assert!((samples[7 * 2 + 1] - (cells[2] + 0.5 * cells[3])).abs() < 1e-6);
        assert_eq!(samples[4 * 2..5 * 2], [0.0; 2], "(1, 0) is no proposal");
        assert_eq!(sampler.weights(15, 0).collect::<Vec<_>>(), [(3, 1.5)]);
    }

    #[test]
    fn the_fused_convolution_is_the_convolution_of_the_samples() {
        let sampler = sampler(map_places(4));
        let (x, weight) = (tensor([2, 4, 3]), tensor([5, 3, 2]));
        let fused = values(sampler.convolve(x.clone(), weight.clone()));
        let samples = sampler.sample(x).swap_dims(2, 3).reshape([2 * 16, 6]);
        let plain = values(samples.matmul(weight.reshape([5, 6]).transpose()));
        assert!(fused.iter().zip(&plain).all(|(f, p)| (f - p).abs() < 1e-5));
        assert!(plain.iter().any(|p| p.abs() > 0.5));
    }

    #[test]
    fn compact_places_unfold_to_maps() {
        let (compact, whole) = (sampler(compact_places(4)), sampler(map_places(4)));
        let x = tensor([2, 4, 1]);
        let maps = values(compact.to_maps(compact.sample(x.clone()).reshape([2, 11, 2])));
        let plain = values(whole.sample(x).reshape([2, 16, 2]).swap_dims(1, 2));
        assert_eq!(maps, plain);
    }
}

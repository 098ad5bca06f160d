//! Loops over the channels of `[B, C, ...]` arrays: a plane is what one sample has of one channel.
//!
//! Sums run in a fixed order, whatever the number of threads: within a plane in [`LANES`] interleaved partial sums, over
//! the planes of a channel one after the other in double precision.

use rayon::prelude::*;

/// Independent partial sums, so that a loop over a plane needs no carried dependency.
const LANES: usize = 16;

/// Rows and columns of planes, and their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) size: usize,
}

impl Planes {
    /// Of a shape `[B, C, ...]`.
    pub(crate) fn of(shape: &[usize]) -> Self {
        let size = shape[2..].iter().product();
        Self { batch: shape[0], channels: shape[1], size }
    }

    /// Numbers in all planes.
    pub(crate) fn len(&self) -> usize {
        self.batch * self.channels * self.size
    }

    /// Numbers of one channel.
    pub(crate) fn per_channel(&self) -> usize {
        self.batch * self.size
    }

    /// Maps planes to planes: `work(channel, source, target)`.
    pub(crate) fn map(&self, source: &[f32], work: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Vec<f32> {
        let mut target = vec![0.0; self.len()];
        if self.len() > 0 {
            let planes = target.par_chunks_mut(self.size).zip(source.par_chunks(self.size)).enumerate();
            planes.for_each(|(i, (target, source))| work(i % self.channels, source, target));
        }
        target
    }

    /// Maps two planes each to one: `work(channel, first, second, target)`.
    pub(crate) fn map2(
        &self,
        first: &[f32],
        second: &[f32],
        work: impl Fn(usize, &[f32], &[f32], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let mut target = vec![0.0; self.len()];
        if self.len() > 0 {
            let sources = first.par_chunks(self.size).zip(second.par_chunks(self.size));
            let planes = target.par_chunks_mut(self.size).zip(sources).enumerate();
            planes.for_each(|(i, (target, (first, second)))| work(i % self.channels, first, second, target));
        }
        target
    }

    /// Sums over each channel of what `work(channel, plane number)` gives.
    pub(crate) fn sum(&self, work: impl Fn(usize, usize) -> f32 + Sync) -> Vec<f64> {
        (0..self.channels)
            .into_par_iter()
            .map(|c| (0..self.batch).map(|b| f64::from(work(c, b * self.channels + c))).sum())
            .collect()
    }

    /// Plane number `index` of an array.
    pub(crate) fn plane<'a>(&self, values: &'a [f32], index: usize) -> &'a [f32] {
        &values[index * self.size..(index + 1) * self.size]
    }
}

/// The sum of `term` over a plane.
pub(crate) fn sum(plane: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = plane.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += term(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|v| term(*v)).sum::<f32>()
}

/// The sum of `term` over two planes in step.
pub(crate) fn sum2(first: &[f32], second: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (first.as_chunks::<LANES>(), second.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(*a, *b);
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum::<f32>()
}

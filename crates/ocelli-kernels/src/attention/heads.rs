//! The arithmetic of attention, head by head.
//!
//! Queries pass by in blocks of rows: a block's logits, their softmax and the weighted sum of the values fit a core's
//! cache. The backward step forms the blocks a second time instead of keeping them, a third more arithmetic for
//! memory that grows with the positions and not with their square.
#![allow(unsafe_code)] // outputs are not zeroed first, and heads interleave in them

use std::ops::Range;

use burn_flex::FlexTensor;
use ocelli_simd::vectorized;

use crate::gemm::{Onto, Target, View, Way, multiply};
use crate::jobs;
use crate::memory::{SharedOutput, filled, with_scratch};
use crate::rows::{softmax_gradients, softmax_rows};

/// Numbers of a block of logits, which stay in a core's cache.
const BLOCK: usize = 64 * 1024;
/// Queries of a block at most.
const ROWS: usize = 64;
/// Queries whose contributions to the gradients of keys and values are summed by one job.
const SEGMENT: usize = 1280;

/// A tensor `[B, H, L, C]` where it lies.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    tensor: FlexTensor,
    strides: [usize; 4],
    shape: [usize; 4],
    first: usize,
}

impl Operand {
    /// Copies the tensor only if it runs backwards along a dimension.
    pub(super) fn of(tensor: FlexTensor) -> Self {
        let forwards = tensor.layout().strides().iter().all(|&stride| stride >= 0);
        let tensor = if forwards { tensor } else { tensor.to_contiguous() };
        let (layout, shape) = (tensor.layout(), tensor.layout().shape().dims());
        // An extent of 1 serves all indices.
        let strides = std::array::from_fn(|dim| match shape[dim] {
            1 => 0,
            _ => layout.strides()[dim].unsigned_abs(),
        });
        let first = layout.start_offset();
        Self { tensor, strides, shape, first }
    }

    /// Heads from number `first` on, `count` of them.
    pub(super) fn heads(&self, first: usize, count: usize) -> Self {
        let [batch, _, length, channels] = self.shape;
        let mut part = self.clone();
        part.first += first * self.strides[1];
        part.shape = [batch, count, length, channels];
        part
    }

    pub(super) fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// `[L, C]` of a head.
    fn head(&self, batch: usize, head: usize) -> View<'_> {
        let [by_batch, by_head, row, column] = self.strides;
        let values: &[f32] = self.tensor.storage();
        let first = self.first + batch * by_batch + head * by_head;
        // The stride over a single element means nothing; 1 is the one that products like best.
        let column = if self.shape[3] == 1 { 1 } else { column };
        View { values: values.get(first..).unwrap_or_default(), row, column }
    }
}

/// What is computed: operands, and what is done to the logits.
pub(super) struct Attention {
    pub(super) query: Operand,
    pub(super) key: Operand,
    pub(super) value: Operand,
    /// Added to the logits; extents of 1 serve all.
    pub(super) added: Option<Operand>,
    pub(super) scale: f32,
    /// Whether a query sees no key after its own position.
    pub(super) causal: bool,
}

/// A tensor in the making, whose heads' rows lie `pitch` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    output: SharedOutput<'a>,
    first: usize,
    length: usize,
    columns: usize,
    pitch: usize,
}

impl<'a> Rows<'a> {
    /// `heads` heads of `columns` numbers from number `first` of the rows on, for `length` positions a sample.
    pub(super) fn new(
        output: SharedOutput<'a>,
        first: usize,
        length: usize,
        columns: usize,
        pitch: usize,
    ) -> Self {
        Self { output, first, length, columns, pitch }
    }

    /// # Safety
    /// Nobody else may touch these rows of this head.
    unsafe fn target(self, [batch, head]: [usize; 2], rows: Range<usize>) -> Target<'a> {
        let first = (batch * self.length + rows.start) * self.pitch + self.first + head * self.columns;
        let size = [rows.len(), self.columns];
        // SAFETY: passed on.
        unsafe { Target::from_raw(self.output.block(first, size, self.pitch), size, self.pitch) }
    }
}

/// A head of a sample.
struct Head<'a> {
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    added: Option<View<'a>>,
    of: &'a Attention,
    channels: usize,
    features: usize,
    keys: usize,
}

impl Attention {
    fn head(&self, [batch, head]: [usize; 2]) -> Head<'_> {
        Head {
            query: self.query.head(batch, head),
            key: self.key.head(batch, head),
            value: self.value.head(batch, head),
            added: self.added.as_ref().map(|added| added.head(batch, head)),
            of: self,
            channels: self.query.shape[3],
            features: self.value.shape[3],
            keys: self.key.shape[2],
        }
    }

    fn rows(&self) -> usize {
        // A multiple of the lines of a tile.
        (BLOCK / self.key.shape[2] / 8 * 8).clamp(16, ROWS)
    }

    /// The output `[B, H, L, C]`, in memory as `[B, L, H, C]`.
    pub(super) fn forward(&self) -> Vec<f32> {
        let ([batch, heads, queries, _], [_, _, keys, features]) = (self.query.shape, self.value.shape);
        let rows = self.rows();
        let all = batch * heads;
        // A block's result is the same in any company: there are as many jobs as the threads like.
        let wanted = (4 * rayon::current_num_threads()).div_ceil(all.max(1)).max(1);
        let length = queries.div_ceil(wanted).next_multiple_of(rows);
        let jobs = all * queries.div_ceil(length.max(1));
        let work = |output: SharedOutput<'_>| {
            let rows_of = Rows::new(output, 0, queries, features, heads * features);
            let job = |index: usize| {
                let (pair, first) = (index % all, index / all * length);
                let (at, last) = ([pair / heads, pair % heads], queries.min(first + length));
                let head = self.head(at);
                with_scratch(rows * keys, |weights| {
                    for start in (first..last).step_by(rows) {
                        let block = start..last.min(start + rows);
                        // SAFETY: every block belongs to one job.
                        let target = unsafe { rows_of.target(at, block.clone()) };
                        head.forward(block, weights, target);
                    }
                });
            };
            if all * queries * keys < 16 * 1024 {
                (0..jobs).for_each(job);
            } else {
                jobs::run(jobs, job);
            }
        };
        // SAFETY: the blocks of all heads are all of the output.
        unsafe { filled(all * queries * features, work) }
    }

    /// Writes the gradients of query, key and value.
    ///
    /// # Safety
    /// The targets must have room for their operands, and nobody else may touch them.
    pub(super) unsafe fn backward(&self, output_gradient: &Operand, targets: [Rows<'_>; 3]) {
        let ([batch, heads, queries, _], keys) = (self.query.shape, self.key.shape[2]);
        let segments = queries.div_ceil(SEGMENT).max(1);
        if segments == 1 {
            let job = |pair: usize| {
                let at = [pair / heads, pair % heads];
                // SAFETY: every head belongs to one job.
                let sums = [1, 2].map(|index| unsafe { targets[index].target(at, 0..keys) });
                // SAFETY: as above.
                unsafe { self.segment(at, 0..queries, output_gradient, targets[0], sums) };
            };
            jobs::run(batch * heads, job);
            return;
        }
        // Sums of segments are added in their order. Heads pass by one after the other, which bounds the memory.
        for pair in 0..batch * heads {
            let at = [pair / heads, pair % heads];
            let columns = [1, 2].map(|index| targets[index].columns);
            let part = |segment: usize| {
                let range = segment * SEGMENT..queries.min((segment + 1) * SEGMENT);
                let mut sums = columns.map(|columns| vec![0.0; keys * columns]);
                let [key, value] = &mut sums;
                let ours = [
                    Target::new(key, [keys, columns[0]], columns[0]),
                    Target::new(value, [keys, columns[1]], columns[1]),
                ];
                // SAFETY: every segment's queries belong to one job.
                unsafe { self.segment(at, range, output_gradient, targets[0], ours) };
                sums
            };
            let parts: Vec<[Vec<f32>; 2]> = jobs::map(segments, part);
            for (index, columns) in columns.into_iter().enumerate() {
                for row in 0..keys {
                    // SAFETY: the segments are done, and touched no keys and values.
                    let target = unsafe { targets[1 + index].target(at, row..row + 1) };
                    let parts = parts.iter().map(|part| &part[index][row * columns..][..columns]);
                    target.write_sum(parts);
                }
            }
        }
    }

    /// Writes the gradient of some queries, and what they contribute to those of keys and values.
    ///
    /// # Safety
    /// Nobody else may touch the rows of these queries.
    unsafe fn segment(
        &self,
        at: [usize; 2],
        queries: Range<usize>,
        output_gradient: &Operand,
        target: Rows<'_>,
        sums: [Target<'_>; 2],
    ) {
        let (head, gradient) = (self.head(at), output_gradient.head(at[0], at[1]));
        let (rows, keys) = (self.rows(), head.keys);
        sums.iter().for_each(|sum| sum.clear());
        with_scratch(2 * rows * keys, |scratch| {
            let (weights, slopes) = scratch.split_at_mut(rows * keys);
            for start in queries.clone().step_by(rows) {
                let block = start..queries.end.min(start + rows);
                // SAFETY: by contract.
                let target = unsafe { target.target(at, block.clone()) };
                head.backward(block, gradient, [&mut *weights, &mut *slopes], target, sums);
            }
        });
    }
}

impl Head<'_> {
    /// Keys that the last of these queries, and with it all others, may see.
    fn seen(&self, queries: &Range<usize>) -> usize {
        if self.of.causal { self.keys.min(queries.end) } else { self.keys }
    }

    /// The softmax of some queries over the keys they see, `[queries, seen]`.
    fn weights(&self, queries: Range<usize>, weights: &mut [f32]) {
        let (seen, count) = (self.seen(&queries), queries.len());
        let target = Target::new(weights, [count, seen], seen);
        let query = self.query.at(queries.start, 0);
        multiply(Way::Tiles, query, self.key.transposed(), target, self.channels, Onto::Zero);
        for (query, row) in queries.zip(weights.chunks_exact_mut(seen)) {
            let visible = if self.of.causal { seen.min(query + 1) } else { seen };
            match self.added.map(|added| added.at(query, 0)) {
                Some(added) => scale_and_add(&mut row[..visible], self.of.scale, added.values, added.column),
                None => row[..visible].iter_mut().for_each(|value| *value *= self.of.scale),
            }
            softmax_rows(&mut row[..visible], visible);
            row[visible..].fill(0.0);
        }
    }

    fn forward(&self, queries: Range<usize>, weights: &mut [f32], target: Target<'_>) {
        let seen = self.seen(&queries);
        self.weights(queries, weights);
        multiply(Way::Tiles, View::rows(weights, seen), self.value, target, seen, Onto::Zero);
    }

    fn backward(
        &self,
        queries: Range<usize>,
        output_gradient: View<'_>,
        [weights, slopes]: [&mut [f32]; 2],
        target: Target<'_>,
        sums: [Target<'_>; 2],
    ) {
        let (seen, count) = (self.seen(&queries), queries.len());
        let query = self.query.at(queries.start, 0);
        let gradient = output_gradient.at(queries.start, 0);
        self.weights(queries, weights);
        let logits = Target::new(slopes, [count, seen], seen);
        multiply(Way::Tiles, gradient, self.value.transposed(), logits, self.features, Onto::Zero);
        for (slopes, weights) in slopes.chunks_exact_mut(seen).zip(weights.chunks_exact(seen)).take(count) {
            softmax_gradients(weights, slopes, weights.len());
            slopes.iter_mut().for_each(|slope| *slope *= self.of.scale);
        }
        let (weights, slopes) = (View::rows(weights, seen), View::rows(slopes, seen));
        multiply(Way::Tiles, slopes, self.key, target, seen, Onto::Zero);
        let [key, value] = sums.map(|sum| sum.first_rows(seen));
        multiply(Way::Tiles, slopes.transposed(), query, key, count, Onto::Target);
        multiply(Way::Tiles, weights.transposed(), gradient, value, count, Onto::Target);
    }
}

vectorized! {
    /// Scales a row and adds numbers that lie `stride` apart.
    fn scale_and_add(row: &mut [f32], scale: f32, added: &[f32], stride: usize) {
        if stride == 1 {
            row.iter_mut().zip(added).for_each(|(value, added)| *value = *value * scale + added);
        } else {
            row.iter_mut().enumerate().for_each(|(i, value)| *value = *value * scale + added[i * stride]);
        }
    }
}

//! Attention whose matrix is never whole in memory.
//!
//! Queries pass by in blocks of rows: a block's logits, their softmax and the weighted sum of the values fit a core's
//! cache. The backward step forms the blocks a second time instead of keeping them, a third more arithmetic for
//! memory that grows with the positions and not with their square.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use crate::product::{Left, Rows, multiply, padded, padded_rows};
use crate::softmax::{softmax_gradient, softmax_row};
use ocelli_simd::lanes::transpose;

/// Queries of a block.
const BLOCK: usize = 64;
/// Queries whose contributions to the gradients of keys and values are summed by one job.
const SEGMENT: usize = 20 * BLOCK;
/// Jobs that are given out together; bounds the memory of their sums.
const JOBS: usize = 8;

/// For every query the mean of the values, weighted by the softmax over keys of their products with it, without scaling:
/// `query [B, D, N]`, `key [B, D, M]` and `value [B, E, M]` to `[B, E, N]` (Wang et al., *Non-local Neural Networks*,
/// 2018, equation 1, embedded Gaussian).
///
/// On the CPU, 32-bit tensors take this crate's kernel, which needs memory for `N + M` positions; every other device or
/// number type takes Burn's own operations, which need it for `N M` pairs. Gradients flow to all three arguments. The
/// result is the same for any number of threads.
///
/// # Panics
/// If the shapes do not fit together, or there are no keys or no channels.
pub fn attention(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    let ([b, d, n], [keys_b, keys_d, m], [values_b, e, values_m]) = (query.dims(), key.dims(), value.dims());
    let fits = [keys_b, values_b] == [b, b] && keys_d == d && values_m == m && m * d * e > 0;
    assert!(
        fits,
        "attention: a query [{b}, {d}, {n}] with keys {:?} and values {:?}",
        key.dims(),
        value.dims()
    );
    if is_served(&query) && is_served(&key) && is_served(&value) {
        let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::attend(query, key, value));
    }
    let weights = activation::softmax(query.swap_dims(1, 2).matmul(key), 2);
    value.matmul(weights.swap_dims(1, 2))
}

/// A backend with fused [`attention`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait AttentionBackend: Backend {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// [`AttentionBackend`] with its gradients, on a backend that does not record.
pub(crate) trait AttentionKernels: AttentionBackend {
    /// Gradients of query, key and value.
    fn gradients(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

impl AttentionBackend for Flex {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = Shape::of(&query, &value);
        let [query, key, value] = [query, key, value].map(Numbers::of);
        let mut output = Vec::with_capacity(shape.batch * shape.features * shape.queries);
        for sample in 0..shape.batch {
            output.extend(Sample::new(shape, sample, &query, &key, &value).forward());
        }
        tensor(output, [shape.batch, shape.features, shape.queries])
    }
}

impl AttentionKernels for Flex {
    fn gradients(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let shape = Shape::of(&query, &value);
        let [query, key, value, gradient] = [query, key, value, output_gradient].map(Numbers::of);
        let sample = |sample| Sample::new(shape, sample, &query, &key, &value);
        let Shape { batch, channels, features, queries, keys } = shape;
        let segments = queries.div_ceil(SEGMENT);
        let mut gradients = [
            Vec::with_capacity(batch * channels * queries),
            Vec::with_capacity(batch * channels * keys),
            Vec::with_capacity(batch * features * keys),
        ];
        let together = (JOBS / segments.max(1)).max(1);
        for first in (0..batch).step_by(together) {
            let samples: Vec<Sample<'_>> = (first..batch.min(first + together)).map(sample).collect();
            let jobs = samples.len() * segments;
            let parts: Vec<Part> = (0..jobs)
                .into_par_iter()
                .map(|job| {
                    let sample = &samples[job / segments];
                    let output_gradient = shape.part(&gradient, sample.index, features * queries);
                    sample.backward(output_gradient, job % segments)
                })
                .collect();
            let mut parts = parts.into_iter();
            for sample in &samples {
                sample.collect(parts.by_ref().take(segments), &mut gradients);
            }
        }
        let [query, key, value] = gradients;
        [
            tensor(query, [batch, channels, queries]),
            tensor(key, [batch, channels, keys]),
            tensor(value, [batch, features, keys]),
        ]
    }
}

/// The extents of a call.
#[derive(Clone, Copy)]
struct Shape {
    batch: usize,
    channels: usize,
    features: usize,
    queries: usize,
    keys: usize,
}

impl Shape {
    fn of(query: &FlexTensor, value: &FlexTensor) -> Self {
        let [batch, channels, queries] = query.shape().dims();
        let [_, features, keys] = value.shape().dims();
        Self { batch, channels, features, queries, keys }
    }

    /// The numbers of a sample, of which each has `size`.
    fn part<'a>(&self, values: &'a [f32], sample: usize, size: usize) -> &'a [f32] {
        &values[sample * size..][..size]
    }
}

/// What a job of the backward step gives.
struct Part {
    /// Of its queries, `[queries, channels]`, rows padded.
    query: Vec<f32>,
    /// `[channels, keys]`, rows padded.
    key: Vec<f32>,
    /// `[features, keys]`, rows padded.
    value: Vec<f32>,
}

/// One sample of a batch, its keys and values laid out for products.
struct Sample<'a> {
    index: usize,
    shape: Shape,
    query: &'a [f32],
    /// `[channels, keys]`, rows padded.
    key: Vec<f32>,
    /// `[features, keys]`, rows padded.
    value: Vec<f32>,
    /// `[keys, channels]` and `[keys, features]`, rows padded.
    turned_key: Vec<f32>,
    turned_value: Vec<f32>,
}

impl<'a> Sample<'a> {
    fn new(shape: Shape, index: usize, query: &'a [f32], key: &[f32], value: &[f32]) -> Self {
        let Shape { channels, features, queries, keys, .. } = shape;
        let query = shape.part(query, index, channels * queries);
        let key = shape.part(key, index, channels * keys);
        let value = shape.part(value, index, features * keys);
        let turned = |source: &[f32], rows: usize| {
            let mut target = vec![0.0; keys * padded(rows)];
            transpose(source, keys, [rows, keys], &mut target, padded(rows));
            target
        };
        let (turned_key, turned_value) = (turned(key, channels), turned(value, features));
        let (key, value) = (padded_rows(key, keys), padded_rows(value, keys));
        Self { index, shape, query, key, value, turned_key, turned_value }
    }

    /// The softmax of a block of queries, `[BLOCK, keys]`, rows padded with zeros.
    fn weights(&self, first: usize, count: usize, weights: &mut [f32]) {
        let Shape { channels, queries, keys, .. } = self.shape;
        let pitch = padded(keys);
        let block = turned_block(self.query, queries, channels, first, count);
        let left = all(&block, channels, count);
        multiply(&left, Rows { values: &self.key, pitch }, weights, false);
        for row in weights.chunks_exact_mut(pitch).take(count) {
            softmax_row(&mut row[..keys]);
        }
    }

    /// The output, `[features, queries]`.
    fn forward(&self) -> Vec<f32> {
        let Shape { features, queries, keys, .. } = self.shape;
        let (wide, narrow) = (padded(keys), padded(features));
        let mut rows = vec![0.0; queries * narrow];
        let block = |(index, target): (usize, &mut [f32])| {
            let count = target.len() / narrow;
            let mut weights = vec![0.0; count * wide];
            self.weights(index * BLOCK, count, &mut weights);
            let left = Left { depth: keys, ..all(&weights, wide, count) };
            multiply(&left, Rows { values: &self.turned_value, pitch: narrow }, target, false);
        };
        rows.par_chunks_mut(BLOCK * narrow).enumerate().for_each(block);
        turned_rows(&rows, narrow, features, queries)
    }

    /// The gradients that come from a segment of the queries.
    fn backward(&self, output_gradient: &[f32], segment: usize) -> Part {
        let Shape { channels, features, queries, keys, .. } = self.shape;
        let (wide, narrow) = (padded(keys), padded(channels));
        let range = segment * SEGMENT..queries.min((segment + 1) * SEGMENT);
        let mut part = Part {
            query: vec![0.0; range.len() * narrow],
            key: vec![0.0; channels * wide],
            value: vec![0.0; features * wide],
        };
        let [mut weights, mut slopes] = [(); 2].map(|()| vec![0.0; BLOCK * wide]);
        for (target, first) in part.query.chunks_mut(BLOCK * narrow).zip(range.step_by(BLOCK)) {
            let count = target.len() / narrow;
            self.weights(first, count, &mut weights);
            let gradient = turned_block(output_gradient, queries, features, first, count);
            multiply(
                &all(&gradient, features, count),
                Rows { values: &self.value, pitch: wide },
                &mut slopes,
                false,
            );
            let rows = slopes.chunks_exact_mut(wide).zip(weights.chunks_exact(wide));
            rows.take(count).for_each(|(slopes, weights)| softmax_gradient(weights, slopes));
            let left = Left { depth: keys, ..all(&slopes, wide, count) };
            multiply(&left, Rows { values: &self.turned_key, pitch: narrow }, target, false);
            let columns = |values, rows| {
                let matrix = Rows { values, pitch: queries };
                Left { matrix, rows: 0..rows, first, depth: count }
            };
            let by_block = |values| Rows { values, pitch: wide };
            multiply(&columns(self.query, channels), by_block(&slopes), &mut part.key, true);
            multiply(&columns(output_gradient, features), by_block(&weights), &mut part.value, true);
        }
        part
    }

    /// Appends the sample's gradients of query, key and value, summed over its parts in their order.
    fn collect(&self, parts: impl Iterator<Item = Part>, gradients: &mut [Vec<f32>; 3]) {
        let Shape { channels, features, queries, keys, .. } = self.shape;
        let mut query = Vec::with_capacity(queries * padded(channels));
        let mut sums = [channels, features].map(|rows| vec![0.0; rows * padded(keys)]);
        for part in parts {
            query.extend(part.query);
            for (sum, part) in sums.iter_mut().zip([part.key, part.value]) {
                sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
        }
        gradients[0].extend(turned_rows(&query, padded(channels), channels, queries));
        for (gradient, sum) in gradients[1..].iter_mut().zip(sums) {
            sum.chunks_exact(padded(keys)).for_each(|row| gradient.extend(&row[..keys]));
        }
    }
}

/// All of the first `rows` rows of a matrix without gaps.
fn all(values: &[f32], pitch: usize, rows: usize) -> Left<'_> {
    Left { matrix: Rows { values, pitch }, rows: 0..rows, first: 0, depth: pitch }
}

/// `count` columns of `[rows, columns]` numbers from `first` on, as rows.
fn turned_block(source: &[f32], columns: usize, rows: usize, first: usize, count: usize) -> Vec<f32> {
    let mut block = vec![0.0; count * rows];
    transpose(&source[first..], columns, [rows, count], &mut block, rows);
    block
}

/// `rows` rows that lie `pitch` apart, `columns` numbers of each, as `[columns, rows]`.
fn turned_rows(source: &[f32], pitch: usize, columns: usize, rows: usize) -> Vec<f32> {
    let mut turned = vec![0.0; columns * rows];
    transpose(source, pitch, [rows, columns], &mut turned, rows);
    turned
}

impl<B: AttentionKernels, C: CheckpointStrategy> AttentionBackend for Autodiff<B, C> {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let prepared = AttentionStep.prepare::<C>([query.node(), key.node(), value.node()]);
        let [q, k, v] = [&query, &key, &value].map(|tensor| tensor.primitive().clone());
        let output = B::attend(q, k, v);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [&query, &key, &value].map(|tensor| prep.checkpoint(tensor));
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are query, key and value.
#[derive(Debug)]
struct AttentionStep;

impl<B: AttentionKernels> Backward<B, 3> for AttentionStep {
    /// Nodes of query, key and value.
    type State = [NodeId; 3];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let [query, key, value] =
            ops.state.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let gradients = B::gradients(query, key, value, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

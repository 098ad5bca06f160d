//! Normalisation of every sample by itself: layer, group, instance and root-mean-square normalisation.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use ocelli_simd::vectorized;

use super::values::row_sum;
use super::{Lines, Rows, rewrite};
use crate::backend::{Numbers, is_served};
use crate::memory::tensor;

/// Normalises `x` over its last `dims` dimensions by their mean and biased variance, then scales and shifts each number by
/// its own of `affine`, both as long as the normalised dimensions together (Ba et al., *Layer Normalization*, 2016,
/// equation 4). `epsilon` is added to the variance under the root.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own operations.
/// Gradients flow to `x` and `affine`.
///
/// # Panics
/// If there are fewer dimensions, or not as many scales and shifts as numbers.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    dims: usize,
    affine: Option<[Tensor<1>; 2]>,
    epsilon: f64,
) -> Tensor<D> {
    let rule = Rule::over_last(&x.dims(), dims, true, epsilon);
    let affine = affine.unwrap_or_else(|| plain(&x, rule.scales));
    level(x, affine, rule)
}

/// Divides `x` by the root mean square over its last `dims` dimensions, then scales each number by its own of `scale` (Zhang
/// and Sennrich, *Root Mean Square Layer Normalization*, 2019, equation 4). `epsilon` is added to the mean square.
///
/// # Panics
/// As [`layer_norm`].
pub fn rms_norm<const D: usize>(
    x: Tensor<D>,
    dims: usize,
    scale: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<D> {
    let rule = Rule::over_last(&x.dims(), dims, false, epsilon);
    let [ones, zeros] = plain(&x, rule.scales);
    level(x, [scale.unwrap_or(ones), zeros], rule)
}

/// Normalises `x` `[B, C, ...]` over each of `groups` runs of channels, sample by sample, then scales and shifts each channel
/// by its own of `affine`, `[C]` both (Wu and He, *Group Normalization*, 2018, equation 7). `epsilon` is added to the variance.
///
/// # Panics
/// If the groups do not divide the channels, or there are not as many scales and shifts as channels.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    groups: usize,
    affine: Option<[Tensor<1>; 2]>,
    epsilon: f64,
) -> Tensor<D> {
    assert!(D >= 2, "group_norm: an input [B, C, ...] is needed, found {D} dimensions");
    let dims = x.dims();
    let channels = dims[1];
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {groups} groups of {channels} channels"
    );
    let size: usize = dims[2..].iter().product();
    let rule = Rule {
        rows: dims[0] * groups,
        len: channels / groups * size,
        scales: channels,
        run: size,
        is_centred: true,
        epsilon,
    };
    let affine = affine.unwrap_or_else(|| plain(&x, channels));
    level(x, affine, rule)
}

/// Normalises every plane of `x` `[B, C, ...]` by itself (Ulyanov et al., *Instance Normalization*, 2016, equation 2):
/// [`group_norm`] with a group a channel.
///
/// # Panics
/// As [`group_norm`].
pub fn instance_norm<const D: usize>(
    x: Tensor<D>,
    affine: Option<[Tensor<1>; 2]>,
    epsilon: f64,
) -> Tensor<D> {
    assert!(D >= 2, "instance_norm: an input [B, C, ...] is needed, found {D} dimensions");
    let channels = x.dims()[1];
    if channels == 0 { x } else { group_norm(x, channels, affine, epsilon) }
}

/// Scales of 1 and shifts of 0.
fn plain<const D: usize>(x: &Tensor<D>, count: usize) -> [Tensor<1>; 2] {
    let device = x.device().without_autodiff();
    [Tensor::ones([count], (&device, x.dtype())), Tensor::zeros([count], (&device, x.dtype()))]
}

/// What is normalised together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Rows of neighbouring numbers that are normalised each by itself.
    rows: usize,
    len: usize,
    /// Scales, and shifts; after the last the first comes again.
    scales: usize,
    /// Neighbours that a scale holds for.
    run: usize,
    /// Whether the mean is subtracted.
    is_centred: bool,
    epsilon: f64,
}

impl Rule {
    fn over_last(shape: &[usize], dims: usize, is_centred: bool, epsilon: f64) -> Self {
        assert!(
            (1..=shape.len()).contains(&dims),
            "a normalisation over {dims} dimensions of {}",
            shape.len()
        );
        let (before, last) = shape.split_at(shape.len() - dims);
        let len = last.iter().product();
        Self { rows: before.iter().product(), len, scales: len, run: 1, is_centred, epsilon }
    }

    /// Numbers of a run.
    #[inline(always)]
    fn step(&self) -> usize {
        if self.run == 1 { self.len } else { self.run }
    }

    /// The runs of a row: the first scale, and the run's place in the row. Where each number has its own scale, they are
    /// one run.
    #[inline(always)]
    fn runs(&self, row: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let (run, scales, step) = (self.run, self.scales, self.step());
        let first = row * self.len / run.max(1);
        let len = self.len;
        (0..len).step_by(step.max(1)).map(move |at| ((first + at / run) % scales, at..at + step))
    }
}

fn level<const D: usize>(x: Tensor<D>, [scale, shift]: [Tensor<1>; 2], rule: Rule) -> Tensor<D> {
    let found = [scale.dims()[0], shift.dims()[0]];
    assert!(
        found == [rule.scales; 2],
        "a normalisation with {} scales and {} shifts for {}",
        found[0],
        found[1],
        rule.scales
    );
    if rule.rows * rule.len == 0 {
        return x;
    }
    if is_served(&x) && is_served(&scale) && is_served(&shift) {
        let [x, scale, shift] = [x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch()];
        let (output, _) = Dispatch::level_rows(x, scale, shift, Arc::new(rule));
        return Tensor::from_dispatch(output);
    }
    let shape = x.dims();
    let rows = x.reshape([rule.rows, rule.len]);
    let rows = if rule.is_centred { rows.clone() - rows.mean_dim(1) } else { rows };
    let variance = rows.clone().square().mean_dim(1).add_scalar(rule.epsilon);
    // Over all scales side by side, each for its run.
    let outer = rule.rows * rule.len / (rule.scales * rule.run);
    let normal = (rows / variance.sqrt()).reshape([outer, rule.scales, rule.run]);
    let over = |affine: Tensor<1>| affine.reshape([1, rule.scales, 1]);
    (normal * over(scale) + over(shift)).reshape(shape)
}

/// A backend with normalisations of rows.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait LevelBackend: Backend {
    /// The output, and of every row mean and reciprocal deviation.
    fn level_rows(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        rule: Arc<Rule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// [`LevelBackend`] with its gradients, on a backend that does not record.
pub(crate) trait LevelKernels: LevelBackend {
    /// Gradients of input, scale and shift.
    fn gradients(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        rule: &Rule,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

impl LevelBackend for Flex {
    fn level_rows(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        rule: Arc<Rule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let affine = [scale, shift].map(Numbers::of);
        let affine: [&[f32]; 2] = [&affine[0], &affine[1]];
        let lines = Lines::rows(rule.rows, rule.len);
        let work = |statistics: &mut Vec<f32>, rows: Rows<'_, 0>| normalize(&rule, rows, affine, statistics);
        let (output, statistics) = rewrite(x, [], lines, Vec::new, work);
        (output, tensor(statistics.concat(), [2 * rule.rows]))
    }
}

/// Sums over rows for the gradients of scales and shifts.
struct AffineSums {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl LevelKernels for Flex {
    fn gradients(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        rule: &Rule,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let [x, scale, statistics] = [x, scale, statistics].map(Numbers::of);
        let lines = Lines::rows(rule.rows, rule.len);
        let sums = || AffineSums { scale: vec![0.0; rule.scales], shift: vec![0.0; rule.scales] };
        let work =
            |sums: &mut AffineSums, rows: Rows<'_, 1>| pull_back(rule, rows, &scale, &statistics, sums);
        let (gradient, sums) = rewrite(output_gradient, [&x], lines, sums, work);
        let total = |part: fn(&AffineSums) -> &[f32]| {
            let mut total = vec![0.0_f64; rule.scales];
            for sums in &sums {
                total.iter_mut().zip(part(sums)).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            tensor(total.into_iter().map(|sum| sum as f32).collect(), [rule.scales])
        };
        [gradient, total(|sums| &sums.scale), total(|sums| &sums.shift)]
    }
}

impl<B: LevelKernels, C: CheckpointStrategy> LevelBackend for Autodiff<B, C> {
    fn level_rows(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        rule: Arc<Rule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = LevelStep.prepare::<C>([x.node(), scale.node(), shift.node()]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [prep.checkpoint(&x), prep.checkpoint(&scale)];
                let [x, scale, shift] = [x, scale, shift].map(|tensor| tensor.into_primitive());
                let (output, statistics) = B::level_rows(x, scale, shift, rule.clone());
                let constant = Self::from_inner(statistics.clone());
                (prep.finish(SavedRows { nodes, statistics, rule }, output), constant)
            }
            OpsKind::UnTracked(prep) => {
                let [x, scale, shift] = [x, scale, shift].map(|tensor| tensor.into_primitive());
                let (output, statistics) = B::level_rows(x, scale, shift, rule);
                (prep.finish(output), Self::from_inner(statistics))
            }
        }
    }
}

/// The backward step; its parents are input, scale and shift.
#[derive(Debug)]
struct LevelStep;

/// What the backward step needs from the forward one.
#[derive(Clone, Debug)]
struct SavedRows<T> {
    /// Of input and scale.
    nodes: [NodeId; 2],
    /// Of every row mean and reciprocal deviation.
    statistics: T,
    rule: Arc<Rule>,
}

impl<B: LevelKernels> Backward<B, 3> for LevelStep {
    type State = SavedRows<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let SavedRows { nodes, statistics, rule } = ops.state;
        let [x, scale] = nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let gradients = B::gradients(x, scale, statistics, &rule, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

vectorized! {
    /// Normalises rows, scales and shifts them, and appends mean and reciprocal deviation of each.
    ///
    /// The variance is summed from centred values: the difference of the mean square and the squared mean would lose
    /// its digits.
    fn normalize<M>(rule: &Rule, rows: Rows<'_, 0>, affine: [&[f32]; 2], statistics: &mut Vec<f32>) {
        let [scales, shifts] = affine;
        let Rows { first, values, .. } = rows;
        for (row, values) in values.rows(rule.len).enumerate() {
            let (count, source) = (rule.len as f64, values.source());
            let mean = match rule.is_centred {
                true => (row_sum([source], [0.0], |sum, [x]| sum + x) / count) as f32,
                false => 0.0,
            };
            let squares = row_sum([source], [mean], |sum, [x]| M::mul_add(x - mean, x - mean, sum));
            let steepness = (squares / count + rule.epsilon).sqrt().recip() as f32;
            statistics.extend([mean, steepness]);
            for ((scale, _), values) in rule.runs(first + row).zip(values.rows(rule.step())) {
                if rule.run == 1 {
                    values.write([&scales[scale..], &shifts[scale..]], |x, [scale, shift]| {
                        M::mul_add((x - mean) * steepness, scale, shift)
                    });
                } else {
                    let (scale, shift) = (steepness * scales[scale], shifts[scale]);
                    values.write([], |x, []| M::mul_add(x - mean, scale, shift));
                }
            }
        }
    }
}

vectorized! {
    /// Makes the gradients of rows of those of the output, and adds up those of scales and shifts.
    ///
    /// With g the output's gradient times the scale and x̂ the normalised row, that is `(g - mean(g) - x̂ mean(g x̂)) / σ`.
    fn pull_back<M>(rule: &Rule, rows: Rows<'_, 1>, scales: &[f32], statistics: &[f32], sums: &mut AffineSums) {
        let Rows { first, values, others: [x] } = rows;
        for (row, (gradient, x)) in values.rows(rule.len).zip(x.chunks_exact(rule.len)).enumerate() {
            let (mean, steepness) = (statistics[2 * (first + row)], statistics[2 * (first + row) + 1]);
            let (mut plain, mut centred) = (0.0_f64, 0.0_f64);
            for (scale, run) in rule.runs(first + row) {
                let (gradient, x) = (&gradient.source()[run.clone()], &x[run]);
                if rule.run == 1 {
                    let scales = &scales[scale..][..x.len()];
                    plain += row_sum([gradient, scales], [0.0; 2], |sum, [g, scale]| M::mul_add(g, scale, sum));
                    centred += row_sum([gradient, scales, x], [0.0; 3], |sum, [g, scale, x]| {
                        M::mul_add(g * scale, x - mean, sum)
                    });
                    let own = sums.scale[scale..].iter_mut().zip(&mut sums.shift[scale..]);
                    for ((scale, shift), (gradient, x)) in own.zip(gradient.iter().zip(x)) {
                        *scale = M::mul_add(*gradient, (x - mean) * steepness, *scale);
                        *shift += gradient;
                    }
                } else {
                    let sum = row_sum([gradient], [0.0], |sum, [g]| sum + g);
                    let weighted = row_sum([gradient, x], [0.0; 2], |sum, [g, x]| M::mul_add(g, x - mean, sum));
                    sums.shift[scale] += sum as f32;
                    sums.scale[scale] += (weighted * f64::from(steepness)) as f32;
                    plain += sum * f64::from(scales[scale]);
                    centred += weighted * f64::from(scales[scale]);
                }
            }
            let (count, steep) = (rule.len as f64, f64::from(steepness));
            let slope = (centred * steep * steep * steep / count) as f32;
            let shift = if rule.is_centred { (plain * steep / count) as f32 } else { 0.0 };
            for ((scale, run), gradient) in rule.runs(first + row).zip(gradient.rows(rule.step())) {
                let x = &x[run];
                if rule.run == 1 {
                    gradient.write([x, &scales[scale..]], |gradient, [x, scale]| {
                        M::mul_add(gradient, steepness * scale, M::mul_add(mean - x, slope, -shift))
                    });
                } else {
                    let scale = steepness * scales[scale];
                    gradient.write([x], |gradient, [x]| {
                        M::mul_add(gradient, scale, M::mul_add(mean - x, slope, -shift))
                    });
                }
            }
        }
    }
}

//! Softmax cross entropy against labels, with its gradient.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Int, Tensor, TensorData, activation};
use burn_flex::FlexTensor;
use ocelli_simd::vectorized;

use super::values::{largest, log_sum, row_sum};
use super::{Lines, Rows, Values, rewrite, visit};
use crate::backend::{Numbers, is_served};
use crate::memory::tensor;

/// What becomes of the losses of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean, weighted by the weights of their classes: `[1]`.
    #[default]
    Mean,
    /// Their sum: `[1]`.
    Sum,
    /// All of them: `[B]`.
    None,
}

/// How a [`cross_entropy`] is formed, as in `torch.nn.functional.cross_entropy`.
#[derive(Clone, Debug, Default)]
pub struct CrossEntropy {
    /// Share of the target that is spread evenly over all classes, from 0 to 1 (Szegedy et al., *Rethinking the Inception
    /// Architecture*, 2016, section 7).
    pub label_smoothing: f64,
    /// What becomes of the losses.
    pub reduction: Reduction,
    /// Samples of this label count for nothing.
    pub ignore_index: Option<i64>,
    /// Weights of the classes, one each; without, all weigh 1.
    pub weights: Option<Vec<f32>>,
}

/// Softmax cross entropy of `logits` `[B, C]` against `labels` `[B]`, each from 0 to `C - 1`: `[1]`, or `[B]` without reduction.
///
/// The mean over no samples is NaN. On the CPU, 32-bit tensors take this crate's kernel, which visits each row once, and
/// writes the gradient, if one will be wanted, in place of logits that nobody else holds. Every other device or number
/// type takes Burn's own operations.
///
/// # Panics
/// If there is not one label a row, a label names no class, or there is not one weight a class.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, how: &CrossEntropy) -> Tensor<1> {
    let ([rows, classes], [found]) = (logits.dims(), labels.dims());
    assert!(rows == found, "cross_entropy: {found} labels for {rows} rows of logits");
    let labels: Vec<i64> = labels.into_data().iter::<i64>().collect();
    let targets = Targets::new(&labels, classes, how);
    let each = how.reduction == Reduction::None;
    if is_served(&logits) {
        return Tensor::from_dispatch(Dispatch::lose(logits.into_dispatch(), Arc::new(targets), each));
    }
    targets.framework(logits, each)
}

/// What each row's loss is made of: `-own log p(label) - spread Σ weights log p`.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    rows: Vec<Target>,
    /// Weights of the classes, where they are not all 1.
    weights: Option<Vec<f32>>,
    /// Sum of the weights.
    total: f32,
}

/// A row's part in the loss.
#[derive(Clone, Copy, Debug)]
struct Target {
    label: usize,
    own: f32,
    spread: f32,
}

impl Targets {
    fn new(labels: &[i64], classes: usize, how: &CrossEntropy) -> Self {
        if let Some(weights) = &how.weights {
            assert!(
                weights.len() == classes,
                "cross_entropy: {} weights for {classes} classes",
                weights.len()
            );
        }
        let weight = |label: usize| how.weights.as_ref().map_or(1.0, |weights| f64::from(weights[label]));
        let class = |(row, &label): (usize, &i64)| {
            if how.ignore_index == Some(label) {
                return None;
            }
            let class = usize::try_from(label).ok().filter(|&class| class < classes);
            assert!(
                class.is_some(),
                "cross_entropy: label {label} of row {row} is none of {classes} classes"
            );
            class
        };
        let labels: Vec<Option<usize>> = labels.iter().enumerate().map(class).collect();
        let scale = match how.reduction {
            Reduction::Mean => 1.0 / labels.iter().flatten().map(|&label| weight(label)).sum::<f64>(),
            Reduction::Sum | Reduction::None => 1.0,
        };
        let spread = how.label_smoothing / classes.max(1) as f64;
        let target = |label: Option<usize>| match label {
            Some(label) => Target {
                label,
                own: ((1.0 - how.label_smoothing) * weight(label) * scale) as f32,
                spread: (spread * scale) as f32,
            },
            // Times a mean over nothing, what counts for nothing is no number either.
            None => Target { label: 0, own: if scale.is_finite() { 0.0 } else { f32::NAN }, spread: 0.0 },
        };
        Self {
            rows: labels.into_iter().map(target).collect(),
            total: (0..classes).map(weight).sum::<f64>() as f32,
            weights: how.weights.clone(),
        }
    }

    /// Sum of a row's logits, each times its class's weight.
    #[inline(always)]
    fn weighted_sum(&self, row: &[f32]) -> f32 {
        match &self.weights {
            Some(weights) => {
                row_sum([row, weights], [0.0; 2], |sum, [value, weight]| sum + value * weight) as f32
            }
            None => row_sum([row], [0.0], |sum, [value]| sum + value) as f32,
        }
    }

    /// The loss of a row, given its logits' logarithmic sum of exponentials.
    #[inline(always)]
    fn loss(&self, target: Target, row: &[f32], log_sum: f32) -> f32 {
        let own = target.own * (log_sum - row[target.label]);
        if target.spread == 0.0 {
            return own;
        }
        own + target.spread * (self.total * log_sum - self.weighted_sum(row))
    }

    /// The loss by the framework's own operations.
    fn framework(&self, logits: Tensor<2>, each: bool) -> Tensor<1> {
        let ([rows, classes], device) = (logits.dims(), logits.device().without_autodiff());
        let options = (&device, logits.dtype());
        let column = |part: fn(&Target) -> f32| {
            let values: Vec<f32> = self.rows.iter().map(part).collect();
            Tensor::<2>::from_data(TensorData::new(values, [rows, 1]), options)
        };
        let labels: Vec<i64> = self.rows.iter().map(|target| target.label as i64).collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [rows, 1]), &device);
        let weights = self.weights.clone().unwrap_or_else(|| vec![1.0; classes]);
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [1, classes]), options);
        let logarithms = activation::log_softmax(logits, 1);
        let own = logarithms.clone().gather(1, labels) * column(|target| target.own);
        let spread = (logarithms * weights).sum_dim(1) * column(|target| target.spread);
        let losses = (own + spread).neg().reshape([rows]);
        if each { losses } else { losses.sum() }
    }
}

/// A backend with [`cross_entropy`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait LossBackend: Backend {
    /// Every row's loss, or their sum.
    fn lose(logits: FloatTensor<Self>, targets: Arc<Targets>, each: bool) -> FloatTensor<Self>;
}

/// [`LossBackend`] with its gradient, on a backend that does not record.
pub(crate) trait LossKernels: LossBackend {
    /// The loss, and the gradient of the logits for a loss's gradient of 1.
    fn lose_and_slope(logits: FloatTensor<Self>, targets: Arc<Targets>, each: bool)
    -> [FloatTensor<Self>; 2];

    /// `slopes`, each row times its loss's gradient.
    fn steepen(slopes: FloatTensor<Self>, loss_gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Every loss, or their sum.
fn reduced(losses: Vec<Vec<f32>>, each: bool) -> FlexTensor {
    let losses = losses.into_iter().flatten();
    if each {
        let losses: Vec<f32> = losses.collect();
        let rows = losses.len();
        return tensor(losses, [rows]);
    }
    tensor(vec![losses.map(f64::from).sum::<f64>() as f32], [1])
}

fn lines(logits: &FlexTensor) -> Lines {
    let [rows, classes] = logits.shape().dims();
    Lines::rows(rows, classes)
}

impl LossBackend for Flex {
    fn lose(logits: FloatTensor<Self>, targets: Arc<Targets>, each: bool) -> FloatTensor<Self> {
        let lines = lines(&logits);
        let logits = Numbers::of(logits);
        let work = |losses: &mut Vec<f32>, first: usize, rows: &[f32]| {
            row_losses(&targets, first, rows, lines.len, losses);
        };
        reduced(visit(&logits, lines, Vec::new, work), each)
    }
}

impl LossKernels for Flex {
    fn lose_and_slope(
        logits: FloatTensor<Self>,
        targets: Arc<Targets>,
        each: bool,
    ) -> [FloatTensor<Self>; 2] {
        let lines = lines(&logits);
        let work = |losses: &mut Vec<f32>, rows: Rows<'_, 0>| {
            row_slopes(&targets, rows.first, rows.values, lines.len, losses);
        };
        let (slopes, losses) = rewrite(logits, [], lines, Vec::new, work);
        [reduced(losses, each), slopes]
    }

    fn steepen(slopes: FloatTensor<Self>, loss_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let lines = lines(&slopes);
        let gradient = Numbers::of(loss_gradient);
        if gradient.iter().all(|&gradient| gradient == 1.0) {
            return slopes;
        }
        let work = |_: &mut (), rows: Rows<'_, 0>| {
            for (row, values) in rows.values.rows(lines.len).enumerate() {
                // One gradient for all, or one a row.
                let gradient = gradient[(rows.first + row) % gradient.len()];
                values.write([], |value, []| value * gradient);
            }
        };
        rewrite(slopes, [], lines, || (), work).0
    }
}

impl<B: LossKernels, C: CheckpointStrategy> LossBackend for Autodiff<B, C> {
    fn lose(logits: FloatTensor<Self>, targets: Arc<Targets>, each: bool) -> FloatTensor<Self> {
        let prepared = LossStep.prepare::<C>([logits.node()]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let [loss, slopes] = B::lose_and_slope(logits.into_primitive(), targets, each);
                prep.finish(slopes, loss)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::lose(logits.into_primitive(), targets, each)),
        }
    }
}

/// The backward step.
#[derive(Debug)]
struct LossStep;

impl<B: LossKernels> Backward<B, 1> for LossStep {
    /// The gradient of the logits for a loss's gradient of 1.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let loss_gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::steepen(ops.state, loss_gradient));
        }
    }
}

vectorized! {
    /// Appends the losses of rows from `first` on.
    fn row_losses<M>(targets: &Targets, first: usize, rows: &[f32], len: usize, losses: &mut Vec<f32>) {
        for (row, &target) in rows.chunks_exact(len.max(1)).zip(&targets.rows[first..]) {
            losses.push(targets.loss(target, row, log_sum::<M>(row)));
        }
    }
}

vectorized! {
    /// Makes slopes of rows of logits from `first` on, and appends their losses.
    fn row_slopes<M>(targets: &Targets, first: usize, rows: Values<'_>, len: usize, losses: &mut Vec<f32>) {
        for (row, &target) in rows.rows(len).zip(&targets.rows[first..]) {
            let Target { label, own, spread } = target;
            let logits = row.source();
            let (largest, logit) = (largest(logits), logits[label]);
            let weighted = if spread == 0.0 { 0.0 } else { targets.weighted_sum(logits) };
            let (row, sum) = row.exponentials::<M>(largest);
            let log_sum = largest + sum.ln() as f32;
            let smoothed = spread * (targets.total * log_sum - weighted);
            losses.push(own * (log_sum - logit) + if spread == 0.0 { 0.0 } else { smoothed });
            // Shares of the probabilities, less what each class ought to have.
            let factor = (f64::from(own + spread * targets.total) / sum) as f32;
            match &targets.weights {
                Some(weights) if spread != 0.0 => {
                    for (value, weight) in row.iter_mut().zip(weights) {
                        *value = *value * factor - spread * weight;
                    }
                }
                _ => row.iter_mut().for_each(|value| *value = *value * factor - spread),
            }
            row[label] -= own;
        }
    }
}

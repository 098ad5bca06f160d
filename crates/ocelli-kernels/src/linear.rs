//! Linear layers: a product with a transposed matrix, plus a bias, with gradients.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use crate::backend::{Numbers, is_served};
use crate::gemm::batch::Products;
use crate::jobs;
use crate::matmul::Stack;
use crate::memory::tensor;
use ocelli_simd::vectorized;

/// `x Wᵀ + b` over the last dimension (`torch.nn.functional.linear`): `x [..., I]`, `weight [O, I]` and `bias [O]` to
/// `[..., O]`.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own operations.
/// Gradients flow to all arguments. The result is the same for any number of threads.
///
/// # Panics
/// If the shapes do not fit together, or `x` has no dimension.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let (mut shape, [outputs, inputs]) = (x.dims(), weight.dims());
    let biases = bias.as_ref().map(|bias| bias.dims()[0]);
    assert!(
        D >= 1 && shape[D - 1] == inputs && biases.is_none_or(|count| count == outputs),
        "linear: x {shape:?} with a weight [{outputs}, {inputs}] and a bias of {biases:?}"
    );
    let rows: usize = shape[..D - 1].iter().product();
    let x = x.reshape([rows, inputs]);
    shape[D - 1] = outputs;
    if !is_served(&x) || !is_served(&weight) || !bias.as_ref().is_none_or(is_served) {
        let product = x.matmul(weight.transpose());
        let sum = match bias {
            Some(bias) => product + bias.unsqueeze(),
            None => product,
        };
        return sum.reshape(shape);
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    let y = match bias {
        Some(bias) => Dispatch::map_biased(x, weight, bias.into_dispatch()),
        None => Dispatch::map(x, weight),
    };
    Tensor::<2>::from_dispatch(y).reshape(shape)
}

/// A backend with [`linear`] maps of rows.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait LinearBackend: Backend {
    /// `x` `[R, I]` and `weight` `[O, I]` to `[R, O]`.
    fn map(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// [`LinearBackend::map`] plus a bias `[O]`.
    fn map_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// [`LinearBackend`] with its gradients, on a backend that does not record.
pub(crate) trait LinearKernels: LinearBackend {
    /// Gradient of `x`.
    fn input_gradient(weight: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of `weight`.
    fn weight_gradient(x: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of the bias.
    fn bias_gradient(output_gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The product of two matrices, plus a row.
fn product(left: &Stack, right: &Stack, bias: Option<&[f32]>) -> burn_flex::FlexTensor {
    let ([m, k], [_, n]) = (left.size(), right.size());
    tensor(Products::one(left.view(), right.view(), [m, n, k], bias).run(None), [m, n])
}

impl LinearBackend for Flex {
    fn map(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        product(&Stack::of(x), &Stack::of(weight).transposed(), None)
    }

    fn map_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        product(&Stack::of(x), &Stack::of(weight).transposed(), Some(&Numbers::of(bias)))
    }
}

impl LinearKernels for Flex {
    fn input_gradient(weight: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        product(&Stack::of(output_gradient), &Stack::of(weight), None)
    }

    fn weight_gradient(x: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        product(&Stack::of(output_gradient).transposed(), &Stack::of(x), None)
    }

    fn bias_gradient(output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let [_, columns] = output_gradient.layout().shape().dims();
        tensor(sum_rows(&Numbers::of(output_gradient), columns), [columns])
    }
}

/// The sum of rows of `columns` numbers without gaps.
pub(crate) fn sum_rows(values: &[f32], columns: usize) -> Vec<f32> {
    /// Numbers that are summed by one job.
    const JOB: usize = 128 * 1024;
    if columns == 0 {
        return Vec::new();
    }
    let job = columns * (JOB / columns).max(1);
    let part = |rows: &[f32]| {
        let mut sums = vec![0.0; columns];
        add_rows(rows, &mut sums);
        sums
    };
    if values.len() <= job {
        return part(values);
    }
    let jobs: Vec<&[f32]> = values.chunks(job).collect();
    let parts = jobs::map(jobs.len(), |index| part(jobs[index]));
    let mut sums = vec![0.0; columns];
    parts.iter().for_each(|part| add_rows(part, &mut sums));
    sums
}

vectorized! {
    /// Adds rows to their sums.
    fn add_rows(rows: &[f32], sums: &mut [f32]) {
        // Eight rows in one visit to the sums.
        let mut eights = rows.chunks_exact(8 * sums.len());
        for eight in &mut eights {
            let n = sums.len();
            let [a, b, c, d, e, f, g, h] = std::array::from_fn(|i| &eight[i * n..(i + 1) * n]);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += ((a[i] + b[i]) + (c[i] + d[i])) + ((e[i] + f[i]) + (g[i] + h[i]));
            }
        }
        for row in eights.remainder().chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
}

impl<B: LinearKernels, C: CheckpointStrategy> LinearBackend for Autodiff<B, C> {
    fn map(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = LinearStep.prepare::<C>([x.node(), weight.node()]);
        let output = B::map(x.primitive().clone(), weight.primitive().clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&weight)];
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn map_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let prepared = LinearStep.prepare::<C>([x.node(), weight.node(), bias.node()]);
        let [rows, matrix, offset] = [&x, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = B::map_biased(rows, matrix, offset);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x), prep.checkpoint(&weight)];
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are `x`, the weight and perhaps the bias.
#[derive(Debug)]
struct LinearStep;

impl<B: LinearKernels, const PARENTS: usize> Backward<B, PARENTS> for LinearStep {
    /// Nodes of `x` and the weight.
    type State = [NodeId; 2];

    fn backward(
        self,
        ops: Ops<Self::State, PARENTS>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.state.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let parent = |index: usize| ops.parents.get(index).and_then(Option::as_ref).map(|node| node.id);
        if let Some(node) = parent(0) {
            grads.register::<B>(node, B::input_gradient(weight, gradient.clone()));
        }
        if let Some(node) = parent(1) {
            grads.register::<B>(node, B::weight_gradient(x, gradient.clone()));
        }
        if let Some(node) = parent(2) {
            grads.register::<B>(node, B::bias_gradient(gradient));
        }
    }
}

//! The operations on the backend, with their gradients.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn_flex::FlexTensor;

use super::{Gate, Tail, channels, columns};
use crate::backend::Numbers;
use crate::columns::SMALL;
use crate::memory::tensor;
use crate::planes::Planes;

/// Where mean and variance come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// From the input, and so they pass gradients on.
    OfBatch,
    /// From elsewhere.
    Given,
}

/// A backend with fused batch normalisation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait NormBackend: Backend {
    /// Output, mean and biased variance.
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        relu: bool,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The positive part of the sum with a shortcut, mean and biased variance.
    fn normalize_sum(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Output by given statistics, through which no gradient flows.
    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

/// What the backward step needs from the forward one; of `x`, `gamma` and `beta` a node or the tensor itself.
#[derive(Clone, Debug)]
pub(crate) struct Saved<T, N> {
    sources: [N; 3],
    mean: T,
    variance: T,
    /// The output, where its signs are the gate.
    output: Option<T>,
    relu: bool,
    statistics: Statistics,
    epsilon: f64,
}

/// [`NormBackend`] with its gradients, on a backend that does not record.
pub(crate) trait NormKernels: NormBackend {
    /// Gradients of `x`, `gamma` and `beta`, and of the shortcut where there was one.
    fn gradients(
        saved: Saved<FloatTensor<Self>, FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> ([FloatTensor<Self>; 3], Option<FloatTensor<Self>>);
}

impl NormBackend for Flex {
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        relu: bool,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        normalize_with(x, [gamma, beta], if relu { Tail::Relu } else { Tail::Plain }, epsilon)
    }

    fn normalize_sum(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        normalize_with(x, [gamma, beta], Tail::AddRelu(&Numbers::of(shortcut)), epsilon)
    }

    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, gamma, beta, mean, variance] = [x, gamma, beta, mean, variance].map(Numbers::of);
        let (tail, given) = (Tail::Plain, Some([&*mean, &*variance]));
        let job = Forward { planes, x: &x, gamma: &gamma, beta: &beta, tail, given, epsilon };
        tensor(job.run().0, shape)
    }
}

/// Output, mean and biased variance.
fn normalize_with(
    x: FlexTensor,
    affine: [FlexTensor; 2],
    tail: Tail<'_>,
    epsilon: f64,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let shape = x.shape();
    let planes = Planes::of(&shape);
    let (x, [gamma, beta]) = (Numbers::of(x), affine.map(Numbers::of));
    let job = Forward { planes, x: &x, gamma: &gamma, beta: &beta, tail, given: None, epsilon };
    let (output, statistics) = job.run();
    let (mean, variance): (Vec<f32>, Vec<f32>) = statistics.into_iter().unzip();
    (tensor(output, shape), tensor(mean, [planes.channels]), tensor(variance, [planes.channels]))
}

/// A forward step.
#[derive(Clone, Copy)]
pub(super) struct Forward<'a> {
    pub(super) planes: Planes,
    pub(super) x: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) beta: &'a [f32],
    pub(super) tail: Tail<'a>,
    /// Mean and variance, unless they are the batch's.
    pub(super) given: Option<[&'a [f32]; 2]>,
    pub(super) epsilon: f64,
}

impl Forward<'_> {
    /// The output, and mean and variance of every channel.
    fn run(&self) -> (Vec<f32>, Vec<(f32, f32)>) {
        if self.planes.size < SMALL { columns::normalize(self) } else { channels::normalize(self) }
    }
}

/// A backward step.
#[derive(Clone, Copy)]
pub(super) struct Backwards<'a> {
    pub(super) planes: Planes,
    pub(super) x: &'a [f32],
    pub(super) gradient: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) beta: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
    pub(super) gate: Gate<'a>,
    pub(super) statistics: Statistics,
    pub(super) epsilon: f64,
}

/// What a backward step gives.
pub(super) struct NormGradients {
    pub(super) x: Vec<f32>,
    /// Of scale and shift of every channel.
    pub(super) affine: Vec<[f32; 2]>,
    /// The gradients that passed the gate, where the gate is the output's.
    pub(super) shortcut: Option<Vec<f32>>,
}

impl NormKernels for Flex {
    fn gradients(
        saved: Saved<FloatTensor<Self>, FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> ([FloatTensor<Self>; 3], Option<FloatTensor<Self>>) {
        let Saved { sources: [x, gamma, beta], mean, variance, output, relu, statistics, epsilon } = saved;
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, gamma, beta, gradient] = [x, gamma, beta, output_gradient].map(Numbers::of);
        let [mean, variance] = [mean, variance].map(Numbers::of);
        let output = output.map(Numbers::of);
        let gate = match &output {
            Some(output) => Gate::Output(output),
            None if relu => Gate::Normalized,
            None => Gate::Open,
        };
        let job = Backwards {
            planes,
            x: &x,
            gradient: &gradient,
            gamma: &gamma,
            beta: &beta,
            mean: &mean,
            variance: &variance,
            gate,
            statistics,
            epsilon,
        };
        let run = if planes.size < SMALL { columns::gradients } else { channels::gradients };
        let NormGradients { x, affine, shortcut } = run(&job);
        let [gamma, beta] =
            [0, 1].map(|which| affine.iter().map(|pair: &[f32; 2]| pair[which]).collect::<Vec<f32>>());
        let vectors = [gamma, beta].map(|vector| tensor(vector, [planes.channels]));
        let [gamma, beta] = vectors;
        ([tensor(x, shape.clone()), gamma, beta], shortcut.map(|shortcut| tensor(shortcut, shape)))
    }
}

impl<B: NormKernels, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        relu: bool,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node()]);
        let sources = [&x, &gamma, &beta];
        let [pixels, scale, shift] = sources.map(|tensor| tensor.primitive().clone());
        let (output, mean, variance) = B::normalize(pixels, scale, shift, relu, epsilon);
        let statistics = [mean.clone(), variance.clone()].map(Self::from_inner);
        let output = match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let sources = sources.map(|tensor| prep.checkpoint(tensor));
                let statistics = Statistics::OfBatch;
                let saved = Saved { sources, mean, variance, output: None, relu, statistics, epsilon };
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }

    fn normalize_sum(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node(), shortcut.node()]);
        let sources = [&x, &gamma, &beta];
        let [pixels, scale, shift] = sources.map(|tensor| tensor.primitive().clone());
        let addend = shortcut.primitive().clone();
        let (output, mean, variance) = B::normalize_sum(pixels, scale, shift, addend, epsilon);
        let statistics = [mean.clone(), variance.clone()].map(Self::from_inner);
        let output = match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let sources = sources.map(|tensor| prep.checkpoint(tensor));
                let (relu, statistics, signs) = (true, Statistics::OfBatch, Some(output.clone()));
                let saved = Saved { sources, mean, variance, output: signs, relu, statistics, epsilon };
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }

    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node()]);
        let [mean, variance] = [mean, variance].map(|tensor| tensor.primitive().clone());
        let [pixels, scale, shift] = [&x, &gamma, &beta].map(|tensor| tensor.primitive().clone());
        let output = B::normalize_by(pixels, scale, shift, mean.clone(), variance.clone(), epsilon);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let sources = [&x, &gamma, &beta].map(|tensor| prep.checkpoint(tensor));
                let statistics = Statistics::Given;
                let saved = Saved { sources, mean, variance, output: None, relu: false, statistics, epsilon };
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are `x`, `gamma`, `beta` and the shortcut if there is one.
#[derive(Debug)]
struct NormStep;

impl<B: NormKernels, const PARENTS: usize> Backward<B, PARENTS> for NormStep {
    type State = Saved<FloatTensor<B>, NodeId>;

    fn backward(
        self,
        ops: Ops<Self::State, PARENTS>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let Saved { sources, mean, variance, output, relu, statistics, epsilon } = ops.state;
        let sources = sources.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let saved = Saved { sources, mean, variance, output, relu, statistics, epsilon };
        let (gradients, shortcut) = B::gradients(saved, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients.into_iter().chain(shortcut)) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

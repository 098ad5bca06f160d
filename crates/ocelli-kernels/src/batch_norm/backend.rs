//! The operations on the backend, with their gradients.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, OpsPrep};
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

/// What follows a normalisation with a tensor of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// PReLU with these slopes.
    Prelu,
    /// The positive part of the sum with this shortcut.
    AddRelu,
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

    /// Output of what follows with a tensor of its own, mean and biased variance.
    fn normalize_then(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        other: FloatTensor<Self>,
        then: Then,
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
    tail: SavedTail<T, N>,
    statistics: Statistics,
    epsilon: f64,
}

/// What the backward step needs of what followed.
#[derive(Clone, Debug)]
pub(crate) enum SavedTail<T, N> {
    Plain,
    Relu,
    /// The slopes.
    Prelu(N),
    /// The output, whose signs are the gate.
    AddRelu(T),
}

/// [`NormBackend`] with its gradients, on a backend that does not record.
pub(crate) trait NormKernels: NormBackend {
    /// Gradients of `x`, `gamma` and `beta`, and of the slopes or of the shortcut where there were any.
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
        normalize_with(x, [gamma, beta], if relu { Tail::Relu } else { Tail::Plain }, None, epsilon)
    }

    fn normalize_then(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        other: FloatTensor<Self>,
        then: Then,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let other = Numbers::of(other);
        let (tail, slopes) = match then {
            Then::Prelu => (Tail::Prelu, Some(&*other)),
            Then::AddRelu => (Tail::AddRelu(&other), None),
        };
        normalize_with(x, [gamma, beta], tail, slopes, epsilon)
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
        let job = Forward { planes, x: &x, gamma: &gamma, beta: &beta, tail, slopes: None, given, epsilon };
        tensor(job.run().0, shape)
    }
}

/// Output, mean and biased variance.
fn normalize_with(
    x: FlexTensor,
    affine: [FlexTensor; 2],
    tail: Tail<'_>,
    slopes: Option<&[f32]>,
    epsilon: f64,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let shape = x.shape();
    let planes = Planes::of(&shape);
    let (x, [gamma, beta]) = (Numbers::of(x), affine.map(Numbers::of));
    let job = Forward { planes, x: &x, gamma: &gamma, beta: &beta, tail, slopes, given: None, epsilon };
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
    pub(super) slopes: Option<&'a [f32]>,
    /// Mean and variance, unless they are the batch's.
    pub(super) given: Option<[&'a [f32]; 2]>,
    pub(super) epsilon: f64,
}

impl Forward<'_> {
    /// The output, and mean and variance of every channel.
    fn run(&self) -> (Vec<f32>, Vec<(f32, f32)>) {
        if self.planes.size < SMALL { columns::normalize(self) } else { channels::normalize(self) }
    }

    /// Of what is below zero; 0 where nothing has a slope.
    pub(super) fn slope(&self, channel: usize) -> f32 {
        self.slopes.map_or(0.0, |slopes| slopes[channel])
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
    pub(super) slopes: Option<&'a [f32]>,
    pub(super) statistics: Statistics,
    pub(super) epsilon: f64,
}

impl Backwards<'_> {
    /// As [`Forward::slope`].
    pub(super) fn slope(&self, channel: usize) -> f32 {
        self.slopes.map_or(0.0, |slopes| slopes[channel])
    }
}

/// What a backward step gives.
pub(super) struct NormGradients {
    pub(super) x: Vec<f32>,
    /// Of scale, shift and slope of every channel.
    pub(super) affine: Vec<[f32; 3]>,
    /// The gradients that passed the gate, where the gate is the output's.
    pub(super) shortcut: Option<Vec<f32>>,
}

impl NormKernels for Flex {
    fn gradients(
        saved: Saved<FloatTensor<Self>, FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> ([FloatTensor<Self>; 3], Option<FloatTensor<Self>>) {
        let Saved { sources: [x, gamma, beta], mean, variance, tail, statistics, epsilon } = saved;
        let shape = x.shape();
        let planes = Planes::of(&shape);
        let [x, gamma, beta, gradient] = [x, gamma, beta, output_gradient].map(Numbers::of);
        let [mean, variance] = [mean, variance].map(Numbers::of);
        let (relu, output, slopes) = match tail {
            SavedTail::Plain => (false, None, None),
            SavedTail::Relu => (true, None, None),
            SavedTail::Prelu(slopes) => (false, None, Some(Numbers::of(slopes))),
            SavedTail::AddRelu(output) => (true, Some(Numbers::of(output)), None),
        };
        let gate = match (&output, &slopes) {
            (Some(output), _) => Gate::Output(output),
            (None, Some(_)) => Gate::Bent,
            (None, None) if relu => Gate::Normalized,
            (None, None) => Gate::Open,
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
            slopes: slopes.as_deref(),
            statistics,
            epsilon,
        };
        let run = if planes.size < SMALL { columns::gradients } else { channels::gradients };
        let NormGradients { x, affine, shortcut } = run(&job);
        let [gamma, beta, slope] = [0, 1, 2].map(|which| {
            let all: Vec<f32> = affine.iter().map(|gradients| gradients[which]).collect();
            tensor(all, [planes.channels])
        });
        let other = match shortcut {
            Some(shortcut) => Some(tensor(shortcut, shape.clone())),
            None => slopes.map(|_| slope),
        };
        ([tensor(x, shape), gamma, beta], other)
    }
}

/// What follows a normalisation whose backward step is recorded.
enum Followed<'a, T> {
    Nothing,
    Relu,
    Prelu(&'a T),
    AddRelu,
}

/// Output, mean and variance.
type Outputs<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

/// A normalisation that is prepared.
type Prepared<B, C, const PARENTS: usize> = OpsPrep<NormStep, B, Saved<FloatTensor<B>, NodeId>, C, PARENTS>;

/// Records the backward step of a normalisation that gave output, mean and variance.
fn recorded<B: NormKernels, C: CheckpointStrategy, const PARENTS: usize>(
    prepared: Prepared<B, C, PARENTS>,
    sources: [&FloatTensor<Autodiff<B, C>>; 3],
    (output, mean, variance): Outputs<B>,
    followed: Followed<'_, FloatTensor<Autodiff<B, C>>>,
    (statistics, epsilon): (Statistics, f64),
) -> Outputs<Autodiff<B, C>> {
    let by = [mean.clone(), variance.clone()].map(<Autodiff<B, C> as AutodiffBackend>::from_inner);
    let output = match prepared.compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let sources = sources.map(|tensor| prep.checkpoint(tensor));
            let tail = match followed {
                Followed::Nothing => SavedTail::Plain,
                Followed::Relu => SavedTail::Relu,
                Followed::Prelu(slopes) => SavedTail::Prelu(prep.checkpoint(slopes)),
                Followed::AddRelu => SavedTail::AddRelu(output.clone()),
            };
            prep.finish(Saved { sources, mean, variance, tail, statistics, epsilon }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    let [mean, variance] = by;
    (output, mean, variance)
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
        let outputs = B::normalize(pixels, scale, shift, relu, epsilon);
        let followed = if relu { Followed::Relu } else { Followed::Nothing };
        recorded(prepared, sources, outputs, followed, (Statistics::OfBatch, epsilon))
    }

    fn normalize_then(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        other: FloatTensor<Self>,
        then: Then,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormStep.prepare::<C>([x.node(), gamma.node(), beta.node(), other.node()]);
        let sources = [&x, &gamma, &beta];
        let [pixels, scale, shift] = sources.map(|tensor| tensor.primitive().clone());
        let outputs = B::normalize_then(pixels, scale, shift, other.primitive().clone(), then, epsilon);
        let followed = match then {
            Then::Prelu => Followed::Prelu(&other),
            Then::AddRelu => Followed::AddRelu,
        };
        recorded(prepared, sources, outputs, followed, (Statistics::OfBatch, epsilon))
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
        let sources = [&x, &gamma, &beta];
        let [pixels, scale, shift] = sources.map(|tensor| tensor.primitive().clone());
        let output = B::normalize_by(pixels, scale, shift, mean.clone(), variance.clone(), epsilon);
        let outputs = (output, mean, variance);
        recorded(prepared, sources, outputs, Followed::Nothing, (Statistics::Given, epsilon)).0
    }
}

/// The backward step; its parents are `x`, `gamma`, `beta` and the slopes or the shortcut if there are any.
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
        let Saved { sources, mean, variance, tail, statistics, epsilon } = ops.state;
        let sources = sources.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let tail = match tail {
            SavedTail::Plain => SavedTail::Plain,
            SavedTail::Relu => SavedTail::Relu,
            SavedTail::Prelu(node) => SavedTail::Prelu(checkpointer.retrieve_node_output(node)),
            SavedTail::AddRelu(output) => SavedTail::AddRelu(output),
        };
        let saved = Saved { sources, mean, variance, tail, statistics, epsilon };
        let (gradients, other) = B::gradients(saved, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients.into_iter().chain(other)) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

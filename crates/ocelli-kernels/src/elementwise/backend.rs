//! Expressions as an operation of the backend, with its gradient.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, ExtensionType, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::blocks::{self, Leaf, Partial, collect, forward};
use super::program::{Operand, Plan, Program};
use crate::arrange::arranged;
use crate::backend::{Numbers, owned_memory};
use crate::memory::{SharedOutput, as_uninit, filled, tensor};

/// The leaves of an expression.
#[derive(ExtensionType)]
pub(crate) enum Leaves<B: Backend> {
    One(FloatTensor<B>),
    Two(FloatTensor<B>, FloatTensor<B>),
    Three(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Four(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
}

/// A backend that evaluates expressions.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ChainBackend: Backend {
    fn evaluate(#[extension_type] leaves: Leaves<Self>, program: Arc<Program>) -> FloatTensor<Self>;
}

/// What the backward step has at hand.
pub(crate) struct Kept<T> {
    /// The leaves that are kept.
    leaves: Vec<Option<T>>,
    /// The result, if it is.
    output: Option<T>,
    output_gradient: T,
}

/// [`ChainBackend`] with its gradient, on a backend that does not record.
pub(crate) trait ChainKernels: ChainBackend {
    /// Gradients of the leaves that want one.
    fn gradients(
        program: &Program,
        plan: &Plan,
        kept: Kept<FloatTensor<Self>>,
    ) -> Vec<Option<FloatTensor<Self>>>;
}

impl<B: Backend> Leaves<B> {
    fn into_vec(self) -> Vec<FloatTensor<B>> {
        match self {
            Self::One(a) => vec![a],
            Self::Two(a, b) => vec![a, b],
            Self::Three(a, b, c) => vec![a, b, c],
            Self::Four(a, b, c, d) => vec![a, b, c, d],
        }
    }

    fn from_vec(leaves: Vec<FloatTensor<B>>) -> Option<Self> {
        let mut leaves = leaves.into_iter();
        let four = (leaves.next(), leaves.next(), leaves.next(), leaves.next());
        match four {
            (Some(a), None, None, None) => Some(Self::One(a)),
            (Some(a), Some(b), None, None) => Some(Self::Two(a, b)),
            (Some(a), Some(b), Some(c), None) => Some(Self::Three(a, b, c)),
            (Some(a), Some(b), Some(c), Some(d)) => Some(Self::Four(a, b, c, d)),
            _ => None,
        }
    }
}

/// A leaf as blocks read it.
fn leaf<'a>(operand: &Operand, values: &'a [f32]) -> Leaf<'a> {
    operand.spread.map_or(Leaf::Whole(values), |spread| Leaf::Spread(values, spread))
}

impl ChainBackend for Flex {
    #[allow(unsafe_code)] // the output is not zeroed first
    fn evaluate(leaves: Leaves<Self>, program: Arc<Program>) -> FloatTensor<Self> {
        let mut tensors: Vec<Option<FlexTensor>> =
            leaves.into_vec().into_iter().map(arranged).map(Some).collect();
        // A whole leaf that nobody else holds gives its memory to the result.
        let reused = tensors.iter_mut().zip(&program.operands).find_map(|(tensor, operand)| {
            tensor.take_if(|tensor| operand.spread.is_none() && owned_memory(tensor).is_some())
        });
        let numbers: Vec<Option<Numbers>> =
            tensors.into_iter().map(|tensor| tensor.map(Numbers::of)).collect();
        let leaves: Vec<Leaf<'_>> = numbers
            .iter()
            .zip(&program.operands)
            .map(|(numbers, operand)| {
                numbers.as_ref().map_or(Leaf::InPlace, |numbers| leaf(operand, numbers))
            })
            .collect();
        if let Some(mut result) = reused {
            if let Some(memory) = owned_memory(&mut result) {
                forward(&program, &leaves, SharedOutput::new(as_uninit(memory)));
            }
            return result;
        }
        // SAFETY: `forward` writes every number.
        let values = unsafe { filled(program.len(), |output| forward(&program, &leaves, output)) };
        tensor(values, program.dims.clone())
    }
}

impl ChainKernels for Flex {
    #[allow(unsafe_code)] // outputs are not zeroed first
    fn gradients(program: &Program, plan: &Plan, kept: Kept<FlexTensor>) -> Vec<Option<FlexTensor>> {
        let leaves: Vec<Option<Numbers>> =
            kept.leaves.into_iter().map(|tensor| tensor.map(Numbers::of)).collect();
        let leaves: Vec<Leaf<'_>> = leaves
            .iter()
            .zip(&program.operands)
            .map(|(numbers, operand)| numbers.as_ref().map_or(Leaf::Absent, |numbers| leaf(operand, numbers)))
            .collect();
        let output = kept.output.map(Numbers::of);
        let output = output.as_deref();

        // Memory for the gradients of whole leaves; the first may take that of the result's gradient.
        let is_whole = |place: usize| plan.wanted[place] && program.operands[place].spread.is_none();
        let first = (0..leaves.len()).find(|&place| is_whole(place));
        let mut given = arranged(kept.output_gradient);
        let reuses = first.is_some() && owned_memory(&mut given).is_some();
        let mut fresh: Vec<Option<Box<[MaybeUninit<f32>]>>> = (0..leaves.len())
            .map(|place| is_whole(place) && !(reuses && first == Some(place)))
            .map(|is_fresh| is_fresh.then(|| Box::new_uninit_slice(program.len())))
            .collect();
        let mut outputs: Vec<Option<SharedOutput<'_>>> =
            fresh.iter_mut().map(|memory| memory.as_deref_mut().map(SharedOutput::new)).collect();
        let gradient = (!reuses).then(|| Numbers::of(given.clone()));
        if let (true, Some(first), Some(memory)) = (reuses, first, owned_memory(&mut given)) {
            outputs[first] = Some(SharedOutput::new(as_uninit(memory)));
        }
        let gradient = gradient.as_deref();
        let partials = blocks::Backward { program, plan, leaves: &leaves, output, gradient }.run(&outputs);
        let mut gradients = spread_gradients(program, plan, partials);
        for ((gradient, memory), operand) in gradients.iter_mut().zip(fresh).zip(&program.operands) {
            if let Some(memory) = memory {
                // SAFETY: every block of every whole gradient is written.
                let values = unsafe { memory.assume_init() }.into_vec();
                *gradient = Some(tensor(values, operand.dims.clone()));
            }
        }
        if let (true, Some(first)) = (reuses, first) {
            gradients[first] = Some(given);
        }
        gradients
    }
}

/// The gradients of spread leaves from the sums of all jobs.
fn spread_gradients(
    program: &Program,
    plan: &Plan,
    partials: Vec<Vec<Option<Partial>>>,
) -> Vec<Option<FlexTensor>> {
    let mut by_leaf: Vec<Vec<Partial>> = program.operands.iter().map(|_| Vec::new()).collect();
    for job in partials {
        for (list, partial) in by_leaf.iter_mut().zip(job) {
            list.extend(partial);
        }
    }
    let gradient = |((operand, wanted), partials): ((&Operand, &bool), Vec<Partial>)| {
        let spread = operand.spread.filter(|_| *wanted)?;
        Some(tensor(collect(spread, partials.into_iter()), operand.dims.clone()))
    };
    program.operands.iter().zip(&plan.wanted).zip(by_leaf).map(gradient).collect()
}

impl<B: ChainKernels, C: CheckpointStrategy> ChainBackend for Autodiff<B, C> {
    fn evaluate(leaves: Leaves<Self>, program: Arc<Program>) -> FloatTensor<Self> {
        match leaves {
            Leaves::One(a) => record::<B, C, 1>([a], program),
            Leaves::Two(a, b) => record::<B, C, 2>([a, b], program),
            Leaves::Three(a, b, c) => record::<B, C, 3>([a, b, c], program),
            Leaves::Four(a, b, c, d) => record::<B, C, 4>([a, b, c, d], program),
        }
    }
}

/// Evaluates an expression and records how its gradient comes about.
fn record<B: ChainKernels, C: CheckpointStrategy, const N: usize>(
    leaves: [FloatTensor<Autodiff<B, C>>; N],
    program: Arc<Program>,
) -> FloatTensor<Autodiff<B, C>> {
    let wanted = leaves.each_ref().map(|leaf| leaf.is_tracked());
    let prepared = ChainStep.prepare::<C>(leaves.each_ref().map(|leaf| leaf.node()));
    // A leaf that is not kept is handed over, with its memory.
    let evaluate = |leaves: [FloatTensor<Autodiff<B, C>>; N]| {
        let leaves = leaves.into_iter().map(|leaf| leaf.into_primitive()).collect();
        Leaves::from_vec(leaves).map(|leaves| B::evaluate(leaves, program.clone()))
    };
    let no_leaves = "an expression has one to four leaves";
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let plan = program.plan(&wanted);
            let nodes = leaves
                .iter()
                .enumerate()
                .map(|(place, leaf)| plan.keeps_leaf(&program, place).then(|| prep.checkpoint(leaf)))
                .collect();
            let output = evaluate(leaves).expect(no_leaves);
            let kept_output = plan.keeps_output.then(|| output.clone());
            let state = SavedChain { program, plan: Arc::new(plan), nodes, output: kept_output };
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(evaluate(leaves).expect(no_leaves)),
    }
}

/// The backward step; its parents are the leaves.
#[derive(Debug)]
struct ChainStep;

/// What the backward step needs from the forward one.
#[derive(Clone, Debug)]
struct SavedChain<T> {
    program: Arc<Program>,
    plan: Arc<Plan>,
    /// Of the leaves that are kept.
    nodes: Vec<Option<NodeId>>,
    output: Option<T>,
}

impl<B: ChainKernels, const N: usize> Backward<B, N> for ChainStep {
    type State = SavedChain<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let SavedChain { program, plan, nodes, output } = ops.state;
        let retrieve =
            |node: Option<NodeId>| node.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let leaves = nodes.into_iter().map(retrieve).collect();
        let gradients = B::gradients(&program, &plan, Kept { leaves, output, output_gradient });
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

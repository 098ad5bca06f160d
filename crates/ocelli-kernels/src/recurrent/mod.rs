//! Recurrent layers: all steps of a sequence in one operation, with gradients.

mod cell;
mod steps;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};
use burn_flex::FlexTensor;

use crate::arrange::arranged;
use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use cell::Cell;
use steps::{Hidden, Slopes, Steps};

/// What a recurrent layer adds to its gates from its state.
#[derive(Clone, Debug)]
pub struct Recurrence {
    /// `[G H, H]`: `weight_hh` of PyTorch, four gates for an LSTM and three for a GRU.
    pub weight: Tensor<2>,
    /// `[G H]`: `bias_hh`; an LSTM's may as well be part of what comes from the input.
    pub bias: Option<Tensor<1>>,
    /// Whether the sequence is run from its last step to its first.
    pub reverse: bool,
}

/// The outputs `[T, B, H]` and the last cell `[B, H]` of a long short-term memory (Hochreiter and Schmidhuber, 1997, with
/// the forget gate of Gers et al., 2000; `torch.nn.LSTM`).
///
/// `gates [T, B, 4 H]` are what comes from the input, biases included: input, forget, cell and output gate, in that order.
/// `state` is the first output and the first cell, each `[B, H]`.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes Burn's own operations. Gradients
/// flow to all tensors. The result is the same for any number of threads.
///
/// # Panics
/// If the shapes do not fit together.
pub fn lstm(gates: Tensor<3>, recurrence: Recurrence, state: [Tensor<2>; 2]) -> (Tensor<3>, Tensor<2>) {
    let [steps, batch, size] = check("lstm", &gates, &recurrence, &state, Cell::Lstm);
    if steps == 0 {
        let [_, cell] = state;
        return (Tensor::zeros([0, batch, size], &gates.device()), cell);
    }
    let state = Tensor::stack::<3>(state.to_vec(), 0);
    let output = run(gates, recurrence, state, Cell::Lstm);
    let cell = output.clone().narrow(0, steps, 1).reshape([batch, size]);
    (output.narrow(0, 0, steps), cell)
}

/// The outputs `[T, B, H]` of gated recurrent units (Cho et al., 2014; `torch.nn.GRU`, which applies the reset gate after the
/// product).
///
/// `gates [T, B, 3 H]` are what comes from the input, its bias included: reset, update and new gate, in that order; `state
/// [B, H]` is the first output. Otherwise as [`lstm`].
///
/// # Panics
/// If the shapes do not fit together.
pub fn gru(gates: Tensor<3>, recurrence: Recurrence, state: Tensor<2>) -> Tensor<3> {
    let [steps, batch, size] = check("gru", &gates, &recurrence, std::slice::from_ref(&state), Cell::Gru);
    if steps == 0 {
        return Tensor::zeros([0, batch, size], &gates.device());
    }
    run(gates, recurrence, state.unsqueeze_dim(0), Cell::Gru)
}

/// Steps, samples, and numbers of a state.
fn check(
    name: &str,
    gates: &Tensor<3>,
    recurrence: &Recurrence,
    state: &[Tensor<2>],
    cell: Cell,
) -> [usize; 3] {
    let ([steps, batch, width], [rows, size]) = (gates.dims(), recurrence.weight.dims());
    let biases = recurrence.bias.as_ref().map(|bias| bias.dims()[0]);
    let fits = width == cell.gates() * size
        && rows == width
        && biases.is_none_or(|count| count == width)
        && state.iter().all(|state| state.dims() == [batch, size]);
    assert!(
        fits,
        "{name}: gates [{steps}, {batch}, {width}] with a weight [{rows}, {size}], a bias of {biases:?} and states {:?}",
        state.iter().map(Tensor::dims).collect::<Vec<_>>()
    );
    [steps, batch, size]
}

fn run(gates: Tensor<3>, recurrence: Recurrence, state: Tensor<3>, cell: Cell) -> Tensor<3> {
    let Recurrence { weight, bias, reverse } = recurrence;
    let served = is_served(&gates) && is_served(&weight) && bias.as_ref().is_none_or(is_served);
    if !served || !is_served(&state) {
        return plain(gates, Recurrence { weight, bias, reverse }, state, cell);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([0], &weight.device().without_autodiff()));
    Tensor::from_dispatch(Dispatch::recur(
        gates.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        state.into_dispatch(),
        cell,
        reverse,
    ))
}

/// The framework's own operations, step by step.
fn plain(gates: Tensor<3>, recurrence: Recurrence, state: Tensor<3>, cell: Cell) -> Tensor<3> {
    let ([steps, batch, _], [_, size]) = (gates.dims(), recurrence.weight.dims());
    let part = |index: usize| state.clone().narrow(0, index, 1).reshape([batch, size]);
    let (mut output, mut memory) = (part(0), part(cell.states() - 1));
    let mut outputs = vec![None; steps];
    for index in 0..steps {
        let step = if recurrence.reverse { steps - 1 - index } else { index };
        let from_input = gates.clone().narrow(0, step, 1).reshape([batch, cell.gates() * size]);
        let mut from_state = output.clone().matmul(recurrence.weight.clone().transpose());
        if let Some(bias) = &recurrence.bias {
            from_state = from_state + bias.clone().unsqueeze();
        }
        let gate = |x: &Tensor<2>, index: usize| x.clone().narrow(1, index * size, size);
        let both = |index: usize| gate(&from_input, index) + gate(&from_state, index);
        let open = |index: usize| activation::sigmoid(both(index));
        match cell {
            Cell::Lstm => {
                memory = open(1) * memory + open(0) * both(2).tanh();
                output = open(3) * memory.clone().tanh();
            }
            Cell::Gru => {
                let new = (gate(&from_input, 2) + open(0) * gate(&from_state, 2)).tanh();
                output = new.clone() + open(1) * (output - new);
            }
        }
        outputs[step] = Some(output.clone());
    }
    let last = (cell == Cell::Lstm).then_some(memory);
    let all: Vec<Tensor<2>> = outputs.into_iter().flatten().chain(last).collect();
    Tensor::stack::<3>(all, 0)
}

/// A backend with recurrent layers.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait RecurrentBackend: Backend {
    /// `gates [T, B, G H]`, `weight [G H, H]`, `bias [G H]` or `[0]`, and `state [S, B, H]` to the outputs `[T, B, H]`, which the last
    /// cell follows if there is one.
    fn recur(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        state: FloatTensor<Self>,
        cell: Cell,
        reverse: bool,
    ) -> FloatTensor<Self>;
}

/// What a run leaves for the walk back.
#[derive(Clone, Debug)]
pub(crate) struct Trace<T> {
    /// Activated gates.
    gates: T,
    kept: T,
    output: T,
}

/// The parameters of a run.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<T> {
    weight: T,
    bias: T,
    state: T,
    cell: Cell,
    reverse: bool,
}

/// [`RecurrentBackend`] with its gradients, on a backend that does not record.
pub(crate) trait RecurrentKernels: RecurrentBackend {
    /// A run with what the walk back needs.
    fn traced(
        gates: FloatTensor<Self>,
        parameters: Parameters<FloatTensor<Self>>,
    ) -> Trace<FloatTensor<Self>>;

    /// Gradients of gates, weight, bias and state.
    fn gradients(
        trace: Trace<FloatTensor<Self>>,
        parameters: Parameters<FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 4];
}

impl Steps {
    fn of(gates: &FlexTensor, parameters: &Parameters<FlexTensor>) -> Self {
        let [steps, batch, width] = gates.layout().shape().dims();
        let Parameters { cell, reverse, .. } = *parameters;
        Self { cell, steps, batch, size: width / cell.gates(), reverse }
    }
}

impl RecurrentBackend for Flex {
    fn recur(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        state: FloatTensor<Self>,
        cell: Cell,
        reverse: bool,
    ) -> FloatTensor<Self> {
        Self::traced(gates, Parameters { weight, bias, state, cell, reverse }).output
    }
}

impl RecurrentKernels for Flex {
    fn traced(
        gates: FloatTensor<Self>,
        parameters: Parameters<FloatTensor<Self>>,
    ) -> Trace<FloatTensor<Self>> {
        let steps = Steps::of(&gates, &parameters);
        // Nobody else holds what a linear layer has just made, which then need not be copied.
        let mut gates = arranged(gates);
        let [weight, bias, state] = [parameters.weight, parameters.bias, parameters.state].map(Numbers::of);
        let ran = steps.forward(gates.storage_mut(), Hidden { weight: &weight, bias: &bias }, &state);
        let Steps { steps, batch, size, cell, .. } = steps;
        let output = tensor(ran.output, [steps + cell.states() - 1, batch, size]);
        Trace { gates, kept: tensor(ran.kept, [steps, batch, size]), output }
    }

    fn gradients(
        trace: Trace<FloatTensor<Self>>,
        parameters: Parameters<FloatTensor<Self>>,
        output_gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 4] {
        let steps = Steps::of(&trace.gates, &parameters);
        let Trace { mut gates, mut kept, output } = trace;
        let shapes = [&parameters.weight, &parameters.bias, &parameters.state]
            .map(|tensor| tensor.layout().shape().clone());
        let [weight, bias, state] = [parameters.weight, parameters.bias, parameters.state].map(Numbers::of);
        let [output, gradient] = [output, output_gradient].map(Numbers::of);
        let slopes = steps.backward(
            gates.storage_mut(),
            kept.storage_mut(),
            Hidden { weight: &weight, bias: &bias },
            &state,
            [&output, &gradient],
        );
        let [of_weight, of_bias, of_state] = shapes;
        let Slopes { weight, bias, state } = slopes;
        [gates, tensor(weight, of_weight), tensor(bias, of_bias), tensor(state, of_state)]
    }
}

impl<B: RecurrentKernels, C: CheckpointStrategy> RecurrentBackend for Autodiff<B, C> {
    fn recur(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        state: FloatTensor<Self>,
        cell: Cell,
        reverse: bool,
    ) -> FloatTensor<Self> {
        let nodes = [&gates, &weight, &bias, &state].map(|tensor| tensor.node());
        let prepared = RecurrentStep.prepare::<C>(nodes);
        let [w, b, s] = [&weight, &bias, &state].map(|tensor| tensor.primitive().clone());
        let (gates, guard) = gates.into_parts();
        let trace = B::traced(gates, Parameters { weight: w, bias: b, state: s, cell, reverse });
        drop(guard);
        let output = trace.output.clone();
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&weight, &bias, &state].map(|tensor| prep.checkpoint(tensor));
                prep.finish(Saved { trace, nodes, cell, reverse }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are gates, weight, bias and state.
#[derive(Debug)]
struct RecurrentStep;

/// What the backward step needs from the forward one.
#[derive(Clone, Debug)]
struct Saved<T> {
    trace: Trace<T>,
    /// Of weight, bias and state.
    nodes: [NodeId; 3],
    cell: Cell,
    reverse: bool,
}

impl<B: RecurrentKernels> Backward<B, 4> for RecurrentStep {
    type State = Saved<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let Saved { trace, nodes, cell, reverse } = ops.state;
        let [weight, bias, state] =
            nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let parameters = Parameters { weight, bias, state, cell, reverse };
        let gradients = B::gradients(trace, parameters, output_gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

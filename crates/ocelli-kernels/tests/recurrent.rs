//! Recurrent layers against a chain of the framework's own operations: outputs, last states and every gradient.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{Device, Tensor, TensorData, activation};
use ocelli_kernels::{Recurrence, gru, lstm};
use proptest::prelude::*;

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0) * 0.7).collect()
}

fn tensor<const D: usize>(seed: usize, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), device)
}

#[derive(Clone, Copy, Debug)]
struct Case {
    lstm: bool,
    steps: usize,
    batch: usize,
    size: usize,
    biased: bool,
    reverse: bool,
    /// Whether samples come first in memory.
    turned: bool,
}

struct Leaves {
    gates: Tensor<3>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    state: [Tensor<2>; 2],
}

/// Outputs `[T, B, H]` and last cell of the operations one by one.
fn plain(case: Case, leaves: &Leaves, bias: Option<Tensor<1>>) -> (Tensor<3>, Option<Tensor<2>>) {
    let size = case.size;
    let [mut output, mut cell] = leaves.state.clone();
    let mut outputs = vec![None; case.steps];
    for index in 0..case.steps {
        let step = if case.reverse { case.steps - 1 - index } else { index };
        let input = leaves.gates.clone().narrow(0, step, 1).squeeze_dim::<2>(0);
        let mut hidden = output.clone().matmul(leaves.weight.clone().transpose());
        if let Some(bias) = &bias {
            hidden = hidden + bias.clone().unsqueeze();
        }
        let gate = |x: &Tensor<2>, gate: usize| x.clone().narrow(1, gate * size, size);
        let open = |i: usize| activation::sigmoid(gate(&input, i) + gate(&hidden, i));
        if case.lstm {
            cell = open(1) * cell + open(0) * (gate(&input, 2) + gate(&hidden, 2)).tanh();
            output = open(3) * cell.clone().tanh();
        } else {
            let new = (gate(&input, 2) + open(0) * gate(&hidden, 2)).tanh();
            output = (-open(1) + 1.0) * new + open(1) * output;
        }
        outputs[step] = Some(output.clone());
    }
    (Tensor::stack(outputs.into_iter().flatten().collect(), 0), case.lstm.then_some(cell))
}

fn fused(case: Case, leaves: &Leaves, bias: Option<Tensor<1>>) -> (Tensor<3>, Option<Tensor<2>>) {
    let recurrence = Recurrence { weight: leaves.weight.clone(), bias, reverse: case.reverse };
    let [output, cell] = leaves.state.clone();
    if case.lstm {
        let (output, cell) = lstm(leaves.gates.clone(), recurrence, [output, cell]);
        (output, Some(cell))
    } else {
        (gru(leaves.gates.clone(), recurrence, output), None)
    }
}

type Layer = fn(Case, &Leaves, Option<Tensor<1>>) -> (Tensor<3>, Option<Tensor<2>>);

/// Output, last cell, and gradients of all leaves.
fn run(case: Case, layer: Layer) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let Case { steps, batch, size, .. } = case;
    let width = size * if case.lstm { 4 } else { 3 };
    let gates = match case.turned {
        true => tensor(1, [batch, steps, width], &device).require_grad(),
        false => tensor(1, [steps, batch, width], &device).require_grad(),
    };
    let weight = tensor(2, [width, size], &device).require_grad();
    let bias = tensor(3, [width], &device).require_grad();
    let states = [4, 5].map(|seed| tensor(seed, [batch, size], &device).require_grad());
    let leaves = Leaves {
        gates: if case.turned { gates.clone().swap_dims(0, 1) } else { gates.clone() },
        weight: weight.clone(),
        bias: bias.clone(),
        state: states.clone(),
    };
    let given = case.biased.then(|| leaves.bias.clone());
    let (output, cell) = layer(case, &leaves, given);
    let mut loss = (output.clone() * tensor(6, [steps, batch, size], &device)).sum();
    if let Some(cell) = &cell {
        loss = loss + (cell.clone() * tensor(7, [batch, size], &device)).sum();
    }
    let gradients = loss.backward();
    let numbers = |data: TensorData| data.try_into_vec::<f32>().unwrap();
    let mut all = vec![numbers(output.into_data())];
    all.extend(cell.map(|cell| numbers(cell.into_data())));
    all.push(numbers(gates.grad(&gradients).unwrap().into_data()));
    all.push(numbers(weight.grad(&gradients).unwrap().into_data()));
    all.extend(bias.grad(&gradients).map(|gradient| numbers(gradient.into_data())));
    let states = states.iter().filter_map(|state| state.grad(&gradients));
    all.extend(states.map(|gradient| numbers(gradient.into_data())));
    all
}

fn check(case: Case) {
    let (got, expected) = (run(case, fused), run(case, plain));
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 2e-5 + 1e-4 * expected.abs(), "{index}: {got}, not {expected}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn layers_match_plain_operations(
        lstm: bool,
        [steps, batch, size] in [1..=7_usize, 1..=20_usize, 1..=50_usize],
        biased: bool,
        reverse: bool,
        turned: bool,
    ) {
        check(Case { lstm, steps, batch, size, biased, reverse, turned });
    }
}

#[test]
fn samples_are_shared_by_the_threads() {
    for lstm in [true, false] {
        check(Case { lstm, steps: 5, batch: 37, size: 70, biased: true, reverse: true, turned: false });
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for lstm in [true, false] {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let case =
                Case { lstm, steps: 9, batch: 40, size: 64, biased: true, reverse: false, turned: false };
            pool.install(|| run(case, fused))
        };
        assert_eq!(on(1), on(3));
    }
}

#[test]
fn the_other_gradient_reaches_a_cell_that_is_not_put_out() {
    let device = Device::flex().autodiff();
    let state = [4, 5].map(|seed| tensor(seed, [2, 3], &device).require_grad());
    let recurrence = Recurrence { weight: tensor(1, [12, 3], &device), bias: None, reverse: false };
    let (output, _) = lstm(tensor(2, [2, 2, 12], &device), recurrence, state.clone());
    let gradients = output.sum().backward();
    assert!(
        state[1]
            .grad(&gradients)
            .unwrap()
            .into_data()
            .try_into_vec::<f32>()
            .unwrap()
            .iter()
            .all(|v| *v != 0.0)
    );
}

#[test]
fn a_sequence_without_steps_leaves_the_state() {
    let device = Device::flex();
    let recurrence = Recurrence { weight: tensor(1, [12, 3], &device), bias: None, reverse: false };
    let state = [tensor(4, [2, 3], &device), tensor(5, [2, 3], &device)];
    let (output, cell) = lstm(Tensor::zeros([0, 2, 12], &device), recurrence, state.clone());
    assert_eq!(output.dims(), [0, 2, 3]);
    cell.into_data().assert_eq(&state[1].clone().into_data(), true);
}

#[test]
#[should_panic(expected = "gru: gates [2, 1, 9] with a weight [9, 2]")]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let recurrence = Recurrence { weight: tensor(0, [9, 2], &device), bias: None, reverse: false };
    gru(tensor(0, [2, 1, 9], &device), recurrence, tensor(0, [1, 3], &device));
}

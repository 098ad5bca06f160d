//! Batch normalisation with what follows it, sums of residual units and optimiser steps, against compositions of Burn's
//! operations and definitions.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData, activation, module};
use ocelli_kernels::update::{Moving, Rule, norm, scale, update};
use ocelli_kernels::{NormTail, add_relu, batch_norm, batch_norm_by, batch_norm_with, prelu};
use proptest::prelude::*;

const EPSILON: f64 = 1e-5;

fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1013) as f32 / 250.0 - 2.0).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: usize, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

fn close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f32, |scale, value| scale.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 3e-5 * scale, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// Inputs of a layer: `x`, `gamma`, `beta` and a shortcut.
struct Inputs<const D: usize> {
    x: Tensor<D>,
    vectors: [Tensor<1>; 2],
    shortcut: Tensor<D>,
}

impl<const D: usize> Inputs<D> {
    fn new(shape: [usize; D], swapped: bool) -> Self {
        let device = Device::flex().autodiff();
        let laid_out = |seed: usize| {
            if !swapped || D < 3 {
                return tensor(shape, seed, &device);
            }
            let mut turned = shape;
            turned.swap(D - 2, D - 1);
            let plain = tensor::<D>(shape, seed, &device).swap_dims(D - 2, D - 1);
            Tensor::<D>::from_data(TensorData::new(numbers(plain), turned), &device).swap_dims(D - 2, D - 1)
        };
        let vectors = [3, 4].map(|seed| tensor([shape[1]], seed, &device).require_grad());
        Self { x: laid_out(1).require_grad(), vectors, shortcut: laid_out(7).require_grad() }
    }

    /// The output of a layer and the gradients of all its inputs.
    fn run(&self, layer: impl Fn(Tensor<D>, [Tensor<1>; 2], Tensor<D>) -> Tensor<D>) -> Vec<Vec<f32>> {
        let output = layer(self.x.clone(), self.vectors.clone(), self.shortcut.clone());
        let weights = tensor(self.x.dims(), 11, &self.x.device());
        let tape = (output.clone() * weights).sum().backward();
        let mut all = vec![numbers(output)];
        all.extend([&self.x, &self.shortcut].iter().filter_map(|x| x.grad(&tape)).map(numbers));
        all.extend(self.vectors.iter().filter_map(|vector| vector.grad(&tape)).map(numbers));
        all
    }
}

fn same(got: Vec<Vec<f32>>, expected: Vec<Vec<f32>>) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        close(&format!("tensor {i}"), got, expected);
    }
}

/// What keeps all numbers away from the kink at zero when it is added: there, rounding decides on which side one lies.
fn lift(numbers: &[f32]) -> f64 {
    let clear = |&lift: &f64| numbers.iter().all(|&number| (f64::from(number) + lift).abs() > 2e-5);
    (1..500).map(|step| f64::from(step) * 1e-3).find(clear).expect("some room between numbers")
}

fn check_tails<const D: usize>(shape: [usize; D], swapped: bool) {
    let inputs = Inputs::new(shape, swapped);
    let stock = |x, [gamma, beta]: [Tensor<1>; 2]| module::batch_norm_train(x, gamma, beta, EPSILON).output;
    same(
        inputs.run(|x, [gamma, beta], _| batch_norm(x, gamma, beta, EPSILON).output),
        inputs.run(|x, vectors, _| stock(x, vectors)),
    );
    let plain = lift(&inputs.run(|x, vectors, _| stock(x, vectors))[0]);
    same(
        inputs.run(|x, [gamma, beta], _| {
            let beta = beta.add_scalar(plain);
            batch_norm_with(x, gamma, beta, EPSILON, NormTail::Relu).output
        }),
        inputs.run(|x, vectors, _| activation::relu(stock(x, vectors).add_scalar(plain))),
    );
    let joined = lift(&inputs.run(|x, vectors, shortcut| stock(x, vectors) + shortcut)[0]);
    same(
        inputs.run(|x, [gamma, beta], shortcut| {
            let tail = NormTail::AddRelu(shortcut.add_scalar(joined));
            batch_norm_with(x, gamma, beta, EPSILON, tail).output
        }),
        inputs.run(|x, vectors, shortcut| activation::relu(stock(x, vectors) + shortcut.add_scalar(joined))),
    );
    let device = inputs.x.device().without_autodiff();
    let statistics =
        || [tensor([shape[1]], 5, &device), tensor([shape[1]], 6, &device).abs().add_scalar(0.1)];
    same(
        inputs.run(|x, [gamma, beta], _| batch_norm_by(x, gamma, beta, statistics(), EPSILON)),
        inputs.run(|x, [gamma, beta], _| {
            let [mean, variance] = statistics();
            module::batch_norm(x, gamma, beta, mean, variance, EPSILON)
        }),
    );
    same(
        inputs.run(|x, [gamma, beta], _| {
            let beta = beta.add_scalar(plain);
            batch_norm_with(x, gamma.clone(), beta, EPSILON, NormTail::Prelu(gamma)).output
        }),
        inputs.run(|x, [gamma, beta], _| {
            activation::prelu(stock(x, [gamma.clone(), beta]).add_scalar(plain), gamma)
        }),
    );
    // Sums and numbers of these inputs are multiples of 1/250.
    let lifted = |x: Tensor<D>| x.add_scalar(1e-3);
    same(
        inputs.run(|x, _, shortcut| add_relu(x, lifted(shortcut))),
        inputs.run(|x, _, shortcut| activation::relu(x + lifted(shortcut))),
    );
    same(
        inputs.run(|x, [slope, _], _| prelu(lifted(x), slope)),
        inputs.run(|x, [slope, _], _| activation::prelu(lifted(x), slope)),
    );
}

fn moving(rule: Rule, n: usize, device: &Device) -> Moving {
    let moments = (0..rule.moments()).map(|i| tensor([n], 20 + i, device).abs()).collect();
    Moving { rule, value: tensor([n], 1, device), gradient: tensor([n], 2, device), moments }
}

fn rules() -> impl Strategy<Value = Rule> {
    let share = || 0.0..0.99_f64;
    (0..4, 1e-4..0.5_f64, prop_oneof![Just(0.0), 0.0..0.1_f64], share(), share()).prop_map(
        |(kind, rate, decay, b1, b2)| match kind {
            0 => Rule::Descent { rate, decay },
            1 | 2 => Rule::Momentum { rate, decay, momentum: b1, nesterov: kind == 2 },
            _ => {
                Rule::Adam { rate, decay, keep: 1.0 - decay, betas: [b1, b2], correction: 0.7, epsilon: 1e-3 }
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    // Of two or three numbers that happen to be neighbours the spread is so small that rounding shows in the quotient.
    #[test]
    fn tails_match_their_composition(
        b in 2..6_usize, c in 1..9_usize, h in 1..14_usize, w in 2..14_usize, swapped in any::<bool>()
    ) {
        check_tails([b, c, h, w], swapped);
    }

    #[test]
    fn rows_match_their_composition(b in 4..80_usize, c in 1..600_usize, l in 1..9_usize) {
        check_tails([b, c], false);
        check_tails([b.min(5), c.min(40), l], true);
    }

    #[test]
    fn steps_match_the_frameworks(rules in proptest::collection::vec(rules(), 1..5), n in 0..40_000_usize) {
        let (single, double) = (Device::flex(), DType::F64);
        let mut ours: Vec<Moving> =
            rules.iter().enumerate().map(|(i, &rule)| moving(rule, n / (i + 1), &single)).collect();
        let mut stock: Vec<Moving> = ours.iter().map(|parameter| Moving {
            rule: parameter.rule,
            value: parameter.value.clone().cast(double),
            gradient: parameter.gradient.clone().cast(double),
            moments: parameter.moments.iter().map(|moment| moment.clone().cast(double)).collect(),
        }).collect();
        let before = ours[0].value.clone();
        let kept = numbers(before.clone());
        update(&mut ours);
        update(&mut stock);
        prop_assert_eq!(numbers(before), kept, "what others hold stays as it is");
        for (ours, stock) in ours.into_iter().zip(stock) {
            close("value", &numbers(ours.value), &numbers(stock.value));
            for (ours, stock) in ours.moments.into_iter().zip(stock.moments) {
                close("moment", &numbers(ours), &numbers(stock));
            }
        }
    }

    #[test]
    fn norms_and_scales_match_their_definition(n in 0..50_000_usize) {
        let device = Device::flex();
        let mut tensors = vec![tensor([n], 1, &device), tensor([7], 2, &device), tensor([5], 3, &device).cast(DType::F64)];
        let all: Vec<f32> = tensors.iter().cloned().flat_map(numbers).collect();
        let expected = all.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        prop_assert!((norm(&tensors) - expected).abs() <= 1e-6 * expected);
        scale(&mut tensors, 0.25);
        let scaled: Vec<f32> = tensors.into_iter().flat_map(numbers).collect();
        close("scaled", &scaled, &all.iter().map(|v| v * 0.25).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_is_normalised_to_nothing() {
    let device = Device::flex();
    let (x, vector) = (Tensor::<2>::zeros([0, 3], &device), Tensor::<1>::ones([3], &device));
    assert_eq!(batch_norm(x, vector.clone(), vector, EPSILON).output.dims(), [0, 3]);
}

#[test]
fn large_means_of_rows_cost_no_precision() {
    let device = Device::flex();
    let x = tensor([300, 3], 1, &device).mul_scalar(0.01).add_scalar(1000.0);
    let [ones, zeros] = [Tensor::ones([3], &device), Tensor::zeros([3], &device)];
    let got = numbers(batch_norm(x.clone(), ones, zeros, 0.0).variance);
    let spread = numbers(x.sub_scalar(1000.0).var_bias(0));
    for (got, expected) in got.iter().zip(&spread) {
        assert!((got / expected - 1.0).abs() < 2e-2, "{got}, expected {expected}");
    }
}

#[test]
fn tails_give_the_same_on_any_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let layer = |x, [gamma, beta]: [Tensor<1>; 2], shortcut| {
                batch_norm_with(x, gamma, beta, EPSILON, NormTail::AddRelu(shortcut)).output
            };
            let bent = |x, [gamma, beta]: [Tensor<1>; 2], _| {
                batch_norm_with(x, gamma.clone(), beta, EPSILON, NormTail::Prelu(gamma)).output
            };
            [[9, 70, 7, 7], [9, 5, 23, 31]].map(|shape| {
                let inputs = Inputs::new(shape, false);
                [inputs.run(layer), inputs.run(bent)]
            })
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
#[should_panic(expected = "update: 0 moments for Momentum")]
fn a_moment_is_demanded() {
    let rule = Rule::Momentum { rate: 0.1, decay: 0.0, momentum: 0.9, nesterov: false };
    let mut parameter = moving(rule, 3, &Device::flex());
    parameter.moments.clear();
    update(&mut [parameter]);
}

//! Elementwise expressions against their definitions in `f64`: values and every gradient, over functions, shapes and
//! layouts; and against Burn's own operations.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use ocelli_kernels::{Chain, activation};
use proptest::prelude::*;

/// Values that repeat with no short period and stay clear of the functions' corners.
fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64).map(|i| ((i * 2_654_435_761 + seed * 97) % 1009) as f32 / 72.0 - 7.0031).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Compares each number at the scale of `scales`.
fn close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = tolerance * expected.abs().max(1.0);
        assert!((got - expected).abs() <= allowed, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// The error function, by its series; beyond 6 it is 1.
fn erf(x: f64) -> f64 {
    let z = x.abs();
    if z > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= 2.0 * z * z / f64::from(2 * n + 1);
        sum += term;
    }
    (2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp() * sum).copysign(x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

type Function = (&'static str, fn(Chain<4>) -> Chain<4>, fn(f64) -> f64);

/// Name, expression and definition. Those that want positive numbers get squares.
const FUNCTIONS: [Function; 26] = [
    ("relu", Chain::relu, |x| x.max(0.0)),
    ("relu6", |x| x.hard_tanh(0.0, 6.0), |x| x.clamp(0.0, 6.0)),
    ("clamp", |x| x.clamp(-2.5, 3.25), |x| x.clamp(-2.5, 3.25)),
    ("leaky_relu", |x| x.leaky_relu(0.125), |x| if x > 0.0 { x } else { 0.125 * x }),
    ("negative leaky_relu", |x| x.leaky_relu(-0.5), |x| if x > 0.0 { x } else { -0.5 * x }),
    ("elu", |x| x.elu(1.5), |x| if x > 0.0 { x } else { 1.5 * x.exp_m1() }),
    ("negative elu", |x| x.elu(-0.5), |x| if x > 0.0 { x } else { -0.5 * x.exp_m1() }),
    ("sigmoid", Chain::sigmoid, sigmoid),
    ("tanh", Chain::tanh, f64::tanh),
    ("gelu", Chain::gelu, |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()))),
    ("gelu_tanh", Chain::gelu_tanh, |x| {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
    }),
    ("silu", Chain::silu, |x| x * sigmoid(x)),
    ("hard_swish", Chain::hard_swish, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
    ("hard_sigmoid", Chain::hard_sigmoid, |x| (x + 3.0).clamp(0.0, 6.0) / 6.0),
    ("mish", Chain::mish, |x| x * softplus(x).tanh()),
    ("softplus", |x| x.softplus(2.0), |x| softplus(2.0 * x) / 2.0),
    ("log_sigmoid", Chain::log_sigmoid, |x| -softplus(-x)),
    ("exp", Chain::exp, f64::exp),
    ("ln", |x| x.square().ln(), |x| (x * x).ln()),
    ("sqrt", |x| x.square().add_scalar(0.5).sqrt(), |x| (x * x + 0.5).sqrt()),
    ("square", Chain::square, |x| x * x),
    ("abs", Chain::abs, f64::abs),
    ("recip", |x| x.square().add_scalar(0.5).recip(), |x| 1.0 / (x * x + 0.5)),
    ("cube", |x| x.powf(3.0), |x| x.powi(3)),
    ("power", |x| x.square().add_scalar(0.25).powf(-0.75), |x| (x * x + 0.25).powf(-0.75)),
    (
        "several",
        |x| x.affine(-0.5, 0.25).sigmoid().square().tanh(),
        |x| sigmoid(0.25 - 0.5 * x).powi(2).tanh(),
    ),
];

fn slope(function: impl Fn(f64) -> f64, x: f64) -> f64 {
    (function(x + 1e-5) - function(x - 1e-5)) / 2e-5
}

/// The values of [`tensor`], in memory in one of four layouts.
fn laid_out(shape: [usize; 4], seed: u64, layout: u8, device: &Device) -> Tensor<4> {
    let plain = tensor(shape, seed, device);
    let [b, c, h, w] = shape;
    match layout {
        1 => {
            let turned = plain.swap_dims(1, 3).into_data().try_into_vec::<f32>().unwrap();
            Tensor::<4>::from_data(TensorData::new(turned, [b, w, h, c]), device).swap_dims(1, 3)
        }
        2 => Tensor::cat(vec![plain.clone(), plain.clone(), plain], 0).slice([b..2 * b, 0..c, 0..h, 0..w]),
        _ => plain,
    }
}

fn check_function(function: Function, shape: [usize; 4], layout: u8) {
    let (name, expression, definition) = function;
    let device = Device::flex().autodiff();
    let x = laid_out(shape, 1, layout, &device).require_grad();
    let weights = laid_out(shape, 9, layout, &device);
    let output = expression(Chain::of(x.clone())).run();
    let tape = (output.clone() * weights.clone()).sum().backward();
    let (x_values, weights) = (numbers(x.clone()), numbers(weights));
    let expected: Vec<f64> = x_values.iter().map(|&x| definition(x)).collect();
    close(name, &numbers(output), &expected, 2e-6);
    let expected: Vec<f64> = x_values.iter().zip(&weights).map(|(&x, w)| slope(definition, x) * w).collect();
    close(name, &numbers(x.grad(&tape).unwrap()), &expected, 1e-4);
    // Without a recording, from memory that nobody else holds.
    let alone = expression(Chain::of(laid_out(shape, 1, layout, &Device::flex()))).run();
    close(name, &numbers(alone), &x_values.iter().map(|&x| definition(x)).collect::<Vec<_>>(), 2e-6);
}

/// `sigmoid(a b + c) / (d² + 1)`, with operands stretched as asked.
fn check_operands(shapes: [[usize; 4]; 4], tracked: u8) {
    let device = Device::flex().autodiff();
    let leaf = |place: usize| {
        let leaf = tensor(shapes[place], place as u64, &device).mul_scalar(0.25);
        if tracked >> place & 1 == 1 { leaf.require_grad() } else { leaf.without_autodiff() }
    };
    let leaves: [Tensor<4>; 4] = std::array::from_fn(leaf);
    let [a, b, c, d] = leaves.clone();
    let below = Chain::of(d).square().add_scalar(1.0);
    let output = Chain::of(a).mul(b).add(c).sigmoid().div(below).run();
    let reference: [Tensor<4>; 4] =
        std::array::from_fn(|i| leaves[i].clone().without_autodiff().autodiff().require_grad());
    let [a, b, c, d] = reference.clone();
    let expected = burn::tensor::activation::sigmoid(a * b + c) / d.square().add_scalar(1.0);
    assert_eq!(output.dims(), expected.dims());
    close("output", &numbers(output.clone()), &numbers(expected.clone()), 1e-5);
    let weights = tensor(output.dims(), 9, &device);
    let wanted = (expected * weights.clone()).sum().backward();
    if tracked & 15 == 0 {
        assert!(!output.is_autodiff());
        return;
    }
    let tape = (output * weights).sum().backward();
    for (place, (leaf, reference)) in leaves.into_iter().zip(reference).enumerate() {
        if tracked >> place & 1 == 1 {
            let what = format!("gradient {place} of {shapes:?}");
            let got = leaf.grad(&tape).unwrap();
            assert_eq!(got.dims(), shapes[place]);
            close(&what, &numbers(got), &numbers(reference.grad(&wanted).unwrap()), 2e-4);
        }
    }
}

/// The shape with extents of 1 where `mask` says so.
fn shrunk(shape: [usize; 4], mask: u8) -> [usize; 4] {
    std::array::from_fn(|axis| if mask >> axis & 1 == 1 { 1 } else { shape[axis] })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn functions_match_their_definitions(
        function in 0..FUNCTIONS.len(),
        b in 0..4_usize,
        c in 1..6_usize,
        h in 1..30_usize,
        w in 1..12_usize,
        layout in 0..3_u8,
    ) {
        check_function(FUNCTIONS[function], [b, c, h, w], layout);
    }

    #[test]
    fn operands_are_stretched(
        b in 1..4_usize,
        c in 1..5_usize,
        h in 1..30_usize,
        w in 1..12_usize,
        masks in [0..16_u8, 0..16_u8, 0..16_u8, 0..16_u8],
        tracked in 0..16_u8,
    ) {
        check_operands(masks.map(|mask| shrunk([b, c, h, w], mask)), tracked);
    }
}

#[test]
fn all_functions_match_on_many_blocks() {
    for function in FUNCTIONS {
        check_function(function, [3, 5, 67, 40], 0);
    }
    for masks in [[0; 4], [0b1101, 0, 0b1111, 0b0011], [0b0111, 0b1110, 0b1010, 0b0101]] {
        check_operands(masks.map(|mask| shrunk([4, 6, 61, 50], mask)), 15);
    }
}

#[test]
fn corners_are_those_of_pytorch() {
    let device = Device::flex().autodiff();
    let slope = |expression: fn(Chain<1>) -> Chain<1>, at: f32| {
        let x = Tensor::<1>::from_floats([at], &device).require_grad();
        let tape = expression(Chain::of(x.clone())).run().sum().backward();
        x.grad(&tape).unwrap().into_scalar::<f32>()
    };
    assert_eq!(slope(Chain::relu, 0.0), 0.0);
    assert_eq!([0.0, 6.0].map(|at| slope(|x| x.clamp(0.0, 6.0), at)), [1.0, 1.0]);
    assert_eq!([0.0, 6.0].map(|at| slope(|x| x.hard_tanh(0.0, 6.0), at)), [0.0, 0.0]);
    assert_eq!(slope(|x| x.leaky_relu(0.25), 0.0), 0.25);
    assert_eq!(slope(Chain::abs, 0.0), 0.0);
    assert_eq!([-3.0, 3.0].map(|at| slope(Chain::hard_sigmoid, at)), [0.0, 0.0]);
    assert_eq!([-3.0, 3.0].map(|at| slope(Chain::hard_swish, at)), [0.0, 1.0]);
    assert_eq!(slope(|x| x.softplus(1.0), 25.0), 1.0);
}

#[test]
fn nan_and_infinity_pass() {
    let device = Device::flex();
    let x = Tensor::<1>::from_floats([f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &device);
    for expression in [Chain::relu, Chain::sigmoid, Chain::tanh, Chain::exp, Chain::log_sigmoid] {
        let output = numbers(expression(Chain::of(x.clone())).run());
        assert!(output[0].is_nan() && !output[1].is_nan() && !output[2].is_nan(), "{output:?}");
    }
}

#[test]
fn an_operand_may_come_twice_and_expressions_may_be_large() {
    let device = Device::flex().autodiff();
    let x = tensor([3, 50], 1, &device).require_grad();
    let leaves: Vec<Tensor<2>> = (2..9).map(|seed| tensor([3, 50], seed, &device).mul_scalar(0.1)).collect();
    let mut chain = Chain::of(x.clone()).sigmoid().mul(x.clone());
    for leaf in &leaves {
        chain = chain.mul(Chain::of(leaf.clone()).tanh()).add(x.clone());
    }
    for _ in 0..40 {
        chain = chain.affine(0.9, 0.01);
    }
    let output = chain.run();
    let tape = output.clone().sum().backward();
    let got = numbers(x.grad(&tape).unwrap());
    let reference = x.clone().without_autodiff().autodiff().require_grad();
    let mut expected = burn::tensor::activation::sigmoid(reference.clone()) * reference.clone();
    for leaf in leaves {
        expected = expected * leaf.tanh() + reference.clone();
    }
    for _ in 0..40 {
        expected = expected.mul_scalar(0.9).add_scalar(0.01);
    }
    close("output", &numbers(output), &numbers(expected.clone()), 1e-5);
    let tape = expected.sum().backward();
    close("gradient", &got, &numbers(reference.grad(&tape).unwrap()), 1e-5);
}

#[test]
fn operands_that_others_hold_are_left_alone() {
    let device = Device::flex();
    let x = tensor([4, 700], 1, &device);
    let before = x.clone().into_data();
    let _ = activation::relu(x.clone());
    x.into_data().assert_eq(&before, true);
    // Neither is a gradient that is read later, nor an input that another operation has kept.
    let device = device.autodiff();
    let x = tensor([4, 700], 1, &device).require_grad();
    let squared = x.clone() * x.clone();
    let exponential = squared.clone().mul_scalar(-0.1).exp();
    let output = activation::tanh(exponential.clone()) * exponential;
    let tape = output.sum().backward();
    let definition = |x: f64| (-0.1 * x * x).exp().tanh() * (-0.1 * x * x).exp();
    let expected: Vec<f64> = numbers(x.clone()).iter().map(|&x| slope(definition, x)).collect();
    close("gradient", &numbers(x.grad(&tape).unwrap()), &expected, 1e-5);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let device = Device::flex().autodiff();
            let x = tensor([5, 7, 59, 43], 1, &device).require_grad();
            let scale = tensor([7], 2, &device).require_grad();
            let output = Chain::of(x.clone()).mul_channels(scale.clone()).gelu().run();
            let tape = (output * tensor([5, 7, 59, 43], 3, &device)).sum().backward();
            (x.grad(&tape).unwrap().into_data(), scale.grad(&tape).unwrap().into_data())
        })
    };
    let (x, scale) = run(1);
    for threads in [2, 5] {
        let (other_x, other_scale) = run(threads);
        assert!(x.as_bytes() == other_x.as_bytes() && scale.as_bytes() == other_scale.as_bytes());
    }
}

#[test]
fn other_number_types_take_the_frameworks_path() {
    let device = Device::flex();
    let x = tensor([2, 3, 4, 5], 1, &device);
    for (name, expression, _) in FUNCTIONS {
        let single = expression(Chain::of(x.clone())).run().into_data();
        let double = expression(Chain::of(x.clone().cast(DType::F64))).run().into_data();
        assert_eq!(double.dtype(), DType::F64, "{name}");
        double.convert::<f32>().assert_approx_eq::<f32>(&single, Tolerance::rel_abs(1e-4, 1e-4));
    }
}

#[test]
#[should_panic(expected = "operands do not fit together: [[2, 3], [2, 4]]")]
fn operands_must_fit() {
    let device = Device::flex();
    let _ = Chain::of(tensor([2, 3], 1, &device)).add(tensor([2, 4], 1, &device)).run();
}

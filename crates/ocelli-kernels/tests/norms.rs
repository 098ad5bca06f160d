//! Layer, group, instance and root-mean-square normalisation and dropout against their definitions in `f64`: values and every
//! gradient, over shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData};
use ocelli_kernels::{KeptBits, dropout, group_norm, instance_norm, layer_norm, rms_norm};
use proptest::prelude::*;

const EPSILON: f64 = 1e-3;

/// Values that repeat with no short period.
fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64).map(|i| ((i * 2_654_435_761 + seed * 97) % 1009) as f32 / 250.0 - 2.0).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

/// The values of [`tensor`], in memory with the last dimensions swapped if asked.
fn laid_out(shape: [usize; 4], seed: u64, swapped: bool, device: &Device) -> Tensor<4> {
    let plain = tensor(shape, seed, device);
    if !swapped {
        return plain;
    }
    let turned = plain.swap_dims(1, 3).into_data().try_into_vec::<f32>().unwrap();
    let [b, c, h, w] = shape;
    Tensor::<4>::from_data(TensorData::new(turned, [b, w, h, c]), device).swap_dims(1, 3)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 2e-5 * scale, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// Which normalisation, and over how many dimensions or groups.
#[derive(Clone, Copy, Debug)]
enum Norm {
    Layer(usize),
    Rms(usize),
    Group(usize),
    Instance,
}

impl Norm {
    /// Rows that are normalised together, the scales, and the neighbours that one holds for.
    fn extents(self, shape: [usize; 4]) -> [usize; 3] {
        let [batch, channels, ..] = shape;
        let size = shape[2] * shape[3];
        match self {
            Self::Layer(dims) | Self::Rms(dims) => {
                let len = shape[4 - dims..].iter().product();
                [shape[..4 - dims].iter().product(), len, 1]
            }
            Self::Group(groups) => [batch * groups, channels, size],
            Self::Instance => [batch * channels, channels, size],
        }
    }

    fn run(self, x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>) -> Tensor<4> {
        match self {
            Self::Layer(dims) => layer_norm(x, dims, Some([scale, shift]), EPSILON),
            Self::Rms(dims) => rms_norm(x, dims, Some(scale), EPSILON),
            Self::Group(groups) => group_norm(x, groups, Some([scale, shift]), EPSILON),
            Self::Instance => instance_norm(x, Some([scale, shift]), EPSILON),
        }
    }

    /// The definition.
    fn plain(self, shape: [usize; 4], x: &[f64], scale: &[f64], shift: &[f64]) -> Vec<f64> {
        let [rows, scales, run] = self.extents(shape);
        let is_rms = matches!(self, Self::Rms(_));
        let mut output = Vec::new();
        for row in x.chunks(x.len() / rows) {
            let count = row.len() as f64;
            let mean = if is_rms { 0.0 } else { row.iter().sum::<f64>() / count };
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            for x in row {
                let at = output.len() / run % scales;
                let shift = if is_rms { 0.0 } else { shift[at] };
                output.push((x - mean) / (variance + EPSILON).sqrt() * scale[at] + shift);
            }
        }
        output
    }
}

fn check(norm: Norm, shape: [usize; 4], swapped: bool) {
    let device = Device::flex().autodiff();
    let [_, scales, _] = norm.extents(shape);
    let x = laid_out(shape, 1, swapped, &device).require_grad();
    let [scale, shift] = [2, 3].map(|seed| tensor([scales], seed, &device).require_grad());
    let weights = laid_out(shape, 9, swapped, &device);
    let output = norm.run(x.clone(), scale.clone(), shift.clone());
    let what = format!("{norm:?} of {shape:?}");
    let plain = norm.plain(shape, &numbers(x.clone()), &numbers(scale.clone()), &numbers(shift.clone()));
    close(&what, &numbers(output.clone()), &plain);
    let tape = (output * weights.clone()).sum().backward();
    // The framework's own operations in double precision.
    let double = |tensor: Tensor<1>| tensor.without_autodiff().cast(DType::F64).autodiff().require_grad();
    let x_double = x.clone().without_autodiff().cast(DType::F64).autodiff().require_grad();
    let (scale_double, shift_double) = (double(scale.clone()), double(shift.clone()));
    let output = norm.run(x_double.clone(), scale_double.clone(), shift_double.clone());
    close(&what, &numbers(output.clone()), &plain);
    let tape_double = (output * weights.cast(DType::F64)).sum().backward();
    let gradient = |what: &str, got: Tensor<1>, expected: Tensor<1>| {
        close(what, &numbers(got), &numbers(expected));
    };
    let flat = |x: &Tensor<4>, tape| x.grad(tape).unwrap().flatten::<1>(0, 3);
    gradient(&format!("{what}, input"), flat(&x, &tape), flat(&x_double, &tape_double));
    let expected = scale_double.grad(&tape_double).unwrap();
    gradient(&format!("{what}, scale"), scale.grad(&tape).unwrap(), expected);
    if !matches!(norm, Norm::Rms(_)) {
        let expected = shift_double.grad(&tape_double).unwrap();
        gradient(&format!("{what}, shift"), shift.grad(&tape).unwrap(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn normalisations_match_their_definitions(
        kind in 0..4_usize,
        dims in 1..4_usize,
        b in 1..5_usize,
        channels in 1..5_usize,
        groups in 1..4_usize,
        h in 1..20_usize,
        w in 1..40_usize,
        swapped in any::<bool>(),
    ) {
        let norm = [Norm::Layer(dims), Norm::Rms(dims), Norm::Group(groups), Norm::Instance][kind];
        check(norm, [b, channels * groups, h, w], swapped);
    }

    #[test]
    fn dropout_matches_its_definition(rows in 0..70_usize, columns in 1..90_usize, swapped in any::<bool>()) {
        check_dropout([rows, columns], swapped);
    }
}

fn check_dropout([rows, columns]: [usize; 2], swapped: bool) {
    let device = Device::flex().autodiff();
    let x = if swapped {
        tensor([columns, rows], 1, &device).require_grad()
    } else {
        tensor([rows, columns], 1, &device).require_grad()
    };
    let seen = if swapped { x.clone().swap_dims(0, 1) } else { x.clone() };
    let is_kept: Vec<bool> = (0..rows * columns).map(|at| at * at % 7 < 4).collect();
    let mut answers = is_kept.iter();
    let kept = KeptBits::draw(rows * columns, || *answers.next().unwrap());
    let weights = tensor([rows, columns], 9, &device);
    let output = dropout(seen.clone(), &kept, 1.25);
    let masked = |values: Vec<f64>| -> Vec<f64> {
        values.iter().zip(&is_kept).map(|(value, kept)| if *kept { 1.25 * value } else { 0.0 }).collect()
    };
    close("output", &numbers(output.clone()), &masked(numbers(seen.clone())));
    let double = dropout(seen.without_autodiff().cast(DType::F64), &kept, 1.25);
    close("framework's output", &numbers(double), &numbers(output.clone()));
    let tape = (output * weights.clone()).sum().backward();
    let gradient = x.grad(&tape).unwrap();
    let gradient = if swapped { gradient.swap_dims(0, 1) } else { gradient };
    close("gradient", &numbers(gradient), &masked(numbers(weights)));
}

#[test]
fn many_pieces_match_too() {
    check(Norm::Layer(1), [4, 9, 30, 96], false);
    check(Norm::Layer(3), [6, 5, 70, 30], false);
    check(Norm::Group(4), [5, 16, 40, 30], true);
    check(Norm::Group(3), [300, 48, 1, 1], false);
    check(Norm::Instance, [3, 8, 90, 30], false);
    check_dropout([400, 192], false);
}

#[test]
fn empty_tensors_stay_empty() {
    let device = Device::flex().autodiff();
    for shape in [[0, 4, 2, 3], [2, 4, 0, 3]] {
        assert_eq!(layer_norm(Tensor::<4>::zeros(shape, &device), 1, None, EPSILON).dims(), shape);
        assert_eq!(group_norm(Tensor::<4>::zeros(shape, &device), 2, None, EPSILON).dims(), shape);
    }
}

#[test]
fn without_scales_the_statistics_are_those_of_the_normal_distribution() {
    let device = Device::flex();
    let output = numbers(layer_norm(tensor([3, 500], 1, &device), 1, None, 0.0));
    for row in output.chunks(500) {
        assert!(row.iter().sum::<f64>().abs() < 1e-3);
        assert!((row.iter().map(|x| x * x).sum::<f64>() / 500.0 - 1.0).abs() < 1e-5);
    }
    let output = numbers(rms_norm(tensor([3, 500], 1, &device), 1, None, 0.0));
    assert!(output.chunks(500).all(|row| (row.iter().map(|x| x * x).sum::<f64>() - 500.0).abs() < 1e-2));
}

#[test]
fn large_means_cost_no_precision() {
    let device = Device::flex();
    let x = tensor([4, 256], 1, &device).mul_scalar(0.01).add_scalar(1000.0);
    let output = numbers(layer_norm(x, 1, None, 0.0));
    assert!((output.iter().map(|x| x * x).sum::<f64>() / 1024.0 - 1.0).abs() < 1e-3);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let device = Device::flex().autodiff();
            let x = tensor([6, 12, 50, 40], 1, &device).require_grad();
            let [scale, shift] = [2, 3].map(|seed| tensor([12], seed, &device).require_grad());
            let output = group_norm(x.clone(), 4, Some([scale.clone(), shift]), EPSILON);
            let tape = (output * tensor([6, 12, 50, 40], 9, &device)).sum().backward();
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
#[should_panic(expected = "3 groups of 4 channels")]
fn groups_must_divide_the_channels() {
    group_norm(Tensor::<3>::zeros([1, 4, 2], &Device::flex()), 3, None, EPSILON);
}

#[test]
#[should_panic(expected = "2 scales and 2 shifts for 4")]
fn a_scale_a_number_is_demanded() {
    let device = Device::flex();
    let affine = [Tensor::zeros([2], &device), Tensor::zeros([2], &device)];
    layer_norm(Tensor::<2>::zeros([1, 4], &device), 1, Some(affine), EPSILON);
}

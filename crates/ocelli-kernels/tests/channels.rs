//! PReLU, batch normalisation and subsampling against their definitions in `f64`: forward and every gradient, over shapes and
//! layouts; and against Burn's own operations.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance, activation};
use ocelli_kernels::{batch_norm, prelu, subsample};
use proptest::prelude::*;

const EPSILON: f64 = 1e-5;

/// Values that repeat with no short period, some of them exactly 0.
fn values(n: usize, seed: u64) -> Vec<f32> {
    let value = |i: u64| ((i * 2_654_435_761 + seed * 97) % 1009) as f32 / 250.0 - 2.0;
    (0..n as u64).map(|i| if i % 13 == 5 { 0.0 } else { value(i) }).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

/// The values of [`tensor`], in memory with height and width swapped if asked.
fn laid_out(shape: [usize; 4], seed: u64, swapped: bool, device: &Device) -> Tensor<4> {
    let plain = tensor(shape, seed, device);
    if !swapped {
        return plain;
    }
    let [batch, channels, height, width] = shape;
    let turned = plain.swap_dims(2, 3).into_data().try_into_vec::<f32>().unwrap();
    Tensor::<4>::from_data(TensorData::new(turned, [batch, channels, width, height]), device).swap_dims(2, 3)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-5 * scale, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// The channel of every number.
fn channels([batch, channels, height, width]: [usize; 4]) -> impl Iterator<Item = usize> {
    (0..batch).flat_map(move |_| (0..channels).flat_map(move |c| (0..height * width).map(move |_| c)))
}

/// Sums `terms` by channel.
fn by_channel(shape: [usize; 4], terms: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sums = vec![0.0; shape[1]];
    channels(shape).zip(terms).for_each(|(c, term)| sums[c] += term);
    sums
}

fn check_prelu(shape: [usize; 4], swapped: bool) {
    let device = Device::flex().autodiff();
    let x = laid_out(shape, 1, swapped, &device).require_grad();
    let slope = tensor([shape[1]], 3, &device).require_grad();
    let weights = laid_out(shape, 9, swapped, &device);
    let output = prelu(x.clone(), slope.clone());
    let tape = (output.clone() * weights.clone()).sum().backward();

    let (x_values, slopes, weights) = (numbers(x.clone()), numbers(slope.clone()), numbers(weights));
    let slope_at: Vec<f64> = channels(shape).map(|c| slopes[c]).collect();
    let terms = || x_values.iter().zip(&slope_at).zip(&weights);
    let expected: Vec<f64> = terms().map(|((&x, a), _)| if x > 0.0 { x } else { a * x }).collect();
    close("output", &numbers(output), &expected);
    let expected: Vec<f64> = terms().map(|((&x, a), g)| if x > 0.0 { *g } else { a * g }).collect();
    close("input gradient", &numbers(x.grad(&tape).unwrap()), &expected);
    let expected = by_channel(shape, terms().map(|((&x, _), g)| x.min(0.0) * g));
    close("slope gradient", &numbers(slope.grad(&tape).unwrap()), &expected);
}

fn check_norm(shape: [usize; 4], swapped: bool) {
    let device = Device::flex().autodiff();
    let x = laid_out(shape, 1, swapped, &device).require_grad();
    let [gamma, beta] = [4, 5].map(|seed| tensor([shape[1]], seed, &device).require_grad());
    let weights = laid_out(shape, 9, swapped, &device);
    let result = batch_norm(x.clone(), gamma.clone(), beta.clone(), EPSILON);
    let tape = (result.output.clone() * weights.clone()).sum().backward();

    let [x_values, weights] = [numbers(x.clone()), numbers(weights)];
    let [scales, shifts] = [numbers(gamma.clone()), numbers(beta.clone())];
    let count = x_values.len() as f64 / shape[1] as f64;
    let mean: Vec<f64> = by_channel(shape, x_values.iter().copied()).iter().map(|sum| sum / count).collect();
    let centred: Vec<f64> = x_values.iter().zip(channels(shape)).map(|(x, c)| x - mean[c]).collect();
    let variance: Vec<f64> =
        by_channel(shape, centred.iter().map(|x| x * x)).iter().map(|sum| sum / count).collect();
    let deviation: Vec<f64> = variance.iter().map(|v| (v + EPSILON).sqrt()).collect();
    let normal: Vec<f64> = centred.iter().zip(channels(shape)).map(|(x, c)| x / deviation[c]).collect();
    let expected: Vec<f64> =
        normal.iter().zip(channels(shape)).map(|(x, c)| x * scales[c] + shifts[c]).collect();
    close("output", &numbers(result.output), &expected);
    close("mean", &numbers(result.mean), &mean);
    close("variance", &numbers(result.variance), &variance);

    let to_beta = by_channel(shape, weights.iter().copied());
    let to_gamma = by_channel(shape, weights.iter().zip(&normal).map(|(g, x)| g * x));
    close("beta gradient", &numbers(beta.grad(&tape).unwrap()), &to_beta);
    close("gamma gradient", &numbers(gamma.grad(&tape).unwrap()), &to_gamma);
    let expected: Vec<f64> = weights
        .iter()
        .zip(&normal)
        .zip(channels(shape))
        .map(|((g, x), c)| scales[c] / deviation[c] * (g - to_beta[c] / count - x * to_gamma[c] / count))
        .collect();
    // Where all values are almost alike the gradient is a difference of large numbers.
    let steepest = deviation.iter().fold(1.0_f64, |steepest, d| steepest.max(d.recip()));
    let relative = |values: Vec<f64>| values.iter().map(|v| v / steepest).collect::<Vec<_>>();
    close("input gradient", &relative(numbers(x.grad(&tape).unwrap())), &relative(expected));
}

fn check_subsample(shape: [usize; 4], stride: [usize; 2], swapped: bool) {
    let device = Device::flex().autodiff();
    let x = laid_out(shape, 1, swapped, &device).require_grad();
    let output = subsample(x.clone(), stride);
    let [batch, channels, height, width] = shape;
    let out_shape = [batch, channels, height.div_ceil(stride[0]), width.div_ceil(stride[1])];
    assert_eq!(output.dims(), out_shape);
    let weights = laid_out(out_shape, 9, swapped, &device);
    let tape = (output.clone() * weights.clone()).sum().backward();

    let (x_values, mut weights) = (numbers(x.clone()), numbers(weights).into_iter());
    let is_kept =
        |at: usize| (at / width % height).is_multiple_of(stride[0]) && (at % width).is_multiple_of(stride[1]);
    let kept: Vec<f64> = (0..x_values.len()).filter(|&at| is_kept(at)).map(|at| x_values[at]).collect();
    assert_eq!(numbers(output), kept);
    let gradient: Vec<f64> =
        (0..x_values.len()).map(|at| if is_kept(at) { weights.next().unwrap() } else { 0.0 }).collect();
    assert_eq!(numbers(x.grad(&tape).unwrap()), gradient);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn subsampling_matches_its_definition(
        b in 0..4_usize,
        c in 1..5_usize,
        size in [0..14_usize, 0..14_usize],
        stride in [1..4_usize, 1..4_usize],
        swapped in any::<bool>(),
    ) {
        check_subsample([b, c, size[0], size[1]], stride, swapped);
    }

    #[test]
    fn prelu_matches_its_definition(
        b in 0..5_usize, c in 1..9_usize, h in 1..23_usize, w in 1..12_usize, swapped in any::<bool>()
    ) {
        check_prelu([b, c, h, w], swapped);
    }

    #[test]
    fn normalisation_matches_its_definition(
        b in 2..6_usize, c in 1..9_usize, h in 1..23_usize, w in 1..12_usize, swapped in any::<bool>()
    ) {
        check_norm([b, c, h, w], swapped);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let device = Device::flex().autodiff();
            let shape = [5, 7, 19, 13];
            let x = tensor(shape, 1, &device).require_grad();
            let slope = tensor([7], 2, &device).require_grad();
            let result = batch_norm(x.clone(), slope.clone(), slope.clone(), EPSILON);
            let tape = (prelu(result.output, slope.clone()) * tensor(shape, 3, &device)).sum().backward();
            (x.grad(&tape).unwrap().into_data(), slope.grad(&tape).unwrap().into_data())
        })
    };
    let (x, slope) = run(1);
    for threads in [2, 5] {
        let (other_x, other_slope) = run(threads);
        assert!(x.as_bytes() == other_x.as_bytes() && slope.as_bytes() == other_slope.as_bytes());
    }
}

#[test]
fn gradients_flow_only_to_what_tracks_them() {
    let (plain, tracking) = (Device::flex(), Device::flex().autodiff());
    let (x, slope) = (tensor([2, 3, 4, 4], 1, &plain), tensor([3], 2, &plain));
    let tracked = tensor([3], 2, &tracking).require_grad();
    let tape = prelu(x.clone(), tracked.clone()).sum().backward();
    assert!(tracked.grad(&tape).is_some());
    let tape = batch_norm(x.clone(), slope.clone(), tracked.clone(), EPSILON).output.sum().backward();
    assert_eq!(numbers(tracked.grad(&tape).unwrap()), [32.0; 3]);
    let leaf = tensor([2, 3, 4, 4], 1, &tracking).require_grad();
    let tape = prelu(leaf.clone(), slope.clone()).sum().backward();
    assert!(leaf.grad(&tape).is_some());
}

#[test]
fn what_comes_after_sees_the_output_again() {
    let device = Device::flex().autodiff();
    let shape = [2, 3, 5, 7];
    let gradients = |rectify: fn(Tensor<4>, Tensor<1>) -> Tensor<4>, tracked: bool| {
        let x = tensor(shape, 1, &device);
        let x = if tracked { x.require_grad() } else { x };
        let slopes = [2, 4].map(|seed| tensor([3], seed, &device).require_grad());
        // Each output is asked for by several backward steps, and the second is formed from the first.
        let first = rectify(x.clone(), slopes[0].clone());
        let second = rectify(first.clone() * first.clone(), slopes[1].clone());
        let third = rectify(second.clone(), slopes[0].clone());
        let tape = (second.clone() * third.clone() * third + first * second).sum().backward();
        let slopes = slopes.iter().map(|slope| numbers(slope.grad(&tape).unwrap()));
        slopes.chain(x.grad(&tape).map(numbers)).collect::<Vec<_>>()
    };
    for tracked in [true, false] {
        let (got, expected) = (gradients(prelu, tracked), gradients(activation::prelu, tracked));
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            close("gradient", got, expected);
        }
    }
}

#[test]
fn constants_need_no_recording() {
    let device = Device::flex();
    let x = tensor([2, 3, 4, 4], 1, &device);
    let output = prelu(x.clone(), tensor([3], 2, &device));
    assert!(!output.is_autodiff());
    let result = batch_norm(x, tensor([3], 2, &device), tensor([3], 3, &device), EPSILON);
    assert!(!subsample(result.output.clone(), [2, 2]).is_autodiff());
    assert!(!result.output.is_autodiff() && !result.mean.is_autodiff());
}

#[test]
fn other_number_types_take_the_frameworks_path() {
    let device = Device::flex();
    let (x, slope) = (tensor([2, 3, 4, 5], 1, &device), tensor([3], 2, &device));
    let double = |tensor: Tensor<1>| tensor.cast(DType::F64);
    let near = |single: TensorData, double: TensorData| {
        assert_eq!(double.dtype(), DType::F64);
        double.convert::<f32>().assert_approx_eq::<f32>(&single, Tolerance::absolute(1e-4));
    };
    near(
        prelu(x.clone(), slope.clone()).into_data(),
        prelu(x.clone().cast(DType::F64), double(slope.clone())).into_data(),
    );
    near(subsample(x.clone(), [2, 3]).into_data(), subsample(x.clone().cast(DType::F64), [2, 3]).into_data());
    near(
        batch_norm(x.clone(), slope.clone(), slope.clone(), EPSILON).output.into_data(),
        batch_norm(x.cast(DType::F64), double(slope.clone()), double(slope), EPSILON).output.into_data(),
    );
}

#[test]
fn large_means_cost_no_precision() {
    let device = Device::flex();
    let x = tensor([4, 1, 8, 8], 1, &device).mul_scalar(0.01).add_scalar(1000.0);
    let result = batch_norm(x.clone(), Tensor::ones([1], &device), Tensor::zeros([1], &device), 0.0);
    let spread = x.sub_scalar(1000.0).flatten::<1>(0, 3).var_bias(0).into_scalar::<f32>();
    let got = result.variance.into_scalar::<f32>();
    assert!((got / spread - 1.0).abs() < 2e-2, "{got}, expected {spread}");
}

#[test]
#[should_panic(expected = "found 2 slopes for 3 channels")]
fn a_slope_a_channel_is_demanded() {
    prelu(Tensor::<2>::zeros([1, 3], &Device::flex()), Tensor::zeros([2], &Device::flex()));
}

#[test]
#[should_panic(expected = "found 3 scales and 2 shifts for 3 channels")]
fn a_scale_and_a_shift_a_channel_are_demanded() {
    let device = Device::flex();
    batch_norm(
        Tensor::<2>::zeros([1, 3], &device),
        Tensor::zeros([3], &device),
        Tensor::zeros([2], &device),
        0.0,
    );
}

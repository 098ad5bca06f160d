//! Convolution against plain nested loops: forward and every gradient, over random shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use ocelli_kernels::{ConvOptions, conv2d};
use proptest::prelude::*;

/// The convolution by its definition, in `f64`: output, and the gradients of input, weight and bias.
struct Twin {
    output: Vec<f64>,
    input_gradient: Vec<f64>,
    weight_gradient: Vec<f64>,
    bias_gradient: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    group_in: usize,
    group_out: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    options: ConvOptions,
    layout: Layout,
    seed: u64,
}

/// How the input tensor lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Contiguous,
    Swapped,
    Sliced,
}

impl Case {
    fn x_shape(&self) -> [usize; 4] {
        [self.batch, self.group_in * self.options.groups, self.size[0], self.size[1]]
    }

    fn weight_shape(&self) -> [usize; 4] {
        [self.group_out * self.options.groups, self.group_in, self.kernel[0], self.kernel[1]]
    }

    fn out_shape(&self) -> [usize; 4] {
        let extent = |axis: usize| {
            let padded = self.size[axis] + 2 * self.options.padding[axis];
            let reach = self.options.dilation[axis] * (self.kernel[axis] - 1) + 1;
            (padded - reach) / self.options.stride[axis] + 1
        };
        [self.batch, self.group_out * self.options.groups, extent(0), extent(1)]
    }

    /// Values of x, weight, bias and the output's gradient.
    fn numbers(&self) -> [Vec<f32>; 4] {
        let out_shape = self.out_shape();
        [
            numbers(self.seed, &self.x_shape()),
            numbers(self.seed + 1, &self.weight_shape()),
            numbers(self.seed + 2, &out_shape[1..2]),
            numbers(self.seed + 3, &out_shape),
        ]
    }

    fn products(&self) -> usize {
        self.out_shape().iter().product::<usize>() * self.group_in * self.kernel[0] * self.kernel[1]
    }

    fn fits(&self) -> bool {
        (0..2).all(|axis| {
            self.options.dilation[axis] * (self.kernel[axis] - 1)
                < self.size[axis] + 2 * self.options.padding[axis]
        })
    }

    fn twin(&self, x: &[f32], weight: &[f32], bias: &[f32], gradient: &[f32]) -> Twin {
        let ([_, channels, height, width], [_, filters, out_height, out_width]) =
            (self.x_shape(), self.out_shape());
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        let mut twin = Twin {
            output: vec![0.0; gradient.len()],
            input_gradient: vec![0.0; x.len()],
            weight_gradient: vec![0.0; weight.len()],
            bias_gradient: vec![0.0; bias.len()],
        };
        for image in 0..self.batch {
            for (filter, &bias) in bias.iter().enumerate() {
                for row in 0..out_height {
                    for col in 0..out_width {
                        let out = ((image * filters + filter) * out_height + row) * out_width + col;
                        let g = f64::from(gradient[out]);
                        twin.output[out] += f64::from(bias);
                        twin.bias_gradient[filter] += g;
                        for c in 0..self.group_in {
                            let channel = filter / self.group_out * self.group_in + c;
                            for i in 0..self.kernel[0] {
                                for j in 0..self.kernel[1] {
                                    let y = (row * stride[0] + i * dilation[0]).wrapping_sub(padding[0]);
                                    let x_ = (col * stride[1] + j * dilation[1]).wrapping_sub(padding[1]);
                                    if y >= height || x_ >= width {
                                        continue;
                                    }
                                    let at = ((image * channels + channel) * height + y) * width + x_;
                                    let w = ((filter * self.group_in + c) * self.kernel[0] + i)
                                        * self.kernel[1]
                                        + j;
                                    twin.output[out] += f64::from(weight[w]) * f64::from(x[at]);
                                    twin.input_gradient[at] += f64::from(weight[w]) * g;
                                    twin.weight_gradient[w] += f64::from(x[at]) * g;
                                }
                            }
                        }
                    }
                }
            }
        }
        twin
    }
}

fn numbers(seed: u64, shape: &[usize]) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..shape.iter().product::<usize>())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// A tensor of these values whose memory is laid out as asked.
fn laid_out(values: &[f32], shape: [usize; 4], layout: Layout, device: &Device) -> Tensor<4> {
    let plain = tensor(values, shape, device);
    match layout {
        Layout::Contiguous => plain,
        Layout::Swapped => {
            let [batch, channels, height, width] = shape;
            let swapped = plain.swap_dims(1, 3).into_data().try_to_vec::<f32>().unwrap();
            tensor(&swapped, [batch, width, height, channels], device).swap_dims(1, 3)
        }
        Layout::Sliced => {
            let [batch, channels, height, width] = shape;
            let noise = numbers(99, &[batch, channels + 2, height + 1, width + 3]);
            let wide = tensor(&noise, [batch, channels + 2, height + 1, width + 3], device);
            let region = [0..batch, 1..channels + 1, 1..height + 1, 2..width + 2];
            wide.slice_assign(region.clone(), plain).slice(region)
        }
    }
}

fn assert_close(what: &str, got: TensorData, expected: &[f64], terms: usize) {
    let got = got.try_to_vec::<f32>().unwrap();
    assert_eq!(got.len(), expected.len(), "{what}");
    // Every term is at most one, so rounding errors grow with the square root of their number.
    let tolerance = 3e-6 * (terms as f64).sqrt() + 1e-6;
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error <= tolerance, "{what}[{index}]: {got}, expected {expected}, tolerance {tolerance}");
    }
}

/// Output and gradients of input, weight and bias.
fn run(case: Case) -> [TensorData; 4] {
    let device = Device::flex().autodiff();
    let [x, weight, bias, gradient] = case.numbers();
    let x = laid_out(&x, case.x_shape(), case.layout, &device).require_grad();
    let weight = laid_out(&weight, case.weight_shape(), case.layout, &device).require_grad();
    let bias = tensor(&bias, [bias.len()], &device).require_grad();
    let output = conv2d(x.clone(), weight.clone(), Some(bias.clone()), case.options);
    assert_eq!(output.dims(), case.out_shape());
    // Addition hands its gradient on as it came, in whatever layout; the product makes that the given one.
    let gradient = laid_out(&gradient, case.out_shape(), case.layout, &device);
    let gradients = (output.clone() * gradient).sum().backward();
    [
        output.into_data(),
        x.grad(&gradients).unwrap().into_data(),
        weight.grad(&gradients).unwrap().into_data(),
        bias.grad(&gradients).unwrap().into_data(),
    ]
}

fn check(case: Case) {
    let [x, weight, bias, gradient] = case.numbers();
    let twin = case.twin(&x, &weight, &bias, &gradient);
    let [output, input_gradient, weight_gradient, bias_gradient] = run(case);
    let [batch, _, height, width] = case.out_shape();
    let (area, positions) = (case.kernel[0] * case.kernel[1], batch * height * width);
    assert_close("output", output, &twin.output, case.group_in * area + 1);
    assert_close("input gradient", input_gradient, &twin.input_gradient, case.group_out * area);
    assert_close("weight gradient", weight_gradient, &twin.weight_gradient, positions);
    assert_close("bias gradient", bias_gradient, &twin.bias_gradient, positions);
}

fn pair(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = [usize; 2]> {
    [range.clone(), range]
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Contiguous), Just(Layout::Swapped), Just(Layout::Sliced)]
}

/// Every option and ragged shape, small enough for many cases.
fn small_cases() -> impl Strategy<Value = Case> {
    let options = (pair(1..=3), pair(0..=3), pair(1..=3), 1..=4_usize)
        .prop_map(|(stride, padding, dilation, groups)| ConvOptions { stride, padding, dilation, groups });
    (0..=5_usize, 1..=5_usize, 1..=9_usize, pair(1..=17), pair(1..=4), options, layouts(), 0..1000_u64)
        .prop_map(|(batch, group_in, group_out, size, kernel, options, layout, seed)| Case {
            batch,
            group_in,
            group_out,
            size,
            kernel,
            options,
            layout,
            seed,
        })
        .prop_filter("the kernel fits the padded picture", Case::fits)
}

/// Shapes that need several tiles, panels, channel blocks and batch slices.
fn large_cases() -> impl Strategy<Value = Case> {
    let options = (pair(1..=2), pair(0..=1), 1..=2_usize).prop_map(|(stride, padding, groups)| ConvOptions {
        stride,
        padding,
        dilation: [1, 1],
        groups,
    });
    (1..=20_usize, 1..=80_usize, 1..=110_usize, pair(1..=70), pair(1..=3), options, layouts(), 0..1000_u64)
        .prop_map(|(batch, group_in, group_out, size, kernel, options, layout, seed)| Case {
            batch,
            group_in,
            group_out,
            size,
            kernel,
            options,
            layout,
            seed,
        })
        .prop_filter("the kernel fits the padded picture", Case::fits)
        .prop_filter("small enough for the definition", |case| {
            (100_000..20_000_000).contains(&case.products())
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn small_shapes_match_the_definition(case in small_cases()) {
        check(case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(60) })]
    #[test]
    fn large_shapes_match_the_definition(case in large_cases()) {
        check(case);
    }
}

const fn case(batch: usize, channels: [usize; 2], size: [usize; 2], kernel: usize, stride: usize) -> Case {
    let options = ConvOptions { stride: [stride; 2], padding: [kernel / 2; 2], dilation: [1, 1], groups: 1 };
    let [group_in, group_out] = channels;
    Case {
        batch,
        group_in,
        group_out,
        size,
        kernel: [kernel; 2],
        options,
        layout: Layout::Contiguous,
        seed: 7,
    }
}

const fn depthwise(batch: usize, channels: usize, size: [usize; 2], kernel: usize, stride: usize) -> Case {
    let mut case = case(batch, [1, 1], size, kernel, stride);
    case.options.groups = channels;
    case
}

/// Shapes of the networks, in small batches.
const NETWORK_CASES: [Case; 10] = [
    case(2, [16, 32], [56, 56], 3, 1),
    case(2, [64, 64], [28, 28], 3, 1),
    case(5, [40, 50], [7, 7], 3, 1),
    case(9, [64, 33], [4, 4], 3, 1),
    case(2, [64, 70], [28, 28], 3, 2),
    case(3, [130, 60], [14, 14], 1, 1),
    case(3, [60, 40], [15, 14], 1, 2),
    case(1, [3, 64], [112, 112], 7, 2),
    depthwise(3, 20, [28, 28], 3, 1),
    depthwise(3, 20, [29, 27], 5, 2),
];

#[test]
fn network_shapes_match_the_definition() {
    NETWORK_CASES.into_iter().for_each(check);
}

#[test]
fn pictures_of_padding_alone_give_the_bias() {
    let options = ConvOptions { padding: [1, 1], ..ConvOptions::default() };
    for groups in [1, 3] {
        check(Case {
            size: [0, 4],
            kernel: [2, 2],
            options: ConvOptions { groups, ..options },
            ..case(2, [1, 2], [0, 0], 1, 1)
        });
    }
}

#[test]
fn depthwise_with_several_filters_a_channel_matches_the_definition() {
    check(Case { group_out: 3, ..depthwise(2, 7, [19, 23], 3, 2) });
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for case in NETWORK_CASES {
        let with_threads = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| run(case))
        };
        let one = with_threads(1);
        for threads in [2, 3, 16] {
            for (one, many) in one.iter().zip(with_threads(threads)) {
                assert!(one.as_bytes() == many.as_bytes(), "{case:?} differs with {threads} threads");
            }
        }
    }
}

#[test]
fn works_without_gradients() {
    let case = NETWORK_CASES[0];
    let [x, weight, bias, _] = case.numbers();
    let device = Device::flex();
    let x = tensor(&x, case.x_shape(), &device);
    let weight = tensor(&weight, case.weight_shape(), &device);
    let [with_bias, ..] = run(case);
    let plain = conv2d(x.clone(), weight.clone(), Some(tensor(&bias, [bias.len()], &device)), case.options);
    plain.into_data().assert_eq(&with_bias, true);
    let zero = tensor(&vec![0.0; bias.len()], [bias.len()], &device);
    let unbiased = conv2d(x.clone(), weight.clone(), None, case.options);
    unbiased.into_data().assert_eq(&conv2d(x, weight, Some(zero), case.options).into_data(), true);
}

#[test]
fn gradients_flow_only_to_what_tracks_them() {
    let case = case(2, [3, 5], [9, 8], 3, 2);
    let [_, x_gradient, weight_gradient, bias_gradient] = run(case);
    let [x, weight, bias, gradient] = case.numbers();
    let (plain, tracking) = (Device::flex(), Device::flex().autodiff());
    for tracked in 1..8_u8 {
        let is_tracked = |bit: u8| tracked >> bit & 1 == 1;
        let device = |bit: u8| if is_tracked(bit) { &tracking } else { &plain };
        let x = tensor(&x, case.x_shape(), device(0));
        let weight = tensor(&weight, case.weight_shape(), device(1));
        let bias = tensor(&bias, [bias.len()], device(2));
        let x = if is_tracked(0) { x.require_grad() } else { x };
        let weight = if is_tracked(1) { weight.require_grad() } else { weight };
        let bias = if is_tracked(2) { bias.require_grad() } else { bias };
        let output = conv2d(x.clone(), weight.clone(), Some(bias.clone()), case.options);
        let gradients = (output * tensor(&gradient, case.out_shape(), &tracking)).sum().backward();
        for (bit, got, expected) in [
            (0, is_tracked(0).then(|| x.grad(&gradients)).flatten().map(Tensor::into_data), &x_gradient),
            (
                1,
                is_tracked(1).then(|| weight.grad(&gradients)).flatten().map(Tensor::into_data),
                &weight_gradient,
            ),
            (
                2,
                is_tracked(2).then(|| bias.grad(&gradients)).flatten().map(Tensor::into_data),
                &bias_gradient,
            ),
        ] {
            match got {
                Some(got) => got.assert_eq(expected, true),
                None => assert!(!is_tracked(bit), "parent {bit} got no gradient"),
            }
        }
    }
}

#[test]
fn other_number_types_take_the_frameworks_path() {
    let case = case(2, [3, 4], [6, 5], 3, 1);
    let [x, weight, ..] = case.numbers();
    let device = Device::flex();
    let (x, weight) = (tensor(&x, case.x_shape(), &device), tensor(&weight, case.weight_shape(), &device));
    let single = conv2d(x.clone(), weight.clone(), None, case.options).into_data();
    let double = conv2d(x.cast(DType::F64), weight.cast(DType::F64), None, case.options).into_data();
    assert_eq!(double.dtype(), DType::F64);
    double.convert::<f32>().assert_approx_eq::<f32>(&single, Tolerance::absolute(1e-5));
}

#[test]
fn misfits_are_explained() {
    let device = Device::flex();
    let message = |x: [usize; 4], weight: [usize; 4], bias: Option<usize>, options: ConvOptions| {
        let run = || {
            let bias = bias.map(|len| Tensor::zeros([len], &device));
            conv2d(Tensor::zeros(x, &device), Tensor::zeros(weight, &device), bias, options)
        };
        let error = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        error.downcast_ref::<String>().unwrap().clone()
    };
    let options = ConvOptions::default();
    assert_eq!(
        message([1, 3, 4, 4], [5, 2, 3, 3], None, options),
        "conv2d: the input has 3 channels, the weight expects 2 (in 1 groups)"
    );
    assert_eq!(
        message([1, 3, 4, 2], [5, 3, 3, 3], None, options),
        "conv2d: the dilated kernel spans 3 pixels of width but the padded input has only 2"
    );
    assert_eq!(
        message([1, 3, 4, 4], [5, 3, 3, 3], Some(4), options),
        "conv2d: the bias has 4 values for 5 output channels"
    );
    assert_eq!(
        message([1, 4, 4, 4], [5, 2, 3, 3], None, ConvOptions { groups: 2, ..options }),
        "conv2d: 5 output channels do not divide into 2 groups"
    );
    assert!(
        message([1, 3, 4, 4], [5, 3, 3, 3], None, ConvOptions { stride: [0, 1], ..options })
            .contains("at least 1")
    );
    assert!(message([1, 0, 4, 4], [5, 0, 3, 3], None, options).contains("both need channels"));
    assert!(message([1, 3, 4, 4], [5, 3, 0, 3], None, options).contains("is empty"));
}

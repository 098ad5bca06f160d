//! Convolution against plain nested loops: forward and every gradient, over random shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData, Tolerance};
use ocelli_kernels::{
    ConvOptions, TransposeOptions, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d, conv2d,
    conv3d,
};
use proptest::prelude::*;

/// The convolution by its definition, in `f64`: output, and the gradients of input, weight and bias.
struct Twin {
    output: Vec<f64>,
    input_gradient: Vec<f64>,
    weight_gradient: Vec<f64>,
    bias_gradient: Vec<f64>,
}

/// A convolution, or a transposed one, with up to three spatial axes; those that a tensor lacks have one pixel.
#[derive(Clone, Copy, Debug)]
struct Case {
    rank: usize,
    transposed: bool,
    batch: usize,
    /// Channels of a group on the side of the many pixels: the input of a convolution.
    group_in: usize,
    /// Channels of a group on the side of the filters.
    group_out: usize,
    /// Of the argument.
    size: [usize; 3],
    kernel: [usize; 3],
    options: ConvOptions<3>,
    output_padding: [usize; 3],
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
    /// Sides of the many pixels and of the few: input and output of a convolution, the other way round if transposed.
    fn sides(&self) -> [Vec<usize>; 2] {
        let ConvOptions { stride, padding, dilation, groups } = self.options;
        let reach = |axis: usize| dilation[axis] * (self.kernel[axis] - 1) + 1;
        let other = std::array::from_fn(|axis| match self.transposed {
            false => (self.size[axis] + 2 * padding[axis] - reach(axis)) / stride[axis] + 1,
            true => {
                (self.size[axis] - 1) * stride[axis] + reach(axis) + self.output_padding[axis]
                    - 2 * padding[axis]
            }
        });
        let [many, few] = if self.transposed { [other, self.size] } else { [self.size, other] };
        let shape =
            |channels: usize, size: [usize; 3]| [&[self.batch, channels * groups], &size[..]].concat();
        [shape(self.group_in, many), shape(self.group_out, few)]
    }

    /// Shapes of argument, weight and result, over three axes.
    fn shapes(&self) -> [Vec<usize>; 3] {
        let [many, few] = self.sides();
        let weight = [&[few[1], self.group_in], &self.kernel[..]].concat();
        if self.transposed { [few, weight, many] } else { [many, weight, few] }
    }

    /// [`Case::shapes`] of a case of pictures.
    fn shapes_of_pictures(&self) -> [[usize; 4]; 3] {
        self.shapes().map(|shape| self.lowered(&shape).try_into().unwrap())
    }

    /// A shape without the axes that the tensors lack.
    fn lowered(&self, shape: &[usize]) -> Vec<usize> {
        [&shape[..2], &shape[5 - self.rank..]].concat()
    }

    /// Values of x, weight, bias and the output's gradient.
    fn numbers(&self) -> [Vec<f32>; 4] {
        let [x, weight, out] = self.shapes();
        [
            numbers(self.seed, &x),
            numbers(self.seed + 1, &weight),
            numbers(self.seed + 2, &out[1..2]),
            numbers(self.seed + 3, &out),
        ]
    }

    fn products(&self) -> usize {
        let [_, few] = self.sides();
        few.iter().product::<usize>() * self.group_in * self.kernel.iter().product::<usize>()
    }

    fn fits(&self) -> bool {
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        (0..3).all(|axis| {
            let reach = dilation[axis] * (self.kernel[axis] - 1) + 1;
            match self.transposed {
                false => reach <= self.size[axis] + 2 * padding[axis],
                true => {
                    let (len, extra) = (self.size[axis], self.output_padding[axis]);
                    len > 0
                        && extra < stride[axis].max(dilation[axis])
                        && (len - 1) * stride[axis] + reach + extra > 2 * padding[axis]
                }
            }
        })
    }

    /// Calls `visit` with the places of every product: among the many pixels, the weights and the few pixels.
    fn for_each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [many, few] = self.sides();
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        let area: usize = self.kernel.iter().product();
        let coordinates = |index: usize, size: &[usize]| {
            [index / size[2] / size[1], index / size[2] % size[1], index % size[2]]
        };
        let (many_plane, few_plane) =
            (many[2..].iter().product::<usize>(), few[2..].iter().product::<usize>());
        for position in 0..few_plane {
            for tap in 0..area {
                let (at, k) = (coordinates(position, &few[2..]), coordinates(tap, &self.kernel));
                let pixel: [usize; 3] = std::array::from_fn(|axis| {
                    (at[axis] * stride[axis] + k[axis] * dilation[axis]).wrapping_sub(padding[axis])
                });
                if pixel.iter().zip(&many[2..]).any(|(pixel, len)| pixel >= len) {
                    continue;
                }
                let pixel = (pixel[0] * many[3] + pixel[1]) * many[4] + pixel[2];
                for image in 0..self.batch {
                    for filter in 0..few[1] {
                        for c in 0..self.group_in {
                            let channel = filter / self.group_out * self.group_in + c;
                            visit(
                                (image * many[1] + channel) * many_plane + pixel,
                                (filter * self.group_in + c) * area + tap,
                                (image * few[1] + filter) * few_plane + position,
                            );
                        }
                    }
                }
            }
        }
    }

    fn twin(&self, x: &[f32], weight: &[f32], bias: &[f32], gradient: &[f32]) -> Twin {
        let [.., out] = self.shapes();
        let plane: usize = out[2..].iter().product();
        let mut twin = Twin {
            output: (0..gradient.len()).map(|i| f64::from(bias[i / plane % bias.len()])).collect(),
            input_gradient: vec![0.0; x.len()],
            weight_gradient: vec![0.0; weight.len()],
            bias_gradient: vec![0.0; bias.len()],
        };
        for (i, &g) in gradient.iter().enumerate() {
            twin.bias_gradient[i / plane % bias.len()] += f64::from(g);
        }
        self.for_each_product(|many, w, few| {
            let (from, to) = if self.transposed { (few, many) } else { (many, few) };
            let g = f64::from(gradient[to]);
            twin.output[to] += f64::from(weight[w]) * f64::from(x[from]);
            twin.input_gradient[from] += f64::from(weight[w]) * g;
            twin.weight_gradient[w] += f64::from(x[from]) * g;
        });
        twin
    }

    /// The operation on tensors.
    fn apply<const D: usize>(&self, x: Tensor<D>, weight: Tensor<D>, bias: Option<Tensor<1>>) -> Tensor<D> {
        let [x, weight] = [x, weight].map(Tensor::into_dispatch);
        let y = match self.rank {
            1 => self.apply1(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), bias).into_dispatch(),
            2 => self.apply2(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), bias).into_dispatch(),
            _ => self.apply3(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), bias).into_dispatch(),
        };
        Tensor::from_dispatch(y)
    }

    fn options<const N: usize>(&self) -> (ConvOptions<N>, TransposeOptions<N>) {
        let last = |values: [usize; 3]| values[3 - N..].try_into().unwrap();
        let ConvOptions { stride, padding, dilation, groups } = self.options;
        let [stride, padding, dilation] = [stride, padding, dilation].map(last);
        let output_padding = last(self.output_padding);
        (
            ConvOptions { stride, padding, dilation, groups },
            TransposeOptions { stride, padding, output_padding, dilation, groups },
        )
    }

    fn apply1(&self, x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>) -> Tensor<3> {
        let (plain, transposed) = self.options();
        match self.transposed {
            false => conv1d(x, weight, bias, plain),
            true => conv_transpose1d(x, weight, bias, transposed),
        }
    }

    fn apply2(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let (plain, transposed) = self.options();
        match self.transposed {
            false => conv2d(x, weight, bias, plain),
            true => conv_transpose2d(x, weight, bias, transposed),
        }
    }

    fn apply3(&self, x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>) -> Tensor<5> {
        let (plain, transposed) = self.options();
        match self.transposed {
            false => conv3d(x, weight, bias, plain),
            true => conv_transpose3d(x, weight, bias, transposed),
        }
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
fn laid_out<const D: usize>(values: &[f32], shape: &[usize], layout: Layout, device: &Device) -> Tensor<D> {
    let shape: [usize; D] = shape.try_into().unwrap();
    let plain = tensor(values, shape, device);
    match layout {
        Layout::Contiguous => plain,
        Layout::Swapped => {
            let mut turned = shape;
            turned.swap(1, D - 1);
            let swapped = plain.swap_dims(1, D - 1).into_data().try_to_vec::<f32>().unwrap();
            tensor(&swapped, turned, device).swap_dims(1, D - 1)
        }
        Layout::Sliced => {
            let wide = std::array::from_fn(|axis| shape[axis] + axis.min(3));
            let region: [_; D] = std::array::from_fn(|axis| axis.min(2)..axis.min(2) + shape[axis]);
            let noise = tensor(&numbers(99, &wide), wide, device);
            noise.slice_assign(region.clone(), plain).slice(region)
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
    match case.rank {
        1 => run_with::<3>(case),
        2 => run_with::<4>(case),
        _ => run_with::<5>(case),
    }
}

fn run_with<const D: usize>(case: Case) -> [TensorData; 4] {
    let device = Device::flex().autodiff();
    let [x, weight, bias, gradient] = case.numbers();
    let [x_shape, weight_shape, out_shape] = case.shapes().map(|shape| case.lowered(&shape));
    let x = laid_out::<D>(&x, &x_shape, case.layout, &device).require_grad();
    let weight = laid_out::<D>(&weight, &weight_shape, case.layout, &device).require_grad();
    let bias = tensor(&bias, [bias.len()], &device).require_grad();
    let output = case.apply(x.clone(), weight.clone(), Some(bias.clone()));
    assert_eq!(output.dims()[..], out_shape);
    // Addition hands its gradient on as it came, in whatever layout; the product makes that the given one.
    let gradient = laid_out(&gradient, &out_shape, case.layout, &device);
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
    let [.., out] = case.shapes();
    let area: usize = case.kernel.iter().product();
    let terms = [case.group_in * area + 1, case.group_out * area + 1];
    let [output_terms, input_terms] = if case.transposed { [terms[1], terms[0]] } else { terms };
    let [_, few] = case.sides();
    let positions = |shape: &[usize]| shape[0] * shape[2..].iter().product::<usize>();
    assert_close("output", output, &twin.output, output_terms);
    assert_close("input gradient", input_gradient, &twin.input_gradient, input_terms);
    assert_close("weight gradient", weight_gradient, &twin.weight_gradient, positions(&few));
    assert_close("bias gradient", bias_gradient, &twin.bias_gradient, positions(&out));
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Contiguous), Just(Layout::Swapped), Just(Layout::Sliced)]
}

/// What a range of every axis becomes for tensors of some rank: `missing` on the axes that they lack.
fn lowered(values: [usize; 3], rank: usize, missing: usize) -> [usize; 3] {
    std::array::from_fn(|axis| if axis < 3 - rank { missing } else { values[axis] })
}

/// Rank, direction and layout; extents and options of all axes; seed.
fn cases(
    channels: (impl Strategy<Value = usize>, [usize; 2]),
    size: usize,
    kernel: usize,
    [stride, padding, dilation]: [usize; 3],
    groups: usize,
) -> impl Strategy<Value = Case> {
    let triple = |most: usize, least: usize| {
        let range = least..=most;
        [range.clone(), range.clone(), range]
    };
    let kind = (1..=3_usize, any::<bool>(), layouts(), 0..1000_u64, 1..=groups);
    let extents = (channels.0, 1..=channels.1[0], 1..=channels.1[1], triple(size, 1), triple(kernel, 1));
    let options = (triple(stride, 1), triple(padding, 0), triple(dilation, 1), triple(2, 0));
    (kind, extents, options).prop_map(|(kind, extents, options)| {
        let (rank, transposed, layout, seed, groups) = kind;
        let (batch, group_in, group_out, size, kernel) = extents;
        let (stride, padding, dilation, output_padding) = options;
        // A volume has as many pixels as a picture.
        let size = if rank == 3 { size.map(|len| len.div_ceil(3)) } else { size };
        Case {
            rank,
            transposed,
            batch,
            group_in,
            group_out,
            size: lowered(size, rank, 1),
            kernel: lowered(kernel, rank, 1),
            options: ConvOptions {
                stride: lowered(stride, rank, 1),
                padding: lowered(padding, rank, 0),
                dilation: lowered(dilation, rank, 1),
                groups,
            },
            output_padding: if transposed { lowered(output_padding, rank, 0) } else { [0; 3] },
            layout,
            seed,
        }
    })
}

/// Every option and ragged shape, small enough for many cases.
fn small_cases() -> impl Strategy<Value = Case> {
    cases((0..=5_usize, [5, 9]), 17, 4, [3, 3, 3], 4)
        .prop_filter("the kernel fits the padded input", Case::fits)
}

/// Shapes that need several tiles, panels, channel blocks and batch slices.
fn large_cases() -> impl Strategy<Value = Case> {
    cases((1..=20_usize, [80, 110]), 70, 3, [2, 1, 1], 2)
        .prop_filter("the kernel fits the padded input", Case::fits)
        .prop_filter("small enough for the definition", |case| {
            (100_000..20_000_000).contains(&case.products())
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]
    #[test]
    fn small_shapes_match_the_definition(case in small_cases()) {
        check(case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(120) })]
    #[test]
    fn large_shapes_match_the_definition(case in large_cases()) {
        check(case);
    }
}

const fn case(batch: usize, channels: [usize; 2], size: [usize; 2], kernel: usize, stride: usize) -> Case {
    let pad = kernel / 2;
    let options =
        ConvOptions { stride: [1, stride, stride], padding: [0, pad, pad], dilation: [1; 3], groups: 1 };
    let [group_in, group_out] = channels;
    Case {
        rank: 2,
        transposed: false,
        batch,
        group_in,
        group_out,
        size: [1, size[0], size[1]],
        kernel: [1, kernel, kernel],
        options,
        output_padding: [0; 3],
        layout: Layout::Contiguous,
        seed: 7,
    }
}

const fn depthwise(batch: usize, channels: usize, size: [usize; 2], kernel: usize, stride: usize) -> Case {
    let mut case = case(batch, [1, 1], size, kernel, stride);
    case.options.groups = channels;
    case
}

/// A convolution over sequences.
const fn sequence(batch: usize, channels: [usize; 2], len: usize, kernel: usize) -> Case {
    let mut case = case(batch, channels, [1, len], kernel, 1);
    case.rank = 1;
    case.kernel[1] = 1;
    case.options.padding[1] = 0;
    case
}

/// A convolution over volumes with a cubic kernel.
const fn volume(batch: usize, channels: [usize; 2], size: [usize; 3], kernel: usize, stride: usize) -> Case {
    let mut case = case(batch, channels, [size[1], size[2]], kernel, stride);
    case.rank = 3;
    case.size = size;
    case.kernel[0] = kernel;
    case.options.stride[0] = stride;
    case.options.padding[0] = kernel / 2;
    case
}

const fn transposed(mut case: Case, output_padding: usize) -> Case {
    case.transposed = true;
    case.output_padding = [0, output_padding, output_padding];
    case
}

/// Shapes of the networks, in small batches.
const NETWORK_CASES: [Case; 18] = [
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
    sequence(3, [70, 60], 100, 3),
    sequence(2, [9, 20], 1900, 7),
    sequence(3, [64, 40], 1001, 1),
    volume(2, [12, 20], [5, 14, 15], 3, 1),
    volume(2, [3, 33], [6, 21, 20], 3, 2),
    volume(2, [40, 20], [3, 30, 31], 1, 1),
    transposed(case(2, [30, 50], [9, 10], 4, 2), 0),
    transposed(case(3, [16, 32], [14, 14], 3, 2), 1),
];

#[test]
fn network_shapes_match_the_definition() {
    NETWORK_CASES.into_iter().for_each(check);
}

#[test]
fn pictures_of_padding_alone_give_the_bias() {
    let options = ConvOptions { padding: [0, 1, 1], ..ConvOptions::default() };
    for groups in [1, 3] {
        check(Case {
            size: [1, 0, 4],
            kernel: [1, 2, 2],
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
    let [x_shape, weight_shape, _] = case.shapes_of_pictures();
    let x = tensor(&x, x_shape, &device);
    let weight = tensor(&weight, weight_shape, &device);
    let [with_bias, ..] = run(case);
    let (options, _) = case.options();
    let plain = conv2d(x.clone(), weight.clone(), Some(tensor(&bias, [bias.len()], &device)), options);
    plain.into_data().assert_eq(&with_bias, true);
    let zero = tensor(&vec![0.0; bias.len()], [bias.len()], &device);
    let unbiased = conv2d(x.clone(), weight.clone(), None, options);
    unbiased.into_data().assert_eq(&conv2d(x, weight, Some(zero), options).into_data(), true);
}

#[test]
fn gradients_flow_only_to_what_tracks_them() {
    let case = case(2, [3, 5], [9, 8], 3, 2);
    let [_, x_gradient, weight_gradient, bias_gradient] = run(case);
    let [x, weight, bias, gradient] = case.numbers();
    let [x_shape, weight_shape, out_shape] = case.shapes_of_pictures();
    let (options, _) = case.options();
    let (plain, tracking) = (Device::flex(), Device::flex().autodiff());
    for tracked in 1..8_u8 {
        let is_tracked = |bit: u8| tracked >> bit & 1 == 1;
        let device = |bit: u8| if is_tracked(bit) { &tracking } else { &plain };
        let x = tensor(&x, x_shape, device(0));
        let weight = tensor(&weight, weight_shape, device(1));
        let bias = tensor(&bias, [bias.len()], device(2));
        let x = if is_tracked(0) { x.require_grad() } else { x };
        let weight = if is_tracked(1) { weight.require_grad() } else { weight };
        let bias = if is_tracked(2) { bias.require_grad() } else { bias };
        let output = conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
        let gradients = (output * tensor(&gradient, out_shape, &tracking)).sum().backward();
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
    let [x_shape, weight_shape, _] = case.shapes_of_pictures();
    let (x, weight) = (tensor(&x, x_shape, &device), tensor(&weight, weight_shape, &device));
    let (options, _) = case.options();
    let single = conv2d(x.clone(), weight.clone(), None, options).into_data();
    let double = conv2d(x.cast(DType::F64), weight.cast(DType::F64), None, options).into_data();
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

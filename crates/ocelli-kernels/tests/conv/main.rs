//! Convolution against plain nested loops: forward and every gradient, over random shapes and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, Tolerance};
use ocelli_kernels::{ConvOptions, conv2d};
use proptest::prelude::*;

mod twin;

use twin::*;

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

/// Every filter sees one channel.
fn depthwise_cases() -> impl Strategy<Value = Case> {
    let filters = prop_oneof![3 => Just(1_usize), 1 => 2..=3_usize];
    (cases((1..=3_usize, [1, 1]), 40, 7, [3, 3, 2], 9), filters)
        .prop_map(|(case, group_out)| Case { group_out, ..case })
        .prop_filter("the kernel fits the padded input", Case::fits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn depthwise_shapes_match_the_definition(case in depthwise_cases()) {
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
const NETWORK_CASES: [Case; 20] = [
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
    depthwise(2, 40, [7, 7], 3, 1),
    depthwise(2, 9, [56, 50], 7, 1),
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

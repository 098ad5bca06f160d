//! Packed convolutions against the definition, in double precision.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{Device, Tensor, TensorData};
use ocelli_kernels::{Activation, Affine, ConvOptions, ConvParts, Joint, PackedConv, Precision};
use proptest::prelude::*;

/// How a tensor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    ByChannel,
    ByPixel,
    Sliced,
    Turned,
}

#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    group_in: usize,
    group_out: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    options: ConvOptions,
    layout: Layout,
    /// Which parts there are: bias, map before, map after.
    parts: [bool; 3],
    activation: Activation,
    joint: Option<Joint>,
    precision: Precision,
    seed: u64,
}

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A tensor of these values whose memory is laid out as asked.
fn laid_out(values: &[f32], shape: [usize; 4], layout: Layout) -> Tensor<4> {
    let device = Device::flex();
    let plain = Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device);
    let [batch, channels, height, width] = shape;
    let copied = |x: Tensor<4>| Tensor::<4>::from_data(x.into_data(), &device);
    match layout {
        Layout::ByChannel => plain,
        Layout::ByPixel => copied(plain.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]),
        Layout::Turned => copied(plain.swap_dims(2, 3)).swap_dims(2, 3),
        Layout::Sliced => {
            let wide = Tensor::<4>::ones([batch + 1, channels + 2, height + 1, width + 3], &device);
            let region = [1..batch + 1, 1..channels + 1, 1..height + 1, 2..width + 2];
            wide.slice_assign(region.clone(), plain).slice(region)
        }
    }
}

impl Case {
    fn channels(&self) -> [usize; 2] {
        [self.group_in, self.group_out].map(|each| each * self.options.groups)
    }

    fn out_size(&self) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let reach = self.options.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let room = (self.size[axis] + 2 * self.options.padding[axis]).checked_sub(reach)?;
            Some(room / self.options.stride[axis] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    fn out_shape(&self) -> [usize; 4] {
        let [height, width] = self.out_size().unwrap();
        [self.batch, self.channels()[1], height, width]
    }

    fn conv_parts(&self) -> ConvParts {
        let [input, output] = self.channels();
        let shape = [output, self.group_in, self.kernel[0], self.kernel[1]];
        let affine = |seed, count| Affine {
            scale: numbers(self.seed + seed, count),
            shift: numbers(self.seed + seed + 1, count),
        };
        let [bias, before, after] = self.parts;
        ConvParts {
            before: before.then(|| affine(10, input)),
            bias: bias.then(|| numbers(self.seed + 20, output)),
            after: after.then(|| affine(30, output)),
            activation: match &self.activation {
                Activation::Prelu(_) => Activation::Prelu(numbers(self.seed + 40, output)),
                other => other.clone(),
            },
            precision: self.precision,
            ..ConvParts::new(numbers(self.seed + 2, shape.iter().product()), shape, self.options)
        }
    }

    fn pictures(&self) -> Vec<f32> {
        numbers(self.seed, self.batch * self.channels()[0] * self.size[0] * self.size[1])
    }

    fn shortcut(&self) -> Vec<f32> {
        numbers(self.seed + 50, self.out_shape().iter().product())
    }

    fn run(&self) -> Vec<f32> {
        self.run_on(&PackedConv::new(self.conv_parts()).unwrap())
    }

    fn run_on(&self, conv: &PackedConv) -> Vec<f32> {
        let [input, _] = self.channels();
        let shape = [self.batch, input, self.size[0], self.size[1]];
        let x = laid_out(&self.pictures(), shape, self.layout);
        let shortcut =
            self.joint.map(|joint| (laid_out(&self.shortcut(), self.out_shape(), self.layout), joint));
        let output = conv.forward(x, shortcut);
        assert_eq!(output.dims(), self.out_shape());
        output.into_data().try_to_vec::<f32>().unwrap()
    }

    /// The output by the definition, and a bound of what rounding to bfloat16 may change in each of its numbers.
    fn by_definition(&self) -> Vec<(f64, f64)> {
        let parts = self.conv_parts();
        let (x, shortcut) = (self.pictures(), self.shortcut());
        let [input, output] = self.channels();
        let [out_height, out_width] = self.out_size().unwrap();
        let (stride, padding, dilation) = (self.options.stride, self.options.padding, self.options.dilation);
        let [height, width] = self.size;
        let mut results = Vec::new();
        for image in 0..self.batch {
            for filter in 0..output {
                for place in 0..out_height * out_width {
                    let (row, col) = (place / out_width, place % out_width);
                    let (mut sum, mut size) = (0.0, 0.0);
                    for c in 0..self.group_in {
                        let channel = filter / self.group_out * self.group_in + c;
                        for i in 0..self.kernel[0] {
                            for j in 0..self.kernel[1] {
                                let y = (row * stride[0] + i * dilation[0]).wrapping_sub(padding[0]);
                                let z = (col * stride[1] + j * dilation[1]).wrapping_sub(padding[1]);
                                if y >= height || z >= width {
                                    continue;
                                }
                                let pixel = x[((image * input + channel) * height + y) * width + z];
                                let mut pixel = f64::from(pixel);
                                let mut magnitude = pixel.abs();
                                if let Some(map) = &parts.before {
                                    let [scale, shift] =
                                        [map.scale[channel], map.shift[channel]].map(f64::from);
                                    pixel = pixel * scale + shift;
                                    // Filters may take the scale in, and are then rounded before the shift is added.
                                    magnitude = magnitude * scale.abs() + shift.abs();
                                }
                                let at =
                                    ((filter * self.group_in + c) * self.kernel[0] + i) * self.kernel[1] + j;
                                sum += pixel * f64::from(parts.weight[at]);
                                size += magnitude * f64::from(parts.weight[at]).abs() + 0.01;
                            }
                        }
                    }
                    sum += parts.bias.as_ref().map_or(0.0, |bias| f64::from(bias[filter]));
                    if let Some(map) = &parts.after {
                        sum = sum * f64::from(map.scale[filter]) + f64::from(map.shift[filter]);
                    }
                    let at = results.len();
                    let added = f64::from(shortcut[at]);
                    let result = match self.joint {
                        None => activated(&parts.activation, sum, filter),
                        Some(Joint::BeforeActivation) => activated(&parts.activation, sum + added, filter),
                        Some(Joint::AfterActivation) => activated(&parts.activation, sum, filter) + added,
                    };
                    results.push((result, size / 128.0));
                }
            }
        }
        results
    }

    fn check(&self) {
        let wanted = self.by_definition();
        self.check_on(&PackedConv::new(self.conv_parts()).unwrap(), &wanted);
        if self.precision == Precision::Bf16 {
            self.check_on(&PackedConv::emulating_tiles(self.conv_parts()).unwrap(), &wanted);
        }
    }

    fn check_on(&self, conv: &PackedConv, wanted: &[(f64, f64)]) {
        let terms = self.group_in * self.kernel[0] * self.kernel[1] + 1;
        let tolerance = 6e-6 * (terms as f64).sqrt() + 4e-6;
        for (index, (got, &(want, rounding))) in self.run_on(conv).into_iter().zip(wanted).enumerate() {
            let tolerance = if self.precision == Precision::Bf16 { tolerance + rounding } else { tolerance };
            let error = (f64::from(got) - want).abs();
            assert!(error <= tolerance, "{self:?}: [{index}] is {got}, expected {want} within {tolerance}");
        }
    }
}

fn activated(activation: &Activation, x: f64, channel: usize) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Clamp { low, high } => x.max(f64::from(*low)).min(f64::from(*high)),
        Activation::Leaky(slope) if x < 0.0 => x * f64::from(*slope),
        Activation::Prelu(slopes) if x < 0.0 => x * f64::from(slopes[channel]),
        Activation::Leaky(_) | Activation::Prelu(_) => x,
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::Gelu => x * normal_distribution(x),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
    }
}

/// By Simpson's rule over the density, from zero on.
fn normal_distribution(x: f64) -> f64 {
    let end = x.abs().min(12.0);
    let step = end / 400.0;
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let parts = (0..200).map(|i| 2.0 * f64::from(i) * step);
    let sum: f64 = parts.map(|t| density(t) + 4.0 * density(t + step) + density(t + 2.0 * step)).sum();
    0.5 + x.signum() * sum * step / 3.0
}

fn pair(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = [usize; 2]> {
    [range.clone(), range]
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::ByChannel), Just(Layout::ByPixel), Just(Layout::Sliced), Just(Layout::Turned)]
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Identity),
        Just(Activation::Relu),
        Just(Activation::Clamp { low: -0.25, high: 0.5 }),
        Just(Activation::Leaky(0.1)),
        Just(Activation::Prelu(Vec::new())),
        Just(Activation::Silu),
        Just(Activation::HardSwish),
        Just(Activation::Gelu),
        Just(Activation::GeluTanh),
        Just(Activation::QuickGelu),
    ]
}

fn joints() -> impl Strategy<Value = Option<Joint>> {
    prop_oneof![Just(None), Just(Some(Joint::BeforeActivation)), Just(Some(Joint::AfterActivation))]
}

fn precisions() -> impl Strategy<Value = Precision> {
    prop_oneof![Just(Precision::Single), Just(Precision::Bf16)]
}

/// Cases of some channels of a group, sizes, kernels and groups.
fn cases(
    channels: [std::ops::RangeInclusive<usize>; 2],
    size: std::ops::RangeInclusive<usize>,
    kernel: std::ops::RangeInclusive<usize>,
    groups: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Case> {
    let [group_in, group_out] = channels;
    let options = (pair(1..=3), pair(0..=2), pair(1..=2), groups)
        .prop_map(|(stride, padding, dilation, groups)| ConvOptions { stride, padding, dilation, groups });
    let around = (layouts(), any::<[bool; 3]>(), activations(), joints(), precisions());
    let extents = (0..=3_usize, group_in, group_out, pair(size), pair(kernel));
    (extents, options, around, 0..1000_u64)
        .prop_map(|((batch, group_in, group_out, size, kernel), options, around, seed)| {
            let (layout, parts, activation, joint, precision) = around;
            Case {
                batch,
                group_in,
                group_out,
                size,
                kernel,
                options,
                layout,
                parts,
                activation,
                joint,
                precision,
                seed,
            }
        })
        .prop_filter("the kernel fits the padded picture", |case| case.out_size().is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn small_shapes_match_the_definition(case in cases([1..=6, 1..=20], 0..=12, 1..=4, 1..=4)) {
        case.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn many_channels_match_the_definition(case in cases([30..=140, 30..=140], 5..=9, 1..=3, 1..=2)) {
        case.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn depthwise_matches_the_definition(case in cases([1..=1, 1..=1], 1..=20, 1..=5, 1..=50)) {
        case.check();
    }
}

impl Case {
    /// The same by [`PackedConv::forward_rows`], which lays the numbers out by pixel.
    fn run_rows(&self) -> Vec<f32> {
        let ([input, output], [height, width]) = (self.channels(), self.size);
        let rows = |values: Vec<f32>, channels: usize| {
            let x = laid_out(&values, [self.batch, channels, height, width], self.layout);
            x.permute([0, 2, 3, 1]).reshape([self.batch, height * width, channels])
        };
        let conv = PackedConv::new(self.conv_parts()).unwrap();
        let shortcut = self.joint.map(|joint| (rows(self.shortcut(), output), joint));
        let y = conv.forward_rows(rows(self.pictures(), input), shortcut);
        let y = y.reshape([self.batch, height, width, output]).permute([0, 3, 1, 2]);
        y.into_data().try_to_vec::<f32>().unwrap()
    }

    /// A linear layer over as many rows as the pictures have pixels.
    fn linear(self) -> Self {
        Self { kernel: [1, 1], options: ConvOptions::default(), ..self }
    }

    fn check_rows(&self) {
        let tolerance = 6e-6 * (self.group_in as f64 + 1.0).sqrt() + 4e-6;
        let wanted = self.by_definition();
        let got = self.run_rows();
        assert_eq!(got.len(), wanted.len());
        for (index, (got, (want, rounding))) in got.into_iter().zip(wanted).enumerate() {
            let tolerance = if self.precision == Precision::Bf16 { tolerance + rounding } else { tolerance };
            let error = (f64::from(got) - want).abs();
            assert!(error <= tolerance, "{self:?}: [{index}] is {got}, expected {want} within {tolerance}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn rows_match_the_definition(case in cases([1..=70, 1..=150], 1..=6, 1..=1, 1..=1)) {
        case.linear().check_rows();
    }
}

#[test]
fn long_rows_match_the_definition() {
    // Several pieces of filters; several bands of rows; a row alone.
    for (channels, batch, size) in
        [([1100, 70], 2, 3), ([3000, 20], 1, 2), ([24, 200], 5, 11), ([300, 65], 1, 1)]
    {
        let plain = Case { joint: Some(Joint::AfterActivation), ..case(batch, channels, size, 1, 1) };
        for precision in [Precision::Single, Precision::Bf16] {
            for activation in [Activation::Identity, Activation::Gelu, Activation::Leaky(0.3)] {
                let case = Case { precision, activation, ..plain.clone() };
                case.check_rows();
                let with_threads = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| case.run_rows())
                };
                assert_eq!(with_threads(1), with_threads(3), "{case:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "not by single pixels")]
fn rows_want_single_pixels() {
    case(1, [4, 4], 3, 3, 1).run_rows();
}

fn case(batch: usize, channels: [usize; 2], size: usize, kernel: usize, stride: usize) -> Case {
    Case {
        batch,
        group_in: channels[0],
        group_out: channels[1],
        size: [size; 2],
        kernel: [kernel; 2],
        options: ConvOptions { stride: [stride; 2], padding: [kernel / 2; 2], ..ConvOptions::default() },
        layout: Layout::ByPixel,
        parts: [true; 3],
        activation: Activation::Relu,
        joint: Some(Joint::BeforeActivation),
        precision: Precision::Single,
        seed: 3,
    }
}

/// Shapes of networks: several bands, pieces of filters, tiles over the edges of pictures.
fn network_cases() -> Vec<Case> {
    let mut cases = vec![
        case(2, [3, 64], 33, 7, 2),
        case(1, [64, 64], 30, 3, 1),
        case(2, [96, 100], 14, 3, 2),
        case(3, [256, 70], 7, 3, 1),
        case(3, [300, 130], 7, 1, 1),
        case(2, [60, 40], 15, 1, 2),
        case(1, [5, 7], 90, 3, 1),
    ];
    let head = case(5, [40, 33], 7, 7, 1);
    cases.push(Case { options: ConvOptions::default(), ..head });
    for size in [28, 29] {
        let mut depthwise = case(2, [1, 1], size, 5, 2);
        depthwise.options.groups = 40;
        depthwise.parts = [true, false, true];
        cases.push(depthwise);
    }
    cases
}

#[test]
fn network_shapes_match_the_definition() {
    for case in network_cases() {
        case.check();
        Case { precision: Precision::Bf16, ..case.clone() }.check();
        Case { parts: [false; 3], joint: None, activation: Activation::Silu, ..case }.check();
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for case in network_cases() {
        for precision in [Precision::Single, Precision::Bf16] {
            let case = Case { precision, ..case.clone() };
            let with_threads = |threads: usize| {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| case.run())
            };
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let one = bits(with_threads(1));
            for threads in [2, 3, 16] {
                assert_eq!(bits(with_threads(threads)), one, "{case:?} differs with {threads} threads");
            }
        }
    }
}

#[test]
fn amx_results_do_not_depend_on_the_number_of_threads() {
    for case in network_cases() {
        let case = Case { precision: Precision::Bf16, ..case };
        let conv = PackedConv::emulating_tiles(case.conv_parts()).unwrap();
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.run_on(&conv)).into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = with_threads(1);
        for threads in [2, 5] {
            assert_eq!(with_threads(threads), one, "{case:?} differs with {threads} threads");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn amx_tiles_match_the_definition(case in cases([1..=40, 1..=70], 0..=20, 1..=5, 1..=2)) {
        let case = Case { precision: Precision::Bf16, ..case };
        case.check_on(&PackedConv::emulating_tiles(case.conv_parts()).unwrap(), &case.by_definition());
    }
}

#[test]
fn amx_tiles_match_the_definition_on_shapes_of_networks() {
    for case in network_cases() {
        let case = Case { precision: Precision::Bf16, ..case };
        case.check_on(&PackedConv::emulating_tiles(case.conv_parts()).unwrap(), &case.by_definition());
    }
}

#[test]
fn rounding_to_bfloat16_is_all_that_half_precision_changes() {
    // Numbers that bfloat16 holds exactly: nothing may be lost.
    let exact = |seed, count| numbers(seed, count).into_iter().map(|v| (v * 16.0).round() / 16.0).collect();
    let weight: Vec<f32> = exact(1, 20 * 12 * 9);
    let x: Vec<f32> = exact(2, 2 * 12 * 64);
    let run = |precision| {
        let options = ConvOptions { padding: [1, 1], ..ConvOptions::default() };
        let parts = ConvParts { precision, ..ConvParts::new(weight.clone(), [20, 12, 3, 3], options) };
        let output =
            PackedConv::new(parts).unwrap().forward(laid_out(&x, [2, 12, 8, 8], Layout::ByPixel), None);
        output.into_data().try_to_vec::<f32>().unwrap()
    };
    assert_eq!(run(Precision::Single), run(Precision::Bf16));
}

#[test]
fn what_is_no_number_stays_none() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Clamp { low: 0.0, high: 6.0 }] {
        let parts =
            ConvParts { activation, ..ConvParts::new(vec![1.0, 0.5], [2, 1, 1, 1], ConvOptions::default()) };
        let x = laid_out(&[1.0, f32::NAN], [1, 1, 1, 2], Layout::ByChannel);
        let output = PackedConv::new(parts).unwrap().forward(x, None);
        let output = output.into_data().try_to_vec::<f32>().unwrap();
        assert!(
            output[0] == 1.0 && output[1].is_nan() && output[2] == 0.5 && output[3].is_nan(),
            "{output:?}"
        );
    }
}

#[test]
fn misfits_are_explained() {
    let parts = ConvParts::new(vec![0.0; 12], [2, 3, 2, 1], ConvOptions::default());
    let message = |parts: ConvParts| PackedConv::new(parts).unwrap_err().to_string();
    assert_eq!(
        message(ConvParts { weight: vec![0.0; 11], ..parts.clone() }),
        "weight with 11 values, expected 12"
    );
    assert_eq!(
        message(ConvParts { bias: Some(vec![0.0]), ..parts.clone() }),
        "bias with 1 values, expected 2"
    );
    let affine = Affine { scale: vec![1.0; 3], shift: vec![0.0; 2] };
    let before = ConvParts { before: Some(affine), ..parts.clone() };
    assert_eq!(message(before), "map before with 2 values, expected 3");
    let slopes = Activation::Prelu(vec![0.0; 5]);
    assert_eq!(
        message(ConvParts { activation: slopes, ..parts.clone() }),
        "slopes with 5 values, expected 2"
    );
    let none = ConvOptions { groups: 0, ..ConvOptions::default() };
    assert!(PackedConv::new(ConvParts { options: none, ..parts }).is_err());
}

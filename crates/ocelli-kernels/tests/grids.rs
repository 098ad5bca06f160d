//! Pooling and resizing against their definitions in `f64`, forward and gradient, over shapes, windows and layouts.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData};
use ocelli_kernels::{
    PoolOptions, ResizeMode, ResizeTo, adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool, resize,
};
use proptest::prelude::*;

/// Values of which some are alike.
fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 61) as f32 / 15.0 - 2.0).collect()
}

/// A tensor of [`values`], in memory with its last two axes swapped if asked.
fn tensor<const D: usize>(shape: [usize; D], seed: usize, swapped: bool, device: &Device) -> Tensor<D> {
    let data = TensorData::new(values(shape.iter().product(), seed), shape);
    let plain = Tensor::<D>::from_data(data, device);
    if !swapped || D < 4 {
        return plain;
    }
    let mut turned = shape;
    turned.swap(D - 2, D - 1);
    let numbers = plain.swap_dims(D - 2, D - 1).into_data().try_into_vec::<f32>().unwrap();
    Tensor::<D>::from_data(TensorData::new(numbers, turned), device).swap_dims(D - 2, D - 1)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f32>().try_into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        // Places between inputs are found in single precision.
        let near = got == expected || (got - expected).abs() <= 3e-5 * scale;
        assert!(near, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// Per output of a plane: the inputs it is made of, with their weights.
type Taps = Vec<Vec<(usize, f64)>>;

/// Taps of a plane of up to three axes, from those of each axis.
fn product(axes: &[(usize, Taps)]) -> Taps {
    axes.iter().fold(vec![vec![(0, 1.0)]], |outer, (inputs, inner)| {
        let joined = |a: &Vec<(usize, f64)>, b: &Vec<(usize, f64)>| {
            let pairs = a.iter().flat_map(|&(i, w)| b.iter().map(move |&(j, v)| (i * inputs + j, w * v)));
            pairs.collect::<Vec<_>>()
        };
        outer.iter().flat_map(|a| inner.iter().map(move |b| joined(a, b))).collect()
    })
}

/// The windows of one axis by the definition: every place in turn is asked whether it lies in the window.
fn windows<const N: usize>(options: &PoolOptions<N>, axis: usize, extent: usize, average: bool) -> Taps {
    let (kernel, stride) = (options.kernel[axis] as i64, options.stride[axis] as i64);
    let (padding, dilation) = (options.padding[axis] as i64, options.dilation[axis] as i64);
    let (extent, reach) = (extent as i64, dilation * (kernel - 1) + 1);
    let mut taps = Vec::new();
    for start in (-padding..).step_by(stride as usize) {
        let beyond = start + reach > extent + padding;
        if beyond && !(options.ceil_mode && start < extent && start + reach - stride < extent + padding) {
            break;
        }
        let places: Vec<i64> = (0..kernel).map(|k| start + k * dilation).collect();
        let inside: Vec<i64> = places.iter().copied().filter(|place| (0..extent).contains(place)).collect();
        let padded = places.iter().filter(|&&place| place < extent + padding).count();
        let count = if options.count_include_pad { padded } else { inside.len() };
        let weight = match (average, options.divisor) {
            (false, _) => 1.0,
            (true, Some(divisor)) => {
                if axis == 0 {
                    1.0 / divisor as f64
                } else {
                    1.0
                }
            }
            (true, None) => 1.0 / count as f64,
        };
        taps.push(inside.into_iter().map(|place| (place as usize, weight)).collect());
    }
    taps
}

fn adaptive(inputs: usize, outputs: usize) -> Taps {
    let window = |o: usize| {
        let first = (o as f64 * inputs as f64 / outputs as f64).floor() as usize;
        let end = ((o + 1) as f64 * inputs as f64 / outputs as f64).ceil() as usize;
        (first..end).map(|place| (place, 1.0 / (end - first) as f64)).collect()
    };
    (0..outputs).map(window).collect()
}

/// Compares an operation and its gradient with the taps of one plane.
fn check<const D: usize>(
    shape: [usize; D],
    swapped: bool,
    taps: &Taps,
    largest: bool,
    operation: impl Fn(Tensor<D>) -> Tensor<D>,
) {
    let device = Device::flex().autodiff();
    let x = tensor(shape, 1, swapped, &device).require_grad();
    let output = operation(x.clone());
    let weights = tensor(output.dims(), 5, swapped, &device);
    let tape = (output.clone() * weights.clone()).sum().backward();
    let plain = operation(tensor(shape, 1, swapped, &Device::flex()));
    assert_eq!(numbers(plain), numbers(output.clone()), "recording changes nothing");

    let (x_values, weights) = (numbers(x.clone()), numbers(weights));
    let inputs: usize = shape[2..].iter().product();
    let planes: usize = shape[..2].iter().product();
    let (mut expected, mut gradient) = (Vec::new(), vec![0.0; x_values.len()]);
    for plane in 0..planes {
        for taps in taps {
            let weight = weights[expected.len()];
            let at = |place: usize| plane * inputs + place;
            if largest {
                let first = taps.iter().fold(None, |best: Option<usize>, &(place, _)| match best {
                    Some(best) if x_values[at(place)] <= x_values[at(best)] => Some(best),
                    _ => Some(place),
                });
                expected.push(first.map_or(f64::NEG_INFINITY, |place| x_values[at(place)]));
                first.into_iter().for_each(|place| gradient[at(place)] += weight);
            } else {
                expected.push(taps.iter().map(|&(place, w)| w * x_values[at(place)]).sum());
                taps.iter().for_each(|&(place, w)| gradient[at(place)] += w * weight);
            }
        }
    }
    close("output", &numbers(output), &expected);
    close("gradient", &numbers(x.grad(&tape).unwrap()), &gradient);
}

fn check_pools<const D: usize, const N: usize>(shape: [usize; D], options: PoolOptions<N>, swapped: bool) {
    let axes = |options: &PoolOptions<N>, average: bool| {
        let axis = |axis: usize| (shape[axis + 2], windows(options, axis, shape[axis + 2], average));
        product(&(0..N).map(axis).collect::<Vec<_>>())
    };
    check(shape, swapped, &axes(&options, false), true, |x| max_pool(x, options));
    let options = PoolOptions { dilation: [1; N], ..options };
    if (0..N).all(|axis| options.kernel[axis] >= 2 * options.padding[axis]) {
        check(shape, swapped, &axes(&options, true), false, |x| avg_pool(x, options));
    }
}

fn check_adaptive<const D: usize, const N: usize>(shape: [usize; D], outputs: [usize; N], swapped: bool) {
    let axis = |axis: usize| (shape[axis + 2], adaptive(shape[axis + 2], outputs[axis]));
    let taps = product(&(0..N).map(axis).collect::<Vec<_>>());
    check(shape, swapped, &taps, true, |x| adaptive_max_pool(x, outputs));
    check(shape, swapped, &taps, false, |x| adaptive_avg_pool(x, outputs));
}

fn modes() -> impl Strategy<Value = ResizeMode> {
    (0..4, any::<bool>()).prop_map(|(mode, align_corners)| match mode {
        0 => ResizeMode::Nearest,
        1 => ResizeMode::NearestExact,
        2 => ResizeMode::Linear { align_corners },
        _ => ResizeMode::Cubic { align_corners },
    })
}

/// Taps of a resized axis in double precision; `step` is from one output to the next with edges aligned.
fn resized(mode: ResizeMode, inputs: usize, outputs: usize, step: f64) -> Taps {
    let clamp = |place: f64| place.clamp(0.0, inputs as f64 - 1.0) as usize;
    let place = |o: usize, align: bool| match align {
        true => o as f64 * if outputs > 1 { (inputs as f64 - 1.0) / (outputs as f64 - 1.0) } else { 0.0 },
        false => (o as f64 + 0.5) * step - 0.5,
    };
    // Away from the rounding of places that lie on an edge between two inputs.
    let nudged = |place: f64| (place as f32).floor() as f64;
    let taps = |o: usize| match mode {
        ResizeMode::Nearest if inputs == outputs => vec![(o, 1.0)],
        ResizeMode::Nearest if 2 * inputs == outputs => vec![(o / 2, 1.0)],
        ResizeMode::Nearest => vec![(clamp(nudged((o as f32 * step as f32) as f64)), 1.0)],
        ResizeMode::NearestExact => vec![(clamp(nudged(((o as f32 + 0.5) * step as f32) as f64)), 1.0)],
        ResizeMode::Linear { align_corners } => {
            let place = place(o, align_corners).clamp(0.0, inputs as f64 - 1.0);
            let share = place - place.floor();
            vec![(clamp(place.floor()), 1.0 - share), (clamp(place.floor() + 1.0), share)]
        }
        ResizeMode::Cubic { align_corners } => {
            let place = place(o, align_corners);
            let kernel = |t: f64| match t.abs() {
                t if t <= 1.0 => 1.25 * t.powi(3) - 2.25 * t.powi(2) + 1.0,
                t if t < 2.0 => -0.75 * (t.powi(3) - 5.0 * t.powi(2) + 8.0 * t - 4.0),
                _ => 0.0,
            };
            let around = |k: i32| place.floor() + f64::from(k);
            (-1..3).map(|k| (clamp(around(k)), kernel(place - around(k)))).collect()
        }
    };
    (0..outputs).map(taps).collect()
}

fn check_resize<const D: usize, const N: usize>(
    shape: [usize; D],
    to: ResizeTo<N>,
    mode: ResizeMode,
    swapped: bool,
) {
    let axis = |axis: usize| {
        let inputs = shape[axis + 2];
        let (outputs, step) = match to {
            ResizeTo::Size(size) => (size[axis], inputs as f64 / size[axis] as f64),
            ResizeTo::Scale(scale) => ((inputs as f64 * scale[axis]).floor() as usize, 1.0 / scale[axis]),
        };
        match mode {
            ResizeMode::Linear { .. } if inputs == outputs => {
                (inputs, resized(ResizeMode::Nearest, inputs, outputs, 1.0))
            }
            _ => (inputs, resized(mode, inputs, outputs, step)),
        }
    };
    let taps = product(&(0..N).map(axis).collect::<Vec<_>>());
    check(shape, swapped, &taps, false, |x| resize(x, to, mode));
}

/// Kernel, stride, padding up to half the kernel, dilation.
fn axis() -> impl Strategy<Value = [usize; 4]> {
    (1..5_usize, 1..6_usize, 0..3_usize, 1..3_usize)
        .prop_map(|(kernel, stride, padding, dilation)| [kernel, stride, padding.min(kernel / 2), dilation])
}

fn options<const N: usize>(
    axes: [[usize; 4]; N],
    ceil: bool,
    include: bool,
    divisor: Option<usize>,
) -> PoolOptions<N> {
    PoolOptions {
        stride: axes.map(|a| a[1]),
        padding: axes.map(|a| a[2]),
        dilation: axes.map(|a| a[3]),
        ceil_mode: ceil,
        count_include_pad: include,
        divisor,
        ..PoolOptions::new(axes.map(|a| a[0]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn pools_of_one_axis_match_their_definition(
        b in 0..3_usize, c in 1..4_usize, extra in 0..90_usize, a in axis(),
        ceil in any::<bool>(), include in any::<bool>(),
    ) {
        let extent = a[3] * (a[0] - 1) + 1 + extra;
        check_pools([b, c, extent], options([a], ceil, include, None), false);
    }

    #[test]
    fn pools_of_two_axes_match_their_definition(
        c in 1..4_usize, extra in [0..12_usize, 0..70_usize], axes in [axis(), axis()],
        flags in any::<[bool; 3]>(), divisor in proptest::option::of(1..7_usize),
    ) {
        let [h, w] = [0, 1].map(|i: usize| axes[i][3] * (axes[i][0] - 1) + 1 + extra[i]);
        check_pools([2, c, h, w], options(axes, flags[0], flags[1], divisor), flags[2]);
    }

    #[test]
    fn pools_of_three_axes_match_their_definition(
        extra in [0..5_usize, 0..6_usize, 0..9_usize], axes in [axis(), axis(), axis()],
        flags in any::<[bool; 3]>(),
    ) {
        let [d, h, w] = [0, 1, 2].map(|i: usize| axes[i][3] * (axes[i][0] - 1) + 1 + extra[i]);
        check_pools([2, 1, d, h, w], options(axes, flags[0], flags[1], None), flags[2]);
    }

    #[test]
    fn adaptive_pools_match_their_definition(
        extents in [1..14_usize, 1..40_usize], outputs in [1..9_usize, 1..40_usize], swapped in any::<bool>(),
    ) {
        check_adaptive([2, 3, extents[0], extents[1]], outputs, swapped);
        check_adaptive([1, 2, extents[1]], [outputs[1]], false);
        check_adaptive([1, 2, extents[0], 2, 3], [outputs[0], 2, 1], swapped);
    }

    #[test]
    fn resizing_matches_its_definition(
        extents in [1..14_usize, 1..40_usize], outputs in [1..20_usize, 1..80_usize],
        mode in modes(), swapped in any::<bool>(),
    ) {
        check_resize([2, 2, extents[0], extents[1]], ResizeTo::Size(outputs), mode, swapped);
        check_resize([1, 2, extents[1]], ResizeTo::Size([outputs[1]]), mode, false);
        check_resize([1, 1, 3, extents[0], 2], ResizeTo::Size([4, outputs[0], 2]), mode, swapped);
    }

    #[test]
    fn scaling_matches_its_definition(
        extents in [2..14_usize, 2..40_usize], scales in [0.6..3.3_f64, 0.6..3.3_f64], mode in modes(),
    ) {
        check_resize([2, 1, extents[0], extents[1]], ResizeTo::Scale(scales), mode, false);
    }
}

#[test]
fn whole_planes_are_averaged() {
    for side in [1, 4, 7, 23] {
        check_adaptive([3, 5, side, side], [1, 1], false);
        check_adaptive([2, 2, 2, side, side], [1, 1, 1], true);
    }
}

#[test]
fn doubling_matches_its_definition() {
    for mode in [ResizeMode::Nearest, ResizeMode::Linear { align_corners: false }] {
        check_resize([2, 3, 17, 33], ResizeTo::Scale([2.0, 2.0]), mode, false);
        check_resize([1, 1, 40, 70], ResizeTo::Scale([0.5, 0.5]), mode, true);
    }
}

#[test]
fn windows_of_many_places_are_kept_in_wider_numbers() {
    let options = PoolOptions::new([20, 20]).stride([3, 2]);
    check_pools([1, 2, 33, 41], options, false);
    let options = PoolOptions::new([300, 300]);
    check_pools([1, 1, 300, 300], options, false);
}

#[test]
fn a_number_that_is_none_stays_one() {
    let device = Device::flex();
    let mut x = values(2 * 40, 1);
    x[41] = f32::NAN;
    let x = Tensor::<3>::from_data(TensorData::new(x, [1, 2, 40]), &device);
    let output = numbers(max_pool(x, PoolOptions::new([2])));
    assert_eq!(output.iter().position(|value| value.is_nan()), Some(20));
    assert_eq!(output.iter().filter(|value| value.is_nan()).count(), 1);
}

#[test]
fn other_number_types_give_the_same() {
    let device = Device::flex();
    let x = tensor([2, 2, 9, 11], 3, false, &device);
    let double = x.clone().cast(DType::F64);
    let options = PoolOptions { ceil_mode: true, ..PoolOptions::new([3, 2]).stride([2, 2]).padding([1, 1]) };
    let mode = ResizeMode::Linear { align_corners: false };
    let to = ResizeTo::Size([5, 23]);
    for (single, double) in [
        (max_pool(x.clone(), options), max_pool(double.clone(), options)),
        (avg_pool(x.clone(), options), avg_pool(double.clone(), options)),
        (adaptive_avg_pool(x.clone(), [1, 1]), adaptive_avg_pool(double.clone(), [1, 1])),
        (adaptive_max_pool(x.clone(), [4, 3]), adaptive_max_pool(double.clone(), [4, 3])),
        (resize(x.clone(), to, mode), resize(double.clone(), to, mode)),
    ] {
        assert_eq!((single.dims(), double.dtype()), (double.dims(), DType::F64));
        close("double", &numbers(double), &numbers(single));
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let x = tensor([5, 7, 40, 44], 1, false, &Device::flex().autodiff()).require_grad();
            let pooled = max_pool(x.clone(), PoolOptions::new([3, 3]).stride([2, 2]).padding([1, 1]));
            let to = ResizeTo::Size([50, 31]);
            let output = resize(pooled, to, ResizeMode::Linear { align_corners: true });
            let tape = output.clone().square().sum().backward();
            (output.into_data(), x.grad(&tape).unwrap().into_data())
        })
    };
    let (output, gradient) = run(1);
    for threads in [2, 3] {
        let (other, other_gradient) = run(threads);
        assert!(output.as_bytes() == other.as_bytes() && gradient.as_bytes() == other_gradient.as_bytes());
    }
}

#[test]
#[should_panic(expected = "avg_pool: a padding of 2 is more than half a window of 3")]
fn padding_is_at_most_half_a_window() {
    avg_pool(Tensor::<3>::zeros([1, 1, 9], &Device::flex()), PoolOptions::new([3]).padding([2]));
}

#[test]
#[should_panic(expected = "max_pool: a window of 5 is larger than the input's 4")]
fn windows_fit_into_the_input() {
    max_pool(Tensor::<3>::zeros([1, 1, 4], &Device::flex()), PoolOptions::new([5]));
}

//! Sampling at the places of a grid against its definition in `f64`, forward and both gradients.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::{DType, Device, Tensor, TensorData};
use ocelli_kernels::{SampleMode, SampleOptions, SamplePadding, grid_sample};
use proptest::prelude::*;

fn values(n: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (((i * 7919 + seed * 104_729) % 1013) as f32 / 506.3 - 1.0) * scale).collect()
}

fn tensor(shape: [usize; 4], seed: usize, scale: f32, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed, scale), shape), device)
}

fn numbers(tensor: Tensor<4>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_into_vec().unwrap()
}

fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-4 * scale, "{what}[{i}]: {got}, expected {expected}");
    }
}

/// A place of the grid in pixels of an axis.
fn coordinate(place: f64, extent: usize, options: SampleOptions) -> f64 {
    let extent = extent as f64;
    let at = match options.align_corners {
        true => (place + 1.0) / 2.0 * (extent - 1.0),
        false => ((place + 1.0) * extent - 1.0) / 2.0,
    };
    let mirror = |mut at: f64, low: f64, high: f64| {
        if high <= low {
            return 0.0;
        }
        while at < low || at > high {
            at = if at < low { 2.0 * low - at } else { 2.0 * high - at };
        }
        at
    };
    match (options.padding, options.align_corners) {
        (SamplePadding::Zeros, _) => at,
        (SamplePadding::Border, _) => at.clamp(0.0, extent - 1.0),
        (SamplePadding::Reflection, true) => mirror(at, 0.0, extent - 1.0),
        (SamplePadding::Reflection, false) => mirror(at, -0.5, extent - 0.5).clamp(0.0, extent - 1.0),
    }
}

/// Whether rounding decides which pixel is nearest.
fn is_undecided(pair: &[f32], [h, w]: [usize; 2], options: SampleOptions) -> bool {
    let between = |place: f32, extent: usize| {
        let at = coordinate(f64::from(place), extent, options);
        (at - at.floor() - 0.5).abs() < 1e-5
    };
    options.mode == SampleMode::Nearest && (between(pair[0], w) || between(pair[1], h))
}

/// A picture's number at a place of the grid, by the definition: the sum over all pixels of a tent around the place.
fn defined(plane: &[f64], [h, w]: [usize; 2], place: [f64; 2], options: SampleOptions) -> f64 {
    let (x, y) = (coordinate(place[0], w, options), coordinate(place[1], h, options));
    let weight = |distance: f64| match options.mode {
        SampleMode::Bilinear => (1.0 - distance.abs()).max(0.0),
        SampleMode::Nearest => {
            if distance.abs() < 0.5 {
                1.0
            } else {
                0.0
            }
        }
    };
    (0..h * w).map(|at| plane[at] * weight(x - (at % w) as f64) * weight(y - (at / w) as f64)).sum()
}

fn check(shape: [usize; 4], places: [usize; 2], options: SampleOptions, reach: f32) {
    let [b, c, h, w] = shape;
    let grid_shape = [b, places[0], places[1], 2];
    let (pictures, pairs) = (values(b * c * h * w, 1, 2.0), values(grid_shape.iter().product(), 2, reach));
    if pairs.chunks(2).any(|pair| is_undecided(pair, [h, w], options)) {
        return;
    }
    let device = Device::flex().autodiff();
    let run = |dtype: DType| {
        let x = tensor(shape, 1, 2.0, &device).cast(dtype).require_grad();
        let grid = tensor(grid_shape, 2, reach, &device).cast(dtype).require_grad();
        let output = grid_sample(x.clone(), grid.clone(), options);
        let weights = tensor(output.dims(), 3, 1.0, &device).cast(dtype);
        let tape = (output.clone() * weights).sum().backward();
        let gradient = |tensor: &Tensor<4>| tensor.grad(&tape).map(numbers).unwrap_or_default();
        (numbers(output), gradient(&x), gradient(&grid))
    };
    let (output, x, grid) = run(DType::F32);
    let pictures: Vec<f64> = pictures.into_iter().map(f64::from).collect();
    let mut expected = Vec::new();
    for plane in 0..b * c {
        let grid = &pairs[plane / c * places[0] * places[1] * 2..][..places[0] * places[1] * 2];
        expected.extend(grid.chunks(2).map(|pair| {
            let place = [f64::from(pair[0]), f64::from(pair[1])];
            defined(&pictures[plane * h * w..][..h * w], [h, w], place, options)
        }));
    }
    close("output", &output, &expected);
    if output.is_empty() {
        return assert!(x.iter().chain(&grid).all(|&gradient| gradient == 0.0));
    }
    let (composed, composed_x, composed_grid) = run(DType::F64);
    close("composed output", &composed, &expected);
    close("gradient of the picture", &x, &composed_x);
    if options.mode == SampleMode::Bilinear {
        close("gradient of the grid", &grid, &composed_grid);
    } else {
        assert!(grid.iter().all(|&gradient| gradient == 0.0));
    }
}

fn options() -> impl Strategy<Value = SampleOptions> {
    let padding =
        prop_oneof![Just(SamplePadding::Zeros), Just(SamplePadding::Border), Just(SamplePadding::Reflection)];
    let mode = prop_oneof![Just(SampleMode::Bilinear), Just(SampleMode::Nearest)];
    (mode, padding, any::<bool>()).prop_map(|(mode, padding, align_corners)| SampleOptions {
        mode,
        padding,
        align_corners,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn samples_match_their_definition(
        b in 0..3_usize, c in 1..40_usize, size in [1..9_usize, 1..11_usize],
        places in [0..7_usize, 0..25_usize], options in options(), reach in 0.5..3.0_f32,
    ) {
        check([b, c, size[0], size[1]], places, options, reach);
    }
}

#[test]
fn one_pixel_reflects_into_itself() {
    for align_corners in [false, true] {
        let options =
            SampleOptions { mode: SampleMode::Bilinear, padding: SamplePadding::Reflection, align_corners };
        check([2, 3, 1, 1], [2, 3], options, 2.0);
        check([1, 2, 1, 4], [3, 1], options, 2.0);
    }
}

#[test]
fn gradients_flow_only_to_what_tracks_them() {
    let (plain, tracking) = (Device::flex(), Device::flex().autodiff());
    let (shape, grid_shape) = ([2, 3, 5, 4], [2, 3, 3, 2]);
    let grid = tensor(grid_shape, 2, 1.0, &tracking).require_grad();
    let x = tensor(shape, 1, 1.0, &plain);
    let tape = grid_sample(x.clone(), grid.clone(), SampleOptions::default()).sum().backward();
    assert!(grid.grad(&tape).is_some());
    let x = tensor(shape, 1, 1.0, &tracking).require_grad();
    let grid = tensor(grid_shape, 2, 1.0, &plain);
    let tape = grid_sample(x.clone(), grid, SampleOptions::default()).sum().backward();
    assert!(x.grad(&tape).is_some());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let device = Device::flex().autodiff();
            let x = tensor([3, 70, 9, 11], 1, 1.0, &device).require_grad();
            let grid = tensor([3, 13, 14, 2], 2, 1.2, &device).require_grad();
            let tape =
                grid_sample(x.clone(), grid.clone(), SampleOptions::default()).square().sum().backward();
            [x.grad(&tape).unwrap().into_data(), grid.grad(&tape).unwrap().into_data()]
        })
    };
    let one = run(1);
    for threads in [2, 5] {
        let other = run(threads);
        assert!(one.iter().zip(&other).all(|(a, b)| a.as_bytes() == b.as_bytes()));
    }
}

#[test]
fn what_is_no_number_takes_from_nowhere() {
    let device = Device::flex();
    let x = Tensor::<4>::ones([1, 5, 3, 3], &device);
    let grid = Tensor::<4>::full([1, 1, 2, 2], f32::NAN, &device);
    let output = |padding| {
        numbers(grid_sample(x.clone(), grid.clone(), SampleOptions { padding, ..SampleOptions::default() }))
    };
    // The shares of a place that is no number are none either, but no pixel is there to have them.
    assert_eq!(output(SamplePadding::Zeros), [0.0; 10]);
    assert_eq!(output(SamplePadding::Border), [1.0; 10]);
}

#[test]
#[should_panic(expected = "grid_sample: pictures [1, 1, 2, 2] with a grid [1, 1, 1, 3]")]
fn a_grid_has_two_numbers_a_place() {
    let device = Device::flex();
    grid_sample(
        Tensor::zeros([1, 1, 2, 2], &device),
        Tensor::zeros([1, 1, 1, 3], &device),
        SampleOptions::default(),
    );
}

//! Milliseconds of Burn's convolution and of ours, alternating, on the shapes that small networks spend their time in:
//! `cargo run --release -p ocelli-kernels --example time_conv`. An argument selects cases by a part of their name.
//! Freed memory is retained, as a training program would have it.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor, module};
use ocelli_kernels::{ConvOptions, conv2d, retain_freed_memory};

/// Timed runs of each side; the machine's noise asks for a median.
const RUNS: usize = 9;

struct Case {
    input: [usize; 4],
    filters: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Case {
    const fn new(input: [usize; 4], filters: usize, kernel: usize, stride: usize, groups: usize) -> Self {
        Self { input, filters, kernel, stride, groups }
    }

    fn name(&self) -> String {
        let kind = if self.groups > 1 { "depthwise " } else { "" };
        let Self { input, filters, kernel, stride, .. } = self;
        format!("{kind}{input:?} -> {filters} {kernel}x{kernel} s{stride}")
    }

    fn options(&self) -> ConvOptions {
        ConvOptions {
            stride: [self.stride; 2],
            padding: [self.kernel / 2; 2],
            groups: self.groups,
            ..ConvOptions::default()
        }
    }

    /// Multiply-adds of the forward pass, in thousands of millions, times two.
    fn gigaflops(&self) -> f64 {
        let [batch, channels, height, width] = self.input;
        let positions = batch * height.div_ceil(self.stride) * width.div_ceil(self.stride);
        let products = positions * self.filters * channels / self.groups * self.kernel * self.kernel;
        2e-9 * products as f64
    }
}

const CASES: [Case; 11] = [
    Case::new([64, 16, 56, 56], 32, 3, 1, 1),
    Case::new([64, 64, 28, 28], 64, 3, 1, 1),
    Case::new([64, 128, 14, 14], 128, 3, 1, 1),
    Case::new([64, 256, 7, 7], 256, 3, 1, 1),
    Case::new([128, 256, 4, 4], 256, 3, 1, 1),
    Case::new([64, 64, 28, 28], 128, 3, 2, 1),
    Case::new([64, 128, 14, 14], 256, 1, 1, 1),
    Case::new([64, 128, 28, 28], 128, 3, 1, 128),
    Case::new([64, 128, 28, 28], 128, 3, 2, 128),
    Case::new([1, 3, 112, 112], 64, 3, 1, 1),
    Case::new([64, 3, 64, 64], 32, 3, 2, 1),
];

fn milliseconds(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// Median and minimum.
fn summary(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn time(case: &Case, device: &Device, backward: bool) -> [(f64, f64); 2] {
    let [.., channels, _, _] = case.input;
    let weight_shape = [case.filters, channels / case.groups, case.kernel, case.kernel];
    let spread = Distribution::Normal(0.0, 1.0);
    let x = Tensor::<4>::random(case.input, spread, device);
    let weight = Tensor::<4>::random(weight_shape, spread, device);
    let options = case.options();
    let stock = |x: Tensor<4>, weight: Tensor<4>| {
        let o = options;
        module::conv2d(
            x,
            weight,
            None,
            burn::tensor::ops::ConvOptions::new(o.stride, o.padding, o.dilation, o.groups),
        )
    };
    let ours = |x: Tensor<4>, weight: Tensor<4>| conv2d(x, weight, None, options);
    let run = |convolve: &dyn Fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
        let (x, weight) = (x.clone(), weight.clone());
        if backward {
            let (x, weight) = (x.require_grad(), weight.require_grad());
            let gradients = convolve(x.clone(), weight.clone()).backward();
            let _ = (x.grad(&gradients), weight.grad(&gradients));
        } else {
            let _ = convolve(x, weight);
        }
    };
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..RUNS + 1 {
        let pair = [milliseconds(|| run(&stock)), milliseconds(|| run(&ours))];
        if round > 0 {
            times.iter_mut().zip(pair).for_each(|(times, time)| times.push(time));
        }
    }
    times.map(summary)
}

fn main() {
    retain_freed_memory();
    let only = std::env::args().nth(1).unwrap_or_default();
    println!(
        "{:44} {:>8} {:>17} {:>17} {:>6} {:>7}",
        "median (min), ms", "", "Burn", "Ocelli", "ratio", "GFLOP/s"
    );
    for case in CASES.iter().filter(|case| case.name().contains(&only)) {
        for (what, device, backward, passes) in
            [("forward", Device::flex(), false, 1.0), ("training", Device::flex().autodiff(), true, 3.0)]
        {
            let [(stock, stock_min), (ours, ours_min)] = time(case, &device, backward);
            println!(
                "{:44} {what:8} {stock:8.2} ({stock_min:6.2}) {ours:8.2} ({ours_min:6.2}) {:6.2} {:7.1}",
                case.name(),
                stock / ours,
                passes * case.gigaflops() / ours_min * 1e3,
            );
        }
    }
}

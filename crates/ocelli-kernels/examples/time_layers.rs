//! Milliseconds of Burn's layers and of ours, alternating: `cargo run --release -p ocelli-kernels --example time_layers`.
//! An argument selects shapes by a part of their name. Freed memory is retained, as a training program would have it.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Distribution, Tensor, activation, module};
use ocelli_kernels::{batch_norm, prelu, retain_freed_memory, subsample};

/// Timed runs of each side; the machine's noise asks for a median.
const RUNS: usize = 9;

const SHAPES: [[usize; 4]; 5] =
    [[64, 64, 56, 56], [64, 64, 28, 28], [64, 128, 14, 14], [64, 256, 7, 7], [128, 512, 4, 4]];

/// A layer of an input `[B, C, H, W]` and parameters `[C]`.
type Layer = fn(Tensor<4>, Tensor<1>) -> Tensor<4>;

/// Name, Burn's layer and ours.
const LAYERS: [(&str, Layer, Layer); 3] = [
    ("PReLU", activation::prelu, prelu),
    (
        "batch norm",
        |x, p| module::batch_norm_train(x, p.clone(), p, 1e-5).output,
        |x, p| batch_norm(x, p.clone(), p, 1e-5).output,
    ),
    (
        "subsample 2",
        |x, _| {
            let mut options = MaxPoolOptions::new([1, 1]);
            options.stride = [2, 2];
            module::max_pool2d(x, options)
        },
        |x, _| subsample(x, [2, 2]),
    ),
];

/// Milliseconds forward, and backward from a gradient that is there already.
fn time(layer: Layer, x: &Tensor<4>, parameters: &Tensor<1>) -> [f64; 2] {
    let (x, parameters) = (x.clone().require_grad(), parameters.clone().require_grad());
    let start = Instant::now();
    let output = layer(x, parameters);
    let forward = start.elapsed();
    let loss = output.sum();
    let start = Instant::now();
    let _ = loss.backward();
    [forward, start.elapsed()].map(|time| time.as_secs_f64() * 1e3)
}

/// Median and minimum.
fn summary(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn main() {
    retain_freed_memory();
    let only = std::env::args().nth(1).unwrap_or_default();
    let device = Device::flex().autodiff();
    println!("{:20} {:12} {:8} {:>17} {:>17} {:>6}", "median (min), ms", "", "", "Burn", "Ocelli", "ratio");
    for shape in SHAPES.into_iter().filter(|shape| format!("{shape:?}").contains(&only)) {
        let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let parameters = Tensor::<1>::random([shape[1]], Distribution::Normal(0.0, 1.0), &device);
        for (name, stock, ours) in LAYERS {
            let mut times = [const { Vec::new() }; 4];
            for round in 0..RUNS + 1 {
                let [stock, ours] = [stock, ours].map(|layer| time(layer, &x, &parameters));
                let round_times = [stock[0], ours[0], stock[1], ours[1]];
                if round > 0 {
                    times.iter_mut().zip(round_times).for_each(|(times, time)| times.push(time));
                }
            }
            let [forward, our_forward, backward, our_backward] = times.map(summary);
            for (pass, (stock, stock_min), (ours, ours_min)) in
                [("forward", forward, our_forward), ("backward", backward, our_backward)]
            {
                let shape = format!("{shape:?}");
                let ratio = stock / ours;
                println!(
                    "{shape:20} {name:12} {pass:8} {stock:8.2} ({stock_min:6.2}) {ours:8.2} ({ours_min:6.2}) {ratio:6.2}"
                );
            }
        }
    }
}

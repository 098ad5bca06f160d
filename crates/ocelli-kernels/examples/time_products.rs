//! Milliseconds of products, forward and with both gradients: `cargo run --release -p ocelli-kernels --example
//! time_products`. An argument selects lines by a part of their name.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use ocelli_kernels::{matmul, retain_freed_memory};

/// Seconds that a line takes at least.
const SECONDS: f64 = 0.6;

/// Least milliseconds of runs of `work`.
fn least(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut least = f64::INFINITY;
    let mut runs = 0;
    while runs < 7 || start.elapsed().as_secs_f64() < SECONDS {
        let one = Instant::now();
        work();
        least = least.min(one.elapsed().as_secs_f64() * 1e3);
        runs += 1;
    }
    least
}

/// Times a function of leaves, forward and from a gradient of ones back.
fn time(name: &str, leaves: &[Tensor<3>], apply: impl Fn(&[Tensor<3>]) -> Tensor<3>) {
    let forward = least(|| drop(apply(leaves)));
    let recording: Vec<Tensor<3>> =
        leaves.iter().map(|leaf| leaf.clone().autodiff().require_grad()).collect();
    let both = least(|| drop(apply(&recording).sum().backward()));
    println!("{name:34} {forward:10.4} {both:10.4}");
}

fn main() {
    retain_freed_memory();
    let only = std::env::args().nth(1).unwrap_or_default();
    let device = Device::flex();
    let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let shapes = [
        (1, 2048, 2048, 2048),
        (1, 512, 512, 512),
        (1, 64, 10_000, 512),
        (1, 1600, 2048, 512),
        (96, 64, 64, 64),
        (512, 50, 50, 64),
        (512, 50, 64, 50),
        (1, 1, 4096, 4096),
        (1, 4, 4096, 1024),
        (1, 32, 1024, 256),
    ];
    for (b, m, n, k) in shapes {
        let name = format!("matmul {b}x[{m},{k}]x[{k},{n}]");
        if name.contains(&only) {
            time(&name, &[random([b, m, k]), random([b, k, n])], |leaves| {
                matmul(leaves[0].clone(), leaves[1].clone())
            });
        }
        let name = format!("turned {b}x[{m},{k}]x[{n},{k}]T");
        if name.contains(&only) {
            time(&name, &[random([b, m, k]), random([b, n, k])], |leaves| {
                matmul(leaves[0].clone(), leaves[1].clone().swap_dims(1, 2))
            });
        }
    }
}

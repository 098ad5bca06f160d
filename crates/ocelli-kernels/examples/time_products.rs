//! Least processor milliseconds of products and what is made of them, forward and with all gradients: `cargo run
//! --release -p ocelli-kernels --example time_products`. An argument selects lines by a part of their name.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use ocelli_kernels::{
    AttentionOptions, Recurrence, gru, linear, lstm, matmul, retain_freed_memory, scaled_attention,
};

/// Seconds that a measurement takes at least.
const SECONDS: f64 = 0.5;

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
fn time<const D: usize>(name: String, shapes: &[[usize; D]], apply: impl Fn(Vec<Tensor<D>>) -> Tensor<D>) {
    let only = std::env::args().nth(1).unwrap_or_default();
    if !name.contains(&only) {
        return;
    }
    let leaves = |device: &Device| -> Vec<Tensor<D>> {
        shapes.iter().map(|&shape| Tensor::random(shape, Distribution::Normal(0.0, 0.1), device)).collect()
    };
    let constants = leaves(&Device::flex());
    let forward = least(|| drop(apply(constants.clone())));
    let recording: Vec<Tensor<D>> =
        leaves(&Device::flex().autodiff()).into_iter().map(Tensor::require_grad).collect();
    let both = least(|| drop(apply(recording.clone()).sum().backward()));
    println!("{name:40} {forward:10.4} {both:10.4}");
}

fn main() {
    retain_freed_memory();
    for [b, m, n, k] in [
        [1, 2048, 2048, 2048],
        [1, 512, 512, 512],
        [1, 64, 10_000, 512],
        [96, 64, 64, 64],
        [512, 50, 50, 64],
        [1, 1, 4096, 4096],
    ] {
        time(format!("matmul {b}x[{m},{k}]x[{k},{n}]"), &[[b, m, k], [b, k, n]], |mut leaves| {
            matmul(leaves.remove(0), leaves.remove(0))
        });
    }
    for [rows, inputs, outputs] in [[1600, 512, 2048], [2048, 256, 1024], [64, 512, 10_000], [1, 1024, 4096]]
    {
        let shapes = [[1, rows, inputs], [1, outputs, inputs], [1, 1, outputs]];
        time(format!("linear [{rows},{inputs}]->{outputs}"), &shapes, |mut leaves| {
            let (x, weight) = (leaves.remove(0), leaves.remove(0).squeeze_dim(0));
            linear(x, weight, Some(leaves.remove(0).reshape([outputs])))
        });
    }
    for [b, h, t, d] in [[32, 4, 64, 64], [8, 8, 256, 64], [1, 12, 1024, 64], [4, 12, 197, 64]] {
        time(format!("attention [{b},{h},{t},{d}]"), &[[b, h, t, d]; 3], |mut leaves| {
            let (query, key) = (leaves.remove(0), leaves.remove(0));
            scaled_attention(query, key, leaves.remove(0), AttentionOptions::default())
        });
    }
    let [steps, batch, input, size] = [50, 32, 256, 256];
    for (name, gates) in [("LSTM", 4), ("GRU", 3)] {
        let width = gates * size;
        let one = [[1, width, input], [1, width, size], [1, 1, width]];
        let shapes = [vec![[steps, batch, input]], one.to_vec(), one.to_vec()].concat();
        let run = |x: &Tensor<3>, leaves: &mut Vec<Tensor<3>>, reverse: bool| {
            let (input, weight) = (leaves.remove(1).squeeze_dim(0), leaves.remove(1).squeeze_dim(0));
            let bias = leaves.remove(1).reshape([width]);
            let zeros = Tensor::<2>::zeros([batch, size], &x.device());
            if gates == 4 {
                let gates = linear(x.clone(), input, Some(bias));
                lstm(gates, Recurrence { weight, bias: None, reverse }, [zeros.clone(), zeros]).0
            } else {
                let gates = linear(x.clone(), input, Some(bias.clone()));
                gru(gates, Recurrence { weight, bias: Some(bias), reverse }, zeros)
            }
        };
        time(format!("{name} bi [{steps},{batch},{input}] {size}"), &shapes, |mut leaves| {
            let x = leaves[0].clone();
            Tensor::cat(vec![run(&x, &mut leaves, false), run(&x, &mut leaves, true)], 2)
        });
    }
}

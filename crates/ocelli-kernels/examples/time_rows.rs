//! Milliseconds of operations on rows and of elementwise ones, forward and with gradients, wall and processor time, the least of
//! several runs: `cargo run --release -p ocelli-kernels --example time_rows`. An argument selects operations by a part of
//! their name; `RAYON_NUM_THREADS` says how many threads there are.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use ocelli_kernels::{
    Chain, CrossEntropy, activation, cross_entropy, group_norm, l2_normalize, layer_norm, log_softmax,
    softmax,
};

/// Timed runs, of which the least counts.
const RUNS: usize = 15;

/// An operation on tensors `[N]` that are reshaped as it likes.
type Operation = Box<dyn Fn(&[Tensor<2>]) -> Tensor<1>>;

/// Nanoseconds that all threads of this process have run, where the system tells.
fn processor_time() -> u64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let time = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(time).sum()
}

/// Least wall and processor time in milliseconds.
fn least(mut work: impl FnMut()) -> [f64; 2] {
    let mut best = [f64::INFINITY; 2];
    for run in 0..RUNS + 2 {
        let (start, processor) = (Instant::now(), processor_time());
        work();
        let times = [start.elapsed().as_secs_f64() * 1e3, (processor_time() - processor) as f64 * 1e-6];
        if run >= 2 {
            best = [best[0].min(times[0]), best[1].min(times[1])];
        }
    }
    best
}

fn labels(rows: usize, classes: usize, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = (0..rows).map(|row| (row * 7919 % classes) as i64).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), device)
}

fn unary(function: fn(Tensor<2>) -> Tensor<2>) -> Operation {
    Box::new(move |x| function(x[0].clone()).flatten(0, 1))
}

/// Name, shape and number of the inputs, operation.
fn operations() -> Vec<(&'static str, [usize; 2], usize, Operation)> {
    let million = [1000, 1000];
    let mut list: Vec<(&'static str, [usize; 2], usize, Operation)> = vec![
        ("softmax 512x10000", [512, 10_000], 1, unary(|x| softmax(x, 1))),
        ("log_softmax 4096x1000", [4096, 1000], 1, unary(|x| log_softmax(x, 1))),
        ("softmax 512x50x50", [512 * 50, 50], 1, unary(|x| softmax(x, 1))),
        ("softmax dim 0 1000x1000", million, 1, unary(|x| softmax(x, 0))),
        (
            "cross_entropy 512x10000",
            [512, 10_000],
            1,
            Box::new(|x| {
                let [rows, classes] = x[0].dims();
                cross_entropy(x[0].clone(), labels(rows, classes, &x[0].device()), &CrossEntropy::default())
            }),
        ),
        ("normalize rows 256x512", [256, 512], 1, unary(|x| l2_normalize(x, 1, 1e-12))),
        ("normalize columns 512x10000", [512, 10_000], 1, unary(|x| l2_normalize(x, 0, 1e-12))),
        ("layer_norm 4096x512", [4096, 512], 1, unary(|x| layer_norm(x, 1, None, 1e-5))),
        (
            "group_norm 16x64x56x56",
            [16, 64 * 56 * 56],
            1,
            Box::new(|x| group_norm(x[0].clone().reshape([16, 64, 56, 56]), 8, None, 1e-5).flatten(0, 3)),
        ),
        (
            "multiply-add sigmoid 1e7",
            [1000, 10_000],
            3,
            Box::new(|x| {
                let chain = Chain::of(x[0].clone()).mul(x[1].clone()).add(x[2].clone());
                chain.sigmoid().run().flatten(0, 1)
            }),
        ),
    ];
    let functions: [(&'static str, fn(Tensor<2>) -> Tensor<2>); 10] = [
        ("relu 1e6", activation::relu),
        ("sigmoid 1e6", activation::sigmoid),
        ("tanh 1e6", activation::tanh),
        ("gelu 1e6", activation::gelu),
        ("silu 1e6", activation::silu),
        ("hard_swish 1e6", activation::hard_swish),
        ("mish 1e6", activation::mish),
        ("softplus 1e6", |x| activation::softplus(x, 1.0)),
        ("elu 1e6", |x| activation::elu(x, 1.0)),
        ("exp 1e6", |x| Chain::of(x).exp().run()),
    ];
    list.extend(functions.map(|(name, function)| (name, million, 1, unary(function))));
    list
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    println!("{:30} {:>10} {:>10} {:>10} {:>10}", "ms, least", "wall", "cpu", "wall+back", "cpu+back");
    for (name, shape, count, operation) in operations().into_iter().filter(|(name, ..)| name.contains(&only))
    {
        let device = Device::flex();
        let inputs: Vec<Tensor<2>> =
            (0..count).map(|_| Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device)).collect();
        let forward = least(|| {
            let _ = operation(&inputs);
        });
        let tracked: Vec<Tensor<2>> =
            inputs.into_iter().map(|input| input.autodiff().require_grad()).collect();
        let gradient =
            Tensor::<1>::random(operation(&tracked).dims(), Distribution::Normal(0.0, 1.0), &device);
        let both = least(|| {
            // As a gradient comes down in a training: dense, and only for this operation.
            let output = operation(&tracked);
            let seeded = if output.dims() == [1] { output } else { (output * gradient.clone()).sum() };
            let _ = seeded.backward();
        });
        println!("{name:30} {:10.3} {:10.3} {:10.3} {:10.3}", forward[0], forward[1], both[0], both[1]);
    }
}

//! Processor time of packed convolutions of networks, a line each: milliseconds and GFLOP/s, the least of several runs.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p ocelli -p ocelli-kernels --example time_packed [bf16]`

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use ocelli_kernels::{Activation, ConvOptions, ConvParts, PackedConv, Precision, retain_freed_memory};

/// Batch, input and output channels, side, kernel, stride, groups.
const CASES: [[usize; 7]; 20] = [
    [1, 3, 64, 224, 7, 2, 1],
    [1, 64, 64, 56, 1, 1, 1],
    [1, 64, 64, 56, 3, 1, 1],
    [1, 64, 256, 56, 1, 1, 1],
    [1, 256, 64, 56, 1, 1, 1],
    [1, 128, 128, 28, 3, 1, 1],
    [1, 128, 512, 28, 1, 1, 1],
    [1, 256, 512, 56, 1, 2, 1],
    [1, 256, 256, 14, 3, 1, 1],
    [1, 1024, 256, 14, 1, 1, 1],
    [1, 512, 512, 7, 3, 1, 1],
    [1, 2048, 512, 7, 1, 1, 1],
    [1, 512, 2048, 7, 1, 1, 1],
    [8, 512, 512, 7, 3, 1, 1],
    [8, 64, 64, 56, 3, 1, 1],
    [1, 64, 64, 112, 3, 1, 1],
    [1, 16, 96, 112, 1, 1, 1],
    [1, 144, 24, 56, 1, 1, 1],
    [1, 144, 144, 56, 3, 1, 144],
    [1, 96, 96, 112, 3, 2, 96],
];

/// Seconds that all threads of this process have run.
fn processor_time() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let time = |folder: std::path::PathBuf| {
        let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(|task| time(task.path())).sum::<f64>() / 1e9
}

#[allow(clippy::print_stdout)] // its results
fn main() {
    retain_freed_memory();
    let half = std::env::args().any(|argument| argument == "bf16");
    let precision = if half { Precision::Bf16 } else { Precision::Single };
    for [batch, input, output, side, kernel, stride, groups] in CASES {
        let shape = [output, input / groups, kernel, kernel];
        let options = ConvOptions { stride: [stride; 2], padding: [kernel / 2; 2], dilation: [1, 1], groups };
        let count = shape.iter().product();
        let weight = (0..count).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.5).collect();
        let parts = ConvParts {
            bias: Some(vec![0.1; output]),
            activation: Activation::Relu,
            precision,
            ..ConvParts::new(weight, shape, options)
        };
        let conv = PackedConv::new(parts).expect("the parts fit");
        let x = Tensor::<4>::ones([batch, side, side, input], &Device::flex()).permute([0, 3, 1, 2]);
        let mut least = f64::INFINITY;
        for _ in 0..7 {
            let (start, begin, mut runs) = (processor_time(), Instant::now(), 0.0);
            while begin.elapsed().as_millis() < 40 {
                drop(conv.forward(x.clone(), None));
                runs += 1.0;
            }
            least = least.min((processor_time() - start) / runs);
        }
        let results = side.div_ceil(stride).pow(2) * batch * output;
        let work = 2.0 * (results * input / groups * kernel * kernel) as f64;
        let name = format!("{batch}x{input}->{output} {side} k{kernel} s{stride} g{groups}");
        println!("{name:32} {:8.3} ms {:7.1} GFLOP/s", least * 1e3, work / least / 1e9);
    }
}

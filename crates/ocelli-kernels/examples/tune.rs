//! tune
#![allow(clippy::print_stdout)]
use burn::tensor::{Device, Distribution, Tensor, module};
use ocelli_kernels::{ConvOptions, conv2d};
use std::time::Instant;
fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let stock = std::env::args().nth(2).is_some();
    let cases: [([usize; 4], usize, usize, usize, usize); 13] = [
        ([2, 16, 56, 56], 32, 3, 1, 1),
        ([1, 64, 56, 56], 64, 3, 1, 1),
        ([2, 64, 28, 28], 64, 3, 1, 1),
        ([4, 128, 14, 14], 128, 3, 1, 1),
        ([8, 256, 7, 7], 256, 3, 1, 1),
        ([16, 256, 4, 4], 256, 3, 1, 1),
        ([4, 64, 28, 28], 128, 3, 2, 1),
        ([8, 128, 14, 14], 256, 1, 1, 1),
        ([8, 128, 14, 14], 256, 1, 2, 1),
        ([4, 128, 28, 28], 128, 3, 1, 128),
        ([4, 128, 28, 28], 128, 3, 2, 128),
        ([1, 3, 112, 112], 64, 3, 2, 1),
        ([8, 3, 64, 64], 32, 3, 2, 1),
    ];
    let device = Device::flex().autodiff();
    for (input, filters, kernel, stride, groups) in cases {
        let name = format!("{input:?}->{filters} {kernel}x{kernel} s{stride} g{groups}");
        if !name.contains(&only) {
            continue;
        }
        let o = ConvOptions { stride: [stride; 2], padding: [kernel / 2; 2], groups, ..Default::default() };
        let n = Distribution::Normal(0.0, 1.0);
        let x = Tensor::<4>::random(input, n, &device);
        let w = Tensor::<4>::random([filters, input[1] / groups, kernel, kernel], n, &device);
        let conv = |x: Tensor<4>, w: Tensor<4>| {
            if stock {
                module::conv2d(
                    x,
                    w,
                    None,
                    burn::tensor::ops::ConvOptions::new(o.stride, o.padding, o.dilation, o.groups),
                )
            } else {
                conv2d(x, w, None, o)
            }
        };
        let fl = 2.0
            * (input[0] * input[2].div_ceil(stride) * input[3].div_ceil(stride) * filters * input[1] / groups
                * kernel
                * kernel) as f64;
        let mut best = [f64::MAX; 3];
        for _ in 0..std::env::var("N").map_or(100, |n| n.parse().unwrap()) {
            let t = Instant::now();
            let y = conv(x.clone(), w.clone());
            best[0] = best[0].min(t.elapsed().as_secs_f64());
            drop(y);
            for (i, s) in [(1, true), (2, false)] {
                let (xx, ww) = if s {
                    (x.clone().require_grad(), w.clone())
                } else {
                    (x.clone(), w.clone().require_grad())
                };
                let y = conv(xx.clone(), ww.clone());
                let t = Instant::now();
                let g = y.backward();
                best[i] = best[i].min(t.elapsed().as_secs_f64());
                drop(g);
            }
        }
        print!("{name:40}");
        for (b, l) in best.iter().zip(["fwd", "dx", "dw"]) {
            print!("  {l} {:7.3} ms {:6.1} GF/s", b * 1e3, fl / b * 1e-9);
        }
        println!();
    }
}

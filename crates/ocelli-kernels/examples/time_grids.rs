#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
use burn::tensor::{Device, Distribution, Tensor};
use ocelli_kernels::update::{Moving, Rule, update};
use ocelli_kernels::*;

fn cpu() -> f64 {
    let mut total = 0u64;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        total += text.split(' ').next().and_then(|s| s.parse::<u64>().ok()).unwrap_or(0);
    }
    total as f64 * 1e-6
}

fn time(name: &str, only: &str, runs: usize, mut work: impl FnMut() -> f64) {
    if !name.contains(only) {
        return;
    }
    work();
    let best = (0..runs).map(|_| work()).fold(f64::MAX, f64::min);
    println!("{name}|{best:.3}");
}

fn op<const D: usize>(name: &str, only: &str, shape: [usize; D], f: impl Fn(Tensor<D>) -> Tensor<D>) {
    if !name.contains(only) {
        return;
    }
    let plain = Device::flex();
    let x = Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &plain);
    time(&format!("{name} fwd"), "", 9, || {
        let start = cpu();
        let y = f(x.clone());
        let t = cpu() - start;
        drop(y);
        t
    });
    let x = Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex().autodiff());
    let out = f(x.clone()).dims();
    let base = (0..9)
        .map(|_| {
            let y = Tensor::<D>::zeros(out, &Device::flex().autodiff()).require_grad();
            let loss = y.clone().sum();
            let start = cpu();
            let g = loss.backward();
            let t = cpu() - start;
            drop(g);
            t
        })
        .fold(f64::MAX, f64::min);
    time(&format!("{name} f+b"), "", 9, || {
        let x = x.clone().require_grad();
        let start = cpu();
        let y = f(x.clone());
        let a = cpu() - start;
        let loss = y.sum();
        let start = cpu();
        let g = loss.backward();
        let t = cpu() - start;
        drop(g);
        a + t - base
    });
}

fn main() {
    retain_freed_memory();
    let only = std::env::args().nth(1).unwrap_or_default();
    let o = only.as_str();
    let p = |k: usize, s: usize, p: usize| PoolOptions::new([k; 2]).stride([s; 2]).padding([p; 2]);
    op("maxpool3s2p1 16x64x112", o, [16, 64, 112, 112], |x| max_pool(x, p(3, 2, 1)));
    op("maxpool2 64x64x56", o, [64, 64, 56, 56], |x| max_pool(x, p(2, 2, 0)));
    op("maxpool3s1p1 8x192x28", o, [8, 192, 28, 28], |x| max_pool(x, p(3, 1, 1)));
    op("maxpool3d2 4x16x16x56", o, [4, 16, 16, 56, 56], |x| max_pool(x, PoolOptions::new([2, 2, 2])));
    op("maxpool1d2 32x400x100", o, [32, 400, 100], |x| max_pool(x, PoolOptions::new([2])));
    op("avgpool2 64x64x56", o, [64, 64, 56, 56], |x| avg_pool(x, p(2, 2, 0)));
    op("avgpool3s1p1 8x192x28", o, [8, 192, 28, 28], |x| avg_pool(x, p(3, 1, 1)));
    op("globalavg 64x512x7", o, [64, 512, 7, 7], |x| adaptive_avg_pool(x, [1, 1]));
    op("adaptiveavg6 16x256x13", o, [16, 256, 13, 13], |x| adaptive_avg_pool(x, [6, 6]));
    op("adaptivemax6 16x256x13", o, [16, 256, 13, 13], |x| adaptive_max_pool(x, [6, 6]));
    let lin = |a| ResizeMode::Linear { align_corners: a };
    op("bilinear2x 8x64x56", o, [8, 64, 56, 56], |x| resize(x, ResizeTo::Size([112, 112]), lin(false)));
    op("bilinear2xalign 8x64x56", o, [8, 64, 56, 56], |x| resize(x, ResizeTo::Size([112, 112]), lin(true)));
    op("bilinear1.7x 8x64x56", o, [8, 64, 56, 56], |x| resize(x, ResizeTo::Size([95, 95]), lin(false)));
    op("bilinearhalf 8x64x112", o, [8, 64, 112, 112], |x| resize(x, ResizeTo::Size([56, 56]), lin(false)));
    op("nearest2x 8x64x56", o, [8, 64, 56, 56], |x| {
        resize(x, ResizeTo::Size([112, 112]), ResizeMode::Nearest)
    });
    op("bicubic2x 8x64x56", o, [8, 64, 56, 56], |x| {
        resize(x, ResizeTo::Size([112, 112]), ResizeMode::Cubic { align_corners: false })
    });
    op("linear2x 32x400x100", o, [32, 400, 100], |x| resize(x, ResizeTo::Size([200]), lin(false)));
    op("trilinear2x 2x16x8x28", o, [2, 16, 8, 28, 28], |x| {
        resize(x, ResizeTo::Size([16, 56, 56]), lin(false))
    });
    let v = |c: usize| Tensor::<1>::ones([c], &Device::flex().autodiff()).require_grad();
    for (name, shape) in [
        ("64x64x56", [64, 64, 56, 56]),
        ("64x512x7", [64, 512, 7, 7]),
        ("64x256x14", [64, 256, 14, 14]),
        ("64x512x2", [64, 512, 2, 2]),
    ] {
        let c = shape[1];
        op(&format!("bn {name}"), o, shape, |x| batch_norm(x, v(c), v(c), 1e-5).output);
        op(&format!("bnrelu {name}"), o, shape, |x| {
            batch_norm_with(x, v(c), v(c), 1e-5, NormTail::Relu).output
        });
        op(&format!("bnaddrelu {name}"), o, shape, |x| {
            batch_norm_with(x.clone(), v(c), v(c), 1e-5, NormTail::AddRelu(x)).output
        });
        op(&format!("prelu {name}"), o, shape, |x| prelu(x, v(c)));
    }
    op("bneval 64x64x56", o, [64, 64, 56, 56], |x| {
        let s = || Tensor::<1>::ones([64], &Device::flex());
        batch_norm_by(x, v(64), v(64), [s(), s()], 1e-5)
    });
    op("bn 256x1024", o, [256, 1024], |x| batch_norm(x, v(1024), v(1024), 1e-5).output);
    op("bn 32x400x100", o, [32, 400, 100], |x| batch_norm(x, v(400), v(400), 1e-5).output);
    op("prelu 256x1024", o, [256, 1024], |x| prelu(x, v(1024)));
    op("addrelu 64x64x56", o, [64, 64, 56, 56], |x| add_relu(x.clone(), x));
    op("subsample2 64x64x56", o, [64, 64, 56, 56], |x| subsample(x, [2, 2]));
    for (name, rule) in [
        ("sgd 11M", Rule::Momentum { rate: 0.1, decay: 1e-4, momentum: 0.9, nesterov: false }),
        (
            "adam 11M",
            Rule::Adam {
                rate: 1e-3,
                decay: 0.0,
                keep: 1.0,
                betas: [0.9, 0.999],
                correction: 1.0,
                epsilon: 1e-8,
            },
        ),
    ] {
        let d = Device::flex();
        let mut all: Vec<Moving> = (0..20)
            .map(|_| {
                let t = || Tensor::<1>::random([550_000], Distribution::Normal(0.0, 1.0), &d);
                let moments = (0..rule.moments()).map(|_| t().abs()).collect();
                Moving { rule, value: t(), gradient: t(), moments }
            })
            .collect();
        time(name, o, 9, || {
            let start = cpu();
            update(&mut all);
            cpu() - start
        });
    }
}

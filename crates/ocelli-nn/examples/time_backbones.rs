//! Processor and wall time of fused inference, the least of several runs: milliseconds a network and batch.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p ocelli -p ocelli-nn --example time_backbones -- 7 [sealed|bf16|fused|eval] [network] [batch]`

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use ocelli_nn::backbones::{
    IrConfig, IrDepth, IrDialect, MobileFaceNet, MobileFaceNetTail, MobileNetV2Config, ResNetConfig,
    ResNetDepth, VitConfig,
};
use ocelli_nn::{Pass, Precision, Store, device, retain_freed_memory};

/// Seconds that all threads of this process have run.
fn processor_time() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let time = |folder: std::path::PathBuf| {
        let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(|task| time(task.path())).sum::<f64>() / 1e9
}

/// The most memory that was resident so far, in MiB.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kibibytes.unwrap_or(f64::NAN) / 1024.0
}

/// What a network makes of pictures.
type Network = Box<dyn Fn(Tensor<4>, &Pass) -> Tensor<2>>;

/// A network and the side of its pictures.
fn network(name: &str) -> Option<(usize, Network)> {
    let store = Store::new(&device("cpu").ok()?, 0);
    let root = store.root();
    Some(match name {
        "resnet50" => {
            let network = ResNetConfig::new(ResNetDepth::D50).build_classifier(&root, 1000);
            (224, Box::new(move |x, pass| network.forward(x, pass)))
        }
        "mobilenetv2" => {
            let network = MobileNetV2Config::default().build(&root);
            (224, Box::new(move |x, pass| network.forward(x, pass)))
        }
        "ir101" => {
            let network = IrConfig::published(IrDialect::CurricularFace, IrDepth::D100, false).build(&root);
            (112, Box::new(move |x, pass| network.forward(x, pass).embedding))
        }
        "mobilefacenet" => {
            let network = MobileFaceNet::new(&root, MobileFaceNetTail::Gdc);
            (112, Box::new(move |x, pass| network.forward(x, pass).embedding))
        }
        "vit_b32" => {
            let network = VitConfig::B32.build(&root);
            (224, Box::new(move |x, pass| network.forward(x, pass)))
        }
        _ => return None,
    })
}

#[allow(clippy::print_stdout)] // its results
fn main() {
    retain_freed_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(7);
    let pass = match arguments.get(1).map(String::as_str) {
        Some("bf16") => Pass::sealed_in(Precision::Bf16),
        Some("eval") => Pass::eval(),
        Some("fused") => Pass::fused(),
        _ => Pass::sealed(),
    };
    let wanted = arguments.get(2).cloned().unwrap_or_default();
    let batches: Vec<usize> = arguments.get(3).and_then(|b| b.parse().ok()).map_or(vec![1, 8], |b| vec![b]);
    for name in ["resnet50", "mobilenetv2", "ir101", "mobilefacenet", "vit_b32"] {
        let found = if name.contains(&wanted) { network(name) } else { None };
        let Some((side, run)) = found else { continue };
        for &batch in &batches {
            let x = Tensor::<4>::ones([batch, 3, side, side], &Device::flex());
            let (mut processor, mut wall) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..=runs {
                let (start, begin) = (processor_time(), Instant::now());
                let count = 8usize.div_ceil(batch);
                (0..count).for_each(|_| drop(run(x.clone(), &pass).into_data()));
                let count = count as f64;
                processor = processor.min((processor_time() - start) / count);
                wall = wall.min(begin.elapsed().as_secs_f64() / count);
            }
            let [processor, wall] = [processor, wall].map(|seconds| seconds * 1e3);
            println!("{name} b{batch}: cpu {processor:.1} wall {wall:.1} ms, peak {:.0} MiB", peak_memory());
        }
    }
}

//! Processor and wall time of fused inference, the least of several runs: milliseconds a network and batch.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p ocelli -p ocelli-nn --example time_backbones -- 7 [bf16|eval] [network]`

use std::time::Instant;

use burn::tensor::Tensor;
use ocelli_nn::backbones::{
    IrConfig, IrDepth, IrDialect, MobileFaceNet, MobileFaceNetTail, ResNetConfig, ResNetDepth,
};
use ocelli_nn::layers::{
    BatchNorm, BatchNormConfig, BlockActivation, Conv2d, Conv2dConfig, ConvBlock, Linear, LinearBlock,
    global_average,
};
use ocelli_nn::{Init, Joint, Pass, Path, Precision, Store, device, retain_freed_memory};

/// Seconds that all threads of this process have run.
fn processor_time() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let time = |folder: std::path::PathBuf| {
        let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(|task| time(task.path())).sum::<f64>() / 1e9
}

/// MobileNetV2 (Sandler et al. 2018, table 2) with its classifier.
struct MobileNetV2 {
    stem: Unit,
    blocks: Vec<(Vec<Unit>, bool)>,
    last: Unit,
    classifier: Linear,
}

struct Unit(Conv2d, BatchNorm, bool);

impl Unit {
    fn new(path: &Path, [input, output, kernel, stride, groups]: [usize; 5], activated: bool) -> Self {
        let conv = Conv2dConfig::new(input, output, kernel).stride(stride).padding(kernel / 2).groups(groups);
        Self(conv.build(&path.at(0)), BatchNormConfig::new(output).build(&path.at(1)), activated)
    }

    fn block(&self) -> ConvBlock<'_> {
        let activation = if self.2 { BlockActivation::Relu6 } else { BlockActivation::Identity };
        ConvBlock::new(&self.0).after(&self.1).activation(activation)
    }
}

impl MobileNetV2 {
    fn new(path: &Path) -> Self {
        let mut blocks = Vec::new();
        let mut input = 32;
        for [expansion, output, count, stride] in [
            [1, 16, 1, 1],
            [6, 24, 2, 2],
            [6, 32, 3, 2],
            [6, 64, 4, 2],
            [6, 96, 3, 1],
            [6, 160, 3, 2],
            [6, 320, 1, 1],
        ] {
            for k in 0..count {
                let (at, stride, wide) =
                    (path.at(blocks.len()), if k == 0 { stride } else { 1 }, expansion * input);
                let mut units = Vec::new();
                if expansion > 1 {
                    units.push(Unit::new(&at.at("expand"), [input, wide, 1, 1, 1], true));
                }
                units.push(Unit::new(&at.at("depthwise"), [wide, wide, 3, stride, wide], true));
                units.push(Unit::new(&at.at("project"), [wide, output, 1, 1, 1], false));
                blocks.push((units, stride == 1 && input == output));
                input = output;
            }
        }
        Self {
            stem: Unit::new(&path.at("stem"), [3, 32, 3, 2, 1], true),
            blocks,
            last: Unit::new(&path.at("last"), [320, 1280, 1, 1, 1], true),
            classifier: Linear::new(&path.at("classifier"), 1280, 1000, true, Init::FanInUniform),
        }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let mut x = self.stem.block().forward(x, pass);
        for (units, residual) in &self.blocks {
            let shortcut = residual.then(|| x.clone());
            for (k, unit) in units.iter().enumerate() {
                let block = unit.block();
                x = match &shortcut {
                    Some(shortcut) if k + 1 == units.len() => {
                        block.shortcut(shortcut.clone(), Joint::AfterActivation).forward(x, pass)
                    }
                    _ => block.forward(x, pass),
                };
            }
        }
        classify(self.last.block().forward(x, pass), &self.classifier, pass)
    }
}

fn classify(map: Tensor<4>, classifier: &Linear, pass: &Pass) -> Tensor<2> {
    let [batch, channels, ..] = map.dims();
    LinearBlock::new(classifier).forward(global_average(map).reshape([batch, channels, 1, 1]), pass)
}

#[allow(clippy::print_stdout)] // its results
fn main() {
    retain_freed_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(7);
    let pass = match arguments.get(1).map(String::as_str) {
        Some("bf16") => Pass::fused_in(Precision::Bf16),
        Some("eval") => Pass::eval(),
        _ => Pass::fused(),
    };
    let wanted = arguments.get(2).cloned().unwrap_or_default();
    let store = Store::new(&device("cpu").expect("there is always a processor"), 0);
    let at = |name: &str| store.root().at(name);
    let resnet = ResNetConfig::new(ResNetDepth::D50).build(&at("resnet"));
    let classifier = Linear::new(&at("classifier"), 2048, 1000, true, Init::FanInUniform);
    let mobile = MobileNetV2::new(&at("mobilenet"));
    let ir = IrConfig::published(IrDialect::CurricularFace, IrDepth::D100, false).build(&at("ir"));
    let face = MobileFaceNet::new(&at("mobilefacenet"), MobileFaceNetTail::Gdc);
    type Run<'a> = Box<dyn Fn(Tensor<4>) -> Tensor<2> + 'a>;
    let networks: [(&str, usize, Run<'_>); 4] = [
        ("resnet50", 224, Box::new(|x| classify(resnet.forward(x, &pass), &classifier, &pass))),
        ("mobilenetv2", 224, Box::new(|x| mobile.forward(x, &pass))),
        ("ir101", 112, Box::new(|x| ir.forward(x, &pass).embedding)),
        ("mobilefacenet", 112, Box::new(|x| face.forward(x, &pass).embedding)),
    ];
    for (name, side, run) in networks.iter().filter(|(name, ..)| name.contains(&wanted)) {
        for batch in [1, 8] {
            let x = Tensor::<4>::ones([batch, 3, *side, *side], store.device());
            let (mut processor, mut wall) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..=runs {
                let (start, begin) = (processor_time(), Instant::now());
                let count = 8usize.div_ceil(batch);
                (0..count).for_each(|_| drop(run(x.clone()).into_data()));
                let count = count as f64;
                processor = processor.min((processor_time() - start) / count);
                wall = wall.min(begin.elapsed().as_secs_f64() / count);
            }
            println!("{name} b{batch}: cpu {:.1} wall {:.1} ms", processor * 1e3, wall * 1e3);
        }
    }
}

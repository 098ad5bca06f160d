//! Reference-case components, in the order of the dossier; those of the evaluators are in [`protocols`].

mod protocols;

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_nn::backbones::{
    Embedded, IrConfig, IrDepth, IrDialect, IrUnit, IrUnitKind, MobileFaceNet, MobileFaceNetTail,
    ResNetDepth, ResNetFace,
};
use ocelli_nn::layers::Linear;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::replay::{Bench, replay};
use ocelli_nn::{Init, Pass};
use serde::Deserialize;

use super::head::{CurricularConfig, CurricularHead};
use crate::recognition::arcface::{ArcConfig, ArcHead};
use crate::recognition::components::{SgdSteps, prototypes, train_linear};
use crate::recognition::margin::Head;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "head", run: head },
    Component { name: "arcface", run: arcface },
    Component { name: "train", run: train },
    Component { name: "block", run: block },
    Component { name: "backbone", run: backbone },
    Component { name: "metric.lfw", run: protocols::verification },
    Component { name: "metric.roc", run: protocols::roc },
    Component { name: "metric.ident", run: protocols::identification },
    Component { name: "metric.ijb", run: protocols::templates },
];

fn head(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [embedding, classes] = prototypes(case)?;
    let config: CurricularConfig = case.config()?;
    replay(case, |bench| {
        let head = CurricularHead::new(&bench.root(), embedding, classes, config);
        bench.load_parameters()?;
        let labels = bench.labels("labels")?;
        let x = bench.input::<2>("x")?;
        // The released head updates its state in every forward pass.
        let output = head.curriculum(x, labels.clone(), true);
        bench.output("loss", cross_entropy(output.logits.clone(), labels));
        bench.output("logits", output.logits);
        bench.output("origin_logits", output.origin_logits);
        bench.output("t", output.t);
        bench.output("hard_count", output.hard_count);
        Ok(())
    })
}

fn arcface(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [embedding, classes] = prototypes(case)?;
    let config: ArcConfig = case.config()?;
    replay(case, |bench| {
        let head = ArcHead::new(&bench.root(), embedding, classes, config);
        bench.load_parameters()?;
        let labels = bench.labels("labels")?;
        let output = head.forward(bench.input::<2>("x")?, labels.clone(), true);
        bench.output("loss", cross_entropy(output.logits.clone(), labels));
        bench.output("logits", output.logits);
        bench.output("origin_logits", output.origin_logits);
        Ok(())
    })
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainConfig {
    s: f64,
    m: f64,
    alpha: f64,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    steps: usize,
}

/// A linear embedding and the head, trained by SGD for a few steps.
fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let [embedding, classes] = prototypes(case)?;
    let c: TrainConfig = case.config()?;
    let [_, input] = case.dims::<2>("x.0")?;
    let config = CurricularConfig { s: c.s, m: c.m, alpha: c.alpha, t0: 0.0 };
    replay(case, |bench| {
        let embed = Linear::new(&bench.root().at("embed"), input, embedding, false, Init::Zeros);
        let head = CurricularHead::new(&bench.root(), embedding, classes, config);
        bench.load_parameters()?;
        let sgd = SgdSteps { lr: c.lr, momentum: c.momentum, weight_decay: c.weight_decay, steps: c.steps };
        train_linear(bench, &embed, sgd, |embedding, labels| head.curriculum(embedding, labels, true).logits)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockConfig {
    kind: String,
    in_channel: usize,
    depth: usize,
    stride: usize,
}

fn block(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: BlockConfig = case.config()?;
    let kind = match config.kind.as_str() {
        "ir" => IrUnitKind::Plain,
        "ir_se" => IrUnitKind::PlainSe,
        "tface_ir" => IrUnitKind::TFace,
        "tface_ir_se" => IrUnitKind::TFaceSe,
        "tface_bottleneck_ir" => IrUnitKind::TFaceBottleneck,
        "tface_bottleneck_ir_se" => IrUnitKind::TFaceBottleneckSe,
        other => return Err(ReplayError::Unsupported(format!("block kind `{other}`"))),
    };
    replay(case, |bench| {
        let unit = IrUnit::new(&bench.root(), kind, config.in_channel, config.depth, config.stride);
        bench.load_parameters()?;
        let y = unit.forward(bench.input::<4>("x")?, &bench.pass());
        let weight = bench.input::<4>("weight")?;
        bench.output("loss", (y.clone() * weight).sum());
        bench.output("y", y);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackboneConfig {
    arch: String,
    input_size: usize,
}

fn backbone(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let BackboneConfig { arch, input_size } = case.config()?;
    replay(case, |bench| {
        let Embedded { embedding, features } = match arch.as_str() {
            "mobilefacenet_gdc" => mobile(bench, MobileFaceNetTail::Gdc)?,
            "mobilefacenet_gnap" => mobile(bench, MobileFaceNetTail::Gnap)?,
            "resnet_50" => resnet(bench, ResNetDepth::D50, input_size)?,
            "resnet_101" => resnet(bench, ResNetDepth::D101, input_size)?,
            "resnet_152" => resnet(bench, ResNetDepth::D152, input_size)?,
            other => match ir_config(other) {
                Some(config) => run(bench, |bench, x, pass| {
                    let network = IrConfig { input_size, ..config }.build(&bench.root());
                    bench.load_parameters()?;
                    Ok(network.forward(x, pass))
                })?,
                None => return Err(ReplayError::Unsupported(format!("architecture `{other}`"))),
            },
        };
        bench.output("embedding", embedding);
        bench.output("conv_sub", features);
        Ok(())
    })
}

fn run(
    bench: &mut Bench<'_>,
    network: impl FnOnce(&Bench<'_>, burn::tensor::Tensor<4>, &Pass) -> Result<Embedded, ReplayError>,
) -> Result<Embedded, ReplayError> {
    let image = bench.input::<4>("image")?;
    network(bench, image, &bench.pass())
}

fn mobile(bench: &mut Bench<'_>, tail: MobileFaceNetTail) -> Result<Embedded, ReplayError> {
    run(bench, |bench, x, pass| {
        let network = MobileFaceNet::new(&bench.root(), tail);
        bench.load_parameters()?;
        Ok(network.forward(x, pass))
    })
}

fn resnet(bench: &mut Bench<'_>, depth: ResNetDepth, size: usize) -> Result<Embedded, ReplayError> {
    run(bench, |bench, x, pass| {
        let network = ResNetFace::new(&bench.root(), depth, size);
        bench.load_parameters()?;
        Ok(network.forward(x, pass))
    })
}

/// The IR network called so in the cases: `ir_50`, `ir_se_101`, `tface_ir_18`, ….
fn ir_config(name: &str) -> Option<IrConfig> {
    let (dialect, name) = match name.strip_prefix("tface_") {
        Some(rest) => (IrDialect::TFace, rest),
        None => (IrDialect::CurricularFace, name),
    };
    let (squeeze, depth) = match name.strip_prefix("ir_se_") {
        Some(depth) => (true, depth),
        None => (false, name.strip_prefix("ir_")?),
    };
    let depth = match depth {
        "18" => IrDepth::D18,
        "34" => IrDepth::D34,
        "50" => IrDepth::D50,
        "100" | "101" => IrDepth::D100,
        "152" => IrDepth::D152,
        "200" => IrDepth::D200,
        _ => return None,
    };
    Some(IrConfig::published(dialect, depth, squeeze))
}

//! Inference of whole networks.

use anyhow::{bail, ensure};
use burn::tensor::Tensor;
use ocelli_nn::backbones::{
    IrConfig, IrDepth, IrDialect, MobileNetV2Config, ResNetConfig, ResNetDepth, VitConfig,
};
use ocelli_nn::{Pass, Precision, Store};

use super::case::{Case, Ready, device, input};

/// Letters: `b` pictures.
pub(super) const CASES: &[&str] = &[
    "resnet50 b1",
    "resnet50 b8",
    "mobilenet_v2 b1",
    "mobilenet_v2 b8",
    "ir101 b1",
    "ir101 b8",
    "vit_b32 b1",
    "vit_b32 b8",
];

/// # Errors
/// When there is no such network, or not with numbers of that precision.
pub(super) fn ready(case: &Case, precision: Precision) -> anyhow::Result<Ready> {
    let batch = case.number('b')?;
    let store = Store::new(&device(), 0);
    let root = store.root();
    let run = |side: usize, network: Box<dyn Fn(Tensor<4>) -> Tensor<2>>| {
        let x = input("x", [batch, 3, side, side]);
        Ready::new(move || {
            std::hint::black_box(network(x.clone()));
        })
    };
    let pass = Pass::fused_in(precision);
    Ok(match case.kind() {
        "resnet50" => {
            let network = ResNetConfig::new(ResNetDepth::D50).build_classifier(&root, 1000);
            run(224, Box::new(move |x| network.forward(x, &pass)))
        }
        "mobilenet_v2" => {
            let network = MobileNetV2Config::default().build(&root);
            run(224, Box::new(move |x| network.forward(x, &pass)))
        }
        "ir101" => {
            let network = IrConfig::published(IrDialect::CurricularFace, IrDepth::D100, false).build(&root);
            run(112, Box::new(move |x| network.forward(x, &pass).embedding))
        }
        "vit_b32" => {
            ensure!(
                precision == Precision::Single,
                "`{case}`: its products know single precision only; use f32"
            );
            let network = VitConfig::B32.build(&root.at("visual"));
            run(224, Box::new(move |x| network.forward(x)))
        }
        other => bail!("no network `{other}`; `ocelli bench models --list` has them"),
    })
}

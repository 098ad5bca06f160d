//! Inference of whole networks.

use anyhow::bail;
use burn::tensor::Tensor;
use ocelli_nn::backbones::{
    IrConfig, IrDepth, IrDialect, MobileNetV2Config, ResNetConfig, ResNetDepth, VitConfig,
};
use ocelli_nn::tensor::values;
use ocelli_nn::{Pass, Precision, Store};

use super::case::{Case, Ready, device, input};
use crate::cli::output;
use crate::cli::precision::told_cosines;

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

/// A network by what it makes of pictures.
type Network = Box<dyn Fn(Tensor<4>, &Pass) -> Tensor<2>>;

/// # Errors
/// When there is no such network.
pub(super) fn ready(case: &Case, precision: Precision) -> anyhow::Result<Ready> {
    let batch = case.number('b')?;
    let (side, network) = network(case)?;
    let x = input("x", [batch, 3, side, side]);
    if precision != Precision::Single {
        // What to compare with is computed before the weights are given away.
        let exact = network(x.clone(), &Pass::eval());
        let [_, length] = exact.dims();
        let other = network(x.clone(), &Pass::sealed_in(precision));
        let cosines = told_cosines(&values(exact), &values(other), length);
        output::note(format!("{case}: bf16: cosine to f32: {cosines}"));
    }
    let pass = Pass::sealed_in(precision);
    Ok(Ready::new(move || {
        std::hint::black_box(network(x.clone(), &pass));
    }))
}

/// The side of its pictures, and the network.
fn network(case: &Case) -> anyhow::Result<(usize, Network)> {
    let store = Store::new(&device(), 0);
    let root = store.root();
    Ok(match case.kind() {
        "resnet50" => {
            let network = ResNetConfig::new(ResNetDepth::D50).build_classifier(&root, 1000);
            (224, Box::new(move |x, pass| network.forward(x, pass)))
        }
        "mobilenet_v2" => {
            let network = MobileNetV2Config::default().build(&root);
            (224, Box::new(move |x, pass| network.forward(x, pass)))
        }
        "ir101" => {
            let network = IrConfig::published(IrDialect::CurricularFace, IrDepth::D100, false).build(&root);
            (112, Box::new(move |x, pass| network.forward(x, pass).embedding))
        }
        "vit_b32" => {
            let network = VitConfig::B32.build(&root.at("visual"));
            (224, Box::new(move |x, pass| network.forward(x, pass)))
        }
        other => bail!("no network `{other}`; `ocelli bench models --list` has them"),
    })
}

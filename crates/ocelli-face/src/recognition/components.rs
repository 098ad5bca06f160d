//! Components of reference cases that several recognition methods share.

use burn::tensor::{Int, Tensor};
use ocelli_method::{Outputs, Replay, ReplayError};
use ocelli_nn::backbones::{MobileFaceNet, MobileFaceNetTail};
use ocelli_nn::layers::Linear;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::replay::{Bench, replay};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaceXConfig {
    arch: String,
    feat_dim: usize,
    out_h: usize,
    out_w: usize,
}

/// FaceX-Zoo's backbone: input `image [B, 3, H, W]`, output `embedding`; and, where the case wants them, running
/// statistics after the pass by their state-dict names.
pub(crate) fn facex_backbone(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let FaceXConfig { arch, feat_dim, out_h, out_w } = case.config()?;
    if arch != "mobilefacenet" {
        return Err(ReplayError::Unsupported(format!("architecture `{arch}`")));
    }
    replay(case, |bench| {
        let tail = MobileFaceNetTail::FaceX { embedding: feat_dim, map: [out_h, out_w] };
        let network = MobileFaceNet::new(&bench.root(), tail);
        bench.load_parameters()?;
        let image = bench.input::<4>("image")?;
        let embedding = network.forward(image, &bench.pass()).embedding;
        bench.output("embedding", embedding);
        let buffers = bench.store().entries();
        for entry in buffers.iter().filter(|e| case.case.expected.contains_key(e.name())) {
            bench.array(entry.name(), entry.to_array());
        }
        Ok(())
    })
}

/// Length of the embedding and number of classes, from the stored prototypes.
pub(crate) fn prototypes(case: &Replay<'_>) -> Result<[usize; 2], ReplayError> {
    let parameters = case.case.parameters()?;
    let kernel = parameters.iter().find(|(name, _)| name == "kernel");
    let kernel = kernel.ok_or_else(|| ReplayError::refused("the case has no parameter `kernel`"))?;
    kernel.1.dims().map_err(ReplayError::refused)
}

/// How the training of a case goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SgdSteps {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) weight_decay: f64,
    pub(crate) steps: usize,
}

/// Trains a linear embedding under the head that makes `logits` of embeddings and labels, by SGD with decay on all
/// parameters: inputs `x.k` and `labels.k`, outputs `loss.k` and the state after step k by its names.
pub(crate) fn train_linear(
    bench: &mut Bench<'_>,
    embed: &Linear,
    sgd: SgdSteps,
    logits: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<2>,
) -> Result<(), ReplayError> {
    let SgdSteps { lr, momentum, weight_decay, steps } = sgd;
    let mut optimizer =
        Optimizer::new(OptimizerConfig::Sgd { lr, momentum, nesterov: false, weight_decay }, decay_all);
    for k in 0..steps {
        let x = bench.input::<2>(&format!("x.{k}"))?;
        let labels = bench.labels(&format!("labels.{k}"))?;
        bench.store().track();
        let loss = cross_entropy(logits(embed.forward(x), labels.clone()), labels);
        optimizer.step(&bench.store().backward(&loss), lr);
        bench.output(format!("loss.{k}"), loss);
        for (name, value) in bench.store().state() {
            bench.array(format!("{name}.{k}"), value);
        }
    }
    Ok(())
}

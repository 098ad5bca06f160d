//! Whole training steps: loss, gradients, update.

use anyhow::bail;
use burn::tensor::{Int, Tensor};
use ocelli_face::recognition::arcface::{ArcConfig, ArcHead};
use ocelli_face::recognition::margin::Head;
use ocelli_kernels::activation::gelu;
use ocelli_method::random::{hash_uniform, stream};
use ocelli_metrics::segment::Segment;
use ocelli_nn::backbones::{IrConfig, IrDepth, IrDialect, ResNetConfig, ResNetDepth, ResNetStem};
use ocelli_nn::layers::{LayerNorm, Linear, Lstm, MultiHeadAttention, RecurrentConfig};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::integers;
use ocelli_nn::{Gradients, Init, Pass, Path, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::trainer::{Numbers, Step};
use ocelli_video::dbg::labels::{BOUNDARY_CELLS, Labels};
use ocelli_video::dbg::loss::{BatchWeights, LossConfig};
use ocelli_video::dbg::network::{Dbg, DbgConfig};
use ocelli_video::dbg::step::gradients as dbg_gradients;

use super::case::{Case, Ready, device, input};

/// Letters: `b` samples, `h` height and width or hidden numbers, `n` classes, `t` length of a sequence or cells of a
/// video, `d` length of a vector, `a` attention heads, `l` layers.
pub(super) const CASES: &[&str] = &[
    "resnet18 b64 h32 n1000",
    "resnet18 b16 h112 n1000",
    "ir18_arcface b32 h112 n10000",
    "transformer b32 t64 d256 a4 l4 n10",
    "bilstm b32 t50 d256 h256 n10",
    "dbg b1 t100",
];

/// Learning rate of all steps: small enough that no network leaves the numbers in a few hundred of them.
const RATE: f64 = 1e-4;

/// # Errors
/// When there is no such training.
pub(super) fn ready(case: &Case) -> anyhow::Result<Ready> {
    match case.kind() {
        "resnet18" => resnet18(case),
        "ir18_arcface" => ir18_arcface(case),
        "transformer" => transformer(case),
        "bilstm" => bilstm(case),
        "dbg" => dbg(case),
        other => bail!("no training `{other}`; `ocelli bench train --list` has them"),
    }
}

/// A step by stochastic gradient descent with momentum: `loss` of a pass, by the parameters of `stores`.
fn step(stores: Vec<Store>, loss: impl Fn(&Pass) -> Tensor<1> + 'static) -> Ready {
    let gradients = move |pass: &Pass| {
        stores.iter().for_each(Store::track);
        let stores: Vec<&Store> = stores.iter().collect();
        Step::backward(&loss(pass), &stores, Numbers::new()).gradients
    };
    updated(OptimizerConfig::default(), gradients)
}

fn updated(config: OptimizerConfig, gradients: impl Fn(&Pass) -> Gradients + 'static) -> Ready {
    let mut optimizer = Optimizer::new(config, decay_all);
    let mut steps = 0;
    Ready::new(move || {
        steps += 1;
        let pass = Pass::train(stream(0, "dropout", steps));
        optimizer.step(&gradients(&pass), RATE);
    })
}

/// Labels of `samples` that are spread over the classes.
fn labels(samples: usize, classes: usize) -> Tensor<1, Int> {
    let labels: Vec<i64> = (0..samples).map(|sample| (sample * 7919 % classes) as i64).collect();
    integers(&labels, &device())
}

fn resnet18(case: &Case) -> anyhow::Result<Ready> {
    let (batch, side, classes) = (case.number('b')?, case.number('h')?, case.number('n')?);
    let store = Store::new(&device(), 0);
    let stem = if side < 64 { ResNetStem::Narrow } else { ResNetStem::Wide };
    let config = ResNetConfig { stem, ..ResNetConfig::new(ResNetDepth::D18) };
    let network = config.build_classifier(&store.root(), classes);
    let (x, labels) = (input("x", [batch, 3, side, side]), labels(batch, classes));
    Ok(step(vec![store], move |pass| cross_entropy(network.forward(x.clone(), pass), labels.clone())))
}

fn ir18_arcface(case: &Case) -> anyhow::Result<Ready> {
    let (batch, side, classes) = (case.number('b')?, case.number('h')?, case.number('n')?);
    let stores = ["network", "head"].map(|label| Store::labelled(&device(), 0, label));
    let config = IrConfig::published(IrDialect::CurricularFace, IrDepth::D18, false);
    let network = IrConfig { input_size: side, ..config }.build(&stores[0].root());
    let head = ArcHead::new(&stores[1].root(), 512, classes, ArcConfig::default());
    let (x, labels) = (input("x", [batch, 3, side, side]), labels(batch, classes));
    Ok(step(stores.to_vec(), move |pass| {
        let embedding = network.forward(x.clone(), pass).embedding;
        cross_entropy(head.forward(embedding, labels.clone(), true).logits, labels.clone())
    }))
}

/// An encoder layer that normalises first (`torch.nn.TransformerEncoderLayer` with `norm_first`).
struct EncoderLayer {
    norms: [LayerNorm; 2],
    attention: MultiHeadAttention,
    linears: [Linear; 2],
}

impl EncoderLayer {
    fn new(path: &Path, width: usize, heads: usize) -> Self {
        let linear =
            |name, input, output| Linear::new(&path.at(name), input, output, true, Init::XavierUniform);
        Self {
            norms: ["norm1", "norm2"].map(|name| LayerNorm::new(&path.at(name), width)),
            attention: MultiHeadAttention::new(&path.at("self_attn"), width, heads),
            linears: [linear("linear1", width, 4 * width), linear("linear2", 4 * width, width)],
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [norm_attention, norm_linear] = &self.norms;
        let [expand, contract] = &self.linears;
        let mixed = self.attention.self_attention(norm_attention.forward(x.clone()), None);
        let x = x + mixed;
        let expanded = gelu(expand.forward(norm_linear.forward(x.clone())));
        x + contract.forward(expanded)
    }
}

fn transformer(case: &Case) -> anyhow::Result<Ready> {
    let (batch, tokens, width) = (case.number('b')?, case.number('t')?, case.number('d')?);
    let (heads, layers, classes) = (case.number('a')?, case.number('l')?, case.number('n')?);
    let store = Store::new(&device(), 0);
    let root = store.root();
    let layers: Vec<EncoderLayer> =
        (0..layers).map(|layer| EncoderLayer::new(&root.at("layers").at(layer), width, heads)).collect();
    let classifier = Linear::new(&root.at("classifier"), width, classes, true, Init::XavierUniform);
    let (x, labels) = (input("x", [batch, tokens, width]), labels(batch, classes));
    Ok(step(vec![store], move |_| {
        let x = layers.iter().fold(x.clone(), |x, layer| layer.forward(x));
        let pooled = x.mean_dim(1).reshape([batch, width]);
        cross_entropy(classifier.forward(pooled), labels.clone())
    }))
}

fn bilstm(case: &Case) -> anyhow::Result<Ready> {
    let (batch, steps, width) = (case.number('b')?, case.number('t')?, case.number('d')?);
    let (hidden, classes) = (case.number('h')?, case.number('n')?);
    let store = Store::new(&device(), 0);
    let root = store.root();
    let config = RecurrentConfig { bidirectional: true, batch_first: true, ..RecurrentConfig::default() };
    let lstm = Lstm::new(&root.at("lstm"), width, hidden, config);
    let classifier = Linear::new(&root.at("classifier"), 2 * hidden, classes, true, Init::FanInUniform);
    let (x, labels) = (input("x", [batch, steps, width]), labels(batch, classes));
    Ok(step(vec![store], move |pass| {
        let (x, _) = lstm.forward(x.clone(), None, pass);
        let pooled = x.mean_dim(1).reshape([batch, 2 * hidden]);
        cross_entropy(classifier.forward(pooled), labels.clone())
    }))
}

/// DBG with its own losses and optimiser: convolutions over sequences, sampled features under the weights of a
/// three-dimensional convolution, heads on maps.
fn dbg(case: &Case) -> anyhow::Result<Ready> {
    let (batch, cells) = (case.number('b')?, case.number('t')?);
    let store = Store::new(&device(), 0);
    let network = Dbg::new(&store.root(), DbgConfig { tscale: cells, ..DbgConfig::default() });
    let x = input("x", [batch, network.config().feature_dim, cells]);
    let actions = [Segment::new(0.1, 0.3), Segment::new(0.42, 0.47), Segment::new(0.6, 0.95)];
    let labels = vec![Labels::new(cells, &actions, BOUNDARY_CELLS); batch];
    let draws =
        hash_uniform("draws", batch * cells * cells).iter().map(|v| (v + 1.0) / 2.0).collect::<Vec<f32>>();
    let losses = LossConfig::default();
    let adam = OptimizerConfig::Adam { lr: RATE, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 2e-3 };
    Ok(updated(adam, move |pass| {
        let videos: Vec<&Labels> = labels.iter().collect();
        let places = network.sampler().places();
        let weights = BatchWeights::new(&videos, places, [&draws, &draws], &losses);
        dbg_gradients(&network, &store, &x, &weights, (&losses, 1), pass).1
    }))
}

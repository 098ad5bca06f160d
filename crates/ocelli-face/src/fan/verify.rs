//! Reference-case components, in the order of the dossier.

use burn::tensor::Tensor;
use ocelli_data::augment::RandomScale;
use ocelli_data::image::rescale as rescale_planes;
use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::enhance::{Picture, SsimOptions, SsimVariant, evaluate};
use ocelli_metrics::lfw::balanced_accuracy;
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_nn::Pass;
use ocelli_nn::backbones::{IrHead, IrTrunk};
use ocelli_nn::replay::{Bench, replay};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;

use super::discriminator::{FeatureDiscriminator, ImageDiscriminator};
use super::losses::{self, PixelLoss};
use super::network::{Decoder, Fan, FanShape};
use super::stages::{Adapt, AdaptBatch, AdaptWeights, Classifier};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "rescale", run: rescale },
    Component { name: "draw_sizes", run: draw_sizes },
    Component { name: "loss.confusion", run: confusion },
    Component { name: "loss.pair", run: pair },
    Component { name: "loss.adversarial", run: adversarial },
    Component { name: "loss.identity", run: identity },
    Component { name: "loss.pixel", run: pixel },
    Component { name: "encoder", run: encoder },
    Component { name: "id_head", run: id_head },
    Component { name: "decoder", run: decoder },
    Component { name: "discriminator.feature", run: feature_discriminator },
    Component { name: "discriminator.image", run: image_discriminator },
    Component { name: "network", run: network },
    Component { name: "train", run: train },
    Component { name: "metric.image", run: image_quality },
    Component { name: "metric.survface", run: survface },
];

/// The configuration of components that have none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RescaleConfig {
    sizes: Vec<usize>,
    antialias: bool,
}

/// Every picture `[3, S, S]` of a batch through its own size.
fn rescale(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let RescaleConfig { sizes, antialias } = case.config()?;
    let [batch, channels, height, width] = case.dims("image")?;
    if sizes.len() != batch || height != width {
        return Err(ReplayError::refused("rescale wants a size for each picture, and square pictures"));
    }
    let pictures = case.floats("image")?.chunks((channels * height * width).max(1));
    let rescaled = pictures.zip(sizes).map(|(picture, size)| {
        rescale_planes(picture, height, size, antialias, [-1.0, 1.0]).map_err(ReplayError::refused)
    });
    let values = rescaled.collect::<Result<Vec<_>, _>>()?.concat();
    let image = Array::f32([batch, channels, height, width], values).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("image", image))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrawConfig {
    k_min: u32,
    size: u32,
    p_keep: f64,
}

fn draw_sizes(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let DrawConfig { k_min, size, p_keep } = case.config()?;
    let scale = RandomScale { k_min, p_keep, ..RandomScale::default() };
    scale.check().map_err(ReplayError::refused)?;
    let [_, 2] = case.dims("uniforms")? else {
        return Err(ReplayError::refused("uniforms: wanted two a picture"));
    };
    let draws = case.floats("uniforms")?.as_chunks::<2>().0;
    let sizes = draws.iter().map(|draws| i64::from(scale.size(*draws, size)));
    Ok(Outputs::new().with("sizes", Array::integers(sizes)))
}

fn confusion(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Nothing {} = case.config()?;
    replay(case, |bench| {
        let loss = losses::confusion(bench.input("logits")?);
        bench.output("loss", loss);
        Ok(())
    })
}

fn pair(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Nothing {} = case.config()?;
    replay(case, |bench| {
        let loss = losses::pair(bench.input::<4>("low")?, bench.input("high")?);
        bench.output("loss", loss);
        Ok(())
    })
}

fn adversarial(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Nothing {} = case.config()?;
    replay(case, |bench| {
        let (real, fake) = (bench.input("real")?, bench.input::<1>("fake")?);
        bench.output("generator_loss", losses::generator(fake.clone()));
        bench.output("loss", losses::discriminator(real, fake));
        Ok(())
    })
}

fn identity(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let Nothing {} = case.config()?;
    replay(case, |bench| {
        let loss = losses::identity(bench.input("generated")?, bench.input("true")?);
        bench.output("loss", loss);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PixelConfig {
    kind: PixelLoss,
}

fn pixel(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let PixelConfig { kind } = case.config()?;
    replay(case, |bench| {
        let loss = kind.apply(bench.input("generated")?, bench.input("true")?);
        bench.output("loss", loss);
        Ok(())
    })
}

/// An output `y` and the loss `sum(y * weight)`.
fn weighted<const D: usize>(bench: &mut Bench<'_>, y: Tensor<D>) -> Result<(), ReplayError> {
    let weight = bench.input::<D>("weight")?;
    bench.output("loss", (y.clone() * weight).sum());
    bench.output("y", y);
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncoderConfig {
    widths: Vec<usize>,
    units: Vec<usize>,
}

fn encoder(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let EncoderConfig { widths, units } = case.config()?;
    replay(case, |bench| {
        let encoder = IrTrunk::new(&bench.root(), &widths, &units);
        bench.load_parameters()?;
        let y = encoder.forward(bench.input("image")?, &bench.pass());
        weighted(bench, y)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadConfig {
    channels: usize,
    side: usize,
    dim: usize,
}

fn id_head(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let HeadConfig { channels, side, dim } = case.config()?;
    replay(case, |bench| {
        let head = IrHead::new(&bench.root(), channels, side, dim);
        bench.load_parameters()?;
        let y = head.forward(bench.input("map")?, &bench.pass());
        weighted(bench, y)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecoderConfig {
    channels: usize,
    widths: Vec<usize>,
}

fn decoder(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let DecoderConfig { channels, widths } = case.config()?;
    replay(case, |bench| {
        let decoder = Decoder::new(&bench.root(), channels, &widths);
        bench.load_parameters()?;
        let (identity, non_identity) = (bench.input("identity")?, bench.input("non_identity")?);
        let y = decoder.forward(identity, non_identity, &bench.pass());
        weighted(bench, y)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureDiscriminatorConfig {
    channels: usize,
    width: usize,
}

fn feature_discriminator(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let FeatureDiscriminatorConfig { channels, width } = case.config()?;
    replay(case, |bench| {
        let judge = FeatureDiscriminator::new(&bench.root(), channels, width);
        bench.load_parameters()?;
        let y = judge.forward(bench.input("map")?);
        weighted(bench, y)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageDiscriminatorConfig {
    widths: Vec<usize>,
}

fn image_discriminator(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let ImageDiscriminatorConfig { widths } = case.config()?;
    replay(case, |bench| {
        let judge = ImageDiscriminator::new(&bench.root(), &widths);
        bench.load_parameters()?;
        let y = judge.forward(bench.input("image")?);
        weighted(bench, y)
    })
}

/// One picture through all four encoders.
fn network(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let shape: FanShape = case.config()?;
    replay(case, |bench| {
        let fan = Fan::new(&bench.root(), &shape);
        bench.load_parameters()?;
        let (image, pass) = (bench.input::<4>("image")?, bench.pass());
        let [hr_id, hr_non, lr_id, lr_non] =
            [&fan.hr_id, &fan.hr_non, &fan.lr_id, &fan.lr_non].map(|e| e.forward(image.clone(), &pass));
        let embedding = fan.id_head.forward(lr_id.clone(), &pass);
        let normalized = fan.decoder.before_tanh(lr_id, lr_non, &pass);
        let reconstructed = fan.decoder.before_tanh(hr_id, hr_non, &pass);
        let largest = [
            over_largest(bench, "embedding_over_max", embedding),
            over_largest(bench, "normalized_pre_tanh_over_max", normalized),
            over_largest(bench, "reconstructed_pre_tanh_over_max", reconstructed),
        ];
        bench.output("max", Tensor::cat(largest.to_vec(), 0));
        Ok(())
    })
}

/// Gives the tensor divided by its largest magnitude, and returns that, `[1]`.
fn over_largest<const D: usize>(bench: &mut Bench<'_>, name: &str, y: Tensor<D>) -> Tensor<1> {
    let largest = y.clone().abs().max();
    bench.output(name, y / largest.clone().reshape([1; D]));
    largest
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainConfig {
    widths: Vec<usize>,
    units: Vec<usize>,
    side: usize,
    dim: usize,
    decoder_widths: Vec<usize>,
    discriminator_width: usize,
    weights: TrainWeights,
    lr: f64,
    momentum: f64,
    steps: usize,
    s: f64,
    m: f64,
}

/// The case's weights: all but that of the image adversary, which it does without.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainWeights {
    pair: f64,
    adv: f64,
    rec: f64,
    id: f64,
    cls: f64,
}

fn sgd(lr: f64, momentum: f64) -> Optimizer {
    Optimizer::new(OptimizerConfig::Sgd { lr, momentum, nesterov: false, weight_decay: 0.0 }, decay_all)
}

/// The second stage for a few steps: one of the feature adversary, then one of encoders and decoder.
fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: TrainConfig = case.config()?;
    let (side, dim, decoder_widths) = (c.side, c.dim, c.decoder_widths.clone());
    let shape = FanShape { widths: c.widths.clone(), units: c.units.clone(), side, dim, decoder_widths };
    let TrainWeights { pair, adv, rec, id, cls } = c.weights;
    let weights = AdaptWeights { pair, adv, rec, id, cls, img: 0.0 };
    replay(case, |bench| {
        let fan = Fan::new(&bench.root(), &shape);
        let judge_path = bench.root().at("feature_discriminator");
        let judge = FeatureDiscriminator::new(&judge_path, shape.channels(), c.discriminator_width);
        let (kernel, classes) = ("kernel", classes(case)?);
        let prototypes =
            bench.root().param(kernel, &[dim, classes], ocelli_nn::Init::Zeros, ocelli_nn::Role::Kernel);
        bench.load_parameters()?;
        let classifier = Classifier { kernel: prototypes.value(), s: c.s, m: c.m };
        let stage = Adapt { fan: &fan, classifier, pixel: PixelLoss::L2, weights };
        let (mut own, mut adversary) = (sgd(c.lr, c.momentum), sgd(c.lr, 0.0));
        let store = bench.store().clone();
        for k in 0..c.steps {
            let batch = AdaptBatch {
                high: bench.input(&format!("high.{k}"))?,
                low: bench.input(&format!("low.{k}"))?,
                unpaired: Some(bench.input(&format!("unpaired.{k}"))?),
                labels: bench.labels(&format!("labels.{k}"))?,
            };
            store.track_where(|e| e.name().starts_with("feature_discriminator."));
            let seen = stage.forward(batch.clone(), &Pass::eval());
            let judged = stage.judge_maps(&seen, &judge);
            adversary.step(&store.backward(&judged), c.lr);
            bench.output(format!("discriminator_loss.{k}"), judged);

            store.track_where(|e| ["lr_id.", "lr_non.", "decoder."].iter().any(|p| e.name().starts_with(p)));
            let terms = stage.losses(&stage.forward(batch, &bench.pass()), &judge, None);
            let loss = terms.total();
            own.step(&store.backward(&loss), c.lr);
            bench.output(format!("loss.{k}"), loss);
            for (name, _, loss) in terms.0 {
                bench.output(format!("{name}.{k}"), loss);
            }
        }
        for wanted in case.case.expected.keys() {
            let Some(entry) = wanted.strip_prefix("param.").and_then(|name| store.find(name)) else {
                continue;
            };
            bench.array(wanted.clone(), entry.to_array());
        }
        Ok(())
    })
}

/// Number of classes, from the stored prototypes.
fn classes(case: &Replay<'_>) -> Result<usize, ReplayError> {
    let parameters = case.case.parameters()?;
    let kernel = parameters.iter().find(|(name, _)| name == "kernel");
    let kernel = kernel.ok_or_else(|| ReplayError::refused("the case has no parameter `kernel`"))?;
    let [_, classes] = kernel.1.dims().map_err(ReplayError::refused)?;
    Ok(classes)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QualityConfig {
    window: usize,
    sigma: f64,
    range: f64,
}

fn image_quality(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let QualityConfig { window, sigma, range } = case.config()?;
    let options = SsimOptions { variant: SsimVariant::Valid, window, sigma, range };
    let [batch, channels, height, width] = case.dims("a")?;
    let size = channels * height * width;
    let batches = [("a", case.doubles("a")?), ("b", case.doubles("b")?)];
    if batches[1].1.len() != batch * size {
        return Err(ReplayError::refused("a and b differ in size"));
    }
    let measure = |i: usize| {
        let [a, b] = [0, 1].map(|k| {
            let (name, values) = &batches[k];
            Picture::planar(name, &values[i * size..(i + 1) * size], [channels, height, width])
        });
        evaluate(&a?, &b?, &options)
    };
    let found: Vec<_> = (0..batch).map(measure).collect::<Result<_, _>>().map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("psnr", Array::vector_f64(found.iter().map(|q| q.psnr)))
        .with("ssim", Array::vector_f64(found.iter().map(|q| q.ssim))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SurvFaceConfig {
    fars: Vec<f64>,
}

fn survface(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let SurvFaceConfig { fars } = case.config()?;
    let same: Vec<bool> = case.doubles("labels")?.iter().map(|v| *v != 0.0).collect();
    let pairs = PairScores::new(&case.doubles("scores")?, &same).map_err(ReplayError::refused)?;
    let points = pairs.tar_at_far(&fars, FarRule::RankFloor).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("tar", Array::vector_f64(points.iter().map(|p| p.tar)))
        .with("auc", pairs.auc())
        .with("mean_accuracy", balanced_accuracy(&pairs).accuracy))
}

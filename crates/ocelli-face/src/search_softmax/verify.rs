//! Reference-case components, in the order of the dossier.

use burn::tensor::Tensor;
use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, k_fold};
use ocelli_metrics::roc::PairScores;
use ocelli_nn::Store;
use ocelli_nn::backbones::{ResNetDepth, ResNetFace, ResNetFaceDialect, SequentialMobileFaceNet};
use ocelli_nn::ops::{cross_entropy, l2_normalize};
use ocelli_nn::replay::replay;
use serde::Deserialize;

use super::agent::{Agent, AgentConfig};
use super::head::{FcConfig, FcHead};
use super::loss::Factors;
use super::modulating::{Factor, MarginFunction};
use crate::recognition::margin::Head;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "loss", run: loss },
    Component { name: "modulating", run: modulating },
    Component { name: "head", run: head },
    Component { name: "agent", run: agent },
    Component { name: "backbone", run: backbone },
    Component { name: "metric.lfw", run: verification },
];

#[derive(Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
enum LossConfig {
    Random(RandomConfig),
    Global(SearchedConfig),
    Local(SearchedConfig),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RandomConfig {
    a: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchedConfig {
    a: Vec<f64>,
    s: f64,
    divisor: f64,
    bins: Vec<f64>,
}

impl LossConfig {
    fn factors(&self) -> Result<Factors, ReplayError> {
        match self {
            Self::Random(RandomConfig { a }) => Factor::new(*a).map(Factors::Global),
            Self::Global(SearchedConfig { a, s, divisor, .. }) => {
                let action = a.first().ok_or_else(|| ReplayError::refused("config: no action in `a`"))?;
                Factor::of_action(*action, (s / divisor).exp()).map(Factors::Global)
            }
            Self::Local(SearchedConfig { a, s, divisor, bins }) => {
                Factors::local(a, bins, (s / divisor).exp())
            }
        }
        .map_err(ReplayError::refused)
    }
}

fn loss(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let factors = case.config::<LossConfig>()?.factors()?;
    replay(case, |bench| {
        let modulated = factors.modulate(bench.input::<2>("logits")?, bench.labels("labels")?);
        bench.output("loss", modulated.loss);
        bench.output("p", modulated.p);
        bench.output("p_margin", modulated.p_margin);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModulatingConfig {
    s: f64,
    margins: serde_json::Map<String, serde_json::Value>,
}

fn modulating(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let ModulatingConfig { s, margins } = case.config()?;
    let [_, classes] = case.dims::<2>("cos")?;
    let (cosines, labels) = (case.doubles("cos")?, case.integers("labels")?);
    let mut outputs = Outputs::new();
    for (kind, margin) in margins {
        // The margin of a loss without one may be any value, or none.
        let m = margin.as_f64();
        let function = match (kind.as_str(), m) {
            ("none", _) => MarginFunction::None,
            ("am", Some(m)) => MarginFunction::Am(m),
            ("arc", Some(m)) => MarginFunction::Arc(m),
            _ => return Err(ReplayError::Unsupported(format!("margin `{kind}` of {margin}"))),
        };
        let (mut factors, mut probabilities) = (Vec::new(), Vec::new());
        for (row, &label) in cosines.chunks(classes.max(1)).zip(labels) {
            let positive = usize::try_from(label).ok().and_then(|label| row.get(label));
            let positive = *positive
                .ok_or_else(|| ReplayError::refused(format!("label {label} of {classes} classes")))?;
            let a = function.factor(positive, s);
            let total: f64 = row.iter().map(|c| (s * (c - positive)).exp()).sum();
            let factor = Factor::new(a).map_err(ReplayError::refused)?;
            factors.push(a);
            probabilities.push(factor.apply(total.recip()));
        }
        outputs.set(format!("a.{kind}"), Array::vector_f64(factors));
        outputs.set(format!("p_margin.{kind}"), Array::vector_f64(probabilities));
    }
    Ok(outputs)
}

fn head(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: FcConfig = case.config()?;
    config.validate().map_err(ReplayError::refused)?;
    let [_, embedding] = case.dims::<2>("x")?;
    let parameters = case.case.parameters()?;
    let weight = parameters.iter().find(|(name, _)| name == "weight");
    let weight = weight.ok_or_else(|| ReplayError::refused("the case has no parameter `weight`"))?;
    let [_, classes] = weight.1.dims::<2>().map_err(ReplayError::refused)?;
    replay(case, |bench| {
        let head = FcHead::new(&bench.root(), embedding, classes, config);
        bench.load_parameters()?;
        let labels = bench.labels("labels")?;
        let logits = head.forward(bench.input::<2>("x")?, labels.clone(), true).logits;
        bench.output("loss", cross_entropy(logits.clone(), labels));
        bench.output("logits", logits);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentCase {
    n: usize,
    models: usize,
    sigma: f64,
    lr: f64,
    betas: [f64; 2],
    adam_eps: f64,
    rectify_first: bool,
    steps: usize,
    mu0: f64,
}

fn agent(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: AgentCase = case.config()?;
    let AgentCase { n, models, steps, .. } = c;
    let config = AgentConfig {
        sigma: c.sigma,
        eta: c.lr,
        betas: c.betas,
        epsilon: c.adam_eps,
        mu0: c.mu0,
        rectify_first: c.rectify_first,
    };
    config.validate().map_err(ReplayError::refused)?;
    if case.dims::<3>("actions")? != [steps, models, n] || case.dims::<2>("accuracy")? != [steps, models] {
        return Err(ReplayError::refused("actions and accuracy do not have the shapes of the config"));
    }
    if n == 0 || models == 0 {
        return Err(ReplayError::refused("config: n and models must be at least 1"));
    }
    let (actions, accuracy) = (case.doubles("actions")?, case.doubles("accuracy")?);
    let store = Store::new(&ocelli_nn::device(case.device).map_err(ReplayError::refused)?, 0);
    let agent = Agent::new(&store.root(), n, config);
    let (mut mu, mut advantage, mut best) = (Vec::new(), Vec::new(), Vec::new());
    for (actions, rewards) in actions.chunks(models * n).zip(accuracy.chunks(models)) {
        let actions: Vec<Vec<f64>> = actions.chunks(n).map(<[f64]>::to_vec).collect();
        let judgement = agent.learn(&actions, rewards).map_err(ReplayError::refused)?;
        mu.extend(agent.mu());
        advantage.extend(judgement.advantages);
        best.push(judgement.best as i64);
    }
    let table = |values: Vec<f64>, columns: usize| {
        Array::vector_f64(values).reshaped([steps, columns]).map_err(ReplayError::refused)
    };
    Ok(Outputs::new()
        .with("mu", table(mu, n)?)
        .with("advantage", table(advantage, models)?)
        .with("best", Array::integers(best)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackboneConfig {
    arch: String,
    feat_dim: usize,
}

fn backbone(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let BackboneConfig { arch, feat_dim } = case.config()?;
    replay(case, |bench| {
        let image = bench.input::<4>("image")?;
        let [_, _, size, _] = image.dims();
        let root = bench.root();
        let resnet = |depth| ResNetFace::of(ResNetFaceDialect::LossSearch, &root, depth, size, feat_dim);
        let embedding: Tensor<2> = match arch.as_str() {
            "mobile" => {
                let network = SequentialMobileFaceNet::new(&root, feat_dim);
                bench.load_parameters()?;
                network.forward(image, &bench.pass()).embedding
            }
            "r50" | "r101" => {
                let network = resnet(if arch == "r50" { ResNetDepth::D50 } else { ResNetDepth::D101 });
                bench.load_parameters()?;
                network.forward(image, &bench.pass()).embedding
            }
            other => return Err(ReplayError::Unsupported(format!("architecture `{other}`"))),
        };
        bench.output("embedding", l2_normalize(embedding, 1));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerificationConfig {
    folds: usize,
    pairs_per_fold: usize,
    num_thresholds: usize,
    far_targets: Vec<f64>,
}

fn verification(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: VerificationConfig = case.config()?;
    let scores = case.doubles("scores")?;
    let same: Vec<bool> = case.doubles("labels")?.iter().map(|label| *label != 0.0).collect();
    if Some(scores.len()) != c.folds.checked_mul(c.pairs_per_fold) {
        let (n, folds, each) = (scores.len(), c.folds, c.pairs_per_fold);
        return Err(ReplayError::refused(format!("{n} scores are not {folds} folds of {each}")));
    }
    let options =
        KFoldOptions { folds: c.folds, num_thresholds: c.num_thresholds, ..KFoldOptions::default() };
    let report = k_fold(LfwVariant::SearchSoftmax, &scores, &same, &options).map_err(ReplayError::refused)?;
    let pairs = PairScores::new(&scores, &same).map_err(ReplayError::refused)?;
    let points = pairs.tar_at_far_by_histogram(&c.far_targets, c.num_thresholds);
    let points = points.map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("mean", report.mean_accuracy)
        .with("std_err", report.standard_error)
        .with("vr_at_far", Array::vector_f64(points.iter().map(|p| p.tar))))
}

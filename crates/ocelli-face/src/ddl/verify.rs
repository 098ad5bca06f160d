//! Reference-case components, in the order of the dossier.

use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
use ocelli_metrics::identification::{expectation_margin, rank_one};
use ocelli_metrics::similarity::{self, Measure};
use ocelli_metrics::{Matrix, MetricError};
use ocelli_nn::layers::Linear;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::replay::{Bench, replay};
use ocelli_nn::tensor::to_array;
use ocelli_nn::{Init, Path};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;

use super::{Branch, DdlConfig, Histogram, ddl_loss, hard_negatives};
use crate::curricularface::{CurricularConfig, CurricularHead};
use crate::recognition::arcface::{ArcConfig, ArcHead};
use crate::recognition::margin::Head;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "loss", run: loss },
    Component { name: "histogram", run: histogram },
    Component { name: "hard_negative", run: hard_negative },
    Component { name: "train", run: train },
    Component { name: "metric.rank1", run: rank1 },
];

/// The keys of the loss; those that a case leaves out have the published values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LossKeys {
    pos_kl_weight: f64,
    neg_kl_weight: f64,
    order_loss_weight: f64,
    /// Stored and never used by the released code, which compares with 0.
    #[serde(rename = "positive_threshold")]
    _positive_threshold: f64,
    nodes: usize,
    node_start: f64,
    node_step: f64,
    sigma: f64,
    eps: f64,
}

const LOSS_KEYS: [&str; 9] = [
    "pos_kl_weight",
    "neg_kl_weight",
    "order_loss_weight",
    "positive_threshold",
    "nodes",
    "node_start",
    "node_step",
    "sigma",
    "eps",
];

impl Default for LossKeys {
    fn default() -> Self {
        let DdlConfig { pos_kl_weight, neg_kl_weight, order_loss_weight, histogram, eps } =
            DdlConfig::default();
        let Histogram { nodes, node_start, node_step, sigma } = histogram;
        Self {
            pos_kl_weight,
            neg_kl_weight,
            order_loss_weight,
            _positive_threshold: 0.0,
            nodes,
            node_start,
            node_step,
            sigma,
            eps,
        }
    }
}

/// The keys of the loss, and the component's own.
fn configs<T: serde::de::DeserializeOwned>(case: &Replay<'_>) -> Result<(DdlConfig, T), ReplayError> {
    let all: serde_json::Map<String, serde_json::Value> = case.config()?;
    let (loss, own): (serde_json::Map<_, _>, serde_json::Map<_, _>) =
        all.into_iter().partition(|(key, _)| LOSS_KEYS.contains(&key.as_str()));
    let keys: LossKeys = serde_json::from_value(loss.into())?;
    let LossKeys { pos_kl_weight, neg_kl_weight, order_loss_weight, eps, .. } = keys;
    let LossKeys { nodes, node_start, node_step, sigma, .. } = keys;
    let histogram = Histogram { nodes, node_start, node_step, sigma };
    let config = DdlConfig { pos_kl_weight, neg_kl_weight, order_loss_weight, histogram, eps };
    config.validate().map_err(ReplayError::refused)?;
    Ok((config, serde_json::from_value(own.into())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Branches {
    branches: usize,
}

fn loss(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let (config, Branches { branches }) = configs(case)?;
    at_least_one(branches)?;
    replay(case, |bench| {
        let mut branch = |k: usize| {
            Ok::<_, ReplayError>(Branch {
                neg: bench.input(&format!("neg.{k}"))?,
                first: bench.input(&format!("pos_first.{k}"))?,
                second: bench.input(&format!("pos_second.{k}"))?,
            })
        };
        let branches = (0..branches).map(&mut branch).collect::<Result<Vec<_>, _>>()?;
        let output = ddl_loss(&branches, &config);
        bench.output("loss", output.loss);
        bench.output("pos_kl", output.pos_kl);
        bench.output("neg_kl", output.neg_kl);
        bench.output("order", output.order);
        for (k, branch) in output.branches.into_iter().enumerate() {
            bench.output(format!("neg_similarity.{k}"), branch.negatives);
            bench.output(format!("pos_similarity.{k}"), branch.positives);
            bench.output(format!("neg_distribution.{k}"), branch.negative);
            if let Some(positive) = branch.positive {
                bench.output(format!("pos_distribution.{k}"), positive);
            }
        }
        Ok(())
    })
}

fn at_least_one(branches: usize) -> Result<(), ReplayError> {
    match branches {
        0 => Err(ReplayError::refused("`branches` is 0; there is a teacher at least")),
        _ => Ok(()),
    }
}

fn histogram(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let histogram: Histogram = case.config()?;
    histogram.validate().map_err(ReplayError::refused)?;
    replay(case, |bench| {
        let distribution = histogram.of(bench.input::<1>("similarity")?);
        let weight = bench.input::<1>("weight")?;
        if weight.dims() != distribution.dims() {
            return Err(ReplayError::refused("`weight` has another length than `nodes` says"));
        }
        bench.output("loss", (weight * distribution.clone()).sum().mul_scalar(1000.0));
        bench.output("distribution", distribution);
        Ok(())
    })
}

fn hard_negative(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    replay(case, |bench| {
        let similarity = hard_negatives(bench.input::<2>("x")?);
        bench.output("loss", similarity.clone().sum());
        bench.output("similarity", similarity);
        Ok(())
    })
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainCase {
    branches: usize,
    head: String,
    s: f64,
    m: f64,
    #[serde(default)]
    alpha: f64,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    steps: usize,
}

impl TrainCase {
    /// The head of one branch.
    fn head(&self, path: &Path, [embedding, classes]: [usize; 2]) -> Result<Box<dyn Head>, ReplayError> {
        let Self { s, m, alpha, .. } = *self;
        match self.head.as_str() {
            "curricularface" => {
                let config = CurricularConfig { s, m, alpha, t0: 0.0 };
                Ok(Box::new(CurricularHead::new(path, embedding, classes, config)))
            }
            "arcface" => {
                let config = ArcConfig { s, m, easy_margin: false };
                Ok(Box::new(ArcHead::new(path, embedding, classes, config)))
            }
            other => Err(ReplayError::Unsupported(format!("head `{other}`"))),
        }
    }
}

/// A linear embedding and a head for each branch, trained by SGD for a few steps.
fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let (config, c): (DdlConfig, TrainCase) = configs(case)?;
    at_least_one(c.branches)?;
    let parameters = case.case.parameters()?;
    let shape = |name: &str| {
        let found = parameters.iter().find(|(n, _)| n == name).map(|(_, array)| array.dims::<2>());
        let found =
            found.ok_or_else(|| ReplayError::refused(format!("the case has no parameter `{name}`")))?;
        found.map_err(ReplayError::refused)
    };
    replay(case, |bench| {
        let [embedding, input] = shape("embed.weight")?;
        let embed = Linear::new(&bench.root().at("embed"), input, embedding, false, Init::Zeros);
        let head = |k: usize| c.head(&bench.root().at("head").at(k), shape(&format!("head.{k}.kernel"))?);
        let heads = (0..c.branches).map(head).collect::<Result<Vec<_>, _>>()?;
        bench.load_parameters()?;
        let TrainCase { lr, momentum, weight_decay, .. } = c;
        let sgd = OptimizerConfig::Sgd { lr, momentum, nesterov: false, weight_decay };
        let mut optimizer = Optimizer::new(sgd, decay_all);
        for step in 0..c.steps {
            bench.store().track();
            let mut branches = Vec::new();
            let mut entropy = None;
            for (k, head) in heads.iter().enumerate() {
                let mut embed = |list: &str| {
                    Ok::<_, ReplayError>(embed.forward(bench.input::<2>(&format!("{list}.{k}.{step}"))?))
                };
                let (neg, first, second) = (embed("x")?, embed("first")?, embed("second")?);
                let labels = bench.labels(&format!("labels.{k}.{step}"))?;
                let logits = head.forward(neg.clone(), labels.clone(), true).logits;
                let own = cross_entropy(logits, labels);
                entropy = Some(match entropy {
                    Some(entropy) => entropy + own,
                    None => own,
                });
                branches.push(Branch { neg, first, second });
            }
            let ddl = ddl_loss(&branches, &config).loss;
            let loss = entropy.map_or_else(|| ddl.clone(), |entropy| entropy + ddl.clone());
            optimizer.step(&bench.store().backward(&loss), lr);
            bench.array(format!("ddl.{step}"), to_array(ddl));
            bench.array(format!("loss.{step}"), to_array(loss));
            publish(bench, step, c.branches);
        }
        for k in 0..c.branches {
            copy(bench, &format!("head.{k}.kernel"), format!("head.{k}.kernel"));
        }
        Ok(())
    })
}

/// The state after a step.
fn publish(bench: &mut Bench<'_>, step: usize, branches: usize) {
    copy(bench, "embed.weight", format!("embed.weight.{step}"));
    for k in 0..branches {
        copy(bench, &format!("head.{k}.t"), format!("t.{k}.{step}"));
    }
}

/// Gives a parameter as an output; one that a head does not have is none.
fn copy(bench: &mut Bench<'_>, parameter: &str, output: String) {
    if let Some(entry) = bench.store().find(parameter) {
        bench.array(output, entry.to_array());
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RankCase {
    subsets: usize,
}

/// SCface's protocol: the nearest gallery picture by cosine, distance by distance.
fn rank1(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let RankCase { subsets } = case.config()?;
    let refused = |error: MetricError| ReplayError::refused(error);
    let gallery = case.doubles("gallery")?;
    let gallery = Matrix::new("gallery", &gallery, case.dims("gallery")?).map_err(refused)?;
    let gallery_labels = case.integers("gallery_labels")?;
    let mut outputs = Outputs::new();
    for k in 0..subsets {
        let (probe, labels) = (format!("probe.{k}"), format!("probe_labels.{k}"));
        let (values, labels) = (case.doubles(&probe)?, case.integers(&labels)?);
        let probes = Matrix::new("probe", &values, case.dims(&probe)?).map_err(refused)?;
        let table = similarity::pairwise(probes, gallery, Measure::Cosine).map_err(refused)?;
        let shape = [labels.len(), gallery_labels.len()];
        let table = Matrix::new("similarity", &table, shape).map_err(refused)?;
        let found = rank_one(table, labels, gallery_labels).map_err(refused)?.accuracy;
        let margin = expectation_margin(table, labels, gallery_labels).map_err(refused)?;
        outputs.set(format!("rank1.{k}"), Array::from(found));
        outputs.set(format!("expectation_margin.{k}"), Array::from(margin));
    }
    Ok(outputs)
}

//! Reference-case components, in the order of the dossier.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::identification::mate_strict;
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, k_fold};
use ocelli_metrics::reid::{self, Pictures, ReidOptions};
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_nn::Init;
use ocelli_nn::backbones::SphereFace;
use ocelli_nn::layers::Linear;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::replay::replay;
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;

use super::centers::{recompute, running};
use super::{Variant, deviation};
use crate::recognition::margin::LambdaSchedule;
use crate::recognition::protocols::{Table, floats, refused, tars};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "loss", run: loss },
    Component { name: "update", run: update },
    Component { name: "train", run: train },
    Component { name: "sphere_lambda", run: sphere_lambda },
    Component { name: "deviation", run: angles },
    Component { name: "network", run: network },
    Component { name: "metric.verification", run: verification },
    Component { name: "metric.identification", run: identification },
    Component { name: "metric.reid", run: reidentification },
];

/// The keys of a loss, and of a training with it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LossKeys {
    variant: String,
    margin: Option<f64>,
    scale: Option<f64>,
    lam: Option<f64>,
    alpha: Option<f64>,
    lr: Option<f64>,
    steps: Option<usize>,
}

impl LossKeys {
    fn variant(&self) -> Result<Variant, ReplayError> {
        match self.variant.as_str() {
            "softmax" => Ok(Variant::Softmax),
            "am_softmax" => {
                let (margin, scale) = (self.margin.unwrap_or(0.35), self.scale.unwrap_or(30.0));
                Ok(Variant::AmSoftmax { margin, scale })
            }
            "a_softmax" => {
                let margin = self.margin.unwrap_or(4.0);
                if margin.fract() != 0.0 || !(1.0..=16.0).contains(&margin) {
                    return Err(ReplayError::Unsupported(format!("an angle multiplied by {margin}")));
                }
                Ok(Variant::ASoftmax { margin: margin as u32, lam: self.lam.unwrap_or(0.0) })
            }
            other => Err(ReplayError::Unsupported(format!("loss variant `{other}`"))),
        }
    }
}

fn loss(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let variant = case.config::<LossKeys>()?.variant()?;
    replay(case, |bench| {
        let labels = bench.labels("label")?;
        let (features, centers) = (bench.input::<2>("feat")?, bench.input::<2>("centers")?);
        let (logits, _) = variant.logits(features, centers, labels.clone());
        bench.output("loss", cross_entropy(logits.clone(), labels));
        bench.output("logits", logits);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateConfig {
    alpha: f64,
}

fn update(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let UpdateConfig { alpha } = case.config()?;
    replay(case, |bench| {
        let labels = bench.labels("label")?;
        let (features, old) = (bench.input::<2>("feat")?, bench.input::<2>("centers")?);
        bench.output("centers", running(old.clone(), features.clone(), labels.clone(), alpha));
        bench.output("mean_centers", recompute(old, features, labels));
        Ok(())
    })
}

/// A linear embedding trained on its running centres by plain SGD: loss, gradient, step of the parameters, centres.
fn train(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let keys: LossKeys = case.config()?;
    let variant = keys.variant()?;
    let absent = |key: &str| ReplayError::refused(format!("the config has no `{key}`"));
    let alpha = keys.alpha.ok_or_else(|| absent("alpha"))?;
    let lr = keys.lr.ok_or_else(|| absent("lr"))?;
    let steps = keys.steps.ok_or_else(|| absent("steps"))?;
    let [batches, batch, input] = case.dims::<3>("x")?;
    if case.dims::<2>("label")? != [batches, batch] || steps > batches {
        return Err(ReplayError::refused(format!("x and label do not hold {steps} batches")));
    }
    let [_, embedding] = case.dims::<2>("centers")?;
    replay(case, |bench| {
        let embed = Linear::new(&bench.root(), input, embedding, true, Init::Zeros);
        bench.load_parameters()?;
        let all_x = bench.input::<3>("x")?;
        let all_labels = bench.labels("label")?;
        let mut centers = bench.input::<2>("centers")?;
        let sgd = OptimizerConfig::Sgd { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let mut optimizer = Optimizer::new(sgd, decay_all);
        for t in 0..steps {
            let x = all_x.clone().narrow(0, t, 1).reshape([batch, input]);
            let labels = all_labels.clone().narrow(0, t * batch, batch);
            bench.store().track();
            let features = embed.forward(x);
            let (logits, _) = variant.logits(features.clone(), centers.clone(), labels.clone());
            let loss = cross_entropy(logits, labels.clone());
            optimizer.step(&bench.store().backward(&loss), lr);
            centers = running(centers, features.without_autodiff(), labels, alpha);
            bench.output(format!("loss{t}"), loss);
            bench.output(format!("centers{t}"), centers.clone());
            for (name, value) in bench.store().state() {
                bench.array(format!("{name}{t}"), value);
            }
        }
        Ok(())
    })
}

fn sphere_lambda(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let schedule: LambdaSchedule = case.config()?;
    let lambda = case.integers("iteration")?.iter().map(|&it| schedule.at(it.max(0) as u64));
    Ok(Outputs::new().with("lambda", floats(lambda)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviationConfig {
    unit: String,
}

fn angles(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let DeviationConfig { unit } = case.config()?;
    if unit != "degrees" {
        return Err(ReplayError::Unsupported(format!("angles in {unit}")));
    }
    if case.dims::<2>("weight")? != case.dims::<2>("centers")? {
        return Err(ReplayError::refused("weight and centers differ in shape"));
    }
    replay(case, |bench| {
        let (weight, centers) = (bench.input::<2>("weight")?, bench.input::<2>("centers")?);
        bench.array("angle", floats(deviation(weight, centers)));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkConfig {
    architecture: String,
}

fn network(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let NetworkConfig { architecture } = case.config()?;
    if architecture != "sphereface20" {
        return Err(ReplayError::Unsupported(format!("architecture `{architecture}`")));
    }
    let [.., height, width] = case.dims::<4>("image")?;
    replay(case, |bench| {
        let network = SphereFace::sphere20(&bench.root(), [height, width], 512);
        bench.load_parameters()?;
        let x = bench.input::<4>("image")?;
        bench.output("embedding", network.forward(x, &bench.pass()).embedding);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerificationConfig {
    folds: usize,
    fars: Vec<f64>,
}

fn verification(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let VerificationConfig { folds, fars } = case.config()?;
    let (scores, same) = (case.doubles("score")?, case.booleans("same")?);
    let options = KFoldOptions { folds, ..KFoldOptions::default() };
    let report = k_fold(LfwVariant::IrSoftmax, &scores, &same, &options).map_err(refused)?;
    let pairs = PairScores::new(&scores, &same).map_err(refused)?;
    let points = pairs.tar_at_far(&fars, FarRule::NextStrict).map_err(refused)?;
    Ok(Outputs::new()
        .with("accuracy", report.mean_accuracy)
        .with("fold_accuracy", floats(report.fold_accuracy))
        .with("threshold", floats(report.fold_threshold))
        .with("tar", tars(&points)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

fn identification(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    case.config::<NoKeys>()?;
    let tables = [Table::new(case, "probe")?, Table::new(case, "mate")?, Table::new(case, "distractors")?];
    let [probe, mate, distractors] = &tables;
    let found = mate_strict(probe.matrix()?, mate.matrix()?, distractors.matrix()?).map_err(refused)?;
    Ok(Outputs::new().with("rank1", found.accuracy))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReidConfig {
    ranks: Vec<usize>,
}

fn reidentification(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let ReidConfig { ranks } = case.config()?;
    let (query, gallery) = (Table::new(case, "query")?, Table::new(case, "gallery")?);
    let report = reid::evaluate(
        query.matrix()?,
        Pictures { ids: case.integers("query_id")?, cameras: case.integers("query_cam")? },
        gallery.matrix()?,
        Pictures { ids: case.integers("gallery_id")?, cameras: case.integers("gallery_cam")? },
        &ReidOptions::market(ranks.iter().copied().max().unwrap_or(1)),
    )
    .map_err(refused)?;
    let mut outputs = Outputs::new().with("map", report.map_trapezoid).with("map_plain", report.map);
    for rank in ranks {
        let at = rank.checked_sub(1).and_then(|i| report.cmc.get(i));
        let value = at.ok_or_else(|| ReplayError::refused(format!("there is no rank {rank}")))?;
        outputs.set(format!("rank{rank}"), *value);
    }
    Ok(outputs)
}

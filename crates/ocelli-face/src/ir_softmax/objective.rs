//! Training on centres: its section of a recipe, and what the training loop minimises.

use std::cell::RefCell;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use ocelli_data::Dataset;
use ocelli_data::dataset::Sample;
use ocelli_method::random::stream;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::{integers, scalar};
use ocelli_nn::{Init, Param, Pass, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::centers::{ClassMeans, running};
use super::{SizeBin, Variant, by_size, deviation};
use crate::recognition::baselines::{check_cosine_margin, check_factor, check_scale};
use crate::recognition::data::Pictures;
use crate::recognition::margin::LambdaSchedule;
use crate::recognition::objective::{Composition, FaceBatch, Objective, Setup, accuracy};
use crate::recognition::recognizer::Recognizer;

/// `loss.name = "ir-softmax"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IrConfig {
    /// Which loss is put on the centres.
    pub variant: VariantName,
    /// For `am-softmax`: scale of the logits.
    pub s: f64,
    /// For `am-softmax`: the margin, a cosine.
    pub m: f64,
    /// For `a-softmax`: the factor of the angle.
    pub factor: u32,
    /// For `a-softmax`: how the weight of the plain cosine falls.
    pub lambda: LambdaSchedule,
    /// How centres are kept current.
    pub centers: CenterRule,
    /// For `running`: how far a centre moves to the mean of its pictures in a batch.
    pub alpha: f64,
    /// For `recompute`: epochs between two recomputations.
    pub every: usize,
    /// Whether the angle between centres and true means is measured and logged after every epoch, which embeds all
    /// training pictures once more.
    pub diagnose: bool,
}

/// The losses on centres by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariantName {
    /// See [`Variant::Softmax`].
    Softmax,
    /// See [`Variant::ASoftmax`].
    ASoftmax,
    /// See [`Variant::AmSoftmax`].
    AmSoftmax,
}

/// How centres are kept current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CenterRule {
    /// After every update of the network, from the pictures of its batch.
    Running,
    /// Every few epochs, from all training pictures.
    Recompute,
}

impl Default for IrConfig {
    fn default() -> Self {
        Self {
            variant: VariantName::AmSoftmax,
            s: 30.0,
            m: 0.35,
            factor: 4,
            lambda: LambdaSchedule::default(),
            centers: CenterRule::Running,
            alpha: 0.5,
            every: 1,
            diagnose: false,
        }
    }
}

impl IrConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        check_scale(self.s)?;
        check_cosine_margin(self.m)?;
        check_factor(self.factor).map_err(|e| e.replacen("m:", "factor:", 1))?;
        self.lambda.validate().map_err(|e| format!("lambda.{e}"))?;
        if !(self.alpha > 0.0 && self.alpha <= 1.0) {
            return Err(format!("alpha: {} is not above 0 and at most 1", self.alpha));
        }
        match self.every {
            0 => Err("every: must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }

    /// The loss at a step of the training.
    fn variant(&self, step: u64) -> Variant {
        match self.variant {
            VariantName::Softmax => Variant::Softmax,
            VariantName::ASoftmax => Variant::ASoftmax { margin: self.factor, lam: self.lambda.at(step) },
            VariantName::AmSoftmax => Variant::AmSoftmax { margin: self.m, scale: self.s },
        }
    }
}

/// Features of a batch and their labels.
type Features = (Tensor<2>, Tensor<1, Int>);

/// A loss on class centres. There are no classifier parameters; the centres are state, kept in a store of their own.
#[derive(Debug)]
pub struct IrObjective {
    config: IrConfig,
    store: Store,
    centers: Param,
    counts: Vec<usize>,
    pictures: Arc<Pictures>,
    batches: Composition,
    /// Of the step that was taken last, from before its update, until the centres follow it.
    pending: RefCell<Option<Features>>,
}

impl IrObjective {
    /// For the pictures of a set-up.
    ///
    /// # Errors
    /// When there are fewer pictures than a batch wants, or a class has none.
    pub fn new(config: IrConfig, setup: &Setup<'_>) -> Result<Self, TaskError> {
        let Setup { recipe, pictures, .. } = setup;
        let batches = Composition::shuffled(pictures.len(), recipe.train.batch_size, recipe.seed)?;
        let counts = class_sizes(pictures);
        if let Some(class) = counts.iter().position(|&n| n == 0) {
            return Err(format!(
                "loss: person {class} has no picture to train on, so no centre; leave them out of data.train"
            )
            .into());
        }
        let store = setup.store("centers");
        let centers = store.root().buffer("centers", &[counts.len(), setup.embedding()], Init::Zeros);
        let pictures = (*pictures).clone();
        Ok(Self { config, store, centers, counts, pictures, batches, pending: RefCell::default() })
    }
}

fn class_sizes(pictures: &Pictures) -> Vec<usize> {
    let mut counts = vec![0; pictures.identities()];
    pictures.labels().iter().for_each(|&label| counts[label] += 1);
    counts
}

impl Objective for IrObjective {
    fn stores(&self) -> Vec<Store> {
        vec![self.store.clone()]
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn begin_epoch(&self, epoch: usize, network: &Recognizer) -> Result<(), TaskError> {
        let recomputes = self.config.centers == CenterRule::Recompute;
        if epoch == 0 || (recomputes && epoch.is_multiple_of(self.config.every)) {
            self.centers.set(class_centers(network, &self.pictures, self.centers.value())?);
        }
        Ok(())
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let x = batch.input(network)?;
        let labels = batch.labels(network);
        network.store().track();
        let features = network.backbone().forward(x, pass);
        let variant = self.config.variant(batch.step);
        let (logits, cosines) = variant.logits(features.clone(), self.centers.value(), labels.clone());
        let mut numbers = Numbers::new();
        numbers.insert("train_accuracy".to_owned(), accuracy(cosines.all.detach(), &labels));
        if let Variant::ASoftmax { lam, .. } = variant {
            numbers.insert("lambda".to_owned(), lam);
        }
        let loss = cross_entropy(logits, labels.clone());
        if self.config.centers == CenterRule::Running {
            self.pending.replace(Some((features.without_autodiff(), labels)));
        }
        Ok(Step::backward(&loss, &[network.store()], numbers))
    }

    fn updated(&self, _: &Recognizer) -> Result<(), TaskError> {
        if let Some((features, labels)) = self.pending.take() {
            self.centers.set(running(self.centers.value(), features, labels, self.config.alpha));
        }
        Ok(())
    }

    fn end_epoch(&self, _: usize, network: &Recognizer) -> Result<Numbers, TaskError> {
        if !self.config.diagnose {
            return Ok(Numbers::new());
        }
        let bins = diagnose(network, self.centers.value(), &self.pictures, 3)?;
        let ends = [("deviation_head", bins.first()), ("deviation_tail", bins.last())];
        let numbers = ends.into_iter().filter_map(|(name, bin)| Some((name.to_owned(), bin?.deviation)));
        Ok(numbers.chain([("smallest_class".to_owned(), self.smallest())]).collect())
    }
}

impl IrObjective {
    fn smallest(&self) -> f64 {
        self.counts.iter().copied().min().unwrap_or(0) as f64
    }
}

/// Pictures embedded at a time.
const CHUNK: usize = 64;

/// Mean features `[C, D]` of all pictures of each class, by the network as it is used (running statistics); a class
/// without pictures keeps its place in `old`.
///
/// # Errors
/// When a picture cannot be read, or is not of the network's size.
pub fn class_centers(
    network: &Recognizer,
    pictures: &Pictures,
    old: Tensor<2>,
) -> Result<Tensor<2>, TaskError> {
    let mut means = ClassMeans::like(&old);
    let indices: Vec<usize> = (0..pictures.len()).collect();
    for chunk in indices.chunks(CHUNK) {
        let get = |&i: &usize| pictures.get(i, &mut stream(0, "centers", i as u64));
        let samples: Vec<Sample> = chunk.par_iter().map(get).collect::<Result<_, _>>()?;
        let x = network.batch(samples.iter().map(|sample| &sample.picture))?;
        let labels: Vec<i64> = samples.iter().map(|sample| sample.label as i64).collect();
        means.add(network.backbone().forward(x, &Pass::eval()), integers(&labels, network.store().device()));
    }
    let means = means.means(old);
    match scalar(means.clone().abs().max()).is_finite() {
        true => Ok(means),
        false => Err("the network gives features that are no numbers; its weights have diverged".into()),
    }
}

/// How far classifier weights or running centres `targets [C, D]` are from the means of their classes, in `bins` groups
/// of classes from large to small: the paper's diagnosis of imbalance, for any trained recogniser.
///
/// # Errors
/// When a picture cannot be read, or there is not one target for each class.
pub fn diagnose(
    network: &Recognizer,
    targets: Tensor<2>,
    pictures: &Pictures,
    bins: usize,
) -> Result<Vec<SizeBin>, TaskError> {
    let counts = class_sizes(pictures);
    let [classes, _] = targets.dims();
    if classes != counts.len() {
        return Err(format!("{classes} targets for the pictures of {} people", counts.len()).into());
    }
    let centers = class_centers(network, pictures, targets.zeros_like())?;
    Ok(by_size(&deviation(targets, centers), &counts, bins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let published = IrConfig::default();
        let wrong = [
            ("s", IrConfig { s: 0.0, ..published }),
            ("m", IrConfig { m: 1.5, ..published }),
            ("factor", IrConfig { factor: 0, ..published }),
            (
                "lambda.base",
                IrConfig { lambda: LambdaSchedule { base: -1.0, ..published.lambda }, ..published },
            ),
            ("alpha", IrConfig { alpha: 0.0, ..published }),
            ("alpha", IrConfig { alpha: f64::NAN, ..published }),
            ("every", IrConfig { every: 0, ..published }),
        ];
        for (key, config) in wrong {
            let reason = config.validate().unwrap_err();
            assert!(reason.starts_with(&format!("{key}: ")), "{reason}");
        }
        assert_eq!(published.validate(), Ok(()));
    }
}

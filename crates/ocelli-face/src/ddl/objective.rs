//! Distribution distillation in the shared recipe: `loss.name = "ddl"`. Pictures as they are teach degraded ones.

use std::sync::Arc;

use burn::tensor::Tensor;
use ocelli_data::Dataset;
use ocelli_method::random::stream;
use ocelli_nn::ops::{cross_entropy, l2_normalize};
use ocelli_nn::tensor::{from_values, scalar, values};
use ocelli_nn::{Init, Param, Pass, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use serde::{Deserialize, Serialize};

use super::order::{BranchError, BranchOrder};
use super::{Branch, DdlConfig, Distributions, Histogram, ddl_loss};
use crate::curricularface::{CurricularConfig, CurricularHead};
use crate::recognition::arcface::{ArcConfig, ArcHead};
use crate::recognition::data::Pictures;
use crate::recognition::margin::{Head, HeadOutput};
use crate::recognition::objective::{Composition, FaceBatch, Objective, Setup, accuracy};
use crate::recognition::recognizer::Recognizer;

/// The classifier beside the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classifier {
    /// As in the paper.
    ArcFace,
    /// As in the released configuration.
    CurricularFace,
}

/// The keys of a recipe's section `loss`; those of the released configuration by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DdlRecipe {
    /// The classifier: `curricularface` or `arcface`.
    pub head: Classifier,
    /// Its scale.
    pub s: f64,
    /// Its margin in radians.
    pub m: f64,
    /// Weight of the divergence of positive similarities.
    pub pos_kl_weight: f64,
    /// Weight of the divergence of negative similarities.
    pub neg_kl_weight: f64,
    /// Weight of the order of positives above negatives.
    pub order_loss_weight: f64,
    /// The histograms: `nodes`, `node_start`, `node_step`, `sigma`.
    pub histogram: Histogram,
    /// Added to both distributions of a divergence.
    pub eps: f64,
}

impl Default for DdlRecipe {
    fn default() -> Self {
        let DdlConfig { pos_kl_weight, neg_kl_weight, order_loss_weight, histogram, eps } =
            DdlConfig::default();
        let CurricularConfig { s, m, .. } = CurricularConfig::default();
        let head = Classifier::CurricularFace;
        Self { head, s, m, pos_kl_weight, neg_kl_weight, order_loss_weight, histogram, eps }
    }
}

impl DdlRecipe {
    /// The settings of the loss beside the classifier's.
    pub fn ddl(&self) -> DdlConfig {
        let Self { pos_kl_weight, neg_kl_weight, order_loss_weight, histogram, eps, .. } = *self;
        DdlConfig { pos_kl_weight, neg_kl_weight, order_loss_weight, histogram, eps }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        if !self.s.is_finite() || self.s <= 0.0 {
            return Err(format!("s: {} is not above 0", self.s));
        }
        if !(0.0..std::f64::consts::FRAC_PI_2).contains(&self.m) {
            return Err(format!("m: {} radians is outside 0 to pi/2", self.m));
        }
        self.ddl().validate()
    }
}

/// The branches of a recipe: pictures as they are, and degraded ones.
const BRANCHES: [&str; 2] = ["easy", "hard"];

/// A classifier that both branches share, as they show the same people, and the distributions of the last step.
#[derive(Debug)]
pub struct DdlObjective {
    config: DdlConfig,
    head: Box<dyn Head>,
    head_store: Store,
    seen: Vec<[Param; 2]>,
    seen_store: Store,
    people: usize,
    batches: Composition,
    /// The pictures to begin the classifier's prototypes from, where the network has learned already.
    learned: Option<Arc<Pictures>>,
}

impl DdlObjective {
    /// With a classifier at random, or, where the recipe starts from weights, at the mean embeddings of its people.
    ///
    /// # Errors
    /// When pictures are all easy or all hard, or the people are too few for a step.
    pub fn new(setup: &Setup<'_>, recipe: DdlRecipe) -> Result<Self, TaskError> {
        let (labels, batch_size) = (setup.pictures.labels(), setup.recipe.train.batch_size);
        let lists = 3 * BRANCHES.len();
        if !batch_size.is_multiple_of(lists) {
            return Err(format!("train.batch_size: {batch_size} is no multiple of {lists}: easy and hard pictures, and pairs of both").into());
        }
        let hard = setup.pictures.degraded().unwrap_or_default();
        if !hard.contains(&true) || !hard.contains(&false) {
            let found = if hard.contains(&true) { "hard" } else { "easy" };
            return Err(format!("data.regime.degraded: all pictures are {found}; ddl wants easy and hard ones, such as a share of 0.5").into());
        }
        let branch_of: Vec<usize> = hard.iter().map(|&hard| usize::from(hard)).collect();
        let people = batch_size / lists;
        let order = BranchOrder::new(labels, &branch_of, people, setup.recipe.seed).map_err(explain)?;

        let head_store = setup.store("head");
        let (path, embedding, classes) = (head_store.root(), setup.embedding(), setup.pictures.identities());
        let DdlRecipe { s, m, .. } = recipe;
        let head: Box<dyn Head> = match recipe.head {
            Classifier::ArcFace => {
                Box::new(ArcHead::new(&path, embedding, classes, ArcConfig { s, m, easy_margin: false }))
            }
            Classifier::CurricularFace => {
                let config = CurricularConfig { s, m, ..CurricularConfig::default() };
                Box::new(CurricularHead::new(&path, embedding, classes, config))
            }
        };
        let seen_store = setup.store("distributions");
        let seen = BRANCHES.map(|branch| {
            let shape = [recipe.histogram.nodes];
            ["positive", "negative"]
                .map(|kind| seen_store.root().at(branch).buffer(kind, &shape, Init::Zeros))
        });
        Ok(Self {
            config: recipe.ddl(),
            head,
            head_store,
            seen: seen.to_vec(),
            seen_store,
            people,
            batches: Composition { pictures_per_step: order.pictures_per_step(), sampler: Arc::new(order) },
            learned: setup.recipe.backbone.weights.is_some().then(|| setup.pictures.clone()),
        })
    }
}

/// What to change in the recipe.
fn explain(error: BranchError) -> String {
    match error {
        BranchError::TooFew { branch, pictures, found, wanted } => format!(
            "train.batch_size: {wanted} people a list are wanted, but only {found} have {pictures} or more {} pictures",
            BRANCHES.get(branch).unwrap_or(&"")
        ),
        BranchError::Sampler(error) => error.to_string(),
    }
}

/// Pictures embedded at once.
const CHUNK: usize = 256;

/// The mean of the unit embeddings of each person's pictures, as the columns of `[D, C]`.
fn mean_embeddings(network: &Recognizer, pictures: &Pictures) -> Result<Tensor<2>, TaskError> {
    let (labels, classes) = (pictures.labels(), pictures.identities());
    let mut sums = Vec::new();
    for start in (0..labels.len()).step_by(CHUNK) {
        let range = start..(start + CHUNK).min(labels.len());
        let get = |i: usize| Ok(pictures.get(i, &mut stream(0, "mean embedding", i as u64))?.picture);
        let chunk = range.clone().map(get).collect::<Result<Vec<_>, TaskError>>()?;
        let embedded = network.embed(&chunk, false)?;
        let length = embedded.dimensions;
        sums.resize(classes * length, 0.0f32);
        for (&label, row) in labels[range].iter().zip(embedded.values.chunks(length)) {
            let sum = &mut sums[label * length..(label + 1) * length];
            sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
    }
    let length = sums.len() / classes.max(1);
    let rows = from_values::<2>(sums, [classes, length], network.store().device());
    Ok(l2_normalize(rows, 1).transpose())
}

impl Objective for DdlObjective {
    fn stores(&self) -> Vec<Store> {
        vec![self.head_store.clone(), self.seen_store.clone()]
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn begin_epoch(&self, epoch: usize, network: &Recognizer) -> Result<(), TaskError> {
        if let (0, Some(pictures), Some(kernel)) = (epoch, &self.learned, self.head_store.find("kernel")) {
            let columns = mean_embeddings(network, pictures)?;
            kernel.set(columns.reshape([kernel.len()]));
        }
        Ok(())
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let x = batch.input(network)?;
        let labels = batch.labels(network);
        let stores = [network.store(), &self.head_store];
        stores.iter().for_each(|store| store.track());
        let embeddings = network.backbone().forward(x, pass);
        let list = |k: usize| embeddings.clone().narrow(0, k * self.people, self.people);
        let count = BRANCHES.len();
        let branch = |k: usize| Branch { neg: list(k), first: list(count + k), second: list(2 * count + k) };
        let ddl = ddl_loss(&[branch(0), branch(1)], &self.config);
        // Both branches go through the classifier at once; the sum of their means is twice the mean of all.
        let rows = count * self.people;
        let labels = labels.narrow(0, 0, rows);
        let classified = embeddings.clone().narrow(0, 0, rows);
        let HeadOutput { logits, origin_logits, numbers } =
            self.head.forward(classified, labels.clone(), true);
        let entropy = cross_entropy(logits, labels.clone()).mul_scalar(count as f64);
        let mut numbers: Numbers =
            numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        numbers.insert("train_accuracy".to_owned(), accuracy(origin_logits, &labels));
        for (name, term) in [("pos_kl", &ddl.pos_kl), ("neg_kl", &ddl.neg_kl), ("order", &ddl.order)] {
            numbers.insert(name.to_owned(), f64::from(scalar(term.clone())));
        }
        for ((name, branch), seen) in BRANCHES.iter().zip(&ddl.branches).zip(&self.seen) {
            see(name, branch, seen, &mut numbers);
        }
        Ok(Step::backward(&(entropy + ddl.loss), &stores, numbers))
    }

    /// The distributions of the last step in tenths: the share of mass from each tenth of the nodes on.
    fn end_epoch(&self, _: usize, _: &Recognizer) -> Result<Numbers, TaskError> {
        let mut numbers = Numbers::new();
        for (branch, seen) in BRANCHES.iter().zip(&self.seen) {
            for (kind, seen) in ["positive", "negative"].iter().zip(seen) {
                let mass = values(seen.value::<1>());
                for (tenth, part) in mass.chunks(mass.len().div_ceil(10)).enumerate() {
                    let share = part.iter().map(|&v| f64::from(v)).sum();
                    numbers.insert(format!("{branch}.{kind}.{tenth}"), share);
                }
            }
        }
        Ok(numbers)
    }
}

/// Keeps a branch's distributions for the log, and gives its mean similarities.
fn see(name: &str, branch: &Distributions, seen: &[Param; 2], numbers: &mut Numbers) {
    let [positive, negative] = seen;
    negative.set(branch.negative.clone().without_autodiff());
    numbers.insert(format!("{name}_negative"), f64::from(scalar(branch.negatives.clone().mean())));
    if let Some(distribution) = &branch.positive {
        positive.set(distribution.clone().without_autodiff());
        numbers.insert(format!("{name}_positive"), f64::from(scalar(branch.positives.clone().mean())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::task::RecognitionTask;
    use crate::recognition::testing::recognition_task;
    use ocelli_train::trainer::Task;

    /// Six people of sixteen pictures, half of them hard, unless `overrides` say otherwise.
    fn task(overrides: &[&str]) -> Result<RecognitionTask, String> {
        let degraded = [
            "data.world.pictures=16",
            "data.regime.degraded=0.5",
            "data.regime.sides=[4,8]",
            "loss.name=ddl",
            "train.batch_size=24",
        ];
        recognition_task(&[&degraded, overrides].concat())
    }

    #[test]
    fn a_step_tells_both_branches() {
        for head in ["loss.head=arcface", "loss.head=curricularface"] {
            let task = task(&[head]).unwrap();
            task.begin_epoch(0).unwrap();
            let batch = task.batches(0, 0).unwrap().next().unwrap().unwrap();
            let step = task.step(batch, &Pass::without_dropout()).unwrap();
            assert!(step.loss.is_finite());
            for name in ["pos_kl", "neg_kl", "order", "easy_positive", "hard_negative", "train_accuracy"] {
                assert!(step.numbers[name].is_finite(), "{name}");
            }
            let epoch = task.end_epoch(0).unwrap();
            for distribution in ["easy.positive", "hard.negative"] {
                let mass: f64 = (0..10).map(|tenth| epoch[&format!("{distribution}.{tenth}")]).sum();
                assert!((mass - 1.0).abs() < 1e-3, "{distribution}: {mass}");
            }
        }
    }

    #[test]
    fn a_learned_network_starts_from_mean_embeddings() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("learned.safetensors");
        task(&[]).unwrap().recognizer().save(&weights).unwrap();
        let task = task(&[&format!("backbone.weights={}", weights.display())]).unwrap();
        task.begin_epoch(0).unwrap();
        let kernel = task.stores()[1].find("kernel").unwrap().to_array().to_f32();
        for column in 0..6 {
            let norm: f32 = (0..8).map(|row| kernel[row * 6 + column].powi(2)).sum();
            assert!((norm - 1.0).abs() < 1e-5, "{norm}");
        }
        task.begin_epoch(1).unwrap();
        assert_eq!(task.stores()[1].find("kernel").unwrap().to_array().to_f32(), kernel, "once only");
    }

    #[test]
    fn what_cannot_be_trained_names_the_key() {
        for (overrides, said) in [
            (&["data.regime.degraded=0.0"][..], "data.regime.degraded: all pictures are easy"),
            (&["data.regime.degraded=1.0"], "data.regime.degraded: all pictures are hard"),
            (&["train.batch_size=64"], "train.batch_size: 64 is no multiple of 6"),
            (
                &["train.batch_size=48"],
                "train.batch_size: 8 people a list are wanted, but only 6 have 1 or more easy",
            ),
            (&["loss.s=0.0"], "loss.s: 0 is not above 0"),
            (&["loss.m=2.0"], "loss.m: 2 radians is outside"),
            (&["loss.pos_kl_weight=-1.0"], "loss.pos_kl_weight: -1 is below 0"),
            (&["loss.histogram.sigma=0.0"], "loss.histogram.sigma: 0 is not above 0"),
        ] {
            let error = task(overrides).err().unwrap_or_default();
            assert!(error.contains(said), "{overrides:?}: {error}");
        }
    }
}

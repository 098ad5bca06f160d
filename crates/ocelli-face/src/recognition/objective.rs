//! What a recognition training minimises, and all that this needs beside the network.
//!
//! Most losses are a margin [`Head`] on the embedding; [`HeadObjective`] makes an objective of any. A loss that composes
//! its batches otherwise, or keeps queues, centres or further networks, is an [`Objective`] of its own. Whatever it
//! remembers from one step to the next lies in its stores, which the checkpoint holds: that is what makes a resumed
//! training equal to an unbroken one.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use ocelli_data::Dataset;
use ocelli_data::dataset::Sample;
use ocelli_data::loader::Batch;
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::{integers, scalar};
use ocelli_nn::{Pass, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};

use super::data::Pictures;
use super::margin::{Head, HeadOutput};
use super::recipe::FaceRecipe;
use super::recognizer::Recognizer;

/// What a recognition training minimises.
pub trait Objective: std::fmt::Debug {
    /// The stores that are trained or carried along beside the network's, each with a label of its own. The same in
    /// number and order at every call.
    fn stores(&self) -> Vec<Store>;

    /// Which pictures make the batches.
    fn batches(&self) -> Composition;

    /// Prepares an epoch; see [`ocelli_train::trainer::Task::begin_epoch`].
    ///
    /// # Errors
    /// When pictures cannot be read.
    fn begin_epoch(&self, _epoch: usize, _network: &Recognizer) -> Result<(), TaskError> {
        Ok(())
    }

    /// Loss and gradients of a batch. Among the numbers `train_accuracy` is the share of pictures whose own class
    /// comes first, where there are classes.
    ///
    /// # Errors
    /// When the batch does not fit the network.
    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError>;

    /// Follows an update of the weights.
    ///
    /// # Errors
    /// When the stores do not fit together.
    fn updated(&self, _network: &Recognizer) -> Result<(), TaskError> {
        Ok(())
    }

    /// Closes an epoch; see [`ocelli_train::trainer::Task::end_epoch`].
    ///
    /// # Errors
    /// When pictures cannot be read.
    fn end_epoch(&self, _epoch: usize, _network: &Recognizer) -> Result<Numbers, TaskError> {
        Ok(Numbers::new())
    }
}

/// Which pictures make the batches of an epoch.
#[derive(Clone)]
pub struct Composition {
    /// Numbers of pictures in the order of an epoch. All epochs are of one length.
    pub sampler: Arc<dyn Sampler>,
    /// Pictures a step, consecutive ones of the sampler's order; what is left at the end of an epoch is dropped.
    pub pictures_per_step: usize,
}

impl Composition {
    /// Every picture once an epoch, in random order.
    ///
    /// # Errors
    /// When there are fewer pictures than `batch_size`.
    pub fn shuffled(pictures: usize, batch_size: usize, seed: u64) -> Result<Self, TaskError> {
        if pictures < batch_size {
            let reason =
                format!("{pictures} pictures to train on make no batch of train.batch_size = {batch_size}");
            return Err(reason.into());
        }
        let sampler = Arc::new(RandomSampler::new(pictures, seed));
        Ok(Self { sampler, pictures_per_step: batch_size })
    }
}

/// The pictures of one step.
#[derive(Clone, Debug)]
pub struct FaceBatch {
    /// The step's number in the training, from 0.
    pub step: u64,
    /// The pictures with their labels.
    pub samples: Batch<Sample>,
}

impl FaceBatch {
    /// The labels as a tensor `[B]`.
    pub fn labels(&self, network: &Recognizer) -> Tensor<1, Int> {
        let labels: Vec<i64> = self.samples.items.iter().map(|sample| sample.label as i64).collect();
        integers(&labels, network.store().device())
    }

    /// The pictures as the network's input `[B, 3, H, W]`.
    ///
    /// # Errors
    /// When a picture is not of the network's size.
    pub fn input(&self, network: &Recognizer) -> Result<Tensor<4>, TaskError> {
        Ok(network.batch(self.samples.items.iter().map(|sample| &sample.picture))?)
    }
}

/// What an objective is built from.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The recipe: seed, loss, batch size, …
    pub recipe: &'a FaceRecipe,
    /// The network, at its initial weights.
    pub network: &'a Recognizer,
    /// The pictures to train on, as they are before augmentation.
    pub pictures: &'a Arc<Pictures>,
}

impl Setup<'_> {
    /// An empty store for what the objective keeps, on the network's device.
    pub fn store(&self, label: &str) -> Store {
        Store::labelled(self.network.store().device(), self.recipe.seed, label)
    }

    /// Length of an embedding.
    pub fn embedding(&self) -> usize {
        self.recipe.backbone.embedding
    }
}

/// Softmax cross entropy on the logits of a margin head with learned prototypes.
#[derive(Debug)]
pub struct HeadObjective {
    head: Box<dyn Head>,
    store: Store,
    batches: Composition,
}

impl std::fmt::Debug for Composition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Composition")
            .field("pictures_per_step", &self.pictures_per_step)
            .finish_non_exhaustive()
    }
}

impl HeadObjective {
    /// With the head that `build` makes in a store of its own for so many classes.
    ///
    /// # Errors
    /// When there are fewer pictures than a batch wants.
    pub fn new(
        setup: &Setup<'_>,
        build: impl FnOnce(&ocelli_nn::Path, usize) -> Box<dyn Head>,
    ) -> Result<Self, TaskError> {
        let Setup { recipe, pictures, .. } = setup;
        let batches = Composition::shuffled(pictures.len(), recipe.train.batch_size, recipe.seed)?;
        let store = setup.store("head");
        let head = build(&store.root(), pictures.identities());
        Ok(Self { head, store, batches })
    }
}

impl Objective for HeadObjective {
    fn stores(&self) -> Vec<Store> {
        vec![self.store.clone()]
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let x = batch.input(network)?;
        let labels = batch.labels(network);
        let stores = [network.store(), &self.store];
        stores.iter().for_each(|store| store.track());
        let embeddings = network.backbone().forward(x, pass);
        let HeadOutput { logits, origin_logits, numbers } =
            self.head.forward(embeddings, labels.clone(), true);
        let mut numbers: Numbers =
            numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        numbers.insert("train_accuracy".to_owned(), accuracy(origin_logits, &labels));
        let loss = cross_entropy(logits, labels);
        Ok(Step::backward(&loss, &stores, numbers))
    }
}

/// Share of rows of `logits [B, C]` whose largest is the label's.
pub fn accuracy(logits: Tensor<2>, labels: &Tensor<1, Int>) -> f64 {
    let [rows, _] = logits.dims();
    let best = logits.without_autodiff().argmax(1).reshape([rows]);
    f64::from(scalar(best.equal(labels.clone()).float().mean()))
}

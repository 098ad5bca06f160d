//! Face recognition as a task of the training loop.

use std::sync::Arc;

use burn::tensor::Tensor;
use ocelli_data::Dataset;
use ocelli_data::dataset::{Augmented, Sample};
use ocelli_data::loader::{Batch, Loader, LoaderOptions};
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::{integers, scalar};
use ocelli_nn::{Pass, Store};
use ocelli_train::trainer::{Batches, Numbers, Step, Task, TaskError};

use super::data::{FaceData, Pictures, TestSet};
use super::margin::{Head, HeadOutput};
use super::recipe::{EvaluateConfig, FaceRecipe};
use super::recognizer::Recognizer;
use super::verification::{embed_all, measure};

/// A face-recognition training.
pub struct RecognitionTask {
    recognizer: Recognizer,
    head: Box<dyn Head>,
    head_store: Store,
    loader: Loader<Augmented<Pictures>>,
    sampler: RandomSampler,
    test: TestSet,
    evaluate: EvaluateConfig,
}

impl RecognitionTask {
    /// Builds network and head for a recipe and its pictures.
    ///
    /// # Errors
    /// When the device is not to be had, there are fewer pictures than a batch wants, or the weights to start from are of
    /// another network.
    pub fn new(recipe: &FaceRecipe, data: FaceData, device: &str) -> Result<Self, TaskError> {
        let device = ocelli_nn::device(device)?;
        let store = Store::labelled(&device, recipe.seed, "backbone");
        let recognizer = Recognizer::new(recipe.passport(), store)?;
        let head_store = Store::labelled(&device, recipe.seed, "head");
        let classes = data.train.identities();
        let head = recipe.loss.build(&head_store.root(), recipe.backbone.embedding, classes);

        let pictures = data.train.len();
        let batch_size = recipe.train.batch_size;
        if pictures < batch_size {
            return Err(format!(
                "{pictures} pictures to train on make no batch of train.batch_size = {batch_size}"
            )
            .into());
        }
        let options =
            LoaderOptions { batch_size, drop_last: true, seed: recipe.seed, ..LoaderOptions::default() };
        let sampler = RandomSampler::new(pictures, recipe.seed);
        let augmented = Augmented::new(data.train, recipe.augment.clone())?;
        let loader = Loader::new(Arc::new(augmented), options)?;
        let evaluate = recipe.evaluate.clone();
        Ok(Self { recognizer, head, head_store, loader, sampler, test: data.test, evaluate })
    }

    /// The network.
    pub fn recognizer(&self) -> &Recognizer {
        &self.recognizer
    }

    /// The network, when the training is over.
    pub fn into_recognizer(self) -> Recognizer {
        self.recognizer
    }

    /// Pictures of people that are not trained on.
    pub fn test(&self) -> &TestSet {
        &self.test
    }

    /// How the network is measured.
    pub fn evaluate_config(&self) -> &EvaluateConfig {
        &self.evaluate
    }

    /// The store of the head: prototypes and state.
    pub fn head_store(&self) -> &Store {
        &self.head_store
    }
}

/// Share of rows whose largest logit is the label's.
fn accuracy(logits: Tensor<2>, labels: &Tensor<1, burn::tensor::Int>) -> f64 {
    let [rows, _] = logits.dims();
    let best = logits.without_autodiff().argmax(1).reshape([rows]);
    f64::from(scalar(best.equal(labels.clone()).float().mean()))
}

impl Task for RecognitionTask {
    type Batch = Batch<Sample>;

    fn stores(&self) -> Vec<Store> {
        vec![self.recognizer.store().clone(), self.head_store.clone()]
    }

    fn steps_per_epoch(&self) -> usize {
        self.loader.batches(self.loader.dataset().len())
    }

    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Self::Batch>, TaskError> {
        let order = self.sampler.order(epoch as u64);
        let batches = self.loader.resume(order, epoch as u64, start)?;
        Ok(Box::new(batches.map(|batch| batch.map_err(TaskError::from))))
    }

    fn step(&self, batch: Self::Batch, pass: &Pass) -> Result<Step, TaskError> {
        let x = self.recognizer.batch(batch.items.iter().map(|sample| &sample.picture))?;
        let labels: Vec<i64> = batch.items.iter().map(|sample| sample.label as i64).collect();
        let labels = integers(&labels, self.head_store.device());
        let stores = [self.recognizer.store(), &self.head_store];
        stores.iter().for_each(|store| store.track());
        let embeddings = self.recognizer.backbone().forward(x, pass);
        let HeadOutput { logits, origin_logits, numbers } =
            self.head.forward(embeddings, labels.clone(), true);
        let mut numbers: Numbers =
            numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        numbers.insert("train_accuracy".to_owned(), accuracy(origin_logits, &labels));
        let loss = cross_entropy(logits, labels);
        Ok(Step::backward(&loss, &stores, numbers))
    }

    fn evaluate(&self) -> Result<Numbers, TaskError> {
        let embeddings = embed_all(&self.recognizer, &self.test, self.evaluate.flip)?;
        Ok(measure(&embeddings, &self.test, &self.evaluate)?.numbers())
    }
}

//! Face recognition as a task of the training loop.

use std::sync::Arc;

use ocelli_data::dataset::Augmented;
use ocelli_data::loader::{Loader, LoaderOptions};
use ocelli_nn::{Pass, Store};
use ocelli_train::trainer::{Batches, Numbers, Step, Task, TaskError};

use super::data::{FaceData, Pictures, TestSet};
use super::objective::{Composition, FaceBatch, Objective, Setup};
use super::recipe::{EvaluateConfig, FaceRecipe};
use super::recognizer::Recognizer;
use super::verification::{embed_all, measure};

/// A face-recognition training.
pub struct RecognitionTask {
    recognizer: Recognizer,
    objective: Box<dyn Objective>,
    loader: Loader<Augmented<Arc<Pictures>>>,
    batches: Composition,
    steps_per_epoch: usize,
    test: TestSet,
    evaluate: EvaluateConfig,
}

impl RecognitionTask {
    /// Builds network and objective for a recipe and its pictures.
    ///
    /// # Errors
    /// When the device is not to be had, there are fewer pictures than a batch wants, or the weights to start from are of
    /// another network.
    pub fn new(recipe: &FaceRecipe, data: FaceData, device: &str) -> Result<Self, TaskError> {
        let device = ocelli_nn::device(device)?;
        let store = Store::labelled(&device, recipe.seed, "backbone");
        let recognizer = Recognizer::new(recipe.passport(), store)?;
        let pictures = Arc::new(data.train);
        let objective =
            recipe.loss.objective(&Setup { recipe, network: &recognizer, pictures: &pictures })?;
        let batches = objective.batches();
        let batch_size = batches.pictures_per_step;
        let options =
            LoaderOptions { batch_size, drop_last: true, seed: recipe.seed, ..LoaderOptions::default() };
        let augmented = Augmented::new(pictures, recipe.augment.clone())?;
        let loader = Loader::new(Arc::new(augmented), options)?;
        let steps_per_epoch = loader.batches(batches.sampler.order(0).len());
        if steps_per_epoch == 0 {
            return Err(format!("the pictures to train on make no batch of {batch_size}").into());
        }
        let evaluate = recipe.evaluate.clone();
        Ok(Self { recognizer, objective, loader, batches, steps_per_epoch, test: data.test, evaluate })
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
}

impl Task for RecognitionTask {
    type Batch = FaceBatch;

    fn stores(&self) -> Vec<Store> {
        [vec![self.recognizer.store().clone()], self.objective.stores()].concat()
    }

    fn steps_per_epoch(&self) -> usize {
        self.steps_per_epoch
    }

    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Self::Batch>, TaskError> {
        let order = self.batches.sampler.order(epoch as u64);
        let before = (epoch * self.steps_per_epoch) as u64;
        let batches = self.loader.resume(order, epoch as u64, start)?;
        Ok(Box::new(batches.map(move |samples| {
            let samples = samples?;
            Ok(FaceBatch { step: before + samples.number as u64, samples })
        })))
    }

    fn begin_epoch(&self, epoch: usize) -> Result<(), TaskError> {
        self.objective.begin_epoch(epoch, &self.recognizer)
    }

    fn step(&self, batch: Self::Batch, pass: &Pass) -> Result<Step, TaskError> {
        self.objective.step(&self.recognizer, &batch, pass)
    }

    fn updated(&self) -> Result<(), TaskError> {
        self.objective.updated(&self.recognizer)
    }

    fn end_epoch(&self, epoch: usize) -> Result<Numbers, TaskError> {
        self.objective.end_epoch(epoch, &self.recognizer)
    }

    fn evaluate(&self) -> Result<Numbers, TaskError> {
        let embeddings = embed_all(&self.recognizer, &self.test, self.evaluate.flip)?;
        Ok(measure(&embeddings, &self.test, &self.evaluate)?.numbers())
    }
}

//! The method as an objective of the shared training: a recogniser of high resolution, then the two stages.
//!
//! The network of the recipe is trained as a recogniser first. A copy of it is then fixed as the encoder of high
//! resolution with its head, while the network itself becomes the encoder of low resolution: what the training saves is
//! an ordinary recogniser, for faces of any size.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use image::RgbImage;
use ocelli_data::Dataset;
use ocelli_data::dataset::Sample;
use ocelli_data::sample::Sampler;
use ocelli_method::Array;
use ocelli_method::random::stream;
use ocelli_nn::backbones::IrTrunk;
use ocelli_nn::ops::normalize_rows;
use ocelli_nn::tensor::{from_values, scalar};
use ocelli_nn::{Gradients, Init, Param, Pass, Role, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use rand::seq::SliceRandom;

use super::discriminator::{FeatureDiscriminator, ImageDiscriminator};
use super::network::{Decoder, Fan};
use super::recipe::{Epochs, FanConfig, Stage};
use super::stages::{Adapt, AdaptBatch, Classifier, Disentangle, Terms, judge_faces};
use crate::recognition::backbone::{Backbone, BackboneConfig};
use crate::recognition::data::Pictures;
use crate::recognition::objective::{Composition, FaceBatch, Objective, Setup, accuracy};
use crate::recognition::recognizer::Recognizer;

/// The network's parts beside the one that the training saves, in stores of their own.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) fan: Fan,
    /// The fixed recogniser of high resolution.
    pub(super) high: Store,
    /// The non-identity encoders.
    pub(super) non: Store,
    pub(super) decoder: Store,
}

impl Parts {
    /// Around the network of a recipe, on its device.
    pub(super) fn new(network: &Recognizer, config: &BackboneConfig, seed: u64) -> Result<Self, TaskError> {
        let Backbone::Ir(low) = network.backbone() else {
            return Err(
                format!("backbone.name: fan needs a network of the IR family, not {}", config.name).into()
            );
        };
        if !config.input_size.is_multiple_of(16) {
            let size = config.input_size;
            return Err(
                format!("backbone.input_size: fan restores multiples of 16 pixels, not {size}").into()
            );
        }
        let store = |label: &str| Store::labelled(network.store().device(), seed, label);
        let [high, non, decoder] = ["fan.high", "fan.non", "fan.decoder"].map(store);
        let Backbone::Ir(copy) = config.build(&high.root()) else {
            return Err("backbone: the same configuration built another network".into());
        };
        let (widths, units) = config.stages();
        let reversed: Vec<usize> = widths.iter().rev().copied().collect();
        let fan = Fan {
            hr_id: copy.trunk().clone(),
            hr_non: IrTrunk::new(&non.root().at("hr_non"), &widths, &units),
            lr_id: low.trunk().clone(),
            lr_non: IrTrunk::new(&non.root().at("lr_non"), &widths, &units),
            id_head: copy.head().clone(),
            decoder: Decoder::new(&decoder.root(), 2 * widths[3], &reversed),
        };
        Ok(Self { fan, high, non, decoder })
    }
}

/// What the adversaries' optimiser remembers, in a store, so that a resumed training has it.
#[derive(Debug)]
struct Memory(Store);

/// The adversaries' betas and epsilon.
const BETAS: [f64; 2] = [0.5, 0.999];
const EPSILON: f64 = 1e-8;
/// Ending of the entry that counts a parameter's updates.
const STEPS: &str = "#steps";

impl Memory {
    /// Of the parameters in `judges`; entries are called as the optimiser calls them in its state.
    fn new(judges: &Store, store: Store) -> Self {
        for entry in judges.entries() {
            for (ending, n) in [(STEPS, 1), ("#first", entry.len()), ("#second", entry.len())] {
                store.root().buffer(&format!("{}{ending}", entry.key()), &[n], Init::Zeros);
            }
        }
        Self(store)
    }

    /// One step of Adam.
    fn step(&self, gradients: &Gradients, config: &FanConfig) -> Result<(), TaskError> {
        let lr = config.judge_lr;
        let adam = OptimizerConfig::Adam { lr, betas: BETAS, epsilon: EPSILON, weight_decay: 0.0 };
        let mut optimizer = Optimizer::new(adam, decay_all);
        let whole = |(name, array): (String, Array)| {
            let counts = name.ends_with(STEPS);
            let array =
                if counts { Array::integers(array.to_f32().iter().map(|&n| n as i64)) } else { array };
            (name, array)
        };
        let state: Vec<(String, Array)> = self.0.state().into_iter().map(whole).collect();
        optimizer.load(&state, self.0.device())?;
        optimizer.step(gradients, lr);
        let state = optimizer.state();
        Ok(self.0.load(state.iter().map(|(name, array)| (name.as_str(), array)))?)
    }
}

/// The objective.
#[derive(Debug)]
pub(crate) struct FanObjective {
    config: FanConfig,
    seed: u64,
    epochs: Epochs,
    steps_per_epoch: usize,
    parts: Parts,
    classifier: Store,
    kernel: Param,
    judges: Store,
    memory: Memory,
    maps: FeatureDiscriminator,
    faces: ImageDiscriminator,
    batches: Composition,
    pictures: Arc<Pictures>,
}

impl FanObjective {
    /// For a training's network and pictures.
    ///
    /// # Errors
    /// When the network is not of the IR family, or the pictures do not suit.
    pub(crate) fn new(setup: &Setup<'_>, config: FanConfig) -> Result<Self, TaskError> {
        let Setup { recipe, network, pictures } = *setup;
        if config.recognizer == 0.0 && recipe.backbone.weights.is_none() {
            return Err("loss.recognizer: 0 needs a trained recogniser, give its backbone.weights".into());
        }
        let parts = Parts::new(network, &recipe.backbone, recipe.seed)?;
        let batches = mixed_batches(pictures, recipe.train.batch_size, recipe.seed)?;
        let steps_per_epoch = batches.sampler.order(0).len() / batches.pictures_per_step;
        let all = recipe.schedule.epochs * recipe.schedule.stretch(steps_per_epoch);
        let (classifier, judges) = (setup.store("fan.classifier"), setup.store("fan.judges"));
        let shape = [setup.embedding(), pictures.identities()];
        let kernel = classifier.root().param("kernel", &shape, Init::Normal { std: 0.01 }, Role::Kernel);
        let (widths, _) = recipe.backbone.stages();
        let at = judges.root();
        let maps = FeatureDiscriminator::new(&at.at("maps"), widths[3], (widths[3] / 2).max(2));
        let faces = ImageDiscriminator::new(&at.at("faces"), &widths);
        Ok(Self {
            config,
            seed: recipe.seed,
            epochs: Epochs::new(&config, all),
            steps_per_epoch,
            parts,
            classifier,
            kernel,
            memory: Memory::new(&judges, setup.store("fan.memory")),
            judges,
            maps,
            faces,
            batches,
            pictures: pictures.clone(),
        })
    }

    fn classifier(&self) -> Classifier {
        Classifier { kernel: self.kernel.value(), s: self.config.s, m: self.config.m }
    }

    /// Whether the picture is one of low resolution without a partner.
    fn is_poor(&self, index: usize) -> bool {
        self.pictures.degraded().is_some_and(|hard| hard.get(index) == Some(&true))
    }

    /// The batch's pictures in high resolution, and those that have no such partner.
    fn sort<'a>(&self, batch: &'a FaceBatch) -> (Vec<&'a Sample>, Vec<&'a RgbImage>) {
        let (mut high, mut poor) = (Vec::new(), Vec::new());
        for (&index, sample) in batch.samples.indices.iter().zip(&batch.samples.items) {
            match self.is_poor(index) {
                true => poor.push(&sample.picture),
                false => high.push(sample),
            }
        }
        (high, poor)
    }

    /// One step of the adversaries.
    fn teach(&self, loss: &Tensor<1>) -> Result<(), TaskError> {
        let gradients = self.judges.backward(loss);
        self.memory.step(&gradients, &self.config)
    }

    /// ArcFace on faces in high resolution.
    fn recognize(
        &self,
        network: &Recognizer,
        x: Tensor<4>,
        labels: Tensor<1, Int>,
        pass: &Pass,
    ) -> Result<Step, TaskError> {
        let stores = [network.store(), &self.classifier];
        stores.iter().for_each(|store| store.track());
        let embeddings = network.backbone().forward(x, pass);
        let classifier = self.classifier();
        let logits = classifier.logits(embeddings.clone().detach());
        let numbers = [("train_accuracy".to_owned(), accuracy(logits, &labels))].into();
        Ok(Step::backward(&classifier.loss(embeddings, labels), &stores, numbers))
    }

    fn disentangle(&self, x: Tensor<4>, pass: &Pass) -> Result<Step, TaskError> {
        let Self { parts, config, .. } = self;
        let weights = config.stage_1;
        let (pixel, classifier) = (config.pixel, self.classifier());
        let stage = Disentangle { fan: &parts.fan, classifier, pixel, weights };
        parts.non.track_where(|e| e.name().starts_with("hr_non."));
        parts.decoder.track();
        let seen = stage.forward(x, pass);
        let mut numbers = Numbers::new();
        let judge = (weights.img > 0.0).then_some(&self.faces);
        if let Some(judge) = judge {
            self.judges.track();
            let loss = judge_faces(judge, seen.faces.clone(), seen.decoded.clone());
            numbers.insert("judge_faces".to_owned(), number(&loss));
            self.teach(&loss)?;
        }
        Ok(finish(&stage.losses(&seen, judge), &[&parts.non, &parts.decoder], numbers))
    }

    fn adapt(&self, network: &Recognizer, batch: AdaptBatch, pass: &Pass) -> Result<Step, TaskError> {
        let Self { parts, config, .. } = self;
        let weights = config.stage_2;
        let (pixel, classifier) = (config.pixel, self.classifier());
        let stage = Adapt { fan: &parts.fan, classifier, pixel, weights };
        network.store().track_where(|e| !e.name().starts_with("output_layer."));
        parts.non.track_where(|e| e.name().starts_with("lr_non."));
        parts.decoder.track();
        let (high, labels) = (batch.high.clone(), batch.labels.clone());
        let seen = stage.forward(batch, pass);
        let mut numbers = Numbers::new();
        self.judges.track();
        let mut judged = vec![("judge_maps", stage.judge_maps(&seen, &self.maps))];
        let judge = (weights.img > 0.0).then_some(&self.faces);
        judged.extend(judge.map(|j| ("judge_faces", judge_faces(j, high, seen.decoded.clone()))));
        let sum = judged.iter().map(|(_, loss)| loss.clone()).reduce(|a, b| a + b);
        numbers.extend(judged.iter().map(|(name, loss)| ((*name).to_owned(), number(loss))));
        if let Some(sum) = sum {
            self.teach(&sum)?;
        }
        let low = stage.low_embedding(&seen).detach();
        let alike = (normalize_rows(low.clone()) * normalize_rows(seen.high_embedding().clone())).sum_dim(1);
        numbers.insert("low_high_cosine".to_owned(), f64::from(scalar(alike.mean())));
        let logits = stage.classifier.logits(low);
        numbers.insert("train_accuracy".to_owned(), accuracy(logits, &labels));
        let stores = [network.store(), &parts.non, &parts.decoder];
        Ok(finish(&stage.losses(&seen, &self.maps, judge), &stores, numbers))
    }

    /// The classifier from the mean unit embedding of each class.
    fn enrol(&self, network: &Recognizer) -> Result<(), TaskError> {
        let labels = self.pictures.labels();
        let [dim, classes] = self.kernel.value::<2>().dims();
        let mut sums = vec![0f32; dim * classes];
        let good: Vec<usize> = (0..labels.len()).filter(|&i| !self.is_poor(i)).collect();
        for chunk in good.chunks(256) {
            let open =
                |&i: &usize| Ok(self.pictures.get(i, &mut stream(self.seed, "fan.enrol", i as u64))?.picture);
            let pictures = chunk.iter().map(open).collect::<Result<Vec<_>, TaskError>>()?;
            let embeddings = network.embed(&pictures, false)?;
            for (row, &i) in chunk.iter().enumerate() {
                let column = embeddings.row(row).iter().enumerate();
                column.for_each(|(d, v)| sums[d * classes + labels[i]] += v);
            }
        }
        let empty = (0..classes).find(|c| (0..dim).all(|d| sums[d * classes + c] == 0.0));
        if let Some(class) = empty {
            let reason = format!("person {class} has no picture in high resolution to be enrolled with");
            return Err(format!("data.regime.degraded: {reason}").into());
        }
        self.kernel.set(from_values(sums, [dim, classes], self.classifier.device()));
        Ok(())
    }
}

fn number(loss: &Tensor<1>) -> f64 {
    f64::from(scalar(loss.clone()))
}

/// Walks back from a stage's losses and logs them by name.
fn finish(terms: &Terms, stores: &[&Store], mut numbers: Numbers) -> Step {
    numbers.extend(terms.0.iter().map(|(name, _, loss)| ((*name).to_owned(), number(loss))));
    Step::backward(&terms.total(), stores, numbers)
}

impl Objective for FanObjective {
    fn stores(&self) -> Vec<Store> {
        let Parts { high, non, decoder, .. } = &self.parts;
        [high, non, decoder, &self.classifier, &self.judges, &self.memory.0].map(Store::clone).to_vec()
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn begin_epoch(&self, epoch: usize, network: &Recognizer) -> Result<(), TaskError> {
        let Parts { high, non, .. } = &self.parts;
        if epoch == self.epochs.recognizer {
            if epoch == 0 {
                self.enrol(network)?;
            }
            high.average_from(network.store(), 0.0)?;
        }
        if epoch == self.epochs.recognizer + self.epochs.disentangle {
            for entry in non.entries() {
                let Some(name) = entry.name().strip_prefix("lr_non.") else { continue };
                let from = non.find(&format!("hr_non.{name}")).ok_or("the non-identity encoders differ")?;
                entry.set(from.plain());
            }
        }
        Ok(())
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let (high, poor) = self.sort(batch);
        let labels: Vec<i64> = high.iter().map(|sample| sample.label as i64).collect();
        let labels = ocelli_nn::tensor::integers(&labels, network.store().device());
        let x = network.batch(high.iter().map(|sample| &sample.picture))?;
        match self.epochs.stage(batch.step as usize / self.steps_per_epoch) {
            Stage::Recognizer => self.recognize(network, x, labels, pass),
            Stage::Disentangle => self.disentangle(x, pass),
            Stage::Adapt => {
                let rng = &mut stream(self.seed, "fan.scale", batch.step);
                let low = high.iter().map(|sample| self.config.scale.apply(&sample.picture, rng));
                let low = low.collect::<Result<Vec<_>, _>>()?;
                let unpaired = match poor.is_empty() {
                    true => None,
                    false => Some(network.batch(poor)?),
                };
                let low = network.batch(&low)?;
                self.adapt(network, AdaptBatch { high: x, low, labels, unpaired }, pass)
            }
        }
    }
}

/// Batches that hold degraded pictures in their share of all.
struct Mixed {
    good: Vec<usize>,
    poor: Vec<usize>,
    /// Of each kind in a batch.
    counts: [usize; 2],
    seed: u64,
}

impl Sampler for Mixed {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let shuffled = |list: &[usize], purpose: &str| {
            let mut list = list.to_vec();
            list.shuffle(&mut stream(self.seed, purpose, epoch));
            list
        };
        let (good, poor) = (shuffled(&self.good, "fan.good"), shuffled(&self.poor, "fan.poor"));
        let mut poor = poor.into_iter().cycle();
        let batch = |good: &[usize]| {
            good.iter().copied().chain(poor.by_ref().take(self.counts[1])).collect::<Vec<_>>()
        };
        good.chunks_exact(self.counts[0]).flat_map(batch).collect()
    }
}

fn mixed_batches(pictures: &Pictures, batch_size: usize, seed: u64) -> Result<Composition, TaskError> {
    let Some(hard) = pictures.degraded() else {
        return Composition::shuffled(pictures.len(), batch_size, seed);
    };
    let of = |wanted: bool| (0..pictures.len()).filter(|&i| hard[i] == wanted).collect::<Vec<_>>();
    let (good, poor) = (of(false), of(true));
    let share = poor.len() as f64 / pictures.len().max(1) as f64;
    let unpaired = ((share * batch_size as f64).round() as usize).max(1);
    let paired = batch_size.saturating_sub(unpaired);
    if paired < 2 || good.len() < paired {
        return Err(format!(
            "data.regime.degraded: leaves {} pictures in high resolution, and {paired} for each batch of {batch_size}; \
             fan wants 2 or more in a batch",
            good.len()
        )
        .into());
    }
    let sampler = Arc::new(Mixed { good, poor, counts: [paired, unpaired], seed });
    Ok(Composition { sampler, pictures_per_step: batch_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_their_mixture() {
        let sampler = Mixed { good: (0..10).collect(), poor: vec![10, 11], counts: [3, 1], seed: 5 };
        let order = sampler.order(0);
        assert_eq!(order.len(), 12, "the tenth picture makes no batch");
        for batch in order.chunks(4) {
            assert!(batch[..3].iter().all(|&i| i < 10) && batch[3] >= 10, "{batch:?}");
        }
        let unpaired: Vec<usize> = order.chunks(4).map(|batch| batch[3]).collect();
        assert_ne!(unpaired[0], unpaired[1], "all are used before one comes again");
        assert_eq!(order, sampler.order(0));
        assert_ne!(order, sampler.order(1));
    }
}

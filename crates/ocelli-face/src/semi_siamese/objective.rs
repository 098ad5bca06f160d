//! Semi-siamese training in the shared recipe: `loss.name = "semi-siamese"`.

use std::sync::Arc;

use burn::tensor::Tensor;
use ocelli_data::Dataset;
use ocelli_method::random::stream;
use ocelli_nn::{Pass, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use serde::{Deserialize, Serialize};

use super::head::{Enqueue, MarginType, PrototypeConfig, prototype_loss};
use super::order::{EpochOrder, OrderError, ShallowOrder};
use super::queue::Queue;
use super::step::pair_features;
use crate::recognition::backbone::Backbone;
use crate::recognition::data::Pictures;
use crate::recognition::objective::{Composition, FaceBatch, Objective, Setup, accuracy};
use crate::recognition::recognizer::Recognizer;

/// The keys of a recipe's section `loss`; those of the full release by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SemiSiameseConfig {
    /// The margin on the true pair: `softmax`, `am` or `arc`.
    pub margin_type: MarginType,
    /// Scale of the logits.
    pub s: f64,
    /// Size of the margin; in radians for `arc`.
    pub m: f64,
    /// Whether features are brought to unit length before the product.
    pub normalize: bool,
    /// Factor on the sum of both branches: 0.5 is their mean.
    pub loss_factor: f64,
    /// Prototypes in the queue: a multiple of the identities of a step, which are half of `train.batch_size`.
    pub queue: usize,
    /// What the gallery network keeps of itself a step.
    pub alpha: f64,
    /// Identities that the last epoch left in the queue have to wait (`defer`) or are left out (`leave-out`).
    pub order: EpochOrder,
    /// Whether an identity's only picture makes a pair with itself, as in the releases, or is an error.
    pub single_twice: bool,
}

impl Default for SemiSiameseConfig {
    fn default() -> Self {
        let PrototypeConfig { margin_type, s, m, normalize, loss_factor } = PrototypeConfig::default();
        Self {
            margin_type,
            s,
            m,
            normalize,
            loss_factor,
            queue: 16384,
            alpha: 0.999,
            order: EpochOrder::LeaveOut,
            single_twice: false,
        }
    }
}

impl SemiSiameseConfig {
    /// The settings of the head.
    pub fn head(&self) -> PrototypeConfig {
        let Self { margin_type, s, m, normalize, loss_factor, .. } = *self;
        PrototypeConfig { margin_type, s, m, normalize, loss_factor }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        self.head().validate()?;
        if self.queue == 0 {
            return Err("queue: an empty queue has no prototypes".to_owned());
        }
        match (0.0..1.0).contains(&self.alpha) {
            true => Ok(()),
            false => Err(format!("alpha: {} is outside 0 to 1", self.alpha)),
        }
    }
}

/// The gallery network and the queue, beside the probe network that is trained.
#[derive(Debug)]
pub struct SemiSiamese {
    config: SemiSiameseConfig,
    seed: u64,
    gallery: Backbone,
    gallery_store: Store,
    queue: Queue,
    queue_store: Store,
    batches: Composition,
}

impl SemiSiamese {
    /// With a gallery network that starts from the probe network's weights.
    ///
    /// # Errors
    /// When queue, batch and identities do not go together, or an identity has a single picture.
    pub fn new(setup: &Setup<'_>, config: SemiSiameseConfig) -> Result<Self, TaskError> {
        let (seed, pictures_per_step) = (setup.recipe.seed, setup.recipe.train.batch_size);
        if !pictures_per_step.is_multiple_of(2) {
            let reason =
                format!("train.batch_size: {pictures_per_step} pictures are no whole number of pairs");
            return Err(reason.into());
        }
        let sizes = (pictures_per_step / 2, config.queue);
        let labels = setup.pictures.labels();
        let order = ShallowOrder::new(labels, sizes, config.order, config.single_twice, seed)
            .map_err(|error| explain(&error, setup.pictures))?;
        let gallery_store = setup.store("gallery");
        let gallery = setup.recipe.backbone.build(&gallery_store.root());
        gallery_store.average_parameters_from(setup.network.store(), 0.0)?;
        let queue_store = setup.store("queue");
        Ok(Self {
            queue: Queue::new(&queue_store.root(), setup.embedding(), config.queue),
            batches: Composition { sampler: Arc::new(order), pictures_per_step },
            config,
            seed,
            gallery,
            gallery_store,
            queue_store,
        })
    }
}

/// What to change in the recipe or the pictures.
fn explain(error: &OrderError, pictures: &Pictures) -> String {
    match error {
        OrderError::Batch { .. } => format!("loss.queue: {error} (half of train.batch_size)"),
        OrderError::TooFew { .. } => format!("loss.queue: {error}; a smaller queue will do"),
        OrderError::Single { identity, .. } => {
            let only = pictures.labels().iter().position(|label| label == identity);
            let named = only.map(|picture| format!(", {}", pictures.name(picture))).unwrap_or_default();
            format!("data.train: {error}{named}; leave it out, or set loss.single_twice = true")
        }
    }
}

impl Objective for SemiSiamese {
    fn stores(&self) -> Vec<Store> {
        vec![self.gallery_store.clone(), self.queue_store.clone()]
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let head = self.config.head();
        let x = batch.input(network)?;
        let pairs = self.batches.pictures_per_step / 2;
        let half = |start: usize| x.clone().narrow(0, start, pairs);
        network.store().track();
        let features = pair_features(
            (half(0), half(pairs)),
            &|x: Tensor<4>, pass| network.backbone().forward(x, pass),
            &|x, pass| self.gallery.forward(x, pass),
            pass,
        );
        let features = features.prepared(&head);
        let output = prototype_loss(&features, &self.queue, &head)?;
        let people: Vec<i64> =
            batch.samples.items[..pairs].iter().map(|sample| sample.label as i64).collect();
        let keep = Enqueue::drawn(&mut stream(self.seed, "enqueue", batch.step));
        self.queue.write(features.kept(keep), &people)?;
        let numbers =
            Numbers::from([("train_accuracy".to_owned(), accuracy(output.cosines1, &output.labels))]);
        Ok(Step::backward(&output.loss, &[network.store()], numbers))
    }

    fn updated(&self, network: &Recognizer) -> Result<(), TaskError> {
        Ok(self.gallery_store.average_parameters_from(network.store(), self.config.alpha)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::loss::LossConfig;
    use crate::recognition::task::RecognitionTask;
    use crate::recognition::testing::recognition_task;

    /// Two pictures of each of twenty procedural people, unless `overrides` say otherwise.
    fn task(overrides: &[&str]) -> Result<RecognitionTask, String> {
        let shallow = [
            "data.world.people=24",
            "data.held_out=4",
            "data.regime.pictures=2",
            "loss.name=semi-siamese",
            "loss.queue=8",
            "loss.order=defer",
        ];
        recognition_task(&[&shallow, overrides].concat())
    }

    #[test]
    fn a_step_moves_all_that_should_move() {
        use ocelli_train::trainer::Task;
        let task = task(&[]).unwrap();
        let [network, gallery, queue] = &task.stores()[..] else { panic!("three stores") };
        let value = |store: &Store, name: &str| store.find(name).unwrap().to_array();
        let first = network.names()[0].clone();
        assert_eq!(value(network, &first), value(gallery, &first), "both start alike");
        let batch = task.batches(0, 0).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.samples.items.len(), 8);
        let step = task.step(batch, &Pass::without_dropout()).unwrap();
        assert!(step.loss.is_finite() && step.gradients.len() > 10);
        let own = step.gradients.iter().all(|(entry, _)| entry.key().starts_with(network.label()));
        assert!(own, "the gallery network has no gradients");
        let slots = value(queue, "slot_ids").to_f32();
        assert!(slots[..4].iter().all(|&id| id >= 0.0) && slots[4..] == [-1.0; 4]);
        let before = value(gallery, &first);
        network.find(&first).unwrap().set(network.find(&first).unwrap().plain().add_scalar(1.0));
        task.updated().unwrap();
        let moved = value(gallery, &first).to_f32();
        assert!(moved.iter().zip(before.to_f32()).all(|(now, then)| (now - then - 0.001).abs() < 1e-5));
    }

    #[test]
    fn what_cannot_be_trained_names_the_key() {
        for (overrides, said) in [
            (&["loss.queue=0"][..], "loss.queue: an empty queue"),
            (&["loss.s=0.0"], "loss.s: 0 is not above 0"),
            (&["loss.m=1.5"], "loss.m: 1.5 is outside 0 to 1"),
            (&["loss.alpha=1.0"], "loss.alpha: 1 is outside"),
            (&["loss.queue=10"], "loss.queue: 10 is no multiple of the 4 identities"),
            (&["loss.queue=12"], "loss.queue: 12 wants at least 24 identities"),
            (&["train.batch_size=7"], "train.batch_size: 7 pictures are no whole number of pairs"),
            (
                &["data.regime.pictures=1"],
                "data.train: identity 0 has 1 picture of the two that make a pair, ",
            ),
        ] {
            let error = task(overrides).err().unwrap_or_default();
            assert!(error.contains(said), "{overrides:?}: {error}");
        }
        assert!(task(&["data.regime.pictures=1", "loss.single_twice=true"]).is_ok());
        let default = LossConfig::SemiSiamese(SemiSiameseConfig::default());
        assert_eq!((default.name(), default.validate()), ("semi-siamese", Ok(())));
    }
}

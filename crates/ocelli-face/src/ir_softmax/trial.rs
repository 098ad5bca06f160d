//! Trains a small network on classes of very unequal size, with targets that are learned or centres.

use burn::tensor::{Device, Int, Tensor};
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_nn::layers::Linear;
use ocelli_nn::ops::activation::relu;
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::values;
use ocelli_nn::{Init, Param, Path, Role, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::trainer::{Numbers, TaskError};
use ocelli_world::longtail::LongTail;
use ocelli_world::lookalikes::Samples;

use super::centers::{recompute, running};
use super::{Variant, by_size, deviation};
use crate::recognition::recognizer::Embeddings;
use crate::recognition::trial::{measure, select};

/// What a class is trained towards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Targets {
    /// A learned weight.
    Weights,
    /// The running centre of its features, with this rate.
    Centers {
        /// See [`running`].
        alpha: f64,
    },
}

/// One training.
#[derive(Clone, Copy, Debug)]
pub(super) struct TailTrial {
    pub(super) variant: Variant,
    pub(super) targets: Targets,
    pub(super) lr: f64,
    pub(super) classes: u64,
    pub(super) steps: usize,
}

/// Names of what a trial measures.
pub(super) const HEAD_ACCURACY: &str = "accuracy, head third";
pub(super) const TAIL_ACCURACY: &str = "accuracy, tail third";
pub(super) const HEAD_DEVIATION: &str = "deviation in degrees, head third";
pub(super) const TAIL_DEVIATION: &str = "deviation in degrees, tail third";

const BATCH: usize = 128;
const HIDDEN: usize = 64;
const EMBEDDING: usize = 16;
/// Samples of each class in the balanced test.
const TEST_SHOTS: u64 = 20;
/// New classes, and samples of each, of the open-set test.
const UNSEEN: (u64, u64) = (100, 10);

/// The network: 48-64-16 with ReLU.
#[derive(Debug)]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    fn new(path: &Path, input: usize) -> Self {
        let linear = |name, i, o| Linear::new(&path.at(name), i, o, true, Init::FanInUniform);
        Self { hidden: linear("hidden", input, HIDDEN), output: linear("output", HIDDEN, EMBEDDING) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(x)))
    }
}

/// Samples as tensors, all of them.
fn all(samples: &Samples, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    select(samples, &(0..samples.labels.len()).collect::<Vec<_>>(), device)
}

/// A target for each class, `[C, D]`: a parameter, or a buffer that starts as the centres of the untrained network.
fn make_targets(store: &Store, trial: &TailTrial, start: impl Fn(Tensor<2>) -> Tensor<2>) -> Param {
    let shape = [trial.classes as usize, EMBEDDING];
    match trial.targets {
        Targets::Weights => store.root().param("weight", &shape, Init::FanInUniform, Role::Kernel),
        Targets::Centers { .. } => {
            let centers = store.root().buffer("centers", &shape, Init::Zeros);
            centers.set(start(centers.value()));
            centers
        }
    }
}

/// Trains on the world of `seed` and measures.
///
/// # Errors
/// When the device is not to be had, or training gives no numbers.
pub(super) fn train(trial: &TailTrial, seed: u64, device: &str) -> Result<Numbers, TaskError> {
    let device = ocelli_nn::device(device)?;
    let world = LongTail { seed, ..LongTail::default() };
    let samples = world.imbalanced(trial.classes);
    let network_store = Store::labelled(&device, seed, "network");
    let target_store = Store::labelled(&device, seed, "targets");
    let network = Mlp::new(&network_store.root(), samples.dims);
    let (all_x, all_labels) = all(&samples, &device);
    let centers_now = |old| recompute(old, network.forward(all_x.clone()), all_labels.clone());
    let targets = make_targets(&target_store, trial, centers_now);
    let sgd = OptimizerConfig::Sgd { lr: trial.lr, momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
    let mut optimizer = Optimizer::new(sgd, decay_all);
    let sampler = RandomSampler::new(samples.labels.len(), seed);
    let orders = (0u64..).map(|epoch| sampler.order(epoch));
    let batches =
        orders.flat_map(|order| order.chunks_exact(BATCH).map(<[usize]>::to_vec).collect::<Vec<_>>());
    for batch in batches.take(trial.steps) {
        let (x, labels) = select(&samples, &batch, &device);
        network_store.track();
        target_store.track();
        let features = network.forward(x);
        let (logits, _) = trial.variant.logits(features.clone(), targets.value(), labels.clone());
        let mut tape = cross_entropy(logits, labels.clone()).backward();
        let mut gradients = network_store.collect(&mut tape);
        gradients.extend(target_store.collect(&mut tape));
        optimizer.step(&gradients, trial.lr);
        if let Targets::Centers { alpha } = trial.targets {
            targets.set(running(targets.value(), features.without_autodiff(), labels, alpha));
        }
    }

    let mut numbers = open_set(&network, &world, trial.classes, &device)?;
    let thirds = accuracy_by_third(&network, &world, trial, &targets, &device);
    numbers.insert(HEAD_ACCURACY.to_owned(), thirds[0]);
    numbers.insert(TAIL_ACCURACY.to_owned(), thirds[2]);
    let angles = deviation(targets.value(), centers_now(targets.value()));
    let counts: Vec<usize> = (0..trial.classes).map(|class| world.count(class) as usize).collect();
    let bins = by_size(&angles, &counts, 3);
    for (name, bin) in [HEAD_DEVIATION, TAIL_DEVIATION].into_iter().zip([bins.first(), bins.last()]) {
        numbers.extend(bin.map(|bin| (name.to_owned(), bin.deviation)));
    }
    Ok(numbers)
}

/// Verification of classes that were not trained on.
fn open_set(network: &Mlp, world: &LongTail, classes: u64, device: &Device) -> Result<Numbers, TaskError> {
    let (people, shots) = UNSEEN;
    let samples = world.balanced(classes..classes + people, shots);
    let embedded = values(network.forward(all(&samples, device).0));
    measure(&Embeddings::unit(embedded, samples.labels.len())?, &samples.labels)
}

/// Share of a balanced test set that is nearest to the target of its own class, for the largest, middle and smallest
/// third of the classes.
fn accuracy_by_third(
    network: &Mlp,
    world: &LongTail,
    trial: &TailTrial,
    targets: &Param,
    device: &Device,
) -> [f64; 3] {
    let classes = trial.classes;
    [0, 1, 2].map(|third| {
        let range = third * classes / 3..(third + 1) * classes / 3;
        let (x, labels) = all(&world.balanced(range.clone(), TEST_SHOTS), device);
        let labels = labels.add_scalar(range.start as i64);
        let (_, cosines) = trial.variant.logits(network.forward(x), targets.value(), labels.clone());
        crate::recognition::objective::accuracy(cosines.all, &labels)
    })
}

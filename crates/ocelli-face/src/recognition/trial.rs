//! Trains a small network on look-alikes with any head: how recognition losses are compared in seconds.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor};
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_method::random::stream;
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_nn::layers::{BatchNorm, BatchNormConfig, Linear, Prelu};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::{from_values, integers, values};
use ocelli_nn::{Init, Pass, Path, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all_but_norms};
use ocelli_train::schedule::{ScheduleConfig, Shape};
use ocelli_train::trainer::{Numbers, TaskError};
use ocelli_world::lookalikes::{LookAlikes, Samples};

use super::margin::Head;
use super::recognizer::Embeddings;

/// How a trial is run.
#[derive(Clone, Debug)]
pub struct TrialConfig {
    /// Fixes world, initial weights and order.
    pub seed: u64,
    /// Where to compute.
    pub device: String,
    /// People to train on, and samples of each.
    pub train: (u64, u64),
    /// Unseen people, and samples of each.
    pub test: (u64, u64),
    /// Passes over the samples.
    pub epochs: usize,
    /// Samples a step.
    pub batch_size: usize,
}

impl TrialConfig {
    /// 300 people of 20 samples, 250 unseen ones of 6; ten epochs.
    pub fn new(seed: u64, device: &str) -> Self {
        let device = device.to_owned();
        Self { seed, device, train: (300, 20), test: (250, 6), epochs: 10, batch_size: 128 }
    }
}

/// What a trial came to.
#[derive(Clone, Debug)]
pub struct Trial {
    /// True-accept rates at false-accept rates 1e-2, 1e-3 and 1e-4 on all pairs of unseen people.
    pub numbers: Numbers,
    /// The head's own numbers at the end of every epoch, by name.
    pub traces: BTreeMap<String, Vec<f64>>,
}

impl Trial {
    /// The mean of several trials, number by number and epoch by epoch.
    pub fn mean(trials: &[Trial]) -> Trial {
        let Some(first) = trials.first() else {
            return Trial { numbers: Numbers::new(), traces: BTreeMap::new() };
        };
        let n = trials.len() as f64;
        let number = |name: &String| trials.iter().filter_map(|t| t.numbers.get(name)).sum::<f64>() / n;
        let trace = |name: &String, epochs: usize| {
            let at =
                |epoch: usize| trials.iter().filter_map(|t| t.traces.get(name)?.get(epoch)).sum::<f64>() / n;
            (0..epochs).map(at).collect::<Vec<_>>()
        };
        Trial {
            numbers: first.numbers.keys().map(|name| (name.clone(), number(name))).collect(),
            traces: first.traces.iter().map(|(name, t)| (name.clone(), trace(name, t.len()))).collect(),
        }
    }
}

/// The false-accept rates that trials report.
pub const FARS: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// The network: 96-192-192-64 with BatchNorm and PReLU, the last normalisation without scale and shift.
#[derive(Debug)]
pub struct Mlp {
    hidden: Vec<(Linear, BatchNorm, Prelu)>,
    output: (Linear, BatchNorm),
}

/// Length of the embedding.
pub const EMBEDDING: usize = 64;
const WIDTH: usize = 192;

impl Mlp {
    /// A network at `path` for samples of `input` dimensions.
    pub fn new(path: &Path, input: usize) -> Self {
        let linear = |at: &Path, i, o| Linear::new(at, i, o, true, Init::FanInUniform);
        let block = |k: usize, i: usize| {
            let at = path.at(k);
            let norm = BatchNormConfig::new(WIDTH).build(&at.at("bn"));
            (linear(&at.at("linear"), i, WIDTH), norm, Prelu::new(&at.at("prelu"), WIDTH))
        };
        let last = path.at("output");
        let norm = BatchNormConfig::new(EMBEDDING).without_affine().build(&last.at("bn"));
        Self {
            hidden: vec![block(0, input), block(1, WIDTH)],
            output: (linear(&last.at("linear"), WIDTH, EMBEDDING), norm),
        }
    }

    /// Samples `[B, D]` to embeddings `[B, 64]`, not normalised.
    pub fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let x = self
            .hidden
            .iter()
            .fold(x, |x, (linear, norm, prelu)| prelu.forward(norm.forward(linear.forward(x), pass)));
        self.output.1.forward(self.output.0.forward(x), pass)
    }
}

/// A trained network with its stores.
#[derive(Debug)]
pub struct Trained {
    /// The network.
    pub network: Mlp,
    /// Its parameters.
    pub store: Store,
    /// Those of the head.
    pub head: Store,
    /// The head's own numbers at the end of every epoch, by name.
    pub traces: BTreeMap<String, Vec<f64>>,
}

/// Trains with the head that `build` makes from a path and the number of classes, and measures on unseen people.
/// `before_step` may change the head's state.
///
/// # Errors
/// When the device is not to be had, or training gives no numbers.
pub fn train(
    config: &TrialConfig,
    build: impl FnOnce(&Path, usize) -> Box<dyn Head>,
    before_step: &dyn Fn(&Store),
) -> Result<Trial, TaskError> {
    let world = LookAlikes { seed: config.seed, ..LookAlikes::default() };
    let Trained { network, store, traces, .. } = fit(config, &world, build, before_step)?;
    let ((people, _), (unseen, shots)) = (config.train, config.test);
    let test = world.samples(people..people + unseen, shots);
    let all: Vec<usize> = (0..test.labels.len()).collect();
    let (x, _) = select(&test, &all, store.device());
    let embedded = values(network.forward(x, &Pass::eval()));
    Ok(Trial { numbers: measure(&Embeddings::unit(embedded, all.len())?, &test.labels)?, traces })
}

/// Trains on the first people of `world`, as [`train`] does.
///
/// # Errors
/// When the device is not to be had.
pub fn fit(
    config: &TrialConfig,
    world: &LookAlikes,
    build: impl FnOnce(&Path, usize) -> Box<dyn Head>,
    before_step: &dyn Fn(&Store),
) -> Result<Trained, TaskError> {
    let device = ocelli_nn::device(&config.device)?;
    let (people, shots) = config.train;
    let samples = world.samples(0..people, shots);
    let network_store = Store::labelled(&device, config.seed, "network");
    let head_store = Store::labelled(&device, config.seed, "head");
    let network = Mlp::new(&network_store.root(), samples.dims);
    let head = build(&head_store.root(), people as usize);
    let rate = OptimizerConfig::default();
    let mut optimizer = Optimizer::new(rate.clone(), decay_all_but_norms);
    let schedule = ScheduleConfig {
        epochs: config.epochs,
        shape: Shape::Step,
        milestones: vec![0.5 * config.epochs as f64, 0.75 * config.epochs as f64],
        ..ScheduleConfig::default()
    };
    let sampler = RandomSampler::new(samples.labels.len(), config.seed);
    let per_epoch = samples.labels.len() / config.batch_size;
    let mut traces = BTreeMap::<String, Vec<f64>>::new();
    let mut step = 0;
    for epoch in 0..config.epochs {
        let mut last = Vec::new();
        let order = sampler.order(epoch as u64);
        for batch in order.chunks_exact(config.batch_size) {
            let (x, labels) = select(&samples, batch, &device);
            before_step(&head_store);
            network_store.track();
            head_store.track();
            let pass = Pass::train(stream(config.seed, "dropout", step));
            let output = head.forward(network.forward(x, &pass), labels.clone(), true);
            last = output.numbers;
            let mut tape = cross_entropy(output.logits, labels).backward();
            let mut gradients = network_store.collect(&mut tape);
            gradients.extend(head_store.collect(&mut tape));
            optimizer.step(&gradients, rate.rate() * schedule.factor(step, per_epoch));
            step += 1;
        }
        for (name, value) in last {
            traces.entry(name.to_owned()).or_default().push(value);
        }
    }
    Ok(Trained { network, store: network_store, head: head_store, traces })
}

/// The samples of some rows `[B, D]`, and who they are `[B]`.
pub fn select(
    samples: &Samples,
    rows: &[usize],
    device: &burn::tensor::Device,
) -> (Tensor<2>, Tensor<1, Int>) {
    let row = |&i: &usize| samples.features[i * samples.dims..(i + 1) * samples.dims].iter().copied();
    let features = rows.iter().flat_map(row).collect();
    let labels: Vec<i64> = rows.iter().map(|&i| samples.labels[i]).collect();
    (from_values(features, [rows.len(), samples.dims], device), integers(&labels, device))
}

/// All pairs of unseen people.
fn measure(embeddings: &Embeddings, labels: &[i64]) -> Result<Numbers, TaskError> {
    let pairs = (0..labels.len()).flat_map(|i| (i + 1..labels.len()).map(move |j| (i, j)));
    let (scores, same): (Vec<f64>, Vec<bool>) =
        pairs.map(|(i, j)| (embeddings.cosine(i, j), labels[i] == labels[j])).unzip();
    let points = PairScores::new(&scores, &same)?.tar_at_far(&FARS, FarRule::RankRound)?;
    Ok(points.iter().map(|p| (name(p.target_far), p.tar)).collect())
}

/// Name of the true-accept rate at a false-accept rate.
pub fn name(far: f64) -> String {
    format!("TAR@FAR={far:e}")
}

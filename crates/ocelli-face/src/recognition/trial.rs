//! Trains a small network on look-alikes with any head: how recognition losses are compared in seconds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_method::random::stream;
use ocelli_method::{Arm, Experiment, ReproduceError, Role};
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
    /// Where in the training the rate drops to a tenth, as shares of the epochs.
    pub drops: Vec<f64>,
    /// The people; its seed is that of the trial.
    pub world: LookAlikes,
}

impl TrialConfig {
    /// 300 people of 20 samples, 250 unseen ones of 6; ten epochs.
    pub fn new(seed: u64, device: &str) -> Self {
        let device = device.to_owned();
        let world = LookAlikes::default();
        let (train, test, drops) = ((300, 20), (250, 6), vec![0.5, 0.75]);
        Self { seed, device, train, test, epochs: 10, batch_size: 128, drops, world }
    }

    /// The course of the rate: steps down at the drops.
    pub fn schedule(&self) -> ScheduleConfig {
        ScheduleConfig {
            epochs: self.epochs,
            shape: Shape::Step,
            milestones: self.drops.iter().map(|share| share * self.epochs as f64).collect(),
            ..ScheduleConfig::default()
        }
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

/// Makes a head at a path for a number of classes.
pub type BuildHead<'a> = &'a dyn Fn(&Path, usize) -> Box<dyn Head>;

/// The trainings of a claim: every arm sees the same few populations, and is their mean.
#[derive(Debug)]
pub struct Populations<'a> {
    /// What the claim is asked to run.
    pub experiment: &'a Experiment<'a>,
    /// Populations that a seed averages over.
    pub count: u64,
    /// How each is trained on, but for its seed.
    pub config: TrialConfig,
}

impl Populations<'_> {
    /// Trains an arm with the head that `build` makes; `before_step` may change the head's state.
    ///
    /// # Errors
    /// When a training fails, naming the arm.
    pub fn arm(
        &self,
        name: &str,
        role: Role,
        build: BuildHead<'_>,
        before_step: &dyn Fn(&Store),
    ) -> Result<Arm, ReproduceError> {
        let mut trials = Vec::new();
        for population in 0..self.count {
            (self.experiment.progress)(&format!("{name}, population {}/{}", population + 1, self.count));
            let seed = self.experiment.seed * self.count + population;
            let trial = train(&TrialConfig { seed, ..self.config.clone() }, build, before_step);
            trials.push(trial.map_err(|e| ReproduceError(format!("{name}: {e}")))?);
        }
        let Trial { numbers, traces } = Trial::mean(&trials);
        Ok(Arm { name: name.to_owned(), role, values: numbers, traces })
    }
}

/// The false-accept rates that trials report.
pub const FARS: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// The network: 96-192-192-64 with BatchNorm and PReLU, the last normalisation without scale and shift.
#[derive(Clone, Debug)]
pub struct Mlp {
    hidden: Vec<(Linear, BatchNorm, Prelu)>,
    output: (Linear, BatchNorm),
}

/// Length of the embedding.
pub const EMBEDDING: usize = 64;
const WIDTH: usize = 192;

impl Mlp {
    /// A network for samples of `input` values at `path`.
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

    /// Samples `[B, input]` to embeddings `[B, 64]`, not normalised.
    pub fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let x = self
            .hidden
            .iter()
            .fold(x, |x, (linear, norm, prelu)| norm.forward_prelu(linear.forward(x), prelu, pass));
        self.output.1.forward(self.output.0.forward(x), pass)
    }
}

/// Trains with the head that `build` makes from a path and the number of classes. `before_step` may change the
/// head's state.
///
/// # Errors
/// When the device is not to be had, or training gives no numbers.
pub fn train(
    config: &TrialConfig,
    build: impl FnOnce(&Path, usize) -> Box<dyn Head>,
    before_step: &dyn Fn(&Store),
) -> Result<Trial, TaskError> {
    let mut trainee = Trainee::new(config, Population::new(config), config.seed, build)?;
    let mut traces = BTreeMap::<String, Vec<f64>>::new();
    for epoch in 0..config.epochs {
        for (name, value) in trainee.epoch(epoch, before_step) {
            traces.entry(name.to_owned()).or_default().push(value);
        }
    }
    let (people, (unseen, shots)) = (config.train.0, config.test);
    Ok(Trial { numbers: trainee.measure(people..people + unseen, shots)?, traces })
}

/// The people of a trial, with the samples that are trained on drawn.
#[derive(Clone, Debug)]
pub struct Population {
    world: LookAlikes,
    samples: Arc<Samples>,
}

impl Population {
    /// The population that the trial's seed fixes.
    pub fn new(config: &TrialConfig) -> Self {
        let world = LookAlikes { seed: config.seed, ..config.world };
        let (people, shots) = config.train;
        Self { world, samples: Arc::new(world.samples(0..people, shots)) }
    }

    /// Where they come from.
    pub fn world(&self) -> &LookAlikes {
        &self.world
    }

    /// The samples that are trained on.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// True-accept rates of a network on all pairs of `shots` samples of each of the `people`.
    ///
    /// # Errors
    /// When the network gives no numbers.
    pub fn measure(
        &self,
        network: &Mlp,
        people: Range<u64>,
        shots: u64,
        device: &burn::tensor::Device,
    ) -> Result<Numbers, TaskError> {
        let samples = self.world.samples(people, shots);
        let all: Vec<usize> = (0..samples.labels.len()).collect();
        let (x, _) = select(&samples, &all, device);
        let embedded = values(network.forward(x, &Pass::eval()));
        measure(&Embeddings::unit(embedded, all.len())?, &samples.labels)
    }
}

/// A network under training, with its head and its optimiser.
#[derive(Debug)]
pub struct Trainee<H> {
    /// The head.
    pub head: H,
    network: Mlp,
    network_store: Store,
    head_store: Store,
    optimizer: Optimizer,
    sampler: RandomSampler,
    population: Population,
    config: TrialConfig,
    step: u64,
}

impl<H: Head> Trainee<H> {
    /// A network whose initial weights are fixed by the trial's seed, and whose samples come in the order that `order`
    /// fixes, under the head that `build` makes from a path and the number of classes.
    ///
    /// # Errors
    /// When the device is not to be had.
    pub fn new(
        config: &TrialConfig,
        population: Population,
        order: u64,
        build: impl FnOnce(&Path, usize) -> H,
    ) -> Result<Self, TaskError> {
        let device = ocelli_nn::device(&config.device)?;
        let network_store = Store::labelled(&device, config.seed, "network");
        let head_store = Store::labelled(&device, config.seed, "head");
        Ok(Self {
            network: Mlp::new(&network_store.root(), population.samples.dims),
            head: build(&head_store.root(), config.train.0 as usize),
            optimizer: Optimizer::new(OptimizerConfig::default(), decay_all_but_norms),
            sampler: RandomSampler::new(population.samples.labels.len(), order),
            config: config.clone(),
            step: 0,
            network_store,
            head_store,
            population,
        })
    }

    /// The network.
    pub fn network(&self) -> &Mlp {
        &self.network
    }

    /// The stores of network and head.
    pub fn stores(&self) -> [&Store; 2] {
        [&self.network_store, &self.head_store]
    }

    /// Trains for an epoch and returns the head's numbers of its last step.
    pub fn epoch(&mut self, epoch: usize, before_step: &dyn Fn(&Store)) -> Vec<(&'static str, f64)> {
        let TrialConfig { seed, batch_size, .. } = self.config;
        let schedule = self.config.schedule();
        let samples = &self.population.samples;
        let per_epoch = samples.labels.len() / batch_size;
        let mut last = Vec::new();
        for batch in self.sampler.order(epoch as u64).chunks_exact(batch_size) {
            let (x, labels) = select(samples, batch, self.network_store.device());
            before_step(&self.head_store);
            self.network_store.track();
            self.head_store.track();
            let pass = Pass::train(stream(seed, "dropout", self.step));
            let output = self.head.forward(self.network.forward(x, &pass), labels.clone(), true);
            last = output.numbers;
            let mut tape = cross_entropy(output.logits, labels).backward();
            let mut gradients = self.network_store.collect(&mut tape);
            gradients.extend(self.head_store.collect(&mut tape));
            let rate = OptimizerConfig::default().rate() * schedule.factor(self.step, per_epoch);
            self.optimizer.step(&gradients, rate);
            self.step += 1;
        }
        last
    }

    /// True-accept rates on all pairs of `shots` samples of each of the `people`.
    ///
    /// # Errors
    /// When the network gives no numbers.
    pub fn measure(&self, people: Range<u64>, shots: u64) -> Result<Numbers, TaskError> {
        self.population.measure(&self.network, people, shots, self.network_store.device())
    }
}

/// Some samples `[B, dims]`, by number, and their labels `[B]`.
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

/// True-accept rates on all pairs of the embeddings of people.
///
/// # Errors
/// When there are no pairs of one kind.
pub fn measure(embeddings: &Embeddings, labels: &[i64]) -> Result<Numbers, TaskError> {
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

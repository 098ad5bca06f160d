//! Temporal proposals as a task of the training loop.

use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_metrics::proposals::{ProposalRecords, RecallCurve, VideoProposals};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_nn::tensor::from_values;
use ocelli_nn::{Init, Param, Pass, Store};
use ocelli_train::trainer::{Batches, Numbers, Step, Task, TaskError};

use super::generator::{Draws, Generator};
use super::recipe::{EvaluateConfig, ProposalRecipe};
use super::videos::Video;

/// Videos that go through a network at once when it is measured.
const CHUNK: usize = 8;
/// The stream of draws for losses that are measured: the same cells each time.
const MEASURED: u64 = u64::MAX;

/// The proposals of a generator for videos, in seconds, best first.
///
/// # Errors
/// As [`Generator::propose`].
pub fn propose_all(
    generator: &dyn Generator,
    videos: &[&Video],
) -> Result<Vec<Vec<ScoredSegment>>, TaskError> {
    let mut all = Vec::new();
    for chunk in videos.chunks(CHUNK) {
        for (video, proposals) in chunk.iter().zip(generator.propose(chunk)?) {
            let seconds = |fraction: f64| (fraction * video.duration).clamp(0.0, video.duration);
            let scaled = proposals.into_iter().map(|p| {
                let segment = Segment::new(seconds(p.segment.start), seconds(p.segment.end));
                ScoredSegment { segment, ..p }
            });
            all.push(scaled.collect());
        }
    }
    Ok(all)
}

/// Average recall of proposals for videos whose actions are known; videos without actions are passed over.
///
/// # Errors
/// When there is no video with actions, or no proposal.
pub fn measure(
    videos: &[&Video],
    proposals: &[Vec<ScoredSegment>],
    config: &EvaluateConfig,
) -> Result<RecallCurve, TaskError> {
    let mut records = ProposalRecords::new(&config.thresholds)?;
    for (video, own) in videos.iter().zip(proposals).filter(|(video, _)| !video.truth.is_empty()) {
        records.videos.push(VideoProposals::new(&video.truth, own, &config.thresholds)?);
    }
    Ok(records.curve(Some(config.max_proposals))?)
}

/// The numbers of a curve by name: AUC, and AR at 1, 5, 10 and 100 proposals where the curve has such points.
pub fn numbers(curve: &RecallCurve, config: &EvaluateConfig) -> Numbers {
    let mut numbers = Numbers::from([("AUC".to_owned(), curve.auc)]);
    for n in [1.0, 5.0, 10.0, 100.0] {
        if let Some(recall) = curve.at(n, config.max_proposals) {
            numbers.insert(format!("AR@{n}"), recall);
        }
    }
    numbers
}

/// The weights of the best epoch so far, in a store of their own, so that a checkpoint holds them.
#[derive(Debug)]
struct Best {
    store: Store,
    loss: Param,
    weights: Vec<Param>,
}

impl Best {
    fn new(network: &Store) -> Self {
        let store = Store::labelled(network.device(), 0, "best");
        let root = store.root();
        let loss = root.buffer("best_loss", &[1], Init::Constant(f32::MAX));
        let copy = |(name, shape): (String, Vec<usize>)| root.buffer(&name, &shape, Init::Zeros);
        let weights = network.shapes().into_iter().map(copy).collect();
        Self { store, loss, weights }
    }

    /// Keeps the network's weights when the loss is the lowest so far.
    fn offer(&self, network: &Store, loss: f64) {
        let lowest = f64::from(ocelli_nn::tensor::scalar(self.loss.value::<1>()));
        if loss < lowest {
            self.loss.set(from_values::<1>(vec![loss as f32], [1], network.device()));
            network.entries().iter().zip(&self.weights).for_each(|(from, to)| to.entry().set(from.plain()));
        }
    }

    /// Puts the best weights back, if there are any.
    fn restore(&self, network: &Store) {
        if ocelli_nn::tensor::scalar(self.loss.value::<1>()) < f32::MAX {
            network.entries().iter().zip(&self.weights).for_each(|(to, from)| to.set(from.entry().plain()));
        }
    }
}

/// A training that proposes segments.
#[derive(Debug)]
pub struct ProposalTask {
    generator: Box<dyn Generator>,
    train: Vec<Video>,
    test: Vec<Video>,
    /// Videos of an epoch: short actions' twice, those without boundaries not at all.
    order: Vec<usize>,
    batch_size: usize,
    seed: u64,
    evaluate: EvaluateConfig,
    best: Option<Best>,
}

impl ProposalTask {
    /// Builds the network for a recipe and its videos.
    ///
    /// # Errors
    /// When the device is not to be had, or there are no videos to train or measure on.
    pub fn new(
        recipe: &ProposalRecipe,
        [train, test]: [Vec<Video>; 2],
        device: &str,
    ) -> Result<Self, TaskError> {
        let device = ocelli_nn::device(device)?;
        let store = Store::labelled(&device, recipe.seed, "network");
        let generator = recipe.method.build(&store.root());
        let times = |(i, video): (usize, &Video)| std::iter::repeat_n(i, generator.times(video));
        let order: Vec<usize> = train.iter().enumerate().flat_map(times).collect();
        if order.is_empty() {
            return Err("no video is left to train on".into());
        }
        if test.iter().all(|video| video.truth.is_empty()) {
            return Err("no video with actions is left to measure on".into());
        }
        let best = recipe.evaluate.keep_best.then(|| Best::new(generator.store()));
        let (batch_size, seed) = (recipe.train.batch_size.min(order.len()), recipe.seed);
        let evaluate = recipe.evaluate.clone();
        Ok(Self { generator, train, test, order, batch_size, seed, evaluate, best })
    }

    /// The network, with the weights of the best epoch where they are kept.
    pub fn finished(&self) -> &dyn Generator {
        if let Some(best) = &self.best {
            best.restore(self.generator.store());
        }
        self.generator.as_ref()
    }

    /// The videos that are measured on.
    pub fn test(&self) -> &[Video] {
        &self.test
    }

    fn validation_loss(&self) -> Result<f64, TaskError> {
        let videos: Vec<&Video> = self.test.iter().collect();
        let (mut sum, mut count) = (0.0, 0);
        for (chunk, step) in videos.chunks(self.batch_size).zip(0..) {
            let draws = Draws { seed: self.seed, step: MEASURED - step };
            sum += self.generator.loss(chunk, draws)? * chunk.len() as f64;
            count += chunk.len();
        }
        Ok(sum / f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX)))
    }
}

/// A batch: the step it is for, and which videos.
#[derive(Clone, Debug)]
pub struct VideoBatch {
    step: u64,
    videos: Vec<usize>,
}

impl Task for ProposalTask {
    type Batch = VideoBatch;

    fn stores(&self) -> Vec<Store> {
        let best = self.best.as_ref().map(|best| best.store.clone());
        std::iter::once(self.generator.store().clone()).chain(best).collect()
    }

    fn steps_per_epoch(&self) -> usize {
        self.order.len() / self.batch_size
    }

    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Self::Batch>, TaskError> {
        let (steps, size) = (self.steps_per_epoch(), self.batch_size);
        let order = RandomSampler::new(self.order.len(), self.seed).order(epoch as u64);
        let batch = move |k: usize| {
            let videos = order[k * size..(k + 1) * size].iter().map(|&i| self.order[i]).collect();
            Ok(VideoBatch { step: (epoch * steps + k) as u64, videos })
        };
        Ok(Box::new((start..steps).map(batch)))
    }

    fn step(&self, batch: Self::Batch, pass: &Pass) -> Result<Step, TaskError> {
        let videos: Vec<&Video> = batch.videos.iter().map(|&i| &self.train[i]).collect();
        self.generator.step(&videos, Draws { seed: self.seed, step: batch.step }, pass)
    }

    fn end_epoch(&self, _: usize) -> Result<Numbers, TaskError> {
        let loss = self.validation_loss()?;
        if let Some(best) = &self.best {
            best.offer(self.generator.store(), loss);
        }
        Ok(Numbers::from([("validation_loss".to_owned(), loss)]))
    }

    fn evaluate(&self) -> Result<Numbers, TaskError> {
        let videos: Vec<&Video> = self.test.iter().collect();
        let proposals = propose_all(self.generator.as_ref(), &videos)?;
        Ok(numbers(&measure(&videos, &proposals, &self.evaluate)?, &self.evaluate))
    }
}

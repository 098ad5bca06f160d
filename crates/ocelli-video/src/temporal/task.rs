//! Temporal proposals as a task of the training loop.

use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_metrics::proposals::RecallCurve;
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_nn::tensor::from_values;
use ocelli_nn::{Init, Param, Pass, Store};
use ocelli_train::trainer::{Batches, Numbers, Step, Task, TaskError};

use super::generator::{Draws, Generator};
use super::recall::{Proposed, curve};
use super::recipe::{EvaluateConfig, ProposalRecipe};
use super::suppress::SoftNms;
use super::videos::Video;

/// Videos that go through a network at once when it is measured.
const CHUNK: usize = 4;
/// The stream of draws for losses that are measured: the same cells each time.
const MEASURED: u64 = u64::MAX;

/// A whole video by its name, with its actions where they are known and proposals for it, in seconds, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedVideo {
    /// Its name.
    pub name: String,
    /// Duration, actions and proposals.
    pub found: Proposed,
}

/// The proposals of a generator for videos. Those of windows of one video are put together and suppressed once more.
///
/// # Errors
/// As [`Generator::propose`].
pub fn propose_all(generator: &dyn Generator, videos: &[&Video]) -> Result<Vec<ProposedVideo>, TaskError> {
    let mut all: Vec<(ProposedVideo, usize)> = Vec::new();
    for chunk in videos.chunks(CHUNK) {
        for (video, proposals) in chunk.iter().zip(generator.propose(chunk)?) {
            let Video { window, duration, .. } = **video;
            let seconds = |share: f64| (window.start + share * window.length()).clamp(0.0, duration);
            let placed = proposals.into_iter().map(|p| {
                let segment = Segment::new(seconds(p.segment.start), seconds(p.segment.end));
                ScoredSegment { segment, ..p }
            });
            // What lies in the zeros behind a video's end has no length.
            let placed = placed.filter(|p| p.segment.length() > 0.0);
            match all.last_mut().filter(|(last, _)| last.name == video.name) {
                Some((last, windows)) => {
                    last.found.proposals.extend(placed);
                    *windows += 1;
                }
                None => {
                    let found =
                        Proposed { truth: video.truth.clone(), proposals: placed.collect(), duration };
                    all.push((ProposedVideo { name: video.name.clone(), found }, 1));
                }
            }
        }
    }
    let suppression = generator.suppression();
    let merged = all.into_iter().map(|(mut video, windows)| {
        if windows > 1 {
            merge(&mut video.found, &suppression);
        }
        video
    });
    Ok(merged.collect())
}

/// Suppresses the proposals of all windows of a video together; thresholds are meant for fractions of the video.
fn merge(video: &mut Proposed, suppression: &SoftNms) {
    let duration = video.duration;
    let scaled = |p: &ScoredSegment, factor: f64| {
        let Segment { start, end } = p.segment;
        ScoredSegment { segment: Segment::new(start * factor, end * factor), ..*p }
    };
    let shares: Vec<ScoredSegment> = video.proposals.iter().map(|p| scaled(p, duration.recip())).collect();
    let taken = suppression.run(&shares);
    video.proposals = taken.iter().map(|t| scaled(&t.scored, duration)).collect();
    video.proposals.iter_mut().for_each(|p| p.segment.end = p.segment.end.min(duration));
}

/// Average recall of proposals for videos whose actions are known; videos without actions are passed over.
///
/// # Errors
/// When there is no video with actions, or no proposal.
pub fn measure(videos: &[ProposedVideo], config: &EvaluateConfig) -> Result<RecallCurve, TaskError> {
    let found: Vec<Proposed> = videos.iter().map(|video| video.found.clone()).collect();
    Ok(curve(&found, &config.thresholds, config.max_proposals)?)
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
        let times = |(i, video): (usize, &Video)| {
            // A window beside the actions of its video teaches less than it costs.
            let empty = video.actions.is_empty() && !video.truth.is_empty();
            std::iter::repeat_n(i, if empty { 0 } else { generator.times(video) })
        };
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
        let proposed = propose_all(self.generator.as_ref(), &videos)?;
        Ok(numbers(&measure(&proposed, &self.evaluate)?, &self.evaluate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::generator::GeneratorConfig;
    use crate::temporal::run::load;
    use ocelli_train::recipe::Recipe;

    /// Clips of twelve cells and a tiny network.
    fn recipe(more: &str) -> ProposalRecipe {
        let text = format!(
            "task = \"temporal-proposals\"\n{more}\n[data.world]\ntrain = 12\ntest = 4\n[train]\nbatch_size = 4\n[method]\n\
             network = {{ feature_dim = 12, tscale = 12, base_dims = [8, 6], proposal_dim = 16, head_dim = 8 }}\n"
        );
        ProposalRecipe::new(&Recipe::parse(&text, "r.toml".as_ref()).unwrap()).unwrap()
    }

    fn task(recipe: &ProposalRecipe) -> ProposalTask {
        let [train, test] = load(&recipe.data, recipe.method.size()).unwrap();
        ProposalTask::new(recipe, [train.videos, test.videos], "cpu").unwrap()
    }

    #[test]
    fn the_best_weights_are_kept_and_restored() {
        let task = task(&recipe(""));
        let (store, best) = (task.generator.store(), task.best.as_ref().unwrap());
        let bias = store.find("DSBNet.conv3.0.bias").unwrap();
        let set = |value: f32| bias.set(from_values::<1>(vec![value], [1], store.device()));
        task.finished();
        assert_eq!(bias.to_array().to_f32(), [0.0], "nothing is restored before the first epoch");
        for (value, loss) in [(1.0, 3.0), (2.0, 1.0), (3.0, 2.0)] {
            set(value);
            best.offer(store, loss);
        }
        task.finished();
        assert_eq!(bias.to_array().to_f32(), [2.0]);
        // A checkpoint holds them: they lie in a store.
        assert_eq!(task.stores().len(), 2);
        assert!(task.stores()[1].find("DSBNet.conv3.0.bias").is_some());
    }

    #[test]
    fn videos_count_as_often_as_the_method_says() {
        let recipe = recipe("");
        let mut task = task(&recipe);
        let (short, whole) = ([Segment::new(0.1, 0.2)], [Segment::new(0.0, 1.0)]);
        task.train[0].actions = short.to_vec();
        task.train[1].actions = whole.to_vec();
        let again = ProposalTask::new(&recipe, [task.train.clone(), task.test.clone()], "cpu").unwrap();
        let count = |wanted: usize| again.order.iter().filter(|&&i| i == wanted).count();
        assert_eq!((count(0), count(1)), (2, 0));
    }

    #[test]
    fn steps_are_the_same_whenever_they_are_asked_for() {
        let task = task(&recipe("seed = 3"));
        let all: Vec<VideoBatch> = task.batches(1, 0).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), task.steps_per_epoch());
        let later: Vec<VideoBatch> = task.batches(1, 1).unwrap().map(Result::unwrap).collect();
        assert_eq!((&all[1].videos, all[1].step), (&later[0].videos, later[0].step));
        let loss = || task.step(all[0].clone(), &Pass::without_dropout()).unwrap().loss;
        assert_eq!(loss(), loss());
    }

    #[test]
    fn videos_of_one_batch_may_be_computed_together_or_apart() {
        let losses = [1, 4].map(|at_once| {
            let mut recipe = recipe("");
            if let GeneratorConfig::Dbg(dbg) = &mut recipe.method {
                dbg.at_once = at_once;
            }
            let task = task(&recipe);
            let batch = task.batches(0, 0).unwrap().next().unwrap().unwrap();
            let step = task.step(batch, &Pass::without_dropout()).unwrap();
            (step.loss, step.gradients.norm())
        });
        let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * a.abs();
        assert!(close(losses[0].0, losses[1].0) && close(losses[0].1, losses[1].1), "{losses:?}");
    }

    #[test]
    fn proposals_of_windows_are_put_together() {
        let task = task(&recipe(""));
        let half = |k: usize| Video {
            name: "long".to_owned(),
            duration: 15.0,
            window: Segment::new(5.0 * k as f64, 5.0 * k as f64 + 10.0),
            ..task.test[k].clone()
        };
        let (first, second) = (half(0), half(1));
        let proposed = propose_all(task.generator.as_ref(), &[&first, &second, &task.test[2]]).unwrap();
        let [long, other] = proposed.as_slice() else { panic!("{} videos", proposed.len()) };
        assert_eq!((long.name.as_str(), other.name.as_str()), ("long", task.test[2].name.as_str()));
        assert!(
            long.found.proposals.len() > 70 && long.found.proposals.is_sorted_by(|a, b| a.score >= b.score)
        );
        assert!(long.found.proposals.iter().all(|p| p.segment.start >= 0.0 && p.segment.end <= 15.0));
        assert!(long.found.proposals.iter().any(|p| p.segment.end > 10.0));
        assert!(long.found.proposals.iter().any(|p| p.segment.start < 5.0));
    }

    #[test]
    fn nothing_to_train_or_measure_on_is_told() {
        let recipe = recipe("");
        let [train, test] = load(&recipe.data, recipe.method.size()).unwrap().map(|v| v.videos);
        let message =
            |sets: [Vec<Video>; 2]| ProposalTask::new(&recipe, sets, "cpu").unwrap_err().to_string();
        assert!(message([Vec::new(), test]).contains("to train on"));
        assert!(message([train, Vec::new()]).contains("to measure on"));
    }
}

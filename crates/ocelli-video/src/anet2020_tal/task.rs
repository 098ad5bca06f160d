//! A training that classifies videos, and what it comes to.

use std::collections::BTreeMap;
use std::path::Path;

use ocelli_data::dataset::BadItem;
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::{from_values, integers};
use ocelli_nn::{Pass, Store};
use ocelli_train::folder::{LogKind, RunFolder};
use ocelli_train::optim::decay_all;
use ocelli_train::report::{Axis, Chart, Report, Series};
use ocelli_train::trainer::{Batches, LoopConfig, Numbers, Plan, Step, Task, TaskError, Watch, train};

use super::classifier::{Passport, VideoClassifier, mean_row};
use super::recipe::{ClassificationRecipe, DataConfig};
use super::videos::{LabelledVideo, LabelledVideos};
use crate::temporal::files::Files;

/// What a training or a measurement came to.
#[derive(Debug)]
pub struct Outcome {
    /// The measures on videos that were not trained on.
    pub numbers: Numbers,
    /// The same of an order of classes that is the same for every video: by how many of those that were measured show them.
    pub most_frequent: Numbers,
    /// Videos that were left out.
    pub bad: Vec<BadItem>,
}

/// The share of videos one of whose labels is among the best 1, and the best 5. Equal scores are in the order of the classes.
fn measures(videos: &[LabelledVideo], ranked: impl Fn(usize) -> Vec<String>) -> Numbers {
    const PLACES: [usize; 2] = [1, 5];
    let mut hits = [0usize; PLACES.len()];
    for (index, video) in videos.iter().enumerate() {
        let ranked = ranked(index);
        for (hits, places) in hits.iter_mut().zip(PLACES) {
            *hits += usize::from(ranked.iter().take(places).any(|label| video.labels.contains(label)));
        }
    }
    let share = |hits: usize| hits as f64 / videos.len().max(1) as f64;
    PLACES.iter().zip(hits).map(|(places, hits)| (format!("top{places}"), share(hits))).collect()
}

/// Labels by falling score.
fn by_score(labels: &[String], scores: &[f64]) -> Vec<String> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.into_iter().map(|class| labels[class].clone()).collect()
}

fn learned(classifier: &VideoClassifier, videos: &[LabelledVideo]) -> Result<Numbers, TaskError> {
    let mut ranked = Vec::with_capacity(videos.len());
    for video in videos {
        let scores = classifier.scores(&video.sequence).map_err(|e| format!("{}: {e}", video.name))?;
        ranked.push(by_score(&classifier.passport().labels, &scores));
    }
    Ok(measures(videos, |index| ranked[index].clone()))
}

fn most_frequent(videos: &[LabelledVideo]) -> Numbers {
    let mut counts: BTreeMap<&String, f64> = BTreeMap::new();
    videos.iter().flat_map(|video| &video.labels).for_each(|label| *counts.entry(label).or_default() += 1.0);
    let (labels, counts): (Vec<String>, Vec<f64>) = counts.into_iter().map(|(l, n)| (l.clone(), n)).unzip();
    let ranked = by_score(&labels, &counts);
    measures(videos, |_| ranked.clone())
}

fn load(data: &DataConfig, subset: &str, classes: Option<&[String]>) -> Result<LabelledVideos, TaskError> {
    let files = Files::of_recipe([&data.features, &data.truth, &data.info], subset);
    Ok(LabelledVideos::read(&files, classes)?)
}

fn load_test(data: &DataConfig, passport: &Passport) -> Result<LabelledVideos, TaskError> {
    let test = match data.is_world() {
        true => {
            let (train, all) = (data.world.train, data.world.train + data.world.test);
            LabelledVideos::drawn(&data.world.clips, train..all)
        }
        false => load(data, &data.test_subset, Some(&passport.labels))?,
    };
    let test = test.of_size(passport.channels);
    test.check(data.max_bad_share)?;
    Ok(test)
}

/// What is trained.
#[derive(Debug)]
struct ClassificationTask<'a> {
    recipe: &'a ClassificationRecipe,
    classifier: VideoClassifier,
    /// Mean features of a training video with one of its classes; a video with several counts once for each.
    rows: Vec<(Vec<f32>, i64)>,
    test: Vec<LabelledVideo>,
}

impl Task for ClassificationTask<'_> {
    type Batch = Vec<usize>;

    fn stores(&self) -> Vec<Store> {
        vec![self.classifier.store().clone()]
    }

    fn steps_per_epoch(&self) -> usize {
        self.rows.len().div_ceil(self.recipe.train.batch_size)
    }

    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Self::Batch>, TaskError> {
        let order = RandomSampler::new(self.rows.len(), self.recipe.seed).order(epoch as u64);
        let batches = order.chunks(self.recipe.train.batch_size).skip(start);
        let batches: Vec<_> = batches.map(|rows| Ok(rows.to_vec())).collect();
        Ok(Box::new(batches.into_iter()))
    }

    fn step(&self, batch: Self::Batch, pass: &Pass) -> Result<Step, TaskError> {
        let store = self.classifier.store();
        store.track();
        let rows: Vec<f32> = batch.iter().flat_map(|&i| &self.rows[i].0).copied().collect();
        let labels: Vec<i64> = batch.iter().map(|&i| self.rows[i].1).collect();
        let rows = from_values(rows, [batch.len(), self.classifier.passport().channels], store.device());
        let logits = self.classifier.forward(rows, pass);
        let loss = cross_entropy(logits, integers(&labels, store.device()));
        Ok(Step::backward(&loss, &[store], Numbers::new()))
    }

    fn evaluate(&self) -> Result<Numbers, TaskError> {
        learned(&self.classifier, &self.test)
    }
}

/// A training that has all it needs: its videos are read, its network is built, and nothing is written yet.
#[derive(Debug)]
pub struct Training<'a> {
    task: ClassificationTask<'a>,
    bad: Vec<BadItem>,
}

impl<'a> Training<'a> {
    /// Reads the videos and builds the network; tells `note` what was found.
    ///
    /// # Errors
    /// Whatever is wrong with videos or device, with its file or key.
    pub fn prepare(
        recipe: &'a ClassificationRecipe,
        device: &str,
        note: &dyn Fn(&str),
    ) -> Result<Self, TaskError> {
        let data = &recipe.data;
        let found = match data.is_world() {
            true => LabelledVideos::drawn(&data.world.clips, 0..data.world.train),
            false => load(data, &data.train_subset, None)?,
        };
        let channels = found.usual_channels();
        let found = found.of_size(channels);
        found.check(data.max_bad_share)?;
        let passport = Passport { channels, labels: found.classes() };
        let test = load_test(data, &passport)?;
        let (count, classes) = (found.videos.len(), passport.labels.len());
        let measured = test.videos.len();
        note(&format!("{count} videos of {classes} classes to train on, {measured} to measure on"));
        let bad = [found.bad, test.bad].concat();
        let store = Store::labelled(&ocelli_nn::device(device)?, recipe.seed, "network");
        let rows = found.videos.iter().flat_map(|video| {
            let class = |label: &String| passport.labels.binary_search(label).unwrap_or_default() as i64;
            let mean = mean_row(&video.sequence);
            video.labels.iter().map(move |label| (mean.clone(), class(label))).collect::<Vec<_>>()
        });
        let rows = rows.collect();
        let classifier = VideoClassifier::new(store, passport, recipe.dropout)?;
        Ok(Self { task: ClassificationTask { recipe, classifier, rows, test: test.videos }, bad })
    }

    /// Trains in `folder` as the recipe says, measures, and writes weights and report.
    ///
    /// # Errors
    /// Whatever stops the training; the last good checkpoint is kept.
    pub fn run(self, folder: &RunFolder, watch: &mut dyn Watch) -> Result<Outcome, TaskError> {
        let Self { task, bad } = self;
        let recipe = task.recipe;
        let factor = recipe.schedule.stretch(task.steps_per_epoch());
        let evaluate_every = recipe.train.evaluate_every.saturating_mul(factor);
        let plan = Plan {
            seed: recipe.seed,
            train: LoopConfig { evaluate_every, ..recipe.train.clone() },
            optimizer: recipe.optimizer.clone(),
            schedule: recipe.schedule.stretched(factor),
            decays: decay_all,
        };
        train(&task, &plan, folder, watch)?;
        let outcome = assess(&task.classifier, &task.test, bad)?;
        report(recipe, folder, &outcome, task.test.len())?.save(&folder.report())?;
        task.classifier.save(&folder.weights())?;
        Ok(outcome)
    }
}

fn assess(
    classifier: &VideoClassifier,
    videos: &[LabelledVideo],
    bad: Vec<BadItem>,
) -> Result<Outcome, TaskError> {
    Ok(Outcome { numbers: learned(classifier, videos)?, most_frequent: most_frequent(videos), bad })
}

/// Measures trained weights on the test videos of a recipe.
///
/// # Errors
/// When weights or videos cannot be read.
pub fn evaluate(recipe: &ClassificationRecipe, weights: &Path, device: &str) -> Result<Outcome, TaskError> {
    let classifier = VideoClassifier::open(weights, device)?;
    let test = load_test(&recipe.data, classifier.passport())?;
    assess(&classifier, &test.videos, test.bad)
}

fn report(
    recipe: &ClassificationRecipe,
    folder: &RunFolder,
    outcome: &Outcome,
    videos: usize,
) -> Result<Report, TaskError> {
    let log = folder.read_log()?;
    let series = |kind: LogKind, name: &str| -> Vec<(f64, f64)> {
        let lines = log.iter().filter(|l| l.kind == kind);
        lines.filter_map(|l| Some((l.epoch, *l.values.get(name)?))).collect()
    };
    let tile = |(name, value): (&String, &f64)| {
        let plain = outcome.most_frequent.get(name).copied().unwrap_or(f64::NAN);
        (name.clone(), format!("{value:.3}"), format!("most frequent classes {plain:.3}"))
    };
    let tiles: Vec<_> = outcome.numbers.iter().map(tile).collect();
    let subtitle = format!("a linear classifier on {}, {videos} videos it never saw", recipe.data.features);
    let loss = Chart::new("Loss", Axis::linear("epoch"), Axis::linear("cross entropy"))
        .series(Series::line("training", series(LogKind::Train, "loss")).smoothed(9));
    let top = Chart::new("Accuracy", Axis::linear("epoch"), Axis::linear("share of videos").range(0.0, 1.0))
        .series(Series::line("top1, videos not trained on", series(LogKind::Eval, "top1")));
    let mut report = Report::new("Video classification", &subtitle)
        .numbers(&tiles)
        .heading(1, "Training")
        .chart(loss)
        .chart(top);
    if !outcome.bad.is_empty() {
        let rows: Vec<[&str; 2]> = outcome.bad.iter().map(|b| [b.name.as_str(), b.reason.as_str()]).collect();
        report = report.heading(1, "Left out").table(&["video", "why"], &rows);
    }
    Ok(report.heading(1, "How it was made").code("recipe.toml", &recipe.to_toml()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(labels: &[&str]) -> LabelledVideo {
        let sequence = crate::temporal::features::Sequence::new(vec![0.0], [1, 1]).unwrap();
        let labels = labels.iter().map(|l| (*l).to_owned()).collect();
        LabelledVideo { name: String::new(), sequence, labels }
    }

    #[test]
    fn any_label_of_a_video_is_a_hit() {
        let videos = [video(&["a", "b"]), video(&["c"])];
        let order = ["b", "x", "c"].map(str::to_owned);
        let numbers = measures(&videos, |_| order.to_vec());
        assert_eq!(numbers, [("top1", 0.5), ("top5", 1.0)].map(|(n, v)| (n.to_owned(), v)).into());
        assert_eq!(most_frequent(&[video(&["a"]), video(&["a"]), video(&["b"])])["top1"], 2.0 / 3.0);
        assert_eq!(by_score(&["a", "b", "c"].map(str::to_owned), &[0.1, 0.5, 0.5]), ["b", "c", "a"]);
    }
}

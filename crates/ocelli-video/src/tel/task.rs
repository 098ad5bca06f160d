//! Emotion localization as a task of the training loop, from its recipe to its report.

use std::path::Path;

use ocelli_data::annotations::activitynet::{Predicted, Results};
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_nn::{Pass, Store};
use ocelli_train::folder::{LogKind, RunFolder};
use ocelli_train::optim::decay_all_but_norms;
use ocelli_train::report::{Axis, Chart, Lane, Report, Series, Span};
use ocelli_train::trainer::{Batches, LoopConfig, Numbers, Plan, Step, Task, TaskError, Watch, train};

use super::clips::{Clip, ClipBatch};
use super::data::Clips;
use super::localize::Localized;
use super::localizer::{Localizer, mean_average_precision_of};
use super::losses::LossConfig;
use super::recipe::{DataConfig, EmotionRecipe};
use super::training::step;

/// What was localized in clips, surest first; labels are the names of the classes.
///
/// # Errors
/// As [`Localizer::localize`].
pub fn predictions(localizer: &Localizer, clips: &[Clip]) -> Result<Results, TaskError> {
    let mut results = Results { labels: localizer.passport().classes.clone(), ..Results::default() };
    for (clip, mut found) in clips.iter().zip(localizer.localize(clips)?) {
        found.sort_by(|a, b| b.scored.score.total_cmp(&a.scored.score));
        let told = |l: &Localized| Predicted {
            segment: [l.scored.segment.start, l.scored.segment.end],
            score: l.scored.score,
            label: Some(l.class as u32),
        };
        results.push(&clip.name, found.iter().map(told).collect::<Vec<_>>());
    }
    Ok(results)
}

/// What a training or a measurement came to.
#[derive(Debug)]
pub struct Outcome {
    /// The measures on clips that were not trained on.
    pub numbers: Numbers,
    /// The same of whole clips taken for every emotion that they show.
    pub whole: Numbers,
    /// Clips that were left out.
    pub skipped: usize,
}

/// Mean average precision by name: at each threshold, and the mean over them.
fn measures(clips: &[Clip], found: &[Vec<Localized>], thresholds: &[f64]) -> Result<Numbers, TaskError> {
    let map = mean_average_precision_of(clips, found, thresholds)?;
    // A precision of nothing found may be -0, which reads oddly.
    let mut numbers: Numbers =
        thresholds.iter().zip(map.map).map(|(t, m)| (format!("mAP@{t}"), m + 0.0)).collect();
    numbers.insert("mAP".to_owned(), map.average_map);
    Ok(numbers)
}

/// What needs no learning of when: the whole clip, for every emotion that it is known to show.
fn whole(clips: &[Clip]) -> Vec<Vec<Localized>> {
    let one = |clip: &Clip| {
        let (first, last) = (clip.times.first(), clip.times.last());
        let segment = Segment::new(first.map_or(0.0, |s| s.start), last.map_or(0.0, |s| s.end));
        let scored = ScoredSegment { segment, score: 1.0 };
        clip.labels.iter().map(|&class| Localized { class, scored }).collect()
    };
    clips.iter().map(one).collect()
}

/// The clips of a recipe: to train on, and to measure on.
fn load(recipe: &EmotionRecipe) -> Result<[Clips; 2], TaskError> {
    let DataConfig { features, train, world, .. } = &recipe.data;
    if recipe.data.is_world() {
        let train = Clips::drawn(&world.clips, 0..world.train);
        return Ok([train, load_test(recipe)?]);
    }
    let train = Clips::train(Path::new(train), Path::new(features), &recipe.network)?;
    Ok([enough(train, recipe.data.max_bad_share)?, load_test(recipe)?])
}

fn load_test(recipe: &EmotionRecipe) -> Result<Clips, TaskError> {
    let DataConfig { features, test, windows, max_bad_share, world, .. } = &recipe.data;
    if recipe.data.is_world() {
        return Ok(Clips::drawn(&world.clips, world.train..world.train + world.test));
    }
    enough(Clips::test(Path::new(test), Path::new(features), *windows, &recipe.network)?, *max_bad_share)
}

/// Refuses clips of which too many are unusable.
fn enough(clips: Clips, max_bad_share: f64) -> Result<Clips, TaskError> {
    let (bad, all) = (clips.left_out.len(), clips.left_out.len() + clips.clips.len());
    match clips.left_out.first() {
        Some(first) if bad as f64 > max_bad_share * all as f64 => Err(format!(
            "{bad} of {all} clips are unusable, more than data.max_bad_share = {max_bad_share} allows; the first is {first}"
        )
        .into()),
        _ => Ok(clips),
    }
}

/// Tells what was left out, the first of much.
pub fn say(clips: &Clips, note: &dyn Fn(&str)) {
    const SAID: usize = 20;
    let left_out = clips.left_out.iter().map(|l| format!("left out {l}"));
    let all: Vec<String> = clips.remarks.iter().cloned().chain(left_out).collect();
    all.iter().take(SAID).for_each(|text| note(text));
    if all.len() > SAID {
        note(&format!("and {} more remarks on clips", all.len() - SAID));
    }
}

/// A training that localizes emotions.
#[derive(Debug)]
struct EmotionTask<'a> {
    recipe: &'a EmotionRecipe,
    localizer: Localizer,
    train: Vec<Clip>,
    test: Vec<Clip>,
}

/// A batch: the losses of its epoch, and which clips.
#[derive(Debug)]
struct Rows {
    config: LossConfig,
    clips: Vec<usize>,
}

impl Task for EmotionTask<'_> {
    type Batch = Rows;

    fn stores(&self) -> Vec<Store> {
        vec![self.localizer.store().clone()]
    }

    fn steps_per_epoch(&self) -> usize {
        self.train.len().div_ceil(self.recipe.train.batch_size)
    }

    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Rows>, TaskError> {
        let order = RandomSampler::new(self.train.len(), self.recipe.seed).order(epoch as u64);
        let config = self.recipe.loss.in_epoch(epoch);
        let batches = order.chunks(self.recipe.train.batch_size).skip(start);
        let batches: Vec<_> = batches.map(|rows| Ok(Rows { config, clips: rows.to_vec() })).collect();
        Ok(Box::new(batches.into_iter()))
    }

    fn step(&self, batch: Rows, pass: &Pass) -> Result<Step, TaskError> {
        let clips: Vec<&Clip> = batch.clips.iter().map(|&i| &self.train[i]).collect();
        let device = self.localizer.store().device();
        let clips = ClipBatch::new(&clips, self.localizer.shape(), device);
        Ok(step(&self.localizer, clips, &batch.config, pass))
    }

    fn evaluate(&self) -> Result<Numbers, TaskError> {
        measures(&self.test, &self.localizer.localize(&self.test)?, &self.recipe.evaluate.thresholds)
    }
}

/// A training that has all it needs: its clips are read, its network is built, and nothing is written yet.
#[derive(Debug)]
pub struct Training<'a> {
    task: EmotionTask<'a>,
    skipped: usize,
}

impl<'a> Training<'a> {
    /// Reads the clips and builds the network; tells `note` what was found.
    ///
    /// # Errors
    /// Whatever is wrong with clips or device, with its file or key.
    pub fn prepare(recipe: &'a EmotionRecipe, device: &str, note: &dyn Fn(&str)) -> Result<Self, TaskError> {
        let [train, test] = load(recipe)?;
        note(&format!("{} clips to train on, {} to measure on", train.clips.len(), test.clips.len()));
        [&train, &test].into_iter().for_each(|clips| say(clips, note));
        if train.clips.is_empty() || test.clips.iter().all(|clip| clip.truth.is_empty()) {
            return Err("no clip is left to train on, or none with emotions to measure on".into());
        }
        let store = Store::labelled(&ocelli_nn::device(device)?, recipe.seed, "network");
        let localizer = Localizer::new(store, recipe.passport(), recipe.dropout)?;
        let skipped = train.left_out.len() + test.left_out.len();
        Ok(Self { task: EmotionTask { recipe, localizer, train: train.clips, test: test.clips }, skipped })
    }

    /// Trains in `folder` as the recipe says, measures, and writes weights and report.
    ///
    /// # Errors
    /// Whatever stops the training; the last good checkpoint is kept.
    pub fn run(self, folder: &RunFolder, watch: &mut dyn Watch) -> Result<Outcome, TaskError> {
        let Self { task, skipped } = self;
        let recipe = task.recipe;
        let factor = recipe.schedule.stretch(task.steps_per_epoch());
        let evaluate_every = recipe.train.evaluate_every.saturating_mul(factor);
        let plan = Plan {
            seed: recipe.seed,
            train: LoopConfig { evaluate_every, ..recipe.train.clone() },
            optimizer: recipe.optimizer.clone(),
            schedule: recipe.schedule.stretched(factor),
            decays: decay_all_but_norms,
        };
        train(&task, &plan, folder, watch)?;
        let outcome = assess(&task.localizer, &task.test, &recipe.evaluate.thresholds, skipped)?;
        report(&task, folder, &outcome)?.save(&folder.report())?;
        task.localizer.save(&folder.weights())?;
        Ok(outcome)
    }
}

fn assess(
    localizer: &Localizer,
    clips: &[Clip],
    thresholds: &[f64],
    skipped: usize,
) -> Result<Outcome, TaskError> {
    let numbers = measures(clips, &localizer.localize(clips)?, thresholds)?;
    Ok(Outcome { numbers, whole: measures(clips, &whole(clips), thresholds)?, skipped })
}

/// Measures trained weights on the test clips of a recipe.
///
/// # Errors
/// When weights or clips cannot be read, or are of different sizes.
pub fn evaluate(
    recipe: &EmotionRecipe,
    weights: &Path,
    device: &str,
    note: &dyn Fn(&str),
) -> Result<Outcome, TaskError> {
    let localizer = Localizer::open(weights, device)?;
    let recipe = EmotionRecipe { network: *localizer.shape(), ..recipe.clone() };
    let clips = load_test(&recipe)?;
    say(&clips, note);
    assess(&localizer, &clips.clips, &recipe.evaluate.thresholds, clips.left_out.len())
}

/// Clips with a timeline in the report.
const EXAMPLES: usize = 8;

fn report(task: &EmotionTask<'_>, folder: &RunFolder, outcome: &Outcome) -> Result<Report, TaskError> {
    let recipe = task.recipe;
    let log = folder.read_log()?;
    let series = |kind: LogKind, name: &str| -> Vec<(f64, f64)> {
        let lines = log.iter().filter(|l| l.kind == kind);
        lines.filter_map(|l| Some((l.epoch, *l.values.get(name)?))).collect()
    };
    let tile = |(name, value): (&String, &f64)| {
        let plain = outcome.whole.get(name).copied().unwrap_or(f64::NAN);
        (name.clone(), format!("{value:.3}"), format!("whole clips {plain:.3}"))
    };
    let tiles: Vec<_> = outcome.numbers.iter().map(tile).collect();
    let subtitle = format!("TEL on {}, {} clips it never saw", recipe.data.features, task.test.len());
    let loss = Chart::new("Loss", Axis::linear("epoch"), Axis::linear("loss"))
        .series(Series::line("training", series(LogKind::Train, "loss")).smoothed(9));
    let map = Chart::new("mAP", Axis::linear("epoch"), Axis::linear("mean over thresholds"))
        .series(Series::line("clips not trained on", series(LogKind::Eval, "mAP")));
    let mut report = Report::new("Temporal emotion localization", &subtitle)
        .numbers(&tiles)
        .heading(1, "Training")
        .chart(loss)
        .chart(map)
        .heading(1, "Clips");
    let shown = &task.test[..task.test.len().min(EXAMPLES)];
    for (clip, found) in shown.iter().zip(task.localizer.localize(shown)?) {
        let end = clip.times.iter().map(|s| s.end).fold(0.0, f64::max);
        report = report.timeline(&clip.name, end, lanes(clip, &found, &task.localizer.passport().classes));
    }
    Ok(report.heading(1, "How it was made").code("recipe.toml", &recipe.to_toml()))
}

/// Of each emotion that a clip shows, when it does, and below that where it was localized.
fn lanes(clip: &Clip, found: &[Localized], names: &[String]) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for &class in &clip.labels {
        let name = names.get(class).cloned().unwrap_or_default();
        let truth =
            clip.truth.iter().filter(|(c, _)| *c == class).map(|(_, s)| (*s, 1.0, "annotated".to_owned()));
        let own = found.iter().filter(|l| l.class == class).map(|l| l.scored);
        let best = own.clone().map(|s| s.score).fold(f64::MIN_POSITIVE, f64::max);
        let own = own.map(|s| (s.segment, s.score.max(0.0) / best, format!("score {:.3}", s.score)));
        let span = |(segment, weight, text): (Segment, f64, String)| Span {
            start: segment.start,
            end: segment.end,
            weight,
            text: format!("{:.2} to {:.2} s, {text}", segment.start, segment.end),
        };
        lanes.push(Lane { name: name.clone(), spans: truth.map(span).collect() });
        lanes.push(Lane { name: "localized".to_owned(), spans: own.map(span).collect() });
    }
    lanes
}

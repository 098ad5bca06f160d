//! A training from its recipe to its report, and the measurement of trained weights.

use std::path::Path;

use ocelli_metrics::proposals::RecallCurve;
use ocelli_metrics::segment::ScoredSegment;
use ocelli_train::folder::RunFolder;
use ocelli_train::trainer::{LoopConfig, Numbers, Plan, Task, TaskError, Watch, train};

use super::files::Files;
use super::generator::Generator;
use super::page;
use super::proposer::{Passport, Proposer};
use super::recipe::{DataConfig, EvaluateConfig, ProposalRecipe};
use super::task::{ProposalTask, ProposedVideo, measure, numbers, propose_all};
use super::videos::{Source, Video, Videos};

/// What a training or a measurement came to.
#[derive(Debug)]
pub struct Outcome {
    /// The measures on videos that were not trained on.
    pub numbers: Numbers,
    /// The same of segments spread evenly over every video, whatever is in it.
    pub evenly: Numbers,
    /// What was wrong with videos, those left out first.
    pub remarks: Vec<String>,
    /// How many were left out.
    pub skipped: usize,
}

/// The videos of a recipe, to train on and to measure on.
///
/// # Errors
/// When files cannot be read, or more videos than allowed are unusable.
pub fn load(data: &DataConfig, size: [usize; 2]) -> Result<[Videos; 2], TaskError> {
    if data.is_world() {
        let (train, all) = (data.world.train, data.world.train + data.world.test);
        return Ok([
            Videos::drawn(&data.world.clips, 0..train),
            Videos::drawn(&data.world.clips, train..all),
        ]);
    }
    Ok([subset(data, &data.train_subset, size)?, subset(data, &data.test_subset, size)?])
}

fn subset(data: &DataConfig, subset: &str, size: [usize; 2]) -> Result<Videos, TaskError> {
    let files = Files::of_recipe([&data.features, &data.truth, &data.info], subset);
    let videos = Videos::read(&Source { files, rescale: data.rescale, size })?;
    videos.check(data.max_bad_share)?;
    Ok(videos)
}

/// What is to be told of videos: first those left out, then what was mended.
pub fn remarks(videos: &Videos) -> Vec<String> {
    let bad = videos.bad.iter().map(|bad| format!("left out {}: {}", bad.name, bad.reason));
    bad.chain(videos.remarks.iter().cloned()).collect()
}

/// A training that has all it needs: its videos are read, its network is built, and nothing is written yet.
#[derive(Debug)]
pub struct Training<'a> {
    recipe: &'a ProposalRecipe,
    task: ProposalTask,
    remarks: Vec<String>,
    skipped: usize,
}

impl<'a> Training<'a> {
    /// Reads the videos and builds the network; tells `note` what was found.
    ///
    /// # Errors
    /// Whatever is wrong with videos or device, with its file or key.
    pub fn prepare(recipe: &'a ProposalRecipe, device: &str, note: &dyn Fn(&str)) -> Result<Self, TaskError> {
        let [training, test] = load(&recipe.data, recipe.method.size())?;
        note(&format!("{} videos to train on, {} to measure on", training.videos.len(), test.videos.len()));
        let said = [remarks(&training), remarks(&test)].concat();
        say(&said, note);
        let skipped = training.bad.len() + test.bad.len();
        let task = ProposalTask::new(recipe, [training.videos, test.videos], device)?;
        if task.steps_per_epoch() == 0 {
            return Err("the videos to train on make no batch".into());
        }
        Ok(Self { recipe, task, remarks: said, skipped })
    }

    /// Trains in `folder` as the recipe says, measures, and writes weights and report.
    ///
    /// # Errors
    /// Whatever stops the training; the last good checkpoint is kept.
    pub fn run(self, folder: &RunFolder, watch: &mut dyn Watch) -> Result<Outcome, TaskError> {
        let Self { recipe, task, remarks, skipped } = self;
        let factor = recipe.schedule.stretch(task.steps_per_epoch());
        let evaluate_every = recipe.train.evaluate_every.saturating_mul(factor);
        let plan = Plan {
            seed: recipe.seed,
            train: LoopConfig { evaluate_every, ..recipe.train.clone() },
            optimizer: recipe.optimizer.clone(),
            schedule: recipe.schedule.stretched(factor),
            decays: recipe.method.decay_share(),
        };
        train(&task, &plan, folder, watch)?;
        let generator = task.finished();
        let videos: Vec<&Video> = task.test().iter().collect();
        let assessed = Assessed::new(generator, &videos, &recipe.evaluate)?;
        let report = page::training(recipe, folder, &assessed, &remarks)?;
        report.save(&folder.report())?;
        let passport = Passport { method: recipe.method.clone(), rescale: recipe.data.rescale };
        passport.save(generator.store(), &folder.weights())?;
        Ok(assessed.outcome(&recipe.evaluate, remarks, skipped))
    }
}

/// Tells remarks, the first of many.
pub fn say(remarks: &[String], note: &dyn Fn(&str)) {
    const SAID: usize = 20;
    remarks.iter().take(SAID).for_each(|remark| note(remark));
    if remarks.len() > SAID {
        note(&format!("and {} more remarks on videos", remarks.len() - SAID));
    }
}

/// Proposals and how good they are.
#[derive(Debug)]
pub struct Assessed {
    /// The videos with their proposals.
    pub videos: Vec<ProposedVideo>,
    /// Their recall.
    pub curve: RecallCurve,
    /// The recall of segments spread evenly.
    pub evenly: RecallCurve,
}

impl Assessed {
    fn new(generator: &dyn Generator, videos: &[&Video], config: &EvaluateConfig) -> Result<Self, TaskError> {
        let videos = propose_all(generator, videos)?;
        let mut evenly = videos.clone();
        evenly.iter_mut().for_each(|v| v.found.proposals = even_segments(v.found.duration));
        Ok(Self { curve: measure(&videos, config)?, evenly: measure(&evenly, config)?, videos })
    }

    fn outcome(&self, config: &EvaluateConfig, remarks: Vec<String>, skipped: usize) -> Outcome {
        let (own, evenly) = (numbers(&self.curve, config), numbers(&self.evenly, config));
        Outcome { numbers: own, evenly, remarks, skipped }
    }
}

/// A hundred segments of a video of `duration` seconds, in an order that covers it coarsely first: the whole, its halves,
/// its thirds and so on. What any method must beat.
fn even_segments(duration: f64) -> Vec<ScoredSegment> {
    const COUNT: usize = 100;
    let parts = (1..).flat_map(|n: u32| (0..n).map(move |k| (f64::from(k), f64::from(n))));
    let segment = |(rank, (k, n)): (usize, (f64, f64))| ScoredSegment {
        segment: [k / n * duration, (k + 1.0) / n * duration].into(),
        score: -(rank as f64),
    };
    parts.take(COUNT).enumerate().map(segment).collect()
}

/// Measures trained weights on the test videos of a recipe.
///
/// # Errors
/// When weights or videos cannot be read, or are of different sizes.
pub fn evaluate(recipe: &ProposalRecipe, weights: &Path, device: &str) -> Result<Outcome, TaskError> {
    let proposer = Proposer::open(weights, device)?;
    let Passport { method, rescale } = proposer.passport();
    let data = DataConfig { rescale: *rescale, ..recipe.data.clone() };
    let [_, test] = match data.is_world() {
        true => load(&data, method.size())?,
        false => [Videos::default(), subset(&data, &data.test_subset, method.size())?],
    };
    let videos: Vec<&Video> = test.videos.iter().collect();
    let assessed = Assessed::new(proposer.generator(), &videos, &recipe.evaluate)?;
    Ok(assessed.outcome(&recipe.evaluate, remarks(&test), test.bad.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_segments_cover_the_video_coarsely_first() {
        let segments = even_segments(60.0);
        assert_eq!(segments.len(), 100);
        let of = |i: usize| [segments[i].segment.start, segments[i].segment.end];
        assert_eq!([of(0), of(1), of(2), of(4)], [[0.0, 60.0], [0.0, 30.0], [30.0, 60.0], [20.0, 40.0]]);
        assert!(segments.is_sorted_by(|a, b| a.score > b.score));
    }
}

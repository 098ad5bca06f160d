//! A training from its recipe to its report.

use std::path::Path;

use ocelli_data::dataset::BadItem;
use ocelli_train::folder::RunFolder;
use ocelli_train::optim::decay_all_but_norms;
use ocelli_train::trainer::{LoopConfig, Numbers, Plan, Task, TaskError, Watch, train};

use super::data::{FaceData, PairSource, TestSet, load, load_pairs, load_test};
use super::recipe::FaceRecipe;
use super::recognizer::Recognizer;
use super::report;
use super::task::RecognitionTask;
use super::verification::{Verification, embed_all, measure, raw_pixels};

/// What a training came to.
#[derive(Debug)]
pub struct Outcome {
    /// The measures on people that were not trained on.
    pub numbers: Numbers,
    /// The same of raw pixels.
    pub raw_pixels: Numbers,
    /// Files that could not be read.
    pub bad: Vec<BadItem>,
}

/// A training that has all it needs: its pictures are read, its network is built, and nothing is written yet.
pub struct Training<'a> {
    recipe: &'a FaceRecipe,
    task: RecognitionTask,
    bad: Vec<BadItem>,
}

impl<'a> Training<'a> {
    /// Reads the pictures and builds the network; tells `note` what was found.
    ///
    /// # Errors
    /// Whatever is wrong with pictures, device or weights to start from, with its file or key.
    pub fn prepare(recipe: &'a FaceRecipe, device: &str, note: &dyn Fn(&str)) -> Result<Self, TaskError> {
        let preparation = recipe.passport().preparation();
        let data = load(&recipe.data, &recipe.evaluate, &preparation, recipe.seed)?;
        describe(&data, note);
        let bad = data.bad.clone();
        Ok(Self { recipe, task: RecognitionTask::new(recipe, data, device)?, bad })
    }

    /// Trains in `folder` as the recipe says, measures, and writes weights and report.
    ///
    /// # Errors
    /// Whatever stops the training; the last good checkpoint is kept.
    pub fn run(self, folder: &RunFolder, watch: &mut dyn Watch) -> Result<Outcome, TaskError> {
        let Self { recipe, task, bad } = self;
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
        let learned = assess(task.recognizer(), task.test(), recipe)?;
        let raw = measure(&raw_pixels(task.test())?, task.test(), &recipe.evaluate)?;
        let report = report::build(recipe, folder, task.test(), &learned, &raw, &bad)?;
        report.save(&folder.report())?;
        let mut recognizer = task.into_recognizer();
        recognizer.set_threshold(learned.threshold);
        recognizer.save(&folder.weights())?;
        Ok(Outcome { numbers: learned.numbers(), raw_pixels: raw.numbers(), bad })
    }
}

/// Says what is trained on, and which files were left out.
fn describe(data: &FaceData, note: &dyn Fn(&str)) {
    use ocelli_data::Dataset;
    note(&format!(
        "{} pictures of {} people to train on; {} pictures of {} others to verify, {} pairs",
        data.train.len(),
        data.train.identities(),
        data.test.pictures.len(),
        data.test.pictures.identities(),
        data.test.pairs.len(),
    ));
    if !data.bad.is_empty() {
        let counted = match data.bad.len() {
            1 => "1 unreadable picture was".to_owned(),
            n => format!("{n} unreadable pictures were"),
        };
        note(&format!("{counted} left out:"));
        data.bad.iter().for_each(|bad| note(&format!("  {}: {}", bad.name, bad.reason)));
    }
}

/// Measures a recogniser as the recipe says.
fn assess(recognizer: &Recognizer, test: &TestSet, recipe: &FaceRecipe) -> Result<Verification, TaskError> {
    let embeddings = embed_all(recognizer, test, recipe.evaluate.flip)?;
    Ok(measure(&embeddings, test, &recipe.evaluate)?)
}

/// Measures trained weights on the test data of a recipe, or on the pairs of a list.
///
/// # Errors
/// When weights or pictures cannot be read.
pub fn evaluate(
    recipe: &FaceRecipe,
    weights: &Path,
    pairs: Option<&PairSource>,
    device: &str,
) -> Result<Outcome, TaskError> {
    let recognizer = Recognizer::open(weights, device)?.sealed();
    let preparation = recognizer.preparation();
    let (test, bad) = match pairs {
        Some(pairs) => (load_pairs(pairs, &preparation)?, Vec::new()),
        None => load_test(&recipe.data, &recipe.evaluate, &preparation, recipe.seed)?,
    };
    let learned = assess(&recognizer, &test, recipe)?;
    let raw = measure(&raw_pixels(&test)?, &test, &recipe.evaluate)?;
    Ok(Outcome { numbers: learned.numbers(), raw_pixels: raw.numbers(), bad })
}

//! The training loop.
//!
//! A [`Task`] knows its networks, batches, loss and evaluation; [`train`] knows when to do what. Reading [`train`]
//! top to bottom tells all that happens in a training.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use ocelli_method::random::stream;
use ocelli_nn::{Gradients, Pass, Store};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::average::Average;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::folder::{FolderError, Log, LogKind, LogLine, RunFolder};
use crate::optim::{DecayRule, Optimizer, OptimizerConfig};
use crate::schedule::ScheduleConfig;

/// Numbers by name.
pub type Numbers = BTreeMap<String, f64>;

/// An error of a task's own.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// The batches of an epoch.
pub type Batches<'a, B> = Box<dyn Iterator<Item = Result<B, TaskError>> + 'a>;

/// What is trained.
pub trait Task {
    /// What one step works on.
    type Batch;

    /// The stores that are trained or carried along; the first one holds the network that is saved as weights.
    fn stores(&self) -> Vec<Store>;

    /// Steps in an epoch.
    fn steps_per_epoch(&self) -> usize;

    /// The batches of an epoch from its step `start` on. The same for every call with the same arguments.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Self::Batch>, TaskError>;

    /// Prepares what an epoch needs; called before its first step, and not again when it is taken up in its middle.
    /// What it changes must lie in the stores.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn begin_epoch(&self, _epoch: usize) -> Result<(), TaskError> {
        Ok(())
    }

    /// Loss and gradients of a batch.
    ///
    /// # Errors
    /// When the batch does not fit the network.
    fn step(&self, batch: Self::Batch, pass: &Pass) -> Result<Step, TaskError>;

    /// Follows an update of the weights, such as a moving average that steps are made of.
    ///
    /// # Errors
    /// When the stores do not fit together.
    fn updated(&self) -> Result<(), TaskError> {
        Ok(())
    }

    /// Closes an epoch, after its last update and before it is checkpointed and measured; gives numbers worth logging.
    /// What it changes must lie in the stores.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn end_epoch(&self, _epoch: usize) -> Result<Numbers, TaskError> {
        Ok(Numbers::new())
    }

    /// Measures the network on held-out data.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn evaluate(&self) -> Result<Numbers, TaskError>;
}

/// The outcome of one step, before the update.
#[derive(Debug)]
pub struct Step {
    /// The loss, a scalar.
    pub loss: f64,
    /// Further numbers worth logging.
    pub numbers: Numbers,
    /// Gradients of the loss.
    pub gradients: Gradients,
}

impl Step {
    /// Walks back from `loss` through the given stores.
    pub fn backward(loss: &Tensor<1>, stores: &[&Store], numbers: Numbers) -> Self {
        let mut tape = loss.backward();
        let mut collected = stores.iter().map(|store| store.collect(&mut tape));
        let mut gradients = collected.next().unwrap_or_default();
        collected.for_each(|more| gradients.extend(more));
        Self { loss: f64::from(ocelli_nn::tensor::scalar(loss.clone())), numbers, gradients }
    }
}

/// A recipe's section `train`: how the loop runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoopConfig {
    /// Pictures a step.
    pub batch_size: usize,
    /// Largest norm of all gradients together; 0 leaves them as they are.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights; 0 keeps none. With one, it is what is evaluated and saved.
    pub average_decay: f64,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Steps between two checkpoints; there is also one at the end of every epoch.
    pub checkpoint_every: u64,
    /// Epochs between two evaluations; there is always one at the end.
    pub evaluate_every: usize,
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            batch_size: 64,
            clip_norm: 0.0,
            average_decay: 0.0,
            log_every: 10,
            checkpoint_every: 50,
            evaluate_every: 1,
        }
    }
}

impl LoopConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let at_least_one = [
            ("batch_size", self.batch_size as u64),
            ("log_every", self.log_every),
            ("checkpoint_every", self.checkpoint_every),
            ("evaluate_every", self.evaluate_every as u64),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, v)| *v == 0) {
            return Err(format!("train.{key}: must be at least 1"));
        }
        if !self.clip_norm.is_finite() || self.clip_norm < 0.0 {
            return Err(format!("train.clip_norm: {} is below 0", self.clip_norm));
        }
        match (0.0..1.0).contains(&self.average_decay) {
            true => Ok(()),
            false => Err(format!("train.average_decay: {} is outside 0 to 1", self.average_decay)),
        }
    }
}

/// All that the loop is told.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Fixes everything random.
    pub seed: u64,
    /// How the loop runs.
    pub train: LoopConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Its learning rate over time.
    pub schedule: ScheduleConfig,
    /// What weight decay applies to.
    pub decays: DecayRule,
}

/// Why a training stopped.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The loss, or a weight after an update, is no number.
    #[error("{what} at step {step}; {kept}. A smaller optimizer.lr or a train.clip_norm may help")]
    Diverged {
        /// The step, counted from 1 as in the log.
        step: u64,
        /// What is no number.
        what: String,
        /// What is left to go on from.
        kept: String,
    },
    /// The network could not be measured.
    #[error("measured after step {step}: {source}; {kept}")]
    Evaluation {
        /// Updates made before.
        step: u64,
        /// The task's own error.
        source: TaskError,
        /// What is left to go on from.
        kept: String,
    },
    /// The task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The run's folder failed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint failed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Is told how a training goes.
pub trait Watch {
    /// Training starts, or goes on, at `step` of `total`.
    fn started(&mut self, step: u64, total: u64);
    /// A step was made.
    fn stepped(&mut self, step: u64, epoch: usize, loss: f64);
    /// The network was measured.
    fn evaluated(&mut self, epoch: usize, numbers: &Numbers);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn started(&mut self, _: u64, _: u64) {}
    fn stepped(&mut self, _: u64, _: usize, _: f64) {}
    fn evaluated(&mut self, _: usize, _: &Numbers) {}
}

/// Trains to the end of the schedule, from the newest checkpoint in the folder if it has one, and returns the last
/// evaluation. At the end the stores hold the averaged weights where an average is kept.
///
/// # Errors
/// [`TrainError`]; the last good checkpoint is kept.
pub fn train<T: Task>(
    task: &T,
    plan: &Plan,
    folder: &RunFolder,
    watch: &mut dyn Watch,
) -> Result<Numbers, TrainError> {
    let per_epoch = task.steps_per_epoch();
    let total = (plan.schedule.epochs * per_epoch) as u64;
    let mut run = Run::start(task, plan, folder)?;
    watch.started(run.step, total);
    let mut evaluation = Numbers::new();
    let (first_epoch, mut skip) = (run.step as usize / per_epoch, run.step as usize % per_epoch);
    for epoch in first_epoch..plan.schedule.epochs {
        if skip == 0 {
            task.begin_epoch(epoch)?;
        }
        for batch in task.batches(epoch, skip)? {
            let loss = run.advance(task, batch?, per_epoch)?;
            watch.stepped(run.step, epoch, loss);
            if run.step.is_multiple_of(plan.train.checkpoint_every)
                && !run.step.is_multiple_of(per_epoch as u64)
            {
                run.save(&run.checkpoint()?)?;
            }
        }
        skip = 0;
        run.log(LogKind::Epoch, (epoch + 1) as f64, task.end_epoch(epoch)?)?;
        // Taken before the evaluation, which is spared a network that gives no numbers; written after it, so that
        // a run killed in between is measured when it goes on.
        let checkpoint = run.checkpoint()?;
        let last = epoch + 1 == plan.schedule.epochs;
        if last || (epoch + 1).is_multiple_of(plan.train.evaluate_every) {
            evaluation = run.evaluate(task)?;
            run.log(LogKind::Eval, (epoch + 1) as f64, evaluation.clone())?;
            watch.evaluated(epoch + 1, &evaluation);
        }
        run.save(&checkpoint)?;
    }
    if evaluation.is_empty() {
        // Resumed after the last step: nothing was left to train, and the log has this evaluation already.
        evaluation = run.evaluate(task)?;
    }
    run.finish();
    Ok(evaluation)
}

/// A training under way.
struct Run<'a> {
    plan: &'a Plan,
    folder: &'a RunFolder,
    log: Log,
    stores: Vec<Store>,
    optimizer: Optimizer,
    average: Option<Average>,
    step: u64,
}

impl<'a> Run<'a> {
    fn start<T: Task>(task: &T, plan: &'a Plan, folder: &'a RunFolder) -> Result<Self, TrainError> {
        let stores = task.stores();
        let mut optimizer = Optimizer::new(plan.optimizer.clone(), plan.decays);
        let decay = plan.train.average_decay;
        let mut step = 0;
        let found = Checkpoint::newest(&folder.checkpoint())?;
        if let Some((path, checkpoint)) = &found {
            let wrap = |source| CheckpointError::Store { path: path.clone(), source };
            checkpoint.restore(&stores).map_err(wrap)?;
            let device = stores[0].device().clone();
            let loaded = optimizer.load(&checkpoint.optimizer, &device);
            loaded.map_err(|_| CheckpointError::Foreign(path.clone()))?;
            step = checkpoint.step;
        }
        let mut average = (decay > 0.0).then(|| Average::new(decay, stores.clone()));
        if let (Some(average), Some((_, checkpoint))) = (&mut average, &found) {
            average.load(&checkpoint.average);
        }
        let log = folder.log_from(step)?;
        Ok(Self { plan, folder, log, stores, optimizer, average, step })
    }

    /// One step: loss, gradients, update.
    fn advance<T: Task>(&mut self, task: &T, batch: T::Batch, per_epoch: usize) -> Result<f64, TrainError> {
        let pass = Pass::train(stream(self.plan.seed, "dropout", self.step));
        let Step { loss, mut numbers, mut gradients } = task.step(batch, &pass)?;
        if !loss.is_finite() {
            return Err(self.diverged(self.step + 1, format!("the loss is {loss}")));
        }
        if self.plan.train.clip_norm > 0.0 {
            numbers.insert("gradient_norm".to_owned(), gradients.clip(self.plan.train.clip_norm));
        }
        let lr = self.plan.optimizer.rate() * self.plan.schedule.factor(self.step, per_epoch);
        self.optimizer.step(&gradients, lr);
        task.updated()?;
        if let Some(average) = &mut self.average {
            average.update();
        }
        self.step += 1;
        if self.step.is_multiple_of(self.plan.train.log_every) || self.step == 1 {
            numbers.insert("loss".to_owned(), loss);
            numbers.insert("lr".to_owned(), lr);
            self.log(LogKind::Train, self.step as f64 / per_epoch as f64, numbers)?;
        }
        Ok(loss)
    }

    /// What is left to go on from.
    fn kept(&self) -> String {
        match Checkpoint::newest(&self.folder.checkpoint()) {
            Ok(Some((path, checkpoint))) => {
                format!("the checkpoint of step {} is kept in {}", checkpoint.step, path.display())
            }
            _ => "no checkpoint was made yet".to_owned(),
        }
    }

    fn diverged(&self, step: u64, what: String) -> TrainError {
        TrainError::Diverged { step, what, kept: self.kept() }
    }

    fn evaluate<T: Task>(&mut self, task: &T) -> Result<Numbers, TrainError> {
        self.swap();
        let numbers = task.evaluate();
        self.swap();
        numbers.map_err(|source| TrainError::Evaluation { step: self.step, source, kept: self.kept() })
    }

    /// Writes a line, unless there is nothing to tell.
    fn log(&mut self, kind: LogKind, epoch: f64, values: Numbers) -> Result<(), TrainError> {
        if values.is_empty() {
            return Ok(());
        }
        Ok(self.log.write(&LogLine { step: self.step, epoch, kind, values })?)
    }

    /// The state now, if it is worth keeping.
    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        let average = self.average.as_ref().map(Average::state).unwrap_or_default();
        let checkpoint = Checkpoint::take(self.step, &self.stores, &self.optimizer, average);
        match checkpoint.check() {
            // The update itself went wrong; the loss would show it in the next step.
            Err(bad @ CheckpointError::NotFinite(_)) => Err(self.diverged(self.step, bad.to_string())),
            checked => Ok(checked.map(|()| checkpoint)?),
        }
    }

    fn save(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        Ok(checkpoint.save(&self.folder.checkpoint())?)
    }

    fn swap(&mut self) {
        if let Some(average) = &mut self.average {
            average.swap();
        }
    }

    fn finish(mut self) {
        self.swap();
    }
}

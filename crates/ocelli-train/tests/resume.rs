//! A training broken off anywhere and taken up again ends in the same state as an unbroken one; one that goes wrong
//! keeps its last good checkpoint.

#![allow(clippy::unwrap_used)] // What is unwrapped here was made here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_method::Array;
use ocelli_method::random::hash_uniform;
use ocelli_nn::layers::{BatchNorm, BatchNormConfig, Linear};
use ocelli_nn::tensor::{from_values, scalar};
use ocelli_nn::{Init, Pass, Store};
use ocelli_train::checkpoint::{Checkpoint, CheckpointError};
use ocelli_train::folder::{FolderError, LogKind, LogLine, RunFolder};
use ocelli_train::optim::{OptimizerConfig, decay_all_but_norms};
use ocelli_train::schedule::ScheduleConfig;
use ocelli_train::trainer::{
    Batches, LoopConfig, Numbers, Plan, Step, Task, TaskError, TrainError, Unwatched, train,
};

const ROWS: usize = 20;
const INPUTS: usize = 3;
const BATCH: usize = 4;
const PER_EPOCH: usize = ROWS / BATCH;
const EPOCHS: usize = 3;
const TOTAL: u64 = (PER_EPOCH * EPOCHS) as u64;
const SEED: u64 = 5;

/// Where a training is broken off, or fed something bad. Steps count from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    /// The batch of a step cannot be read.
    Batch(u64),
    /// The measuring after so many steps fails.
    Evaluation(u64),
    /// The batch of a step holds a NaN.
    NotANumber(u64),
}

/// Linear regression on fixed rows: a layer and a normalisation in one store, the output layer in another, dropout on
/// the input.
struct Regression {
    device: Device,
    stores: [Store; 2],
    hidden: Linear,
    norm: BatchNorm,
    output: Linear,
    sampler: RandomSampler,
    trouble: Trouble,
    step: Cell<u64>,
    /// The dropout masks of all steps.
    masks: RefCell<Vec<Vec<f32>>>,
}

impl Regression {
    /// As a new process would build it, to go on at `step`.
    fn new(trouble: Trouble, step: u64) -> Self {
        let device = ocelli_nn::device("cpu").unwrap();
        let stores = ["net", "head"].map(|label| Store::labelled(&device, SEED, label));
        let [net, head] = stores.each_ref().map(Store::root);
        Self {
            hidden: Linear::new(&net.at("hidden"), INPUTS, 4, true, Init::FanInUniform),
            norm: BatchNormConfig::new(4).build(&net.at("norm")),
            output: Linear::new(&head.at("output"), 4, 1, true, Init::FanInUniform),
            sampler: RandomSampler::new(ROWS, SEED),
            device,
            stores,
            trouble,
            step: Cell::new(step),
            masks: RefCell::default(),
        }
    }

    /// The mean squared error of some rows.
    fn loss(&self, rows: &[usize], pass: &Pass) -> Tensor<1> {
        let table = hash_uniform("rows", ROWS * INPUTS);
        let value = |row: usize, column: usize| table[row * INPUTS + column];
        let mut x: Vec<f32> =
            rows.iter().flat_map(|&r| table[r * INPUTS..(r + 1) * INPUTS].to_vec()).collect();
        let target = rows.iter().map(|&r| 2.0 * value(r, 0) - value(r, 1) * value(r, 2)).collect();
        if pass.uses_batch_statistics() && self.trouble == Trouble::NotANumber(self.step.get()) {
            x[1] = f32::NAN;
        }
        let mask = pass.dropout_mask(x.len(), 0.2);
        mask.iter().flatten().zip(&mut x).for_each(|(m, x)| *x *= m);
        self.masks.borrow_mut().extend(mask);
        let x = from_values(x, [rows.len(), INPUTS], &self.device);
        let y = self.output.forward(self.norm.forward(self.hidden.forward(x), pass));
        (y - from_values(target, [rows.len(), 1], &self.device)).square().mean()
    }
}

impl Task for Regression {
    type Batch = Vec<usize>;

    fn stores(&self) -> Vec<Store> {
        self.stores.to_vec()
    }

    fn steps_per_epoch(&self) -> usize {
        PER_EPOCH
    }

    fn batches(&self, epoch: usize, start: usize) -> Result<Batches<'_, Vec<usize>>, TaskError> {
        let order = self.sampler.order(epoch as u64);
        let batches = (start..PER_EPOCH).map(move |b| {
            let step = (epoch * PER_EPOCH + b) as u64;
            assert_eq!(step, self.step.get(), "a batch out of turn");
            match self.trouble {
                Trouble::Batch(at) if at == step => Err("the plug was pulled".into()),
                _ => Ok(order[b * BATCH..(b + 1) * BATCH].to_vec()),
            }
        });
        Ok(Box::new(batches))
    }

    fn step(&self, batch: Vec<usize>, pass: &Pass) -> Result<Step, TaskError> {
        let [net, head] = &self.stores;
        net.track();
        head.track();
        let loss = self.loss(&batch, pass);
        self.step.set(self.step.get() + 1);
        Ok(Step::backward(&loss, &[net, head], Numbers::new()))
    }

    fn evaluate(&self) -> Result<Numbers, TaskError> {
        if self.trouble == Trouble::Evaluation(self.step.get()) {
            return Err("the plug was pulled".into());
        }
        let all: Vec<usize> = (0..ROWS).collect();
        Ok([("error".to_owned(), f64::from(scalar(self.loss(&all, &Pass::eval()))))].into())
    }
}

fn plan(optimizer: OptimizerConfig, average_decay: f64, checkpoint_every: u64) -> Plan {
    let train = LoopConfig {
        average_decay,
        checkpoint_every,
        clip_norm: 1.0,
        log_every: 2,
        evaluate_every: 2,
        ..LoopConfig::default()
    };
    let schedule = ScheduleConfig { epochs: EPOCHS, warmup_epochs: 0.5, ..ScheduleConfig::default() };
    Plan { seed: SEED, train, optimizer, schedule, decays: decay_all_but_norms }
}

fn plans() -> Vec<Plan> {
    let momentum = OptimizerConfig::Sgd { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-3 };
    let adam = OptimizerConfig::AdamW { lr: 0.05, betas: [0.9, 0.99], epsilon: 1e-8, weight_decay: 1e-2 };
    vec![plan(momentum.clone(), 0.0, 1), plan(momentum, 0.9, 3), plan(adam, 0.8, 4)]
}

fn folder(at: &Path) -> RunFolder {
    RunFolder::create(&at.join("run"), "").unwrap()
}

/// The step of the newest checkpoint; 0 where there is none.
fn reached(folder: &RunFolder) -> u64 {
    Checkpoint::newest(&folder.checkpoint()).unwrap().map_or(0, |(_, checkpoint)| checkpoint.step)
}

fn go(trouble: Trouble, plan: &Plan, folder: &RunFolder) -> (Regression, Result<Numbers, TrainError>) {
    let task = Regression::new(trouble, reached(folder));
    let result = train(&task, plan, folder, &mut Unwatched);
    (task, result)
}

/// All that a training leaves behind.
#[derive(Debug, PartialEq)]
struct Remains {
    evaluation: Numbers,
    /// Of the stores as the caller finds them: averaged where an average is kept.
    stores: Vec<(String, Array)>,
    checkpoint: [Vec<(String, Array)>; 3],
    log: Vec<LogLine>,
}

fn finish(plan: &Plan, folder: &RunFolder) -> Remains {
    let (task, result) = go(Trouble::None, plan, folder);
    let (_, checkpoint) = Checkpoint::newest(&folder.checkpoint()).unwrap().unwrap();
    assert_eq!(checkpoint.step, TOTAL);
    Remains {
        evaluation: result.unwrap(),
        stores: task.stores().iter().flat_map(Store::state).collect(),
        checkpoint: [checkpoint.stores, checkpoint.optimizer, checkpoint.average],
        log: folder.read_log().unwrap(),
    }
}

#[test]
fn broken_off_anywhere_ends_the_same() {
    for plan in plans() {
        let dir = tempfile::tempdir().unwrap();
        let whole = finish(&plan, &folder(dir.path()));
        assert!(!whole.checkpoint[1].is_empty());
        assert_eq!(whole.checkpoint[2].is_empty(), plan.train.average_decay == 0.0);
        let evaluations = whole.log.iter().filter(|l| l.kind == LogKind::Eval).map(|l| l.step);
        assert_eq!(evaluations.collect::<Vec<_>>(), [10, 15]);

        let batches = (0..TOTAL).map(Trouble::Batch);
        for trouble in batches.chain([10, 15].map(Trouble::Evaluation)) {
            let dir = tempfile::tempdir().unwrap();
            let folder = folder(dir.path());
            let (_, broken) = go(trouble, &plan, &folder);
            let message = broken.unwrap_err().to_string();
            assert!(message.contains("the plug was pulled"), "{message}");
            assert_eq!(finish(&plan, &folder), whole, "{trouble:?}, {:?}", plan.optimizer);
        }
    }
}

#[test]
fn broken_off_at_every_step_in_turn_ends_the_same() {
    for mut plan in plans() {
        plan.train.checkpoint_every = 1;
        let dir = tempfile::tempdir().unwrap();
        let whole = finish(&plan, &folder(dir.path()));
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        for step in 0..TOTAL {
            assert!(go(Trouble::Batch(step), &plan, &folder).1.is_err());
            assert_eq!(reached(&folder), step);
        }
        assert_eq!(finish(&plan, &folder), whole);
        // Nothing is left to do, and nothing changes.
        assert_eq!(finish(&plan, &folder), whole);
    }
}

#[test]
fn dropout_differs_from_step_to_step_and_from_seed_to_seed() {
    let plan = &plans()[0];
    let [first, second] = [SEED, SEED + 1].map(|seed| {
        let dir = tempfile::tempdir().unwrap();
        let (task, result) = go(Trouble::None, &Plan { seed, ..plan.clone() }, &folder(dir.path()));
        result.unwrap();
        task.masks.take()
    });
    assert_eq!(first.len() as u64, TOTAL);
    assert_ne!(first, second);
    let different: BTreeSet<String> = first.iter().map(|mask| format!("{mask:?}")).collect();
    assert!(different.len() > PER_EPOCH, "{different:?}");
}

#[test]
fn a_batch_that_is_no_number_stops_and_keeps_the_last_checkpoint() {
    let plan = &plans()[1];
    for bad in 0..TOTAL {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let (_, result) = go(Trouble::NotANumber(bad), plan, &folder);
        let error = result.unwrap_err();
        assert!(matches!(error, TrainError::Diverged { step, .. } if step == bad + 1), "{error}");
        // There is one every three steps and after every epoch of five.
        let kept = (1..=bad).rev().find(|s| (s % 3 == 0) || s % 5 == 0);
        let message = error.to_string();
        assert!(message.contains(&format!("the loss is NaN at step {}", bad + 1)), "{message}");
        let Some(kept) = kept else {
            assert!(message.contains("no checkpoint"), "{message}");
            continue;
        };
        assert!(message.contains(&format!("the checkpoint of step {kept} is kept in")), "{message}");
        let (_, checkpoint) = Checkpoint::newest(&folder.checkpoint()).unwrap().unwrap();
        assert_eq!(checkpoint.step, kept);
        checkpoint.check().unwrap();
    }
}

#[test]
fn an_update_that_is_no_number_is_not_kept() {
    // Over the largest single-precision number in one step.
    let plan =
        plan(OptimizerConfig::Sgd { lr: 1e39, momentum: 0.0, nesterov: false, weight_decay: 0.0 }, 0.0, 1);
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let error = go(Trouble::None, &plan, &folder).1.unwrap_err();
    let TrainError::Diverged { step: 1, what, .. } = &error else { panic!("{error}") };
    assert!(what.contains("is not finite"), "{error}");
    assert_eq!(reached(&folder), 0);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let plan = &plans()[0];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let refused = RunFolder::create(&dir.path().join("file/run"), "").unwrap_err();
    assert!(
        matches!(refused, FolderError::Io { .. }) && refused.to_string().contains("file/run"),
        "{refused}"
    );

    let folder = folder(dir.path());
    std::fs::create_dir(folder.metrics()).unwrap();
    let error = go(Trouble::None, plan, &folder).1.unwrap_err();
    assert!(error.to_string().contains("metrics.jsonl"), "{error}");
    std::fs::remove_dir(folder.metrics()).unwrap();

    // No room for the first checkpoint: a folder stands where its file should.
    let place = folder.checkpoint().join("step-0000000001.safetensors");
    std::fs::create_dir_all(place.join("x")).unwrap();
    let task = Regression::new(Trouble::None, 0);
    let error = train(&task, plan, &folder, &mut Unwatched).unwrap_err();
    assert!(error.to_string().contains("step-0000000001.safetensors"), "{error}");

    std::fs::remove_dir_all(folder.checkpoint()).unwrap();
    let error = train(&task, plan, &folder, &mut Unwatched).unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::Io { .. })), "{error}");
    assert!(error.to_string().contains("checkpoint"), "{error}");
}

//! The claim at small scale: consensus against labels of whole clips alone, where each modality has distractors.

use std::collections::BTreeMap;

use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_method::random::stream;
use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_nn::{Pass, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::trainer::{Numbers, TaskError};
use ocelli_world::clips::emotion::EmotionClips;

use super::clips::{Clip, ClipBatch};
use super::data::class_names;
use super::localize::LocalizeConfig;
use super::localizer::{Localizer, Passport, mean_average_precision_of};
use super::losses::LossConfig;
use super::network::{DROPOUT, TelShape};
use super::training::step;

const LABELS: &str = "labels alone";
const METHOD: &str = "with consensus";
const DROPOUT_METHOD: &str = "with consensus, dropout 0.3";
const AGREED: &str = "agreed targets alone";
const MUTUAL: &str = "mutual loss alone";
const PLAIN_LABELS: &str = "labels alone, no distractors";
const PLAIN_METHOD: &str = "with consensus, no distractors";

const THRESHOLDS: [f64; 3] = [0.3, 0.5, 0.7];
const METRIC: &str = "mAP@0.5";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "What picture and subtitles agree on tells when an emotion is shown, where labels of whole clips cannot tell it from what goes along with it.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

/// Worlds that a seed averages over.
const WORLDS: u64 = 2;
const TRAIN: u64 = 300;
const TEST: u64 = 150;
const EPOCHS: usize = 10;
const WARMUP: usize = 3;
const BATCH: usize = 32;
const RATE: f64 = 1e-3;

fn losses(w_consensus: f64, w_mutual: f64) -> LossConfig {
    LossConfig { topk_r: 4, w_consensus, warmup_epochs: WARMUP, w_mutual, ..LossConfig::default() }
}

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let arm = |name: &str, role: Role, (distractor, dropout): (usize, f64), config: LossConfig| {
        let mut runs = Vec::new();
        for number in 0..WORLDS {
            (experiment.progress)(&format!("{name}, world {}/{WORLDS}", number + 1));
            let seed = experiment.seed * WORLDS + number;
            let world = EmotionClips { seed, distractor, ..EmotionClips::default() };
            let numbers = trial(&world, &config, dropout, experiment.device);
            runs.push(numbers.map_err(|e| ReproduceError(format!("{name}: {e}")))?);
        }
        let mut values = Numbers::new();
        for (metric, value) in runs.iter().flatten() {
            *values.entry(metric.clone()).or_default() += value / WORLDS as f64;
        }
        Ok(Arm { name: name.to_owned(), role, values, traces: BTreeMap::new() })
    };
    let deceiving = (EmotionClips::default().distractor, 0.0);
    let plain = (0, 0.0);
    Ok(vec![
        arm(LABELS, Role::Baseline, deceiving, losses(0.0, 0.0))?,
        arm(METHOD, Role::Ours, deceiving, losses(0.5, 4.0))?,
        arm(AGREED, Role::Control, deceiving, losses(0.5, 0.0))?,
        arm(MUTUAL, Role::Control, deceiving, losses(0.0, 4.0))?,
        arm(DROPOUT_METHOD, Role::Control, (deceiving.0, DROPOUT), losses(0.5, 4.0))?,
        arm(PLAIN_LABELS, Role::Control, plain, losses(0.0, 0.0))?,
        arm(PLAIN_METHOD, Role::Control, plain, losses(0.5, 4.0))?,
    ])
}

/// Trains on clips with labels alone, and measures on others when their emotions are shown.
fn trial(
    world: &EmotionClips,
    config: &LossConfig,
    dropout: f64,
    device: &str,
) -> Result<Numbers, TaskError> {
    let device = ocelli_nn::device(device)?;
    let clips = |range: std::ops::Range<u64>| range.map(|i| Clip::of_world(world, i)).collect::<Vec<_>>();
    let (train, test) = (clips(0..TRAIN), clips(TRAIN..TRAIN + TEST));
    let shape = TelShape {
        d_video: world.video_dims,
        d_text: world.text_dims,
        dim: 32,
        levels: 3,
        heads: 4,
        classes: world.classes,
    };
    let store = Store::labelled(&device, world.seed, "tel");
    let passport = Passport {
        shape,
        topk_r: config.topk_r,
        localize: LocalizeConfig::default(),
        classes: class_names(world.classes),
    };
    let localizer = Localizer::new(store, passport, dropout)?;
    let betas = [0.9, 0.999];
    let adam = OptimizerConfig::Adam { lr: RATE, betas, epsilon: 1e-8, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::new(adam, decay_all);
    let sampler = RandomSampler::new(train.len(), world.seed);
    let mut steps = 0;
    for epoch in 0..EPOCHS {
        let config = config.in_epoch(epoch);
        for rows in sampler.order(epoch as u64).chunks(BATCH) {
            let clips: Vec<&Clip> = rows.iter().map(|&row| &train[row]).collect();
            let batch = ClipBatch::new(&clips, &shape, &device);
            let pass = Pass::train(stream(world.seed, "dropout", steps));
            optimizer.step(&step(&localizer, batch, &config, &pass).gradients, RATE);
            steps += 1;
        }
    }
    let map = mean_average_precision_of(&test, &localizer.localize(&test)?, &THRESHOLDS)?;
    Ok(THRESHOLDS.iter().zip(map.map).map(|(t, map)| (format!("mAP@{t}"), map)).collect())
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks: Vec<Check> =
        THRESHOLDS.iter().map(|t| tally.above(&format!("mAP@{t}"), METHOD, LABELS)).collect();
    // Without distractors labels tell all there is to know; what consensus costs or brings there is told, not claimed.
    let (with, without) = ([METHOD, LABELS], [PLAIN_METHOD, PLAIN_LABELS]);
    let gain = |[ours, theirs]: [&str; 2]| tally.mean(ours, METRIC) - tally.mean(theirs, METRIC);
    checks.push(Check {
        statement: format!("{METRIC}: consensus brings more with distractors than without"),
        holds: gain(with) > gain(without),
        detail: format!("{:+.4} against {:+.4}", gain(with), gain(without)),
    });
    checks
}

//! The small trainings that claims are made of.

use std::collections::BTreeMap;

use burn::tensor::Device;
use ocelli_method::random::stream;
use ocelli_metrics::MetricError;
use ocelli_metrics::segment::Segment;
use ocelli_nn::{Pass, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::trainer::TaskError;
use ocelli_world::clips::progress::ProgressWorld;
use rand::seq::SliceRandom;

use super::generator::{BsnGenerator, BsnRecipe, Kind, ProposeConfig};
use super::network::Sizes;
use crate::temporal::generator::{Draws, Generator};
use crate::temporal::recall::{Proposed, activitynet_thresholds, by_length, curve};
use crate::temporal::videos::Video;

/// Videos of a training and of its test.
const TRAIN: u64 = 300;
const TEST: u64 = 100;
const BATCH: usize = 16;
const EPOCHS: usize = 8;
/// Epochs at the lower rate, the last ones.
const LOWERED: usize = 2;
const RATES: [f64; 2] = [2e-3, 5e-4];
/// Instances up to this share of a video are short.
const SHORT: f64 = 0.2;

/// The sizes of the networks, for what `world` describes.
fn sizes(world: &ProgressWorld) -> Sizes {
    Sizes {
        length: world.snippets,
        feat_dim: world.channels,
        d1: 24,
        d2: 12,
        d3: 24,
        unet: 24,
        n_bins: 6,
        per_bin: 2,
        ..Sizes::default()
    }
}

/// Videos of a world: those of the training, and those of the test.
pub(crate) fn videos(world: &ProgressWorld) -> [Vec<Video>; 2] {
    let video = |index: u64| {
        let clip = world.clip(index).clip;
        let actions: Vec<Segment> = clip.actions.iter().map(|&a| Segment::from(a)).collect();
        let column = |c: usize| clip.features[c..].iter().step_by(clip.channels).copied();
        let features = (0..clip.channels).flat_map(column).collect();
        Video::whole(format!("clip{index:04}"), 1.0, features, actions)
    };
    [(0..TRAIN).map(video).collect(), (TRAIN..TRAIN + TEST).map(video).collect()]
}

/// Trains a generator; `scale` tells whether lengths are balanced.
pub(crate) fn trained(
    (kind, scale): (Kind, bool),
    world: &ProgressWorld,
    videos: &[Video],
    device: &Device,
) -> Result<BsnGenerator, TaskError> {
    let seed = world.seed;
    let mut recipe = BsnRecipe { kind, network: sizes(world), ..BsnRecipe::default() };
    recipe.loss.proposals.scale = scale;
    let generator = BsnGenerator::new(&Store::new(device, seed).root(), recipe);
    let adam = OptimizerConfig::Adam { lr: RATES[0], betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::new(adam, decay_all);
    let mut step = 0;
    for epoch in 0..EPOCHS {
        let rate = RATES[usize::from(epoch + LOWERED >= EPOCHS)];
        let mut order: Vec<&Video> = videos.iter().collect();
        order.shuffle(&mut stream(seed, "bsn.order", epoch as u64));
        for batch in order.chunks(BATCH) {
            let draws = Draws { seed, step };
            optimizer.step(&generator.step(batch, draws, &Pass::without_dropout())?.gradients, rate);
            step += 1;
        }
    }
    Ok(generator)
}

/// Names of what is measured.
pub(crate) const AUC: &str = "AUC";
pub(crate) const AR_10: &str = "AR@10";
pub(crate) const SHORT_10: &str = "AR@10, short";

/// What a generator proposes for videos.
pub(crate) fn proposed(generator: &BsnGenerator, videos: &[Video]) -> Result<Vec<Proposed>, TaskError> {
    let all: Vec<&Video> = videos.iter().collect();
    let mut proposed = Vec::new();
    for batch in all.chunks(BATCH) {
        for (video, proposals) in batch.iter().zip(generator.propose(batch)?) {
            proposed.push(Proposed { truth: video.truth.clone(), proposals, duration: video.duration });
        }
    }
    Ok(proposed)
}

/// Area, recall at 1, 5 and 10 proposals, and at 10 for short instances.
pub(crate) fn measured(videos: &[Proposed]) -> Result<BTreeMap<String, f64>, MetricError> {
    let thresholds = activitynet_thresholds();
    let curve = curve(videos, &thresholds, ProposeConfig::default().keep as f64)?;
    let mut values = BTreeMap::from([(AUC.to_owned(), curve.auc)]);
    for count in [1, 5, 10] {
        values.insert(format!("AR@{count}"), curve.average_recall[count - 1]);
    }
    let lengths = by_length(videos, &[SHORT], &[10], &thresholds);
    values.insert(SHORT_10.to_owned(), lengths[0].recall[0]);
    Ok(values)
}

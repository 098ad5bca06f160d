//! The small trainings that claims are made of.

use std::collections::BTreeMap;

use burn::tensor::Device;
use ocelli_method::random::stream;
use ocelli_metrics::MetricError;
use ocelli_metrics::segment::Segment;
use ocelli_nn::Pass;
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_world::clips::progress::ProgressWorld;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::generator::{Generator, Kind, Video};
use super::inference::{Candidates, Evidence, Fusion, Suppression};
use super::loss::LossConfig;
use super::network::Sizes;
use super::targets::Targets;
use crate::temporal::recall::{Proposed, activitynet_thresholds, by_length, curve};
use crate::temporal::suppress::SoftNms;

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
/// Proposals that are kept of a video.
const KEPT: usize = 100;

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

/// Videos of a world as a generator sees them.
pub(crate) fn videos(world: &ProgressWorld, range: std::ops::Range<u64>) -> Vec<Video> {
    let video = |index| {
        let clip = world.clip(index);
        let column = |c: usize| clip.features[c..].iter().step_by(world.channels).copied();
        let features = (0..world.channels).flat_map(column).collect();
        let instances = clip.actions.iter().map(|a| Segment::new(a.start, a.end)).collect();
        Video::new(features, instances, world.snippets)
    };
    range.map(video).collect()
}

/// Training videos of a world.
pub(crate) fn train_videos(world: &ProgressWorld) -> Vec<Video> {
    videos(world, 0..TRAIN)
}

/// Test videos of a world.
pub(crate) fn test_videos(world: &ProgressWorld) -> Vec<Video> {
    videos(world, test_range())
}

/// Their numbers.
pub(crate) fn test_range() -> std::ops::Range<u64> {
    TRAIN..TRAIN + TEST
}

/// Trains a generator; `scale` tells whether lengths are balanced.
pub(crate) fn trained(
    (kind, scale): (Kind, bool),
    world: &ProgressWorld,
    videos: &[Video],
    device: &Device,
) -> Generator {
    let seed = world.seed;
    let generator = Generator::new(kind, &sizes(world), device, seed);
    let mut config = LossConfig::default();
    config.proposals.scale = scale;
    let adam = OptimizerConfig::Adam { lr: RATES[0], betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::new(adam, decay_all);
    let mut step = 0;
    for epoch in 0..EPOCHS {
        let rate = RATES[usize::from(epoch + LOWERED >= EPOCHS)];
        let mut order: Vec<usize> = (0..videos.len()).collect();
        order.shuffle(&mut stream(seed, "bsn.order", epoch as u64));
        for batch in order.chunks(BATCH) {
            let chosen = || batch.iter().map(|&i| &videos[i]);
            let targets = Targets::batch(chosen().map(|v| &v.targets));
            let draws = uniform(seed, step, targets.iou.len());
            generator.store().track();
            let x = generator.batch(chosen());
            let loss = generator.loss(x, &targets, &draws, &config, &Pass::without_dropout());
            optimizer.step(&generator.store().backward(&loss), rate);
            step += 1;
        }
    }
    generator
}

/// Uniform draws for a step.
fn uniform(seed: u64, step: u64, cells: usize) -> [[Vec<f32>; 2]; 3] {
    let g = &mut stream(seed, "bsn.draws", step);
    let mut draw = || (0..cells).map(|_| g.random::<f32>()).collect::<Vec<f32>>();
    std::array::from_fn(|_| [draw(), draw()])
}

/// What a generator says of videos.
pub(crate) fn evidence(generator: &Generator, videos: &[Video]) -> Vec<Evidence> {
    let batches = videos.chunks(BATCH);
    batches.flat_map(|batch| generator.evidence(generator.batch(batch))).collect()
}

/// The proposals that are made of it.
pub(crate) fn proposals(evidence: &Evidence) -> Vec<ocelli_metrics::segment::ScoredSegment> {
    let candidates = evidence.proposals(Candidates::All, Fusion::Product);
    let kept = SoftNms::from(Suppression::default()).run(&candidates);
    kept.into_iter().take(KEPT).map(|taken| taken.scored).collect()
}

/// Names of what is measured.
pub(crate) const AUC: &str = "AUC";
pub(crate) const AR_10: &str = "AR@10";
pub(crate) const SHORT_10: &str = "AR@10, short";

/// Area, recall at 1, 5 and 10 proposals, and at 10 for short instances.
pub(crate) fn measured(videos: &[Proposed]) -> Result<BTreeMap<String, f64>, MetricError> {
    let thresholds = activitynet_thresholds();
    let curve = curve(videos, &thresholds, KEPT as f64)?;
    let mut values = BTreeMap::from([(AUC.to_owned(), curve.auc)]);
    for count in [1, 5, 10] {
        values.insert(format!("AR@{count}"), curve.average_recall[count - 1]);
    }
    let lengths = by_length(videos, &[SHORT], &[10], &thresholds);
    values.insert(SHORT_10.to_owned(), lengths[0].recall[0]);
    Ok(values)
}

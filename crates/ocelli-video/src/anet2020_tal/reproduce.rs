//! The claim at small scale: two models with independent errors, alone and together.
//!
//! Nothing is trained. What a model says of a video is the truth, faded, under noise of its own; so is what a classifier says.

use std::collections::BTreeMap;

use ocelli_method::random::stream;
use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReplayError, ReproduceError, Role, Tally};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_metrics::temporal_detection::TemporalVariant;
use ocelli_world::clips::progress::ProgressWorld;
use rand::RngExt;

use super::ensemble::{EnsembleError, union, weighted_mean};
use super::label::{Labelling, video_scores};
use crate::bsn_plus_plus::generator::ProposeConfig;
use crate::bsn_plus_plus::inference::Evidence;
use crate::bsn_plus_plus::targets::Targets;
use crate::bsn_plus_plus::trial::{AR_10, AUC, measured};
use crate::moments::{Predicted, True, mean_average_precision};
use crate::temporal::recall::{Proposed, activitynet_thresholds};
use crate::temporal::suppress::{Decay, Nms, SoftNms};

const MODELS: [&str; 2] = ["model 1", "model 2"];
const AVERAGE: &str = "map average";
const UNION: &str = "proposal union";
const FIRST_CLASS: &str = "map average, one class";
const MAP: &str = "average mAP";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "Averaging the maps of two models with independent errors finds more than either: a larger area under average recall and a higher average mAP. The union of their lists does not find more, but two classifiers name it better.",
    metric: AUC,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

const VIDEOS: u64 = 240;
const CLASSES: usize = 4;
/// How much of the truth a model says, and the height of its noise.
const FADED: f64 = 0.6;
const NOISE: f64 = 0.6;
/// Clips of a video, the spread of their logits, and what the true class has more.
const CLIPS: usize = 6;
const SPREAD: f64 = 1.5;
const MARGIN: f64 = 1.2;
const KEPT: usize = 100;

/// The suppression of ensembles.
const SOFT: SoftNms = SoftNms {
    decay: Decay::Gaussian,
    sigma: 0.4,
    threshold: 0.5,
    slope: 0.4,
    keep: KEPT,
    min_score: 0.0,
    drop_last: false,
};

/// What models and classifiers say of a video.
struct Simulated {
    instances: Vec<Segment>,
    /// The class of all its actions.
    class: usize,
    maps: [Evidence; 2],
    logits: [Vec<Vec<f64>>; 2],
}

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let videos: Vec<Simulated> = (0..VIDEOS).map(|index| simulated(experiment.seed, index)).collect();
    let one = |model: usize| -> Proposer<'_> { Box::new(move |v| Ok(listed(&v.maps[model]))) };
    let arm = |name: &str, role: Role, propose: Proposer<'_>, classifiers: &[usize], top_k: usize| {
        (experiment.progress)(name);
        let values = values(&videos, &propose, classifiers, top_k);
        let values = values.map_err(|e| ReproduceError(format!("{name}: {e}")))?;
        Ok(Arm { name: name.to_owned(), role, values, traces: Default::default() })
    };
    let average: fn(&Simulated) -> Result<Vec<ScoredSegment>, EnsembleError> =
        |v| Ok(listed(&averaged(&v.maps)?));
    let together: fn(&Simulated) -> Result<Vec<ScoredSegment>, EnsembleError> =
        |v| union(&v.maps.each_ref().map(listed), &[1.0; 2], &Nms::Soft(SOFT));
    Ok(vec![
        arm(MODELS[0], Role::Baseline, one(0), &[0], 2)?,
        arm(AVERAGE, Role::Ours, Box::new(average), &[0, 1], 2)?,
        arm(MODELS[1], Role::Control, one(1), &[1], 2)?,
        arm(UNION, Role::Control, Box::new(together), &[0, 1], 2)?,
        arm(FIRST_CLASS, Role::Control, Box::new(average), &[0, 1], 1)?,
    ])
}

type Proposer<'a> = Box<dyn Fn(&Simulated) -> Result<Vec<ScoredSegment>, EnsembleError> + 'a>;

/// A video, and what is said of it.
fn simulated(seed: u64, index: u64) -> Simulated {
    let world = ProgressWorld { seed, ..ProgressWorld::default() };
    let instances: Vec<Segment> = world.clip(index).clip.actions.into_iter().map(Segment::from).collect();
    let truth = Targets::new(world.snippets, &instances);
    let class = stream(seed, "anet.class", index).random_range(0..CLASSES);
    let maps = std::array::from_fn(|model| {
        let g = &mut stream(seed, &format!("anet.model.{model}"), index);
        let mut seen = |truth: &[f32]| -> Vec<f64> {
            truth.iter().map(|&t| (FADED * f64::from(t) + NOISE * g.random::<f64>()).min(1.0)).collect()
        };
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        let (start, end) = (seen(&truth.start), seen(&truth.end));
        Evidence { start, end, reg: single(seen(&truth.iou)), cls: single(seen(&truth.iou)) }
    });
    let logits = std::array::from_fn(|classifier| {
        let g = &mut stream(seed, &format!("anet.classifier.{classifier}"), index);
        let clip = |_| {
            let noise = ocelli_nn::normal(CLASSES, SPREAD, g);
            let logit = |(c, v): (usize, f32)| f64::from(v) + if c == class { MARGIN } else { 0.0 };
            noise.into_iter().enumerate().map(logit).collect()
        };
        (0..CLIPS).map(clip).collect()
    });
    Simulated { instances, class, maps, logits }
}

/// The proposals of a model.
fn listed(maps: &Evidence) -> Vec<ScoredSegment> {
    ProposeConfig::default().proposals(maps)
}

/// The mean of all that two models say.
fn averaged([a, b]: &[Evidence; 2]) -> Result<Evidence, EnsembleError> {
    let mean = |x: &[f64], y: &[f64]| weighted_mean(&[x, y], &[1.0; 2]);
    let map = |x: &[f32], y: &[f32]| {
        let [x, y] = [x, y].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        Ok::<Vec<f32>, EnsembleError>(mean(&x, &y)?.into_iter().map(|v| v as f32).collect())
    };
    let (start, end) = (mean(&a.start, &b.start)?, mean(&a.end, &b.end)?);
    Ok(Evidence { start, end, reg: map(&a.reg, &b.reg)?, cls: map(&a.cls, &b.cls)? })
}

/// Recall of the proposals, and the average mAP of what the classifiers name them.
fn values(
    videos: &[Simulated],
    propose: &Proposer<'_>,
    classifiers: &[usize],
    top_k: usize,
) -> Result<BTreeMap<String, f64>, ReplayError> {
    let (mut proposed, mut truth, mut predicted) = (Vec::new(), Vec::new(), Vec::new());
    for (video, v) in (0..).zip(videos) {
        let proposals = propose(v).map_err(ReplayError::refused)?;
        let logits: Vec<Vec<Vec<f64>>> = classifiers.iter().map(|&c| v.logits[c].clone()).collect();
        let classes = video_scores(&logits, &vec![1.0; logits.len()]).map_err(ReplayError::refused)?;
        let named = Labelling { top_k, keep: KEPT, ..Labelling::default() }.run(&proposals, &classes, 1.0);
        predicted.extend(named.iter().map(|n| Predicted { video, class: n.class as i64, scored: n.scored }));
        let of_class = |&segment: &Segment| True { video, class: v.class as i64, segment };
        truth.extend(v.instances.iter().map(of_class));
        proposed.push(Proposed { truth: v.instances.clone(), proposals, duration: 1.0 });
    }
    let mut values = measured(&proposed).map_err(ReplayError::refused)?;
    let classes: Vec<i64> = (0..CLASSES as i64).collect();
    let thresholds = activitynet_thresholds();
    let map =
        mean_average_precision(&truth, &predicted, &classes, &thresholds, TemporalVariant::ActivityNet)?;
    values.insert(MAP.to_owned(), 100.0 * map.average_map);
    Ok(values)
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks = Vec::new();
    for metric in [AUC, AR_10, MAP] {
        checks.extend(MODELS.map(|model| tally.above(metric, AVERAGE, model)));
    }
    checks.extend(MODELS.map(|model| tally.above(MAP, UNION, model)));
    checks.push(tally.above(MAP, AVERAGE, FIRST_CLASS));
    checks
}

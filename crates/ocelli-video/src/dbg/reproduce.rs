//! The claim at small scale: on clips whose cues of boundaries deceive, proposals ranked by boundaries and completeness
//! together against either alone and against the actionness of the segment.

use ocelli_method::random::stream;
use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_metrics::proposals::{ProposalRecords, VideoProposals};
use ocelli_metrics::segment::{ScoredSegment, Segment, linspace};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Pass, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig};
use ocelli_world::clips::{ActionClips, Clip};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::labels::{BOUNDARY_CELLS, Labels};
use super::loss::{BatchWeights, LossConfig};
use super::network::{Dbg, DbgConfig, DbgOutput};
use super::propose::{ProposeConfig, VideoScores, suppressed};
use super::step::{decay_share, gradients};
use crate::temporal::sampler::proposals;

const FULL: &str = "DBG";
const ACTIONNESS: &str = "mean actionness";
const BOUNDARY: &str = "boundaries alone";
const COMPLETENESS: &str = "completeness alone";
const METRIC: &str = "AUC";

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "Dense boundary scores times completeness rank proposals better than boundaries alone, and by far better than the actionness of the segment.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

const TRAINING: u64 = 120;
const TEST: u64 = 60;
const STEPS: usize = 90;
const BATCH: usize = 4;
const RATE: f64 = 1e-3;
/// Weight decay of the base; the other parts have shares of it.
const DECAY: f64 = 2e-3;
/// Proposals of a video.
const KEPT: usize = 20;

/// How the arms score a proposal.
#[derive(Clone, Copy)]
enum Scoring {
    Full,
    Actionness,
    Boundaries,
    Completeness,
}

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let device = ocelli_nn::device(experiment.device).map_err(fail)?;
    let world = ActionClips { seed: experiment.seed, ..ActionClips::default() };
    let clips: Vec<Clip> = (0..TRAINING + TEST).map(|index| world.clip(index)).collect();
    let (training, test) = clips.split_at(TRAINING as usize);
    let store = Store::new(&device, experiment.seed);
    let config = DbgConfig { feature_dim: world.channels, tscale: world.cells, ..DbgConfig::default() };
    let network = Dbg::new(&store.root(), config);
    let course = learn(experiment, &network, &store, training);

    let (x, _) = batch(&network, &store, &test.iter().collect::<Vec<_>>());
    let output = network.forward(x, &Pass::eval());
    let arm = |name: &str, role: Role, scoring: Scoring| {
        let numbers = measure(&output, test, scoring)?;
        let traces = match scoring {
            Scoring::Full => [("loss".to_owned(), course.clone())].into(),
            _ => Default::default(),
        };
        Ok(Arm { name: name.to_owned(), role, values: numbers.into(), traces })
    };
    Ok(vec![
        arm(ACTIONNESS, Role::Baseline, Scoring::Actionness)?,
        arm(FULL, Role::Ours, Scoring::Full)?,
        arm(BOUNDARY, Role::Control, Scoring::Boundaries)?,
        arm(COMPLETENESS, Role::Control, Scoring::Completeness)?,
    ])
}

fn fail(error: impl std::fmt::Display) -> ReproduceError {
    ReproduceError(error.to_string())
}

/// Features `[B, C, T]` of clips, and their targets.
fn batch(network: &Dbg, store: &Store, clips: &[&Clip]) -> (burn::tensor::Tensor<3>, Vec<Labels>) {
    let DbgConfig { feature_dim, tscale, .. } = *network.config();
    let features = clips.iter().flat_map(|clip| &clip.features).copied().collect();
    let rows = from_values::<3>(features, [clips.len(), tscale, feature_dim], store.device());
    let labels = clips.iter().map(|clip| {
        let actions: Vec<Segment> = clip.actions.iter().map(|&action| action.into()).collect();
        Labels::new(tscale, &actions, BOUNDARY_CELLS)
    });
    (rows.swap_dims(1, 2), labels.collect())
}

/// Trains the network; gives the mean loss of each epoch.
fn learn(experiment: &Experiment<'_>, network: &Dbg, store: &Store, clips: &[Clip]) -> Vec<f64> {
    let (losses, seed) = (LossConfig::default(), experiment.seed);
    let adam = OptimizerConfig::Adam { lr: RATE, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: DECAY };
    let mut optimizer = Optimizer::new(adam, decay_share);
    let per_epoch = clips.len() / BATCH;
    let mut course = Vec::new();
    let mut order: Vec<usize> = (0..clips.len()).collect();
    for step in 0..STEPS {
        if step % per_epoch == 0 {
            order.shuffle(&mut stream(seed, "claim.order", (step / per_epoch) as u64));
            (experiment.progress)(&format!("step {step} of {STEPS}"));
            course.push(0.0);
        }
        let chosen = &order[step % per_epoch * BATCH..][..BATCH];
        let (x, labels) = batch(network, store, &chosen.iter().map(|&i| &clips[i]).collect::<Vec<_>>());
        let videos: Vec<&Labels> = labels.iter().collect();
        let cells = videos.iter().map(|v| v.iou.len()).sum();
        let draws = ["claim.mid", "claim.low"].map(|name| {
            let g = &mut stream(seed, name, step as u64);
            (0..cells).map(|_| g.random::<f32>()).collect::<Vec<f32>>()
        });
        let places = network.sampler().places();
        let weights = BatchWeights::new(&videos, places, [&draws[0], &draws[1]], &losses);
        let pass = Pass::train(stream(seed, "claim.dropout", step as u64));
        let (values, gradients) = gradients(network, store, &x, &weights, (&losses, BATCH), &pass);
        optimizer.step(&gradients, RATE);
        if let Some(sum) = course.last_mut() {
            *sum += values.total / per_epoch as f64;
        }
    }
    course
}

/// Average recall of the proposals that Soft-NMS leaves of such scores.
fn measure(
    output: &DbgOutput,
    test: &[Clip],
    scoring: Scoring,
) -> Result<[(String, f64); 3], ReproduceError> {
    let thresholds = linspace(0.5, 0.95, 10);
    let config = ProposeConfig { top_number: KEPT, ..ProposeConfig::default() };
    let maps = [&output.iou, &output.start, &output.end].map(|map| values(map.clone()));
    let actionness = output.actionness.each_ref().map(|x| values(x.clone()));
    let places = maps[0].len() / test.len();
    let mut records = ProposalRecords::new(&thresholds).map_err(fail)?;
    for (b, clip) in test.iter().enumerate() {
        let own = maps.each_ref().map(|map| &map[b * places..(b + 1) * places - 1]);
        let scores = VideoScores::new(clip.cells, own);
        let cells = |x: &Vec<f32>| x[b * clip.cells..(b + 1) * clip.cells].to_vec();
        let [x1, x2, x3] = actionness.each_ref().map(cells);
        let mean = |i: usize, j: usize| {
            let sum: f32 = (i..=j).map(|t| (x1[t] + x2[t] + x3[t]) / 3.0).sum();
            f64::from(sum) / (j - i + 1) as f64
        };
        let scored = proposals(clip.cells).zip(scores.candidates()).map(|((i, j), candidate)| {
            let score = match scoring {
                Scoring::Full => candidate.scored.score,
                Scoring::Actionness => mean(i, j),
                Scoring::Boundaries => candidate.start * candidate.end,
                Scoring::Completeness => candidate.iou,
            };
            ScoredSegment { score, ..candidate.scored }
        });
        let kept = suppressed(&scored.collect::<Vec<_>>(), 1.0, &config);
        let truth: Vec<Segment> = clip.actions.iter().map(|&action| action.into()).collect();
        records.videos.push(VideoProposals::new(&truth, &kept, &thresholds).map_err(fail)?);
    }
    let curve = records.curve(Some(KEPT as f64)).map_err(fail)?;
    let at = |n: f64| curve.at(n, KEPT as f64).unwrap_or(f64::NAN);
    Ok([(METRIC.to_owned(), curve.auc), ("AR@5".to_owned(), at(5.0)), ("AR@10".to_owned(), at(10.0))])
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks: Vec<Check> =
        [BOUNDARY, COMPLETENESS, ACTIONNESS].iter().map(|other| tally.above(METRIC, FULL, other)).collect();
    let gap = tally.mean(FULL, METRIC) - tally.mean(ACTIONNESS, METRIC);
    checks.push(Check {
        statement: "AUC: DBG above mean actionness by a wide margin".to_owned(),
        holds: gap > 10.0,
        detail: format!("difference {gap:+.2} points, 10 are asked for"),
    });
    checks
}

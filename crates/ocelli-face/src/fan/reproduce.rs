//! The claim at small scale: an encoder of poor samples adapted to a fixed one of good samples, with pairs, labels and an
//! adversary, together and apart; and recognisers of small faces trained with and without random scales.

mod scales;

use burn::tensor::Tensor;
use ocelli_method::random::stream;
use ocelli_method::reproduce::mean;
use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_nn::tensor::values;
use ocelli_nn::{Pass, Store, normal};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::trainer::{Numbers, TaskError};
use ocelli_world::lookalikes::{LookAlikes, Samples};
use rand::RngExt;

use super::discriminator::FeatureDiscriminator;
use super::losses;
use super::stages::{Classifier, Terms};
use crate::recognition::arcface::{ArcConfig, ArcHead};
use crate::recognition::recognizer::Embeddings;
use crate::recognition::trial::{EMBEDDING, Mlp, Population, Trainee, TrialConfig, name, select};

const PLAIN: &str = "not adapted";
const METHOD: &str = "pairs, adversary and labels";
const PAIRS: &str = "pairs alone";
const LABELS: &str = "labels alone";
const ADVERSARY: &str = "adversary alone";
const NO_SCALES: &str = "faces of full size";
const FIXED_SCALE: &str = "faces of 8 px";
const RANDOM_SCALES: &str = "faces of random scales";
const RANK_1: &str = "rank-1";
const METRIC: &str = "TAR@FAR=1e-3";
const METRICS: [&str; 3] = ["TAR@FAR=1e-2", METRIC, RANK_1];

/// How far the full sum may stay behind its best part.
const SLACK: f64 = 0.02;

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "An encoder of poor samples that is adapted to the features of a fixed encoder of good ones recognises unseen people far better than one that is not, without labels too; all losses together stay within 0.02 of the best of them. Faces of random scales in training help with small ones.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 4,
    run,
    checks,
};

/// People of the training, other people whose poor samples have no partner, and unseen people; samples of each.
const TRAIN: (u64, u64) = (300, 12);
const OTHERS: (u64, u64) = (300, 12);
const TEST: (u64, u64) = (200, 5);
/// Settings of the fixed encoder's training and of the classification.
const ARC: ArcConfig = ArcConfig { s: 32.0, m: 0.35, easy_margin: false };

/// Weights of an arm's losses.
#[derive(Clone, Copy)]
struct Weights {
    pair: f64,
    adv: f64,
    cls: f64,
}

const NOTHING: Weights = Weights { pair: 0.0, adv: 0.0, cls: 0.0 };

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let told = |arm: &str, e: TaskError| ReproduceError(format!("{arm}: {e}"));
    (experiment.progress)("encoder of good samples");
    let world = World::new(experiment.seed);
    let config = TrialConfig {
        train: TRAIN,
        epochs: 20,
        world: world.people,
        ..TrialConfig::new(experiment.seed, experiment.device)
    };
    let build = |path: &ocelli_nn::Path, classes| ArcHead::new(path, EMBEDDING, classes, ARC);
    let teacher = Trainee::new(&config, Population::new(&config), config.seed, build);
    let mut teacher = teacher.map_err(|e| told("encoder of good samples", e))?;
    for epoch in 0..config.epochs {
        teacher.epoch(epoch, &|_| ());
    }
    let teacher = teacher;
    let arm = |name: &str, role: Role, weights: Weights| {
        (experiment.progress)(name);
        let values = adapted(experiment, &world, &teacher, weights).map_err(|e| told(name, e))?;
        Ok(Arm { name: name.to_owned(), role, values, traces: Default::default() })
    };
    let mut arms = vec![
        arm(PLAIN, Role::Baseline, NOTHING)?,
        arm(METHOD, Role::Ours, Weights { pair: 1.0, adv: 0.1, cls: 0.2 })?,
        arm(PAIRS, Role::Control, Weights { pair: 1.0, ..NOTHING })?,
        arm(LABELS, Role::Control, Weights { cls: 1.0, ..NOTHING })?,
        arm(ADVERSARY, Role::Control, Weights { adv: 0.3, ..NOTHING })?,
    ];
    (experiment.progress)("small faces");
    let faces = scales::Faces::new(experiment.seed).map_err(|e| told("small faces", e))?;
    let scales =
        [(NO_SCALES, None), (FIXED_SCALE, Some(scales::FIXED)), (RANDOM_SCALES, Some(scales::RANDOM))];
    for (name, scale) in scales {
        (experiment.progress)(name);
        let values = scales::trial(&faces, experiment.seed, experiment.device, scale);
        let values = values.map_err(|e| told(name, e))?;
        arms.push(Arm { name: name.to_owned(), role: Role::Control, values, traces: Default::default() });
    }
    Ok(arms)
}

/// People without relatives, each sample in good and in poor quality.
struct World {
    people: LookAlikes,
}

/// The same samples twice.
struct Pairs {
    good: Samples,
    poor: Samples,
}

impl World {
    fn new(seed: u64) -> Self {
        // A family of one's own and no spread in it: identities are independent normal vectors.
        let (families, spread) = (usize::MAX, 0.0);
        let people =
            LookAlikes { seed, families, spread, nuisance: 0.6, hard_share: 0.0, ..LookAlikes::default() };
        Self { people }
    }

    fn pairs(&self, people: std::ops::Range<u64>, shots: u64) -> Pairs {
        let first = people.start;
        let good = self.people.samples(people, shots);
        let mut poor = good.clone();
        for (row, sample) in poor.features.chunks_exact_mut(good.dims).enumerate() {
            let noise = &mut stream(self.people.seed, "fan.poor", first * shots + row as u64);
            lose_detail(sample, &normal(good.dims, NOISE, noise));
        }
        Pairs { good, poor }
    }
}

/// Neighbouring coordinates that a poor sample cannot tell apart, and the noise on each.
const GROUP: usize = 4;
const NOISE: f64 = 0.10;

fn lose_detail(sample: &mut [f32], noise: &[f32]) {
    for (group, noise) in sample.chunks_mut(GROUP).zip(noise.chunks(GROUP)) {
        let mean = group.iter().sum::<f32>() / group.len() as f32;
        group.iter_mut().zip(noise).for_each(|(v, noise)| *v = mean + noise);
    }
}

const STEPS: u64 = 500;
const BATCH: usize = 128;
const RATE: f64 = 5e-4;

fn adam() -> Optimizer {
    let betas = [0.9, 0.999];
    Optimizer::new(OptimizerConfig::Adam { lr: RATE, betas, epsilon: 1e-8, weight_decay: 0.0 }, decay_all)
}

/// Adapts a copy of the teacher to poor samples with these losses, and measures it against the teacher on good ones.
fn adapted(
    experiment: &Experiment<'_>,
    world: &World,
    teacher: &Trainee<ArcHead>,
    weights: Weights,
) -> Result<Numbers, TaskError> {
    let (seed, device) = (experiment.seed, teacher.stores()[0].device().clone());
    let store = Store::labelled(&device, seed, "adapted");
    let network = Mlp::new(&store.root(), world.people.dims);
    store.average_from(teacher.stores()[0], 0.0)?;
    if weights.pair + weights.adv + weights.cls > 0.0 {
        let judge_store = Store::labelled(&device, seed, "judge");
        let judge = FeatureDiscriminator::new(&judge_store.root(), EMBEDDING, EMBEDDING);
        let kernel = teacher.stores()[1].find("kernel").ok_or("the head has no prototypes")?.plain();
        let kernel = kernel.reshape([EMBEDDING, TRAIN.0 as usize]);
        let classifier = Classifier { kernel, s: ARC.s, m: ARC.m };
        let paired = world.pairs(0..TRAIN.0, TRAIN.1);
        let others = world.pairs(TRAIN.0..TRAIN.0 + OTHERS.0, OTHERS.1);
        let (mut own, mut adversary) = (adam(), adam());
        for step in 0..STEPS {
            let rate = if step < 350 { RATE } else { 0.1 * RATE };
            let draw = |purpose: &str, n: usize| -> Vec<usize> {
                let mut generator = stream(seed, purpose, step);
                (0..BATCH).map(|_| generator.random_range(0..n)).collect()
            };
            let rows = draw("fan.paired", paired.good.labels.len());
            let (good, labels) = select(&paired.good, &rows, &device);
            let (poor, _) = select(&paired.poor, &rows, &device);
            store.track();
            let pass = Pass::train(stream(seed, "dropout", step));
            let good = teacher.network().forward(good, &Pass::eval());
            let poor = network.forward(poor, &pass);
            let mut terms = vec![
                ("pair", weights.pair, losses::pair(poor.clone(), good.clone())),
                ("cls", weights.cls, classifier.loss(poor.clone(), labels)),
            ];
            if weights.adv > 0.0 {
                let rows = draw("fan.unpaired", others.poor.labels.len());
                let other = network.forward(select(&others.poor, &rows, &device).0, &pass);
                // Without pairs the adversary sees other people alone.
                let fake = if weights.pair > 0.0 { Tensor::cat(vec![poor, other], 0) } else { other };
                let map = |x: Tensor<2>| x.unsqueeze_dims::<4>(&[2, 3]);
                judge_store.track();
                let (real, fake) = (judge.forward(map(good)), map(fake));
                let judged = losses::discriminator(real, judge.forward(fake.clone().detach()));
                adversary.step(&judge_store.backward(&judged), rate);
                terms.push(("adv", weights.adv, losses::generator(judge.forward(fake))));
            }
            terms.retain(|(_, weight, _)| *weight > 0.0);
            own.step(&store.backward(&Terms(terms).total()), rate);
        }
    }
    measure(world, teacher, &network)
}

/// Poor probes through the adapted encoder against good gallery samples through the teacher, of unseen people. No probe
/// meets the very sample it was made from.
fn measure(world: &World, teacher: &Trainee<ArcHead>, network: &Mlp) -> Result<Numbers, TaskError> {
    let unseen = TRAIN.0 + OTHERS.0;
    let (people, shots) = TEST;
    let test = world.pairs(unseen..unseen + people, shots);
    let (n, shots) = (test.good.labels.len(), shots as usize);
    let all: Vec<usize> = (0..n).collect();
    let embed = |samples: &Samples, network: &Mlp| {
        let (x, _) = select(samples, &all, teacher.stores()[0].device());
        Embeddings::unit(values(network.forward(x, &Pass::eval())), n)
    };
    let (gallery, probes) = (embed(&test.good, teacher.network())?, embed(&test.poor, network)?);
    let cosine = |p: usize, g: usize| cosine(probes.row(p), gallery.row(g));
    let labels = &test.good.labels;
    let pairs = (0..n).flat_map(|p| (0..n).map(move |g| (p, g))).filter(|(p, g)| p != g);
    let (scores, same): (Vec<f64>, Vec<bool>) =
        pairs.map(|(p, g)| (cosine(p, g), labels[p] == labels[g])).unzip();
    let points = PairScores::new(&scores, &same)?.tar_at_far(&[1e-2, 1e-3], FarRule::RankRound)?;
    // The first sample of each person is enrolled, the others are looked for.
    let found = (0..n).filter(|p| p % shots != 0).map(|p| {
        let best = (0..n).step_by(shots).max_by(|&a, &b| cosine(p, a).total_cmp(&cosine(p, b)));
        f64::from(u8::from(best.is_some_and(|g| labels[g] == labels[p])))
    });
    let found: Vec<f64> = found.collect();
    let mut numbers: Numbers = points.iter().map(|p| (name(p.target_far), p.tar)).collect();
    numbers.insert(RANK_1.to_owned(), mean(&found));
    Ok(numbers)
}

/// Of unit vectors.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks: Vec<Check> = METRICS.iter().map(|metric| in_every_seed(tally, metric)).collect();
    checks.extend(METRICS.iter().map(|metric| near_the_best(tally, metric)));
    checks.push(tally.above(METRIC, PAIRS, ADVERSARY));
    checks.extend([8, 10].map(|size| tally.above(&scales::at(size), RANDOM_SCALES, NO_SCALES)));
    checks
}

/// Pairs alone must beat the encoder that is not adapted whatever the seed.
fn in_every_seed(tally: &Tally, metric: &str) -> Check {
    let (ours, plain) = (tally.values(PAIRS, metric), tally.values(PLAIN, metric));
    let check = tally.above(metric, PAIRS, PLAIN);
    let holds = check.holds && ours.iter().zip(&plain).all(|(a, b)| a > b);
    Check { statement: format!("{}, in every seed", check.statement), holds, ..check }
}

/// All losses together must not stay behind the best of them.
fn near_the_best(tally: &Tally, metric: &str) -> Check {
    let others = [PAIRS, LABELS, ADVERSARY].map(|arm| (arm, tally.mean(arm, metric)));
    let best = others.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((PAIRS, f64::NAN));
    let ours = tally.mean(METHOD, metric);
    Check {
        statement: format!("{metric}: {METHOD} within {SLACK} of the best part"),
        holds: ours >= best.1 - SLACK,
        detail: format!("{ours:.4} against {:.4} of {}", best.1, best.0),
    }
}

//! Random scale augmentation: small recognisers trained on faces of full size, of one small size, and of random sizes,
//! then asked who is in faces of every size.

use image::RgbImage;
use ocelli_data::augment::{Augment, Normalise, RandomScale};
use ocelli_data::image::degrade;
use ocelli_data::sample::{RandomSampler, Sampler};
use ocelli_method::random::stream;
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_nn::backbones::{Ir, IrConfig};
use ocelli_nn::tensor::{from_values, integers, values};
use ocelli_nn::{Pass, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all_but_norms};
use ocelli_train::schedule::{ScheduleConfig, Shape};
use ocelli_train::trainer::{Numbers, TaskError};
use ocelli_world::faces::{Canvas, FaceWorld, IdentitySpace, ShotSpace};

use super::super::stages::Classifier;
use crate::recognition::recognizer::Embeddings;

/// Sides of the probes in pixels; the gallery has the first.
pub(super) const SIZES: [u32; 5] = [32, 16, 10, 8, 6];
const SIDE: u32 = SIZES[0];
/// People of the training and unseen people; pictures of each.
const TRAIN: (u64, u64) = (60, 24);
const TEST: (u64, u64) = (60, 6);
const EMBEDDING: usize = 64;
const BATCH: usize = 64;
const EPOCHS: usize = 10;

/// Name of the true-accept rate of probes of a size.
pub(super) fn at(size: u32) -> String {
    format!("TAR@FAR=1e-2 at {size} px")
}

/// Random scales as this experiment has them: from 5 pixels.
pub(super) const RANDOM: RandomScale = RandomScale { k_min: 5, p_keep: 0.2, k: None, antialias: true };
/// The fixed scale.
pub(super) const FIXED: RandomScale = RandomScale { k: Some(8), ..RANDOM };

/// The pictures of a seed.
pub(super) struct Faces {
    train: Vec<RgbImage>,
    test: Vec<RgbImage>,
}

impl Faces {
    /// Renders them: people in ordinary shots, as sharp as their size allows.
    pub(super) fn new(seed: u64) -> Result<Self, TaskError> {
        let shots = ShotSpace { hard_share: 0.0, resolution: [1.0, 1.0], ..ShotSpace::default() };
        let world =
            FaceWorld { seed, identities: IdentitySpace::default(), shots, canvas: Canvas::aligned(SIDE) };
        let render = |people: std::ops::Range<u64>, shots: u64| {
            let wanted: Vec<(u64, u64)> = people.flat_map(|p| (0..shots).map(move |s| (p, s))).collect();
            world.render_pictures(&wanted)
        };
        Ok(Self { train: render(0..TRAIN.0, TRAIN.1)?, test: render(TRAIN.0..TRAIN.0 + TEST.0, TEST.1)? })
    }
}

fn input(pictures: &[RgbImage], store: &Store) -> Result<burn::tensor::Tensor<4>, TaskError> {
    let batch = Normalise::HALF.batch(pictures)?;
    Ok(from_values(batch.data, batch.shape, store.device()))
}

/// Trains with an augmentation and measures at all sizes.
pub(super) fn trial(
    faces: &Faces,
    seed: u64,
    device: &str,
    scale: Option<RandomScale>,
) -> Result<Numbers, TaskError> {
    let device = ocelli_nn::device(device)?;
    let store = Store::labelled(&device, seed, "fan.scales");
    let network = IrConfig { widths: [16, 32, 64, 64], ..IrConfig::tiny(SIDE as usize, EMBEDDING) }
        .build(&store.root());
    let head = Store::labelled(&device, seed, "fan.scales.head");
    let shape = [EMBEDDING, TRAIN.0 as usize];
    let init = ocelli_nn::Init::Normal { std: 0.01 };
    let kernel = head.root().param("kernel", &shape, init, ocelli_nn::Role::Kernel);
    let augment = Augment { flip: 0.5, scale, ..Augment::default() };
    let config = OptimizerConfig::default();
    let mut optimizer = Optimizer::new(config.clone(), decay_all_but_norms);
    let schedule = ScheduleConfig { epochs: EPOCHS, shape: Shape::Cosine, ..ScheduleConfig::default() };
    let sampler = RandomSampler::new(faces.train.len(), seed);
    let (per_epoch, mut step) = (faces.train.len() / BATCH, 0u64);
    for epoch in 0..EPOCHS as u64 {
        for rows in sampler.order(epoch).chunks_exact(BATCH) {
            let rng = &mut stream(seed, "fan.scales", step);
            let pictures = rows.iter().map(|&i| augment.apply(&faces.train[i], rng));
            let x = input(&pictures.collect::<Result<Vec<_>, _>>()?, &store)?;
            let labels: Vec<i64> = rows.iter().map(|&i| i as i64 / TRAIN.1 as i64).collect();
            store.track();
            head.track();
            let pass = Pass::train(stream(seed, "dropout", step));
            let classifier = Classifier { kernel: kernel.value(), s: 32.0, m: 0.3 };
            let loss = classifier.loss(network.forward(x, &pass).embedding, integers(&labels, &device));
            let mut tape = loss.backward();
            let mut gradients = store.collect(&mut tape);
            gradients.extend(head.collect(&mut tape));
            optimizer.step(&gradients, config.rate() * schedule.factor(step, per_epoch));
            step += 1;
        }
    }
    measure(faces, &network, &store)
}

/// Pairs of a picture of full size and another that was reduced and enlarged again.
fn measure(faces: &Faces, network: &Ir, store: &Store) -> Result<Numbers, TaskError> {
    let n = faces.test.len();
    let embed = |pictures: &[RgbImage]| -> Result<Embeddings, TaskError> {
        let mut rows = Vec::new();
        for chunk in pictures.chunks(BATCH) {
            rows.extend(values(network.forward(input(chunk, store)?, &Pass::eval()).embedding));
        }
        Ok(Embeddings::unit(rows, pictures.len())?)
    };
    let gallery = embed(&faces.test)?;
    let mut numbers = Numbers::new();
    for size in SIZES {
        let reduced = faces.test.iter().map(|picture| degrade(picture, size, true));
        let probes = embed(&reduced.collect::<Result<Vec<_>, _>>()?)?;
        let pairs = (0..n).flat_map(|p| (0..n).map(move |g| (p, g))).filter(|(p, g)| p != g);
        let person = |i: usize| i as u64 / TEST.1;
        let (scores, same): (Vec<f64>, Vec<bool>) = pairs
            .map(|(p, g)| (super::cosine(probes.row(p), gallery.row(g)), person(p) == person(g)))
            .unzip();
        let point = PairScores::new(&scores, &same)?.tar_at_far(&[1e-2], FarRule::RankRound)?[0];
        numbers.insert(at(size), point.tar);
    }
    Ok(numbers)
}

//! A step of training.

use burn::tensor::Tensor;
use ocelli_method::random::Generator;
use ocelli_nn::{Pass, Store};
use ocelli_train::optim::Optimizer;
use rand::RngExt;

use super::loss::{LossConfig, Terms};
use super::network::BsnPlusPlus;
use super::targets::Targets;

/// The uniform draws that decide which cells of the middle and the low band each of the three maps is trained on,
/// `[B, T, T]` each.
pub type Draws = [[Vec<f32>; 2]; 3];

/// Draws for `cells` proposals, those of all videos of a batch.
pub fn uniform(generator: &mut Generator, cells: usize) -> Draws {
    let mut draw = || (0..cells).map(|_| generator.random::<f32>()).collect::<Vec<f32>>();
    std::array::from_fn(|_| [draw(), draw()])
}

/// One step: both directions of time, the loss, the update at learning rate `lr`. Returns the terms of the loss.
pub fn train_step(
    (network, store): (&BsnPlusPlus, &Store),
    optimizer: &mut Optimizer,
    config: &LossConfig,
    (x, targets, draws): (Tensor<3>, &Targets, &Draws),
    pass: &Pass,
    lr: f64,
) -> Terms {
    store.track();
    let (forward, backward) = network.both_ways(x, pass);
    let draws = draws.each_ref().map(|draws| draws.each_ref().map(Vec::as_slice));
    let terms = config.terms([forward.boundaries, backward], &forward.maps.each(), targets, &draws);
    optimizer.step(&store.backward(&terms.total), lr);
    terms
}

//! A training step: loss and gradients of a batch, video by video.

use burn::tensor::Tensor;
use ocelli_nn::tensor::scalar;
use ocelli_nn::{Entry, Gradients, Pass, Role, Store};

use super::loss::{BatchWeights, LossConfig, Terms};
use super::network::Dbg;

/// The values of the terms of a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TermValues {
    /// As [`Terms::action`].
    pub action: f64,
    /// As [`Terms::iou`].
    pub iou: f64,
    /// As [`Terms::start`].
    pub start: f64,
    /// As [`Terms::end`].
    pub end: f64,
    /// The whole loss.
    pub total: f64,
}

impl TermValues {
    fn add(&mut self, terms: &Terms, config: &LossConfig) {
        let value = |term: &Tensor<1>| f64::from(scalar(term.clone()));
        self.action += value(&terms.action);
        self.iou += value(&terms.iou);
        self.start += value(&terms.start);
        self.end += value(&terms.end);
        self.total += value(&terms.total(config));
    }
}

/// Loss and gradients of features `[B, C, T]`, `at_once` videos at a time: more cost memory and change nothing else but
/// rounding.
///
/// # Panics
/// When the weights are of another batch.
pub fn gradients(
    network: &Dbg,
    store: &Store,
    features: &Tensor<3>,
    weights: &BatchWeights,
    (config, at_once): (&LossConfig, usize),
    pass: &Pass,
) -> (TermValues, Gradients) {
    let (mut values, mut sum) = (TermValues::default(), Gradients::default());
    for_parts(features, weights, at_once, |x, weights| {
        store.track();
        let terms = weights.terms(&network.forward(x, pass), config);
        values.add(&terms, config);
        sum.accumulate(store.backward(&terms.total(config)));
    });
    (values, sum)
}

/// The loss of features `[B, C, T]` alone.
///
/// # Panics
/// As [`gradients`].
pub fn loss(
    network: &Dbg,
    features: &Tensor<3>,
    weights: &BatchWeights,
    (config, at_once): (&LossConfig, usize),
) -> TermValues {
    let mut values = TermValues::default();
    for_parts(features, weights, at_once, |x, weights| {
        values.add(&weights.terms(&network.forward(x, &Pass::eval()), config), config);
    });
    values
}

fn for_parts(
    features: &Tensor<3>,
    weights: &BatchWeights,
    at_once: usize,
    mut visit: impl FnMut(Tensor<3>, &BatchWeights),
) {
    let [videos, ..] = features.dims();
    let at_once = at_once.max(1);
    for start in (0..videos).step_by(at_once) {
        let end = (start + at_once).min(videos);
        visit(features.clone().narrow(0, start, end - start), &weights.part(start..end));
    }
}

/// Weight decay of the parts of the network, as the released code has it: 2e-3 on the base, a tenth of it on the proposal
/// features, a hundredth on the heads, none on biases; here as shares of the first.
pub fn decay_share(entry: &Entry) -> f64 {
    if entry.role() == Role::Bias {
        return 0.0;
    }
    match entry.name().split('.').next() {
        Some("DSBNet") => 1.0,
        Some("PropFeatGen") => 0.1,
        _ => 0.01,
    }
}

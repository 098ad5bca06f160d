//! A step of training.

use ocelli_nn::Pass;
use ocelli_nn::tensor::scalar;
use ocelli_train::trainer::{Numbers, Step};

use super::clips::ClipBatch;
use super::localizer::Localizer;
use super::losses::LossConfig;

impl LossConfig {
    /// The losses of an epoch, counted from 0.
    #[must_use]
    pub fn in_epoch(self, epoch: usize) -> Self {
        let w_consensus = if epoch < self.warmup_epochs { 0.0 } else { self.w_consensus };
        Self { w_consensus, ..self }
    }
}

/// Loss and gradients of a batch.
pub fn step(localizer: &Localizer, batch: ClipBatch, config: &LossConfig, pass: &Pass) -> Step {
    localizer.store().track();
    let ClipBatch { video, text, mask, labels } = batch;
    let output = localizer.network().forward(video, text, &mask, pass);
    let losses = config.losses(&output, &mask, &labels);
    let parts = [
        ("mil_v", &losses.mil_v),
        ("mil_s", &losses.mil_s),
        ("mil_f", &losses.mil_f),
        ("consensus", &losses.consensus),
        ("mutual", &losses.mutual),
    ];
    let numbers: Numbers =
        parts.into_iter().map(|(name, loss)| (name.to_owned(), f64::from(scalar(loss.clone())))).collect();
    Step::backward(&losses.total, &[localizer.store()], numbers)
}

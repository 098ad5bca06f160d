//! The method's keys in a face-recognition recipe.

use ocelli_data::augment::RandomScale;
use serde::{Deserialize, Serialize};

use super::losses::PixelLoss;
use super::stages::{AdaptWeights, DisentangleWeights};

/// A recipe's section `loss` with the name `fan`: one training from the recogniser to the adapted network.
///
/// The sizes of encoders, decoder and adversaries follow from the backbone, which must be of the IR family; its widths
/// are the encoders', in reverse order the decoder's, and the image adversary's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FanConfig {
    /// Scale of the classifier's logits.
    pub s: f64,
    /// Angular margin in radians.
    pub m: f64,
    /// Share of the epochs that train the recogniser of high resolution; 0 starts from `backbone.weights`, whose class
    /// means become the classifier.
    pub recognizer: f64,
    /// Share of the epochs, after those, of the first stage; what is left belongs to the second.
    pub disentangle: f64,
    /// Learning rate of the adversaries, which take a step of Adam before each step of the networks.
    pub judge_lr: f64,
    /// How pixels are compared.
    pub pixel: PixelLoss,
    /// How faces in low resolution are made of those in high resolution.
    pub scale: RandomScale,
    /// Weights of the first stage's losses.
    pub stage_1: DisentangleWeights,
    /// Weights of the second stage's losses.
    pub stage_2: AdaptWeights,
}

impl Default for FanConfig {
    fn default() -> Self {
        Self {
            s: 64.0,
            m: 0.5,
            recognizer: 0.6,
            disentangle: 0.15,
            judge_lr: 1e-4,
            pixel: PixelLoss::default(),
            scale: RandomScale::default(),
            stage_1: DisentangleWeights::default(),
            stage_2: AdaptWeights::default(),
        }
    }
}

impl FanConfig {
    /// Says what is out of range, as `key: reason`. Scale and margin are checked with those of all losses.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        for (key, share) in [("recognizer", self.recognizer), ("disentangle", self.disentangle)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("loss.{key}: {share} is outside 0 to 1"));
            }
        }
        if self.recognizer + self.disentangle > 1.0 {
            let both = format!("with loss.recognizer = {} more than the whole training", self.recognizer);
            return Err(format!("loss.disentangle: {} is {both}", self.disentangle));
        }
        if !self.judge_lr.is_finite() || self.judge_lr <= 0.0 {
            return Err(format!("loss.judge_lr: {} is not above 0", self.judge_lr));
        }
        self.scale.check().map_err(|e| e.to_string().replacen("augment.", "loss.", 1))?;
        let (one, two) = (self.stage_1, self.stage_2);
        let weights = [
            ("stage_1.rec", one.rec),
            ("stage_1.non", one.non),
            ("stage_1.keep", one.keep),
            ("stage_1.img", one.img),
            ("stage_2.pair", two.pair),
            ("stage_2.adv", two.adv),
            ("stage_2.rec", two.rec),
            ("stage_2.id", two.id),
            ("stage_2.cls", two.cls),
            ("stage_2.img", two.img),
        ];
        match weights.iter().find(|(_, w)| !w.is_finite() || *w < 0.0) {
            Some((key, weight)) => Err(format!("loss.{key}: {weight} is below 0")),
            None => Ok(()),
        }
    }
}

/// How many epochs each part of a training has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epochs {
    /// The recogniser's.
    pub(super) recognizer: usize,
    /// The first stage's.
    pub(super) disentangle: usize,
}

/// What an epoch trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The recogniser of high resolution.
    Recognizer,
    /// The first stage.
    Disentangle,
    /// The second stage.
    Adapt,
}

impl Epochs {
    /// The shares of a training of `all` epochs, in whole epochs.
    pub(super) fn new(config: &FanConfig, all: usize) -> Self {
        let share = |share: f64| (share * all as f64).round() as usize;
        let recognizer = share(config.recognizer);
        Self { recognizer, disentangle: share(config.recognizer + config.disentangle) - recognizer }
    }

    /// What epoch number `epoch`, from 0, trains.
    pub(super) fn stage(self, epoch: usize) -> Stage {
        if epoch < self.recognizer {
            Stage::Recognizer
        } else if epoch < self.recognizer + self.disentangle {
            Stage::Disentangle
        } else {
            Stage::Adapt
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let change = |change: &dyn Fn(&mut FanConfig)| {
            let mut config = FanConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert_eq!(FanConfig::default().validate(), Ok(()));
        assert_eq!(change(&|c| c.recognizer = -0.1), "loss.recognizer: -0.1 is outside 0 to 1");
        assert!(change(&|c| c.disentangle = 0.5).starts_with("loss.disentangle: 0.5 is with"));
        assert_eq!(change(&|c| c.judge_lr = 0.0), "loss.judge_lr: 0 is not above 0");
        assert!(change(&|c| c.scale.k_min = 0).starts_with("loss.scale.k_min"));
        assert_eq!(change(&|c| c.stage_2.adv = -1.0), "loss.stage_2.adv: -1 is below 0");
        assert!(change(&|c| c.stage_1.img = f64::NAN).starts_with("loss.stage_1.img"));
    }

    #[test]
    fn stages_follow_each_other() {
        let config = FanConfig { recognizer: 0.5, disentangle: 0.25, ..FanConfig::default() };
        let stages = |all| (0..all).map(|e| Epochs::new(&config, all).stage(e)).collect::<Vec<_>>();
        use Stage::{Adapt, Disentangle, Recognizer};
        assert_eq!(stages(4), [Recognizer, Recognizer, Disentangle, Adapt]);
        let only = FanConfig { recognizer: 1.0, disentangle: 0.0, ..config };
        assert_eq!(Epochs::new(&only, 3), Epochs { recognizer: 3, disentangle: 0 });
        let none = FanConfig { recognizer: 0.0, disentangle: 0.0, ..config };
        assert_eq!(Epochs::new(&none, 3).stage(0), Adapt);
    }
}

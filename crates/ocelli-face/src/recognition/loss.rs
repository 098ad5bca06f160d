//! The training losses by the names that recipes use.

use ocelli_train::trainer::TaskError;
use serde::{Deserialize, Serialize};

use super::objective::{HeadObjective, Objective, Setup};
use crate::curricularface::{ArcConfig, ArcHead, CurricularConfig, CurricularHead};
use crate::fan::{FanConfig, FanObjective};

/// A recipe's section `loss`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum LossConfig {
    /// The adaptive curriculum.
    CurricularFace(CurricularConfig),
    /// The additive angular margin.
    ArcFace(ArcConfig),
    /// Feature adaptation for faces seen from afar.
    Fan(FanConfig),
    /// Normalised softmax without a margin.
    Softmax(SoftmaxConfig),
}

/// Settings of the normalised softmax.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftmaxConfig {
    /// Scale of the logits.
    pub s: f64,
}

impl Default for SoftmaxConfig {
    fn default() -> Self {
        Self { s: ArcConfig::default().s }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::CurricularFace(CurricularConfig::default())
    }
}

impl LossConfig {
    /// The method's slug, or the baseline's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CurricularFace(_) => "curricularface",
            Self::ArcFace(_) => "arcface",
            Self::Fan(_) => "fan",
            Self::Softmax(_) => "softmax",
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let (s, m) = match self {
            Self::CurricularFace(c) => {
                if !(0.0..=1.0).contains(&c.alpha) {
                    return Err(format!("loss.alpha: {} is outside 0 to 1", c.alpha));
                }
                if !c.t0.is_finite() {
                    return Err(format!("loss.t0: {} is no number", c.t0));
                }
                (c.s, c.m)
            }
            Self::ArcFace(c) => (c.s, c.m),
            Self::Fan(c) => {
                c.validate()?;
                (c.s, c.m)
            }
            Self::Softmax(c) => (c.s, 0.0),
        };
        if !s.is_finite() || s <= 0.0 {
            return Err(format!("loss.s: {s} is not above 0"));
        }
        match (0.0..std::f64::consts::FRAC_PI_2).contains(&m) {
            true => Ok(()),
            false => Err(format!("loss.m: {m} radians is outside 0 to pi/2")),
        }
    }

    /// Builds what a training minimises.
    ///
    /// # Errors
    /// When the pictures do not suit the loss.
    pub fn objective(&self, setup: &Setup<'_>) -> Result<Box<dyn Objective>, TaskError> {
        let embedding = setup.embedding();
        let objective = match *self {
            Self::CurricularFace(config) => HeadObjective::new(setup, |path, classes| {
                Box::new(CurricularHead::new(path, embedding, classes, config))
            }),
            Self::ArcFace(config) => HeadObjective::new(setup, |path, classes| {
                Box::new(ArcHead::new(path, embedding, classes, config))
            }),
            Self::Fan(config) => return Ok(Box::new(FanObjective::new(setup, config)?)),
            Self::Softmax(SoftmaxConfig { s }) => HeadObjective::new(setup, |path, classes| {
                let config = ArcConfig { s, m: 0.0, easy_margin: false };
                Box::new(ArcHead::new(path, embedding, classes, config))
            }),
        };
        Ok(Box::new(objective?))
    }
}

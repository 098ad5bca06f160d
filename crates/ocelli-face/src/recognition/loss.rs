//! The training losses by the names that recipes use.

use ocelli_train::trainer::TaskError;
use serde::{Deserialize, Serialize};

use super::baselines::{ASoftmaxConfig, CosConfig, MvConfig, check_angle, check_scale};
use super::objective::{HeadObjective, Objective, Setup};
use crate::curricularface::{CurricularConfig, CurricularHead};
use crate::ddl::{DdlObjective, DdlRecipe};
use crate::fan::{FanConfig, FanObjective};
use crate::ir_softmax::{IrConfig, IrObjective};
use crate::npcface::{NpcConfig, NpcHead};
use crate::recognition::arcface::{ArcConfig, ArcHead};
use crate::search_softmax::{ModulatedConfig, RandomConfig, RandomObjective, SearchConfig, SearchObjective};
use crate::semi_siamese::{SemiSiamese, SemiSiameseConfig};

/// A recipe's section `loss`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum LossConfig {
    /// The multiplicative angular margin, SphereFace.
    #[serde(rename = "a-softmax")]
    ASoftmax(ASoftmaxConfig),
    /// The additive angular margin.
    ArcFace(ArcConfig),
    /// The additive cosine margin, AM-Softmax.
    CosFace(CosConfig),
    /// The adaptive curriculum.
    CurricularFace(CurricularConfig),
    /// Hard faces learn the similarity distributions of easy ones.
    Ddl(DdlRecipe),
    /// Feature adaptation for faces seen from afar.
    Fan(FanConfig),
    /// Class centres in place of weights.
    #[serde(rename = "ir-softmax")]
    IrSoftmax(IrConfig),
    /// Softmax under a fixed modulating factor.
    #[serde(rename = "modulated-softmax")]
    ModulatedSoftmax(ModulatedConfig),
    /// A margin with emphasis on hard negatives.
    #[serde(rename = "mv-softmax")]
    MvSoftmax(MvConfig),
    /// Margins tied to hard negatives.
    NpcFace(NpcConfig),
    /// Softmax under a modulating factor that is drawn each epoch.
    #[serde(rename = "random-softmax")]
    RandomSoftmax(RandomConfig),
    /// Softmax under a modulating factor that is searched.
    #[serde(rename = "search-softmax")]
    SearchSoftmax(SearchConfig),
    /// Two pictures a person: features of a following network in place of prototypes.
    #[serde(rename = "semi-siamese")]
    SemiSiamese(SemiSiameseConfig),
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
            Self::ASoftmax(_) => "a-softmax",
            Self::ArcFace(_) => "arcface",
            Self::CosFace(_) => "cosface",
            Self::CurricularFace(_) => "curricularface",
            Self::Ddl(_) => "ddl",
            Self::Fan(_) => "fan",
            Self::IrSoftmax(_) => "ir-softmax",
            Self::ModulatedSoftmax(_) => "modulated-softmax",
            Self::MvSoftmax(_) => "mv-softmax",
            Self::NpcFace(_) => "npcface",
            Self::RandomSoftmax(_) => "random-softmax",
            Self::SearchSoftmax(_) => "search-softmax",
            Self::SemiSiamese(_) => "semi-siamese",
            Self::Softmax(_) => "softmax",
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let checked = match self {
            Self::ASoftmax(c) => c.validate(),
            Self::ArcFace(c) => check_scale(c.s).and_then(|()| check_angle(c.m)),
            Self::CosFace(c) => c.validate(),
            Self::CurricularFace(c) => c.validate(),
            Self::Ddl(c) => c.validate(),
            Self::Fan(c) => {
                c.validate()?;
                check_scale(c.s).and_then(|()| check_angle(c.m))
            }
            Self::IrSoftmax(c) => c.validate(),
            Self::ModulatedSoftmax(c) => c.validate(),
            Self::MvSoftmax(c) => c.validate(),
            Self::NpcFace(c) => c.validate(),
            Self::RandomSoftmax(c) => c.validate(),
            Self::SearchSoftmax(c) => c.validate(),
            Self::SemiSiamese(c) => c.validate(),
            Self::Softmax(c) => check_scale(c.s),
        };
        checked.map_err(|reason| format!("loss.{reason}"))
    }

    /// Builds what a training minimises.
    ///
    /// # Errors
    /// When the pictures do not suit the loss.
    pub fn objective(&self, setup: &Setup<'_>) -> Result<Box<dyn Objective>, TaskError> {
        let embedding = setup.embedding();
        let objective = match *self {
            Self::ASoftmax(config) => {
                HeadObjective::new(setup, |path, classes| Box::new(config.head(path, embedding, classes)))
            }
            Self::ArcFace(config) => HeadObjective::new(setup, |path, classes| {
                Box::new(ArcHead::new(path, embedding, classes, config))
            }),
            Self::CosFace(config) => {
                HeadObjective::new(setup, |path, classes| Box::new(config.head(path, embedding, classes)))
            }
            Self::CurricularFace(config) => HeadObjective::new(setup, |path, classes| {
                Box::new(CurricularHead::new(path, embedding, classes, config))
            }),
            Self::Ddl(config) => return Ok(Box::new(DdlObjective::new(setup, config)?)),
            Self::Fan(config) => return Ok(Box::new(FanObjective::new(setup, config)?)),
            Self::IrSoftmax(config) => return Ok(Box::new(IrObjective::new(config, setup)?)),
            Self::ModulatedSoftmax(config) => config.objective(setup),
            Self::MvSoftmax(config) => {
                HeadObjective::new(setup, |path, classes| Box::new(config.head(path, embedding, classes)))
            }
            Self::NpcFace(config) => HeadObjective::new(setup, |path, classes| {
                Box::new(NpcHead::new(path, embedding, classes, config))
            }),
            Self::RandomSoftmax(config) => return Ok(Box::new(RandomObjective::new(setup, config)?)),
            Self::SearchSoftmax(config) => return Ok(Box::new(SearchObjective::new(setup, config)?)),
            Self::SemiSiamese(config) => return Ok(Box::new(SemiSiamese::new(setup, config)?)),
            Self::Softmax(SoftmaxConfig { s }) => HeadObjective::new(setup, |path, classes| {
                let config = ArcConfig { s, m: 0.0, easy_margin: false };
                Box::new(ArcHead::new(path, embedding, classes, config))
            }),
        };
        Ok(Box::new(objective?))
    }
}

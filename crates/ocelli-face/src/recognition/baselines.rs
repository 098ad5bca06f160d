//! The margin losses that methods are compared with, with learned prototypes, as sections of a recipe.

use std::f64::consts::FRAC_PI_2;

use ocelli_nn::Path;
use serde::{Deserialize, Serialize};

use super::margin::{
    AdditiveMargin, AngularMargin, Emphasis, LambdaSchedule, Margin, MarginHead, MarginRule,
    MultiplicativeMargin, Reach, Scale, unit_prototypes,
};

/// Says when a scale of logits is none.
pub(crate) fn check_scale(s: f64) -> Result<(), String> {
    match s.is_finite() && s > 0.0 {
        true => Ok(()),
        false => Err(format!("s: {s} is not above 0")),
    }
}

/// Says when a margin that lowers a cosine is out of range.
pub(crate) fn check_cosine_margin(m: f64) -> Result<(), String> {
    match (0.0..=1.0).contains(&m) {
        true => Ok(()),
        false => Err(format!("m: {m} is outside 0 to 1")),
    }
}

/// Says when a margin that is an angle is out of range.
pub(crate) fn check_angle(m: f64) -> Result<(), String> {
    match (0.0..FRAC_PI_2).contains(&m) {
        true => Ok(()),
        false => Err(format!("m: {m} radians is outside 0 to pi/2")),
    }
}

/// Says when an angle is multiplied by too little or too much.
pub(crate) fn check_factor(m: u32) -> Result<(), String> {
    match (1..=16).contains(&m) {
        true => Ok(()),
        false => Err(format!("m: {m} is outside 1 to 16")),
    }
}

/// `loss.name = "a-softmax"`: SphereFace's multiplied angle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ASoftmaxConfig {
    /// The factor of the angle.
    pub m: u32,
    /// How the weight of the plain cosine falls.
    pub lambda: LambdaSchedule,
}

impl Default for ASoftmaxConfig {
    fn default() -> Self {
        Self { m: 4, lambda: LambdaSchedule::default() }
    }
}

impl ASoftmaxConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        check_factor(self.m)?;
        self.lambda.validate().map_err(|e| format!("lambda.{e}"))
    }

    /// The head, with prototypes for `classes` classes at `path`.
    pub fn head(&self, path: &Path, embedding: usize, classes: usize) -> MarginHead {
        let margin = Margin::Multiplicative(MultiplicativeMargin { m: self.m, lambda: self.lambda.at(0) });
        let rule = MarginRule { scale: Scale::EmbeddingNorm, ..MarginRule::new(margin, 1.0) };
        MarginHead::new(unit_prototypes(path, "kernel", embedding, classes), rule).annealed(path, self.lambda)
    }
}

/// `loss.name = "cosface"`: the lowered cosine of CosFace and AM-Softmax.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosConfig {
    /// Scale of the logits.
    pub s: f64,
    /// The margin, a cosine.
    pub m: f64,
}

impl Default for CosConfig {
    fn default() -> Self {
        Self { s: 64.0, m: 0.35 }
    }
}

impl CosConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        check_scale(self.s)?;
        check_cosine_margin(self.m)
    }

    /// The head, with prototypes for `classes` classes at `path`.
    pub fn head(&self, path: &Path, embedding: usize, classes: usize) -> MarginHead {
        let rule = MarginRule::new(Margin::Additive(AdditiveMargin::new(self.m)), self.s);
        MarginHead::new(unit_prototypes(path, "kernel", embedding, classes), rule)
    }
}

/// Which margin MV-Softmax has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MvKind {
    /// AM-Softmax's, where the cosine is above it.
    Am,
    /// ArcFace's, where the cosine is positive.
    Arc,
}

/// `loss.name = "mv-softmax"`: a margin, and emphasis on the negatives that it makes hard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MvConfig {
    /// Which margin.
    pub kind: MvKind,
    /// Scale of the logits.
    pub s: f64,
    /// The margin: a cosine or an angle in radians.
    pub m: f64,
    /// Weight of hard negatives: `w c + w - 1`; 1 is no emphasis.
    pub weight: f64,
}

impl Default for MvConfig {
    /// Those of FaceX-Zoo.
    fn default() -> Self {
        Self { kind: MvKind::Arc, s: 32.0, m: 0.35, weight: 1.12 }
    }
}

impl MvConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        check_scale(self.s)?;
        match self.kind {
            MvKind::Am => check_cosine_margin(self.m)?,
            MvKind::Arc => check_angle(self.m)?,
        }
        match self.weight.is_finite() && self.weight >= 1.0 {
            true => Ok(()),
            false => Err(format!("weight: {} is below 1", self.weight)),
        }
    }

    /// The logits as a function of cosines. Where the margin would turn the cosine of the true class negative (am), or
    /// that is negative (arc), it stays.
    pub fn rule(&self) -> MarginRule {
        let m = self.m;
        let margin = match self.kind {
            MvKind::Am => Margin::Additive(AdditiveMargin { m, reach: Reach::above(m) }),
            MvKind::Arc => Margin::Angular(AngularMargin { m, reach: Reach::EASY }),
        };
        MarginRule::new(margin, self.s).emphasis(Emphasis::mv_softmax(self.weight))
    }

    /// The head, with prototypes for `classes` classes at `path`.
    pub fn head(&self, path: &Path, embedding: usize, classes: usize) -> MarginHead {
        MarginHead::new(unit_prototypes(path, "kernel", embedding, classes), self.rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let a = ASoftmaxConfig::default();
        let cos = CosConfig::default();
        let mv = MvConfig::default();
        let reasons = [
            ("m", ASoftmaxConfig { m: 0, ..a }.validate()),
            ("m", ASoftmaxConfig { m: 99, ..a }.validate()),
            ("lambda.power", {
                let lambda = LambdaSchedule { power: f64::INFINITY, ..a.lambda };
                ASoftmaxConfig { lambda, ..a }.validate()
            }),
            ("s", CosConfig { s: f64::NAN, ..cos }.validate()),
            ("m", CosConfig { m: -0.1, ..cos }.validate()),
            ("m", MvConfig { m: 1.2, kind: MvKind::Am, ..mv }.validate()),
            ("m", MvConfig { m: 1.6, ..mv }.validate()),
            ("weight", MvConfig { weight: 0.5, ..mv }.validate()),
        ];
        for (key, reason) in reasons {
            let reason = reason.unwrap_err();
            assert!(reason.starts_with(&format!("{key}: ")), "{reason}");
        }
        // An angle may be larger than a cosine's margin.
        assert_eq!(MvConfig { m: 1.2, ..mv }.validate(), Ok(()));
        assert_eq!([a.validate(), cos.validate(), mv.validate()], [Ok(()), Ok(()), Ok(())]);
    }
}

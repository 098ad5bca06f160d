//! The classification layers of the release: `FC`, with which one searches, and the baselines.

use burn::tensor::{Int, Tensor};
use ocelli_nn::Path;
use serde::{Deserialize, Serialize};

use super::loss::Factors;
use crate::recognition::margin::{
    AdditiveMargin, AngularMargin, CosineRule, Emphasis, Head, HeadOutput, LambdaSchedule, Margin,
    MarginHead, MarginRule, MultiplicativeMargin, Normalization, Reach, unit_prototypes,
};

/// Which layer, under the names of the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FcKind {
    /// Plain cosines.
    #[serde(rename = "FC")]
    Plain,
    /// AM-Softmax.
    #[serde(rename = "AM")]
    Am,
    /// ArcFace.
    #[serde(rename = "Arc")]
    Arc,
    /// A-Softmax.
    #[serde(rename = "SphereFace")]
    SphereFace,
    /// MV-Softmax on AM.
    #[serde(rename = "MV-AM")]
    MvAm,
    /// MV-Softmax on Arc.
    #[serde(rename = "MV-Arc")]
    MvArc,
}

/// Settings of the layer; the released ones by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FcConfig {
    /// Which layer.
    pub kind: FcKind,
    /// The margin: a cosine for AM, radians for Arc, a whole factor of the angle for SphereFace.
    pub margin: f64,
    /// How much MV raises hard negatives.
    pub t: f64,
    /// Scale of the logits.
    pub s: f64,
    /// Margin only for true classes with a positive cosine.
    pub easy_margin: bool,
}

impl Default for FcConfig {
    fn default() -> Self {
        Self { kind: FcKind::Plain, margin: 0.35, t: 0.2, s: 32.0, easy_margin: true }
    }
}

/// How the release anneals SphereFace.
const LAMBDA: LambdaSchedule = LambdaSchedule { base: 1000.0, gamma: 1e-4, power: 2.0, lam_min: 5.0 };

/// Largest factor of the angle that the release knows.
const LARGEST_FACTOR: f64 = 5.0;

impl FcConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let Self { kind, margin, t, s, .. } = *self;
        if !s.is_finite() || s <= 0.0 {
            return Err(format!("s: {s} is not above 0"));
        }
        if !t.is_finite() || t < 0.0 {
            return Err(format!("t: {t} is below 0"));
        }
        let (fits, range) = match kind {
            FcKind::Plain => (true, ""),
            FcKind::Am | FcKind::MvAm => ((0.0..2.0).contains(&margin), "0 to 2"),
            FcKind::Arc | FcKind::MvArc => {
                ((0.0..std::f64::consts::FRAC_PI_2).contains(&margin), "0 to pi/2 radians")
            }
            FcKind::SphereFace => {
                let whole = margin.fract() == 0.0 && (1.0..=LARGEST_FACTOR).contains(&margin);
                (whole, "the whole numbers 1 to 5")
            }
        };
        if fits { Ok(()) } else { Err(format!("margin: {margin} is outside {range}")) }
    }

    fn rule(&self, normalized: bool) -> MarginRule {
        let Self { kind, margin: m, t, s, easy_margin } = *self;
        let reach = Reach::easy_if(easy_margin);
        let margin = match kind {
            FcKind::Plain => Margin::None,
            FcKind::Am | FcKind::MvAm => Margin::Additive(AdditiveMargin { m, reach }),
            FcKind::Arc | FcKind::MvArc => Margin::Angular(AngularMargin { m, reach }),
            FcKind::SphereFace => {
                Margin::Multiplicative(MultiplicativeMargin { m: m as u32, lambda: LAMBDA.at(0) })
            }
        };
        let embeddings = if normalized { Normalization::None } else { Normalization::Floored };
        let cosines = CosineRule { embeddings, prototypes: Normalization::Floored, clamped: false };
        let rule = MarginRule { cosines, ..MarginRule::new(margin, s) };
        match kind {
            FcKind::MvAm | FcKind::MvArc => rule.emphasis(Emphasis::mv_softmax(t + 1.0)),
            _ => rule,
        }
    }
}

/// The layer: prototypes `weight [D, K]`, whose columns start with unit norm.
#[derive(Clone, Debug)]
pub struct FcHead(MarginHead);

impl FcHead {
    /// A layer for embeddings that are normalised already, as the released backbones give them.
    pub fn new(path: &Path, embedding: usize, classes: usize, config: FcConfig) -> Self {
        Self::build(path, embedding, classes, config, true)
    }

    /// A layer that normalises the embeddings itself.
    pub fn normalizing(path: &Path, embedding: usize, classes: usize, config: FcConfig) -> Self {
        Self::build(path, embedding, classes, config, false)
    }

    fn build(path: &Path, embedding: usize, classes: usize, config: FcConfig, normalized: bool) -> Self {
        let weight = unit_prototypes(path, "weight", embedding, classes);
        let head = MarginHead::new(weight, config.rule(normalized));
        Self(match config.kind {
            FcKind::SphereFace => head.annealed(path, LAMBDA),
            _ => head,
        })
    }
}

impl Head for FcHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput {
        self.0.forward(embeddings, labels, training)
    }
}

/// The plain layer under a modulating factor: cross entropy on its logits is the unified loss.
#[derive(Clone, Debug)]
pub struct ModulatedHead {
    fc: FcHead,
    /// The factor, or one a bin.
    pub factors: Factors,
}

impl ModulatedHead {
    /// A layer from `embedding` dimensions to `classes` at `path`, with scale `s` of the logits; it normalises the
    /// embeddings itself.
    pub fn new(path: &Path, embedding: usize, classes: usize, s: f64, factors: Factors) -> Self {
        let config = FcConfig { s, ..FcConfig::default() };
        Self { fc: FcHead::normalizing(path, embedding, classes, config), factors }
    }
}

impl Head for ModulatedHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput {
        let output = self.fc.forward(embeddings, labels.clone(), training);
        HeadOutput { logits: self.factors.shift(output.logits, labels), ..output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::Store;
    use ocelli_nn::ops::cross_entropy;
    use ocelli_nn::tensor::{from_values, integers, scalar, values};

    const KINDS: [FcKind; 6] =
        [FcKind::Plain, FcKind::Am, FcKind::Arc, FcKind::SphereFace, FcKind::MvAm, FcKind::MvArc];

    fn config(kind: FcKind) -> FcConfig {
        let margin = if kind == FcKind::SphereFace { 4.0 } else { 0.35 };
        FcConfig { kind, margin, ..FcConfig::default() }
    }

    #[test]
    fn embeddings_on_a_prototype_have_finite_gradients() {
        let device = ocelli_nn::device("cpu").unwrap();
        for easy_margin in [true, false] {
            for kind in KINDS {
                let store = Store::new(&device, 0);
                let head = FcHead::new(&store.root(), 2, 2, FcConfig { easy_margin, ..config(kind) });
                let weight = store.find("weight").unwrap();
                weight.set(from_values(vec![1.0, 0.0, 0.0, 1.0], [4], &device));
                // Cosines 1 and -1 with their own class.
                let x = from_values(vec![1.0, 0.0, 0.0, -1.0], [2, 2], &device).autodiff().require_grad();
                let labels = integers(&[0, 1], &device);
                let logits = head.forward(x.clone(), labels.clone(), true).logits;
                let gradients = cross_entropy(logits, labels).backward();
                let gradient = values(x.grad(&gradients).unwrap());
                assert!(gradient.iter().all(|g| g.is_finite()), "{kind:?}: {gradient:?}");
            }
        }
    }

    #[test]
    fn a_factor_in_place_of_a_margin_is_the_same_loss() {
        let device = ocelli_nn::device("cpu").unwrap();
        let x = || from_values(vec![0.3, -1.0, 2.0, 0.5, 0.1, 0.2, -0.4, 1.5], [2, 4], &device);
        let labels = integers(&[2, 0], &device);
        let (m, s) = (0.2f64, 16.0);
        let am = FcConfig { kind: FcKind::Am, margin: m, s, easy_margin: false, ..FcConfig::default() };
        let am = FcHead::normalizing(&Store::new(&device, 3).root(), 4, 3, am);
        let factor = super::super::modulating::Factor::new(-(s * m).exp_m1()).unwrap();
        let path = Store::new(&device, 3).root();
        let modulated = ModulatedHead::new(&path, 4, 3, s, Factors::Global(factor));
        let loss = |head: &dyn Head| {
            scalar(cross_entropy(head.forward(x(), labels.clone(), true).logits, labels.clone()))
        };
        assert!((loss(&am) - loss(&modulated)).abs() < 1e-5);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = |config: FcConfig| config.validate().unwrap_err();
        for s in [0.0, -1.0, f64::NAN] {
            assert!(wrong(FcConfig { s, ..FcConfig::default() }).starts_with("s: "));
        }
        for (kind, margin) in [
            (FcKind::Am, -0.1),
            (FcKind::Arc, 1.6),
            (FcKind::MvArc, f64::NAN),
            (FcKind::SphereFace, 2.5),
            (FcKind::SphereFace, 6.0),
        ] {
            assert!(wrong(FcConfig { margin, ..config(kind) }).starts_with("margin: "), "{kind:?}");
        }
        assert!(wrong(FcConfig { t: -1.0, ..config(FcKind::MvAm) }).starts_with("t: "));
        assert!(KINDS.into_iter().all(|kind| config(kind).validate().is_ok()));
    }
}

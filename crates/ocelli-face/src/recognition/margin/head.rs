//! Heads on learned prototypes.

use burn::tensor::{Int, Tensor};
use ocelli_nn::ops::{Chain, l2_norm, l2_normalize};
use ocelli_nn::{Init, Param, Path, Role};

use super::{
    AdditiveMargin, AngularMargin, CosineRule, Cosines, Emphasis, LambdaSchedule, Margined,
    MultiplicativeMargin,
};

/// A head that turns embeddings into class logits for training.
pub trait Head: std::fmt::Debug {
    /// Logits of `embeddings [B, D]` against all classes, given the `labels [B]`.
    ///
    /// A head with a state updates it when `training` is set.
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput;
}

impl<H: Head + ?Sized> Head for Box<H> {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput {
        (**self).forward(embeddings, labels, training)
    }
}

/// What a head gives.
#[derive(Clone, Debug)]
pub struct HeadOutput {
    /// Logits with the margin, for the loss: `[B, C]`.
    pub logits: Tensor<2>,
    /// Plain scaled cosines, for reading off accuracies: `[B, C]`, detached.
    pub origin_logits: Tensor<2>,
    /// Further numbers worth logging.
    pub numbers: Vec<(&'static str, f64)>,
}

/// What becomes of the true class's cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Margin {
    /// It stays.
    None,
    /// AM-Softmax, CosFace.
    Additive(AdditiveMargin),
    /// ArcFace.
    Angular(AngularMargin),
    /// A-Softmax, SphereFace.
    Multiplicative(MultiplicativeMargin),
}

impl Margin {
    /// Applies the margin to the cosines `g [B, 1]` of the true classes.
    pub fn apply(&self, g: Tensor<2>) -> Margined {
        match self {
            Self::None => Margined { shifted: g.clone(), logit: g },
            Self::Additive(margin) => margin.apply(g),
            Self::Angular(margin) => margin.apply(g),
            Self::Multiplicative(margin) => margin.apply(g),
        }
    }
}

/// What cosines are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// A constant.
    Constant(f64),
    /// The norm of the sample's embedding.
    EmbeddingNorm,
}

/// The logits of a margin softmax as a function of cosines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarginRule {
    /// How the cosines are formed.
    pub cosines: CosineRule,
    /// Of the true class.
    pub margin: Margin,
    /// For negatives above the margined cosine of the true class.
    pub emphasis: Option<Emphasis>,
    /// Of all.
    pub scale: Scale,
}

impl MarginRule {
    /// A margin on cosines with floored norms, times `s`.
    pub fn new(margin: Margin, s: f64) -> Self {
        Self { cosines: CosineRule::FLOORED, margin, emphasis: None, scale: Scale::Constant(s) }
    }

    /// With hard negatives emphasised.
    #[must_use]
    pub fn emphasis(mut self, emphasis: Emphasis) -> Self {
        self.emphasis = Some(emphasis);
        self
    }

    /// Logits of `embeddings [B, D]`, which are needed where their norm is the scale, from their cosines: `[B, C]`.
    pub fn logits(&self, embeddings: &Tensor<2>, cosines: &Cosines) -> Tensor<2> {
        let Margined { shifted, logit } = self.margin.apply(cosines.positive.clone());
        let negatives = match self.emphasis {
            Some(emphasis) => emphasis.apply(cosines.all.clone(), cosines.above(&shifted)),
            None => cosines.all.clone(),
        };
        let plain = matches!(self.margin, Margin::None);
        let logits = if plain { negatives } else { cosines.replace(negatives, logit) };
        match self.scale {
            Scale::Constant(1.0) => logits,
            Scale::Constant(s) => Chain::of(logits).mul_scalar(s).run(),
            Scale::EmbeddingNorm => logits * l2_norm(embeddings.clone(), 1),
        }
    }
}

/// A margin softmax on learned prototypes, the columns of `kernel [D, C]`.
#[derive(Clone, Debug)]
pub struct MarginHead {
    kernel: Param,
    rule: MarginRule,
    annealing: Option<(LambdaSchedule, Param)>,
}

impl MarginHead {
    /// A head on prototypes that are there already.
    pub fn new(kernel: Param, rule: MarginRule) -> Self {
        Self { kernel, rule, annealing: None }
    }

    /// With the lambda of a multiplicative margin falling from step to step; the step is kept as `iteration` at `path`.
    #[must_use]
    pub fn annealed(mut self, path: &Path, schedule: LambdaSchedule) -> Self {
        self.annealing = Some((schedule, path.counter("iteration")));
        self
    }

    /// The rule, with the lambda of this step.
    fn rule(&self, training: bool) -> MarginRule {
        let mut rule = self.rule;
        if let (Some((schedule, iteration)), Margin::Multiplicative(margin)) =
            (&self.annealing, &mut rule.margin)
        {
            if training {
                iteration.increment();
            }
            margin.lambda = schedule.at(ocelli_nn::tensor::scalar(iteration.entry().plain()) as u64);
        }
        rule
    }
}

impl Head for MarginHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput {
        let rule = self.rule(training);
        let cosines = rule.cosines.with_columns(embeddings.clone(), self.kernel.value(), labels);
        let s = match rule.scale {
            Scale::Constant(s) => s,
            // The largest of a row is the same whatever its scale.
            Scale::EmbeddingNorm => 1.0,
        };
        HeadOutput {
            logits: rule.logits(&embeddings, &cosines),
            origin_logits: cosines.origin_logits(s),
            numbers: Vec::new(),
        }
    }
}

/// Learned prototypes `[D, C]` that start uniformly in [-1, 1], every column rescaled to unit norm.
pub fn unit_prototypes(path: &Path, name: &str, embedding: usize, classes: usize) -> Param {
    let kernel = path.param(name, &[embedding, classes], Init::Uniform { bound: 1.0 }, Role::Kernel);
    kernel.set(l2_normalize(kernel.value::<2>(), 0));
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::Store;
    use ocelli_nn::ops::cross_entropy;
    use ocelli_nn::tensor::{from_values, integers, values};

    fn logits(rule: MarginRule, x: &[f32], labels: &[i64]) -> Vec<f32> {
        let device = ocelli_nn::device("cpu").unwrap();
        let store = Store::new(&device, 1);
        let kernel = unit_prototypes(&store.root(), "kernel", 4, 3);
        let x = from_values(x.to_vec(), [labels.len(), 4], &device);
        let output = MarginHead::new(kernel, rule).forward(x, integers(labels, &device), true);
        values(output.logits)
    }

    const X: [f32; 8] = [1.0, -2.0, 0.5, 3.0, 0.0, 1.0, 1.0, 0.25];

    #[test]
    fn margins_touch_the_label_alone() {
        let plain = logits(MarginRule::new(Margin::None, 8.0), &X, &[2, 0]);
        let am = MarginRule::new(Margin::Additive(AdditiveMargin::new(0.5)), 8.0);
        for (i, (a, b)) in plain.iter().zip(logits(am, &X, &[2, 0])).enumerate() {
            let lowered = if [2, 3].contains(&i) { 4.0 } else { 0.0 };
            assert!((a - b - lowered).abs() < 1e-5, "{i}: {a} {b}");
        }
    }

    #[test]
    fn emphasis_raises_negatives_above_the_gate() {
        let margin = Margin::Additive(AdditiveMargin::new(1.0));
        let am = logits(MarginRule::new(margin, 1.0), &X, &[2, 0]);
        let mv = logits(MarginRule::new(margin, 1.0).emphasis(Emphasis::mv_softmax(1.5)), &X, &[2, 0]);
        for (i, (c, raised)) in am.iter().zip(&mv).enumerate() {
            let [label, row] = if i < 3 { [2, 0] } else { [3, 3] };
            let hard = i != label && *c > am[label.max(row)];
            let want = if hard { 1.5 * c + 0.5 } else { *c };
            assert!((raised - want).abs() < 1e-6, "{i}: {c} {raised}");
        }
    }

    #[test]
    fn the_norm_as_scale_undoes_the_normalisation() {
        let of_norm = MarginRule { scale: Scale::EmbeddingNorm, ..MarginRule::new(Margin::None, 1.0) };
        let product = MarginRule { cosines: CosineRule::PRODUCT, ..MarginRule::new(Margin::None, 1.0) };
        let (a, b) = (logits(of_norm, &X, &[0, 1]), logits(product, &X, &[0, 1]));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
    }

    #[test]
    fn lambda_falls_in_training_and_is_state() {
        let device = ocelli_nn::device("cpu").unwrap();
        let store = Store::new(&device, 1);
        let path = store.root();
        let margin = Margin::Multiplicative(MultiplicativeMargin { m: 4, lambda: 0.0 });
        let head = MarginHead::new(unit_prototypes(&path, "kernel", 4, 3), MarginRule::new(margin, 1.0))
            .annealed(&path, LambdaSchedule::default());
        let x = from_values(X.to_vec(), [2, 4], &device);
        let labels = integers(&[0, 1], &device);
        let loss = |training| {
            let output = head.forward(x.clone(), labels.clone(), training);
            values(cross_entropy(output.logits, labels.clone()))[0]
        };
        let first = loss(true);
        assert_eq!(loss(false), first, "evaluation leaves the schedule alone");
        let course: Vec<f32> = (0..50).map(|_| loss(true)).collect();
        assert!(course[49] > first);
        assert_eq!(store.find("iteration").unwrap().to_array().to_f32(), [51.0]);
    }
}

//! The two stages of training: what each computes, and which losses it sums.
//!
//! What is frozen runs on its running statistics and gets no gradient, because its store does not track it; gradients
//! still flow through it to what lies before.

use burn::tensor::{Int, Tensor};
use ocelli_nn::Pass;
use ocelli_nn::ops::cross_entropy;
use serde::{Deserialize, Serialize};

use super::discriminator::{FeatureDiscriminator, ImageDiscriminator};
use super::losses::{self, PixelLoss};
use super::network::Fan;
use crate::recognition::margin::{AngularMargin, Cosines};

/// The recogniser's classifier: prototypes and ArcFace's settings.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// Prototypes `[D, N]`, frozen in both stages.
    pub kernel: Tensor<2>,
    /// Scale of the logits.
    pub s: f64,
    /// Angular margin in radians.
    pub m: f64,
}

impl Classifier {
    /// ArcFace's loss of embeddings `[B, D]`.
    pub fn loss(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let cosines = Cosines::new(embeddings, self.kernel.clone(), labels.clone());
        let positive = AngularMargin::new(self.m).apply(cosines.positive.clone()).logit;
        cross_entropy(cosines.compose(cosines.all.clone(), positive, self.s), labels)
    }

    /// Logits `[B, N]` of embeddings without a label: scaled cosines.
    pub fn logits(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let kernel = ocelli_nn::ops::normalize_columns(self.kernel.clone());
        ocelli_nn::ops::normalize_rows(embeddings).matmul(kernel).mul_scalar(self.s)
    }
}

/// Losses by name, with their weights.
#[derive(Clone, Debug)]
pub struct Terms(pub Vec<(&'static str, f64, Tensor<1>)>);

impl Terms {
    /// The weighted sum, `[1]`.
    pub fn total(&self) -> Tensor<1> {
        let weighted = self.0.iter().map(|(_, weight, loss)| loss.clone().mul_scalar(*weight));
        weighted.reduce(|a, b| a + b).expect("a stage has a loss")
    }
}

/// Weights of the first stage's losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DisentangleWeights {
    /// Reconstruction of the picture.
    pub rec: f64,
    /// Confusion of the non-identity path.
    pub non: f64,
    /// Identity of the reconstruction.
    pub keep: f64,
    /// The adversary on pictures.
    pub img: f64,
}

impl Default for DisentangleWeights {
    fn default() -> Self {
        Self { rec: 1.0, non: 1.0, keep: 1.0, img: 0.1 }
    }
}

/// Weights of the second stage's losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptWeights {
    /// Identity maps of pairs.
    pub pair: f64,
    /// The adversary on identity maps.
    pub adv: f64,
    /// Reconstruction of the picture in high resolution.
    pub rec: f64,
    /// Identity of the reconstruction.
    pub id: f64,
    /// Classification.
    pub cls: f64,
    /// The adversary on pictures.
    pub img: f64,
}

impl Default for AdaptWeights {
    fn default() -> Self {
        Self { pair: 1.0, adv: 0.1, rec: 1.0, id: 0.5, cls: 1.0, img: 0.1 }
    }
}

/// Stage 1, on faces in high resolution: `hr_non` and `decoder` learn, `hr_id`, head and classifier are fixed.
#[derive(Clone, Debug)]
pub struct Disentangle<'a> {
    /// The network.
    pub fan: &'a Fan,
    /// The recogniser's classifier.
    pub classifier: Classifier,
    /// How pixels are compared.
    pub pixel: PixelLoss,
    /// Weights of the losses.
    pub weights: DisentangleWeights,
}

/// What the first stage computes of a batch.
#[derive(Clone, Debug)]
pub struct Disentangled {
    /// The faces `[B, 3, S, S]`.
    pub faces: Tensor<4>,
    /// Their reconstructions `[B, 3, S, S]`.
    pub decoded: Tensor<4>,
    embedding: Tensor<2>,
    non_identity: Tensor<4>,
}

impl Disentangle<'_> {
    /// Takes faces `[B, 3, S, S]` in [-1, 1] apart and puts them together again.
    pub fn forward(&self, faces: Tensor<4>, pass: &Pass) -> Disentangled {
        let fixed = Pass::eval();
        let identity = self.fan.hr_id.forward(faces.clone(), &fixed);
        let embedding = self.fan.id_head.forward(identity.clone(), &fixed);
        let non_identity = self.fan.hr_non.forward(faces.clone(), pass);
        let decoded = self.fan.decoder.forward(identity, non_identity.clone(), pass);
        Disentangled { faces, decoded, embedding, non_identity }
    }

    /// The losses of encoder and decoder; with `judge`, those of passing for photographs too.
    pub fn losses(&self, d: &Disentangled, judge: Option<&ImageDiscriminator>) -> Terms {
        let fixed = Pass::eval();
        let guess = self.classifier.logits(self.fan.id_head.forward(d.non_identity.clone(), &fixed));
        let w = self.weights;
        let mut terms = vec![
            ("rec", w.rec, self.pixel.apply(d.decoded.clone(), d.faces.clone())),
            ("non", w.non, losses::confusion(guess)),
            ("keep", w.keep, kept_identity(self.fan, d.decoded.clone(), d.embedding.clone())),
        ];
        terms.extend(judge.map(|j| ("img", w.img, losses::generator(j.forward(d.decoded.clone())))));
        Terms(terms)
    }
}

/// Distance of the decoded faces' embeddings, as the fixed recogniser sees them, to the true ones.
fn kept_identity(fan: &Fan, decoded: Tensor<4>, truth: Tensor<2>) -> Tensor<1> {
    let fixed = Pass::eval();
    losses::identity(fan.id_head.forward(fan.hr_id.forward(decoded, &fixed), &fixed), truth)
}

/// The image adversary's own loss on photographs and generated faces, both `[B, 3, S, S]`.
pub fn judge_faces(judge: &ImageDiscriminator, real: Tensor<4>, generated: Tensor<4>) -> Tensor<1> {
    losses::discriminator(judge.forward(real), judge.forward(generated.detach()))
}

/// Stage 2, on faces in both resolutions: `lr_id`, `lr_non` and `decoder` learn, what belongs to high resolution is
/// fixed.
#[derive(Clone, Debug)]
pub struct Adapt<'a> {
    /// The network.
    pub fan: &'a Fan,
    /// The recogniser's classifier.
    pub classifier: Classifier,
    /// How pixels are compared.
    pub pixel: PixelLoss,
    /// Weights of the losses.
    pub weights: AdaptWeights,
}

/// A batch of the second stage; pictures `[B, 3, S, S]` in [-1, 1].
#[derive(Clone, Debug)]
pub struct AdaptBatch {
    /// Faces in high resolution.
    pub high: Tensor<4>,
    /// The same in low resolution.
    pub low: Tensor<4>,
    /// Who they are, `[B]`.
    pub labels: Tensor<1, Int>,
    /// Other faces in low resolution, if there are any.
    pub unpaired: Option<Tensor<4>>,
}

/// What the second stage computes of a batch.
#[derive(Clone, Debug)]
pub struct Adapted {
    batch: AdaptBatch,
    high_map: Tensor<4>,
    high_embedding: Tensor<2>,
    low_map: Tensor<4>,
    /// All identity maps of low resolution, `[B + B', C, H, W]`.
    low_maps: Tensor<4>,
    /// What the faces in low resolution are normalised to, `[B, 3, S, S]`.
    pub decoded: Tensor<4>,
}

impl Adapted {
    /// Embeddings of the faces in high resolution, `[B, D]`, constants.
    pub fn high_embedding(&self) -> &Tensor<2> {
        &self.high_embedding
    }
}

impl Adapt<'_> {
    /// Encodes all faces and decodes the paired ones.
    pub fn forward(&self, batch: AdaptBatch, pass: &Pass) -> Adapted {
        let fixed = Pass::eval();
        let high_map = self.fan.hr_id.forward(batch.high.clone(), &fixed).detach();
        let high_embedding = self.fan.id_head.forward(high_map.clone(), &fixed).detach();
        let low_map = self.fan.lr_id.forward(batch.low.clone(), pass);
        let unpaired = batch.unpaired.clone().map(|faces| self.fan.lr_id.forward(faces, pass));
        let low_maps = Tensor::cat(std::iter::once(low_map.clone()).chain(unpaired).collect(), 0);
        let non_identity = self.fan.lr_non.forward(batch.low.clone(), pass);
        let decoded = self.fan.decoder.forward(low_map.clone(), non_identity, pass);
        Adapted { batch, high_map, high_embedding, low_map, low_maps, decoded }
    }

    /// The feature adversary's own loss: maps of high resolution are real.
    pub fn judge_maps(&self, a: &Adapted, judge: &FeatureDiscriminator) -> Tensor<1> {
        losses::discriminator(judge.forward(a.high_map.clone()), judge.forward(a.low_maps.clone().detach()))
    }

    /// Embeddings of the paired faces in low resolution, `[B, D]`.
    pub fn low_embedding(&self, a: &Adapted) -> Tensor<2> {
        self.fan.id_head.forward(a.low_map.clone(), &Pass::eval())
    }

    /// The losses of encoders and decoder; with `faces`, those of passing for photographs too.
    pub fn losses(
        &self,
        a: &Adapted,
        maps: &FeatureDiscriminator,
        faces: Option<&ImageDiscriminator>,
    ) -> Terms {
        let w = self.weights;
        let embedding = self.low_embedding(a);
        let mut terms = vec![
            ("pair", w.pair, losses::pair(a.low_map.clone(), a.high_map.clone())),
            ("adv", w.adv, losses::generator(maps.forward(a.low_maps.clone()))),
            ("rec", w.rec, self.pixel.apply(a.decoded.clone(), a.batch.high.clone())),
            ("id", w.id, kept_identity(self.fan, a.decoded.clone(), a.high_embedding.clone())),
            ("cls", w.cls, self.classifier.loss(embedding, a.batch.labels.clone())),
        ];
        terms.extend(faces.map(|j| ("img", w.img, losses::generator(j.forward(a.decoded.clone())))));
        Terms(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan::network::FanShape;
    use ocelli_method::random::hash_uniform;
    use ocelli_nn::Store;
    use ocelli_nn::tensor::{from_values, integers, scalar, values};

    struct Small {
        store: Store,
        fan: Fan,
    }

    impl Small {
        fn new() -> Self {
            let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 3);
            let shape = FanShape {
                widths: vec![4; 4],
                units: vec![1; 4],
                side: 1,
                dim: 6,
                decoder_widths: vec![4; 4],
            };
            let fan = Fan::new(&store.root(), &shape);
            Self { store, fan }
        }

        fn faces(&self, key: &str) -> Tensor<4> {
            from_values(hash_uniform(key, 3 * 3 * 256), [3, 3, 16, 16], self.store.device())
        }

        fn classifier(&self) -> Classifier {
            let kernel = from_values(hash_uniform("kernel", 30), [6, 5], self.store.device());
            Classifier { kernel, s: 16.0, m: 0.3 }
        }

        /// The parts whose parameters get a gradient that is not zero when all are recorded.
        fn reached(&self, loss: &Tensor<1>) -> Vec<String> {
            let gradients = self.store.backward(loss);
            let alive = gradients.iter().filter(|(_, g)| values((*g).clone()).iter().any(|v| *v != 0.0));
            let mut parts: Vec<String> =
                alive.filter_map(|(e, _)| Some(e.name().split_once('.')?.0.to_owned())).collect();
            parts.dedup();
            parts
        }
    }

    #[test]
    fn confusion_passes_through_the_head_to_the_non_identity_encoder() {
        let small = Small::new();
        let stage = Disentangle {
            fan: &small.fan,
            classifier: small.classifier(),
            pixel: PixelLoss::L2,
            weights: DisentangleWeights { rec: 0.0, keep: 0.0, img: 0.0, non: 1.0 },
        };
        small.store.track_where(|e| e.name().starts_with("hr_non."));
        let loss = stage.losses(&stage.forward(small.faces("x"), &Pass::eval()), None).total();
        assert_eq!(small.reached(&loss), ["hr_non"]);
    }

    #[test]
    fn targets_of_high_resolution_are_constants() {
        let small = Small::new();
        let weights = AdaptWeights { pair: 1.0, adv: 0.0, rec: 0.0, id: 0.0, cls: 0.0, img: 0.0 };
        let stage = Adapt { fan: &small.fan, classifier: small.classifier(), pixel: PixelLoss::L1, weights };
        let judges = Store::new(small.store.device(), 0);
        let judge = FeatureDiscriminator::new(&judges.root(), 4, 2);
        let labels = integers(&[0, 1, 2], small.store.device());
        let batch = |unpaired| AdaptBatch {
            high: small.faces("high"),
            low: small.faces("low"),
            labels: labels.clone(),
            unpaired,
        };
        small.store.track();
        let seen = stage.forward(batch(None), &Pass::eval());
        assert_eq!(small.reached(&stage.losses(&seen, &judge, None).total()), ["lr_id"]);

        // The adversary sees the faces without a partner too.
        let more = stage.forward(batch(Some(small.faces("other"))), &Pass::eval());
        let (few, all) = (stage.judge_maps(&seen, &judge), stage.judge_maps(&more, &judge));
        assert_ne!(scalar(few), scalar(all));
    }

    #[test]
    fn a_perfect_match_has_a_finite_gradient() {
        let small = Small::new();
        let classifier = small.classifier();
        // The embedding of class 2 lies on its prototype, that of class 0 opposite to its own.
        let columns = values(classifier.kernel.clone().transpose());
        let row = |class: usize, sign: f32| columns[class * 6..][..6].iter().map(move |v| sign * v);
        let x: Vec<f32> = row(2, 1.0).chain(row(0, -1.0)).collect();
        let x = from_values(x, [2, 6], small.store.device()).autodiff().require_grad();
        let loss = classifier.loss(x.clone(), integers(&[2, 0], small.store.device()));
        let gradient = values(x.grad(&loss.backward()).unwrap());
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
    }
}

//! The prototype head: features of the gallery network in place of learned prototypes, both ways round.

use burn::tensor::{Bool, Int, Tensor};
use ocelli_method::random::Generator;
use ocelli_nn::ops::{cross_entropy, l2_normalize};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::queue::{Queue, QueueError};
use crate::recognition::margin::{AdditiveMargin, AngularMargin, Margin, Reach};

/// What is done to the cosine of the true pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginType {
    /// Nothing.
    Softmax,
    /// c - m.
    Am,
    /// cos(theta + m), whatever theta.
    Arc,
}

/// Settings of the head; those of the full release by default. The first release has `softmax`, s 30, no
/// normalisation (its network does that) and a loss factor of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrototypeConfig {
    /// The margin on the true pair.
    pub margin_type: MarginType,
    /// Scale of the logits.
    pub s: f64,
    /// Size of the margin; in radians for `arc`.
    pub m: f64,
    /// Whether features are brought to unit length here.
    pub normalize: bool,
    /// Factor on the sum of both branches: 0.5 is their mean.
    pub loss_factor: f64,
}

impl Default for PrototypeConfig {
    fn default() -> Self {
        Self { margin_type: MarginType::Am, s: 32.0, m: 0.35, normalize: true, loss_factor: 0.5 }
    }
}

impl PrototypeConfig {
    /// The margin on the true pair; it holds for every pair.
    pub fn margin(&self) -> Margin {
        match self.margin_type {
            MarginType::Softmax => Margin::None,
            MarginType::Am => Margin::Additive(AdditiveMargin::new(self.m)),
            MarginType::Arc => Margin::Angular(AngularMargin { m: self.m, reach: Reach::EVERYWHERE }),
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value) in [("s", self.s), ("loss_factor", self.loss_factor)] {
            if !value.is_finite() || value <= 0.0 {
                return Err(format!("{key}: {value} is not above 0"));
            }
        }
        let (limit, unit) = match self.margin_type {
            MarginType::Arc => (std::f64::consts::FRAC_PI_2, " radians is outside 0 to pi/2"),
            _ => (1.0, " is outside 0 to 1"),
        };
        match (0.0..limit).contains(&self.m) {
            true => Ok(()),
            false => Err(format!("m: {}{unit}", self.m)),
        }
    }
}

/// The features of a batch of pairs (a, b), `[B, D]` each.
#[derive(Clone, Debug)]
pub struct PairFeatures {
    /// a through the probe network.
    pub p1: Tensor<2>,
    /// b through the gallery network.
    pub g2: Tensor<2>,
    /// b through the probe network.
    pub p2: Tensor<2>,
    /// a through the gallery network.
    pub g1: Tensor<2>,
}

/// Which gallery feature of a pair stays in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enqueue {
    /// That of the first picture.
    G1,
    /// That of the second picture.
    G2,
}

impl Enqueue {
    /// Either, with equal chances.
    pub fn drawn(generator: &mut Generator) -> Self {
        if generator.random::<bool>() { Self::G1 } else { Self::G2 }
    }
}

/// Loss and what led to it.
#[derive(Clone, Debug)]
pub struct PrototypeOutput {
    /// Cross entropy of both branches together, `[1]`.
    pub loss: Tensor<1>,
    /// Logits of branch 1 (a against prototypes of b), `[B, K]`.
    pub logits1: Tensor<2>,
    /// Logits of branch 2 (b against prototypes of a), `[B, K]`.
    pub logits2: Tensor<2>,
    /// Cosines of branch 1 before margin and scale, `[B, K]`, detached.
    pub cosines1: Tensor<2>,
    /// The column of each pair's own prototype, `[B]`.
    pub labels: Tensor<1, Int>,
}

impl PairFeatures {
    /// The features as the head uses them: unit rows where that is asked for, the gallery's without gradient.
    #[must_use]
    pub fn prepared(self, config: &PrototypeConfig) -> Self {
        let unit = |x: Tensor<2>| if config.normalize { l2_normalize(x, 1) } else { x };
        Self { p1: unit(self.p1), g2: unit(self.g2).detach(), p2: unit(self.p2), g1: unit(self.g1).detach() }
    }

    /// The gallery features that stay.
    pub fn kept(&self, enqueue: Enqueue) -> Tensor<2> {
        match enqueue {
            Enqueue::G1 => self.g1.clone(),
            Enqueue::G2 => self.g2.clone(),
        }
    }
}

/// Sections 3.2 and 3.3 of the paper: each picture is told apart, by its partner's gallery feature, from all that the
/// queue holds. `features` are [prepared](PairFeatures::prepared); the queue is read, not written.
///
/// # Errors
/// When the features do not fit the queue.
pub fn prototype_loss(
    features: &PairFeatures,
    queue: &Queue,
    config: &PrototypeConfig,
) -> Result<PrototypeOutput, QueueError> {
    let [batch, _] = features.p1.dims();
    let place = OwnColumns::new(queue.index(), batch, &queue.columns().device());
    let branch = |probe: &Tensor<2>, gallery: &Tensor<2>| {
        let cosines = probe.clone().matmul(queue.with(gallery.clone())?).clamp(-1.0, 1.0);
        let plain = cosines.clone().detach();
        Ok::<_, QueueError>((place.with_margin(cosines, config).mul_scalar(config.s), plain))
    };
    let (logits1, cosines1) = branch(&features.p1, &features.g2)?;
    let (logits2, _) = branch(&features.p2, &features.g1)?;
    let labels = place.labels.clone();
    let entropy = |logits: &Tensor<2>| cross_entropy(logits.clone(), labels.clone());
    let loss = (entropy(&logits1) + entropy(&logits2)).mul_scalar(config.loss_factor);
    Ok(PrototypeOutput { loss, logits1, logits2, cosines1, labels })
}

/// The square of a batch's own columns in its `[B, K]` cosines; the true pairs stand on its diagonal.
struct OwnColumns {
    start: usize,
    batch: usize,
    labels: Tensor<1, Int>,
    diagonal: Tensor<2, Bool>,
}

impl OwnColumns {
    fn new(start: usize, batch: usize, device: &burn::tensor::Device) -> Self {
        let labels = Tensor::<1, Int>::arange(start as i64..(start + batch) as i64, device);
        let diagonal = Tensor::<2>::eye(batch, device).greater_elem(0.5);
        Self { start, batch, labels, diagonal }
    }

    fn with_margin(&self, cosines: Tensor<2>, config: &PrototypeConfig) -> Tensor<2> {
        let margin = config.margin();
        if margin == Margin::None {
            return cosines;
        }
        let positive = cosines.clone().gather(1, self.labels.clone().unsqueeze_dim(1));
        let margined = margin.apply(positive).logit;
        let place = [0..self.batch, self.start..self.start + self.batch];
        let own = cosines.clone().slice(place.clone());
        let own = own.mask_where(self.diagonal.clone(), margined.expand([self.batch; 2]));
        cosines.slice_assign(place, own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, scalar, values};
    use ocelli_nn::{Store, device};

    const ARC: PrototypeConfig =
        PrototypeConfig { margin_type: MarginType::Arc, s: 4.0, m: 0.5, normalize: true, loss_factor: 0.5 };

    fn loss(probe: Vec<f32>, config: &PrototypeConfig) -> (f32, Vec<f32>) {
        let device = device("cpu").unwrap();
        let store = Store::labelled(&device, 5, "queue");
        let queue = Queue::new(&store.root(), 2, 6);
        let gallery = from_values(vec![2.0, 0.0, 0.0, 1.0], [2, 2], &device);
        let probe = from_values::<2>(probe, [2, 2], &device).autodiff().require_grad();
        let (p1, g2, p2, g1) = (probe.clone(), gallery.clone(), probe.clone(), gallery);
        let features = PairFeatures { p1, g2, p2, g1 }.prepared(config);
        let output = prototype_loss(&features, &queue, config).unwrap();
        let gradient = probe.grad(&output.loss.backward()).unwrap();
        (scalar(output.loss), values(gradient))
    }

    #[test]
    fn equal_and_opposite_pairs_have_finite_gradients() {
        // The first pair is one picture twice, the second points the other way; then a feature that is all zero.
        for probe in [vec![2.0, 0.0, 0.0, -1.0], vec![0.0; 4]] {
            let (loss, gradient) = loss(probe, &ARC);
            assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()), "{loss} {gradient:?}");
        }
    }

    #[test]
    fn margins_make_the_true_pair_harder() {
        let of =
            |margin_type, m| loss(vec![1.0, 0.5, 0.5, 1.0], &PrototypeConfig { margin_type, m, ..ARC }).0;
        let plain = of(MarginType::Softmax, 0.5);
        assert!(of(MarginType::Am, 0.2) > plain);
        assert!(of(MarginType::Arc, 0.2) > plain);
        assert_eq!(of(MarginType::Am, 0.0), plain);
        let sum = PrototypeConfig { margin_type: MarginType::Softmax, loss_factor: 1.0, ..ARC };
        assert_eq!(loss(vec![1.0, 0.5, 0.5, 1.0], &sum).0, 2.0 * plain);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = [
            PrototypeConfig { s: 0.0, ..ARC },
            PrototypeConfig { s: f64::NAN, ..ARC },
            PrototypeConfig { loss_factor: -1.0, ..ARC },
            PrototypeConfig { m: 1.6, ..ARC },
            PrototypeConfig { m: 1.0, margin_type: MarginType::Am, ..ARC },
            PrototypeConfig { m: -0.1, ..ARC },
        ];
        for (config, key) in wrong.iter().zip(["s", "s", "loss_factor", "m", "m", "m"]) {
            let reason = config.validate().unwrap_err();
            assert!(reason.starts_with(&format!("{key}: ")), "{reason}");
        }
        assert_eq!(ARC.validate(), Ok(()));
        assert_eq!(PrototypeConfig::default().validate(), Ok(()));
    }
}

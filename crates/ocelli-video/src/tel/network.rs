//! Two branches that share nothing, one for what is seen and one for what is said.

use burn::tensor::Tensor;
use ocelli_nn::layers::{Dropout, Linear};
use ocelli_nn::ops::activation::relu;
use ocelli_nn::{Init, Pass, Path};
use serde::{Deserialize, Serialize};

use super::coarse::CoarseStream;
use super::fine::FineStream;
use super::mask::Mask;

/// Sizes of the network; those of the full one by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelShape {
    /// Elements of a segment's video feature.
    pub d_video: usize,
    /// Elements of a segment's text feature.
    pub d_text: usize,
    /// Elements of the features within.
    pub dim: usize,
    /// Levels of context.
    pub levels: usize,
    /// Heads of the attention among levels; divides `dim`.
    pub heads: usize,
    /// Emotions.
    pub classes: usize,
}

impl Default for TelShape {
    fn default() -> Self {
        Self { d_video: 2048, d_text: 768, dim: 512, levels: 4, heads: 8, classes: 18 }
    }
}

/// More levels would reach further than any clip is long.
const MOST_LEVELS: usize = 24;

impl TelShape {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first size that no network could be built with.
    pub fn validate(&self) -> Result<(), String> {
        let Self { d_video, d_text, dim, levels, heads, classes } = *self;
        let sizes = [
            ("d_video", d_video),
            ("d_text", d_text),
            ("dim", dim),
            ("levels", levels),
            ("heads", heads),
            ("classes", classes),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{key}: must be at least 1"));
        }
        if levels > MOST_LEVELS {
            return Err(format!("levels: {levels} is more than {MOST_LEVELS}"));
        }
        match dim.is_multiple_of(heads) {
            true => Ok(()),
            false => Err(format!("heads: {heads} does not divide dim = {dim}")),
        }
    }
}

/// Share of the elements that training drops after the embedding and before the classifiers.
pub(super) const DROPOUT: f64 = 0.3;

/// One modality's way from features to class activation sequences.
#[derive(Clone, Debug)]
pub struct Branch {
    dropout: Dropout,
    embed: Linear,
    coarse: CoarseStream,
    fine: FineStream,
    cls_coarse: Linear,
    cls_fine: Linear,
}

/// What a branch gives.
#[derive(Clone, Debug)]
pub struct BranchOutput {
    /// Class logits of the widest context, `[B, T, C]`.
    pub cas_coarse: Tensor<3>,
    /// Class logits of the integrated features, `[B, T, C]`.
    pub cas: Tensor<3>,
    /// Weights of the levels, `[B, T, L]`.
    pub alpha: Tensor<3>,
}

impl Branch {
    /// On features of `input` elements at `path`.
    ///
    /// # Panics
    /// When [`TelShape::validate`] would refuse the shape.
    pub fn new(path: &Path, input: usize, shape: &TelShape) -> Self {
        let dim = shape.dim;
        let linear =
            |name: &str, input, output| Linear::new(&path.at(name), input, output, true, Init::FanInUniform);
        Self {
            dropout: Dropout { p: DROPOUT },
            embed: linear("embed", input, dim),
            coarse: CoarseStream::new(&path.at("coarse"), dim, shape.levels),
            fine: FineStream::new(&path.at("fine"), dim, shape.heads),
            cls_coarse: linear("cls_coarse", dim, shape.classes),
            cls_fine: linear("cls_fine", dim, shape.classes),
        }
    }

    /// Features `[B, T, input]` to logits.
    pub fn forward(&self, x: Tensor<3>, mask: &Mask, pass: &Pass) -> BranchOutput {
        let embedded = self.dropout.forward(relu(self.embed.forward(x)) * mask.beside(), pass);
        let contexts = self.coarse.forward(embedded.clone(), mask);
        let [_, _, levels, _] = contexts.dims();
        let widest = contexts.clone().narrow(2, levels - 1, 1).squeeze_dim::<3>(2);
        let (integrated, alpha) = self.fine.forward(embedded, contexts, mask);
        BranchOutput {
            cas_coarse: self.cls_coarse.forward(self.dropout.forward(widest, pass)),
            cas: self.cls_fine.forward(self.dropout.forward(integrated, pass)),
            alpha,
        }
    }
}

/// The whole network.
#[derive(Clone, Debug)]
pub struct Tel {
    video: Branch,
    text: Branch,
}

impl Tel {
    /// A network at `path`, its branches at `video` and `text`.
    ///
    /// # Panics
    /// When [`TelShape::validate`] would refuse the shape.
    pub fn new(path: &Path, shape: &TelShape) -> Self {
        Self {
            video: Branch::new(&path.at("video"), shape.d_video, shape),
            text: Branch::new(&path.at("text"), shape.d_text, shape),
        }
    }

    /// Drops another share than 0.3, from 0 up to but not including 1.
    #[must_use]
    pub fn dropout(mut self, p: f64) -> Self {
        self.video.dropout = Dropout { p };
        self.text.dropout = Dropout { p };
        self
    }

    /// Features of the segments, `video [B, T, Dv]` and `text [B, T, Dt]`, to what each branch makes of them.
    pub fn forward(&self, video: Tensor<3>, text: Tensor<3>, mask: &Mask, pass: &Pass) -> TelOutput {
        TelOutput { video: self.video.forward(video, mask, pass), text: self.text.forward(text, mask, pass) }
    }
}

/// What both branches give.
#[derive(Clone, Debug)]
pub struct TelOutput {
    /// Of what is seen.
    pub video: BranchOutput,
    /// Of what is said.
    pub text: BranchOutput,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_method::random::hash_uniform;
    use ocelli_nn::Store;
    use ocelli_nn::tensor::{from_values, values};

    const SMALL: TelShape = TelShape { d_video: 6, d_text: 4, dim: 8, levels: 4, heads: 2, classes: 3 };

    #[test]
    fn shapes_out_of_range_are_named() {
        assert_eq!(TelShape::default().validate(), Ok(()));
        let heads = TelShape { heads: 3, ..SMALL }.validate().unwrap_err();
        assert_eq!(heads, "heads: 3 does not divide dim = 8");
        assert!(TelShape { classes: 0, ..SMALL }.validate().unwrap_err().starts_with("classes:"));
        assert!(TelShape { levels: 99, ..SMALL }.validate().unwrap_err().starts_with("levels:"));
    }

    /// A clip of three segments is shorter than the widest dilation, and sees none of its padding.
    #[test]
    fn padding_changes_nothing() {
        let device = ocelli_nn::device("cpu").unwrap();
        let store = Store::new(&device, 5);
        let network = Tel::new(&store.root(), &SMALL);
        let input = |name: &str, dim: usize, length: usize| {
            let mut rows = hash_uniform(name, 3 * dim);
            // What stands in padded segments must not matter.
            rows.resize(length * dim, 9.0);
            from_values(rows, [1, length, dim], &device)
        };
        let run = |length: usize| {
            let mask = (0..length).map(|t| f32::from(u8::from(t < 3))).collect();
            let mask = Mask::new(from_values(mask, [1, length], &device));
            let (video, text) = (input("v", 6, length), input("t", 4, length));
            let output = network.forward(video, text, &mask, &Pass::eval());
            [output.video.cas, output.video.cas_coarse, output.text.cas, output.text.cas_coarse]
                .map(|cas| values(cas.narrow(1, 0, 3)))
        };
        for (short, long) in run(3).iter().zip(run(11)) {
            assert!(short.iter().zip(&long).all(|(a, b)| (a - b).abs() < 1e-6), "{short:?} {long:?}");
        }
    }
}

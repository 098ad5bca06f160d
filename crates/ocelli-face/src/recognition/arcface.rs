//! The ArcFace baseline, and the normalised softmax below it, in the same interface.

use burn::tensor::{Int, Tensor};
use ocelli_nn::{Init, Path, Role};
use serde::{Deserialize, Serialize};

use crate::recognition::margin::{
    AngularMargin, CosineRule, Head, HeadOutput, Margin, MarginHead, MarginRule, Reach,
};

/// Settings of the head; the published ones by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArcConfig {
    /// Scale of the logits.
    pub s: f64,
    /// Angular margin in radians; 0 is the normalised softmax.
    pub m: f64,
    /// Margin only for true classes with a positive cosine, the others as they are.
    pub easy_margin: bool,
}

impl Default for ArcConfig {
    fn default() -> Self {
        Self { s: 64.0, m: 0.5, easy_margin: false }
    }
}

/// The ArcFace head: prototypes `kernel [D, C]`.
#[derive(Clone, Debug)]
pub struct ArcHead(MarginHead);

impl ArcHead {
    /// A head from `embedding` dimensions to `classes` at `path`.
    pub fn new(path: &Path, embedding: usize, classes: usize, config: ArcConfig) -> Self {
        let ArcConfig { s, m, easy_margin } = config;
        let published = AngularMargin::new(m);
        let reach = if easy_margin { Reach::EASY } else { published.reach };
        let margin = match m {
            0.0 => Margin::None,
            _ => Margin::Angular(AngularMargin { reach, ..published }),
        };
        let rule = MarginRule { cosines: CosineRule::STRICT, ..MarginRule::new(margin, s) };
        let init = Init::Normal { std: 0.01 };
        Self(MarginHead::new(path.param("kernel", &[embedding, classes], init, Role::Kernel), rule))
    }
}

impl Head for ArcHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput {
        self.0.forward(embeddings, labels, training)
    }
}

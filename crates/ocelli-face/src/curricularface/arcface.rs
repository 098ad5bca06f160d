//! The ArcFace baseline, and the normalised softmax below it, in the same interface.

use burn::tensor::{Int, Tensor};
use ocelli_nn::{Init, Param, Path, Role};
use serde::{Deserialize, Serialize};

use crate::recognition::margin::{AngularMargin, Cosines, Head, HeadOutput};

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
pub struct ArcHead {
    kernel: Param,
    config: ArcConfig,
}

impl ArcHead {
    /// A head from `embedding` dimensions to `classes` at `path`.
    pub fn new(path: &Path, embedding: usize, classes: usize, config: ArcConfig) -> Self {
        let init = Init::Normal { std: 0.01 };
        Self { kernel: path.param("kernel", &[embedding, classes], init, Role::Kernel), config }
    }
}

impl Head for ArcHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, _: bool) -> HeadOutput {
        let ArcConfig { s, m, easy_margin } = self.config;
        let cosines = Cosines::new(embeddings, self.kernel.value(), labels);
        let g = cosines.positive.clone();
        let positive = match easy_margin {
            true => {
                let shifted = AngularMargin { m }.apply(g.clone()).shifted;
                g.clone().mask_where(g.greater_elem(0.0), shifted)
            }
            false => AngularMargin { m }.apply(g).logit,
        };
        HeadOutput {
            logits: cosines.compose(cosines.all.clone(), positive, s),
            origin_logits: cosines.origin_logits(s),
            numbers: Vec::new(),
        }
    }
}

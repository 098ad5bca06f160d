//! The adaptive curriculum head: hard negatives weigh more the further training has come.

use burn::tensor::{Int, Tensor};
use ocelli_nn::{Init, Param, Path, Role};
use serde::{Deserialize, Serialize};

use crate::recognition::baselines::{check_angle, check_scale};
use crate::recognition::margin::{AngularMargin, Cosines, Head, HeadOutput};

/// Settings of the head; the published ones by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurricularConfig {
    /// Scale of the logits.
    pub s: f64,
    /// Angular margin in radians.
    pub m: f64,
    /// Weight of the batch in the moving average of the positive cosine. TFace uses 0.1.
    pub alpha: f64,
    /// Where that average starts.
    pub t0: f64,
}

impl Default for CurricularConfig {
    fn default() -> Self {
        Self { s: 64.0, m: 0.5, alpha: 0.01, t0: 0.0 }
    }
}

impl CurricularConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(format!("alpha: {} is outside 0 to 1", self.alpha));
        }
        if !self.t0.is_finite() {
            return Err(format!("t0: {} is no number", self.t0));
        }
        check_scale(self.s)?;
        check_angle(self.m)
    }
}

/// The CurricularFace head: prototypes `kernel [D, C]`, state `t [1]`.
#[derive(Clone, Debug)]
pub struct CurricularHead {
    kernel: Param,
    t: Param,
    config: CurricularConfig,
}

/// Logits and what led to them.
#[derive(Clone, Debug)]
pub struct CurricularOutput {
    /// Logits with margin and curriculum, `[B, C]`.
    pub logits: Tensor<2>,
    /// Plain scaled cosines, `[B, C]`, detached.
    pub origin_logits: Tensor<2>,
    /// The state that was used, `[1]`.
    pub t: Tensor<1>,
    /// Hard negatives of each sample, `[B]`.
    pub hard_count: Tensor<1>,
}

impl CurricularHead {
    /// A head from `embedding` dimensions to `classes` at `path`.
    pub fn new(path: &Path, embedding: usize, classes: usize, config: CurricularConfig) -> Self {
        let init = Init::Normal { std: 0.01 };
        Self {
            kernel: path.param("kernel", &[embedding, classes], init, Role::Kernel),
            t: path.buffer("t", &[1], Init::Constant(config.t0 as f32)),
            config,
        }
    }

    /// Equations 5 to 11 of the paper, in the order of the released code: the state is updated from this batch's
    /// raw positive cosines before it is used.
    pub fn curriculum(&self, x: Tensor<2>, labels: Tensor<1, Int>, update: bool) -> CurricularOutput {
        let CurricularConfig { s, m, alpha, .. } = self.config;
        let cosines = Cosines::new(x, self.kernel.value(), labels);
        let positive = AngularMargin::new(m).apply(cosines.positive.clone());

        // Against cos(theta + m) itself and not its continuation.
        let hard = cosines.above(&positive.shifted);
        if update {
            let mean = cosines.positive.clone().without_autodiff().mean();
            self.t.set(mean.mul_scalar(alpha).add(self.t.value::<1>().mul_scalar(1.0 - alpha)));
        }
        let t = self.t.value::<1>();

        let c = cosines.all.clone();
        let raised = c.clone() * c.clone().add(t.clone().reshape([1, 1]));
        let negatives = c.mask_where(hard.clone(), raised);
        let hard_count = hard.float().sum_dim(1).squeeze_dim(1);
        CurricularOutput {
            logits: cosines.compose(negatives, positive.logit, s),
            origin_logits: cosines.origin_logits(s),
            t,
            hard_count,
        }
    }
}

impl Head for CurricularHead {
    fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>, training: bool) -> HeadOutput {
        let [_, classes] = self.kernel.value::<2>().dims();
        let output = self.curriculum(embeddings, labels, training);
        let hard =
            ocelli_nn::tensor::scalar(output.hard_count.mean()) / classes.saturating_sub(1).max(1) as f32;
        let t = ocelli_nn::tensor::scalar(output.t);
        let numbers = vec![("t", f64::from(t)), ("hard_share", f64::from(hard))];
        HeadOutput { logits: output.logits, origin_logits: output.origin_logits, numbers }
    }
}

//! Margins added to the angle.

use std::f64::consts::PI;

use burn::tensor::Tensor;

use super::{Margined, Reach};

/// The additive angular margin of ArcFace (Deng et al. 2019, equation 3): `cos(theta + m)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AngularMargin {
    /// The margin in radians.
    pub m: f64,
    /// Which true classes it holds for.
    pub reach: Reach,
}

/// Below this the root of `1 - g²` is held up: its derivative is infinite at 0.
const SMALLEST_RADICAND: f64 = 1e-12;

impl AngularMargin {
    /// As published: where theta + m passes pi, `g - m sin(m)` continues the logit monotonically.
    pub fn new(m: f64) -> Self {
        Self::continued_by(m, m * (PI - m).sin())
    }

    /// Where theta + m passes pi, the logit is the cosine less `otherwise`.
    pub fn continued_by(m: f64, otherwise: f64) -> Self {
        Self { m, reach: Reach { above: (PI - m).cos(), otherwise } }
    }

    /// Applies the margin to the cosines `g [B, 1]` of the true classes.
    pub fn apply(&self, g: Tensor<2>) -> Margined {
        let (sin, cos) = self.m.sin_cos();
        let shifted = g.clone().mul_scalar(cos).sub(sine(g.clone()).mul_scalar(sin));
        Margined { logit: self.reach.apply(g, shifted.clone()), shifted }
    }
}

/// cos(theta + margin) of the cosines `g [B, 1]`, with a margin in radians for each sample: `[B, 1]`.
pub fn shift_angle(g: Tensor<2>, margins: Tensor<2>) -> Tensor<2> {
    let sine = sine(g.clone());
    g * margins.clone().cos() - sine * margins.sin()
}

/// sin(theta) of cosines; its derivative stays finite where |g| is 1.
fn sine(g: Tensor<2>) -> Tensor<2> {
    g.square().neg().add_scalar(1.0).clamp_min(SMALLEST_RADICAND).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, values};

    #[test]
    fn the_margin_is_an_angle_and_continued_past_pi() {
        let device = ocelli_nn::device("cpu").unwrap();
        let (near, far) = (1.0f64, 2.9f64);
        let g = from_values(vec![near.cos() as f32, far.cos() as f32], [2, 1], &device);
        let Margined { shifted, logit } = AngularMargin::new(0.5).apply(g.clone());
        let close = |got: f32, want: f64| assert!((f64::from(got) - want).abs() < 1e-6, "{got} {want}");
        let (shifted, logit) = (values(shifted), values(logit));
        close(shifted[0], 1.5f64.cos());
        close(shifted[1], 3.4f64.cos());
        close(logit[0], 1.5f64.cos());
        close(logit[1], far.cos() - 0.5 * 0.5f64.sin());
        let margins = from_values(vec![0.5, 0.25], [2, 1], &device);
        let own = values(shift_angle(g, margins));
        close(own[0], 1.5f64.cos());
        close(own[1], 3.15f64.cos());
    }

    #[test]
    fn gradients_are_finite_at_the_poles() {
        let device = ocelli_nn::device("cpu").unwrap();
        let g = from_values(vec![1.0, -1.0], [2, 1], &device).autodiff().require_grad();
        let margins = from_values(vec![0.5, 0.5], [2, 1], &device);
        let Margined { shifted, logit } = AngularMargin::new(0.5).apply(g.clone());
        let sum = shifted.sum() + logit.sum() + shift_angle(g.clone(), margins).sum();
        let gradient = g.grad(&sum.backward()).unwrap();
        assert!(values(gradient).iter().all(|v| v.is_finite()));
    }
}

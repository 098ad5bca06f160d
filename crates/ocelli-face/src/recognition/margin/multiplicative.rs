//! Margins that multiply the angle.

use std::f64::consts::PI;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::Margined;

/// The multiplicative angular margin of A-Softmax (SphereFace, Liu et al. 2017, section 3.3).
///
/// The true class's cosine becomes psi(theta) = (-1)^k cos(m theta) - 2k, where k pi / m <= theta <= (k + 1) pi / m, and
/// is blended with the cosine itself: (lambda cos(theta) + psi(theta)) / (1 + lambda).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiplicativeMargin {
    /// The factor of the angle, at least 1; 1 is no margin.
    pub m: u32,
    /// Weight of the plain cosine; 0 is the pure margin.
    pub lambda: f64,
}

impl MultiplicativeMargin {
    /// Applies the margin to the cosines `g [B, 1]` of the true classes.
    pub fn apply(&self, g: Tensor<2>) -> Margined {
        let psi = self.psi(g.clone());
        let blended = match self.lambda {
            0.0 => psi,
            lambda => (g.mul_scalar(lambda) + psi).div_scalar(1.0 + lambda),
        };
        Margined { shifted: blended.clone(), logit: blended }
    }

    /// psi of the angles whose cosines are `g`, falling from 1 to 1 - 2m: `[B, 1]`.
    pub fn psi(&self, g: Tensor<2>) -> Tensor<2> {
        // k counts the ends of intervals that the angle has passed; psi is smooth there, so no gradient flows through k.
        let passed = |j: u32| {
            let end = (f64::from(j) * PI / f64::from(self.m)).cos();
            g.clone().detach().lower_equal_elem(end).float()
        };
        let k = (1..self.m).map(passed).reduce(|sum, next| sum + next);
        let cosine = chebyshev(self.m, g.clone());
        match k {
            None => cosine,
            // (-1)^k is 1 - 2 (k mod 2).
            Some(k) => {
                let odd = k.clone().div_scalar(2.0).floor().mul_scalar(-2.0).add(k.clone());
                cosine * odd.mul_scalar(-2.0).add_scalar(1.0) - k.mul_scalar(2.0)
            }
        }
    }
}

/// cos(m theta) as the Chebyshev polynomial of the cosine `c`: 1, c, 2c² - 1, 4c³ - 3c, …
fn chebyshev(m: u32, c: Tensor<2>) -> Tensor<2> {
    let mut previous = c.ones_like();
    if m == 0 {
        return previous;
    }
    let mut current = c.clone();
    for _ in 1..m {
        let next = (c.clone() * current.clone()).mul_scalar(2.0) - previous;
        (previous, current) = (current, next);
    }
    current
}

/// How lambda falls in training: `max(lam_min, base (1 + gamma · iteration)^(-power))`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LambdaSchedule {
    /// Where it starts.
    pub base: f64,
    /// How fast it falls.
    pub gamma: f64,
    /// The exponent of its fall.
    pub power: f64,
    /// Where it ends.
    pub lam_min: f64,
}

impl Default for LambdaSchedule {
    /// SphereFace's own.
    fn default() -> Self {
        Self { base: 1000.0, gamma: 0.12, power: 1.0, lam_min: 5.0 }
    }
}

impl LambdaSchedule {
    /// Lambda at an iteration.
    pub fn at(&self, iteration: u64) -> f64 {
        let fallen = self.base * (1.0 + self.gamma * iteration as f64).powf(-self.power);
        fallen.max(self.lam_min)
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that is negative or no number.
    pub fn validate(&self) -> Result<(), String> {
        let settings =
            [("base", self.base), ("gamma", self.gamma), ("power", self.power), ("lam_min", self.lam_min)];
        match settings.iter().find(|(_, v)| !v.is_finite() || *v < 0.0) {
            Some((key, value)) => Err(format!("{key}: {value} is below 0")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::{from_values, values};

    fn psi(m: u32, theta: f64) -> f64 {
        let k = (f64::from(m) * theta / PI).floor().min(f64::from(m - 1));
        let sign = if k % 2.0 == 0.0 { 1.0 } else { -1.0 };
        sign * (f64::from(m) * theta).cos() - 2.0 * k
    }

    #[test]
    fn psi_follows_its_definition_and_falls() {
        let device = ocelli_nn::device("cpu").unwrap();
        let thetas: Vec<f64> = (0..=200).map(|i| f64::from(i) * PI / 200.0).collect();
        for m in 1..=6 {
            let g = thetas.iter().map(|t| t.cos() as f32).collect();
            let margin = MultiplicativeMargin { m, lambda: 0.0 };
            let got = values(margin.psi(from_values(g, [thetas.len(), 1], &device)));
            for (theta, got) in thetas.iter().zip(&got) {
                assert!((psi(m, *theta) - f64::from(*got)).abs() < 1e-4, "m {m} theta {theta}: {got}");
            }
            assert!(got.windows(2).all(|w| w[0] >= w[1] - 1e-5), "m {m}");
        }
    }

    #[test]
    fn lambda_blends_with_the_cosine() {
        let device = ocelli_nn::device("cpu").unwrap();
        let g = from_values(vec![0.5], [1, 1], &device);
        let margin = MultiplicativeMargin { m: 4, lambda: 3.0 };
        let want = (3.0 * 0.5 + psi(4, 0.5f64.acos())) / 4.0;
        assert!((f64::from(values(margin.apply(g).logit)[0]) - want).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_finite_everywhere() {
        let device = ocelli_nn::device("cpu").unwrap();
        let g = from_values(vec![1.0, -1.0, 0.0], [3, 1], &device).autodiff().require_grad();
        let psi = MultiplicativeMargin { m: 4, lambda: 0.0 }.psi(g.clone());
        let gradient = g.grad(&psi.sum().backward()).unwrap();
        assert!(values(gradient).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn the_schedule_falls_to_its_floor() {
        let schedule = LambdaSchedule::default();
        assert_eq!(schedule.at(0), 1000.0);
        assert!((schedule.at(100) - 1000.0 / 13.0).abs() < 1e-9);
        assert_eq!(schedule.at(u64::MAX), 5.0);
        let wrong = LambdaSchedule { gamma: f64::NAN, ..schedule };
        assert!(wrong.validate().unwrap_err().starts_with("gamma"));
    }
}

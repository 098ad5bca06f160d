//! The modulating factor (section 3.2): what a margin does to a probability, as one number `a`.
//!
//! With `p` the softmax probability of the true class, a loss with a margin trains with `p_m = h(a, p) p`,
//! `h(a, p) = 1 / (a p + 1 - a)`, where `a <= 0` follows from the margin.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A factor that is no margin.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum FactorError {
    /// The probability would have to be divided by 0, or by less.
    #[error("the modulating factor {0} is not below 1")]
    TooLarge(f64),
    /// There are other than one action a bin.
    #[error("{actions} actions for {edges} edges of bins: an action a bin is needed")]
    Bins {
        /// Actions given.
        actions: usize,
        /// Edges given, one more than bins.
        edges: usize,
    },
    /// The edges of bins do not rise.
    #[error("the edges of the bins do not rise from one to the next")]
    Edges,
}

/// `h(a, p) = 1 / (a p + b)`, with `b = 1 - a` wherever `a` is a margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    a: f64,
    b: f64,
}

impl Factor {
    /// No margin: `h = 1`.
    pub const NONE: Self = Self { a: 0.0, b: 1.0 };

    /// The factor `a`, a margin where it is negative.
    ///
    /// # Errors
    /// [`FactorError::TooLarge`] for 1 and more, and for what is no number.
    pub fn new(a: f64) -> Result<Self, FactorError> {
        match a < 1.0 && a.is_finite() {
            true => Ok(Self { a, b: 1.0 - a }),
            false => Err(FactorError::TooLarge(a)),
        }
    }

    /// What a sampled action stands for: `a = action · scale`. An action above 0, which the agent never takes, lowers the
    /// probability all the same, by `h = 1 / (a p + 1)`, as in the released code.
    ///
    /// # Errors
    /// [`FactorError::TooLarge`] for what is no number.
    pub fn of_action(action: f64, scale: f64) -> Result<Self, FactorError> {
        let a = action * scale;
        if !a.is_finite() {
            return Err(FactorError::TooLarge(a));
        }
        Ok(Self { a, b: if a <= 0.0 { 1.0 - a } else { 1.0 } })
    }

    /// The factor `a`.
    pub fn a(self) -> f64 {
        self.a
    }

    /// What is added to the logit of the true class: with it, cross entropy is `-ln p_m` up to [`Factor::offset`].
    ///
    /// `p_m = e^{z_y} / ((a + b) e^{z_y} + b Σ_{j≠y} e^{z_j})`, so the shift is `ln((a + b) / b)`; `-ln(1 - a)` for a
    /// margin.
    pub fn shift(self) -> f64 {
        self.offset() - self.b.ln()
    }

    /// What cross entropy on the shifted logits lacks to `-ln p_m`: `ln(a + b)`, 0 for every margin.
    pub fn offset(self) -> f64 {
        // 1 exactly for a margin, also where a + (1 - a) would be rounded.
        if self.b == 1.0 - self.a { 0.0 } else { (self.a + self.b).ln() }
    }

    /// `p_m = h(a, p) p` from the softmax probability `p`.
    pub fn apply(self, p: f64) -> f64 {
        // a p + b as (a + b) p + b (1 - p), which keeps its digits where p is near 1.
        p / (self.offset().exp() * p + self.b * (1.0 - p))
    }
}

/// Margins as functions of the angle of the true class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginFunction {
    /// `f = cos theta`: plain softmax.
    None,
    /// `f = cos theta - m`.
    Am(f64),
    /// `f = cos(theta + m)`.
    Arc(f64),
}

impl MarginFunction {
    /// The cosine with the margin, `f(m, theta)`.
    pub fn apply(self, cosine: f64) -> f64 {
        cosine - self.gap(cosine)
    }

    /// `cos theta - f(m, theta)`.
    fn gap(self, cosine: f64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Am(m) => m,
            Self::Arc(m) => {
                let sine = ((1.0 - cosine) * (1.0 + cosine)).max(0.0).sqrt();
                // cos c - cos(c + m) = 2 sin²(m/2) cos c + sin m sin c, which has no difference of near equals.
                2.0 * (0.5 * m).sin().powi(2) * cosine + m.sin() * sine
            }
        }
    }

    /// The modulating factor of the margin at scale `s`: `a = 1 - exp(s (cos theta - f(m, theta)))`.
    pub fn factor(self, cosine: f64, s: f64) -> f64 {
        -(s * self.gap(cosine)).exp_m1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_of_a_margin_reproduces_its_probability() {
        let s = 32f64;
        let negatives: [f64; 3] = [0.31, -0.4, 0.05];
        for margin in [
            MarginFunction::None,
            MarginFunction::Am(0.35),
            MarginFunction::Arc(0.5),
            MarginFunction::Arc(1e-6),
        ] {
            for step in 0..=200 {
                let cosine = f64::from(step) / 100.0 - 1.0;
                let others: f64 = negatives.iter().map(|c| (s * c).exp()).sum();
                let plain = (s * cosine).exp() / ((s * cosine).exp() + others);
                let wanted = (s * margin.apply(cosine)).exp() / ((s * margin.apply(cosine)).exp() + others);
                let factor = Factor::new(margin.factor(cosine, s)).unwrap();
                let got = factor.apply(plain);
                assert!((got - wanted).abs() <= 1e-6 * wanted, "{margin:?} at {cosine}: {got} for {wanted}");
            }
        }
    }

    #[test]
    fn a_constant_factor_is_a_constant_margin() {
        for (a, m) in [(-10.0, 0.075), (-1000.0, 0.216), (-10000.0, 0.288)] {
            assert!((-Factor::new(a).unwrap().shift() / 32.0 - m).abs() < 5e-4);
            assert!((MarginFunction::Am(m).factor(0.2, 32.0) / a - 1.0).abs() < 0.02);
        }
    }

    #[test]
    fn a_margin_lowers_the_probability_and_more_so_the_smaller_it_is() {
        for p in [1e-30, 0.1, 0.5, 0.999_999, 1.0] {
            let of = |a| Factor::new(a).unwrap().apply(p);
            assert_eq!(of(0.0), p);
            assert!(of(-1e4) <= of(-10.0) && of(-10.0) <= p && of(-1e4) > 0.0, "{p}");
        }
        assert_eq!(Factor::new(-1e4).unwrap().apply(1.0), 1.0);
    }

    #[test]
    fn what_is_no_factor_is_refused() {
        for a in [1.0, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(Factor::new(a), Err(FactorError::TooLarge(_))), "{a}");
        }
        assert!(Factor::of_action(f64::NAN, 1.0).is_err());
        // Above 0 an action still lowers the probability.
        assert!(Factor::of_action(0.5, 8.0).unwrap().apply(0.5) < 0.5);
    }
}

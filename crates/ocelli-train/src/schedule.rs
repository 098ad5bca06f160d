//! How the learning rate changes over training.

use serde::{Deserialize, Serialize};

/// A recipe's section `schedule`: how long to train, and the factor on the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Passes over the training data.
    pub epochs: usize,
    /// Where the data are so few that this many steps are not reached, everything that is counted in epochs is
    /// multiplied by the smallest whole number that reaches them.
    pub least_steps: u64,
    /// Epochs over which the rate rises linearly from 0; a fraction counts.
    pub warmup_epochs: f64,
    /// The shape after that.
    pub shape: Shape,
    /// For `step`: the epochs at which the rate drops; fractions count.
    pub milestones: Vec<f64>,
    /// For `step`: the factor of every drop.
    pub gamma: f64,
    /// For `poly`: the exponent.
    pub power: f64,
    /// For `cosine` and `poly`: the factor at the end.
    pub floor: f64,
}

/// The course of the rate after warming up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Always the same.
    Constant,
    /// Drops at milestones.
    Step,
    /// Half a cosine down to the floor.
    Cosine,
    /// (1 - progress)^power down to the floor.
    Poly,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            least_steps: 0,
            warmup_epochs: 0.0,
            shape: Shape::Cosine,
            milestones: Vec::new(),
            gamma: 0.1,
            power: 0.9,
            floor: 0.0,
        }
    }
}

impl ScheduleConfig {
    /// The factor on the learning rate at `step` (from 0), with `steps_per_epoch` steps an epoch.
    pub fn factor(&self, step: u64, steps_per_epoch: usize) -> f64 {
        let epoch = step as f64 / steps_per_epoch.max(1) as f64;
        if epoch < self.warmup_epochs {
            // The first step already moves.
            return (step + 1) as f64 / (self.warmup_epochs * steps_per_epoch as f64).max(1.0);
        }
        let span = (self.epochs as f64 - self.warmup_epochs).max(f64::MIN_POSITIVE);
        let progress = ((epoch - self.warmup_epochs) / span).clamp(0.0, 1.0);
        let above_floor = match self.shape {
            Shape::Constant => return 1.0,
            Shape::Step => {
                let drops = self.milestones.iter().filter(|&&m| epoch >= m).count();
                return self.gamma.powi(drops as i32);
            }
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Shape::Poly => (1.0 - progress).powf(self.power),
        };
        self.floor + (1.0 - self.floor) * above_floor
    }

    /// The number that everything counted in epochs is multiplied by to reach [`ScheduleConfig::least_steps`].
    pub fn stretch(&self, steps_per_epoch: usize) -> usize {
        let planned = (self.epochs * steps_per_epoch).max(1) as u64;
        usize::try_from(self.least_steps.div_ceil(planned)).unwrap_or(usize::MAX).max(1)
    }

    /// The same course over `factor` times as many epochs.
    #[must_use]
    pub fn stretched(&self, factor: usize) -> Self {
        let times = |epochs: f64| epochs * factor as f64;
        Self {
            epochs: self.epochs * factor,
            warmup_epochs: times(self.warmup_epochs),
            milestones: self.milestones.iter().copied().map(times).collect(),
            ..self.clone()
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        if self.epochs == 0 {
            return Err("schedule.epochs: 0 trains nothing".to_owned());
        }
        if self.least_steps > 100_000_000 {
            return Err(format!("schedule.least_steps: {} is beyond a hundred million", self.least_steps));
        }
        if !(0.0..=self.epochs as f64).contains(&self.warmup_epochs) {
            return Err(format!("schedule.warmup_epochs: {} is outside 0 to epochs", self.warmup_epochs));
        }
        if !self.milestones.is_sorted() {
            return Err("schedule.milestones: must rise".to_owned());
        }
        if self.shape == Shape::Step && self.milestones.is_empty() {
            return Err("schedule.milestones: shape `step` needs some".to_owned());
        }
        for (key, value) in [("gamma", self.gamma), ("floor", self.floor)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("schedule.{key}: {value} is outside 0 to 1"));
            }
        }
        match self.power.is_finite() && self.power > 0.0 {
            true => Ok(()),
            false => Err(format!("schedule.power: {} is not above 0", self.power)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let base = ScheduleConfig { epochs: 10, ..Default::default() };
        assert_eq!(base.factor(0, 10), 1.0);
        assert!((base.factor(50, 10) - 0.5).abs() < 1e-12);
        assert!(base.factor(100, 10) < 1e-12);
        let step = ScheduleConfig { shape: Shape::Step, milestones: vec![2.0, 4.5], ..base.clone() };
        let factors = [0, 19, 20, 44, 45].map(|s| step.factor(s, 10));
        assert_eq!(factors, [1.0, 1.0, 0.1, 0.1, 0.1f64.powi(2)]);
        let poly = ScheduleConfig { shape: Shape::Poly, power: 2.0, ..base.clone() };
        assert!((poly.factor(50, 10) - 0.25).abs() < 1e-12);
        let warm = ScheduleConfig { warmup_epochs: 1.0, shape: Shape::Constant, ..base };
        assert_eq!([0, 4, 9, 10].map(|s| warm.factor(s, 10)), [0.1, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn few_data_stretch_the_course() {
        let base = ScheduleConfig { epochs: 8, least_steps: 400, warmup_epochs: 0.5, ..Default::default() };
        assert_eq!(base.stretch(60), 1);
        assert_eq!(base.stretch(4), 13);
        let long = base.stretched(13);
        assert_eq!((long.epochs, long.warmup_epochs), (104, 6.5));
        assert!((long.factor(208, 4) - base.factor(160, 40)).abs() < 1e-12);
    }

    #[test]
    fn nonsense_is_named() {
        let config = ScheduleConfig { milestones: vec![3.0, 1.0], ..Default::default() };
        assert!(config.validate().unwrap_err().starts_with("schedule.milestones"));
    }
}

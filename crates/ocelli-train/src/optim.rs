//! Optimisers with PyTorch's arithmetic, over the parameters of any number of stores.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use ocelli_method::{Array, ArrayError};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Entry, Gradients, Role};
use serde::{Deserialize, Serialize};

/// Which optimiser, with its settings; a recipe's section `optimizer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent; weight decay is added to the gradient.
    Sgd {
        /// Learning rate at the start of the schedule.
        #[serde(default = "defaults::sgd_rate")]
        lr: f64,
        /// Share of the previous direction that is kept.
        #[serde(default = "defaults::momentum")]
        momentum: f64,
        /// Nesterov's look-ahead.
        #[serde(default)]
        nesterov: bool,
        /// L2 penalty; normalisation layers are exempt.
        #[serde(default = "defaults::weight_decay")]
        weight_decay: f64,
    },
    /// Adam; weight decay is added to the gradient.
    Adam {
        /// Learning rate at the start of the schedule.
        #[serde(default = "defaults::adam_rate")]
        lr: f64,
        /// Decay rates of the two moments.
        #[serde(default = "defaults::betas")]
        betas: [f64; 2],
        /// Added to the root of the second moment.
        #[serde(default = "defaults::epsilon")]
        epsilon: f64,
        /// L2 penalty; normalisation layers are exempt.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).
    AdamW {
        /// Learning rate at the start of the schedule.
        #[serde(default = "defaults::adam_rate")]
        lr: f64,
        /// Decay rates of the two moments.
        #[serde(default = "defaults::betas")]
        betas: [f64; 2],
        /// Added to the root of the second moment.
        #[serde(default = "defaults::epsilon")]
        epsilon: f64,
        /// Share of each weight that is taken off per unit of learning rate; normalisation layers are exempt.
        #[serde(default = "defaults::decoupled_decay")]
        weight_decay: f64,
    },
}

mod defaults {
    pub(super) fn sgd_rate() -> f64 {
        0.1
    }
    pub(super) fn momentum() -> f64 {
        0.9
    }
    pub(super) fn weight_decay() -> f64 {
        5e-4
    }
    pub(super) fn adam_rate() -> f64 {
        1e-3
    }
    pub(super) fn betas() -> [f64; 2] {
        [0.9, 0.999]
    }
    pub(super) fn epsilon() -> f64 {
        1e-8
    }
    pub(super) fn decoupled_decay() -> f64 {
        1e-2
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Sgd {
            lr: defaults::sgd_rate(),
            momentum: defaults::momentum(),
            nesterov: false,
            weight_decay: defaults::weight_decay(),
        }
    }
}

impl OptimizerConfig {
    /// The name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
        }
    }

    /// Learning rate at the start of the schedule.
    pub fn rate(&self) -> f64 {
        match self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } | Self::AdamW { lr, .. } => *lr,
        }
    }

    fn weight_decay(&self) -> f64 {
        match self {
            Self::Sgd { weight_decay, .. }
            | Self::Adam { weight_decay, .. }
            | Self::AdamW { weight_decay, .. } => *weight_decay,
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let positive = |key: &str, v: f64| match v.is_finite() && v > 0.0 {
            true => Ok(()),
            false => Err(format!("optimizer.{key}: {v} is not above 0")),
        };
        let share = |key: &str, v: f64| match (0.0..1.0).contains(&v) {
            true => Ok(()),
            false => Err(format!("optimizer.{key}: {v} is outside 0 to 1")),
        };
        positive("lr", self.rate())?;
        let decay = self.weight_decay();
        if !decay.is_finite() || decay < 0.0 {
            return Err(format!("optimizer.weight_decay: {decay} is below 0"));
        }
        match self {
            Self::Sgd { momentum, nesterov, .. } => {
                if *nesterov && *momentum == 0.0 {
                    return Err("optimizer.nesterov: needs a momentum".to_owned());
                }
                share("momentum", *momentum)
            }
            Self::Adam { betas, epsilon, .. } | Self::AdamW { betas, epsilon, .. } => {
                share("betas", betas[0])?;
                share("betas", betas[1])?;
                positive("epsilon", *epsilon)
            }
        }
    }
}

/// Which share of the weight decay a parameter gets: 0 does not decay.
pub type DecayRule = fn(&Entry) -> f64;

/// Everything but the scale and shift of normalisations decays, biases and slopes too: the rule of most published
/// face-recognition code.
pub fn decay_all_but_norms(entry: &Entry) -> f64 {
    if entry.role() == Role::Norm { 0.0 } else { 1.0 }
}

/// Everything decays.
pub fn decay_all(_: &Entry) -> f64 {
    1.0
}

/// An optimiser with its memory of past gradients.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    decays: DecayRule,
    memory: BTreeMap<String, Memory>,
}

/// What an optimiser remembers of one parameter.
#[derive(Clone, Debug)]
struct Memory {
    /// Updates so far.
    steps: u64,
    first: Tensor<1>,
    /// Adam's second moment.
    second: Option<Tensor<1>>,
}

impl Optimizer {
    /// An optimiser without memory.
    pub fn new(config: OptimizerConfig, decays: DecayRule) -> Self {
        Self { config, decays, memory: BTreeMap::new() }
    }

    /// Moves every parameter that has a gradient, at learning rate `lr`.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) {
        let (weight_decay, share) = (self.config.weight_decay(), self.decays);
        self.step_decayed(gradients, lr, |entry| weight_decay * share(entry));
    }

    /// Moves every parameter that has a gradient, at learning rate `lr`, each with a weight decay of its own.
    pub fn step_decayed(&mut self, gradients: &Gradients, lr: f64, decay: impl Fn(&Entry) -> f64) {
        for (entry, gradient) in gradients.iter() {
            let decay = decay(entry);
            let memory = self.memory.remove(&entry.key());
            let value = entry.plain();
            let (value, memory) = update(&self.config, value, gradient.clone(), memory, decay, lr);
            entry.set(value);
            if let Some(memory) = memory {
                self.memory.insert(entry.key(), memory);
            }
        }
    }

    /// The memory as arrays by name, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Array)> {
        let mut state = Vec::new();
        for (key, memory) in &self.memory {
            state.push((format!("{key}#steps"), Array::integers([memory.steps as i64])));
            state.push((format!("{key}#first"), Array::vector(values(memory.first.clone()))));
            if let Some(second) = &memory.second {
                state.push((format!("{key}#second"), Array::vector(values(second.clone()))));
            }
        }
        state
    }

    /// Restores what [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// [`ArrayError`] when an array is of the wrong kind.
    pub fn load(
        &mut self,
        state: &[(String, Array)],
        device: &burn::tensor::Device,
    ) -> Result<(), ArrayError> {
        let tensor = |array: &Array| {
            let values = array.as_f32()?.to_vec();
            let n = values.len();
            Ok::<_, ArrayError>(from_values(values, [n], device))
        };
        let find = |name: String| state.iter().find(|(n, _)| *n == name).map(|(_, a)| a);
        self.memory.clear();
        for (name, array) in state {
            let Some(key) = name.strip_suffix("#first") else { continue };
            let steps =
                find(format!("{key}#steps")).map(|a| a.as_i64().map(|v| v.first().copied())).transpose()?;
            let second = find(format!("{key}#second")).map(tensor).transpose()?;
            let steps = steps.flatten().unwrap_or_default().max(0) as u64;
            self.memory.insert(key.to_owned(), Memory { steps, first: tensor(array)?, second });
        }
        Ok(())
    }
}

/// One parameter's new value and memory.
fn update(
    config: &OptimizerConfig,
    value: Tensor<1>,
    gradient: Tensor<1>,
    memory: Option<Memory>,
    decay: f64,
    lr: f64,
) -> (Tensor<1>, Option<Memory>) {
    let penalised = |gradient: Tensor<1>, value: &Tensor<1>| match decay {
        0.0 => gradient,
        decay => gradient.add(value.clone().mul_scalar(decay)),
    };
    match *config {
        OptimizerConfig::Sgd { momentum, nesterov, .. } => {
            let gradient = penalised(gradient, &value);
            if momentum == 0.0 {
                return (value.sub(gradient.mul_scalar(lr)), None);
            }
            let steps = memory.as_ref().map_or(0, |m| m.steps) + 1;
            // The first direction is the gradient itself, not a blend with zero.
            let first = match memory {
                Some(m) => m.first.mul_scalar(momentum).add(gradient.clone()),
                None => gradient.clone(),
            };
            let direction =
                if nesterov { gradient.add(first.clone().mul_scalar(momentum)) } else { first.clone() };
            (value.sub(direction.mul_scalar(lr)), Some(Memory { steps, first, second: None }))
        }
        OptimizerConfig::Adam { betas, epsilon, .. } => {
            let gradient = penalised(gradient, &value);
            adam(value, gradient, memory, betas, epsilon, lr)
        }
        OptimizerConfig::AdamW { betas, epsilon, .. } => {
            let value = value.mul_scalar(1.0 - lr * decay);
            adam(value, gradient, memory, betas, epsilon, lr)
        }
    }
}

/// Bias-corrected moments; epsilon outside the root.
fn adam(
    value: Tensor<1>,
    gradient: Tensor<1>,
    memory: Option<Memory>,
    betas: [f64; 2],
    epsilon: f64,
    lr: f64,
) -> (Tensor<1>, Option<Memory>) {
    let (steps, first, second) = match memory {
        Some(Memory { steps, first, second }) => {
            let second = second.unwrap_or_else(|| first.zeros_like());
            (steps + 1, first, second)
        }
        None => (1, gradient.zeros_like(), gradient.zeros_like()),
    };
    let [b1, b2] = betas;
    let first = first.mul_scalar(b1).add(gradient.clone().mul_scalar(1.0 - b1));
    let second = second.mul_scalar(b2).add(gradient.square().mul_scalar(1.0 - b2));
    let exponent = i32::try_from(steps).unwrap_or(i32::MAX);
    let rate = lr / (1.0 - b1.powi(exponent));
    let correction = (1.0 - b2.powi(exponent)).sqrt();
    let root = second.clone().sqrt().div_scalar(correction).add_scalar(epsilon);
    let value = value.sub(first.clone().div(root).mul_scalar(rate));
    (value, Some(Memory { steps, first, second: Some(second) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::{Init, Store};

    /// Minimises w² / 2 from w = 1; its gradient is w.
    fn course(config: OptimizerConfig, steps: usize) -> Vec<f32> {
        let device = ocelli_nn::device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let w = store.root().param("w", &[1], Init::Ones, Role::Kernel);
        let mut optimizer = Optimizer::new(config.clone(), decay_all);
        (0..steps)
            .map(|_| {
                store.track();
                let gradients = store.backward(&w.value::<1>().square().mul_scalar(0.5).sum());
                optimizer.step(&gradients, config.rate());
                w.entry().to_array().to_f32()[0]
            })
            .collect()
    }

    fn close(got: Vec<f32>, want: &[f64]) {
        for (g, w) in got.iter().zip(want) {
            assert!((f64::from(*g) - w).abs() < 1e-6, "{got:?} against {want:?}");
        }
    }

    #[test]
    fn sgd_follows_the_formula() {
        let config = OptimizerConfig::Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.01 };
        // v1 = 1.01, w1 = 0.899; v2 = 0.9 * 1.01 + 1.01 * 0.899.
        let w1 = 1.0 - 0.1 * 1.01;
        let w2 = w1 - 0.1 * (0.9 * 1.01 + 1.01 * w1);
        close(course(config, 2), &[w1, w2]);
    }

    #[test]
    fn nesterov_looks_ahead() {
        let config = OptimizerConfig::Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.0 };
        close(course(config, 1), &[1.0 - 0.1 * 1.9]);
    }

    #[test]
    fn adam_moves_by_the_rate_at_first() {
        let config = OptimizerConfig::Adam { lr: 0.1, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 };
        close(course(config, 1), &[0.9]);
        let config =
            OptimizerConfig::AdamW { lr: 0.1, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.5 };
        close(course(config, 1), &[0.95 - 0.1]);
    }

    #[test]
    fn memory_survives_a_checkpoint() {
        for config in [
            OptimizerConfig::default(),
            OptimizerConfig::Adam { lr: 0.1, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 },
        ] {
            let device = ocelli_nn::device("cpu").unwrap();
            let store = Store::labelled(&device, 0, "net");
            let w = store.root().param("w", &[2], Init::Ones, Role::Kernel);
            let mut one = Optimizer::new(config.clone(), decay_all);
            let gradients = || {
                store.track();
                store.backward(&w.value::<1>().square().sum())
            };
            one.step(&gradients(), 0.1);
            let mut two = Optimizer::new(config, decay_all);
            two.load(&one.state(), &device).unwrap();
            assert_eq!(one.state(), two.state());
            let g = gradients();
            let before = w.entry().plain();
            one.step(&g, 0.1);
            let after = w.entry().to_array();
            w.entry().set(before);
            two.step(&g, 0.1);
            assert_eq!(after, w.entry().to_array());
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let config = OptimizerConfig::Sgd { lr: 0.0, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        assert_eq!(config.validate().unwrap_err(), "optimizer.lr: 0 is not above 0");
    }
}

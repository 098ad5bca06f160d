//! Optimisers with PyTorch's arithmetic, over the parameters of any number of stores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::Tensor;
use ocelli_method::{Array, ArrayError};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::update::{Moving, Rule, update};
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
        let mut batch = Batch::default();
        for (entry, gradient) in gradients.iter() {
            let key = entry.key();
            if batch.keys.contains(&key) {
                // Moved twice in a step: the second time from where the first one led.
                std::mem::take(&mut batch).apply(&mut self.memory);
            }
            let memory = self.memory.remove(&key);
            let steps = memory.as_ref().map_or(0, |memory| memory.steps) + 1;
            let rule = rule(&self.config, decay(entry), lr, steps);
            let moments = moments(memory, rule.moments(), gradient);
            let moving = Moving { rule, value: entry.take(), gradient: gradient.clone(), moments };
            batch.add(key, entry.clone(), steps, moving);
        }
        batch.apply(&mut self.memory);
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

/// Parameters that move together.
#[derive(Default)]
struct Batch {
    keys: BTreeSet<String>,
    /// Key, entry and updates including this one.
    owners: Vec<(String, Arc<Entry>, u64)>,
    moving: Vec<Moving>,
}

impl Batch {
    fn add(&mut self, key: String, entry: Arc<Entry>, steps: u64, moving: Moving) {
        self.keys.insert(key.clone());
        self.owners.push((key, entry, steps));
        self.moving.push(moving);
    }

    /// Moves them all, and keeps what is to be remembered.
    fn apply(mut self, memory: &mut BTreeMap<String, Memory>) {
        update(&mut self.moving);
        for ((key, entry, steps), moving) in self.owners.into_iter().zip(self.moving) {
            entry.set(moving.value);
            let mut moments = moving.moments.into_iter();
            if let Some(first) = moments.next() {
                memory.insert(key, Memory { steps, first, second: moments.next() });
            }
        }
    }
}

/// The moments remembered, `count` of them, or else zeros: an average that starts from nothing.
fn moments(memory: Option<Memory>, count: usize, gradient: &Tensor<1>) -> Vec<Tensor<1>> {
    let remembered = memory.into_iter().flat_map(|memory| std::iter::once(memory.first).chain(memory.second));
    let mut moments: Vec<Tensor<1>> = remembered.take(count).collect();
    moments.resize_with(count, || gradient.zeros_like());
    moments
}

/// How a parameter moves in its update number `steps`.
fn rule(config: &OptimizerConfig, decay: f64, lr: f64, steps: u64) -> Rule {
    let adam = |betas: [f64; 2], epsilon: f64, decay: f64, keep: f64| {
        let exponent = i32::try_from(steps).unwrap_or(i32::MAX);
        let [first, second] = betas.map(|beta| 1.0 - beta.powi(exponent));
        Rule::Adam { rate: lr / first, decay, keep, betas, correction: second.sqrt(), epsilon }
    };
    match *config {
        OptimizerConfig::Sgd { momentum: 0.0, .. } => Rule::Descent { rate: lr, decay },
        OptimizerConfig::Sgd { momentum, nesterov, .. } => {
            Rule::Momentum { rate: lr, decay, momentum, nesterov }
        }
        OptimizerConfig::Adam { betas, epsilon, .. } => adam(betas, epsilon, decay, 1.0),
        OptimizerConfig::AdamW { betas, epsilon, .. } => adam(betas, epsilon, 0.0, 1.0 - lr * decay),
    }
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

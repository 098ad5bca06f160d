//! The agent: a Gaussian over factors whose mean follows the reward (REINFORCE, section 3.4), and its memory.

use burn::tensor::Tensor;
use ocelli_method::random::stream;
use ocelli_method::{Array, ArrayError};
use ocelli_nn::tensor::{from_values, scalar, values};
use ocelli_nn::{Init, Param, Path, Role, Store, normal};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Settings of the agent; the released ones by default, but for `rectify_first`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// Standard deviation of the actions.
    pub sigma: f64,
    /// Learning rate of the mean.
    pub eta: f64,
    /// Decay rates of Adam's two moments.
    pub betas: [f64; 2],
    /// Adam's epsilon.
    pub epsilon: f64,
    /// Where the mean starts.
    pub mu0: f64,
    /// Whether the first mean passes a ReLU before it is used, as in the released code. With `mu0` at 0 its gradient is
    /// then 0 for ever, and the search is best-of-B selection under a fixed half-normal.
    pub rectify_first: bool,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { sigma: 0.2, eta: 0.05, betas: [0.5, 0.999], epsilon: 1e-8, mu0: 0.0, rectify_first: false }
    }
}

/// Why an agent cannot learn from what it is given.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum AgentError {
    /// There are no models to compare.
    #[error("there is no model to reward")]
    NoModels,
    /// A reward is no number.
    #[error("the reward of model {model} is {reward}")]
    Reward {
        /// The model, from 0.
        model: usize,
        /// Its reward.
        reward: f64,
    },
    /// There are other than `dimensions` actions for each model.
    #[error("{found} actions where {models} models of {dimensions} each were rewarded")]
    Actions {
        /// Actions given.
        found: usize,
        /// Rewards given.
        models: usize,
        /// Actions of a model.
        dimensions: usize,
    },
    /// The stored memory is not the agent's.
    #[error("the agent's memory: {0}")]
    Memory(#[from] ArrayError),
}

impl AgentConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no search could run with.
    pub fn validate(&self) -> Result<(), String> {
        let positive = |key: &str, v: f64| match v.is_finite() && v > 0.0 {
            true => Ok(()),
            false => Err(format!("{key}: {v} is not above 0")),
        };
        positive("sigma", self.sigma)?;
        positive("eta", self.eta)?;
        positive("epsilon", self.epsilon)?;
        if let Some(beta) = self.betas.iter().find(|b| !(0.0..1.0).contains(*b)) {
            return Err(format!("betas: {beta} is outside 0 to 1"));
        }
        match self.mu0.is_finite() {
            true => Ok(()),
            false => Err(format!("mu0: {} is no number", self.mu0)),
        }
    }

    fn adam(&self) -> OptimizerConfig {
        let Self { eta, betas, epsilon, .. } = *self;
        OptimizerConfig::Adam { lr: eta, betas, epsilon, weight_decay: 0.0 }
    }
}

/// What a round of rewards came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What each model is better than the mean of all, the spread being 2.
    pub advantages: Vec<f64>,
    /// The model of the highest reward, the first of equals.
    pub best: usize,
}

impl Judgement {
    /// Compares the `rewards` of the models: `A = 2 (R - mean R) / (max R - min R + 1e-6)`. Where all are equal,
    /// nobody is better.
    ///
    /// # Errors
    /// [`AgentError`] when there are none, or one is no number.
    pub fn of(rewards: &[f64]) -> Result<Self, AgentError> {
        if let Some((model, &reward)) = rewards.iter().enumerate().find(|(_, r)| !r.is_finite()) {
            return Err(AgentError::Reward { model, reward });
        }
        let best = (0..rewards.len()).reduce(|best, i| if rewards[i] > rewards[best] { i } else { best });
        let best = best.ok_or(AgentError::NoModels)?;
        // In single precision, as the release does: accuracies that differ in the fourth place lose digits here.
        let rewards: Vec<f32> = rewards.iter().map(|&r| r as f32).collect();
        let lowest = rewards.iter().copied().fold(f32::INFINITY, f32::min);
        let spread = rewards[best] - lowest;
        let mean = rewards.iter().sum::<f32>() / rewards.len() as f32;
        let advantage = |r: &f32| match spread {
            // A mean that is rounded would make all of them better or worse than itself.
            0.0 => 0.0,
            spread => f64::from((r - mean) / (spread + 1e-6) * 2.0),
        };
        let advantages = rewards.iter().map(advantage).collect();
        Ok(Self { advantages, best })
    }
}

/// The agent. All that it remembers stands in its store: `mu [n]`, Adam's moments, and the number of updates.
#[derive(Clone, Debug)]
pub struct Agent {
    config: AgentConfig,
    store: Store,
    mu: Param,
    first: Param,
    second: Param,
    updates: Param,
}

impl Agent {
    /// An agent of `dimensions` factors at `path`, in a store of its own that no other optimiser trains.
    pub fn new(path: &Path, dimensions: usize, config: AgentConfig) -> Self {
        let moment = |name| path.buffer(name, &[dimensions], Init::Zeros);
        Self {
            config,
            store: path.store().clone(),
            mu: path.param("mu", &[dimensions], Init::Constant(config.mu0 as f32), Role::Other),
            first: moment("first_moment"),
            second: moment("second_moment"),
            updates: path.counter("updates"),
        }
    }

    /// The mean before it is rectified, one value a dimension.
    pub fn mu(&self) -> Vec<f64> {
        values(self.mu.entry().plain()).into_iter().map(f64::from).collect()
    }

    /// The mean that actions are drawn around.
    fn mean(&self) -> Tensor<1> {
        let mu = self.mu.value::<1>();
        if !self.config.rectify_first {
            return mu;
        }
        let n = mu.dims()[0];
        let first = ocelli_nn::ops::activation::relu(mu.clone().slice(0..1));
        if n == 1 { first } else { Tensor::cat(vec![first, mu.slice(1..n)], 0) }
    }

    /// The actions of `models` models in round `round`: `-|u|`, `u` normal around the mean. Drawn from a stream of its
    /// own, so that a resumed search takes the same.
    pub fn sample(&self, models: usize, seed: u64, round: u64) -> Vec<Vec<f64>> {
        let mean = values(self.mean().without_autodiff());
        let g = &mut stream(seed, "search-softmax.actions", round);
        (0..models)
            .map(|_| {
                let noise = normal(mean.len(), self.config.sigma, g);
                mean.iter().zip(noise).map(|(&m, u)| -f64::from((m + u).abs())).collect()
            })
            .collect()
    }

    /// Moves the mean by one step of Adam along `(1/B) Σ_i A_i ∇ Σ_j ln g(a_ij; mu_j, sigma)`, `g` being the density
    /// at the actions themselves. `actions` holds those of model after model; several rounds since the last update
    /// may follow one another, each with all models.
    ///
    /// # Errors
    /// [`AgentError`] when rewards and actions do not fit.
    pub fn learn(&self, actions: &[Vec<f64>], rewards: &[f64]) -> Result<Judgement, AgentError> {
        let judgement = Judgement::of(rewards)?;
        let (models, dimensions) = (rewards.len(), self.mu.entry().len());
        let taken: Vec<f32> = actions.iter().flatten().map(|&a| a as f32).collect();
        let fits = !actions.is_empty() && actions.len().is_multiple_of(models);
        if !fits || actions.iter().any(|a| a.len() != dimensions) {
            return Err(AgentError::Actions { found: taken.len(), models, dimensions });
        }
        let device = self.mu.entry().plain().device();
        self.store.track();
        let taken = from_values(taken, [actions.len(), dimensions], &device);
        let weights = judgement.advantages.iter().cycle().take(actions.len());
        let weights: Vec<f32> = weights.map(|a| (a / models as f64) as f32).collect();
        let weights = from_values(weights, [actions.len(), 1], &device);
        let distance = (taken - self.mean().unsqueeze()).div_scalar(self.config.sigma);
        // The normalisation of the density does not depend on the mean.
        let log_density = distance.square().mul_scalar(-0.5).sum_dim(1);
        let gradients = self.store.backward(&(log_density * weights).sum().neg());

        let mut adam = Optimizer::new(self.config.adam(), decay_all);
        self.remember(&mut adam)?;
        adam.step(&gradients, self.config.eta);
        for (name, array) in adam.state() {
            let entry = match name.rsplit_once('#') {
                Some((_, "first")) => self.first.entry(),
                Some((_, "second")) => self.second.entry(),
                _ => self.updates.entry(),
            };
            entry.set(from_values(array.to_f32(), [entry.len()], &device));
        }
        Ok(judgement)
    }

    /// Gives Adam the moments of the updates so far.
    fn remember(&self, adam: &mut Optimizer) -> Result<(), ArrayError> {
        let updates = scalar(self.updates.entry().plain()) as i64;
        if updates == 0 {
            return Ok(());
        }
        let key = self.mu.entry().key();
        let memory = [
            (format!("{key}#steps"), Array::integers([updates])),
            (format!("{key}#first"), self.first.entry().to_array()),
            (format!("{key}#second"), self.second.entry().to_array()),
        ];
        adam.load(&memory, self.store.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(dimensions: usize, config: AgentConfig) -> (Agent, Store) {
        let store = Store::labelled(&ocelli_nn::device("cpu").unwrap(), 0, "search");
        (Agent::new(&store.root(), dimensions, config), store)
    }

    #[test]
    fn the_mean_goes_to_where_the_reward_is() {
        let (agent, _) = agent(1, AgentConfig::default());
        for round in 0..40 {
            let actions = agent.sample(4, 3, round);
            let rewards: Vec<f64> = actions.iter().map(|a| -(a[0] + 0.7).abs()).collect();
            agent.learn(&actions, &rewards).unwrap();
        }
        assert!((agent.mu()[0] + 0.7).abs() < 0.2, "{:?}", agent.mu());
    }

    #[test]
    fn a_rectified_mean_at_zero_never_moves() {
        let config = AgentConfig { rectify_first: true, ..AgentConfig::default() };
        let (agent, _) = agent(3, config);
        for round in 0..5 {
            let actions = agent.sample(4, 0, round);
            agent.learn(&actions, &[0.1, 0.4, 0.2, 0.3]).unwrap();
        }
        let mu = agent.mu();
        assert_eq!(mu[0], 0.0);
        assert!(mu[1] != 0.0 && mu[2] != 0.0);
    }

    #[test]
    fn equal_rewards_move_nothing() {
        let (agent, _) = agent(2, AgentConfig::default());
        let actions = agent.sample(3, 0, 0);
        let judgement = agent.learn(&actions, &[0.97; 3]).unwrap();
        assert_eq!(judgement, Judgement { advantages: vec![0.0; 3], best: 0 });
        assert_eq!(agent.mu(), [0.0; 2]);
    }

    #[test]
    fn the_store_holds_all_that_is_remembered() {
        let (a, from) = agent(2, AgentConfig::default());
        let rewards = [0.3, 0.1, 0.2];
        a.learn(&a.sample(3, 5, 0), &rewards).unwrap();
        let (b, to) = agent(2, AgentConfig::default());
        to.load_all(&from.state()).unwrap();
        for round in 1..4 {
            assert_eq!(a.sample(3, 5, round), b.sample(3, 5, round));
            a.learn(&a.sample(3, 5, round), &rewards).unwrap();
            b.learn(&b.sample(3, 5, round), &rewards).unwrap();
        }
        assert_eq!(from.state(), to.state());
    }

    #[test]
    fn what_cannot_be_learned_from_is_refused() {
        let (agent, _) = agent(2, AgentConfig::default());
        let actions = agent.sample(2, 0, 0);
        assert_eq!(agent.learn(&[], &[]), Err(AgentError::NoModels));
        assert!(matches!(agent.learn(&actions, &[0.0, f64::NAN]), Err(AgentError::Reward { model: 1, .. })));
        assert!(matches!(agent.learn(&actions, &[0.0; 3]), Err(AgentError::Actions { .. })));
        assert!(matches!(agent.learn(&[vec![0.1], vec![0.2]], &[0.0; 2]), Err(AgentError::Actions { .. })));
        let bad = AgentConfig { sigma: 0.0, ..AgentConfig::default() };
        assert!(bad.validate().unwrap_err().starts_with("sigma"));
        assert!(AgentConfig::default().validate().is_ok());
    }
}

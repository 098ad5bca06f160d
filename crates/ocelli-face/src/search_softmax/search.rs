//! The search over a training: which factor each copy of the network trains with, and what follows from the rewards.

use ocelli_nn::{Path, Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::agent::{Agent, AgentConfig, AgentError, Judgement};
use super::loss::Factors;
use super::modulating::{Factor, FactorError};

/// How many bins of probability the local mode has.
const BINS: usize = 10;

/// What is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// One factor for all samples.
    #[default]
    Global,
    /// A factor for each tenth of the probability of the true class.
    Local,
}

impl SearchMode {
    /// Number of actions.
    pub fn actions(self) -> usize {
        match self {
            Self::Global => 1,
            Self::Local => BINS,
        }
    }

    /// What actions are multiplied by at scale `s` of the logits: `e^{s/3}` or `e^{s/2}`.
    pub fn scale(self, s: f64) -> f64 {
        match self {
            Self::Global => (s / 3.0).exp(),
            Self::Local => (s / 2.0).exp(),
        }
    }

    /// What an action of a bin is called in logs.
    pub fn name(self, what: &str, bin: usize) -> String {
        match self {
            Self::Global => what.to_owned(),
            Self::Local => format!("{what}.{bin}"),
        }
    }

    /// What the `actions` of one model stand for at scale `s` of the logits.
    ///
    /// # Errors
    /// [`FactorError`] when there are not as many as the mode has, or one is no number.
    pub fn factors(self, actions: &[f64], s: f64) -> Result<Factors, FactorError> {
        let edges: Vec<f64> = (0..=BINS).map(|i| i as f64 / BINS as f64).collect();
        match (self, actions) {
            (Self::Global, [action]) => Factor::of_action(*action, self.scale(s)).map(Factors::Global),
            (Self::Global, _) => Err(FactorError::Bins { actions: actions.len(), edges: 2 }),
            (Self::Local, _) => Factors::local(actions, &edges, self.scale(s)),
        }
    }
}

/// By what the copies are compared, on people that are not trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reward {
    /// Verification accuracy in the protocol of LFW, as published.
    #[default]
    Accuracy,
    /// The sum of the true-accept rates at false-accept rates 1e-2 and 1e-3 on all pairs: finer where there are few
    /// people.
    Tar,
}

/// Settings of the search; the released ones by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Scale of the logits.
    pub s: f64,
    /// What is searched.
    pub mode: SearchMode,
    /// Copies of the network that are trained side by side.
    pub copies: usize,
    /// Epochs at the start that all copies train with the action -1, unrewarded.
    pub warm_up: usize,
    /// People of the training set that rewards are measured on instead; 0 holds out a tenth.
    pub held_out: usize,
    /// By what the copies are compared.
    pub reward: Reward,
    /// The agent.
    pub agent: AgentConfig,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            s: 32.0,
            mode: SearchMode::Global,
            copies: 4,
            warm_up: 2,
            held_out: 0,
            reward: Reward::Accuracy,
            agent: AgentConfig::default(),
        }
    }
}

impl SearchConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no search could run with.
    pub fn validate(&self) -> Result<(), String> {
        // Beyond it e^{s/2} is no number in single precision.
        if !(self.s > 0.0 && self.s <= LARGEST_SCALE) {
            return Err(format!("s: {} is not above 0 and at most {LARGEST_SCALE}", self.s));
        }
        if !(2..=MOST_COPIES).contains(&self.copies) {
            return Err(format!("copies: {} is outside 2 to {MOST_COPIES}", self.copies));
        }
        self.agent.validate().map_err(|e| format!("agent.{e}"))
    }
}

const LARGEST_SCALE: f64 = 160.0;

/// Copies beyond which a search is a mistake rather than a wish.
const MOST_COPIES: usize = 64;

/// Why a search cannot go on.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The agent cannot learn.
    #[error("the search's agent: {0}")]
    Agent(#[from] AgentError),
    /// An action stands for no factor.
    #[error("the search's factors: {0}")]
    Factor(#[from] FactorError),
    /// The copies are not of one network.
    #[error("the search's copies: {0}")]
    Copies(#[from] StoreError),
}

/// A search under way. Its state is the agent's; what is drawn depends on it, the seed and the epoch alone.
#[derive(Clone, Debug)]
pub struct Search {
    config: SearchConfig,
    seed: u64,
    agent: Agent,
}

impl Search {
    /// A search whose agent lives at `path`, in a store of its own.
    pub fn new(path: &Path, config: SearchConfig, seed: u64) -> Self {
        Self { agent: Agent::new(path, config.mode.actions(), config.agent), config, seed }
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Whether the copies are compared after `epoch`, counted from 0.
    pub fn rewards(&self, epoch: usize) -> bool {
        epoch >= self.config.warm_up
    }

    /// The actions of each copy in `epoch`.
    pub fn actions(&self, epoch: usize) -> Vec<Vec<f64>> {
        if self.rewards(epoch) {
            return self.agent.sample(self.config.copies, self.seed, epoch as u64);
        }
        let mut actions = vec![0.0; self.config.mode.actions()];
        actions[0] = -1.0;
        vec![actions; self.config.copies]
    }

    /// What each copy trains with in `epoch`.
    ///
    /// # Errors
    /// [`SearchError::Factor`] when the agent's mean is no number.
    pub fn factors(&self, epoch: usize) -> Result<Vec<Factors>, SearchError> {
        let of = |actions: &Vec<f64>| self.config.mode.factors(actions, self.config.s);
        Ok(self.actions(epoch).iter().map(of).collect::<Result<_, _>>()?)
    }

    /// Tells the agent how the copies did in `epoch`, one reward each, higher being better.
    ///
    /// # Errors
    /// [`SearchError::Agent`] when a reward is no number.
    pub fn learn(&self, epoch: usize, rewards: &[f64]) -> Result<Judgement, SearchError> {
        Ok(self.agent.learn(&self.actions(epoch), rewards)?)
    }
}

/// Gives all copies the parameters and buffers of the best; `copies` holds the stores of each.
///
/// # Errors
/// [`SearchError::Copies`] when they are not of one network.
pub fn broadcast(copies: &[Vec<Store>], best: usize) -> Result<(), SearchError> {
    for (_, copy) in copies.iter().enumerate().filter(|(i, _)| *i != best) {
        for (store, from) in copy.iter().zip(&copies[best]) {
            store.average_from(from, 0.0)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::{Init, Role};

    fn search(config: SearchConfig) -> Search {
        let store = Store::labelled(&ocelli_nn::device("cpu").unwrap(), 0, "search");
        Search::new(&store.root(), config, 0)
    }

    #[test]
    fn the_first_epochs_are_the_same_for_all_copies() {
        let search = search(SearchConfig::default());
        let factors = search.factors(1).unwrap();
        assert_eq!(factors.len(), 4);
        assert!(factors.iter().all(|f| *f == factors[0]));
        let Factors::Global(factor) = factors[0] else { panic!("{factors:?}") };
        assert!((factor.a() + (32.0f64 / 3.0).exp()).abs() < 1e-6);
        let drawn = search.factors(2).unwrap();
        assert!(drawn[0] != drawn[1] && !search.rewards(1) && search.rewards(2));
    }

    #[test]
    fn the_local_mode_has_a_factor_a_tenth() {
        let search = search(SearchConfig { mode: SearchMode::Local, ..SearchConfig::default() });
        let Factors::Local { edges, factors } = &search.factors(5).unwrap()[0] else { panic!("global") };
        assert_eq!((edges.len(), factors.len()), (10, 10));
        assert!(factors.iter().all(|f| f.a() <= 0.0));
    }

    #[test]
    fn the_best_copy_is_given_to_all_with_its_buffers() {
        let device = ocelli_nn::device("cpu").unwrap();
        let copies: Vec<Vec<Store>> = (0..3)
            .map(|i| {
                let store = Store::new(&device, 0);
                store.root().param("w", &[2], Init::Constant(i as f32), Role::Kernel);
                store.root().buffer("mean", &[1], Init::Constant(10.0 * i as f32));
                vec![store]
            })
            .collect();
        broadcast(&copies, 1).unwrap();
        for copy in &copies {
            let value = |name: &str| copy[0].find(name).unwrap().to_array().to_f32();
            assert_eq!((value("w"), value("mean")), (vec![1.0, 1.0], vec![10.0]));
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = |config: SearchConfig| config.validate().unwrap_err();
        assert!(wrong(SearchConfig { copies: 1, ..SearchConfig::default() }).starts_with("copies"));
        for s in [0.0, f64::NAN, 1e3] {
            assert!(wrong(SearchConfig { s, ..SearchConfig::default() }).starts_with("s: "));
        }
        let agent = AgentConfig { eta: f64::NAN, ..AgentConfig::default() };
        assert!(wrong(SearchConfig { agent, ..SearchConfig::default() }).starts_with("agent.eta"));
    }
}

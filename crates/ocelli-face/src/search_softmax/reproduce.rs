//! The claim at small scale: factors that are fixed, drawn and searched, on look-alikes, and the best of as many copies
//! without a search.

use std::collections::BTreeMap;

use ocelli_method::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
use ocelli_nn::Store;
use ocelli_train::trainer::TaskError;

use super::agent::Judgement;
use super::head::ModulatedHead;
use super::loss::Factors;
use super::modulating::{Factor, MarginFunction};
use super::objective::RandomConfig;
use super::search::{Search, SearchConfig, broadcast};
use crate::recognition::trial::{EMBEDDING, Population, Trainee, Trial, TrialConfig, name};

const SOFTMAX: &str = "softmax";
const RANDOM: &str = "Random-Softmax";
const SEARCH: &str = "Search-Softmax";
const BEST_OF: &str = "best of 4, a = -8600";
const METRIC: &str = "TAR@FAR=1e-3";

/// Fixed factors, the last being the one of the control without search: the search's mean action of -0.2.
const FIXED: [(&str, f64); 3] = [("a = -10", -10.0), ("a = -1000", -1000.0), ("a = -8600", -8600.0)];

/// Scale of the logits.
const S: f64 = 32.0;

/// People that rewards are measured on, and samples of each.
const HELD_OUT: (u64, u64) = (100, 6);

/// Populations that a seed averages over: what the search adds to selection is less than the spread of one training.
const POPULATIONS: u64 = 3;

/// The claim.
pub(super) const CLAIM: Claim = Claim {
    statement: "Any factor below 0 verifies unseen look-alikes better than softmax; one drawn each epoch does so without tuning; one searched while training does best, beyond what choosing among as many copies gives.",
    metric: METRIC,
    direction: Direction::Up,
    seeds: 3,
    run,
    checks,
};

/// How the factors of an arm's copies are chosen.
#[derive(Clone, Copy)]
enum Policy {
    Fixed(f64),
    /// One draw an epoch, with a magnitude uniform in its logarithm from 1 to 10^4.
    Random,
    /// Several copies under one fixed factor, the best of which goes on.
    BestOf(f64),
    Search,
}

fn run(experiment: &Experiment<'_>) -> Result<Vec<Arm>, ReproduceError> {
    let arm = |arm: &str, role: Role, policy: Policy| {
        let mut trials = Vec::new();
        for k in 0..POPULATIONS {
            (experiment.progress)(&format!("{arm}, population {}/{POPULATIONS}", k + 1));
            let mut config = TrialConfig::new(experiment.seed * POPULATIONS + k, experiment.device);
            config.train = (300, 16);
            let trial = train(&config, policy);
            trials.push(trial.map_err(|e| ReproduceError(format!("{arm}: {e}")))?);
        }
        let Trial { numbers, traces } = Trial::mean(&trials);
        Ok(Arm { name: arm.to_owned(), role, values: numbers, traces })
    };
    let mut arms = vec![
        arm(SOFTMAX, Role::Baseline, Policy::Fixed(0.0))?,
        arm(SEARCH, Role::Ours, Policy::Search)?,
        arm(BEST_OF, Role::Control, Policy::BestOf(FIXED[2].1))?,
        arm(RANDOM, Role::Control, Policy::Random)?,
    ];
    for (name, a) in FIXED {
        arms.push(arm(name, Role::Control, Policy::Fixed(a))?);
    }
    Ok(arms)
}

/// Trains the copies of an arm and measures the one that is left.
fn train(config: &TrialConfig, policy: Policy) -> Result<Trial, TaskError> {
    let settings = SearchConfig { s: S, ..SearchConfig::default() };
    let copies = match policy {
        Policy::Fixed(_) | Policy::Random => 1,
        Policy::BestOf(_) | Policy::Search => settings.copies,
    };
    let agent = Store::labelled(&ocelli_nn::device(&config.device)?, config.seed, "search");
    let search = Search::new(&agent.root(), settings, config.seed);
    let population = Population::new(config);
    let mut trainees = Vec::new();
    for copy in 0..copies {
        // The order of samples is a copy's own, as in the release: without it, copies under one factor would be one.
        let order = config.seed + ((copy as u64) << 32);
        trainees.push(Trainee::new(config, population.clone(), order, |path, classes| {
            ModulatedHead::new(path, EMBEDDING, classes, S, Factors::Global(Factor::NONE))
        })?);
    }
    let first = config.train.0;
    let mut traces = BTreeMap::<String, Vec<f64>>::new();
    let mut best = 0;
    for epoch in 0..config.epochs {
        let factors = match policy {
            Policy::Fixed(a) | Policy::BestOf(a) => vec![Factors::Global(Factor::new(a)?); copies],
            Policy::Random => vec![Factors::Global(RandomConfig::default().draw(config.seed, epoch as u64)?)],
            Policy::Search => search.factors(epoch)?,
        };
        for (trainee, factors) in trainees.iter_mut().zip(factors) {
            trainee.head.factors = factors;
            trainee.epoch(epoch, &|_| ());
        }
        if copies == 1 || !search.rewards(epoch) {
            continue;
        }
        let reward = |trainee: &Trainee<ModulatedHead>| {
            let numbers = trainee.measure(first..first + HELD_OUT.0, HELD_OUT.1)?;
            Ok::<f64, TaskError>(numbers[&name(1e-2)] + numbers[&name(1e-3)])
        };
        let rewards = trainees.iter().map(reward).collect::<Result<Vec<_>, _>>()?;
        let judgement = match policy {
            Policy::Search => search.learn(epoch, &rewards)?,
            _ => Judgement::of(&rewards)?,
        };
        best = judgement.best;
        let stores: Vec<Vec<Store>> =
            trainees.iter().map(|t| t.stores().map(Store::clone).to_vec()).collect();
        broadcast(&stores, best)?;
        if matches!(policy, Policy::Search) {
            traces.entry("mu".to_owned()).or_default().push(search.agent().mu()[0]);
        }
    }
    let unseen = first + HELD_OUT.0;
    let (people, shots) = config.test;
    Ok(Trial { numbers: trainees[best].measure(unseen..unseen + people, shots)?, traces })
}

fn checks(tally: &Tally) -> Vec<Check> {
    let mut checks: Vec<Check> = FIXED.iter().map(|(name, _)| tally.above(METRIC, name, SOFTMAX)).collect();
    // Drawn without tuning, between the fixed ones.
    let [(least, _), .., (best, _)] = FIXED;
    checks.push(tally.above(METRIC, RANDOM, least));
    checks.push(tally.above(METRIC, best, RANDOM));
    for control in [RANDOM].into_iter().chain(FIXED.map(|(name, _)| name)) {
        checks.push(tally.above(METRIC, SEARCH, control));
    }
    // What is left of the gain when the copies are not searched with but only chosen from.
    checks.push(tally.above(METRIC, SEARCH, BEST_OF));
    checks.push(margins_are_factors());
    checks
}

/// The claim that needs no training: the factors of AM and Arc reproduce their probabilities.
fn margins_are_factors() -> Check {
    let others: f64 = [0.4, -0.3, 0.1].iter().map(|cosine: &f64| (S * cosine).exp()).sum();
    let probability = |cosine: f64| (S * cosine).exp() / ((S * cosine).exp() + others);
    let mut worst = 0f64;
    for margin in [MarginFunction::Am(0.35), MarginFunction::Arc(0.5)] {
        for step in 0..=1000 {
            let cosine = f64::from(step) / 500.0 - 1.0;
            let wanted = probability(margin.apply(cosine));
            let got =
                Factor::new(margin.factor(cosine, S)).map_or(f64::NAN, |f| f.apply(probability(cosine)));
            // A comparison with what is no number must not pass for small.
            let error = (got - wanted).abs();
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    }
    Check {
        statement: "the factors of AM and Arc reproduce their probabilities to 1e-6".to_owned(),
        holds: worst <= 1e-6,
        detail: format!("largest difference {worst:.1e} over 2002 angles"),
    }
}

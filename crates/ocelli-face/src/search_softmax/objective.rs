//! The losses as objectives of `ocelli train`: a factor that is fixed or drawn anew each epoch, and the search.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use image::RgbImage;
use ocelli_data::Dataset;
use ocelli_data::annotations::split_identities;
use ocelli_data::sample::{PairOptions, PairSampler, RandomSampler, Sampler, VerificationPairs};
use ocelli_method::random::stream;
use ocelli_metrics::lfw::{KFoldOptions, LfwVariant, k_fold};
use ocelli_metrics::roc::{FarRule, PairScores};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::integers;
use ocelli_nn::{Pass, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::head::{FcConfig, FcHead, ModulatedHead};
use super::loss::Factors;
use super::modulating::{Factor, FactorError};
use super::search::{Reward, Search, SearchConfig, broadcast};
use crate::recognition::data::Pictures;
use crate::recognition::margin::Head;
use crate::recognition::objective::{Composition, FaceBatch, HeadObjective, Objective, Setup, accuracy};
use crate::recognition::recognizer::{Embeddings, Recognizer};

/// Settings of a softmax under one fixed factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModulatedConfig {
    /// Scale of the logits.
    pub s: f64,
    /// The factor, at most 0; that of AM-Softmax with margin m is 1 - exp(s m).
    pub a: f64,
}

impl Default for ModulatedConfig {
    fn default() -> Self {
        Self { s: 32.0, a: -1000.0 }
    }
}

impl ModulatedConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        check_scale(self.s)?;
        match self.a.is_finite() && self.a <= 0.0 {
            true => Ok(()),
            false => Err(format!("a: {} is above 0", self.a)),
        }
    }

    /// The objective.
    ///
    /// # Errors
    /// When there are fewer pictures than a batch wants.
    pub fn objective(self, setup: &Setup<'_>) -> Result<HeadObjective, TaskError> {
        let factors = Factors::Global(Factor::new(self.a)?);
        let embedding = setup.embedding();
        HeadObjective::new(setup, |path, classes| {
            Box::new(ModulatedHead::new(path, embedding, classes, self.s, factors))
        })
    }
}

/// Settings of Random-Softmax.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomConfig {
    /// Scale of the logits.
    pub s: f64,
    /// Smallest and largest magnitude of the factor, whose logarithm is drawn evenly between them each epoch. The paper
    /// gives no range; these are the magnitudes that it tries as fixed factors.
    pub magnitudes: [f64; 2],
}

impl Default for RandomConfig {
    fn default() -> Self {
        Self { s: 32.0, magnitudes: [1.0, 1e4] }
    }
}

impl RandomConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        check_scale(self.s)?;
        let [least, most] = self.magnitudes;
        match least > 0.0 && least <= most && most.is_finite() {
            true => Ok(()),
            false => Err(format!("magnitudes: {least} to {most} is no range above 0")),
        }
    }

    /// The factor of an epoch.
    ///
    /// # Errors
    /// [`FactorError`] for magnitudes out of range.
    pub fn draw(&self, seed: u64, epoch: u64) -> Result<Factor, FactorError> {
        let [least, most] = self.magnitudes;
        let share: f64 = stream(seed, "random-softmax", epoch).random();
        Factor::new(-(least * (most / least).powf(share)))
    }
}

fn check_scale(s: f64) -> Result<(), String> {
    if s.is_finite() && s > 0.0 { Ok(()) } else { Err(format!("s: {s} is not above 0")) }
}

/// A plain classification layer in a store of its own, and what training under a factor does with it.
#[derive(Debug)]
struct Classifier {
    fc: FcHead,
    store: Store,
}

impl Classifier {
    fn new(setup: &Setup<'_>, label: &str, classes: usize, s: f64) -> Self {
        let store = setup.store(label);
        let config = FcConfig { s, ..FcConfig::default() };
        Self { fc: FcHead::normalizing(&store.root(), setup.embedding(), classes, config), store }
    }

    /// Loss and gradients of a network, with the share of pictures that are told right.
    fn step(
        &self,
        network: &Recognizer,
        (x, labels): (Tensor<4>, Tensor<1, Int>),
        factors: &Factors,
        pass: &Pass,
    ) -> Step {
        let stores = [network.store(), &self.store];
        stores.iter().for_each(|store| store.track());
        let embeddings = network.backbone().forward(x, pass);
        let output = self.fc.forward(embeddings, labels.clone(), true);
        let right = accuracy(output.origin_logits, &labels);
        let loss = cross_entropy(factors.shift(output.logits, labels.clone()), labels);
        Step::backward(&loss, &stores, Numbers::from([("train_accuracy".to_owned(), right)]))
    }
}

/// Random-Softmax: each epoch has a factor of its own.
#[derive(Debug)]
pub struct RandomObjective {
    config: RandomConfig,
    seed: u64,
    classifier: Classifier,
    batches: Composition,
    steps_per_epoch: u64,
}

impl RandomObjective {
    /// For a recipe and its pictures.
    ///
    /// # Errors
    /// When there are fewer pictures than a batch wants.
    pub fn new(setup: &Setup<'_>, config: RandomConfig) -> Result<Self, TaskError> {
        let (seed, batch) = (setup.recipe.seed, setup.recipe.train.batch_size);
        let pictures = setup.pictures.len();
        Ok(Self {
            config,
            seed,
            classifier: Classifier::new(setup, "head", setup.pictures.identities(), config.s),
            batches: Composition::shuffled(pictures, batch, seed)?,
            steps_per_epoch: (pictures / batch.max(1)) as u64,
        })
    }

    fn factor(&self, epoch: u64) -> Result<Factor, FactorError> {
        self.config.draw(self.seed, epoch)
    }
}

impl Objective for RandomObjective {
    fn stores(&self) -> Vec<Store> {
        vec![self.classifier.store.clone()]
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let factors = Factors::Global(self.factor(batch.step / self.steps_per_epoch)?);
        let seen = (batch.input(network)?, batch.labels(network));
        Ok(self.classifier.step(network, seen, &factors, pass))
    }

    fn end_epoch(&self, epoch: usize, _: &Recognizer) -> Result<Numbers, TaskError> {
        Ok(Numbers::from([("a".to_owned(), self.factor(epoch as u64)?.a())]))
    }
}

/// Search-Softmax: copies of the network side by side, each under a factor of its own, compared on held-out people.
///
/// The first copy is the recipe's network. A step trains all copies, each on its own batch of its own order of pictures.
#[derive(Debug)]
pub struct SearchObjective {
    config: SearchConfig,
    search: Search,
    agent_store: Store,
    /// The copies but for the first.
    others: Vec<Recognizer>,
    classifiers: Vec<Classifier>,
    /// The class of each identity; none for those that are held out.
    classes: Vec<Option<usize>>,
    judge: Judge,
    batches: Composition,
    steps_per_epoch: u64,
}

impl SearchObjective {
    /// For a recipe and its pictures, some of whose people are held out for the rewards.
    ///
    /// # Errors
    /// When too few people or pictures are left to train on or to measure by, or an average of the weights is wanted.
    pub fn new(setup: &Setup<'_>, config: SearchConfig) -> Result<Self, TaskError> {
        let Setup { recipe, network, pictures } = *setup;
        if recipe.train.average_decay > 0.0 {
            return Err("train.average_decay: the search goes on with one copy of several, of which no average can be \
                        kept; set it to 0"
                .into());
        }
        let people = pictures.identities();
        let held_out = match config.held_out {
            0 => people.div_ceil(10).max(2),
            said => said,
        };
        let split = split_identities(people, held_out, Some(recipe.seed)).map_err(|_| {
            format!("loss.held_out: {held_out} of {people} people leave none to train on; hold out fewer")
        })?;
        let mut classes = vec![None; people];
        split.train.iter().enumerate().for_each(|(class, &identity)| classes[identity] = Some(class));
        let (own, seen): (Vec<usize>, Vec<usize>) =
            (0..pictures.len()).partition(|&i| classes[pictures.labels()[i]].is_none());

        let batch_size = recipe.train.batch_size;
        if seen.len() < batch_size {
            let left = seen.len();
            return Err(format!(
                "{left} pictures are left to train on without the people of loss.held_out and make no batch of \
                 train.batch_size = {batch_size}"
            )
            .into());
        }
        let steps = seen.len() / batch_size;
        let orders = CopyOrders { seen, batch_size, copies: config.copies, seed: recipe.seed };
        let mut passport = network.passport().clone();
        // The first copy has read the weights to start from already.
        passport.backbone.weights = None;
        let copy = |i: usize| Recognizer::new(passport.clone(), setup.store(&format!("backbone copy {i}")));
        let others = (1..config.copies).map(copy).collect::<Result<Vec<_>, _>>()?;
        let classifier = |i: usize| {
            let label = if i == 0 { "head".to_owned() } else { format!("head copy {i}") };
            Classifier::new(setup, &label, split.train.len(), config.s)
        };
        let classifiers: Vec<Classifier> = (0..config.copies).map(classifier).collect();
        let agent_store = setup.store("search");
        let this = Self {
            search: Search::new(&agent_store.root(), config, recipe.seed),
            config,
            agent_store,
            others,
            classifiers,
            classes,
            judge: Judge::new(setup, own, config.reward)?,
            batches: Composition { sampler: Arc::new(orders), pictures_per_step: batch_size * config.copies },
            steps_per_epoch: steps as u64,
        };
        // All copies start from the same weights.
        broadcast(&this.copy_stores(network), 0)?;
        Ok(this)
    }

    fn copies<'a>(&'a self, network: &'a Recognizer) -> impl Iterator<Item = &'a Recognizer> {
        std::iter::once(network).chain(&self.others)
    }

    /// The stores of each copy.
    fn copy_stores(&self, network: &Recognizer) -> Vec<Vec<Store>> {
        let pairs = self.copies(network).zip(&self.classifiers);
        pairs.map(|(copy, classifier)| vec![copy.store().clone(), classifier.store.clone()]).collect()
    }
}

impl Objective for SearchObjective {
    fn stores(&self) -> Vec<Store> {
        let heads = self.classifiers.iter().map(|classifier| classifier.store.clone());
        let others = self.others.iter().map(|copy| copy.store().clone());
        heads.chain(others).chain([self.agent_store.clone()]).collect()
    }

    fn batches(&self) -> Composition {
        self.batches.clone()
    }

    fn step(&self, network: &Recognizer, batch: &FaceBatch, pass: &Pass) -> Result<Step, TaskError> {
        let epoch = (batch.step / self.steps_per_epoch) as usize;
        let factors = self.search.factors(epoch)?;
        let each = batch.samples.items.len() / self.config.copies;
        let device = network.store().device();
        let mut whole: Option<Step> = None;
        for (i, copy) in self.copies(network).enumerate() {
            let samples = &batch.samples.items[i * each..(i + 1) * each];
            let class = |label: usize| self.classes.get(label).copied().flatten();
            let labels: Option<Vec<i64>> =
                samples.iter().map(|sample| Some(class(sample.label)? as i64)).collect();
            let labels = labels.ok_or("a batch holds a picture of someone who is held out")?;
            let seen = (copy.batch(samples.iter().map(|sample| &sample.picture))?, integers(&labels, device));
            let step = self.classifiers[i].step(copy, seen, &factors[i], pass);
            whole = Some(match whole {
                None => step,
                Some(sum) => added(sum, step),
            });
        }
        let mut whole = whole.ok_or("loss.copies: there is none")?;
        let share = 1.0 / self.config.copies as f64;
        whole.loss *= share;
        whole.numbers.values_mut().for_each(|value| *value *= share);
        Ok(whole)
    }

    fn end_epoch(&self, epoch: usize, network: &Recognizer) -> Result<Numbers, TaskError> {
        let mut numbers = Numbers::new();
        let scale = self.config.mode.scale(self.config.s);
        for (copy, actions) in self.search.actions(epoch).iter().enumerate() {
            for (bin, action) in actions.iter().enumerate() {
                numbers.insert(self.config.mode.name(&format!("a.{copy}"), bin), action * scale);
            }
        }
        if self.search.rewards(epoch) {
            let copies: Vec<&Recognizer> = self.copies(network).collect();
            let rewards = self.judge.rewards(&copies)?;
            let judgement = self.search.learn(epoch, &rewards)?;
            broadcast(&self.copy_stores(network), judgement.best)?;
            for (copy, reward) in rewards.into_iter().enumerate() {
                numbers.insert(format!("reward.{copy}"), reward);
            }
            numbers.insert("winner".to_owned(), judgement.best as f64);
        }
        for (bin, mu) in self.search.agent().mu().into_iter().enumerate() {
            numbers.insert(self.config.mode.name("mu", bin), mu);
        }
        Ok(numbers)
    }
}

/// Two steps as one: losses and numbers added, gradients side by side.
fn added(mut sum: Step, step: Step) -> Step {
    sum.loss += step.loss;
    for (name, value) in step.numbers {
        *sum.numbers.entry(name).or_default() += value;
    }
    sum.gradients.extend(step.gradients);
    sum
}

/// An order of pictures for each copy, batch by batch in turn.
#[derive(Clone, Debug)]
struct CopyOrders {
    /// The pictures that are trained on.
    seen: Vec<usize>,
    batch_size: usize,
    copies: usize,
    seed: u64,
}

impl Sampler for CopyOrders {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let order = |copy: usize| {
            let seed = stream(self.seed, "search-softmax.order", copy as u64).random();
            RandomSampler::new(self.seen.len(), seed).order(epoch)
        };
        let orders: Vec<Vec<usize>> = (0..self.copies).map(order).collect();
        let steps = self.seen.len() / self.batch_size;
        let of_step = |step: usize| {
            let range = step * self.batch_size..(step + 1) * self.batch_size;
            orders.iter().flat_map(move |order| order[range.clone()].iter().map(|&i| self.seen[i]))
        };
        (0..steps).flat_map(of_step).collect()
    }
}

/// Measures copies on people that none of them is trained on.
#[derive(Debug)]
struct Judge {
    pictures: Arc<Pictures>,
    /// The held-out people's pictures.
    own: Vec<usize>,
    labels: Vec<usize>,
    pairs: VerificationPairs,
    folds: usize,
    reward: Reward,
}

/// Pictures read at once.
const CHUNK: usize = 256;

impl Judge {
    fn new(setup: &Setup<'_>, own: Vec<usize>, reward: Reward) -> Result<Self, TaskError> {
        let labels: Vec<usize> = own.iter().map(|&i| setup.pictures.labels()[i]).collect();
        let options = PairOptions {
            folds: setup.recipe.evaluate.folds,
            seed: setup.recipe.seed,
            ..PairOptions::default()
        };
        let pairs = PairSampler::new(&labels, options).and_then(|sampler| sampler.pairs()).map_err(|e| {
            let (pictures, people) = (own.len(), distinct(&labels));
            format!("loss.held_out: {pictures} pictures of {people} people make no pairs to reward by: {e}")
        })?;
        let folds = pairs.folds.max(setup.recipe.evaluate.folds.min(pairs.pairs.len()));
        Ok(Self { pictures: setup.pictures.clone(), own, labels, pairs, folds, reward })
    }

    /// The reward of each copy.
    fn rewards(&self, copies: &[&Recognizer]) -> Result<Vec<f64>, TaskError> {
        let mut rows = vec![(Vec::new(), 0); copies.len()];
        for chunk in self.own.chunks(CHUNK) {
            let get = |&i: &usize| self.pictures.get(i, &mut stream(0, "reward", i as u64));
            let read: Result<Vec<RgbImage>, _> =
                chunk.par_iter().map(|i| get(i).map(|sample| sample.picture)).collect();
            let read = read?;
            for (copy, (values, dimensions)) in copies.iter().zip(&mut rows) {
                let part = copy.embed(&read, false)?;
                *dimensions = part.dimensions;
                values.extend(part.values);
            }
        }
        rows.into_iter().map(|(values, dimensions)| self.reward(&Embeddings { values, dimensions })).collect()
    }

    fn reward(&self, embeddings: &Embeddings) -> Result<f64, TaskError> {
        match self.reward {
            Reward::Accuracy => {
                let pairs = &self.pairs.pairs;
                let scores: Vec<f64> = pairs.iter().map(|p| embeddings.cosine(p.left, p.right)).collect();
                let same: Vec<bool> = pairs.iter().map(|p| p.same).collect();
                let options = KFoldOptions { folds: self.folds, ..KFoldOptions::default() };
                Ok(k_fold(LfwVariant::SearchSoftmax, &scores, &same, &options)?.mean_accuracy)
            }
            Reward::Tar => {
                let n = self.labels.len();
                let row = |i: usize| {
                    (i + 1..n).map(move |j| (embeddings.cosine(i, j), self.labels[i] == self.labels[j]))
                };
                let (scores, same): (Vec<f64>, Vec<bool>) = (0..n).flat_map(row).unzip();
                let points =
                    PairScores::new(&scores, &same)?.tar_at_far(&[1e-2, 1e-3], FarRule::RankRound)?;
                Ok(points.iter().map(|point| point.tar).sum())
            }
        }
    }
}

fn distinct(labels: &[usize]) -> usize {
    labels.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_sees_every_picture_in_an_order_of_its_own() {
        let seen: Vec<usize> = (10..22).collect();
        let orders = CopyOrders { seen: seen.clone(), batch_size: 3, copies: 2, seed: 1 };
        let order = orders.order(4);
        assert_eq!((order.len(), &order), (24, &orders.order(4)));
        let of_copy = |copy: usize| -> Vec<usize> {
            order.chunks(3).skip(copy).step_by(2).flatten().copied().collect()
        };
        for copy in 0..2 {
            let mut sorted = of_copy(copy);
            sorted.sort_unstable();
            assert_eq!(sorted, seen);
        }
        assert_ne!(of_copy(0), of_copy(1));
        assert_ne!(orders.order(5), order);
    }

    #[test]
    fn random_factors_stay_in_their_range_and_change_each_epoch() {
        let config = RandomConfig::default();
        let draws: Vec<f64> = (0..200).map(|epoch| config.draw(3, epoch).unwrap().a()).collect();
        assert!(draws.iter().all(|a| (-1e4..=-1.0).contains(a)));
        assert!(draws.windows(2).all(|w| w[0] != w[1]));
        // Even in the logarithm: half of them are below a hundred in magnitude.
        let small = draws.iter().filter(|a| **a > -100.0).count();
        assert!((70..130).contains(&small), "{small}");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let random = |magnitudes| RandomConfig { magnitudes, ..RandomConfig::default() };
        for magnitudes in [[0.0, 1.0], [2.0, 1.0], [1.0, f64::INFINITY], [f64::NAN, 1.0]] {
            assert!(random(magnitudes).validate().unwrap_err().starts_with("magnitudes: "));
        }
        assert!(
            RandomConfig { s: 0.0, ..RandomConfig::default() }.validate().unwrap_err().starts_with("s: ")
        );
        for a in [0.5, f64::NAN] {
            let config = ModulatedConfig { a, ..ModulatedConfig::default() };
            assert!(config.validate().unwrap_err().starts_with("a: "));
        }
    }
}

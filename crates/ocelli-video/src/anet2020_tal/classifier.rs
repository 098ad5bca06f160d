//! A video classifier that is trained on the proposals' own features: no other file is needed.

use burn::tensor::Tensor;
use ocelli_method::random::{Generator, stream};
use ocelli_nn::layers::{Dropout, Linear};
use ocelli_nn::ops::cross_entropy;
use ocelli_nn::tensor::{from_values, integers, values};
use ocelli_nn::{Init, Pass, Store};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_train::schedule::{ScheduleConfig, Shape};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::temporal::features::Sequence;

/// How a classifier is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierConfig {
    /// Learning rate at the start of a cosine.
    pub lr: f64,
    /// Passes over the videos.
    pub epochs: usize,
    /// Share of the pooled features that is dropped.
    pub dropout: f64,
    /// Videos of a step.
    pub batch: usize,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Fixes the order, and what is dropped.
    pub seed: u64,
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self { lr: 0.1, epochs: 30, dropout: 0.5, batch: 16, weight_decay: 1e-4, seed: 0 }
    }
}

/// Why a classifier cannot be trained.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ClassifierError {
    /// No video.
    #[error("a classifier needs at least one labelled video")]
    Empty,
    /// Features of another size.
    #[error("video {index} (from 0) has features of {found} numbers, {expected} are expected")]
    Channels {
        /// Which video.
        index: usize,
        /// Its number of channels.
        found: usize,
        /// What is expected.
        expected: usize,
    },
    /// A class that does not exist.
    #[error("video {index} (from 0) is of class {class}; there are {classes}")]
    Class {
        /// Which video.
        index: usize,
        /// Its class.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A batch of no videos, or no dropout that can be.
    #[error("{0}")]
    Setting(String),
}

/// A linear classifier over pooled snippet features: `fc.weight [classes, C]`, `fc.bias [classes]`.
#[derive(Debug)]
pub struct VideoClassifier {
    store: Store,
    fc: Linear,
    channels: usize,
    classes: usize,
}

impl VideoClassifier {
    /// One that knows nothing yet.
    pub fn new(store: Store, channels: usize, classes: usize) -> Self {
        let fc = Linear::new(&store.root().at("fc"), channels, classes, true, Init::Normal { std: 0.01 });
        Self { store, fc, channels, classes }
    }

    /// Where its parameters are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Trains on labelled videos by cross entropy of their mean features. Returns the mean loss of each epoch.
    ///
    /// # Errors
    /// [`ClassifierError`] naming the video.
    pub fn train(
        &self,
        videos: &[(&Sequence, usize)],
        config: &ClassifierConfig,
    ) -> Result<Vec<f64>, ClassifierError> {
        self.check(videos, config)?;
        let pooled: Vec<Vec<f32>> = videos.iter().map(|(video, _)| mean_row(video)).collect();
        let sgd = OptimizerConfig::Sgd {
            lr: config.lr,
            momentum: 0.9,
            nesterov: false,
            weight_decay: config.weight_decay,
        };
        let mut optimizer = Optimizer::new(sgd, decay_all);
        let cosine =
            ScheduleConfig { epochs: config.epochs, shape: Shape::Cosine, ..ScheduleConfig::default() };
        let steps = videos.len().div_ceil(config.batch);
        let mut losses = Vec::new();
        for epoch in 0..config.epochs {
            let generator = |name: &str| -> Generator { stream(config.seed, name, epoch as u64) };
            let pass = Pass::train(generator("classifier.dropout"));
            let mut order: Vec<usize> = (0..videos.len()).collect();
            order.shuffle(&mut generator("classifier.order"));
            let mut sum = 0.0;
            for (k, batch) in order.chunks(config.batch).enumerate() {
                let rate = config.lr * cosine.factor((epoch * steps + k) as u64, steps);
                let rows = batch.iter().flat_map(|&i| pooled[i].iter().copied()).collect();
                let labels: Vec<i64> = batch.iter().map(|&i| videos[i].1 as i64).collect();
                let device = self.store.device();
                let rows = from_values(rows, [batch.len(), self.channels], device);
                self.store.track();
                let logits = self.fc.forward(Dropout { p: config.dropout }.forward(rows, &pass));
                let loss = cross_entropy(logits, integers(&labels, device));
                optimizer.step(&self.store.backward(&loss), rate);
                sum += f64::from(values(loss)[0]) * batch.len() as f64;
            }
            losses.push(sum / videos.len() as f64);
        }
        Ok(losses)
    }

    fn check(&self, videos: &[(&Sequence, usize)], config: &ClassifierConfig) -> Result<(), ClassifierError> {
        if videos.is_empty() {
            return Err(ClassifierError::Empty);
        }
        if config.batch == 0 || !(0.0..1.0).contains(&config.dropout) {
            let ClassifierConfig { batch, dropout, .. } = config;
            let text =
                format!("batch {batch}, dropout {dropout}: a batch has videos, dropout is from 0 to below 1");
            return Err(ClassifierError::Setting(text));
        }
        for (index, &(video, class)) in videos.iter().enumerate() {
            let (found, expected) = (video.channels(), self.channels);
            if found != expected {
                return Err(ClassifierError::Channels { index, found, expected });
            }
            if class >= self.classes {
                return Err(ClassifierError::Class { index, class, classes: self.classes });
            }
        }
        Ok(())
    }

    /// Logits of each snippet of a video, `[rows][classes]`, as [`super::label::video_scores`] takes them.
    ///
    /// # Errors
    /// [`ClassifierError::Channels`].
    pub fn clip_logits(&self, video: &Sequence) -> Result<Vec<Vec<f64>>, ClassifierError> {
        let (found, expected) = (video.channels(), self.channels);
        if found != expected {
            return Err(ClassifierError::Channels { index: 0, found, expected });
        }
        let rows: Tensor<2> =
            from_values(video.values().to_vec(), [video.rows(), self.channels], self.store.device());
        let logits = values(self.fc.forward(rows));
        Ok(logits
            .chunks(self.classes.max(1))
            .map(|row| row.iter().map(|&v| f64::from(v)).collect())
            .collect())
    }
}

/// The mean of a video's snippets.
fn mean_row(video: &Sequence) -> Vec<f32> {
    let mut mean = vec![0.0f64; video.channels()];
    for row in 0..video.rows() {
        mean.iter_mut().zip(video.row(row)).for_each(|(mean, &v)| *mean += f64::from(v));
    }
    mean.into_iter().map(|sum| (sum / video.rows() as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::label::video_scores;
    use super::*;

    /// A video of noise-free snippets, half of them of its class.
    fn video(class: usize) -> Sequence {
        let row = |k: usize| {
            [0, 1, 2].map(|c| if c == class && k.is_multiple_of(2) { 1.0 } else { 0.1 * k as f32 })
        };
        Sequence::new((0..4).flat_map(row).collect(), [4, 3]).unwrap()
    }

    #[test]
    fn classes_are_learned_from_the_mean_of_the_snippets() {
        let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 0);
        let classifier = VideoClassifier::new(store, 3, 3);
        let sequences: Vec<Sequence> = (0..3).map(video).collect();
        let videos: Vec<(&Sequence, usize)> = (0..24).map(|i| (&sequences[i % 3], i % 3)).collect();
        let config = ClassifierConfig { dropout: 0.2, epochs: 60, ..ClassifierConfig::default() };
        let losses = classifier.train(&videos, &config).unwrap();
        assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
        for (class, sequence) in sequences.iter().enumerate() {
            let scores = video_scores(&[classifier.clip_logits(sequence).unwrap()], &[1.0]).unwrap();
            assert!((0..3).all(|other| scores[other] <= scores[class]), "{scores:?} for class {class}");
        }
    }

    #[test]
    fn what_cannot_be_learned_is_named() {
        let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 0);
        let classifier = VideoClassifier::new(store, 2, 2);
        let config = ClassifierConfig::default();
        assert_eq!(classifier.train(&[], &config).unwrap_err(), ClassifierError::Empty);
        let (wide, fits) = (video(0), Sequence::new(vec![0.0, 1.0], [1, 2]).unwrap());
        let message =
            |videos: &[(&Sequence, usize)]| classifier.train(videos, &config).unwrap_err().to_string();
        assert!(message(&[(&wide, 0)]).starts_with("video 0 (from 0) has features of 3 numbers"));
        assert_eq!(message(&[(&fits, 0), (&fits, 2)]), "video 1 (from 0) is of class 2; there are 2");
        let none = ClassifierConfig { batch: 0, ..config };
        assert!(classifier.train(&[(&fits, 0)], &none).is_err());
        assert!(classifier.clip_logits(&wide).is_err());
    }
}

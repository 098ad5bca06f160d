//! A video classifier on the proposals' own features: no other file is needed.

use std::path::Path;

use burn::tensor::Tensor;
use ocelli_nn::layers::{Dropout, Linear};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Init, Pass, Store};
use ocelli_train::trainer::TaskError;
use serde::{Deserialize, Serialize};

use super::label::video_scores;
use crate::passport::{self, Described};
use crate::temporal::features::Sequence;

/// What weights carry besides the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passport {
    /// Features of a snippet.
    pub channels: usize,
    /// The names of the classes.
    pub labels: Vec<String>,
}

/// The metadata entry of a weights file that holds the [`Passport`].
const PASSPORT: &str = "ocelli.video-classification";

/// A linear classifier over pooled snippet features: `fc.weight [classes, C]`, `fc.bias [classes]`.
#[derive(Debug)]
pub struct VideoClassifier {
    store: Store,
    fc: Linear,
    dropout: Dropout,
    passport: Passport,
}

impl VideoClassifier {
    /// One that knows nothing yet; training drops the share `dropout` of the features.
    ///
    /// # Errors
    /// No features, no classes, or no share.
    pub fn new(store: Store, passport: Passport, dropout: f64) -> Result<Self, String> {
        let (channels, classes) = (passport.channels, passport.labels.len());
        if channels == 0 || classes == 0 {
            return Err(format!("{channels} features, {classes} classes: at least one of each is needed"));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("dropout: {dropout} is outside 0 to 1"));
        }
        let fc = Linear::new(&store.root().at("fc"), channels, classes, true, Init::Normal { std: 0.01 });
        Ok(Self { store, fc, dropout: Dropout { p: dropout }, passport })
    }

    /// Opens weights that [`VideoClassifier::save`] wrote, or those in a run's folder.
    ///
    /// # Errors
    /// When the file cannot be read, does not say which network it is of, or is of another one.
    pub fn open(path: &Path, device: &str) -> Result<Self, TaskError> {
        let described = Described::<Passport>::open(path, PASSPORT)?;
        let store = Store::new(&ocelli_nn::device(device)?, 0);
        let classifier = Self::new(store, described.passport.clone(), 0.0);
        let classifier = classifier.map_err(|reason| described.unusable(&reason))?;
        described.load(&classifier.store)?;
        Ok(classifier)
    }

    /// Writes the weights with their passport, whole or not at all.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn save(&self, path: &Path) -> Result<(), TaskError> {
        passport::save(path, &self.store, PASSPORT, &self.passport)
    }

    /// What the weights carry.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// Where its parameters are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Rows of features `[B, C]` to logits `[B, classes]`.
    pub fn forward(&self, rows: Tensor<2>, pass: &Pass) -> Tensor<2> {
        self.fc.forward(self.dropout.forward(rows, pass))
    }

    /// Logits of each snippet of a video, `[rows][classes]`, as [`video_scores`] takes them.
    ///
    /// # Errors
    /// Features of another size.
    pub fn clip_logits(&self, video: &Sequence) -> Result<Vec<Vec<f64>>, String> {
        let Passport { channels, labels } = &self.passport;
        if video.channels() != *channels {
            return Err(format!("rows of {} numbers, the classifier wants {channels}", video.channels()));
        }
        let rows = from_values(video.values().to_vec(), [video.rows(), *channels], self.store.device());
        let logits = values(self.forward(rows, &Pass::eval()));
        Ok(logits.chunks(labels.len()).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect())
    }

    /// The class scores of a video, which sum to 1.
    ///
    /// # Errors
    /// As [`VideoClassifier::clip_logits`], or when the network gives no numbers.
    pub fn scores(&self, video: &Sequence) -> Result<Vec<f64>, String> {
        let scores = video_scores(&[self.clip_logits(video)?], &[1.0]).map_err(|e| e.to_string())?;
        match scores.iter().all(|score| score.is_finite()) {
            true => Ok(scores),
            false => Err("the network gives values that are no numbers".to_owned()),
        }
    }
}

/// The mean of a video's snippets.
pub fn mean_row(video: &Sequence) -> Vec<f32> {
    let mut mean = vec![0.0f64; video.channels()];
    for row in 0..video.rows() {
        mean.iter_mut().zip(video.row(row)).for_each(|(mean, &v)| *mean += f64::from(v));
    }
    mean.into_iter().map(|sum| (sum / video.rows() as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passport(channels: usize, classes: usize) -> Passport {
        Passport { channels, labels: (0..classes).map(|c| format!("class-{c}")).collect() }
    }

    #[test]
    fn weights_come_back_with_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 3);
        let classifier = VideoClassifier::new(store, passport(2, 3), 0.5).unwrap();
        classifier.save(&path).unwrap();
        let video = Sequence::new(vec![1.0, -2.0, 0.5, 0.0], [2, 2]).unwrap();
        let scores = classifier.scores(&video).unwrap();
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let opened = VideoClassifier::open(&path, "cpu").unwrap();
        assert_eq!((opened.scores(&video).unwrap(), opened.passport()), (scores, classifier.passport()));
        assert_eq!(mean_row(&video), [0.75, -1.0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let store = || Store::new(&ocelli_nn::device("cpu").unwrap(), 0);
        let wide = Sequence::new(vec![0.0; 3], [1, 3]).unwrap();
        let classifier = VideoClassifier::new(store(), passport(2, 2), 0.0).unwrap();
        assert_eq!(classifier.scores(&wide).unwrap_err(), "rows of 3 numbers, the classifier wants 2");
        assert!(VideoClassifier::new(store(), passport(2, 0), 0.0).unwrap_err().contains("0 classes"));
        assert!(VideoClassifier::new(store(), passport(2, 1), 1.0).unwrap_err().starts_with("dropout"));
    }
}

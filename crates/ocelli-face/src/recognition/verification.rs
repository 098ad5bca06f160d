//! Measures a recogniser by the pairs of a test set, and raw pixels beside it.

use image::RgbImage;
use ocelli_data::dataset::Sample;
use ocelli_data::{DataError, Dataset};
use ocelli_method::random::stream;
use ocelli_metrics::MetricError;
use ocelli_metrics::lfw::{KFoldOptions, k_fold_distances};
use ocelli_metrics::roc::{FarRule, PairScores, Scan};
use ocelli_train::trainer::Numbers;
use rayon::prelude::*;
use thiserror::Error;

use super::data::TestSet;
use super::recipe::EvaluateConfig;
use super::recognizer::{Embeddings, Recognizer, RecognizerError};

/// Why a recogniser cannot be measured.
#[derive(Debug, Error)]
pub enum VerificationError {
    /// The pictures are at fault.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network is at fault.
    #[error(transparent)]
    Recognizer(#[from] RecognizerError),
    /// The protocol cannot be applied.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// How well pairs are told apart.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Accuracy of the k-fold protocol, mean over folds.
    pub accuracy: f64,
    /// Its standard error over folds.
    pub standard_error: f64,
    /// True-accept rates at the wanted false-accept rates.
    pub tar_at_far: Vec<(f64, f64)>,
    /// Where both error rates are equal.
    pub equal_error_rate: f64,
    /// Area under the ROC curve.
    pub auc: f64,
    /// Cosines of all pairs of pictures, or of the listed pairs where there are too many.
    pub scores: PairScores,
    /// The best threshold on the cosine, mean over folds.
    pub threshold: f64,
    /// Listed pairs, judged worst first.
    pub worst: Vec<JudgedPair>,
}

/// A pair with its cosine.
#[derive(Clone, Copy, Debug)]
pub struct JudgedPair {
    /// The first picture.
    pub left: usize,
    /// The second picture.
    pub right: usize,
    /// Whether they show the same person.
    pub same: bool,
    /// Their cosine.
    pub cosine: f64,
}

/// Above so many pictures, ROC curves come from the listed pairs instead of all.
const MOST_FOR_ALL_PAIRS: usize = 3000;
/// Wrongly judged pairs that are kept.
const WORST: usize = 12;
/// Pictures decoded and embedded at once.
const CHUNK: usize = 256;

/// Reads some pictures of a test set, in parallel.
fn pictures(test: &TestSet, range: std::ops::Range<usize>) -> Result<Vec<RgbImage>, DataError> {
    let get = |i: usize| test.pictures.get(i, &mut stream(0, "test", i as u64));
    range.into_par_iter().map(|i| get(i).map(|Sample { picture, .. }| picture)).collect()
}

/// Embeds all pictures of a test set.
///
/// # Errors
/// When a picture cannot be read or the network gives no numbers.
pub fn embed_all(
    recognizer: &Recognizer,
    test: &TestSet,
    flip: bool,
) -> Result<Embeddings, VerificationError> {
    let n = test.pictures.len();
    let mut all = Embeddings { values: Vec::new(), dimensions: 0 };
    for start in (0..n).step_by(CHUNK) {
        let chunk = pictures(test, start..(start + CHUNK).min(n))?;
        let part = recognizer.embed(&chunk, flip)?;
        all.dimensions = part.dimensions;
        all.values.extend(part.values);
    }
    Ok(all)
}

/// Pixels as embeddings: what can be told without learning anything.
///
/// # Errors
/// When a picture cannot be read, or is black all over.
pub fn raw_pixels(test: &TestSet) -> Result<Embeddings, VerificationError> {
    let pictures = pictures(test, 0..test.pictures.len())?;
    let rows = pictures.len();
    let values = pictures.iter().flat_map(|p| p.as_raw().iter().map(|&v| f32::from(v))).collect();
    Ok(Embeddings::unit(values, rows)?)
}

/// Judges the pairs of a test set by unit embeddings.
///
/// # Errors
/// When the protocol cannot be applied to such pairs.
pub fn measure(
    embeddings: &Embeddings,
    test: &TestSet,
    config: &EvaluateConfig,
) -> Result<Verification, VerificationError> {
    let cosine = |l: usize, r: usize| embeddings.cosine(l, r);
    let mut judged: Vec<JudgedPair> = test
        .pairs
        .par_iter()
        .map(|p| JudgedPair { left: p.left, right: p.right, same: p.same, cosine: cosine(p.left, p.right) })
        .collect();
    let same: Vec<bool> = judged.iter().map(|p| p.same).collect();
    // Squared distances of unit vectors, as the published protocol compares them.
    let distances: Vec<f64> = judged.iter().map(|p| 2.0 - 2.0 * p.cosine).collect();
    let options =
        KFoldOptions { folds: test.folds.max(config.folds.min(same.len())), ..KFoldOptions::default() };
    let k_fold = k_fold_distances(&distances, &same, &options)?.accuracy;

    let scores = all_pairs(embeddings, test, &judged)?;
    let tars = scores.tar_at_far(&config.fars, FarRule::RankRound)?;
    let thresholds = &k_fold.fold_threshold;
    let threshold = 1.0 - 0.5 * thresholds.iter().sum::<f64>() / thresholds.len().max(1) as f64;
    let wrongness = |p: &JudgedPair| if p.same { threshold - p.cosine } else { p.cosine - threshold };
    judged.sort_by(|a, b| wrongness(b).total_cmp(&wrongness(a)));
    judged.truncate(WORST);
    Ok(Verification {
        accuracy: k_fold.mean_accuracy,
        standard_error: k_fold.standard_error,
        tar_at_far: config.fars.iter().copied().zip(tars.iter().map(|p| p.tar)).collect(),
        equal_error_rate: scores.equal_error(Scan::Falling).rate,
        auc: scores.auc(),
        scores,
        threshold,
        worst: judged,
    })
}

/// Scores of all pairs of pictures, or of the listed ones where there are too many or no labels.
fn all_pairs(
    embeddings: &Embeddings,
    test: &TestSet,
    judged: &[JudgedPair],
) -> Result<PairScores, VerificationError> {
    let labels = test.pictures.labels();
    let n = labels.len();
    if n > MOST_FOR_ALL_PAIRS || test.pictures.identities() < 2 {
        let (scores, same): (Vec<f64>, Vec<bool>) = judged.iter().map(|p| (p.cosine, p.same)).unzip();
        return Ok(PairScores::new(&scores, &same)?);
    }
    let row = |i: usize| (i + 1..n).map(move |j| (embeddings.cosine(i, j), labels[i] == labels[j]));
    let pairs: Vec<(f64, bool)> = (0..n).into_par_iter().flat_map_iter(row).collect();
    let (scores, same): (Vec<f64>, Vec<bool>) = pairs.into_iter().unzip();
    Ok(PairScores::new(&scores, &same)?)
}

impl Verification {
    /// The measures by name.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::from([
            ("accuracy".to_owned(), self.accuracy),
            ("eer".to_owned(), self.equal_error_rate),
            ("auc".to_owned(), self.auc),
        ]);
        for (far, tar) in &self.tar_at_far {
            numbers.insert(format!("tar@{far:e}"), *tar);
        }
        numbers
    }
}

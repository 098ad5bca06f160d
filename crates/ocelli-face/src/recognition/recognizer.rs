//! A trained network with all it needs to be used: pictures in, unit embeddings out.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use image::RgbImage;
use ocelli_data::DataError;
use ocelli_data::augment::Normalise;
use ocelli_data::image::{Fit, Preparation};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::weights::safetensors::{self, Metadata};
use ocelli_nn::weights::{KeysError, StateDict, WeightsError, match_keys};
use ocelli_nn::{Pass, Precision, Store, StoreError};
use ocelli_train::folder::RunFolder;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::backbone::{Backbone, BackboneConfig};

/// What weights carry besides the weights: how to build the network and prepare its pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passport {
    /// Slug of the method, or name of the baseline, that trained the network.
    pub method: String,
    /// The network.
    pub backbone: BackboneConfig,
    /// How pictures of another shape are brought to the network's.
    pub fit: Fit,
    /// Cosine from which on two pictures count as one person; the best one on people held out of the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// The metadata entry of a weights file that holds the [`Passport`].
const PASSPORT: &str = "ocelli.face-recognition";

/// Why a recogniser cannot be opened or used.
#[derive(Debug, Error)]
pub enum RecognizerError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The file does not say which network it is of.
    #[error(
        "{}: does not say which network it is of; make it with `ocelli train` or `ocelli import`",
        .0.display()
    )]
    NoPassport(PathBuf),
    /// What it says cannot be understood.
    #[error("{}: its description of the network cannot be used: {reason}", path.display())]
    BadPassport {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file is of another network.
    #[error("{}: {keys}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which keys.
        keys: Box<KeysError>,
    },
    /// The weights do not fit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A picture cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A network gave something that is no number.
    #[error("the network gives values that are no numbers for picture {0}")]
    NotFinite(usize),
    /// The device is not to be had.
    #[error(transparent)]
    Device(#[from] ocelli_nn::DeviceError),
}

/// A recognition network and how to feed it.
#[derive(Clone, Debug)]
pub struct Recognizer {
    passport: Passport,
    store: Store,
    backbone: Backbone,
    precision: Precision,
    /// Whether weights are given away as they are packed.
    sealed: bool,
}

/// Pictures that go through the network at once.
const BATCH: usize = 32;

impl Recognizer {
    /// A network with its initial weights, or those that its configuration names.
    ///
    /// # Errors
    /// When those weights are of another network.
    pub fn new(passport: Passport, store: Store) -> Result<Self, RecognizerError> {
        let backbone = passport.backbone.build(&store.root());
        let recognizer = Self { passport, store, backbone, precision: Precision::Single, sealed: false };
        if let Some(path) = recognizer.passport.backbone.weights.clone() {
            recognizer.load(&path, safetensors::read(&path)?.state)?;
        }
        Ok(recognizer)
    }

    /// Opens weights that [`Recognizer::save`] wrote, or those in a run's folder.
    ///
    /// # Errors
    /// [`RecognizerError`] naming the file and the key.
    pub fn open(path: &Path, device: &str) -> Result<Self, RecognizerError> {
        // A run's folder stands for the weights in it.
        let path = &if path.is_dir() { RunFolder::open(path).weights() } else { path.to_owned() };
        let contents = safetensors::read(path)?;
        let passport = Passport::read(path, &contents.metadata)?;
        let passport = passport.ok_or_else(|| RecognizerError::NoPassport(path.clone()))?;
        let store = Store::for_loading(&ocelli_nn::device(device)?);
        let recognizer = Self::new(passport, store)?;
        recognizer.load(path, contents.state)?;
        Ok(recognizer)
    }

    fn load(&self, path: &Path, state: StateDict) -> Result<(), RecognizerError> {
        let report = match_keys(&self.store.shapes(), &state, |name| name.ends_with("num_batches_tracked"));
        let wrap = |keys| RecognizerError::Keys { path: path.to_owned(), keys: Box::new(keys) };
        report.check(false).map_err(wrap)?;
        let known: HashSet<String> = self.store.names().into_iter().collect();
        Ok(self.store.load_owned(state.into_iter().filter(|(name, _)| known.contains(name)))?)
    }

    /// Writes the weights with their passport, whole or not at all.
    ///
    /// # Errors
    /// The system's refusal, or [`StoreError::Released`] where a sealed recogniser has given weights away.
    pub fn save(&self, path: &Path) -> Result<(), RecognizerError> {
        self.store.check_held()?;
        let state = StateDict::from_pairs(self.store.state()).expect("names in a store are unique");
        Ok(safetensors::write(path, &state, &self.passport.metadata())?)
    }

    /// What the weights carry.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// Remembers the cosine from which on two pictures count as one person.
    pub fn set_threshold(&mut self, threshold: f64) {
        self.passport.threshold = Some(threshold);
    }

    /// The same network, its layers multiplying numbers of `precision`.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same network to be used for nothing but [`Recognizer::embed`] from now on: weights are held once, as they are
    /// packed for it. It cannot be saved any more. Clones made before keep it from giving weights away while they live.
    #[must_use]
    pub fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// The network's parameters.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The network.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// How a picture file is prepared for the network.
    pub fn preparation(&self) -> Preparation {
        self.passport.preparation()
    }

    /// Unit embeddings of prepared pictures, row after row; with `flip`, of the sum with the mirrored picture's.
    ///
    /// # Errors
    /// When pictures differ in size from the network's, or the network gives no numbers.
    pub fn embed(&self, pictures: &[RgbImage], flip: bool) -> Result<Embeddings, RecognizerError> {
        let pass = if self.sealed { Pass::sealed_in(self.precision) } else { Pass::fused_in(self.precision) };
        self.embed_in(pictures, flip, &pass)
    }

    /// [`Recognizer::embed`] in another pass.
    ///
    /// # Errors
    /// As [`Recognizer::embed`].
    pub fn embed_in(
        &self,
        pictures: &[RgbImage],
        flip: bool,
        pass: &Pass,
    ) -> Result<Embeddings, RecognizerError> {
        let mut rows = Vec::new();
        for chunk in pictures.chunks(BATCH) {
            let mut sum = values(self.backbone.forward(self.batch(chunk.iter())?, pass));
            if flip {
                let mirrored: Vec<RgbImage> = chunk.iter().map(image::imageops::flip_horizontal).collect();
                let other = values(self.backbone.forward(self.batch(mirrored.iter())?, pass));
                sum.iter_mut().zip(other).for_each(|(a, b)| *a += b);
            }
            rows.extend(sum);
        }
        Embeddings::unit(rows, pictures.len())
    }

    /// A batch `[B, 3, S, S]` in [-1, 1].
    ///
    /// # Errors
    /// When pictures differ in size.
    pub fn batch<'a>(
        &self,
        pictures: impl IntoIterator<Item = &'a RgbImage>,
    ) -> Result<burn::tensor::Tensor<4>, RecognizerError> {
        let batch = Normalise::HALF.batch(pictures)?;
        let side = self.passport.backbone.input_size;
        if batch.shape[2..] != [side, side] {
            let wanted = format!("{side}x{side} pixels");
            let found = format!("{}x{}", batch.shape[3], batch.shape[2]);
            return Err(DataError::Shape { what: "pictures", wanted, found }.into());
        }
        Ok(from_values(batch.data, batch.shape, self.store.device()))
    }
}

impl Passport {
    /// The metadata of a weights file.
    pub fn metadata(&self) -> Metadata {
        let mut passport = self.clone();
        // Where a training started from is no property of its result.
        passport.backbone.weights = None;
        let text = serde_json::to_string(&passport).expect("a passport is plain data");
        [(PASSPORT.to_owned(), text)].into()
    }

    /// Reads the passport in a weights file's metadata, if it has one; `path` is for messages.
    ///
    /// # Errors
    /// [`RecognizerError::BadPassport`] when it cannot be understood.
    pub fn read(path: &Path, metadata: &Metadata) -> Result<Option<Self>, RecognizerError> {
        let Some(text) = metadata.get(PASSPORT) else { return Ok(None) };
        let bad = |reason: String| RecognizerError::BadPassport { path: path.to_owned(), reason };
        let mut passport: Self = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        passport.backbone.validate().map_err(bad)?;
        // A file must not name another file to be opened.
        passport.backbone.weights = None;
        Ok(Some(passport))
    }

    /// How a picture file is prepared for the network.
    pub fn preparation(&self) -> Preparation {
        let side = self.backbone.input_size as u32;
        Preparation { size: Some([side, side]), fit: self.fit, ..Preparation::default() }
    }
}

/// Unit vectors, one a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// The vectors, row after row.
    pub values: Vec<f32>,
    /// Their length.
    pub dimensions: usize,
}

impl Embeddings {
    /// Divides every row by its Euclidean norm.
    ///
    /// # Errors
    /// [`RecognizerError::NotFinite`] for a row that has none.
    pub fn unit(mut values: Vec<f32>, rows: usize) -> Result<Self, RecognizerError> {
        let dimensions = values.len() / rows.max(1);
        for (i, row) in values.chunks_mut(dimensions.max(1)).enumerate() {
            let norm = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            if !norm.is_finite() || norm == 0.0 {
                return Err(RecognizerError::NotFinite(i));
            }
            row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
        }
        Ok(Self { values, dimensions })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions.max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The vector of picture `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dimensions..(i + 1) * self.dimensions]
    }

    /// All values in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        self.values.iter().map(|&v| f64::from(v)).collect()
    }

    /// Cosine of pictures `i` and `j`.
    pub fn cosine(&self, i: usize, j: usize) -> f64 {
        dot(self.row(i), self.row(j))
    }
}

/// Inner product, in interleaved partial sums of single precision that are added up in double precision.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    // Short enough that single precision loses nothing that matters.
    const BLOCK: usize = 64 * LANES;
    let block = |(a, b): (&[f32], &[f32])| {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let mut lanes = [0.0f32; LANES];
        for (a, b) in a.iter().zip(b) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += a * b;
            }
        }
        let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>() + rest
    };
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(block).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_products_of_every_length() {
        for n in [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000] {
            let a: Vec<f32> = (0..n).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
            let b: Vec<f32> = (0..n).map(|i| ((i * 5) % 13) as f32 - 6.0).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert_eq!(dot(&a, &b), plain, "length {n}");
        }
    }

    #[test]
    fn embeddings_are_unit_and_numbers() {
        let e = Embeddings::unit(vec![3.0, 4.0, 0.0, 2.0], 2).unwrap();
        assert_eq!(e.row(0), [0.6, 0.8]);
        assert!((e.cosine(0, 1) - 0.8).abs() < 1e-7);
        for bad in [f32::NAN, 0.0] {
            assert!(matches!(Embeddings::unit(vec![1.0, bad * 0.0], 2), Err(RecognizerError::NotFinite(1))));
        }
    }
}

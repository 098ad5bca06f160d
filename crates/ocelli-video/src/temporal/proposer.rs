//! A trained generator of proposals with all it needs to be used, in one file.

use std::path::{Path, PathBuf};

use ocelli_nn::weights::safetensors::{self, Metadata};
use ocelli_nn::weights::{KeysError, StateDict, WeightsError, match_keys};
use ocelli_nn::{Store, StoreError};
use ocelli_train::folder::RunFolder;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::generator::{Generator, GeneratorConfig};
use super::videos::Rescale;

/// What weights carry besides the weights: how to build the network and prepare its features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passport {
    /// The generator.
    pub method: GeneratorConfig,
    /// How features of another length are brought to the network's.
    pub rescale: Rescale,
}

/// The metadata entry of a weights file that holds the [`Passport`].
const PASSPORT: &str = "ocelli.temporal-proposals";

/// Why a proposer cannot be opened or used.
#[derive(Debug, Error)]
pub enum ProposerError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The file does not say which network it is of.
    #[error("{}: does not say which network it is of; make it with `ocelli train` or `ocelli import`", .0.display())]
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
    /// The device is not to be had.
    #[error(transparent)]
    Device(#[from] ocelli_nn::DeviceError),
}

impl Passport {
    fn read(path: &Path, metadata: &Metadata) -> Result<Self, ProposerError> {
        let text = metadata.get(PASSPORT).ok_or_else(|| ProposerError::NoPassport(path.to_owned()))?;
        let bad = |reason: String| ProposerError::BadPassport { path: path.to_owned(), reason };
        let passport: Self = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        passport.method.validate().map_err(bad)?;
        Ok(passport)
    }

    /// Writes a network's weights with this passport, whole or not at all.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn save(&self, store: &Store, path: &Path) -> Result<(), ProposerError> {
        let text = serde_json::to_string(self).expect("a passport is plain data");
        let state = StateDict::from_pairs(store.state()).expect("names in a store are unique");
        Ok(safetensors::write(path, &state, &[(PASSPORT.to_owned(), text)].into())?)
    }
}

/// A trained generator.
#[derive(Debug)]
pub struct Proposer {
    passport: Passport,
    generator: Box<dyn Generator>,
}

impl Proposer {
    /// A generator with these weights.
    ///
    /// # Errors
    /// [`ProposerError::Keys`] when they are of another network; `path` is for messages.
    pub fn new(
        passport: Passport,
        state: &StateDict,
        path: &Path,
        device: &str,
    ) -> Result<Self, ProposerError> {
        let store = Store::new(&ocelli_nn::device(device)?, 0);
        let generator = passport.method.build(&store.root());
        let wrap = |keys| ProposerError::Keys { path: path.to_owned(), keys: Box::new(keys) };
        match_keys(&store.shapes(), state, |_| false).check(false).map_err(wrap)?;
        store.load(state.iter())?;
        Ok(Self { passport, generator })
    }

    /// Opens weights that [`Passport::save`] wrote, or those in a run's folder.
    ///
    /// # Errors
    /// [`ProposerError`] naming the file and the key.
    pub fn open(path: &Path, device: &str) -> Result<Self, ProposerError> {
        let path = &if path.is_dir() { RunFolder::open(path).weights() } else { path.to_owned() };
        let contents = safetensors::read(path)?;
        let passport = Passport::read(path, &contents.metadata)?;
        Self::new(passport, &contents.state, path, device)
    }

    /// What the weights carry.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// The generator.
    pub fn generator(&self) -> &dyn Generator {
        self.generator.as_ref()
    }
}

//! Weights that say what they are of: a description of the network in the metadata of the file.

use std::path::{Path, PathBuf};

use ocelli_nn::Store;
use ocelli_nn::weights::{StateDict, match_keys, safetensors};
use ocelli_train::folder::RunFolder;
use ocelli_train::trainer::TaskError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Weights that were read, with their description.
pub(crate) struct Described<P> {
    /// The file.
    path: PathBuf,
    /// What it says of itself.
    pub(crate) passport: P,
    state: StateDict,
}

impl<P: DeserializeOwned> Described<P> {
    /// Opens the weights at `path`, or those in a run's folder; the description is the metadata entry `key`.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Self, TaskError> {
        let path = if path.is_dir() { RunFolder::open(path).weights() } else { path.to_owned() };
        let contents = safetensors::read(&path)?;
        let Some(text) = contents.metadata.get(key) else {
            let reason = "does not say which network it is of; make it with `ocelli train`";
            return Err(format!("{}: {reason}", path.display()).into());
        };
        let passport = serde_json::from_str(text);
        let passport = passport.map_err(|e| unusable(&path, &e.to_string()))?;
        Ok(Self { path, passport, state: contents.state })
    }
}

impl<P> Described<P> {
    /// The error that the description cannot be used.
    pub(crate) fn unusable(&self, reason: &str) -> TaskError {
        unusable(&self.path, reason)
    }

    /// Loads the weights into the network that the description is of.
    pub(crate) fn load(&self, store: &Store) -> Result<(), TaskError> {
        let report = match_keys(&store.shapes(), &self.state, |_| false);
        report.check(false).map_err(|keys| format!("{}: {keys}", self.path.display()))?;
        Ok(store.load(self.state.iter())?)
    }
}

fn unusable(path: &Path, reason: &str) -> TaskError {
    format!("{}: its description of the network cannot be used: {reason}", path.display()).into()
}

/// Writes weights with a description as the metadata entry `key`, whole or not at all.
pub(crate) fn save(
    path: &Path,
    store: &Store,
    key: &str,
    passport: &impl Serialize,
) -> Result<(), TaskError> {
    let text = serde_json::to_string(passport)?;
    let state = StateDict::from_pairs(store.state())?;
    Ok(safetensors::write(path, &state, &[(key.to_owned(), text)].into())?)
}

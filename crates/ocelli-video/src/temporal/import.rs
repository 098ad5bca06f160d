//! Official checkpoints of generators made into proposers.

use std::path::{Path, PathBuf};

use ocelli_nn::DeviceError;
use ocelli_nn::weights::{self, Format, KeyReport, StateDict, WeightsError, match_keys};
use thiserror::Error;

use super::generator::GeneratorConfig;
use super::proposer::{Passport, Proposer, ProposerError};
use super::videos::Rescale;

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// The network with the weights.
    pub proposer: Proposer,
    /// Which keys matched.
    pub report: KeyReport,
    /// The file's format.
    pub format: Format,
    /// Where in the checkpoint the state dict was, keys joined by `/`; empty for the top.
    pub key: String,
    /// What all names started with and was taken off, such as `module.`.
    pub stripped: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Why a checkpoint cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be read as weights.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The weights are of no network known here.
    #[error("{}: no weights of {method}: {reason}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The method.
        method: String,
        /// What is missing.
        reason: String,
    },
    /// A tensor holds what no weight can be.
    #[error("{}: `{name}` holds NaN or infinite values; the checkpoint is damaged or its training diverged", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The device is not to be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Proposer(#[from] ProposerError),
}

/// Reads a checkpoint (`.pth`, `.pt`, `.pkl`, `.safetensors`) of the method with this slug, under the names of its released
/// code. Sizes are told from the shapes; the number of cells is in no shape and is the published one.
///
/// # Errors
/// [`ImportError`] with the file and whatever does not fit.
pub fn import(path: &Path, method: &str, key: Option<&str>) -> Result<Imported, ImportError> {
    let weights::Imported { state, format, key, stripped, skipped, .. } = weights::import(path, key)?;
    let unknown = |reason| ImportError::Unknown { path: path.to_owned(), method: method.to_owned(), reason };
    let config = recognise(method, &state).map_err(unknown)?;
    config.validate().map_err(unknown)?;
    let fault = |name: &str| state.get(name).is_some_and(|a| a.to_f32().iter().any(|v| !v.is_finite()));
    if let Some(name) = state.names().find(|name| fault(name)) {
        return Err(ImportError::Values { path: path.to_owned(), name: name.to_owned() });
    }
    let mut notes = Vec::new();
    if !skipped.is_empty() {
        notes.push(format!("no tensors, so left out: {}", skipped.join(", ")));
    }
    let cells = config.size()[1];
    notes.push(format!("weights do not tell the number of cells; the published {cells} is taken"));
    let proposer = Proposer::new(Passport { method: config, rescale: Rescale::Linear }, &state, path, "cpu")?;
    let report = match_keys(&proposer.generator().store().shapes(), &state, |_| false);
    Ok(Imported { proposer, report, format, key, stripped, notes })
}

/// The network that weights of these shapes are of.
fn recognise(method: &str, state: &StateDict) -> Result<GeneratorConfig, String> {
    let mut config = GeneratorConfig::named(method).ok_or("its checkpoints are not known here")?;
    let shape = |name: &str| {
        let array = state.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        Ok::<_, String>(array.shape().to_vec())
    };
    match &mut config {
        GeneratorConfig::Dbg(dbg) => dbg.network.take_sizes(&shape)?,
    }
    Ok(config)
}

//! What can go wrong between two files and a score.

use std::path::{Path, PathBuf};

use ocelli_data::DataError;
use ocelli_metrics::MetricError;
use thiserror::Error;

/// What can go wrong between two files and a score: what, in which file, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// A file cannot be read or understood.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The evaluator refuses what the files hold.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A file is well-formed but does not fit the protocol or the other file.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the record, and what is wanted.
        reason: String,
    },
    /// There is no such protocol, variant or setting.
    #[error("no {kind} `{name}`; there are: {known}")]
    Unknown {
        /// What was to be named.
        kind: &'static str,
        /// The name given.
        name: String,
        /// All names, separated by commas.
        known: String,
    },
    /// A setting has a value that cannot be used.
    #[error("--set {key}={value}: {reason}")]
    Setting {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// What is wanted.
        reason: String,
    },
    /// Too few or too many files for the protocol.
    #[error("{0}")]
    Files(String),
    /// Two evaluations are not of the same truth.
    #[error("the two predictions cannot be compared: {0}")]
    Unpaired(String),
    /// A resampled evaluation failed on every sample.
    #[error("no sample of the {unit}s can be scored: {reason}")]
    NoSample {
        /// What is resampled.
        unit: &'static str,
        /// Why the first one could not.
        reason: String,
    },
}

impl ScoreError {
    /// A file that does not fit, with the reason.
    pub fn content(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Content { path: path.as_ref().to_owned(), reason: reason.into() }
    }
}

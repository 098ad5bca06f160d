//! What can be wrong with a weight file, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use ocelli_method::ArrayError;
use thiserror::Error;

/// A problem with one weight file.
#[derive(Debug, Error)]
#[error("{}: {problem}", file.display())]
pub struct WeightsError {
    /// The file, or the name given to bytes in memory.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl WeightsError {
    /// Names the file that `problem` was found in.
    pub(super) fn new(file: &Path, problem: impl Into<Problem>) -> Self {
        Self { file: file.to_path_buf(), problem: problem.into() }
    }
}

/// What is wrong with a weight file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system could not read it.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The operating system could not write it.
    #[error("cannot be written: {0}")]
    Write(io::Error),
    /// It ends too early.
    #[error("ends in the middle of {0}; the file is incomplete, download or copy it again")]
    Truncated(String),
    /// Its bytes contradict each other or the format.
    #[error("is corrupt: {0}")]
    Corrupt(String),
    /// The pickle names something other than weights and plain data.
    #[error(
        "asks for `{0}`, which is code and not weights; nothing was run. Where you trust the file, save the weights \
         alone in Python: torch.save(model.state_dict(), \"weights.pth\")"
    )]
    Code(String),
    /// A valid file that this reader does not support.
    #[error("{what} is not supported; {remedy}")]
    Unsupported {
        /// What was found.
        what: String,
        /// What the user can do.
        remedy: &'static str,
    },
    /// A cap of [`Limits`](super::Limits) was reached.
    #[error("{what} passes the limit of {limit}; a damaged or hostile file, or one that needs larger limits")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// It is some other kind of file.
    #[error("is not a weight file that can be read here: {0}")]
    NotWeights(&'static str),
    /// A name occurs twice.
    #[error("holds two tensors named `{0}`")]
    Duplicate(String),
    /// It holds no state dict.
    #[error("holds no state dict (a dictionary from names to tensors); at the top it holds {0}")]
    NoStateDict(String),
    /// It holds several state dicts.
    #[error("holds several state dicts; choose one by its key: {}", candidates.join(", "))]
    Ambiguous {
        /// The key of each, with its number of tensors.
        candidates: Vec<String>,
    },
    /// The key that was asked for is not there.
    #[error("has no key `{key}`; keys there: {}", if present.is_empty() { "none".to_owned() } else { present.join(", ") })]
    NoKey {
        /// The key, or its first part that is absent.
        key: String,
        /// The keys that are present at that place.
        present: Vec<String>,
    },
}

impl Problem {
    /// [`Problem::Corrupt`] with the given words.
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    /// [`Problem::Truncated`] where a read met the end of the file, [`Problem::Read`] otherwise.
    pub(super) fn while_reading(what: &str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated(what.to_owned()),
            // The decompressor and the checksum report damage by these two kinds.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Corrupt(format!("{what}: {error}"))
            }
            _ => Self::Read(error),
        }
    }
}

impl From<ArrayError> for Problem {
    fn from(error: ArrayError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

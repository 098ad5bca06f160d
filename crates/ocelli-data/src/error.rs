//! The one error type of the crate: what is wrong, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What can go wrong between a file and a batch.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The content is no picture, or a damaged one.
    #[error("cannot decode {name}: {reason}")]
    Decode {
        /// The file's path, or the name its bytes were given under.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or picture is larger than the limit set for it.
    #[error(
        "{name} has {found} {what}, more than the limit of {limit}; raise the limit if the file is trusted"
    )]
    TooLarge {
        /// The file's path, or the name its bytes were given under.
        name: String,
        /// What is counted: bytes, pixels.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// A picture cannot be encoded.
    #[error("cannot encode a picture as {format}: {reason}")]
    Encode {
        /// The picture format.
        format: &'static str,
        /// Why.
        reason: String,
    },
    /// A line of a text file cannot be understood.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder as a whole is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A setting or argument has an impossible value.
    #[error("{key}: {reason}")]
    Setting {
        /// The setting's name.
        key: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Pictures or buffers do not fit together.
    #[error("{what}: expected {wanted}, found {found}")]
    Shape {
        /// What was looked at.
        what: &'static str,
        /// The shape it should have.
        wanted: String,
        /// The shape it has.
        found: String,
    },
    /// Points that determine no alignment.
    #[error("cannot align: {reason}")]
    Alignment {
        /// Why.
        reason: String,
    },
    /// More items are unreadable than allowed.
    #[error(
        "{bad} of {total} items are unreadable, more than the allowed share of {allowed}: {listed}; \
         repair or remove them, or allow a larger share"
    )]
    TooManyBad {
        /// Number of unreadable items.
        bad: usize,
        /// Number of all items.
        total: usize,
        /// Largest share allowed, in [0, 1].
        allowed: f64,
        /// Names and reasons of the first of them.
        listed: String,
    },
    /// A data set panicked while it made an item.
    #[error("{name}: the data set panicked: {message}")]
    Panicked {
        /// The item's name.
        name: String,
        /// The panic's message.
        message: String,
    },
}

impl DataError {
    pub(crate) fn read(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Read { path: path.as_ref().to_owned(), source }
    }

    pub(crate) fn write(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Write { path: path.as_ref().to_owned(), source }
    }

    pub(crate) fn line(path: impl AsRef<Path>, line: usize, reason: impl Into<String>) -> Self {
        Self::Line { path: path.as_ref().to_owned(), line, reason: reason.into() }
    }

    pub(crate) fn content(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Content { path: path.as_ref().to_owned(), reason: reason.into() }
    }

    pub(crate) fn setting(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Setting { key, reason: reason.into() }
    }
}

/// The message a panic was raised with.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

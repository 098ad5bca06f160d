//! What can be wrong with a container.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::element::ElementType;
use super::format::{MOST_SECTIONS, VERSION};

/// What is wrong with which file.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct ContainerError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What can be wrong with a container.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be opened, read or mapped.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// The file cannot be written.
    #[error("cannot write: {0}; the file is as it was")]
    Write(io::Error),
    /// Something else than a file.
    #[error("this is no regular file")]
    NoFile,
    /// Another kind of file.
    #[error("this is no Ocelli container: the first bytes are not its mark")]
    Magic,
    /// Written by a machine of the other byte order, or by a broken one.
    #[error("the mark of the byte order is {found:#010x}; only little-endian files can be read")]
    ByteOrder {
        /// What stands there.
        found: u32,
    },
    /// This machine has the other byte order.
    #[error("containers are little-endian, this machine is not")]
    Machine,
    /// Written by another version of the format.
    #[error(
        "format version {found} is unknown, this program knows {VERSION}; update it or build the file again"
    )]
    Version {
        /// The version that the file states.
        found: u32,
    },
    /// The file has lost its end or has something after it.
    #[error("the file has {found} bytes, its header says {wanted}: it is {}", if found < wanted { "cut off" } else { "followed by something else" })]
    Length {
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be.
        wanted: u64,
    },
    /// The header does not match its checksum or contradicts itself.
    #[error("the header is damaged: {0}")]
    Header(String),
    /// The list of sections does not match its checksum or contradicts itself.
    #[error("the table of sections is damaged: {0}")]
    Table(String),
    /// Bytes of sections do not match their checksums.
    #[error("the content of {} is damaged (its checksum differs); restore the file or build it again", list(.0))]
    Damaged(Vec<String>),
    /// Another kind of content.
    #[error("the file holds `{found}`, not `{wanted}`")]
    Kind {
        /// The kind that the file states.
        found: String,
        /// The kind asked for.
        wanted: String,
    },
    /// A section that is needed is absent.
    #[error("there is no section `{0}`")]
    Missing(String),
    /// A section is not of the type or shape that is needed.
    #[error("section `{section}` is {found}, wanted {wanted}")]
    Unexpected {
        /// Its name.
        section: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The JSON of the metadata does not say what it should.
    #[error("the metadata cannot be understood: {0}")]
    Metadata(String),
    /// A section cannot be written as asked.
    #[error("section `{section}` cannot be written: {reason}")]
    Section {
        /// Its name.
        section: String,
        /// Why.
        reason: String,
    },
    /// Too many sections.
    #[error("more than {MOST_SECTIONS} sections")]
    TooMany,
    /// Not enough memory to hold the file.
    #[error("{0} bytes do not fit into memory; open the file instead of reading it")]
    Memory(u64),
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> ContainerError {
        ContainerError { path: path.to_owned(), fault: self }
    }

    pub(super) fn section(section: &str, reason: impl Into<String>) -> Self {
        Self::Section { section: section.to_owned(), reason: reason.into() }
    }
}

/// A type and shape in words.
pub(super) fn describe(element: ElementType, shape: &[impl std::fmt::Display]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("{element} [{}]", dims.join(", "))
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

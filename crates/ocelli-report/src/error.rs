//! What can go wrong with a report.

use std::io;
use std::path::PathBuf;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file could not be written; what stood there before still stands.
    #[error("report {}: cannot be written: {source}; check that its folder exists and has room", file.display())]
    Write {
        /// The file the report was to go to.
        file: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

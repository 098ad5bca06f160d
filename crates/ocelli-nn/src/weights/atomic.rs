//! Writing weights so that the file is there wholly or not at all.

use std::io::{self, Write};
use std::path::Path;

use ocelli_method::files;

use super::error::{Problem, WeightsError};

/// [`files::write_atomically`], with an error that names the file.
///
/// # Errors
/// [`Problem::Write`] when the folder is absent or the disk refuses; the old content stays.
pub fn write_atomically(
    file: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WeightsError> {
    files::write_atomically(file, content).map_err(|error| WeightsError::new(file, Problem::Write(error)))
}

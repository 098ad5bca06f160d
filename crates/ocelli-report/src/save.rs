//! The finished page on disk, wholly or not at all.

use std::path::Path;

use ocelli_method::files;

use super::ReportError;

/// Writes `page` through a temporary file beside `file`, which is synced and then renamed over it.
pub(super) fn save(file: &Path, page: &str) -> Result<(), ReportError> {
    files::write_atomically(file, |w| w.write_all(page.as_bytes()))
        .map_err(|source| ReportError::Write { file: file.to_path_buf(), source })
}

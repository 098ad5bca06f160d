//! The finished page on disk, wholly or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::ReportError;

/// Writes `page` through a temporary file beside `file`, which is synced and then renamed over it.
pub(super) fn save(file: &Path, page: &str) -> Result<(), ReportError> {
    replace(file, page).map_err(|source| ReportError::Write { file: file.to_path_buf(), source })
}

fn replace(file: &Path, page: &str) -> io::Result<()> {
    // The parent of a bare file name is the empty path, which cannot be opened.
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".report-");
    // A temporary file is private; a report is there to be read by others, as far as the umask lets them.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder)?;
    temporary.write_all(page.as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    // The rename is durable once the folder is synced too, which only Unix allows.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

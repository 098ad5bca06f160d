//! Writing a file so that it is there wholly or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Writes `file` through a temporary file beside it, which is synced to disk and renamed: whoever opens `file` at any
/// moment, also after a power cut, finds the old content or the new, never a part.
///
/// # Errors
/// When the folder is absent, the disk refuses, or `content` fails; the old content stays and no temporary file is
/// left behind.
pub fn write_atomically(
    file: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = AtomicFile::create(file)?;
    content(&mut writer)?;
    writer.commit()
}

/// A file that is written piece by piece, also back and forth, and is there wholly or not at all: what
/// [`write_atomically`] does, for who cannot write from within a function.
///
/// Dropped without [`commit`](Self::commit) it leaves nothing behind and the old content as it was.
#[derive(Debug)]
pub struct AtomicFile {
    /// Where it will be found.
    target: PathBuf,
    temporary: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins a temporary file beside `file`.
    ///
    /// # Errors
    /// When the folder is absent or may not be written to.
    pub fn create(file: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".writing-");
        // Temporary files are private by default; the finished file should be as readable as any other.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(folder_of(file))?;
        Ok(Self { target: file.to_owned(), temporary: BufWriter::with_capacity(1 << 20, temporary) })
    }

    /// Syncs what was written to disk and puts it in the place of the file.
    ///
    /// # Errors
    /// When the disk refuses; the old content stays.
    pub fn commit(self) -> io::Result<()> {
        let temporary = self.temporary.into_inner().map_err(io::IntoInnerError::into_error)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&self.target).map_err(|error| error.error)?;
        sync_folder(folder_of(&self.target))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.temporary.seek(to)
    }
}

/// The folder a file lies in. A bare file name has the empty path as its parent.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the rename itself durable. Only Unix can open a folder to sync it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        write_atomically(&file, |w| w.write_all(b"old")).unwrap();
        let error = write_atomically(&file, |w| {
            w.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "disk full");
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_absent_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_atomically(&folder.path().join("absent/weights"), |_| Ok(())).is_err());
    }

    #[test]
    fn a_file_is_replaced_when_it_is_committed_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        std::fs::write(&path, b"old").unwrap();
        for commit in [false, true] {
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(b"n-w").unwrap();
            file.seek(SeekFrom::Start(1)).unwrap();
            file.write_all(b"e").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            match commit {
                true => file.commit().unwrap(),
                false => drop(file),
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}

//! NumPy's `.npz` files: zips of [`.npy`](crate::annotations::npy) files, such as a clip's `video` and `text` features.
//!
//! Entries may be stored or deflated (`numpy.savez`, `numpy.savez_compressed`); they are written stored.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use ocelli_method::Array;
use ocelli_method::files::write_atomically;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::front::{ColumnRef, ReadOptions};
use super::ids::{ID_NAMES, Ids};
use super::set::VectorSet;
use crate::annotations::npy;
use crate::error::DataError;

/// Deflate makes of one byte at most so many.
pub(super) const MOST_INFLATION: u64 = 1032;

/// An open `.npz` file; arrays are read when they are asked for.
#[derive(Debug)]
pub struct Npz<R = BufReader<File>> {
    path: PathBuf,
    archive: ZipArchive<R>,
    /// The arrays' names, without `.npy`, and their entries.
    entries: Vec<(String, usize)>,
}

impl Npz {
    /// Opens a file and reads its directory.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] when it is no zip of `.npy` files.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| DataError::read(path, source))?;
        Self::from_reader(path, BufReader::new(file))
    }
}

impl<R: Read + io::Seek> Npz<R> {
    /// As [`Npz::open`], of bytes that are at hand; `path` is their name in errors.
    ///
    /// # Errors
    /// As [`Npz::open`].
    pub fn from_reader(path: impl AsRef<Path>, reader: R) -> Result<Self, DataError> {
        let path = path.as_ref().to_owned();
        let archive =
            ZipArchive::new(reader).map_err(|e| DataError::content(&path, format!("no .npz file: {e}")))?;
        let mut entries = Vec::with_capacity(archive.len());
        for index in 0..archive.len() {
            let name = archive.name_for_index(index).and_then(Result::ok);
            match name.as_deref().and_then(|n| n.strip_suffix(".npy")) {
                Some(name) if !name.is_empty() => entries.push((name.to_owned(), index)),
                _ => {
                    let name = name.as_deref().unwrap_or("an entry without a readable name").to_owned();
                    return Err(DataError::content(&path, format!("`{name}` is no .npy file")));
                }
            }
        }
        Ok(Self { path, archive, entries })
    }

    /// The names of the arrays, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Reads an array; see [`npy`] for what becomes of its elements.
    ///
    /// # Errors
    /// [`DataError::Content`] when there is no such array, or it is damaged, encrypted or compressed otherwise than by
    /// deflate.
    pub fn read(&mut self, name: &str) -> Result<Array, DataError> {
        let index = self.entries.iter().find(|(n, _)| n == name).map(|(_, i)| *i);
        let index = index.ok_or_else(|| self.fail(format!("no array `{name}`; {}", listed(self.names()))))?;
        let bytes = self.bytes(index).map_err(|reason| self.fail(format!("array `{name}`: {reason}")))?;
        npy::parse(&bytes).map_err(|reason| self.fail(format!("array `{name}`: {reason}")))
    }

    fn bytes(&mut self, index: usize) -> Result<Vec<u8>, String> {
        let entry = self.archive.by_index(index).map_err(|e| e.to_string())?;
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(format!("compression {} is not supported (deflate is)", entry.compression()));
        }
        let (packed, size) = (entry.compressed_size(), entry.size());
        if size > packed.saturating_mul(MOST_INFLATION) {
            return Err(format!("{packed} bytes cannot hold the {size} that are promised"));
        }
        // Grows with what is really there: the sizes are the file's own claim.
        let mut bytes = Vec::new();
        entry.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() as u64 != size {
            return Err(format!("{size} bytes are promised, found {}", bytes.len()));
        }
        Ok(bytes)
    }

    fn fail(&self, reason: String) -> DataError {
        DataError::content(&self.path, reason)
    }
}

/// What there is instead of what was looked for.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "there is none".to_owned(),
        n if n > SHOWN => format!("there are {} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => format!("there are {}", names.join(", ")),
    }
}

/// Reads all arrays of a file, in its order.
///
/// # Errors
/// As [`Npz::open`] and [`Npz::read`].
pub fn read(path: impl AsRef<Path>) -> Result<Vec<(String, Array)>, DataError> {
    let mut file = Npz::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| {
            let array = file.read(&name)?;
            Ok((name, array))
        })
        .collect()
}

/// Writes arrays under their names.
///
/// # Errors
/// [`DataError::Content`] for two arrays of one name; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, arrays: &[(&str, &Array)]) -> Result<(), DataError> {
    let path = path.as_ref();
    if let Some((i, (name, _))) =
        arrays.iter().enumerate().find(|(i, (name, _))| arrays[..*i].iter().any(|(n, _)| n == name))
    {
        return Err(DataError::content(path, format!("array {i}: the name `{name}` is taken")));
    }
    write_atomically(path, |out| {
        let mut archive = ZipWriter::new_stream(out);
        for (name, array) in arrays {
            let bytes = npy::to_bytes(array);
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(u32::try_from(bytes.len()).is_err());
            archive.start_file(format!("{name}.npy"), options).map_err(io::Error::other)?;
            io::Write::write_all(&mut archive, &bytes)?;
        }
        archive.finish().map_err(io::Error::other)?;
        Ok(())
    })
    .map_err(|source| DataError::write(path, source))
}

/// The vectors of a file: the array that the options name, else the only one that is not called as ids are, else
/// `vectors`.
pub(super) fn read_set(path: &Path, options: &ReadOptions) -> Result<VectorSet, DataError> {
    let mut file = Npz::open(path)?;
    let vectors = match &options.vectors {
        Some(name) => name.clone(),
        None => {
            let others: Vec<&str> = file.names().filter(|n| !ID_NAMES.contains(n)).collect();
            let name = match others[..] {
                [name] => Some(name),
                _ => others.iter().find(|n| **n == "vectors").copied(),
            };
            let unclear =
                || file.fail(format!("which array holds the vectors? {}", listed(others.iter().copied())));
            name.ok_or_else(unclear)?.to_owned()
        }
    };
    let ids = match &options.ids {
        Some(ColumnRef::Name(name)) => Some(name.clone()),
        Some(ColumnRef::Position(_)) => return Err(file.fail("arrays of an .npz file have names".into())),
        None => file.names().find(|n| ID_NAMES.contains(n) && *n != vectors).map(str::to_owned),
    };
    let array = file.read(&vectors)?;
    let mut set = VectorSet::from_array(array).map_err(|e| file.fail(format!("array `{vectors}`: {e}")))?;
    if let Some(name) = ids {
        let array = file.read(&name)?;
        set.ids = Some(Ids::from_array(&array).map_err(|e| file.fail(format!("array `{name}`: {e}")))?);
    }
    Ok(set)
}

pub(super) fn write_set(path: &Path, set: &VectorSet) -> Result<(), DataError> {
    let fail = |reason: String| DataError::content(path, reason);
    let vectors = set.to_array().map_err(fail)?;
    let ids = match &set.ids {
        None => return write(path, &[("vectors", &vectors)]),
        Some(Ids::Numbers(ids)) => ids.iter().map(|id| i64::try_from(*id)).collect::<Result<Vec<_>, _>>(),
        Some(Ids::Names(_)) => {
            return Err(fail("ids that are text cannot be written as .npz; .csv and .h5 take them".into()));
        }
    };
    let ids = Array::integers(ids.map_err(|_| fail("an id is beyond 63 bits".into()))?);
    write(path, &[("vectors", &vectors), ("ids", &ids)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// What `numpy.savez_compressed` writes for `video` of float16 [2, 3], `text` of float32 [2, 2] in column-major
    /// order, and `length` of int32.
    const CLIP: &[u8] = include_bytes!("../../tests/fixtures/clip.npz");

    #[test]
    fn numpys_own_file_is_read() {
        let mut file = Npz::from_reader("clip.npz", Cursor::new(CLIP)).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["video", "text", "length"]);
        let video = Array::f32([2, 3], vec![0.0, 0.5, 1.0, -1.5, 2.0, 65504.0]).unwrap();
        assert_eq!(file.read("video").unwrap(), video);
        assert_eq!(file.read("text").unwrap(), Array::f32([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap());
        assert_eq!(file.read("length").unwrap().as_i64().unwrap(), [7]);
        let message = file.read("audio").unwrap_err().to_string();
        assert_eq!(message, "clip.npz: no array `audio`; there are video, text, length");
    }

    #[test]
    fn arrays_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.npz");
        let (video, ids) = (Array::f32([1, 2], vec![0.5, -1.0]).unwrap(), Array::integers([3]));
        write(&path, &[("video", &video), ("deep/ids", &ids)]).unwrap();
        assert_eq!(read(&path).unwrap(), [("video".to_owned(), video.clone()), ("deep/ids".to_owned(), ids)]);
        assert!(write(&path, &[("a", &video), ("a", &video)]).is_err());
        write(&path, &[]).unwrap();
        assert!(read(&path).unwrap().is_empty());
    }

    #[test]
    fn what_holds_the_vectors_is_found_or_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.npz");
        std::fs::write(&path, CLIP).unwrap();
        let read = |options: &ReadOptions| super::super::read(&path, options);
        let message = read(&ReadOptions::default()).unwrap_err().to_string();
        assert!(
            message.contains("which array holds the vectors? there are video, text, length"),
            "{message}"
        );
        let named = ReadOptions { vectors: Some("text".into()), ..ReadOptions::default() };
        assert_eq!(read(&named).unwrap().row(1), [3.0, 4.0]);
        let wrong = ReadOptions { vectors: Some("length".into()), ..ReadOptions::default() };
        assert!(
            read(&wrong).unwrap_err().to_string().contains("array `length`: an array of rows and columns")
        );
        let ids = ReadOptions { ids: Some(ColumnRef::Name("video".into())), ..named };
        assert!(read(&ids).unwrap_err().to_string().contains("array `video`: ids: whole numbers expected"));
    }

    fn read_everything(bytes: &[u8]) -> Result<(), DataError> {
        let mut file = Npz::from_reader("x.npz", Cursor::new(bytes))?;
        let names: Vec<String> = file.names().map(str::to_owned).collect();
        names.iter().try_for_each(|name| file.read(name).map(|_| ()))
    }

    #[test]
    fn cut_files_are_errors() {
        read_everything(CLIP).unwrap();
        for length in 0..CLIP.len() {
            let message = read_everything(&CLIP[..length]).unwrap_err().to_string();
            assert!(message.starts_with("x.npz: ") && !message.contains('\n'), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let _ = read_everything(&bytes);
            let mut file = CLIP.to_vec();
            for (at, value) in changes {
                let at = at.index(file.len());
                file[at] = value;
            }
            let _ = read_everything(&file);
        }
    }
}

//! Official checkpoints: which format a file has, what it holds, and reading its tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ocelli_method::Array;
use zip::read::{ArchiveOffset, Config};
use zip::{ZipArchive, result::ZipError};

use super::error::{Problem, WeightsError};
use super::legacy::{self, Legacy};
use super::limits::{Budget, Limits};
use super::pickle::{self, StorageTable, Surroundings};
use super::safetensors;
use super::value::{StorageSource, StoredTensor, Value};

/// Format of a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `torch.save` since PyTorch 1.6: a zip archive.
    TorchZip,
    /// `torch.save` before PyTorch 1.6.
    TorchLegacy,
    /// Python's `pickle`, of NumPy arrays or plain data.
    Pickle,
    /// safetensors.
    Safetensors,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::TorchZip => "PyTorch checkpoint (zip)",
            Format::TorchLegacy => "PyTorch checkpoint (before 1.6)",
            Format::Pickle => "Python pickle",
            Format::Safetensors => "safetensors",
        })
    }
}

/// An open checkpoint: the tree of what it holds, with tensors that are read when asked for.
///
/// ```no_run
/// use ocelli_nn::weights::Checkpoint;
///
/// let checkpoint = Checkpoint::open("resnet50.pth".as_ref())?;
/// let found = checkpoint.find(None)?;
/// println!("{} tensors under `{}`", found.tensors.len(), found.key);
/// let state = checkpoint.load(&found)?;
/// # Ok::<(), ocelli_nn::weights::WeightsError>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    file: PathBuf,
    format: Format,
    root: Value,
    storages: StorageTable,
    container: Container,
    limits: Limits,
    length: u64,
}

/// What a checkpoint can be read from.
trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}
type Reader = BufReader<Box<dyn Source>>;

/// Where storages are.
enum Container {
    /// Each an entry `<folder>data/<key>` of the archive.
    Zip { archive: Mutex<ZipArchive<Reader>>, folder: String },
    /// Each at a byte of the file.
    Legacy { reader: Mutex<Reader>, places: HashMap<Arc<str>, u64> },
    /// In the pickle.
    Inline,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Container::Zip { .. } => "Zip",
            Container::Legacy { .. } => "Legacy",
            Container::Inline => "Inline",
        })
    }
}

impl Checkpoint {
    /// Opens a checkpoint and reads everything but the elements of its tensors.
    ///
    /// # Errors
    /// Names the file, what is wrong with it and what to do: absent, cut short, corrupt, another kind of file, a pickle
    /// that asks for code, a format that is not supported.
    pub fn open(file: &Path) -> Result<Self, WeightsError> {
        Self::open_with(file, &Limits::default())
    }

    /// [`Checkpoint::open`] under other limits.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], and [`Problem::TooLarge`] past the limits.
    pub fn open_with(file: &Path, limits: &Limits) -> Result<Self, WeightsError> {
        let opened = File::open(file).map_err(|e| WeightsError::new(file, e))?;
        Self::from_source(file, Box::new(opened), limits)
    }

    /// Reads a checkpoint from memory; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`Checkpoint::open_with`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self, WeightsError> {
        Self::from_source(Path::new(name), Box::new(Cursor::new(bytes)), limits)
    }

    fn from_source(file: &Path, source: Box<dyn Source>, limits: &Limits) -> Result<Self, WeightsError> {
        let read = || -> Result<Self, Problem> {
            let mut reader = BufReader::with_capacity(1 << 16, source);
            let (start, length) = beginning(&mut reader)?;
            let format = sniff(&start, length)?;
            let (pickled, container) = match format {
                Format::TorchZip => open_zip(reader, length, limits)?,
                Format::TorchLegacy => {
                    let Legacy { pickled, places } =
                        legacy::read(&mut reader, length, Surroundings::Torch, limits)?;
                    (pickled, Container::Legacy { reader: Mutex::new(reader), places })
                }
                Format::Pickle => {
                    let pickled = pickle::read(&mut reader, Surroundings::Plain, limits)?;
                    if !reader.fill_buf()?.is_empty() {
                        return Err(Problem::Unsupported {
                            what: "a file with something behind its pickle".to_owned(),
                            remedy: "where it holds several pickles, load them in Python and save one dictionary",
                        });
                    }
                    (pickled, Container::Inline)
                }
                Format::Safetensors => {
                    return Err(Problem::NotWeights("safetensors, which is no checkpoint; import it"));
                }
            };
            let (root, storages) = (pickled.value, pickled.storages);
            let (file, limits) = (file.to_path_buf(), limits.clone());
            Ok(Self { file, format, root, storages, container, limits, length })
        };
        read().map_err(|problem| WeightsError::new(file, problem))
    }

    /// The file, or the name given to bytes in memory.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The file's format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// All that the checkpoint holds.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Reads the elements of a tensor of this checkpoint.
    ///
    /// # Errors
    /// When its storage is absent, cut short or past the limits.
    pub fn array(&self, tensor: &StoredTensor) -> Result<Array, WeightsError> {
        let mut arrays = self.arrays(&[tensor])?;
        arrays
            .pop()
            .ok_or_else(|| WeightsError::new(&self.file, Problem::corrupt("the tensor cannot be read")))
    }

    /// Reads the elements of several tensors, each storage once.
    ///
    /// # Errors
    /// As [`Checkpoint::array`].
    pub fn arrays(&self, tensors: &[&StoredTensor]) -> Result<Vec<Array>, WeightsError> {
        self.read_arrays(tensors).map_err(|problem| WeightsError::new(&self.file, problem))
    }

    fn read_arrays(&self, tensors: &[&StoredTensor]) -> Result<Vec<Array>, Problem> {
        let mut budget = self.limits.budget(self.length);
        let key = |place: usize| match &tensors[place].storage {
            StorageSource::File(key) => Some(key),
            StorageSource::Inline(..) => None,
        };
        // Tensors of one storage in a row, so that one storage at a time is in memory.
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by(|&a, &b| key(a).cmp(&key(b)));
        let mut arrays: Vec<Option<Array>> = vec![None; tensors.len()];
        let mut current: Option<(&Arc<str>, Vec<u8>)> = None;
        for place in order {
            let tensor = tensors[place];
            budget.take(tensor.decoded_bytes())?;
            let bytes = match &tensor.storage {
                StorageSource::Inline(bytes, start) => bytes.get(*start..).unwrap_or_default(),
                StorageSource::File(key) => {
                    if current.as_ref().is_none_or(|(known, _)| *known != key) {
                        // Freed before the next is read.
                        drop(current.take());
                        current = Some((key, self.storage(key, &mut budget)?));
                    }
                    current.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default()
                }
            };
            arrays[place] = Some(tensor.dtype.decode(bytes, &tensor.layout, tensor.order)?);
        }
        Ok(arrays.into_iter().flatten().collect())
    }

    /// The bytes of a storage beside the pickle.
    fn storage(&self, key: &Arc<str>, budget: &mut Budget) -> Result<Vec<u8>, Problem> {
        let what = format!("storage `{key}`");
        let info = self.storages.get(key).ok_or_else(|| Problem::corrupt(format!("{what} is unknown")))?;
        let wanted = (info.elements as u64)
            .checked_mul(info.dtype.size() as u64)
            .ok_or_else(|| Problem::corrupt(format!("the size of {what} overflows")))?;
        match &self.container {
            Container::Zip { archive, folder } => {
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let bytes = read_entry(&mut archive, &format!("{folder}data/{key}"), budget)?;
                if (bytes.len() as u64) < wanted {
                    return Err(Problem::corrupt(format!(
                        "{what} has {} bytes where {wanted} belong",
                        bytes.len()
                    )));
                }
                Ok(bytes)
            }
            Container::Legacy { reader, places } => {
                let start = *places.get(key).ok_or_else(|| Problem::corrupt(format!("{what} is absent")))?;
                // `legacy::read` saw that the file is long enough.
                budget.take(wanted)?;
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                reader.seek(SeekFrom::Start(start))?;
                let mut bytes = vec![0; wanted as usize];
                reader.read_exact(&mut bytes).map_err(|e| Problem::while_reading(&what, e))?;
                Ok(bytes)
            }
            Container::Inline => Err(Problem::corrupt(format!("{what} is absent"))),
        }
    }
}

/// The first bytes and the length; the reader is back at the start.
fn beginning(reader: &mut Reader) -> Result<(Vec<u8>, u64), Problem> {
    let length = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    let mut start = Vec::new();
    reader.by_ref().take(300).read_to_end(&mut start)?;
    reader.rewind()?;
    Ok((start, length))
}

/// The format of a file that starts like this.
///
/// # Errors
/// [`Problem::NotWeights`] with the format's name where it is a well-known other one.
pub(super) fn sniff(start: &[u8], length: u64) -> Result<Format, Problem> {
    const OTHERS: [(&[u8], &str); 11] = [
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"BZh", "a bzip2 archive; unpack it first"),
        (b"\xfd7zXZ", "an xz archive; unpack it first"),
        (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
        (b"Rar!", "a rar archive; unpack it first"),
        (b"\x89HDF", "an HDF5 file, as Keras writes; save its arrays with pickle in Python"),
        (b"\x93NUMPY", "one NumPy array (.npy); save a dictionary of arrays with pickle in Python"),
        (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
        (b"<!DOCTYPE", "a web page; the download did not give the file"),
        (b"<!doctype", "a web page; the download did not give the file"),
        (b"<html", "a web page; the download did not give the file"),
    ];
    if length == 0 {
        return Err(Problem::NotWeights("an empty file"));
    }
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(Problem::NotWeights(name));
    }
    if start.get(257..262) == Some(b"ustar") {
        return Err(Problem::NotWeights("a tar archive; unpack it first"));
    }
    match start {
        [b'P', b'K', 3, 4, ..] => Ok(Format::TorchZip),
        _ if legacy::looks_like(start) => Ok(Format::TorchLegacy),
        [0x80, 0..=5, ..] => Ok(Format::Pickle),
        _ if safetensors::looks_like(start, length) => Ok(Format::Safetensors),
        // Protocols 0 and 1 have no mark of their own: any instruction that can come first.
        [first, ..] if b"(]})cINFLGKMJSVUTX".contains(first) => Ok(Format::Pickle),
        _ => Err(Problem::NotWeights("an unknown format")),
    }
}

fn open_zip(reader: Reader, length: u64, limits: &Limits) -> Result<(pickle::Pickled, Container), Problem> {
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive =
        ZipArchive::with_config(config, reader).map_err(|e| zip_problem("the archive's directory", e))?;
    if archive.has_duplicate_names() {
        return Err(Problem::corrupt("the archive holds two entries of one name"));
    }
    let folder = folder(&archive)?;
    let mut budget = limits.budget(length);
    if archive.index_for_name(&format!("{folder}byteorder")).is_some() {
        let order = read_entry(&mut archive, &format!("{folder}byteorder"), &mut budget)?;
        if order != b"little" {
            return Err(legacy::big_endian());
        }
    }
    let program = read_entry(&mut archive, &format!("{folder}data.pkl"), &mut budget)?;
    let pickled = pickle::read(&mut program.as_slice(), Surroundings::Torch, limits)?;
    Ok((pickled, Container::Zip { archive: Mutex::new(archive), folder }))
}

/// The folder within the archive, with its slash: it is named after the file that was saved.
fn folder(archive: &ZipArchive<Reader>) -> Result<String, Problem> {
    let names: Vec<&str> =
        archive.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok()).collect();
    let is_script = |name: &&str| name.ends_with("/constants.pkl") || name.contains("/code/");
    if names.iter().any(is_script) {
        return Err(Problem::Unsupported {
            what: "a TorchScript archive".to_owned(),
            remedy: "in Python: torch.save(torch.jit.load(file).state_dict(), \"weights.pth\")",
        });
    }
    let mut folders = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
    match (folders.next(), folders.next()) {
        (Some(folder), None) if folder.is_empty() || folder.ends_with('/') => Ok(folder.to_owned()),
        (None, _) => {
            Err(Problem::NotWeights("a zip archive that torch.save did not write; it has no data.pkl"))
        }
        _ => Err(Problem::corrupt("the archive's data.pkl is not where it belongs")),
    }
}

/// The whole content of an archive's entry, its checksum verified.
fn read_entry(archive: &mut ZipArchive<Reader>, name: &str, budget: &mut Budget) -> Result<Vec<u8>, Problem> {
    let entry = archive.by_name(name).map_err(|e| zip_problem(name, e))?;
    let size = entry.size();
    budget.take(size)?;
    let mut bytes = Vec::with_capacity(budget.capacity(size));
    // One byte more than announced: a longer entry must not pass for a shorter one.
    entry
        .take(size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Problem::while_reading(name, e))?;
    if bytes.len() as u64 == size {
        Ok(bytes)
    } else {
        Err(Problem::corrupt(format!("entry `{name}` has {} bytes where {size} belong", bytes.len())))
    }
}

fn zip_problem(what: &str, error: ZipError) -> Problem {
    match error {
        ZipError::Io(error) => Problem::while_reading(what, error),
        ZipError::FileNotFound => Problem::corrupt(format!("entry `{what}` is absent from the archive")),
        // A file cut short has lost its directory, which lies at the end.
        ZipError::InvalidArchive(why) => {
            Problem::corrupt(format!("{what}: {why}; the file may be incomplete, download or copy it again"))
        }
        other => Problem::Unsupported {
            what: format!("the archive ({what}: {other})"),
            remedy: "save it again with torch.save in Python",
        },
    }
}

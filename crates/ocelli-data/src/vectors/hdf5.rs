//! HDF5 files of numbers: feature files with a dataset or group a video, vectors of a search benchmark.
//!
//! Read are datasets of floats (2, 4 and 8 bytes) and integers, either byte order, compact, contiguous or in chunks, of
//! the format up to that of HDF5 1.14; compressed with gzip or LZF, with or without shuffling and checksums. Everything else is
//! refused by name: other filters, virtual datasets, compound types, datasets that were never written or not wholly.
//!
//! The format itself is read and written by `hdf5-pure`. What a header promises is held against the bytes that are
//! there before the crate is asked for the data: the sizes of elements and chunks, their number and places.

use std::path::{Path, PathBuf};

use hdf5_pure::{
    AttrValue, ChunkIndex, DType, Datatype, DatatypeByteOrder, File, FileBuilder, Group, Layout,
};
use ocelli_method::files::write_atomically;
use ocelli_method::{Array, Data};

use super::front::{ColumnRef, ReadOptions};
use super::ids::{ID_NAMES, Ids};
use super::npz::{MOST_INFLATION, listed};
use super::set::VectorSet;
use crate::error::DataError;

/// Groups in groups are followed so deep.
const MOST_DEPTH: usize = 16;
/// Identifiers of the filters that are read: gzip, shuffle, Fletcher's checksum, LZF.
const FILTERS: [u16; 4] = [1, 2, 3, 32000];

/// An open HDF5 file; datasets are read when they are asked for.
pub struct Hdf5 {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// A dataset of an HDF5 file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its path from the root, `video_1/c3d_features`.
    pub name: String,
    /// Its shape; empty for a scalar.
    pub shape: Vec<u64>,
    /// Whether its elements are numbers that can be read.
    pub numeric: bool,
}

impl std::fmt::Debug for Hdf5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hdf5").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Hdf5 {
    /// Opens a file; only its first bytes are read.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] when it is no HDF5 file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = std::fs::metadata(path).map_err(|source| DataError::read(path, source))?.len();
        match File::open_streaming(path) {
            Ok(file) => Self { path: path.to_owned(), file, bytes }.whole(),
            Err(hdf5_pure::Error::Io(source)) => Err(DataError::read(path, source)),
            Err(error) => Err(DataError::content(path, format!("no HDF5 file: {}", line(&error)))),
        }
    }

    /// As [`Hdf5::open`], of bytes that are at hand; `path` is their name in errors.
    ///
    /// # Errors
    /// [`DataError::Content`] when it is no HDF5 file.
    pub fn from_bytes(path: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self, DataError> {
        let (path, length) = (path.as_ref().to_owned(), bytes.len() as u64);
        let file = File::from_bytes(bytes)
            .map_err(|error| DataError::content(&path, format!("no HDF5 file: {}", line(&error))))?;
        Self { path, file, bytes: length }.whole()
    }

    /// A file that was cut short is found out by its own account of its length.
    fn whole(self) -> Result<Self, DataError> {
        let wanted = self.file.superblock().eof_address;
        if self.bytes < wanted {
            return Err(self.fail(format!("cut short: {wanted} bytes are promised, found {}", self.bytes)));
        }
        Ok(self)
    }

    /// All datasets, sorted by name; those in groups too.
    ///
    /// # Errors
    /// [`DataError::Content`] when a group is damaged, or groups hold each other.
    pub fn datasets(&self) -> Result<Vec<Dataset>, DataError> {
        let mut found = Vec::new();
        // A link takes more than 8 bytes: only a circle has more of them than the file has room for.
        let mut budget = self.bytes / 8;
        self.walk(&self.file.root(), "", MOST_DEPTH, &mut budget, &mut found)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn walk(
        &self,
        group: &Group,
        prefix: &str,
        depth: usize,
        budget: &mut u64,
        found: &mut Vec<Dataset>,
    ) -> Result<(), DataError> {
        let fail = |error: hdf5_pure::Error| self.fail(format!("group `/{prefix}`: {}", line(&error)));
        let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        for (name, dataset) in group.iter_datasets().map_err(fail)? {
            self.spend(budget)?;
            let name = join(&name);
            let shape = dataset.shape().map_err(|e| self.fail(format!("dataset `{name}`: {}", line(&e))))?;
            let numeric = dataset.datatype().is_ok_and(|t| Element::of(&t).is_some());
            found.push(Dataset { name, shape, numeric });
        }
        for (name, group) in group.iter_groups().map_err(fail)? {
            self.spend(budget)?;
            if depth == 0 {
                return Err(self.fail(format!("groups are nested deeper than {MOST_DEPTH}")));
            }
            self.walk(&group, &join(&name), depth - 1, budget, found)?;
        }
        Ok(())
    }

    fn spend(&self, budget: &mut u64) -> Result<(), DataError> {
        *budget = budget.checked_sub(1).ok_or_else(|| self.fail("its groups hold each other".into()))?;
        Ok(())
    }

    /// Whether there is a dataset of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.file.dataset(name).is_ok()
    }

    /// Reads a dataset of numbers, of any shape: floats in single or double precision, unsigned bytes as bytes, other
    /// integers as 64-bit ones.
    ///
    /// # Errors
    /// [`DataError::Content`] when there is none, or it is damaged or of a kind that is not read.
    pub fn read(&self, name: &str) -> Result<Array, DataError> {
        self.numbers(name).map_err(|reason| self.fail(format!("dataset `{name}`: {reason}")))
    }

    /// Reads the features of one video, `[T, D]`: the dataset of this name or the only one in the group of this name.
    ///
    /// # Errors
    /// As [`Hdf5::read`], and for what [`VectorSet::check`] refuses.
    pub fn features(&self, name: &str) -> Result<VectorSet, DataError> {
        let name = match self.file.group(name) {
            Ok(group) => {
                let members = group.datasets().map_err(|e| self.fail(format!("`{name}`: {}", line(&e))))?;
                let [member] = &members[..] else {
                    let members = listed(members.iter().map(String::as_str));
                    return Err(self.fail(format!("group `{name}`: one dataset expected; {members}")));
                };
                format!("{}/{member}", name.trim_end_matches('/'))
            }
            Err(_) => name.to_owned(),
        };
        let set = VectorSet::from_array(self.read(&name)?).and_then(|set| set.check().map(|()| set));
        set.map_err(|reason| self.fail(format!("dataset `{name}`: {reason}")))
    }

    /// An attribute of the whole file, if it is there and a text.
    ///
    /// # Errors
    /// [`DataError::Content`] when the attributes are damaged.
    pub fn text_attribute(&self, name: &str) -> Result<Option<String>, DataError> {
        let attributes =
            self.file.root().attrs().map_err(|e| self.fail(format!("attributes: {}", line(&e))))?;
        Ok(attributes.get(name).and_then(AttrValue::as_str).map(str::to_owned))
    }

    fn numbers(&self, name: &str) -> Result<Array, String> {
        let dataset = self.file.dataset(name).map_err(|e| line(&e))?;
        let datatype = dataset.datatype().map_err(|e| line(&e))?;
        let element = Element::of(&datatype)
            .ok_or_else(|| format!("elements of type {} are not read; numbers are", kind(&dataset)))?;
        let shape = self.room(&dataset, element.size())?;
        let data = match element {
            Element::F16 { big_endian } => {
                let bytes = dataset.read_raw().map_err(|e| line(&e))?;
                let half = |b: &[u8]| match big_endian {
                    true => half::f16::from_be_bytes([b[0], b[1]]),
                    false => half::f16::from_le_bytes([b[0], b[1]]),
                };
                Data::F32(bytes.chunks_exact(2).map(|b| half(b).to_f32()).collect())
            }
            Element::F32 => Data::F32(dataset.read_f32().map_err(|e| line(&e))?),
            Element::F64 => Data::F64(dataset.read_f64().map_err(|e| line(&e))?),
            Element::Integer { size: 1, signed: false } => Data::U8(dataset.read_u8().map_err(|e| line(&e))?),
            Element::Integer { size: 8, signed: false } => {
                let values = dataset.read_u64().map_err(|e| line(&e))?;
                let narrow: Result<Vec<i64>, _> = values.into_iter().map(i64::try_from).collect();
                Data::I64(narrow.map_err(|_| "an element is beyond 63 bits")?)
            }
            Element::Integer { .. } => Data::I64(dataset.read_i64().map_err(|e| line(&e))?),
        };
        Array::new(shape, data).map_err(|e| e.to_string())
    }

    /// The shape of a dataset whose bytes are all there.
    fn room(&self, dataset: &hdf5_pure::Dataset, element: u64) -> Result<Vec<usize>, String> {
        let shape = dataset.shape().map_err(|e| line(&e))?;
        let size = volume(&shape, element).ok_or("the shape overflows")?;
        match dataset.layout().map_err(|e| line(&e))? {
            Layout::Contiguous { address: None, .. } if size > 0 => Err("it was never written".to_owned()),
            Layout::Contiguous { .. } | Layout::Compact { .. } if size > self.bytes => {
                Err(format!("{size} bytes are promised in a file of {}", self.bytes))
            }
            Layout::Contiguous { .. } | Layout::Compact { .. } => Ok(()),
            Layout::Chunked { chunk_shape, index } => {
                self.chunks(dataset, &shape, &chunk_shape, index, element)
            }
            Layout::Virtual => Err("virtual datasets are not supported; copy it into one file".to_owned()),
            _ => Err("its layout is not supported".to_owned()),
        }?;
        shape.iter().map(|d| usize::try_from(*d).map_err(|_| "the shape overflows".to_owned())).collect()
    }

    /// Whether the chunks of a dataset are all there, once each, and large enough for what they promise.
    fn chunks(
        &self,
        dataset: &hdf5_pure::Dataset,
        shape: &[u64],
        chunk_shape: &[u64],
        index: ChunkIndex,
        element: u64,
    ) -> Result<(), String> {
        if let Some(filter) = dataset.filter_pipeline().into_iter().find(|f| !FILTERS.contains(&f.id)) {
            return Err(format!("filter {filter} is not supported; gzip, shuffle, fletcher32 and lzf are"));
        }
        if index == ChunkIndex::BTreeV2 {
            return Err(
                "several unlimited dimensions in the newest format are not supported; repack it".into()
            );
        }
        if chunk_shape.len() != shape.len() || chunk_shape.contains(&0) {
            return Err(format!("chunks of {chunk_shape:?} do not divide the shape {shape:?}"));
        }
        let grid: Vec<u64> = shape.iter().zip(chunk_shape).map(|(d, c)| d.div_ceil(*c)).collect();
        let wanted = volume(&grid, 1).ok_or("the number of chunks overflows")?;
        // Each chunk takes a place in an index.
        if wanted > self.bytes {
            return Err(format!("{wanted} chunks are promised in a file of {} bytes", self.bytes));
        }
        let size = volume(chunk_shape, element).ok_or("the size of a chunk overflows")?;
        let mut seen = vec![false; wanted as usize];
        for chunk in dataset.chunks().map_err(|e| line(&e))? {
            let mut place = Some(0u64);
            for ((at, c), n) in chunk.offset.iter().zip(chunk_shape).zip(&grid) {
                let inside = at.is_multiple_of(*c) && at / c < *n;
                place = place.filter(|_| inside).map(|p| p * n + at / c);
            }
            // Chunks beyond the shape are left when a dataset shrinks.
            let Some(place) = place.filter(|_| chunk.offset.len() == shape.len()) else {
                return Err(format!("a chunk at {:?} is outside of the shape {shape:?}", chunk.offset));
            };
            if std::mem::replace(&mut seen[place as usize], true) {
                return Err(format!("two chunks claim the place {:?}", chunk.offset));
            }
            if chunk.storage_size > self.bytes || size > chunk.storage_size.saturating_mul(MOST_INFLATION) {
                let stored = chunk.storage_size;
                return Err(format!(
                    "the chunk at {:?} promises {size} bytes in {stored} stored ones",
                    chunk.offset
                ));
            }
        }
        match seen.iter().filter(|s| !**s).count() {
            0 => Ok(()),
            missing => Err(format!("{missing} of its {wanted} chunks were never written")),
        }
    }

    pub(super) fn fail(&self, reason: String) -> DataError {
        DataError::content(&self.path, reason)
    }
}

/// An error of the format's crate on one line.
fn line(error: &hdf5_pure::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(dataset: &hdf5_pure::Dataset) -> String {
    match dataset.dtype() {
        Ok(DType::Other(_)) | Err(_) => "unknown to this program".to_owned(),
        Ok(other) => format!("`{other}`"),
    }
}

/// The product of dimensions and an element's size.
fn volume(shape: &[u64], element: u64) -> Option<u64> {
    shape.iter().try_fold(element, |n, d| n.checked_mul(*d))
}

/// Element types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16 { big_endian: bool },
    F32,
    F64,
    Integer { size: u32, signed: bool },
}

impl Element {
    /// Integers without padding, and the floats of IEEE 754.
    fn of(datatype: &Datatype) -> Option<Self> {
        match datatype {
            Datatype::FixedPoint { size, byte_order, layout } => {
                let whole = layout.bit_offset == 0 && u32::from(layout.bit_precision) == 8 * size;
                let element = Self::Integer { size: *size, signed: layout.signed };
                (whole && matches!(size, 1 | 2 | 4 | 8) && ordered(*byte_order)).then_some(element)
            }
            Datatype::FloatingPoint { size, byte_order, layout } => {
                let (element, exponent, mantissa, bias) = match size {
                    2 => (Self::F16 { big_endian: *byte_order == DatatypeByteOrder::BigEndian }, 5, 10, 15),
                    4 => (Self::F32, 8, 23, 127),
                    8 => (Self::F64, 11, 52, 1023),
                    _ => return None,
                };
                let ieee = layout.bit_offset == 0
                    && u32::from(layout.bit_precision) == 8 * size
                    && layout.exponent_location == mantissa
                    && layout.exponent_size == exponent
                    && (layout.mantissa_location, layout.mantissa_size) == (0, mantissa)
                    && layout.exponent_bias == bias;
                (ieee && ordered(*byte_order)).then_some(element)
            }
            _ => None,
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::F16 { .. } => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Integer { size, .. } => size.into(),
        }
    }
}

fn ordered(order: DatatypeByteOrder) -> bool {
    matches!(order, DatatypeByteOrder::LittleEndian | DatatypeByteOrder::BigEndian)
}

/// The vectors of a file: the dataset that the options name, else the `train` of a search benchmark, else the only one
/// of numbers in rows and columns.
pub(super) fn read_set(path: &Path, options: &ReadOptions) -> Result<VectorSet, DataError> {
    let file = Hdf5::open(path)?;
    let vectors = match &options.vectors {
        Some(name) => name.clone(),
        None => {
            let mut tables = file.datasets()?;
            tables.retain(|d| d.numeric && d.shape.len() == 2);
            let found = match &tables[..] {
                [only] => Some(only),
                _ => tables.iter().find(|d| d.name == "train"),
            };
            let unclear = || listed(tables.iter().map(|d| d.name.as_str()));
            let found =
                found.ok_or_else(|| file.fail(format!("which dataset holds the vectors? {}", unclear())))?;
            found.name.clone()
        }
    };
    let ids = match &options.ids {
        Some(ColumnRef::Name(name)) => Some(name.clone()),
        Some(ColumnRef::Position(_)) => return Err(file.fail("datasets of an HDF5 file have names".into())),
        None => ID_NAMES.iter().find(|n| **n != vectors && file.contains(n)).map(|name| (*name).to_owned()),
    };
    let mut set = file.features(&vectors)?;
    if let Some(name) = ids {
        let ids = file.ids(&name).map_err(|reason| file.fail(format!("dataset `{name}`: {reason}")))?;
        set.ids = Some(ids);
    }
    Ok(set)
}

impl Hdf5 {
    fn ids(&self, name: &str) -> Result<Ids, String> {
        let dataset = self.file.dataset(name).map_err(|e| line(&e))?;
        let datatype = dataset.datatype().map_err(|e| line(&e))?;
        match (dataset.dtype().map_err(|e| line(&e))?, datatype) {
            (DType::String, Datatype::String { size, .. }) => {
                self.room(&dataset, size.into())?;
                Ok(Ids::Names(dataset.read_string().map_err(|e| line(&e))?))
            }
            (DType::VariableLengthString, _) => {
                // A reference to a text takes 16 bytes.
                self.room(&dataset, 16)?;
                let texts = dataset.vlen_string_payload_size().map_err(|e| line(&e))?;
                if texts > self.bytes.saturating_mul(MOST_INFLATION) {
                    return Err(format!("{texts} bytes of text are promised in a file of {}", self.bytes));
                }
                Ok(Ids::Names(dataset.read_string().map_err(|e| line(&e))?))
            }
            (DType::U64, _) => {
                self.room(&dataset, 8)?;
                Ok(Ids::Numbers(dataset.read_u64().map_err(|e| line(&e))?))
            }
            _ => Ids::from_array(&self.numbers(name)?),
        }
    }
}

/// Writes arrays under their names, `video_1/c3d_features` into the group `video_1`, and texts as attributes of the
/// whole file.
///
/// # Errors
/// [`DataError::Content`] for names that are empty, used twice or of more than two parts; [`DataError::Write`].
pub fn write(
    path: impl AsRef<Path>,
    arrays: &[(&str, &Array)],
    attributes: &[(&str, &str)],
) -> Result<(), DataError> {
    let path = path.as_ref();
    let mut builder = FileBuilder::new();
    for (name, text) in attributes {
        builder.set_attr(name, AttrValue::VarLenString((*text).to_owned()));
    }
    let mut sorted = arrays.to_vec();
    sorted.sort_by_key(|(name, _)| *name);
    let mut groups: Vec<(&str, Vec<(&str, &Array)>)> = Vec::new();
    for (i, (name, array)) in sorted.iter().enumerate() {
        let (group, leaf) = name.split_once('/').unwrap_or(("", name));
        let taken = i > 0 && sorted[i - 1].0 == *name || sorted.iter().any(|(n, _)| *n == group);
        if leaf.is_empty() || leaf.contains('/') || name.starts_with('/') || taken {
            return Err(DataError::content(path, format!("no dataset can be called `{name}`, or two are")));
        }
        match groups.iter_mut().find(|(g, _)| *g == group) {
            Some((_, members)) => members.push((leaf, array)),
            None => groups.push((group, vec![(leaf, array)])),
        }
    }
    for (group, members) in groups {
        if group.is_empty() {
            members.iter().for_each(|(leaf, array)| fill(builder.create_dataset(leaf), array));
        } else {
            let mut inner = builder.create_group(group);
            members.iter().for_each(|(leaf, array)| fill(inner.create_dataset(leaf), array));
            builder.add_group(inner.finish());
        }
    }
    save(path, builder)
}

fn fill(dataset: &mut hdf5_pure::DatasetBuilder, array: &Array) {
    let shape: Vec<u64> = array.shape().iter().map(|d| *d as u64).collect();
    match array.data() {
        Data::F32(v) => dataset.with_f32_data(v),
        Data::F64(v) => dataset.with_f64_data(v),
        Data::I64(v) => dataset.with_i64_data(v),
        Data::U8(v) => dataset.with_u8_data(v),
    }
    .with_shape(&shape);
}

/// Writes a file wholly or not at all.
pub(super) fn save(path: &Path, builder: FileBuilder) -> Result<(), DataError> {
    let mut other = None;
    let written = write_atomically(path, |out| match builder.finish_to(out) {
        Ok(()) => Ok(()),
        Err(hdf5_pure::Error::Io(source)) => Err(source),
        Err(error) => {
            other = Some(line(&error));
            Err(std::io::ErrorKind::InvalidData.into())
        }
    });
    match other {
        Some(reason) => Err(DataError::content(path, reason)),
        None => written.map_err(|source| DataError::write(path, source)),
    }
}

pub(super) fn write_set(path: &Path, set: &VectorSet) -> Result<(), DataError> {
    let mut builder = FileBuilder::new();
    let rows = set.len() as u64;
    builder.create_dataset("vectors").with_f32_data(&set.rows).with_shape(&[rows, set.dim as u64]);
    match &set.ids {
        None => {}
        Some(Ids::Numbers(ids)) => {
            builder.create_dataset("ids").with_u64_data(ids).with_shape(&[rows]);
        }
        Some(Ids::Names(names)) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            builder.create_dataset("ids").with_vlen_strings(&names).with_shape(&[rows]);
        }
    }
    save(path, builder)
}

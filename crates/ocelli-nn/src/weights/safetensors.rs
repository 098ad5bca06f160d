//! The safetensors format: a JSON header with names, types, shapes and places, then the bytes.
//!
//! Files are written deterministically: equal weights and metadata give equal bytes. The header lists the tensors in
//! the order of the [`StateDict`], and reading keeps the header's order; the bytes lie in descending order of element
//! size, so that every tensor is aligned for readers that map the file.
//!
//! Format: <https://huggingface.co/docs/safetensors>.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use ::safetensors::tensor::{Dtype as FileDtype, TensorInfo};
use ocelli_method::{Array, Data};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::atomic::write_atomically;
use super::dtype::{ByteOrder, Dtype, Layout};
use super::error::{Problem, WeightsError};
use super::limits::Limits;
use super::state_dict::StateDict;

/// Free text beside the weights.
pub type Metadata = BTreeMap<String, String>;

/// What a safetensors file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The tensors, in the order of the header.
    pub state: StateDict,
    /// The header's `__metadata__`.
    pub metadata: Metadata,
}

/// Largest header that is read, as in the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const METADATA_KEY: &str = "__metadata__";

/// Reads a safetensors file.
///
/// Numbers that are not finite pass; ask [`StateDict::non_finite`].
///
/// # Errors
/// Names the file and the tensor when the file is absent, cut short, contradicts itself, holds a name twice, or holds
/// an element type that no array has.
pub fn read(file: &Path) -> Result<Contents, WeightsError> {
    read_with(file, &Limits::default())
}

/// [`read`] under other limits.
///
/// # Errors
/// As [`read`], and [`Problem::TooLarge`] past the limits.
pub fn read_with(file: &Path, limits: &Limits) -> Result<Contents, WeightsError> {
    let open = || -> Result<Contents, Problem> {
        let handle = File::open(file)?;
        let length = handle.metadata()?.len();
        read_stream(&mut BufReader::with_capacity(1 << 20, handle), length, limits)
    };
    open().map_err(|problem| WeightsError::new(file, problem))
}

/// Reads safetensors from memory; `name` stands for the file in errors.
///
/// # Errors
/// As [`read_with`].
pub fn read_bytes(name: &str, bytes: &[u8], limits: &Limits) -> Result<Contents, WeightsError> {
    read_stream(&mut &*bytes, bytes.len() as u64, limits)
        .map_err(|problem| WeightsError::new(Path::new(name), problem))
}

/// Whether a file that starts like this and has that length can be safetensors: a header length that fits, and `{`.
pub(super) fn looks_like(start: &[u8], length: u64) -> bool {
    let Some((header, rest)) = start.split_first_chunk::<8>() else { return false };
    let header = u64::from_le_bytes(*header);
    rest.first() == Some(&b'{') && header <= MAX_HEADER_BYTES && header <= length.saturating_sub(8)
}

fn read_stream(reader: &mut impl Read, length: u64, limits: &Limits) -> Result<Contents, Problem> {
    let header = read_header(reader, length)?;
    let data_bytes = length - 8 - header.bytes;
    let places = by_offset(&header.tensors, data_bytes)?;
    let mut budget = limits.budget(length);
    let mut arrays: Vec<Option<Array>> = vec![None; header.tensors.len()];
    for place in places {
        let (name, info) = &header.tensors[place];
        let size = info.data_offsets.1 - info.data_offsets.0;
        let read = |reader: &mut dyn Read| -> Result<Array, Problem> {
            let dtype = dtype_of(name, info.dtype)?;
            let layout = Layout::contiguous(info.shape.clone(), limits)?;
            if layout.elements().checked_mul(dtype.size()) != Some(size) {
                return Err(Problem::corrupt(format!(
                    "tensor `{name}` of shape {:?} and type {} has {size} bytes",
                    info.shape, info.dtype
                )));
            }
            budget.take(
                (layout.elements() as u64).saturating_mul((dtype.size() + dtype.decoded_size()) as u64),
            )?;
            let mut bytes = vec![0; size];
            reader
                .read_exact(&mut bytes)
                .map_err(|e| Problem::while_reading(&format!("tensor `{name}`"), e))?;
            dtype.decode(&bytes, &layout, ByteOrder::Little)
        };
        let mut read = read;
        arrays[place] = Some(read(reader)?);
    }
    let pairs = header.tensors.into_iter().map(|(name, _)| name).zip(arrays.into_iter().flatten());
    let state = StateDict::from_pairs(pairs).map_err(|e| Problem::Duplicate(e.0))?;
    Ok(Contents { state, metadata: header.metadata })
}

/// The tensors' places in ascending order of offset, after checking that they cover the data without gap or overlap.
fn by_offset(tensors: &[(String, TensorInfo)], data_bytes: u64) -> Result<Vec<usize>, Problem> {
    let mut places: Vec<usize> = (0..tensors.len()).collect();
    places.sort_by_key(|&place| tensors[place].1.data_offsets);
    let mut end = 0usize;
    for &place in &places {
        let (name, info) = &tensors[place];
        let (from, to) = info.data_offsets;
        if from != end || to < from {
            return Err(Problem::corrupt(format!(
                "tensor `{name}` lies at bytes {from} to {to} of the data, where byte {end} should come next"
            )));
        }
        end = to;
    }
    let (end, found) = (end as u64, data_bytes);
    match end.cmp(&found) {
        std::cmp::Ordering::Equal => Ok(places),
        std::cmp::Ordering::Greater => {
            Err(Problem::Truncated(format!("the tensors ({found} of {end} bytes are there)")))
        }
        std::cmp::Ordering::Less => {
            Err(Problem::corrupt(format!("{} bytes follow the last tensor", found - end)))
        }
    }
}

/// The element type, where arrays have one for it.
fn dtype_of(name: &str, dtype: FileDtype) -> Result<Dtype, Problem> {
    Ok(match dtype {
        FileDtype::BOOL => Dtype::Bool,
        FileDtype::U8 => Dtype::U8,
        FileDtype::I8 => Dtype::I8,
        FileDtype::I16 => Dtype::I16,
        FileDtype::U16 => Dtype::U16,
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::BF16,
        FileDtype::I32 => Dtype::I32,
        FileDtype::U32 => Dtype::U32,
        FileDtype::F32 => Dtype::F32,
        FileDtype::F64 => Dtype::F64,
        FileDtype::I64 => Dtype::I64,
        FileDtype::U64 => Dtype::U64,
        other => {
            return Err(Problem::Unsupported {
                what: format!("tensor `{name}` of type {other}"),
                remedy: "save it as a real type of one byte or more",
            });
        }
    })
}

struct Header {
    tensors: Vec<(String, TensorInfo)>,
    metadata: Metadata,
    /// Bytes of the JSON text.
    bytes: u64,
}

fn read_header(reader: &mut impl Read, length: u64) -> Result<Header, Problem> {
    let mut size = [0; 8];
    reader.read_exact(&mut size).map_err(|e| Problem::while_reading("the header's length", e))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER_BYTES {
        return Err(Problem::TooLarge { what: "the length of the header", limit: MAX_HEADER_BYTES });
    }
    if size > length.saturating_sub(8) {
        return Err(Problem::Truncated("the header".to_owned()));
    }
    let mut text = Vec::new();
    reader.take(size).read_to_end(&mut text).map_err(|e| Problem::while_reading("the header", e))?;
    if text.len() as u64 != size {
        return Err(Problem::Truncated("the header".to_owned()));
    }
    let HeaderText { tensors, metadata } =
        serde_json::from_slice(&text).map_err(|e| Problem::corrupt(format!("the header: {e}")))?;
    Ok(Header { tensors, metadata, bytes: size })
}

/// The header as JSON has it: in order, and with no name twice, which a map from the standard library would hide.
#[derive(Default)]
struct HeaderText {
    tensors: Vec<(String, TensorInfo)>,
    metadata: Metadata,
}

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = HeaderText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from names to tensors")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<HeaderText, M::Error> {
        let mut header = HeaderText::default();
        let mut names = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(M::Error::custom(format!("`{name}` comes twice")));
            }
            if name == METADATA_KEY {
                header.metadata = map.next_value()?;
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

/// Writes a safetensors file, wholly or not at all (see [`write_atomically`]).
///
/// # Errors
/// [`Problem::Write`] when the disk refuses, [`Problem::Unsupported`] for a tensor named `__metadata__`.
pub fn write(file: &Path, state: &StateDict, metadata: &Metadata) -> Result<(), WeightsError> {
    let (header, order) = header_text(state, metadata).map_err(|problem| WeightsError::new(file, problem))?;
    let arrays: Vec<&Array> = state.iter().map(|(_, array)| array).collect();
    write_atomically(file, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        order.iter().try_for_each(|&place| write_data(out, arrays[place].data()))
    })
}

/// The element type and size that arrays are written in.
fn file_dtype(data: &Data) -> (FileDtype, usize) {
    match data {
        Data::F32(_) => (FileDtype::F32, 4),
        Data::F64(_) => (FileDtype::F64, 8),
        Data::I64(_) => (FileDtype::I64, 8),
        Data::U8(_) => (FileDtype::U8, 1),
    }
}

/// The header, padded to a multiple of eight bytes, and the order in which the tensors' bytes follow.
fn header_text(state: &StateDict, metadata: &Metadata) -> Result<(Vec<u8>, Vec<usize>), Problem> {
    if state.contains(METADATA_KEY) {
        return Err(Problem::Unsupported {
            what: format!("a tensor named `{METADATA_KEY}`"),
            remedy: "the format keeps that name for its metadata; rename the tensor",
        });
    }
    let arrays: Vec<&Array> = state.iter().map(|(_, array)| array).collect();
    let mut order: Vec<usize> = (0..arrays.len()).collect();
    order.sort_by_key(|&place| std::cmp::Reverse(file_dtype(arrays[place].data()).1));
    let mut offsets = vec![(0, 0); arrays.len()];
    let mut end = 0;
    for &place in &order {
        let from = end;
        end += arrays[place].len() * file_dtype(arrays[place].data()).1;
        offsets[place] = (from, end);
    }
    let json = |error: serde_json::Error| Problem::Write(error.into());
    let mut text = b"{".to_vec();
    if !metadata.is_empty() {
        write!(text, "\"{METADATA_KEY}\":").map_err(Problem::Write)?;
        serde_json::to_writer(&mut text, metadata).map_err(json)?;
    }
    for ((name, array), data_offsets) in state.iter().zip(offsets) {
        if text.len() > 1 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, name).map_err(json)?;
        text.push(b':');
        let info =
            TensorInfo { dtype: file_dtype(array.data()).0, shape: array.shape().to_vec(), data_offsets };
        serde_json::to_writer(&mut text, &info).map_err(json)?;
    }
    text.push(b'}');
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok((text, order))
}

fn write_data(out: &mut dyn Write, data: &Data) -> std::io::Result<()> {
    match data {
        Data::F32(v) => write_elements(out, v, |x| x.to_le_bytes()),
        Data::F64(v) => write_elements(out, v, |x| x.to_le_bytes()),
        Data::I64(v) => write_elements(out, v, |x| x.to_le_bytes()),
        Data::U8(v) => out.write_all(v),
    }
}

/// Writes elements in blocks, for one call an element would cost more than the bytes.
fn write_elements<T: Copy, const N: usize>(
    out: &mut dyn Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> std::io::Result<()> {
    let mut block = Vec::with_capacity(1 << 16);
    for run in values.chunks((1 << 16) / N) {
        block.clear();
        run.iter().for_each(|&value| block.extend_from_slice(&bytes(value)));
        out.write_all(&block)?;
    }
    Ok(())
}

//! What `torch.save` wrote before PyTorch 1.6, and still writes where it is asked to.
//!
//! Five pickles one after the other (a magic number, the protocol, facts on the machine, the saved object, the keys of
//! its storages), then for each key the number of elements and the elements.

use std::collections::HashMap;
use std::io::{BufRead, Cursor, Seek, SeekFrom};
use std::sync::Arc;

use super::error::Problem;
use super::limits::Limits;
use super::pickle::{self, Pickled, Storage, Surroundings};
use super::value::{StorageSource, Value};

/// The number at the start, least significant byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i128 = 1001;

/// Whether a file that starts like this is of the format: the magic number comes within the first pickle.
pub(super) fn looks_like(start: &[u8]) -> bool {
    start.iter().take(32).copied().collect::<Vec<u8>>().windows(MAGIC.len()).any(|window| window == MAGIC)
}

/// A file of the format, with its storages left where they are.
#[derive(Debug)]
pub(super) struct Legacy {
    /// The saved object.
    pub(super) pickled: Pickled,
    /// First byte of each storage's elements; looked up, never iterated.
    pub(super) places: HashMap<Arc<str>, u64>,
}

/// Reads everything but the elements of the storages, from the reader's start.
///
/// # Errors
/// Every [`Problem`] a pickle can have, and those of the parts around it.
pub(super) fn read<R: BufRead + Seek>(
    reader: &mut R,
    length: u64,
    around: Surroundings,
    limits: &Limits,
) -> Result<Legacy, Problem> {
    let mut magic = [0; 16];
    magic[..10].copy_from_slice(&MAGIC);
    let plain = |reader: &mut R| pickle::read(reader, Surroundings::Plain, limits).map(|p| p.value);
    if plain(reader)?.as_int() != Some(i128::from_le_bytes(magic)) {
        return Err(Problem::corrupt("the magic number is wrong"));
    }
    match plain(reader)?.as_int() {
        Some(PROTOCOL) => {}
        other => return Err(Problem::corrupt(format!("the protocol is {other:?} where {PROTOCOL} belongs"))),
    }
    if matches!(plain(reader)?.get("little_endian"), Some(Value::Bool(false))) {
        return Err(big_endian());
    }
    let pickled = pickle::read(reader, around, limits)?;
    let places = places(&plain(reader)?, &pickled, reader, length)?;
    Ok(Legacy { pickled, places })
}

/// The refusal of numbers in the byte order of other machines.
pub(super) fn big_endian() -> Problem {
    Problem::Unsupported {
        what: "a checkpoint with the most significant byte first".to_owned(),
        remedy: "load and save it again in Python on an ordinary machine",
    }
}

/// Walks over the storages, in the order of `keys`, and notes where each starts.
fn places<R: BufRead + Seek>(
    keys: &Value,
    pickled: &Pickled,
    reader: &mut R,
    length: u64,
) -> Result<HashMap<Arc<str>, u64>, Problem> {
    let Value::List(keys) = keys else { return Err(Problem::corrupt("the list of storages is no list")) };
    let mut places = HashMap::new();
    for key in keys {
        let Value::Str(key) = key else {
            return Err(Problem::corrupt("the list of storages holds something else"));
        };
        let info = pickled
            .storages
            .get(key)
            .ok_or_else(|| Problem::corrupt(format!("nothing uses storage `{key}`")))?;
        let what = format!("storage `{key}`");
        let mut elements = [0; 8];
        reader.read_exact(&mut elements).map_err(|e| Problem::while_reading(&what, e))?;
        let elements = u64::from_le_bytes(elements);
        if elements != info.elements as u64 {
            return Err(Problem::corrupt(format!(
                "{what} has {elements} elements where {} belong",
                info.elements
            )));
        }
        let start = reader.stream_position()?;
        let bytes = elements.checked_mul(info.dtype.size() as u64);
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|&end| end <= length);
        let end = end.ok_or_else(|| Problem::Truncated(what.clone()))?;
        if places.insert(key.clone(), start).is_some() {
            return Err(Problem::corrupt(format!("{what} is there twice")));
        }
        reader.seek(SeekFrom::Start(end))?;
    }
    Ok(places)
}

/// The storage that a byte string of this format holds, left in the byte string.
///
/// # Errors
/// As [`read`], and where the saved object is something other than a storage.
pub(super) fn storage_in_bytes(bytes: &Arc<[u8]>, limits: &Limits) -> Result<Storage, Problem> {
    let Legacy { pickled, places } =
        read(&mut Cursor::new(&**bytes), bytes.len() as u64, Surroundings::Nested, limits)?;
    let storage =
        pickled.root_storage.ok_or_else(|| Problem::corrupt("a storage within the pickle is none"))?;
    let start = match &storage.source {
        StorageSource::File(key) => places.get(key).copied(),
        StorageSource::Inline(..) => None,
    };
    let start = start.ok_or_else(|| Problem::corrupt("a storage within the pickle has no elements"))?;
    // Within the byte string, whose length is one of memory.
    Ok(Storage { source: StorageSource::Inline(bytes.clone(), start as usize), ..storage })
}

//! The footer: the columns, and where their pages lie.
//!
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::thrift::{Kind, Reader};

/// What every file begins and ends with.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";
/// What it ends with when the footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";
/// A file may have so many columns and groups of columns; vectors of one column a dimension need thousands.
const MOST_COLUMNS: usize = 1 << 18;

/// How a column's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    Int96,
    Float,
    Double,
    Bytes,
    /// Byte strings of this length.
    Fixed(usize),
}

/// What a column's values mean, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Logical {
    /// What the storage says, or a meaning whose stored values do as well: dates, times.
    #[default]
    Plain,
    Text,
    List,
    Unsigned,
    Half,
    /// Numbers that are not what is stored.
    Decimal,
    /// Any other meaning.
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Repetition {
    #[default]
    Required,
    Optional,
    Repeated,
}

/// A column, or a group of columns that follow it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) physical: Option<Physical>,
    pub(super) repetition: Repetition,
    pub(super) logical: Logical,
    pub(super) children: u64,
}

/// A column's pages in a row group.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The number of its kind in the specification.
    pub(super) physical: i64,
    pub(super) codec: i64,
    /// Values and nulls.
    pub(super) values: u64,
    /// Where the first page begins.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct RowGroup {
    pub(super) rows: u64,
    pub(super) chunks: Vec<Chunk>,
}

#[derive(Debug, Default)]
pub(super) struct Footer {
    /// The schema's root, and below it, depth first, everything else.
    pub(super) schema: Vec<Element>,
    pub(super) groups: Vec<RowGroup>,
    /// Where the footer begins, and pages have to end.
    pub(super) start: u64,
}

impl Physical {
    /// By its number in the specification.
    fn from_number(number: i64, length: u64) -> Result<Self, String> {
        Ok(match number {
            0 => Self::Boolean,
            1 => Self::Int32,
            2 => Self::Int64,
            3 => Self::Int96,
            4 => Self::Float,
            5 => Self::Double,
            6 => Self::Bytes,
            7 => Self::Fixed(usize::try_from(length).map_err(|e| e.to_string())?),
            other => return Err(format!("a column has the unknown type {other}")),
        })
    }

    pub(super) fn number(self) -> i32 {
        match self {
            Self::Boolean => 0,
            Self::Int32 => 1,
            Self::Int64 => 2,
            Self::Int96 => 3,
            Self::Float => 4,
            Self::Double => 5,
            Self::Bytes => 6,
            Self::Fixed(_) => 7,
        }
    }
}

impl Footer {
    /// Reads the footer of a file.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn read(file: &mut File) -> Result<Self, String> {
        let short = |_| "the file is too short";
        let size = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
        let mut magic = [0; 4];
        file.rewind().and_then(|()| file.read_exact(&mut magic)).map_err(short)?;
        let mut tail = [0; 8];
        file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut tail)).map_err(short)?;
        let [a, b, c, d, end @ ..] = tail;
        if &end == ENCRYPTED {
            return Err("it is encrypted".into());
        }
        if &magic != MAGIC || &end != MAGIC {
            return Err("it does not begin and end as one; is it complete?".into());
        }
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let start = size.checked_sub(8 + length).filter(|start| *start >= 4);
        let start = start.ok_or_else(|| format!("a footer of {length} bytes in a file of {size}"))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.by_ref().take(length).read_to_end(&mut bytes))
            .map_err(|e| e.to_string())?;
        let mut footer = Self::parse(&bytes).map_err(|reason| format!("the footer is damaged: {reason}"))?;
        footer.start = start;
        Ok(footer)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut footer = Self::default();
        let mut encrypted = false;
        Reader::new(bytes).fields(|input, id, kind| {
            match (id, kind) {
                (2, Kind::LIST) => input.list(Kind::STRUCT, |input| {
                    if footer.schema.len() == MOST_COLUMNS {
                        return Err(format!("more than {MOST_COLUMNS} columns"));
                    }
                    footer.schema.push(Element::parse(input)?);
                    Ok(())
                })?,
                (4, Kind::LIST) => input.list(Kind::STRUCT, |input| {
                    footer.groups.push(RowGroup::parse(input)?);
                    Ok(())
                })?,
                (8, Kind::STRUCT) => {
                    encrypted = true;
                    return Ok(false);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if encrypted {
            return Err("its columns are encrypted".into());
        }
        Ok(footer)
    }
}

impl Element {
    fn parse<R: Read>(input: &mut Reader<R>) -> Result<Self, String> {
        let mut element = Self::default();
        let (mut physical, mut length) = (None, 0);
        let (mut converted, mut logical) = (Logical::Plain, None);
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => physical = Some(input.integer()?),
                (2, Kind::I32) => length = input.count()?,
                (3, Kind::I32) => {
                    element.repetition = match input.integer()? {
                        0 => Repetition::Required,
                        1 => Repetition::Optional,
                        2 => Repetition::Repeated,
                        other => return Err(format!("a column has the unknown repetition {other}")),
                    }
                }
                (4, Kind::BINARY) => element.name = input.text()?,
                (5, Kind::I32) => element.children = input.count()?,
                (6, Kind::I32) => converted = converted_type(input.integer()?),
                (10, Kind::STRUCT) => logical = logical_type(input)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        element.logical = logical.unwrap_or(converted);
        element.physical = physical.map(|number| Physical::from_number(number, length)).transpose()?;
        if element.physical.is_some() && element.children > 0 {
            return Err("a column has a type and columns below it".into());
        }
        Ok(element)
    }
}

/// A meaning as older writers give it.
fn converted_type(number: i64) -> Logical {
    match number {
        // Text, enumerations, JSON.
        0 | 4 | 19 => Logical::Text,
        3 => Logical::List,
        5 => Logical::Decimal,
        11..=14 => Logical::Unsigned,
        // Dates, times, signed integers.
        6..=10 | 15..=18 => Logical::Plain,
        _ => Logical::Other,
    }
}

/// A meaning as newer writers give it; none where there is none.
fn logical_type<R: Read>(input: &mut Reader<R>) -> Result<Option<Logical>, String> {
    let mut logical = None;
    input.fields(|input, id, kind| {
        logical = Some(match id {
            1 | 4 | 12 => Logical::Text,
            3 => Logical::List,
            5 => Logical::Decimal,
            // Dates, times, and columns of nothing but nulls.
            6..=8 | 11 => Logical::Plain,
            15 => Logical::Half,
            10 if kind == Kind::STRUCT => {
                let mut signed = true;
                input.fields(|_, id, kind| {
                    if id == 2 {
                        signed = kind == Kind::TRUE;
                    }
                    Ok(false)
                })?;
                logical = Some(if signed { Logical::Plain } else { Logical::Unsigned });
                return Ok(true);
            }
            _ => Logical::Other,
        });
        Ok(false)
    })?;
    Ok(logical)
}

impl RowGroup {
    fn parse<R: Read>(input: &mut Reader<R>) -> Result<Self, String> {
        let mut group = Self::default();
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::LIST) => input.list(Kind::STRUCT, |input| {
                    group.chunks.push(Chunk::parse(input)?);
                    Ok(())
                })?,
                (3, Kind::I64) => group.rows = input.count()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        // Else a byte of the footer would make many in memory.
        if group.chunks.is_empty() {
            return Err("a row group has no columns".into());
        }
        Ok(group)
    }
}

impl Chunk {
    fn parse<R: Read>(input: &mut Reader<R>) -> Result<Self, String> {
        let (mut chunk, mut elsewhere, mut encrypted) = (None, false, false);
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::BINARY) => elsewhere = !input.text()?.is_empty(),
                (3, Kind::STRUCT) => chunk = Some(Self::parse_metadata(input)?),
                (8, Kind::STRUCT) | (9, Kind::BINARY) => {
                    encrypted = true;
                    return Ok(false);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        match chunk {
            _ if elsewhere => Err("a column lies in another file".into()),
            _ if encrypted => Err("a column is encrypted".into()),
            Some(chunk) => Ok(chunk),
            None => Err("it is not said where a column lies".into()),
        }
    }

    fn parse_metadata<R: Read>(input: &mut Reader<R>) -> Result<Self, String> {
        let mut chunk = Self::default();
        let (mut data, mut dictionary) = (None, None);
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => chunk.physical = input.integer()?,
                (4, Kind::I32) => chunk.codec = input.integer()?,
                (5, Kind::I64) => chunk.values = input.count()?,
                (7, Kind::I64) => chunk.bytes = input.count()?,
                (9, Kind::I64) => data = Some(input.count()?),
                (11, Kind::I64) => dictionary = Some(input.count()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let data = data.ok_or("it is not said where a column's pages lie")?;
        // Some writers say 0 where there is no dictionary.
        chunk.start = dictionary.filter(|at| (1..data).contains(at)).unwrap_or(data);
        Ok(chunk)
    }
}
